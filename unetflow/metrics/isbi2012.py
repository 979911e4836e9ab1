"""All numbers of the ISBI 2012 challenge: of its first years, and the official ones since 2015.

Source: Arganda-Carreras et al. 2015, "Crowdsourcing the creation of image segmentation algorithms
for connectomics", and the Fiji scripts of the challenge.
"""

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike

from unetflow.metrics.checks import CHALLENGE_THRESHOLDS, membrane_pair, thresholds_of
from unetflow.metrics.mismatches import mismatches_by_threshold
from unetflow.metrics.overlap import pixel_counts
from unetflow.metrics.rand import info_score, rand_sums_by_slice, reduce_rand


def scores_by_threshold(
    truth: ArrayLike,
    proposal: ArrayLike,
    thresholds: float | Sequence[float] = CHALLENGE_THRESHOLDS,
    *,
    ignore: ArrayLike | None = None,
) -> list[dict[str, float]]:
    """The challenge's scores at each threshold: what an operating threshold is chosen from.

    Arguments as `rand_score`. Each row holds threshold, interior_share (0: the foreground
    vanished, and with it splits and mergers), pixel_error, pixel_f, warping_error, splits_mergers,
    v_rand_pooled, v_rand_thinned_pooled, v_rand_thinned_macro, v_info_macro, v_info_thinned_macro.
    """
    _, _, ignored = membrane_pair(truth, proposal, ignore)
    mask = None if ignored is None else ~ignored.reshape(np.shape(truth))
    rows = []
    for threshold in thresholds_of(thresholds):
        pixels = pixel_counts(truth, proposal, threshold, ignore=ignore)
        (left,) = mismatches_by_threshold(truth, proposal, threshold, mask=mask)
        plain = rand_sums_by_slice(truth, proposal, threshold, ignore=ignore)
        thin = rand_sums_by_slice(truth, proposal, threshold, thinned=True, ignore=ignore)
        rows.append(
            {
                "threshold": threshold,
                "interior_share": left.interior_px / left.total_px,
                "pixel_error": pixels.error,
                "pixel_f": pixels.f,
                "warping_error": left.warping_error,
                "splits_mergers": left.split_merger_error,
                "v_rand_pooled": reduce_rand(plain, "pooled").f,
                "v_rand_thinned_pooled": reduce_rand(thin, "pooled").f,
                "v_rand_thinned_macro": reduce_rand(thin, "macro").f,
                "v_info_macro": info_score(truth, proposal, threshold, ignore=ignore).f,
                "v_info_thinned_macro": info_score(
                    truth, proposal, threshold, thinned=True, ignore=ignore
                ).f,
            }
        )
    return rows


def isbi2012_scores(
    truth: ArrayLike, proposal: ArrayLike, *, ignore: ArrayLike | None = None
) -> dict[str, float]:
    """All challenge numbers, each the best over the thresholds 0, 0.1, ... 1.

    Official since 2015: `v_rand_thinned_macro_max`, `v_info_thinned_macro_max`, larger is better.
    2012 to 2015: `rand_error_2012` = 1 - max V_Rand (unthinned, pooled), `pixel_error_2012` =
    1 - max pixel F, `splits_mergers_min` (the U-Net paper's "warping error", radius 20 px),
    smaller is better; `splits_mergers_min_to_09` leaves threshold 1 out. `warping_error_min` counts
    mismatches of all types. Each has `<name>_threshold` beside it, NaN where undefined.

    The threshold is chosen on the very images that are scored, which is optimistic: show the score
    at a threshold chosen on validation images beside it. `thresholds_without_interior` counts those
    that have no split and no merger for a bad reason.
    """
    rows = scores_by_threshold(truth, proposal, ignore=ignore)
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


def _best(rows: list[dict[str, float]], column: str, sign: int) -> tuple[float, float]:
    """The largest (sign 1) or smallest (-1) value and the first threshold that reaches it."""
    defined = [row for row in rows if not math.isnan(row[column])]
    if not defined:
        return math.nan, math.nan
    row = max(defined, key=lambda each: sign * each[column])
    return row[column], row["threshold"]
