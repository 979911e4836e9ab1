"""The object step chosen on validation images: settings are tried until none is better.

First a coarse grid of thresholds and separations together, since they make up for each other; then
coordinate by coordinate, each with the others held, until a round changes nothing. A try that was
made is remembered. Scores are of all images together: their objects are counted, then scored, so
that an image without objects counts by what is found in it.
"""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import reduce
from operator import add
from typing import Any, NamedTuple

import numpy as np

from unetflow.evaluate.search_space import Settings, Space, threshold_of
from unetflow.metrics import (
    JaccardSums,
    MatchingSums,
    SegSums,
    contingency,
    jaccard_sums,
    matching_sums_at_ious,
    panoptic_of,
    panoptic_sums,
    seg_sums,
)

IOUS = tuple(percent / 100 for percent in range(50, 95, 5))  # 0.50, 0.55, ... 0.90
COARSE = (0.5, 0.3, 0.7)  # thresholds that every separation is tried at
ROUNDS = 4  # of all coordinates, at most: each but the last finds something better
FLAT = 0.01  # of a score: what differs by less is as good


MakesObjects = Callable[..., np.ndarray]
"""`unetflow.instances.label_instances`, or one like it."""


class Judged(NamedTuple):
    """A validation image, or a part of it, as one class sees it; all (Y, X), or (Z, Y, X)."""

    truth: np.ndarray  # labels
    ignore: np.ndarray  # bool
    foreground: np.ndarray  # float32 in [0, 1]
    target: np.ndarray  # bool: the truth as the network is asked for it
    head: np.ndarray | None = None  # of the method of separation that needs one
    spacing: tuple[float, ...] | None = None  # of a volume: side of a pixel along each axis

    @property
    def beside(self) -> dict[str, Any]:
        """What a labeller is told beside the foreground."""
        found = {"head": self.head, "spacing": self.spacing}
        return {name: value for name, value in found.items() if value is not None}


@dataclass(frozen=True, slots=True)
class ObjectSums:
    """All that the scores of objects are made of."""

    matched: tuple[MatchingSums, ...]  # at each of `IOUS`
    panoptic: MatchingSums
    seg: SegSums
    jaccard: JaccardSums

    def __add__(self, other: "ObjectSums") -> "ObjectSums":
        pairs = zip(self.matched, other.matched, strict=True)
        return ObjectSums(
            tuple(a + b for a, b in pairs),
            self.panoptic + other.panoptic,
            self.seg + other.seg,
            self.jaccard + other.jaccard,
        )


BY: dict[str, Callable[[ObjectSums], float]] = {
    "mean_ap": lambda sums: float(np.mean([each.average_precision for each in sums.matched])),
    "ap": lambda sums: sums.matched[0].average_precision,
    "pq": lambda sums: panoptic_of(sums.panoptic).pq,
    "seg": lambda sums: sums.seg.score,
    "aji": lambda sums: sums.jaccard.score,
}
"""The scores that may decide: AP averaged over IoU 0.5 to 0.9, AP at 0.5, PQ, SEG, AJI."""


@dataclass(slots=True)
class Trials:
    """Settings and what they score on the judged images of each class, each tried once."""

    judged: Mapping[str, Sequence[Judged]]  # by class
    label: MakesObjects
    by: str
    tried: dict[tuple[tuple[str, Any], ...], dict[str, float]] = field(default_factory=dict)
    _sums: dict[tuple[object, ...], ObjectSums] = field(default_factory=dict)

    def score(self, settings: Settings) -> float:
        """The score that decides: its mean over classes; -inf where it is undefined."""
        value = self.scores(settings)[self.by]
        return -math.inf if math.isnan(value) else value

    def scores(self, settings: Settings) -> dict[str, float]:
        """All scores, each the mean over the classes that have one."""
        key = tuple(sorted(settings.items(), key=lambda item: item[0]))
        if key not in self.tried:
            sums = [self._of_class(name, settings) for name in self.judged]
            self.tried[key] = {
                by: _mean([score(each) for each in sums]) for by, score in BY.items()
            }
        return self.tried[key]

    def labelled(self, judged: Judged, name: str, settings: Settings) -> np.ndarray:
        """The objects of a class in an image."""
        options = {key: value for key, value in settings.items() if not is_threshold(key)}
        threshold = settings[threshold_of(name)]
        return self.label(judged.foreground, threshold=threshold, **options, **judged.beside)

    def _of_class(self, name: str, settings: Settings) -> ObjectSums:
        mine = {k: v for k, v in settings.items() if not is_threshold(k) or k == threshold_of(name)}
        key = (name, *sorted(mine.items(), key=lambda item: item[0]))
        if key not in self._sums:
            found = (
                sums_of_objects(each, self.labelled(each, name, mine)) for each in self.judged[name]
            )
            self._sums[key] = reduce(add, found)
        return self._sums[key]


class Tried(NamedTuple):
    """One value of a coordinate, the others as chosen."""

    settings: Settings  # of this coordinate alone
    score: float


@dataclass(frozen=True, slots=True)
class Found:
    """What the search chose, and how much it matters."""

    settings: Settings
    score: float
    around: dict[str, list[Tried]]  # by coordinate

    def flat(self, coordinate: str) -> list[Settings]:
        """Values of a coordinate that are as good: within `FLAT` of the best."""
        return [
            each.settings for each in self.around[coordinate] if each.score >= self.score - FLAT
        ]


def sums_of_objects(judged: Judged, labels: np.ndarray) -> ObjectSums:
    """What the scores of predicted labels are made of."""
    table = contingency(judged.truth, labels, ignore=judged.ignore)
    return ObjectSums(
        tuple(matching_sums_at_ious(table, ious=IOUS)),
        panoptic_sums(table),
        seg_sums(table),
        jaccard_sums(table),
    )


def search(space: Space, start: Settings, score: Callable[[Settings], float]) -> Found:
    """The best settings by coordinate search from `start`.

    Of equal ones the first that was tried is kept, and of a coordinate its first values are tried
    first. Every value of each coordinate was tried with the others as chosen.
    """
    best = max(_coarse(space, start), key=score)  # of equal ones the first
    for _ in range(ROUNDS):
        before = best
        for candidates in space.values():
            best = max([best, *(best | each for each in candidates)], key=score)
        if best == before:
            break
    around = {
        name: [Tried(each, score(best | each)) for each in candidates]
        for name, candidates in space.items()
    }
    return Found(best, score(best), around)


def _coarse(space: Space, start: Settings) -> Iterator[Settings]:
    """The start, and all separations at a few thresholds that all classes share."""
    yield start
    of_classes = [candidates for name, candidates in space.items() if is_threshold(name)]
    for threshold in COARSE:
        at: Settings = {}
        for candidates in of_classes:
            key = next(iter(candidates[0]))
            at[key] = _nearest([each[key] for each in candidates], threshold)
        for separation in space.get("separate", [{}]):
            yield start | at | separation


def _nearest(values: Sequence[float], wanted: float) -> float:
    return min(values, key=lambda value: abs(value - wanted))


def is_threshold(key: str) -> bool:
    """Whether a key of settings is the threshold of a class."""
    return key.startswith(threshold_of(""))


def _mean(values: Sequence[float]) -> float:
    defined = [value for value in values if not math.isnan(value)]
    return sum(defined) / len(defined) if defined else math.nan
