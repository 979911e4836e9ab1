"""Which objects are most wrong, and where they lie."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from unetflow.metrics.contingency import Contingency
from unetflow.metrics.matching import instance_overlaps
from unetflow.metrics.object_errors import KindsOfObjects

Box = tuple[int, ...]
"""Top, left, bottom, right [px], ends excluded; of a volume all starts, then all ends."""


@dataclass(frozen=True, slots=True)
class Wrong:
    """A true object that was not found, or a predicted one that stands for none."""

    kind: str
    id: int  # of the truth's labels, of a spurious one of the predicted
    wrong_px: int

    @property
    def of_truth(self) -> bool:
        return self.kind != "spurious"


def worst_first(table: Contingency, kinds: KindsOfObjects) -> list[Wrong]:
    """All wrong objects, by wrong pixels, then by id.

    Of a missed, merged or spurious object these are all its pixels; of a split or misshapen one
    those that it and the prediction that shares most of it do not have in common.
    """
    pairs = instance_overlaps(table)
    wrong_px = pairs.truth_areas.copy()
    apart = pairs.union - pairs.shared
    order = np.argsort(pairs.shared, kind="stable")  # the largest share is written last
    largest = pairs.truth_areas.copy()
    largest[pairs.rows[order]] = apart[order]
    partly = np.isin(kinds.truth_kinds, ("split", "misshapen"))
    wrong_px[partly] = largest[partly]
    found = [
        Wrong(str(kind), int(number), int(px))
        for kind, number, px in zip(kinds.truth_kinds, kinds.truth_ids, wrong_px, strict=True)
        if kind != "found"
    ]
    found += [
        Wrong(str(kind), int(number), int(px))
        for kind, number, px in zip(
            kinds.predicted_kinds, kinds.predicted_ids, pairs.predicted_areas, strict=True
        )
        if kind == "spurious"
    ]
    return sorted(found, key=lambda wrong: (-wrong.wrong_px, wrong.kind, wrong.id))


def boxes(
    blocks: Iterable[tuple[Sequence[slice], np.ndarray]], wanted: Sequence[int]
) -> dict[int, Box]:
    """By id the box of each wanted object, from labels block by block (region, labels)."""
    found: dict[int, Box] = {}
    for region, labels in blocks:
        if not np.isin(labels, wanted).any():
            continue
        for number, box in _boxes_in(labels, wanted):
            starts = [part.start or 0 for part in region]
            moved = tuple(at + start for at, start in zip(box, starts * 2, strict=True))
            found[number] = _around(found.get(number, moved), moved)
    return found


def _boxes_in(labels: np.ndarray, wanted: Sequence[int]) -> Iterator[tuple[int, Box]]:
    for number in wanted:
        places = np.nonzero(labels == number)
        if places[0].size:
            starts = (int(along.min()) for along in places)
            yield number, (*starts, *(int(along.max()) + 1 for along in places))


def _around(one: Box, other: Box) -> Box:
    axes = len(one) // 2
    return (*map(min, one[:axes], other[:axes]), *map(max, one[axes:], other[axes:]))


def kind_of_ids(numbers: np.ndarray, kinds: np.ndarray) -> Mapping[int, str]:
    """Ids and their kinds as a mapping."""
    return {int(number): str(kind) for number, kind in zip(numbers, kinds, strict=True)}
