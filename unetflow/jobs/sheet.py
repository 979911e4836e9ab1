"""The sheet of images: a table with tabs, one row per image."""

import csv
import difflib
import io
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jsonschema


@dataclass(frozen=True, slots=True)
class Image:
    """One row of the sheet."""

    name: str
    dataset: str
    path: str
    split: str  # one of NAMED_SPLITS or the number of a fold
    truth: str | None = None
    group: str | None = None
    mpp: float | None = None  # [um/px]
    level: int | None = None
    plane: int | None = None
    time: int | None = None
    axes: str | None = None
    channels: tuple[int, ...] | None = None
    tissue: str | None = None  # a mask: what is 0 in it is neither read nor predicted


def schema_errors(value: Any, schema: Mapping[str, Any]) -> Iterator[jsonschema.ValidationError]:
    """All that a JSON Schema finds in a value."""
    return jsonschema.Draft202012Validator(schema).iter_errors(value)


def in_words(where: str, error: jsonschema.ValidationError) -> str:
    """A schema error as: the place, what came, the rule, the way out."""
    place = ": ".join([where, *([".".join(map(str, error.absolute_path))] if error.path else [])])
    if error.validator == "additionalProperties" and isinstance(error.instance, dict):
        rules: Any = error.schema
        known = list(rules.get("properties", {}))
        unknown = [key for key in error.instance if key not in known]
        hints = [difflib.get_close_matches(key, known, n=1) for key in unknown]
        return "; ".join(
            f"{place}: unknown key {key!r}"
            + (f", did you mean {hint[0]!r}?" if hint else f"; there are: {', '.join(known)}")
            for key, hint in zip(unknown, hints, strict=True)
        )
    return f"{place}: {error.message}{_way_out(error)}"


def _way_out(error: jsonschema.ValidationError) -> str:
    rule: Any = error.schema
    if error.validator == "pattern" and "description" in rule:
        return f"; it must be {rule['description']}"
    if error.validator == "type" and isinstance(error.instance, str):
        wanted = [rule["type"]] if isinstance(rule["type"], str) else rule["type"]
        if {"number", "integer"} & {*wanted}:
            return "; write a number as 0.004 or 4.0e-3, without quotes"
        if "array" in wanted:
            return f"; write a list: [{error.instance}]"
    return ""


def read_sheet(
    sheet: Path, schema: Mapping[str, Any], data_dir: str
) -> tuple[dict[str, Image], list[str]]:
    """The images of a sheet by name, `{data}` in their paths replaced, and the problems found."""
    if not sheet.exists():
        return {}, [f"images: there is no sheet {sheet}; give its path in the config"]
    try:
        text = sheet.read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError as error:
        return {}, [
            f"{sheet}: is no text in UTF-8 (byte {error.start} is {error.object[error.start]:#x}); "
            "save it as text in UTF-8 with tabs between the columns"
        ]
    table = csv.DictReader(io.StringIO(text, newline=""), delimiter="\t")
    try:
        rows = [(table.line_num, row) for row in table]
    except csv.Error as error:
        return {}, [f"{sheet} line {table.line_num}: {error}; is a quotation mark left open?"]
    columns = table.fieldnames or []
    if twice := [name for name in dict.fromkeys(columns) if name and columns.count(name) > 1]:
        return {}, [f"{sheet}: names a column twice: {', '.join(twice)}; take one out"]
    if lacking := [name for name in schema["required"] if name not in columns]:
        return {}, [
            f"{sheet}: has no column {', '.join(lacking)}; its first line must name the columns, "
            f"with tabs between them (not commas or semicolons), but is {text.splitlines()[:1]}"
        ]
    rows = [(line, row) for line, row in rows if any(map(_filled, row.values()))]
    if not rows:
        return {}, [f"{sheet}: holds no image; it needs a header and one row per image"]
    images: dict[str, Image] = {}
    problems = []
    for line, row in rows:
        cells = {key or "": value.strip() for key, value in row.items() if key and _filled(value)}
        where = f"{sheet} line {line}"
        found = [in_words(where, error) for error in schema_errors(cells, schema)]
        if None in row:
            found.append(f"{where}: more cells than the header has columns; separate them by tabs")
        if not found and cells["image"] in images:
            found.append(f"{where}: image {cells['image']!r} is there twice; names are unique")
        found += _leaving(where, cells, data_dir)
        problems += found
        if not found:
            images[cells["image"]] = _image(cells, data_dir)
    return images, problems


def _filled(cell: str | list[str] | None) -> bool:
    """Whether there is anything in a cell, or in those beyond the last column."""
    return bool("".join(cell or []).strip())


def _leaving(where: str, cells: Mapping[str, str], data_dir: str) -> Iterator[str]:
    """Paths that start in `data_dir` and leave it."""
    for column in ("path", "truth", "tissue"):
        cell = cells.get(column, "")
        inside = os.path.normpath(cell.removeprefix("{data}").lstrip("/"))
        if cell.startswith("{data}") and Path(inside).parts[:1] == ("..",):
            yield (
                f"{where}: {column}: {cell} leaves data_dir ({data_dir}); give a path in it, or "
                "one without {data}"
            )


def _image(cells: Mapping[str, str], data_dir: str) -> Image:
    def path(column: str) -> str:
        return cells[column].replace("{data}", data_dir)

    def number(column: str) -> int | None:
        return int(cells[column]) if column in cells else None

    return Image(
        name=cells["image"],
        dataset=cells["dataset"],
        path=path("path"),
        split=cells["split"],
        truth=path("truth") if "truth" in cells else None,
        group=cells.get("group"),
        mpp=float(cells["mpp"]) if "mpp" in cells else None,
        level=number("level"),
        plane=number("plane"),
        time=number("time"),
        axes=cells.get("axes"),
        channels=tuple(map(int, cells["channels"].split())) if "channels" in cells else None,
        tissue=path("tissue") if "tissue" in cells else None,
    )
