"""The numbers of the ISBI 2012 challenge that a stack of slices is scored by."""

from collections.abc import Mapping
from typing import NamedTuple

STACK_COLUMNS = (
    *("experiment", "fold", "stack", "slices", "score", "better"),
    *("value", "threshold"),  # at the threshold that the validation images chose
    *("best_of_11", "best_threshold"),  # optimistic: chosen on these very slices
    "thresholds_without_interior",  # of the 11; nothing splits or merges there
)


class StackScore(NamedTuple):
    """One number of `unetflow.metrics.isbi2012_scores`, and what chooses its threshold."""

    name: str  # in `isbi2012_scores`
    column: str  # in `scores_by_threshold`
    chosen_by: tuple[str, str]  # metric and variant of the calibration
    meaning: str  # in the report

    @property
    def higher_is_better(self) -> bool:
        return self.name.endswith("_max")

    def of(self, row: Mapping[str, float]) -> float:
        """The number at one threshold."""
        return 1 - row[self.column] if self.name.endswith("_2012") else row[self.column]


STACK_SCORES = (
    StackScore(
        *("v_rand_thinned_macro_max", "v_rand_thinned_macro", ("v_rand", "thinned")),
        "V_Rand, thinned, mean over slices: official since 2015",
    ),
    StackScore(
        *("v_info_thinned_macro_max", "v_info_thinned_macro", ("v_info", "thinned")),
        "V_Info, thinned, mean over slices: official since 2015",
    ),
    StackScore(
        *("rand_error_2012", "v_rand_pooled", ("v_rand", "unthinned")),
        "Rand error of 2012: 1 - V_Rand, unthinned, pooled",
    ),
    StackScore(
        *("splits_mergers_min", "splits_mergers", ("splits_mergers", "")),
        "Splits and mergers: the U-Net paper's warping error",
    ),
    StackScore(
        *("pixel_error_2012", "pixel_f", ("dice", "")),
        "Pixel error of 2012: 1 - F-score of interior pixels",
    ),
    StackScore(
        *("v_rand_thinned_pooled_max", "v_rand_thinned_pooled", ("v_rand", "thinned")),
        "V_Rand, thinned, pooled",
    ),
    StackScore(
        *("v_info_macro_max", "v_info_macro", ("v_info", "unthinned")),
        "V_Info, unthinned, mean over slices",
    ),
    StackScore(
        *("warping_error_min", "warping_error", ("warping_error", "")),
        "Warping error, mismatches of all types",
    ),
    StackScore(
        *("pixel_error_min", "pixel_error", ("pixel_error", "")), "Wrong pixels / all pixels"
    ),
)
