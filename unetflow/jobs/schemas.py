"""JSON Schemas of config and sheet: the defaults that they fill in, and their errors in words."""

import copy
import difflib
import math
from collections.abc import Iterator, Sequence
from datetime import date
from pathlib import Path
from typing import TypedDict, cast

import jsonschema
import yaml

from unetflow.jobs.twice import LOADER

NEAR = 0.7  # of two names, from 0 to 1: "label" is as near to "plane" as 0.6
SIZES = {
    "minItems": "{} entries or more",
    "maxItems": "{} entries at most",
    "maxLength": "{} characters at most",
}


class Schema(TypedDict, total=False):
    """What is read of a schema here; the validator reads all of it."""

    properties: "dict[str, Schema]"
    additionalProperties: "Schema | bool"
    required: list[str]
    default: object
    type: str | list[str]
    description: str  # what it is for: the pages of the documentation show it
    must_be: str  # the rule of a pattern, in words
    pattern: str
    enum: list[object]


def read_schema(path: Path) -> Schema:
    """A schema of a YAML file."""
    return cast(Schema, yaml.load(path.read_text(), LOADER))


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
    """All that a JSON Schema finds in a value"""
    return jsonschema.Draft202012Validator(schema).iter_errors(value)


def no_numbers(where: str, value: object) -> Iterator[str]:
    """What is written as a number and is none: .nan, .inf and 1.0e999 of YAML, with its place."""
    if isinstance(value, float) and not math.isfinite(value):
        yield f"{where}: {value} is no number; write one such as 0.004, or leave the key out"
    if isinstance(value, list):
        value = dict(enumerate(value))
    if isinstance(value, dict):
        for key, part in value.items():
            yield from no_numbers(f"{where}.{key}", part)


def in_words(where: str, error: jsonschema.ValidationError) -> str:
    """A schema error as: the place, what came, the rule, the way out."""
    inside = ".".join(map(str, error.absolute_path))
    place = ": ".join(filter(None, [where, inside]))
    rules = _rules(error)
    if error.validator == "additionalProperties" and isinstance(error.instance, dict):
        known = list(rules.get("properties", {}))
        unknown = [key for key in error.instance if key not in known]
        problems = [f"unknown key {key!r}; {meant(key, known)}" for key in unknown]
    elif error.validator == "pattern":  # of which each has its words
        problems = [f"{error.instance!r} must be {rules['must_be']}"]
    elif error.validator == "required":
        problems = [f"{error.message.split()[0]} is missing; give it"]
    else:
        problems = [f"{error.message}{_way_out(error)}"]
    return "; ".join(f"{place}: {problem}" if place else problem for problem in problems)


def meant(name: object, known: Sequence[str]) -> str:
    """Which of the known names an unknown one is near to, and which there are."""
    near = difflib.get_close_matches(str(name), map(str, known), n=1, cutoff=NEAR)
    return (f"did you mean {near[0]!r}? " if near else "") + f"there are: {', '.join(known)}"


def _way_out(error: jsonschema.ValidationError) -> str:
    rules, given = _rules(error), error.instance
    if error.validator in SIZES and error.validator_value != 1:
        return f"; it must have {SIZES[error.validator].format(error.validator_value)}"
    if error.validator != "type":
        return ""
    wanted = [rules["type"]] if isinstance(rules["type"], str) else rules["type"]
    if "array" in wanted and isinstance(given, str | int | float):
        return f"; write a list: [{given}]"
    if "string" in wanted and isinstance(given, int | float | date):
        return f"; put it in quotes: '{given}'"
    if "boolean" in wanted and isinstance(given, str):
        return "; write true or false, without quotes"
    if {"number", "integer"} & {*wanted} and isinstance(given, str):
        return "; write a number as 0.004 or 4.0e-3, without quotes"
    if "object" in wanted:
        return "; write its keys in lines below it, as config/config.yaml does"
    return ""


def _rules(error: jsonschema.ValidationError) -> Schema:
    """The part of the schema that a value broke."""
    return cast(Schema, error.schema)
