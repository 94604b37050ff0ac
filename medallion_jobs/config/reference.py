"""All config keys as a Markdown table, for docs/config.md."""

from __future__ import annotations

import json
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


def markdown_table() -> str:
    """A Markdown table of key, meaning, default and allowed values; one row for each key."""
    rows = ["| key | meaning | default | allowed |", "|---|---|---|---|"]
    schema = json_schema()
    for key, child in properties(schema):
        rows += _rows(key, child, key in schema["required"])
    return "\n".join(rows) + "\n"


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
