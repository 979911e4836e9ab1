"""What calibration may choose of the object step, on grids scaled to the truth's objects.

A key of the config's `instances` that is `auto` is searched, one that has a value keeps it. Where
nothing can be searched `auto` stands for `DEFAULTS`.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from unetflow.tiles.regions import PLANE

AUTO = "auto"
DEFAULTS: dict[str, Any] = {
    "threshold": None,  # chosen as if it were alone
    "min_area_px": 0,
    "fill_holes": False,
    "max_hole_px": None,
    "separate": "necks",
    "split_px": None,
    "split_logits": None,
    "seed_threshold": None,
    "border_threshold": None,
}
"""What `auto` stands for where nothing can be searched."""
LEAST_IMAGES, LEAST_OBJECTS = 2, 5  # of which something can be learnt
NEAR_PX = 2  # ground between objects that a network easily takes for them
# Of the median area, as the next
MIN_AREAS = (0.02, 0.05, 0.1, 0.2, 0.35)
MAX_HOLES = (0.02, 0.1, 0.3)
SPLITS = (0.02, 0.035, 0.06, 0.1, 0.15, 0.2)  # of the median diameter
GRIDS: dict[str, tuple[float, ...]] = {
    "split_logits": (0.5, 1, 2, 3, 5, 8),
    "seed_threshold": (0.6, 0.7, 0.8, 0.9, 0.95, 0.98),
    "border_threshold": (0.2, 0.35, 0.5, 0.65, 0.8),
}
NUMBER_OF = {
    "necks": "split_px",
    "valleys": "split_logits",
    "seeds": "seed_threshold",
    "border": "border_threshold",
    "distance": "split_px",
}
"""Of each method of separation the key that says how much."""
Settings = dict[str, Any]
"""Of each key of `instances` a value; thresholds by class, as `threshold_of` names them."""
Space = dict[str, list[Settings]]
"""By coordinate what may be tried of it: each sets one key, or a few that belong together."""


@dataclass(frozen=True, slots=True)
class Sizes:
    """How large and how close the true objects are."""

    objects: int
    area_px: float  # median
    near: int  # objects with another one within `NEAR_PX` pixels of ground
    cubic_px: float | None = None  # of volumes the median in pixels as deep as they are wide

    @property
    def diameter_px(self) -> float:
        """Of a disc of the median area, or a ball of the median volume."""
        if self.cubic_px is not None:
            return 2 * math.cbrt(self.cubic_px * 3 / (4 * math.pi))
        return 2 * math.sqrt(self.area_px / math.pi)


def threshold_of(name: str) -> str:
    """The key of a class's threshold in settings."""
    return f"threshold {name}"


def is_searched(instances: Mapping[str, Any]) -> bool:
    """Whether anything is to be chosen by a search."""
    return AUTO in instances.values()


def wanted_of(instances: Settings, by: str, labelling: Settings) -> dict[str, Any]:
    """What the search is told of the config: where there is none, nothing that only one reads."""
    if is_searched(instances):
        return {"instances": instances, "by": by}
    return {"instances": {"threshold": None, **labelling}}


def with_defaults(instances: Mapping[str, Any]) -> Settings:
    """The same with what stands for `auto` where nothing can be searched."""
    return {key: DEFAULTS[key] if value == AUTO else value for key, value in instances.items()}


def sizes_of(
    labels: Sequence[NDArray[np.integer]],
    steps: Sequence[Sequence[float] | None] | None = None,
) -> Sizes:
    """Sizes of the objects of label images (Y, X), or volumes (Z, Y, X).

    `steps` are by image the side of a pixel along each axis, in its width; None: as long along all.
    """
    areas, near = [np.zeros(0, np.int64)], 0
    volumes: list[NDArray[np.floating]] = [np.zeros(0)]
    for image, along in zip(labels, steps or [None for _ in labels], strict=True):
        areas.append(np.unique(image[image != 0], return_counts=True)[1])  # ids may be any
        volumes.append(areas[-1] * math.prod(along or ()))
        near += len(_near(image))
    is_volume = any(image.ndim > PLANE for image in labels)
    cubic_px = _median(volumes) if is_volume else None
    return Sizes(sum(map(len, areas)), _median(areas), near, cubic_px)


def _median(values: Sequence[NDArray[np.generic]]) -> float:
    every = np.concatenate(values)
    return float(np.median(every)) if len(every) else 0.0


def _near(labels: NDArray[np.integer]) -> NDArray[np.integer]:
    """Objects that have another one within `NEAR_PX` pixels of ground along an axis."""
    found = []
    for axis in range(labels.ndim):
        along = np.moveaxis(labels, axis, 0)
        for step in range(1, NEAR_PX + 2):
            a, b = along[:-step], along[step:]
            meet = (a != b) & (a != 0) & (b != 0)
            found += [a[meet], b[meet]]
    return np.unique(np.concatenate(found))


def space_of(
    instances: Mapping[str, Any],
    sizes: Sizes,
    *,
    classes: Sequence[str],
    thresholds: Sequence[float],
    methods: Sequence[str],
) -> Space:
    """What may be tried of each coordinate; the first of each is preferred where scores are equal.

    `methods` are those of separation that are possible: some need a further output of the network.
    Without objects near each other nothing is taken apart.
    """
    space: Space = {}
    if instances["threshold"] in (None, AUTO):
        middle_first = sorted(thresholds, key=lambda threshold: abs(threshold - 0.5))
        for name in classes:
            space[threshold_of(name)] = [{threshold_of(name): value} for value in middle_first]
    if instances["min_area_px"] == AUTO:
        areas = [0, *(round(share * sizes.area_px) for share in MIN_AREAS)]
        space["min_area_px"] = [{"min_area_px": value} for value in dict.fromkeys(areas)]
    if AUTO in (instances["fill_holes"], instances.get("max_hole_px")):
        space["fill_holes"] = _holes(instances, sizes)
    separations = _separations(instances, sizes, methods)
    if len(separations) > 1:
        space["separate"] = separations
    return space


def _holes(instances: Mapping[str, Any], sizes: Sizes) -> list[Settings]:
    fill, most = instances["fill_holes"], instances.get("max_hole_px")
    limits: list[int | None] = [most]
    if most == AUTO:
        scaled = [max(1, round(share * sizes.area_px)) for share in MAX_HOLES]
        limits = [*dict.fromkeys(scaled), None]
    filled = [{"fill_holes": True, "max_hole_px": limit} for limit in limits]
    none = {"fill_holes": False, "max_hole_px": None if most == AUTO else most}
    return {AUTO: [none, *filled], True: filled, False: [none]}[fill]


def _separations(
    instances: Mapping[str, Any], sizes: Sizes, methods: Sequence[str]
) -> list[Settings]:
    """Methods with their numbers; the first takes nothing apart, if that may be chosen.

    Where the method itself is chosen, a number that is not given (null) is searched with it.
    """
    method = instances.get("separate", "necks")
    if not sizes.near or method == "none":
        return []
    if method != AUTO:
        key = NUMBER_OF[method]
        if instances.get(key) != AUTO:
            return []
        default = [None] if method == "necks" else []  # takes nothing apart
        return [{key: value} for value in (*default, *_grid(key, sizes))]
    given = {key: value for key, value in instances.items() if key in NUMBER_OF.values()}
    others = {key: None if value == AUTO else value for key, value in given.items()}
    found = [{**others, "separate": "none"}]
    for name in methods:
        if name in NUMBER_OF:
            key = NUMBER_OF[name]
            free = given.get(key) in (None, AUTO)
            values = _grid(key, sizes) if free else [given[key]]
            found += [{**others, "separate": name, key: value} for value in values]
    return found


def _grid(key: str, sizes: Sizes) -> list[float]:
    """Numbers of a method: lengths scaled to the objects, others as they are."""
    if key in GRIDS:
        return [*GRIDS[key]]
    return [*dict.fromkeys(float(f"{share * sizes.diameter_px:.2g}") for share in SPLITS)]
