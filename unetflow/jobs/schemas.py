"""JSON Schemas of config and sheet: the defaults that they fill in, and their errors in words."""

import copy
import difflib
from collections.abc import Iterator
from pathlib import Path
from typing import TypedDict, cast

import jsonschema
import yaml


class Schema(TypedDict, total=False):
    """What is read of a schema here; the validator reads all of it."""

    properties: "dict[str, Schema]"
    additionalProperties: "Schema | bool"
    required: list[str]
    default: object
    type: str | list[str]
    description: str


def read_schema(path: Path) -> Schema:
    """A schema of a YAML file."""
    return cast(Schema, yaml.safe_load(path.read_text()))


def with_defaults(value: object, schema: Schema) -> object:
    """Fill in the schema's defaults, in what is there and in what they make."""
    if not isinstance(value, dict):
        return value
    known = schema.get("properties", {})
    for key, part in known.items():
        if key not in value and "default" in part:
            value[key] = copy.deepcopy(part["default"])
    others = schema.get("additionalProperties")
    of_others = others if isinstance(others, dict) else Schema()
    for key, inner in value.items():
        value[key] = with_defaults(inner, known.get(key, of_others))
    return value


def schema_errors(value: object, schema: Schema) -> Iterator[jsonschema.ValidationError]:
    """All that a JSON Schema finds in a value."""
    return jsonschema.Draft202012Validator(schema).iter_errors(value)


def in_words(where: str, error: jsonschema.ValidationError) -> str:
    """A schema error as: the place, what came, the rule, the way out."""
    inside = ".".join(map(str, error.absolute_path))
    place = f"{where}: {inside}" if inside else where
    if error.validator == "additionalProperties" and isinstance(error.instance, dict):
        known = list(_rules(error).get("properties", {}))
        unknown = [key for key in error.instance if key not in known]
        hints = [difflib.get_close_matches(key, known, n=1) for key in unknown]
        return "; ".join(
            f"{place}: unknown key {key!r}"
            + (f", did you mean {hint[0]!r}?" if hint else f"; there are: {', '.join(known)}")
            for key, hint in zip(unknown, hints, strict=True)
        )
    return f"{place}: {error.message}{_way_out(error)}"


def _way_out(error: jsonschema.ValidationError) -> str:
    rules = _rules(error)
    if error.validator == "pattern" and "description" in rules:
        return f"; it must be {rules['description']}"
    if error.validator == "type" and isinstance(error.instance, str):
        wanted = [rules["type"]] if isinstance(rules["type"], str) else rules["type"]
        if {"number", "integer"} & {*wanted}:
            return "; write a number as 0.004 or 4.0e-3, without quotes"
        if "array" in wanted:
            return f"; write a list: [{error.instance}]"
    return ""


def _rules(error: jsonschema.ValidationError) -> Schema:
    """The part of the schema that a value broke."""
    return cast(Schema, error.schema)
