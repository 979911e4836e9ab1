"""What can be told of images and truths by a look at them: channels, resolution, kind, sizes."""

import contextlib
import math
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from scipy import ndimage

from unetflow.commands.init_pairs import Pair
from unetflow.errors import UnetflowError
from unetflow.images.polygons import BOUNDS, read_areas
from unetflow.images.readers import open_file
from unetflow.images.slide import Slide
from unetflow.images.sources import holds_polygons

LOOKED_AT = 12  # truths, evenly over all: what one says, others say
MOST_PX = 2048  # side of the part of a truth that is looked at
FEW = 10  # numbers up to this may be classes
PIECES = 2  # of a number, on average, where it is a class and no object
NO_CLASS = "object"


@dataclass(frozen=True, slots=True)
class Row:
    """An image as the sheet names it: a file, or one plane of a stack."""

    path: Path
    truth: Path | None
    stack: str = ""  # "plane" or "time", for one of a stack
    index: int = 0

    @property
    def column(self) -> dict[str, int]:
        return {self.stack: self.index} if self.stack else {}


@dataclass(frozen=True, slots=True)
class Image:
    """What the header of a file says."""

    channels: int
    shape_px: tuple[int, ...]
    mpp: float | None  # [um/px]


@dataclass(frozen=True, slots=True)
class Truths:
    """What the truths say."""

    kind: str  # of the dataset
    classes: list[str]
    diameters_px: np.ndarray  # of circles of the objects' areas, sorted


def rows_of(folder: Path, pairs: Iterable[Pair]) -> tuple[list[Row], dict[Row, Image], list[str]]:
    """Rows, a stack as its planes, with what their headers say; and what is left out, in words."""
    rows: list[Row] = []
    images: dict[Row, Image] = {}
    notes: list[str] = []
    for pair in pairs:
        path = folder / pair.image
        truth = folder / pair.truth if pair.truth else None
        try:
            stack, count = _stack_of(path)
            for index in range(count):
                row = Row(path, truth, stack, index)
                images[row] = images[rows[-1]] if index else _look(row)
                rows.append(row)
        except (UnetflowError, OSError) as error:
            notes.append(f"left out: {error}")
    channels = Counter(image.channels for image in images.values())
    if len(channels) > 1:
        usual = channels.most_common(1)[0][0]
        others = [row for row in rows if images[row].channels != usual]
        notes.append(
            f"left out: {len(others)} images with other channels than most, which have {usual}, "
            f"such as {others[0].path} with {images[others[0]].channels}. To have them, add rows, "
            "and choose the same number of each in the sheet's column channels"
        )
        rows = [row for row in rows if images[row].channels == usual]
    return rows, images, [*notes, *_of_stacks(rows)]


def _of_stacks(rows: Sequence[Row]) -> Iterator[str]:
    """What is assumed of stacks, in words: of each the last row says how many images it has."""
    stacks = {row.path: row for row in rows if row.stack}
    if not stacks:
        return
    *_, last = stacks.values()
    yield (
        f"{len(stacks)} files are stacks, such as {last.path} of {last.index + 1}, and each image "
        f"of one has a row (column {last.stack}). Where they are its channels, take that column "
        "out, leave one row of each file, and name the axes in a column axes, as cyx"
    )
    truths = {row.truth for row in stacks.values() if row.truth and not holds_polygons(row.truth)}
    if alone := sorted(truth for truth in truths if _stack_of(truth)[1] == 1):
        yield (
            f"{len(alone)} truths of stacks are of one image, such as {alone[0]}, and taken for "
            "all of their stack: take out the rows of those that they were not drawn on"
        )


def look_at_truths(rows: Sequence[Row]) -> Truths:
    """Kind, classes and sizes, of truths spread evenly over those there are.

    Numbers up to `FEW` of which each lies in several pieces are classes; one number beside 0 is
    the inside of cells; other numbers are those of objects. Raises as reading them does.
    """
    chosen = [rows[k] for k in np.linspace(0, len(rows) - 1, min(len(rows), LOOKED_AT)).astype(int)]
    of_polygons = [row for row in chosen if holds_polygons(row.truth or "")]
    if of_polygons:
        areas = [area for row in of_polygons for area in read_areas(str(row.truth))[0]]
        names = Counter(area.name.partition(":")[0] for area in areas if area.name not in BOUNDS)
        named = [name for name, _ in names.most_common() if name]
        sizes = [area.geometry.area for area in areas if area.name not in BOUNDS]
        return Truths("instances", named or [NO_CLASS], _diameters_px(sizes))
    values = [_values(row) for row in chosen]
    numbers = [np.unique(of[of != 0]) for of in values]
    if max(map(len, numbers)) <= 1:
        return Truths("interior", [NO_CLASS], _diameters_px(_areas(values)))
    pieces = [_pieces(of) for of in values]
    if max(of[-1] for of in numbers if of.size) <= FEW and np.mean(pieces) >= PIECES:
        highest = int(max(of[-1] for of in numbers if of.size))
        names_of_classes = [f"class{k}" for k in range(1, highest + 1)]
        return Truths("classes", names_of_classes, _diameters_px(_areas(values)))
    counts = [np.bincount(np.unique(of, return_inverse=True)[1].ravel())[1:] for of in values]
    return Truths("instances", [NO_CLASS], _diameters_px(np.concatenate(counts)))


def _stack_of(path: Path) -> tuple[str, int]:
    """The column that chooses of a stack, and how many images it has; ("", 1) of an image."""
    try:
        opened = open_file(path, axes=None)
    except Exception:  # decoders raise many kinds: opened as an image it is told in words
        return "", 1
    with contextlib.closing(opened):
        stacked = [
            (axis, size)
            for axis, size in zip(opened.axes, opened.levels[0].shape, strict=True)
            if axis not in "YXSC" and size > 1
        ]
    if len(stacked) != 1:
        return "", 1
    axis, size = stacked[0]
    return ("time" if axis == "T" else "plane"), size


def _look(row: Row) -> Image:
    column = row.column
    with Slide(row.path, plane=column.get("plane"), time=column.get("time")) as slide:
        finest = slide.levels[0]
        return Image(slide.channels, finest.shape_px, finest.mpp)


def _values(row: Row) -> np.ndarray:
    """The numbers of a truth (Y, X), of the middle of a large one."""
    column = row.column
    with Slide(
        str(row.truth), plane=column.get("plane"), time=column.get("time"), as_labels=True
    ) as slide:
        middle = [
            slice(max(0, (size - MOST_PX) // 2), min(size, (size + MOST_PX) // 2))
            for size in slide.levels[0].shape_px
        ]
        values: np.ndarray = slide.read(0, *middle)[0]
        return values


def _pieces(values: np.ndarray) -> float:
    """In how many pieces a number lies, on average; 1 where there is none."""
    numbers = np.unique(values[values != 0])
    found = [ndimage.label(values == number)[1] for number in numbers[: FEW + 1]]
    return float(np.mean(found)) if found else 1.0


def _areas(values: Iterable[np.ndarray]) -> np.ndarray:
    """Areas [px] of what hangs together."""
    return np.concatenate([np.bincount(ndimage.label(of)[0].ravel())[1:] for of in values])


def _diameters_px(areas: Sequence[float] | np.ndarray) -> np.ndarray:
    kept = np.sort(np.asarray(areas, float))
    return np.asarray(2 * np.sqrt(kept[kept > 0] / math.pi))
