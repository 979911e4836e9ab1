"""All numbers of the ISBI 2012 challenge: of its first years, and the official ones since 2015.

Source: Arganda-Carreras et al. 2015, "Crowdsourcing the creation of image segmentation algorithms
for connectomics", and the Fiji scripts of the challenge.
"""

import math
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from unetflow.metrics.checks import (
    CHALLENGE_THRESHOLDS,
    BoolArray,
    binarise,
    check_polarity,
    frames_of,
    membrane_pair,
    thresholds_of,
)
from unetflow.metrics.components import label_interior
from unetflow.metrics.contingency import contingency
from unetflow.metrics.mismatches import Mismatches, mismatches_by_threshold
from unetflow.metrics.overlap import (
    PixelCounts,
    pixel_counts_of_regions,
    pool_pixel_counts,
    ratio,
)
from unetflow.metrics.rand import (
    InfoScore,
    RandSums,
    info_score_of_labels,
    mean_of_defined,
    rand_sums,
    reduce_rand,
    regions,
)

Slices = ArrayLike | Sequence[ArrayLike]
"""One slice (Y, X), a stack (Z, Y, X), or a list of slices that may differ in size."""


class SliceScores(NamedTuple):
    """What one slice adds to the scores of its stack at one threshold; sums pool by adding."""

    pixels: PixelCounts
    left: Mismatches
    plain: RandSums
    thinned: RandSums
    info_plain: InfoScore
    info_thinned: InfoScore


def scores_by_threshold(
    truth: Slices,
    proposal: Slices,
    thresholds: float | Sequence[float] = CHALLENGE_THRESHOLDS,
    *,
    ignore: Slices | None = None,
) -> list[dict[str, float]]:
    """The challenge's scores at each threshold: what an operating threshold is chosen from.

    Arguments as `rand_score`; lists of slices may differ in size. Each row holds threshold,
    interior_share (0: the foreground vanished, and with it splits and mergers), pixel_error,
    pixel_f, warping_error, splits_mergers, v_rand_pooled, v_rand_thinned_pooled,
    v_rand_thinned_macro, v_info_macro, v_info_thinned_macro.
    """
    values = thresholds_of(thresholds)
    slices = [score_slice(*each, values) for each in _slices(truth, proposal, ignore)]
    return [_reduce(threshold, [each[k] for each in slices]) for k, threshold in enumerate(values)]


def isbi2012_scores(
    truth: Slices, proposal: Slices, *, ignore: Slices | None = None
) -> dict[str, float]:
    """All challenge numbers, each the best over the thresholds 0, 0.1, ... 1.

    Official since 2015: `v_rand_thinned_macro_max`, `v_info_thinned_macro_max`, larger is better.
    2012 to 2015: `rand_error_2012` = 1 - max V_Rand (unthinned, pooled), `pixel_error_2012` =
    1 - max pixel F, `splits_mergers_min` (the U-Net paper's "warping error", radius 20 px),
    smaller is better; `splits_mergers_min_to_09` leaves threshold 1 out. `warping_error_min` counts
    mismatches of all types. Each has `<name>_threshold` beside it, NaN where undefined.

    The threshold is chosen on the very images that are scored, which is optimistic: show the score
    at a threshold chosen on validation images beside it. `thresholds_without_interior` counts those
    that have no split and no merger for a bad reason. Raises ValueError for an inverted proposal.
    """
    for true, proposed, ignored in _slices(truth, proposal, ignore):
        check_polarity(true, proposed, ignore=ignored)
    return best_of_thresholds(scores_by_threshold(truth, proposal, ignore=ignore))


def best_of_thresholds(rows: list[dict[str, float]]) -> dict[str, float]:
    """The numbers of `isbi2012_scores` from its `scores_by_threshold`."""
    best: dict[str, float] = {}
    for name, column, sign, among in (
        ("v_rand_thinned_macro_max", "v_rand_thinned_macro", 1, rows),
        ("v_rand_thinned_pooled_max", "v_rand_thinned_pooled", 1, rows),
        ("v_info_thinned_macro_max", "v_info_thinned_macro", 1, rows),
        ("v_info_macro_max", "v_info_macro", 1, rows),
        ("rand_error_2012", "v_rand_pooled", 1, rows),
        ("pixel_error_2012", "pixel_f", 1, rows),
        ("splits_mergers_min", "splits_mergers", -1, rows),
        ("splits_mergers_min_to_09", "splits_mergers", -1, rows[:-1]),
        ("warping_error_min", "warping_error", -1, rows),
        ("pixel_error_min", "pixel_error", -1, rows),
    ):
        value, threshold = _best(among, column, sign)
        best[name] = 1 - value if name in ("rand_error_2012", "pixel_error_2012") else value
        best[f"{name}_threshold"] = threshold
    best["thresholds_without_interior"] = sum(row["interior_share"] == 0 for row in rows)
    return best


def _slices(
    truth: Slices, proposal: Slices, ignore: Slices | None
) -> Iterator[tuple[BoolArray, NDArray[np.generic], BoolArray | None]]:
    """The slices of a stack, or of lists of slices or stacks, one by one."""
    for each in frames_of(truth, proposal, ignore):
        interior, probability, ignored = membrane_pair(*each)
        for z in range(len(interior)):
            yield interior[z], probability[z], None if ignored is None else ignored[z]


def score_slice(
    truth: ArrayLike,
    proposal: ArrayLike,
    ignore: BoolArray | None,
    thresholds: Sequence[float],
) -> list[SliceScores]:
    """All membrane scores of one slice (Y, X) at each threshold."""
    interior, probability, _ = membrane_pair(truth, proposal, ignore)
    mask = None if ignore is None else ~ignore
    true = label_interior(interior[0])
    scores = []
    for left in mismatches_by_threshold(truth, proposal, thresholds, mask=mask):
        proposed = binarise(probability[0], left.threshold)
        plain, thinned = (
            contingency(true, regions(proposed, thinned=thinned), ignore=ignore)
            for thinned in (False, True)
        )
        scores.append(
            SliceScores(
                pixels=pixel_counts_of_regions(plain),
                left=left,
                plain=rand_sums(plain),
                thinned=rand_sums(thinned),
                info_plain=info_score_of_labels(plain),
                info_thinned=info_score_of_labels(thinned),
            )
        )
    return scores


def _reduce(threshold: float, slices: list[SliceScores]) -> dict[str, float]:
    pixels = pool_pixel_counts(each.pixels for each in slices)
    left = slices[0].left
    for each in slices[1:]:
        left += each.left
    plain, thinned = [each.plain for each in slices], [each.thinned for each in slices]
    return {
        "threshold": threshold,
        "interior_share": ratio(left.interior_px, left.inside_px),
        "pixel_error": pixels.error,
        "pixel_f": pixels.f,
        "warping_error": left.warping_error,
        "splits_mergers": left.split_merger_error,
        "v_rand_pooled": reduce_rand(plain, "pooled").f,
        "v_rand_thinned_pooled": reduce_rand(thinned, "pooled").f,
        "v_rand_thinned_macro": reduce_rand(thinned, "macro").f,
        "v_info_macro": mean_of_defined([each.info_plain for each in slices], width=4)[0],
        "v_info_thinned_macro": mean_of_defined([e.info_thinned for e in slices], width=4)[0],
    }


def _best(rows: list[dict[str, float]], column: str, sign: int) -> tuple[float, float]:
    """The largest (sign 1) or smallest (-1) value and the first threshold that reaches it."""
    defined = [row for row in rows if not math.isnan(row[column])]
    if not defined:
        return math.nan, math.nan
    row = max(defined, key=lambda each: sign * each[column])
    return row[column], row["threshold"]
