"""All config keys as a Markdown table, for docs/config.md."""

from __future__ import annotations

import json
from collections.abc import Iterator

from medallion_jobs.config.schema import (
    JsonSchema,
    allowed,
    json_schema,
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
    if named and named.get("properties"):
        yield from _rows(f"{key}.NAME", named, required=False)
    elif schema.get("properties"):
        for name, child in properties(schema):
            yield from _rows(f"{key}.{name}", child, name in schema.get("required", []))
    else:
        yield _row(key, schema, required)
        if item and item.get("properties"):
            yield from _rows(f"{key}.N", item, required=False)


def _row(key: str, schema: JsonSchema, required: bool) -> str:
    default = schema.get("default")
    shown = "required" if required else "unset" if default is None else f"`{_as_yaml(default)}`"
    cells = (f"`{key}`", schema["description"], shown, allowed(schema))
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def _as_yaml(default: object) -> str:
    return default if isinstance(default, str) else json.dumps(default)
