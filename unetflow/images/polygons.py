"""Polygons as QuPath or ImageScope export them, drawn as labels region by region.

A pixel belongs to a polygon if its centre lies in it; where polygons overlap, the later one wins.
Coordinates are (x, y) pixels of the file's finest level, (0, 0) the corner of the first pixel.
"""

import itertools
from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import shapely
from shapely import Geometry, STRtree

from unetflow.errors import LabelsError
from unetflow.images import geojson, imagescope
from unetflow.images.areas import Area, class_name
from unetflow.images.nesting import objects_among
from unetflow.images.placing import in_image, on_plane
from unetflow.tiles.regions import Region, common, shard_region, touched, within

IGNORE_CLASS = "ignore*"  # QuPath's own names, in lower case
REGION_CLASS = "region*"
BOUNDS = (IGNORE_CLASS, REGION_CLASS)
NO_OBJECTS = {"tmacore": "TMA cores", "root": "roots of a hierarchy", "tile": "tiles"}
BLOCK_PX = (1024, 1024)  # in which pixels of a lost polygon are looked for


@dataclass(frozen=True, slots=True)
class Polygons:
    """The annotation of one image: objects numbered from 1, ignored areas, annotated regions."""

    objects: list[Geometry]  # in pixels of the image, (x, y)
    classes: np.ndarray  # uint8, by label: 0 for background, then the class of each object
    ignored: list[Geometry]
    regions: list[Geometry]  # only what lies in these is annotated; empty: everything is
    counted: Counter[str]  # repairs and what was left out
    shape_px: tuple[int, ...]  # of the image
    instances: bool  # False: areas of a class, that may lie in one another
    names: list[str]  # what each object is called itself, mostly ""
    trees: tuple[STRtree, STRtree, STRtree]  # spatial indices of the three
    drawn: set[int] = field(default_factory=set)  # objects that got a pixel so far

    @property
    def warnings(self) -> list[str]:
        """Repairs and what was left out, counted."""
        return said(self.counted)

    def draw(self, rows: slice, columns: slice) -> tuple[np.ndarray, np.ndarray]:
        """Labels (uint32) and ignored pixels (bool) of a region of the image, (Y, X)."""
        labels = self._labels(rows, columns)
        self.drawn.update(np.unique(labels).tolist())
        ignored = np.zeros(labels.shape, bool)
        window = shapely.box(columns.start, rows.start, columns.stop, rows.stop)
        for number in self.trees[1].query(window):
            _fill(ignored, self.ignored[number], True, rows, columns)
        if self.regions:
            annotated = np.zeros(labels.shape, bool)
            for number in self.trees[2].query(window):
                _fill(annotated, self.regions[number], True, rows, columns)
            ignored |= ~annotated
        labels[ignored] = 0
        return labels, ignored

    def lost(self) -> list[str]:
        """Of polygons without a pixel, how many and why; of use once the whole image is drawn."""
        return said(self.counted_as_lost())

    def counted_as_lost(self) -> Counter[str]:
        """As `lost`, counted."""
        fates = [
            self._fate(number)
            for number in range(1, len(self.objects) + 1)
            if number not in self.drawn
        ]
        return Counter(f"polygons {fate}, lost" for fate in fates if fate)

    def _labels(self, rows: slice, columns: slice) -> np.ndarray:
        labels = np.zeros((rows.stop - rows.start, columns.stop - columns.start), np.uint32)
        window = shapely.box(columns.start, rows.start, columns.stop, rows.stop)
        for number in np.sort(self.trees[0].query(window)):
            _fill(labels, self.objects[number], int(number) + 1, rows, columns)
        return labels

    def _fate(self, number: int) -> str | None:
        """Why nothing is left of a polygon; None where its class still stands at its pixels."""
        geometry = self.objects[number - 1]
        box = _box(geometry, slice(0, self.shape_px[0]), slice(0, self.shape_px[1]))
        fate = "too small to hold the centre of a pixel"
        for index in touched(box, BLOCK_PX):
            block = common(box, shard_region(index, self.shape_px, BLOCK_PX))
            inside = _inside(geometry, block)
            if not inside.any():
                continue
            fate = "that later ones cover wholly"
            if self.instances:
                return fate
            there = self.classes[self._labels(*block)[inside]]
            if (there == self.classes[number]).any():
                return None
        return fate


def read_areas(path: str | Path) -> tuple[list[Area], Counter[str]]:
    """All areas of a file of polygons, in its order; what was repaired or left out, counted."""
    is_xml = str(path).lower().endswith(imagescope.SUFFIX)
    return imagescope.read_areas(path) if is_xml else geojson.read_areas(path)


def read_polygons(
    path: str | Path,
    *,
    classes: Sequence[str] | None,
    size_px: tuple[int, ...],
    shape_px: tuple[int, ...],
    plane: int | None = None,
    time: int | None = None,
    instances: bool = True,
) -> Polygons:
    """Polygons of a file whose finest level is `size_px`, in pixels of an image of `shape_px`.

    Polygons of one of `classes` (None: of any) are objects, and where there is but one class those
    without a class; those of the classes Ignore* and Region* are areas in no score, and the only
    ones that are annotated. Others are background. A derived class that is not named itself, such
    as "Cell: Positive", is of the class it derives from. TMA cores, tiles without a class and
    regions around objects (`unetflow.images.nesting`) are no objects. Of a stack or series only
    polygons on `plane` and `time` count. Where not `instances`, polygons are areas of a class.

    What is repaired or left out is counted in `warnings`. Raises LabelsError for what is no
    GeoJSON or XML of ImageScope, and where no polygon is of the classes, on the plane or in the
    image.
    """
    areas, counted = read_areas(path)
    areas = on_plane(path, areas, plane, time, counted)
    asked = asked_among(path, areas, classes, size_px, counted)
    polygons = polygons_of(path, asked, size_px, shape_px, counted, instances=instances)
    check_some(path, asked, classes, [polygons])
    return polygons


@dataclass(frozen=True, slots=True)
class Asked:
    """Of areas those that may be objects, or bound what is annotated, with their class."""

    wanted: list[tuple[str, Area]]
    others: list[Area]
    number_of: dict[str, int]  # of each class


def asked_among(
    path: str | Path,
    areas: Iterable[Area],
    classes: Sequence[str] | None,
    size_px: tuple[int, ...],
    counted: Counter[str],
) -> Asked:
    """What of a file's areas `classes` ask for, in an image of `size_px`; the rest is counted."""
    number_of = {class_name(name): k for k, name in enumerate(classes or (), start=1)}
    if len(number_of) < 2:
        number_of[""] = 1
    wanted, others = _sorted(areas, number_of, any_class=classes is None)
    inside = in_image(path, [area for _, area in wanted], size_px, counted)
    counted.update(", ".join(_described(area)) for area in others)
    return Asked(list(itertools.compress(wanted, inside)), others, number_of)


def polygons_of(
    path: str | Path,
    asked: Asked,
    size_px: tuple[int, ...],
    shape_px: tuple[int, ...],
    counted: Counter[str],
    *,
    instances: bool,
) -> Polygons:
    """What is asked for, of one plane, in pixels of an image of `shape_px`."""
    candidates = [area for name, area in asked.wanted if name not in BOUNDS]
    numbers = np.array(
        [asked.number_of[name] for name, _ in asked.wanted if name not in BOUNDS], np.uint8
    )
    are_objects, nested = objects_among(
        path, candidates, numbers, asked.others, instances=instances
    )
    objects, ignored, regions = (
        _scaled(of, size_px, shape_px)
        for of in (
            itertools.compress(candidates, are_objects),
            *([area for name, area in asked.wanted if name == bound] for bound in BOUNDS),
        )
    )
    return Polygons(
        objects,
        np.append(np.uint8(0), numbers[are_objects]),
        ignored,
        regions,
        counted + nested,
        shape_px,
        instances,
        [area.object for area in itertools.compress(candidates, are_objects)],
        (STRtree(objects), STRtree(ignored), STRtree(regions)),
    )


def check_some(
    path: str | Path, asked: Asked, classes: Sequence[str] | None, found: Iterable[Polygons]
) -> None:
    """Raise LabelsError where there are polygons, but none of what is asked for."""
    if not asked.others or any(each.objects or each.regions for each in found):
        return
    of_class = f" of class {' or '.join(map(repr, classes))}" if classes else ""
    left_out = Counter(what for what, _ in map(_described, asked.others))
    raise LabelsError(
        f"{path}: no polygon is an object{of_class}; there are "
        f"{', '.join(f'{what}: {count}' for what, count in left_out.items())}. Set the "
        "dataset's classes to those that are wanted."
    )


def tissue_areas(
    path: str | Path, *, size_px: tuple[int, ...], shape_px: tuple[int, ...]
) -> tuple[list[Geometry], list[str]]:
    """Areas that somebody drew around tissue, in pixels of an image of `shape_px`; what is odd.

    All count, on any plane and whatever they hold, but those of class Ignore*. Raises LabelsError
    for what is no file of polygons, and where all lie outside the image.
    """
    areas, counted = read_areas(path)
    areas = [area for area in areas if _known(area.name, {IGNORE_CLASS}) is None]
    inside = in_image(path, areas, size_px, counted)
    return _scaled(itertools.compress(areas, inside), size_px, shape_px), said(counted)


def _sorted(
    areas: Iterable[Area], known: Collection[str], *, any_class: bool
) -> tuple[list[tuple[str, Area]], list[Area]]:
    """Those that may be objects or bound what is annotated, with their class; and the others.

    `known` are the classes as they are compared, "" among them where none is needed.
    """
    wanted: list[tuple[str, Area]] = []
    others: list[Area] = []
    for area in areas:
        name = _known(area.name, {*known, *BOUNDS})
        structure = area.kind in NO_OBJECTS and not (area.kind == "tile" and name)
        if name in BOUNDS or (not structure and (name is not None or any_class)):
            wanted.append((name or "", area))
        else:
            others.append(area)
    return wanted, others


def _described(area: Area) -> tuple[str, str]:
    """What one is that is neither an object nor a bound, and what it is taken for."""
    if area.kind in NO_OBJECTS:
        return NO_OBJECTS[area.kind], "taken for no objects"
    of_class = f"of class {area.name!r}" if area.name else "without a class"
    return f"polygons {of_class}", "taken as background"


def _known(name: str, known: Collection[str]) -> str | None:
    """The class itself, or the nearest that it derives from: "a: b: c", "a: b", "a"."""
    parts = name.split(": ")
    derived_from = (": ".join(parts[:end]) for end in range(len(parts), 0, -1))
    return next((each for each in derived_from if each in known), None)


def _scaled(
    areas: Iterable[Area], size_px: tuple[int, ...], shape_px: tuple[int, ...]
) -> list[Geometry]:
    scale_xy = shape_px[1] / size_px[1], shape_px[0] / size_px[0]
    scaled = [shapely.transform(area.geometry, lambda xy: xy * scale_xy) for area in areas]
    shapely.prepare(scaled)
    return scaled


def said(counted: Counter[str]) -> list[str]:
    """A line for each thing that was counted."""
    return [f"{what}: {count}" for what, count in counted.items() if count]


def _fill(image: np.ndarray, geometry: Geometry, value: int, rows: slice, columns: slice) -> None:
    """Set the pixels of a region whose centres lie in a geometry."""
    box = _box(geometry, rows, columns)
    image[within(box, (rows, columns))][_inside(geometry, box)] = value


def _box(geometry: Geometry, rows: slice, columns: slice) -> Region:
    """The part of a region that a geometry may reach into; empty where it lies beside it."""
    left, top, right, bottom = geometry.bounds
    box = (
        slice(max(rows.start, int(top)), min(rows.stop, int(np.ceil(bottom)))),
        slice(max(columns.start, int(left)), min(columns.stop, int(np.ceil(right)))),
    )
    return tuple(slice(part.start, max(part.start, part.stop)) for part in box)


def _inside(geometry: Geometry, box: Region) -> np.ndarray:
    """Whether the centres of the pixels (Y, X) of a region lie in a geometry."""
    y, x = np.mgrid[box] + 0.5
    return np.asarray(shapely.contains_xy(geometry, x, y))
