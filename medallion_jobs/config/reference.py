"""All config keys as Markdown tables, for docs/config.md."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Sequence

from medallion_jobs.config.schema import (
    JsonSchema,
    allowed,
    choices,
    json_schema,
    kind_key,
    kinds_of,
    named_child,
    properties,
)

# From so many keys on, a part of a table such as `silver.NAME.lookups` has a section of its own.
_KEYS_OF_A_SECTION = 4


def markdown_tables() -> str:
    """A row of key, meaning, default and allowed values for each key, in sections."""
    schema = json_schema()
    rows = [
        (row.split("`")[1], row)
        for key, child in properties(schema)
        for row in _rows(key, child, key in schema["required"])
    ]
    parts = Counter(_part(key) for key, _ in rows)
    sections: dict[str, list[str]] = {}
    for key, row in rows:
        layer, _, rest = key.partition(".NAME")
        large = parts[_part(key)] >= _KEYS_OF_A_SECTION
        of_table = _part(key) if rest and large else f"{layer}.NAME"
        sections.setdefault(of_table if rest else "The pipeline", []).append(row)
    head = "| key | meaning | default | allowed |\n|---|---|---|---|\n"
    return "\n".join(
        f"### {name}\n\n{head}" + "\n".join(rows) + "\n" for name, rows in sections.items()
    )


def _part(key: str) -> str:
    return ".".join(key.split(".")[:3])


def _rows(key: str, schema: JsonSchema, required: bool) -> Iterator[str]:
    named = named_child(schema)
    item = named_child({"additionalProperties": schema.get("items")})
    if kinds := kinds_of(schema):
        yield from _rows_of_kinds(key, [*kinds.values()], kind_key(kinds))
    elif named and named.get("properties"):
        yield from _rows(f"{key}.NAME", named, required=False)
    elif schema.get("properties"):
        for name, child in properties(schema):
            yield from _rows(f"{key}.{name}", child, name in schema.get("required", []))
    else:
        yield _row(key, schema, required)
        if item and item.get("properties"):
            yield from _rows(f"{key}.N", item, required=False)


def _rows_of_kinds(key: str, kinds: Sequence[JsonSchema], by: str) -> Iterator[str]:
    """The rows of each kind; a later kind's are those that an earlier one does not have."""
    seen: set[str] = set()
    for kind in kinds:
        (name, *others) = choices(kind["properties"][by])
        about = "" if others else f"{name.capitalize()}: "
        for row in _rows(key, kind, required=False):
            if row not in seen:
                first, meaning, *rest = row.split(" | ", 2)
                yield " | ".join([first, about + meaning, *rest])
                seen.add(row)


def _row(key: str, schema: JsonSchema, required: bool) -> str:
    default = schema.get("default")
    shown = "required" if required else "unset" if default is None else f"`{_as_yaml(default)}`"
    cells = (f"`{key}`", schema["description"], shown, allowed(schema))
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def _as_yaml(default: object) -> str:
    return default if isinstance(default, str) else json.dumps(default)
