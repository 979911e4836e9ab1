"""Polygons where they lie: on the plane of a stack that is asked for, and in the image."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import shapely
import shapely.affinity

from unetflow.errors import LabelsError
from unetflow.images.areas import Area

MOST_LISTED = 8
ROUNDED_PX = 1.0  # what a polygon at the border may reach beyond it without a word


def on_plane(
    path: str | Path,
    areas: Sequence[Area],
    plane: int | None,
    time: int | None,
    counted: Counter[str],
) -> list[Area]:
    """Those on a plane and time, as the sheet names them; what lies elsewhere is counted.

    QuPath names the plane of what is not on the first, other programs none: along an axis where
    all lie at 0 all count, whatever the sheet says. A stack whose axes have no names is a series to
    QuPath: where it tells times alone, `plane` is one of these unless `time` is given.
    Raises LabelsError where nothing lies there, or the sheet leaves several planes.
    """
    tells_z, tells_t = any(area.z for area in areas), any(area.t for area in areas)
    asked = " and ".join(
        f"{name} {value}" for name, value in (("plane", plane), ("time", time)) if value is not None
    )
    if tells_t and not tells_z and time is None:
        plane, time = None, plane
    untold = [
        f"{name} {value}"
        for name, value, told in (("plane", plane, tells_z), ("time", time, tells_t))
        if value and not told
    ]
    kept = [
        area
        for area in areas
        if (plane is None or not tells_z or area.z == plane)
        and (time is None or not tells_t or area.t == time)
    ]
    places = Counter((area.z, area.t) for area in areas)
    listed = ", ".join(
        f"{count} at z = {z}, t = {t}" for (z, t), count in sorted(places.items())[:MOST_LISTED]
    ) + (", ..." if len(places) > MOST_LISTED else "")
    if areas and not kept:
        raise LabelsError(
            f"{path}: no polygon is on {asked}; there are {listed}. Correct the sheet's plane and "
            "time, or give a file without features if this image is annotated and shows no object."
        )
    if len({(area.z, area.t) for area in kept}) > 1:
        raise LabelsError(
            f"{path}: polygons lie on several planes, {listed}, and the sheet does not say which "
            "is meant. Set its plane (z) or time (t), or export the polygons of one plane alone."
        )
    if untold and any(area.kind for area in kept):  # of QuPath, which leaves out the first plane
        what = f"taken for {' and '.join(untold)} as the sheet says"
        counted[f"polygons that name none, {what}"] = len(kept)
    counted["polygons on other planes or times, left out"] = len(areas) - len(kept)
    return kept


def in_volume(
    path: str | Path,
    areas: Sequence[Area],
    time: int | None,
    first: Sequence[int],
    planes: int,
    counted: Counter[str],
) -> list[Area]:
    """Those of a time on the planes of a volume, which begins at `first` (z, y, x) of its stack.

    Of a series to QuPath, whose axes have no names, times are planes, as in `on_plane`. What lies
    elsewhere is counted, as is what may lie on the first plane because nobody said otherwise.
    Raises LabelsError where nothing lies there.
    """
    tells_z, tells_t = any(area.z for area in areas), any(area.t for area in areas)
    if tells_t and not tells_z and time is None:
        areas = [replace(area, z=area.t, t=0) for area in areas]
        tells_z, tells_t = True, False
    of_time = [area for area in areas if time is None or not tells_t or area.t == time]
    times = sorted({area.t for area in of_time})
    if len(times) > 1:
        raise LabelsError(
            f"{path}: polygons lie at times {', '.join(map(str, times[:MOST_LISTED]))}, and the "
            "sheet does not say which is meant. Set its time, or export those of one time alone."
        )
    kept = [area for area in of_time if first[0] <= area.z < first[0] + planes]
    if areas and not kept:
        there = ", ".join(map(str, sorted({area.z for area in areas})[:MOST_LISTED]))
        raise LabelsError(
            f"{path}: no polygon is on the planes {first[0]} to {first[0] + planes - 1}"
            f"{'' if time is None else f' of time {time}'}; there are some on {there}. Correct the "
            "sheet, or give a file without features if the volume is annotated and shows no object."
        )
    if kept and not tells_z and planes > 1:
        counted["polygons that name no plane, taken for the first"] = len(kept)
    counted["polygons on other planes or times, left out"] = len(areas) - len(kept)
    z, y, x = first
    return [
        replace(area, z=area.z - z, geometry=shapely.affinity.translate(area.geometry, -x, -y))
        for area in kept
    ]


def in_image(
    path: str | Path, areas: Sequence[Area], size_px: tuple[int, ...], counted: Counter[str]
) -> np.ndarray:
    """Whether each lies in an image of `size_px`, at least in part, bool (N,).

    Raises LabelsError with both extents where none does.
    """
    left, top, right, bottom = shapely.bounds([area.geometry for area in areas]).reshape(-1, 4).T
    height, width = size_px
    inside: np.ndarray = (right > 0) & (bottom > 0) & (left < width) & (top < height)
    if len(areas) and not inside.any():
        raise LabelsError(
            f"{path}: all polygons ({len(areas)}) lie outside the image: they reach from "
            f"x = {left.min():g} to {right.max():g} and from y = {top.min():g} to "
            f"{bottom.max():g}, the image from 0 to {width} and from 0 to {height} (pixels of its "
            "file's finest level, from the upper left corner down). Export them in such pixels if "
            "they are in um or their y points up, or correct the sheet if they are of another "
            "image."
        )
    least = np.minimum(left, top)
    beyond = np.maximum(np.maximum(right - width, bottom - height), -least) > ROUNDED_PX
    counted["polygons outside the image, left out"] = int((~inside).sum())
    counted["polygons that reach beyond the image, cut there"] = int((inside & beyond).sum())
    return inside
