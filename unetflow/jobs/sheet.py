"""The sheet of images: a table with tabs, one row per image."""

import csv
import io
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path
from typing import NamedTuple, TypedDict

from unetflow.errors import ConfigError
from unetflow.images.picking import planes_of
from unetflow.images.sources import Chosen
from unetflow.images.units import SENSIBLE_SPACING, problem_of
from unetflow.jobs.schemas import Schema, in_words, meant, schema_errors

MOST_LINES = 5  # of a sheet that a message names


class Resolution(TypedDict):
    """What is said of the size of an image's pixels."""

    mpp: float | None
    spacing: tuple[float, ...] | None
    in_um: bool


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
    spacing: tuple[float, ...] | None = None  # along z, y, x of a volume
    in_um: bool = True  # so is the spacing; else lengths beside one another
    level: int | None = None
    plane: int | None = None
    time: int | None = None
    axes: str | None = None
    scene: str | None = None  # of a file of several images, its number or name
    channels: tuple[int, ...] | None = None
    tissue: str | None = None  # a mask: what is 0 in it is neither read nor predicted
    # of a volume the first and the last, and the axis if it is not z; None: all
    planes: tuple[int, ...] | None = None
    volume: bool = False  # all planes of it, as its dataset says
    adjacent: int = 0  # planes to each side that are channels of it, as its dataset says

    @property
    def chosen(self) -> Chosen:
        """Which image of its file it is."""
        chosen: Chosen = {
            "plane": self.plane,
            "time": self.time,
            "axes": self.axes,
            "scene": self.scene,
        }
        if self.volume:
            chosen["volume"] = True
        if self.planes:
            chosen["planes"] = [*self.planes]
        if self.adjacent:
            chosen["adjacent"] = self.adjacent
        return chosen

    @property
    def resolution(self) -> Resolution:
        """What its row says of the size of its pixels, as for `unetflow.images.slide.Slide`."""
        return {"mpp": self.mpp, "spacing": self.spacing, "in_um": self.in_um}


class Table(NamedTuple):
    """A sheet as it was saved: its columns, and its rows with their lines."""

    columns: list[str]
    rows: list[tuple[int, dict[str, str]]]  # cells by column, "" for empty ones


def read_sheet(sheet: Path, schema: Schema, data_dir: str) -> tuple[dict[str, Image], list[str]]:
    """The images of a sheet by name, `{data}` in their paths replaced, and the problems found.

    In the order of their names: that of the rows changes nothing.
    """
    try:
        table = read_table(sheet, schema["required"])
    except ConfigError as error:
        return {}, [str(error)]
    images: dict[str, Image] = {}
    lines_of: dict[str, list[int]] = {}  # of each problem
    unknown = unknown_columns(table, list(schema["properties"]))
    for line, row in table.rows:
        cells = {key: row[key] for key in schema["properties"] if row.get(key)}
        found = [in_words("", error) for error in schema_errors(cells, schema)]
        if not found and cells["image"] in images:
            found.append(f"image {cells['image']!r} is there twice; names are unique")
        if not found and "mpp" in cells and (problem := problem_of(float(cells["mpp"]))):
            found.append(f"mpp: {problem}")
        found += _problems_of_spacing(cells) if not found and "spacing" in cells else []
        found += _leaving(cells, data_dir)
        for each in found:
            lines_of.setdefault(each, []).append(line)
        if not found:
            images[cells["image"]] = _image(cells, data_dir)
    problems = [f"{sheet} {_of_lines(lines)}: {problem}" for problem, lines in lines_of.items()]
    if unknown:  # what its cells would say is missing, and is no problem of its own
        return {}, [f"{sheet}: {each}" for each in unknown] + problems
    return dict(sorted(images.items())), problems


def read_table(sheet: Path, required: Sequence[str]) -> Table:
    """The table as it is, without empty rows and spaces around cells.

    Raises ConfigError where it is no text with tabs, or a column is missing, named twice or has no
    name.
    """
    text = _text_of(sheet)
    reader = csv.reader(io.StringIO(text, newline=""), delimiter="\t")
    try:
        lines = [(reader.line_num, [cell.strip() for cell in cells]) for cells in reader]
    except csv.Error as error:
        raise ConfigError(
            f"{sheet} line {reader.line_num}: {error}; is a quotation mark left open?"
        ) from error
    if torn := [line for line, cells in lines if any("\n" in cell for cell in cells)]:
        raise ConfigError(
            f"{sheet} {_of_lines(torn)}: a cell goes over several lines; is a quotation mark left "
            "open in one before?"
        )
    lines = [(line, cells) for line, cells in lines if any(cells)]
    columns = lines.pop(0)[1] if lines else []
    named = [name for name in columns if name]
    if twice := [name for name in dict.fromkeys(named) if named.count(name) > 1]:
        raise ConfigError(f"{sheet}: names a column twice: {', '.join(twice)}; take one out")
    if lacking := [name for name in required if name not in named]:
        raise ConfigError(
            f"{sheet}: has no column {', '.join(lacking)}; its first line must name the columns, "
            f"with tabs between them (not commas or semicolons), but is {text.splitlines()[:1]}"
        )
    if beyond := [line for line, cells in lines if _is_beyond(columns, cells)]:
        raise ConfigError(
            f"{sheet} {_of_lines(beyond)}: more cells than the header has columns; separate them "
            "by tabs, and name each column"
        )
    if not lines:
        raise ConfigError(f"{sheet}: holds no image; it needs a header and one row per image")
    rows = [(line, dict(zip_longest(columns, cells, fillvalue=""))) for line, cells in lines]
    return Table(named, [(line, {name: row[name] for name in named}) for line, row in rows])


def _text_of(sheet: Path) -> str:
    try:
        content = sheet.read_bytes()
    except OSError as error:
        raise ConfigError(
            f"there is no sheet {sheet} ({error.strerror}); correct its path (images in the config)"
        ) from error
    wrong = content.find(0)  # as UTF-16 has it
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        wrong = error.start
    if wrong >= 0:
        raise ConfigError(
            f"{sheet}: is no text in UTF-8 (byte {wrong} is {content[wrong]:#x}); save it as text "
            "in UTF-8 with tabs between the columns"
        )
    return text


def _is_beyond(columns: Sequence[str], cells: Sequence[str]) -> bool:
    """Whether there is a cell that no column with a name is above."""
    return any(cell and not name for name, cell in zip_longest(columns, cells, fillvalue=""))


def unknown_columns(table: Table, known: list[str]) -> list[str]:
    """A problem for each column that has cells and no meaning."""
    return [
        f"unknown column {name!r}; {meant(name, known)}"
        for name in table.columns
        if name not in known and any(row[name] for _, row in table.rows)
    ]


def _of_lines(lines: Sequence[int]) -> str:
    """Where in the sheet, the first few of many."""
    if len(lines) == 1:
        return f"line {lines[0]}"
    more = f" and {len(lines) - MOST_LINES} more" if len(lines) > MOST_LINES else ""
    return f"lines {', '.join(map(str, lines[:MOST_LINES]))}{more}"


def _problems_of_spacing(cells: Mapping[str, str]) -> Iterator[str]:
    """A spacing that no voxel has, and what does not go with one."""
    z, y, x = (float(length) for length in cells["spacing"].removesuffix(" px").split())
    if not z > 0 or y != x or not x > 0:
        yield (
            f"spacing: {cells['spacing']} must be three lengths above 0, z y x, of which y and x "
            "are equal; an image whose pixels are not square is resampled by the dataset's spacing"
        )
    elif not cells["spacing"].endswith(" px"):
        problems = [problem_of(length, SENSIBLE_SPACING) for length in (z, x)]
        yield from (f"spacing: {problem}" for problem in problems if problem)
    if "mpp" in cells:
        yield "mpp: stands beside spacing, which has it too, along y and x; take it out"


def _leaving(cells: Mapping[str, str], data_dir: str) -> Iterator[str]:
    """Paths that start in `data_dir` and leave it."""
    for column in ("path", "truth", "tissue"):
        cell = cells.get(column, "")
        inside = os.path.normpath(cell.removeprefix("{data}").lstrip("/"))
        if cell.startswith("{data}") and Path(inside).parts[:1] == ("..",):
            yield (
                f"{column}: {cell} leaves data_dir ({data_dir}); give a path in it, or "
                "one without {data}"
            )


def file_of(cell: str, data_dir: str) -> str:
    """The path that a cell of the sheet means."""
    return with_home(cell.replace("{data}", data_dir))


def with_home(path: str) -> str:
    """The path with the home folder for a ~ at its beginning, else as it is written."""
    return os.path.expanduser(path)  # noqa: PTH111 (a Path would drop "./")


def _image(cells: Mapping[str, str], data_dir: str) -> Image:
    def path(column: str) -> str:
        return file_of(cells[column], data_dir)

    def number(column: str) -> int | None:
        return int(cells[column]) if column in cells else None

    spacing = cells.get("spacing", "").removesuffix(" px")
    return Image(
        name=cells["image"],
        dataset=cells["dataset"],
        path=path("path"),
        split=cells["split"],
        truth=path("truth") if "truth" in cells else None,
        group=cells.get("group"),
        mpp=float(cells["mpp"]) if "mpp" in cells else None,
        spacing=tuple(map(float, spacing.split())) if spacing else None,
        planes=tuple(planes_of(cells["planes"])) if "planes" in cells else None,
        in_um=not cells.get("spacing", "").endswith(" px"),
        level=number("level"),
        plane=number("plane"),
        time=number("time"),
        axes=cells.get("axes"),
        scene=cells.get("scene"),
        channels=tuple(map(int, cells["channels"].split())) if "channels" in cells else None,
        tissue=path("tissue") if "tissue" in cells else None,
    )
