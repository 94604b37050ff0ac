"""The config's JSON Schema, and what it says about one key."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from typing import Any

from pydantic.json_schema import GenerateJsonSchema, JsonSchemaValue
from pydantic_core import core_schema

from medallion_jobs.config.model import Pipeline
from medallion_jobs.config.tree import Path

JsonSchema = dict[str, Any]


class _Generator(GenerateJsonSchema):
    """Keeps only the titles that we wrote: they say what is allowed."""

    def field_title_should_be_set(self, schema: Any) -> bool:  # noqa: ARG002
        return False

    def dict_schema(self, schema: core_schema.DictSchema) -> JsonSchemaValue:
        made = super().dict_schema(schema)
        values = self.generate_inner(schema["values_schema"])
        if "patternProperties" in made:
            made["patternProperties"] = dict.fromkeys(made["patternProperties"], values)
            made["additionalProperties"] = False
        else:
            made["additionalProperties"] = values
        return made


def json_schema() -> JsonSchema:
    """The JSON Schema (draft 2020-12) of a pipeline's file, for editors."""
    made = Pipeline.model_json_schema(schema_generator=_Generator)
    for definition in made["$defs"].values():
        definition.pop("title", None)
    return {
        "$schema": GenerateJsonSchema.schema_dialect,
        **made,
        "title": "A medallion pipeline",
        "description": "A pipeline's config, or what base.yaml or an overlay adds to it.",
    }


@cache
def _schema() -> JsonSchema:
    return json_schema()


def _resolved(schema: JsonSchema) -> JsonSchema:
    """Without a reference or a `null` around it; the outer description and default stay."""
    if "$ref" in schema:
        name = schema["$ref"].rsplit("/", 1)[-1]
        return {**_schema()["$defs"][name], **schema}
    choices = [choice for choice in schema.get("anyOf", []) if choice.get("type") != "null"]
    if len(choices) == 1:
        return {**_resolved(choices[0]), **schema}
    return schema


def _child(schema: JsonSchema, part: str | int) -> JsonSchema | None:
    if isinstance(part, int):
        child = schema.get("items")
    else:
        child = schema.get("properties", {}).get(part) or named_child(schema)
    return _resolved(child) if isinstance(child, dict) else None


def named_child(schema: JsonSchema) -> JsonSchema | None:
    """The schema of each value of a mapping whose keys the user names; else None."""
    for child in schema.get("patternProperties", {}).values():
        return _resolved(child)
    child = schema.get("additionalProperties")
    return _resolved(child) if isinstance(child, dict) else None


def schema_at(path: Path) -> JsonSchema | None:
    """What the schema says of the key at `path`; None where it knows no such key."""
    found: JsonSchema | None = _schema()
    for part in path:
        found = _child(found, part) if found else None
    return found


def properties(schema: JsonSchema) -> Iterator[tuple[str, JsonSchema]]:
    """The keys that a mapping knows, in their order."""
    for key, child in schema.get("properties", {}).items():
        yield key, _resolved(child)


def choices(schema: JsonSchema) -> list[str]:
    """The words a value is one of; empty when it is no such value."""
    return [schema["const"]] if "const" in schema else list(schema.get("enum", []))


def allowed(schema: JsonSchema) -> str:
    """What is allowed, in words."""
    words = choices(schema)
    if words:
        return " or ".join(words)
    if schema.get("properties"):
        return f"a mapping with the keys {', '.join(schema['properties'])}"
    if schema.get("type") == "object" and "title" not in schema:
        return "a mapping of names"
    return str(schema.get("title", ""))
