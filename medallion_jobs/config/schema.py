"""The JSON Schema of a config, and lookups of single keys in it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from typing import Any

from pydantic.json_schema import GenerateJsonSchema, JsonSchemaValue
from pydantic_core import core_schema

from medallion_jobs.config.fields import ANY_AS_TEXT
from medallion_jobs.config.model import Pipeline
from medallion_jobs.config.tree import Path

JsonSchema = dict[str, Any]


class _Generator(GenerateJsonSchema):
    """Keeps only the titles that we wrote: they describe what is allowed."""

    def field_title_should_be_set(self, schema: Any) -> bool:  # noqa: ARG002
        return False

    def dict_schema(self, schema: core_schema.DictSchema) -> JsonSchemaValue:
        mapping = super().dict_schema(schema)
        values = self.generate_inner(schema["values_schema"])
        if "patternProperties" in mapping:
            mapping["patternProperties"] = dict.fromkeys(mapping["patternProperties"], values)
            mapping["additionalProperties"] = False
        else:
            mapping["additionalProperties"] = values
        return mapping


def json_schema() -> JsonSchema:
    """The JSON Schema (draft 2020-12) of a pipeline's file, for editors."""
    generated = Pipeline.model_json_schema(schema_generator=_Generator)
    for definition in generated["$defs"].values():
        definition.pop("title", None)
    return {
        "$schema": GenerateJsonSchema.schema_dialect,
        **generated,
        "title": "A medallion pipeline",
        "description": "A pipeline's config, or what base.yaml or an overlay adds to it.",
    }


@cache
def _schema() -> JsonSchema:
    return json_schema()


def _resolved(schema: JsonSchema) -> JsonSchema:
    """The schema without an outer `$ref` or `null`; the outer description and default stay."""
    if "$ref" in schema:
        name = schema["$ref"].rsplit("/", 1)[-1]
        return {**_schema()["$defs"][name], **schema}
    choices = [choice for choice in schema.get("anyOf", []) if choice.get("type") != "null"]
    if len(choices) == 1:
        return {**_resolved(choices[0]), **schema}
    kinds = kinds_of(schema)
    return {**_merged([*kinds.values()]), **schema} if kinds else schema


def kinds_of(schema: JsonSchema) -> dict[str, JsonSchema]:
    """The mappings of which a value is one, by name; empty for any other value."""
    references = (kind.get("$ref", "") for kind in schema.get("oneOf", ()))
    return {ref.rsplit("/", 1)[-1]: _resolved({"$ref": ref}) for ref in references if ref}


def kind_key(kinds: Mapping[str, JsonSchema]) -> str:
    """The key by which such mappings differ: each has words of its own for it."""
    first, *others = (kind["properties"] for kind in kinds.values())
    return next(
        str(key)
        for key, child in first.items()
        if (words := {*choices(child)})
        and all(key in other and not words & {*choices(other[key])} for other in others)
    )


def _merged(kinds: Sequence[JsonSchema]) -> JsonSchema:
    """The keys of all kinds; a key of several is described as in the first one."""
    properties: JsonSchema = {}
    for kind in kinds:
        for key, child in kind["properties"].items():
            words = [*choices(properties.get(key, {})), *choices(child)]
            properties[key] = {**child, **properties.get(key, {})}
            if words:
                properties[key] = {**properties[key], "enum": [*dict.fromkeys(words)]}
                properties[key].pop("const", None)
    required = [key for key in kinds[0]["required"] if all(key in k["required"] for k in kinds)]
    return {"type": "object", "properties": properties, "required": required}


def _child(schema: JsonSchema, part: str | int) -> JsonSchema | None:
    if isinstance(part, int):
        first = schema.get("prefixItems", ())
        child = first[part] if part < len(first) else schema.get("items")
    else:
        child = schema.get("properties", {}).get(part) or named_child(schema)
    return _resolved(child) if isinstance(child, dict) else None


def named_child(schema: JsonSchema) -> JsonSchema | None:
    """The schema of the values of a mapping whose keys the user chooses; else None."""
    for child in schema.get("patternProperties", {}).values():
        return _resolved(child)
    child = schema.get("additionalProperties")
    return _resolved(child) if isinstance(child, dict) else None


def schema_at(path: Path) -> JsonSchema | None:
    """The schema of the key at `path`; None if there is no such key."""
    found: JsonSchema | None = _schema()
    for part in path:
        found = _child(found, part) if found else None
    return found


def kinds_at(path: Path) -> frozenset[str]:
    """The kinds of values (`string`, `integer`, `array` …) that the key at `path` keeps apart.

    A number in the path, as text, picks an element of a list. Empty if there is no such key.
    """
    found = [_schema()]
    for part in path:
        at = int(part) if isinstance(part, str) and part.isdecimal() else part
        children = (_child(one, at) for schema in found for one in _variants(schema))
        found = [child for child in children if child]
    return frozenset(
        kind for schema in found for one in _variants(schema) if (kind := one.get("type"))
    )


def _variants(schema: JsonSchema) -> Iterator[JsonSchema]:
    """The schemas of which a value has to fit one."""
    resolved = _resolved(schema)
    if resolved.get("title", "").startswith(ANY_AS_TEXT):
        yield {"type": "string"}
        return
    yield resolved
    for choice in resolved.get("anyOf", ()):
        yield from _variants(choice)


def properties(schema: JsonSchema) -> Iterator[tuple[str, JsonSchema]]:
    """The keys of a mapping with their schemas, in order."""
    for key, child in schema.get("properties", {}).items():
        yield key, _resolved(child)


def choices(schema: JsonSchema) -> list[str]:
    """The allowed words of an enumerated value; empty for any other value."""
    words = [schema["const"]] if "const" in schema else schema.get("enum", [])
    return [str(word) for word in words]


def allowed(schema: JsonSchema) -> str:
    """A description of the allowed values."""
    words = choices(schema)
    if words:
        return " or ".join(words)
    if schema.get("properties"):
        return f"a mapping with the keys {', '.join(schema['properties'])}"
    if schema.get("type") == "object" and "title" not in schema:
        return "a mapping of names"
    return str(schema.get("title", ""))
