"""What scoring an image takes, and what it gives: rows of the table of scores."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol, TypedDict

import numpy as np

from unetflow.store.names import FOREGROUND


class Labelling(TypedDict, total=False):
    """How instances are made: the options of `unetflow.instances.label_instances`."""

    min_area_px: int
    fill_holes: bool
    connectivity: int
    split_px: float | None
    max_hole_px: int  # left out where any hole is filled
    separate: str
    split_logits: float
    seed_threshold: float
    border_threshold: float


class Labeller(Protocol):
    """Makes instances of a foreground (Y, X) at a threshold."""

    def __call__(self, foreground_YX: np.ndarray, /, *, threshold: float) -> np.ndarray: ...


@dataclass(frozen=True, slots=True)
class Scoring:
    """How images are scored."""

    thresholds: Sequence[float]
    regions_px: int | None  # side of the regions of images that are not in memory; None: without
    labelling: Labelling
    threads: int
    foreground: str = FOREGROUND  # array of a store of predictions: as predicted, or refined
    per_slice: bool = False  # of volumes also each plane as an image of its own


@dataclass(frozen=True, slots=True)
class Row:
    """One score of an image, as the table has it."""

    metric: str  # and variant: as the catalogue spells them
    variant: str
    value: float  # NaN where undefined
    # behind it: some of `unetflow.evaluate.tables.SUMS`
    sums: Mapping[str, float] = field(default_factory=dict)
    threshold: float | None = None  # None: one of Otsu's
    chosen: str = ""  # whose choice the threshold was

    def cells(self) -> dict[str, str | float | None]:
        """By column of the table."""
        return {
            "metric": self.metric,
            "variant": self.variant,
            "threshold": self.threshold,
            "chosen": self.chosen,
            "value": self.value,
            **self.sums,
        }
