"""What each part of the object step does to the truth of validation images, and to the foreground.

The first three stages know no network: they make objects of what the network is asked for. Where
they lose objects, no network can find them.
"""

from collections.abc import Callable, Iterator, Sequence
from functools import reduce
from operator import add
from typing import Any, TypedDict

import numpy as np
from scipy import ndimage

from unetflow.components.objects_of_image import label_image
from unetflow.components.pieces_of_block import Labelling
from unetflow.evaluate.search_space import Settings
from unetflow.evaluate.searching import Judged, MakesObjects
from unetflow.metrics import MatchingSums, matching_sums

LOSES = 0.02  # AP that a stage may take from the one before it, and the target from 1
OF_HEADS = ("border", "distance")  # methods that need more than a foreground


class Stages(TypedDict):
    """AP at IoU 0.5 of all validation images together, None where it cannot be said."""

    target: float | None  # connected components of the truth as the network is asked for it
    holes: float | None  # and holes filled
    separated: float | None  # and taken apart, without what is too small
    perfect_cut: float | None  # the foreground, cut as the truth would have it
    product: float | None  # the foreground, by the whole object step


def stages_of(
    judged: Sequence[Judged], threshold: float, options: Settings, label: MakesObjects
) -> Stages:
    """The stages of a class; `options` are those of `unetflow.instances.label_instances`."""
    simply = {key: value for key, value in options.items() if key == "connectivity"}
    holes = {key: value for key, value in options.items() if key in ("fill_holes", "max_hole_px")}

    def of_target(**made_with: Any) -> float | None:
        def of(each: Judged) -> np.ndarray:
            target = each.target.astype(np.float32)
            return label(target, threshold=0.5, **made_with, **each._replace(head=None).beside)

        return _ap(judged, of)

    def product(each: Judged) -> np.ndarray:
        return label(each.foreground, threshold=threshold, **options, **each.beside)

    return {
        "target": of_target(**simply),
        "holes": of_target(**simply, **holes),
        "separated": None if options.get("separate") in OF_HEADS else of_target(**options),
        "perfect_cut": _ap(judged, lambda each: _perfectly_cut(each, threshold)),
        "product": _ap(judged, product),
    }


def warnings_of(name: str, stages: Stages) -> Iterator[str]:
    """Where the object step alone loses objects of the truth, by more than `LOSES` of AP.

    What a part of it loses and a later part wins back (pieces that are too small, clumps that are
    taken apart) is not lost.
    """
    target, holes, separated = stages["target"], stages["holes"], stages["separated"]
    if target is None or holes is None or (separated is not None and separated >= 1 - LOSES):
        return
    of = f"class {name}: AP at IoU 0.5 of the truth itself"
    if target < 1 - LOSES:
        yield (
            f"{of} is {target:.3f} once its touching objects are apart and labelled again: so much "
            "is lost before any network. Thin parts are cut off there"
        )
    if holes < target - LOSES:
        yield (
            f"{of} falls from {target:.3f} to {holes:.3f} where holes are filled: touching objects "
            "enclose ground. Set instances: max_hole_px, or fill_holes: false"
        )
    if separated is not None and separated < holes - LOSES:
        yield (
            f"{of} falls from {holes:.3f} to {separated:.3f} where clumps are taken apart and "
            "small objects left out: true objects are cut, or lost. Set the number of the "
            "separation higher, or min_area_px lower, in instances"
        )


def _ap(judged: Sequence[Judged], made: Callable[[Judged], np.ndarray]) -> float | None:
    """AP at IoU 0.5 of all images together, None without an object."""
    sums = reduce(
        add,
        (matching_sums(each.truth, made(each), ignore=each.ignore) for each in judged),
        MatchingSums(0, 0, 0, 0.0),
    )
    value = sums.average_precision
    return None if np.isnan(value) else value


def _perfectly_cut(judged: Judged, threshold: float) -> np.ndarray:
    """Pixels of the foreground with the number of the true object that is nearest in their piece.

    What touches no true object is an object of its own.
    """
    mask = judged.foreground.astype(np.float64) > threshold
    pieces = label_image(mask, Labelling(connectivity=mask.ndim)).astype(np.int64)
    truth = judged.truth.astype(np.int64)
    if not truth.any():
        return pieces
    nearest = ndimage.distance_transform_edt(
        truth == 0, sampling=judged.spacing, return_distances=False, return_indices=True
    )
    cut = truth[tuple(nearest)]
    alone = ~np.isin(pieces, pieces[(truth != 0) & mask])
    return np.where(mask, np.where(alone, pieces + truth.max(), cut), 0)
