"""The sheet of images: a table with tabs, one row per image."""

import csv
import io
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from unetflow.images.sources import Chosen
from unetflow.images.units import problem_of
from unetflow.jobs.schemas import Schema, in_words, schema_errors


@dataclass(frozen=True, slots=True)
class Image:
    """One row of the sheet."""

    name: str
    dataset: str
    path: str
    split: str  # train, validation, test, predict, or the number of a fold
    truth: str | None = None
    group: str | None = None
    mpp: float | None = None  # [um/px]
    level: int | None = None
    plane: int | None = None
    time: int | None = None
    axes: str | None = None
    scene: str | None = None  # of a file of several images, its number or name
    channels: tuple[int, ...] | None = None
    tissue: str | None = None  # a mask: what is 0 in it is neither read nor predicted

    @property
    def chosen(self) -> Chosen:
        """Which image of its file it is."""
        return {"plane": self.plane, "time": self.time, "axes": self.axes, "scene": self.scene}


Row = dict[str | None, str | list[str] | None]
"""The cells of a row by column; under None those beyond the last column."""


def read_sheet(sheet: Path, schema: Schema, data_dir: str) -> tuple[dict[str, Image], list[str]]:
    """The images of a sheet by name, `{data}` in their paths replaced, and the problems found."""
    rows, problem = _read_rows(sheet, schema["required"])
    if problem:
        return {}, [problem]
    images: dict[str, Image] = {}
    problems = []
    for line, row in rows:
        cells = {key: str(value).strip() for key, value in row.items() if key and _filled(value)}
        where = f"{sheet} line {line}"
        found = [in_words(where, error) for error in schema_errors(cells, schema)]
        if None in row:
            found.append(f"{where}: more cells than the header has columns; separate them by tabs")
        if not found and cells["image"] in images:
            found.append(f"{where}: image {cells['image']!r} is there twice; names are unique")
        if not found and "mpp" in cells and (problem := problem_of(float(cells["mpp"]))):
            found.append(f"{where}: mpp: {problem}")
        found += _leaving(where, cells, data_dir)
        problems += found
        if not found:
            images[cells["image"]] = _image(cells, data_dir)
    return images, problems


def _read_rows(sheet: Path, required: list[str]) -> tuple[list[tuple[int, Row]], str | None]:
    """Rows with their lines, without empty ones; or what is wrong with the sheet as a whole."""
    if not sheet.exists():
        return [], f"images: there is no sheet {sheet}; give its path in the config"
    try:
        text = sheet.read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError as error:
        return [], (
            f"{sheet}: is no text in UTF-8 (byte {error.start} is {error.object[error.start]:#x}); "
            "save it as text in UTF-8 with tabs between the columns"
        )
    table = csv.DictReader(io.StringIO(text, newline=""), delimiter="\t")
    try:
        rows: list[tuple[int, Row]] = [(table.line_num, {**row}) for row in table]
    except csv.Error as error:
        return [], f"{sheet} line {table.line_num}: {error}; is a quotation mark left open?"
    columns = table.fieldnames or []
    if twice := [name for name in dict.fromkeys(columns) if name and columns.count(name) > 1]:
        return [], f"{sheet}: names a column twice: {', '.join(twice)}; take one out"
    if lacking := [name for name in required if name not in columns]:
        return [], (
            f"{sheet}: has no column {', '.join(lacking)}; its first line must name the columns, "
            f"with tabs between them (not commas or semicolons), but is {text.splitlines()[:1]}"
        )
    filled = [(line, row) for line, row in rows if any(map(_filled, row.values()))]
    if not filled:
        return [], f"{sheet}: holds no image; it needs a header and one row per image"
    return filled, None


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
        scene=cells.get("scene"),
        channels=tuple(map(int, cells["channels"].split())) if "channels" in cells else None,
        tissue=path("tissue") if "tissue" in cells else None,
    )
