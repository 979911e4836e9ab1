"""The numbers of the ISBI 2012 challenge that a stack of slices is scored by."""

from collections.abc import Mapping
from typing import NamedTuple

from unetflow.evaluate.catalogue import HIGHER, LOWER, Better, row_of


class StackScore(NamedTuple):
    """One number of `unetflow.metrics.isbi2012_scores`, and what chooses its threshold."""

    name: str  # in `isbi2012_scores`
    column: str  # in `scores_by_threshold`
    chosen_by: tuple[str, str]  # metric and variant of the catalogue
    meaning: str  # in the report
    complement: bool = False  # the number is 1 - the column

    @property
    def better(self) -> Better:
        """As that of the metric, the other way for its complement."""
        lower = row_of(*self.chosen_by).lower_is_better
        return LOWER if lower != self.complement else HIGHER

    def of(self, row: Mapping[str, float]) -> float:
        """The number at one threshold."""
        return 1 - row[self.column] if self.complement else row[self.column]


STACK_SCORES = (
    StackScore(
        "v_rand_thinned_macro_max",
        "v_rand_thinned_macro",
        ("v_rand", "thinned"),
        "V_Rand, thinned, mean over slices: official since 2015",
    ),
    StackScore(
        "v_info_thinned_macro_max",
        "v_info_thinned_macro",
        ("v_info", "thinned"),
        "V_Info, thinned, mean over slices: official since 2015",
    ),
    StackScore(
        "rand_error_2012",
        "v_rand_pooled",
        ("v_rand", "unthinned"),
        "Rand error of 2012: 1 - V_Rand, unthinned, pooled",
        complement=True,
    ),
    StackScore(
        "splits_mergers_min",
        "splits_mergers",
        ("splits_mergers", ""),
        "Splits and mergers: the U-Net paper's warping error",
    ),
    StackScore(
        "pixel_error_2012",
        "pixel_f",
        ("dice", ""),
        "Pixel error of 2012: 1 - F-score of interior pixels",
        complement=True,
    ),
    StackScore(
        "v_rand_thinned_pooled_max",
        "v_rand_thinned_pooled",
        ("v_rand", "thinned"),
        "V_Rand, thinned, pooled",
    ),
    StackScore(
        "v_info_macro_max",
        "v_info_macro",
        ("v_info", "unthinned"),
        "V_Info, unthinned, mean over slices",
    ),
    StackScore(
        "warping_error_min",
        "warping_error",
        ("warping_error", ""),
        "Warping error, mismatches of all types",
    ),
    StackScore("pixel_error_min", "pixel_error", ("pixel_error", ""), "Wrong pixels / all pixels"),
)
"""The rows of the table of stacks, in its order."""
WITHOUT_ONE = StackScore(
    "splits_mergers_min_to_09",
    "splits_mergers",
    ("splits_mergers", ""),
    "Splits and mergers, without threshold 1",
)
"""In no table: the command alone shows it."""
