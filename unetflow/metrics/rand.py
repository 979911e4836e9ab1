"""V_Rand and V_Info: do the same pixels lie together in truth and proposal?

Both are foreground-restricted: only pixels inside a truth region count, and those that the
proposal calls membrane are clusters of one pixel each (Arganda-Carreras et al. 2015,
"Crowdsourcing the creation of image segmentation algorithms for connectomics", section 2.5).
Merge scores fall when truth regions are merged, split scores when they are cut.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from unetflow.arguments import flag_of
from unetflow.metrics.checks import BoolArray, IntArray, LabelArray, binarise, membrane_pair
from unetflow.metrics.components import label_interior
from unetflow.metrics.contingency import Contingency, Labels, contingency, sum_by
from unetflow.metrics.overlap import ratio
from unetflow.metrics.thinning import thin_membranes

Reduce = Literal["macro", "pooled"]


class RandScore(NamedTuple):
    """V_Rand and its parts, each in (0, 1], 1 is perfect, NaN where the truth has no region."""

    f: float
    split: float  # AB / A, recall
    merge: float  # AB / B, precision


class InfoScore(NamedTuple):
    """V_Info and its parts, and the variation of information."""

    f: float
    split: float  # I / H(B), NaN where the proposal is one region
    merge: float  # I / H(A), NaN where the truth is one region
    vi: float  # [nats], 0 is perfect


@dataclass(frozen=True, slots=True)
class RandSums:
    """Sums of squared areas: add those of several images, then score. Exact integers."""

    ab: int  # sum of n_ij^2 over j >= 1, + z
    a: int  # sum of a_i^2
    b: int  # sum of b_j^2 over j >= 1, + z
    z: int  # [px] truth interior that the proposal calls membrane
    n: int  # [px] truth interior

    def __add__(self, other: "RandSums") -> "RandSums":
        return RandSums(
            self.ab + other.ab,
            self.a + other.a,
            self.b + other.b,
            self.z + other.z,
            self.n + other.n,
        )

    @property
    def score(self) -> RandScore:
        """V_Rand = 2 AB / (A + B), split AB / A, merge AB / B."""
        return RandScore(
            ratio(2 * self.ab, self.a + self.b), ratio(self.ab, self.a), ratio(self.ab, self.b)
        )


def pool_rand_sums(sums: Iterable[RandSums]) -> RandSums:
    """The sums of several slices or images as if they were one."""
    return sum(sums, start=RandSums(0, 0, 0, 0, 0))


def rand_sums(
    truth_labels: Labels | Contingency,
    predicted_labels: Labels | None = None,
    *,
    ignore: Labels | None = None,
) -> RandSums:
    """The sums of V_Rand for two label images of any number of axes, 0 membrane or background.

    truth 1 1 1 1    predicted 1 1 0 2     n = 4, z = 1, A = 16
                                          AB = 4 + 1 + 1 = 6 = B
    split = 6/16, merge = 1, V_Rand = 12/22
    """
    pairs = _restricted(truth_labels, predicted_labels, ignore)
    return RandSums(
        ab=_sum_of_squares(pairs.joint) + pairs.z,
        a=_sum_of_squares(pairs.truth),
        b=_sum_of_squares(pairs.predicted) + pairs.z,
        z=pairs.z,
        n=pairs.n,
    )


def rand_sums_by_slice(
    truth: ArrayLike,
    proposal: ArrayLike,
    threshold: float = 0.5,
    *,
    thinned: bool = False,
    ignore: ArrayLike | None = None,
) -> list[RandSums]:
    """The sums of V_Rand of each slice of a stack; arguments as `rand_score`."""
    interior, probability, ignored = membrane_pair(truth, proposal, ignore)
    return [
        rand_sums(
            label_interior(interior[z]),
            regions(binarise(probability[z], threshold), thinned=thinned),
            ignore=None if ignored is None else ignored[z],
        )
        for z in range(len(interior))
    ]


def rand_score(
    truth: ArrayLike,
    proposal: ArrayLike,
    threshold: float = 0.5,
    *,
    thinned: bool = False,
    reduce: Reduce = "macro",
    ignore: ArrayLike | None = None,
) -> RandScore:
    """V_Rand of proposal > threshold, V_Rand = 2 AB / (A + B).

    truth 0 membrane, nonzero interior; proposal P(interior) in [0, 1]; (Y, X) or a stack (Z, Y, X),
    scored slice by slice. `thinned` floods the proposal's membranes to one pixel first. "macro" is
    the mean of the slices' scores, "pooled" adds the slices' sums first. Slices whose truth has no
    interior are undefined and left out; all undefined is NaN.

    ISBI 2012 to 2015: 1 - max over thresholds of thinned=False, reduce="pooled"; official since:
    max of thinned=True, reduce="macro" (`isbi2012_scores` gives both).
    """
    reduce_rand([], reduce)  # a word it does not know is refused before the work
    sums = rand_sums_by_slice(truth, proposal, threshold, thinned=thinned, ignore=ignore)
    return reduce_rand(sums, reduce)


def reduce_rand(sums: Iterable[RandSums], reduce: Reduce) -> RandScore:
    """One score of several slices: the mean of their scores, or the score of their sums."""
    if reduce == "pooled":
        return pool_rand_sums(sums).score
    if reduce != "macro":
        raise ValueError(f'reduce is {reduce!r}: must be "macro" or "pooled".')
    return RandScore(*mean_of_defined([each.score for each in sums], width=3))


def info_score(
    truth: ArrayLike,
    proposal: ArrayLike,
    threshold: float = 0.5,
    *,
    thinned: bool = False,
    ignore: ArrayLike | None = None,
) -> InfoScore:
    """V_Info and variation of information of proposal > threshold, mean over the slices.

    Arguments as `rand_score`. A truth of one region has no information: f is 0 even when perfect.
    """
    interior, probability, ignored = membrane_pair(truth, proposal, ignore)
    scores = [
        info_score_of_labels(
            label_interior(interior[z]),
            regions(binarise(probability[z], threshold), thinned=thinned),
            ignore=None if ignored is None else ignored[z],
        )
        for z in range(len(interior))
    ]
    return InfoScore(*mean_of_defined(scores, width=4))


def info_score_of_labels(
    truth_labels: Labels | Contingency,
    predicted_labels: Labels | None = None,
    *,
    ignore: Labels | None = None,
) -> InfoScore:
    """V_Info for two label images of any number of axes, 0 membrane or background.

    With I = S_AB - S_A - S_B, where S sums p ln p and each of the z membrane pixels adds
    (1/n) ln(1/n) to S_B and S_AB: f = 2 I / (H(A) + H(B)), merge = I / H(A), split = I / H(B).
    """
    pairs = _restricted(truth_labels, predicted_labels, ignore)
    if pairs.n == 0:
        return InfoScore(float("nan"), float("nan"), float("nan"), float("nan"))
    singletons = pairs.z / pairs.n * np.log(pairs.n)
    s_a = _sum_p_log_p(pairs.truth, pairs.n)
    s_b = _sum_p_log_p(pairs.predicted, pairs.n) - singletons
    s_ab = _sum_p_log_p(pairs.joint, pairs.n) - singletons
    mutual = s_ab - s_a - s_b
    whole = -(s_a + s_b)
    f = 2 * mutual / whole if whole > 0 else 0.0  # one region each: Fiji's 0, not NaN
    return InfoScore(f, ratio(mutual, -s_b), ratio(mutual, -s_a), s_a + s_b - 2 * s_ab)


def rand_index(
    truth_labels: Labels | Contingency,
    predicted_labels: Labels | None = None,
    *,
    ignore: Labels | None = None,
) -> float:
    """Share of pixel pairs on which both images agree (Rand 1971); label 0 is one cluster."""
    table = contingency(truth_labels, predicted_labels, ignore=ignore)
    n = int(table.pixels.sum())
    joint, a, b = map(_sum_of_squares, (table.pixels, table.truth_areas, table.predicted_areas))
    return ratio(n * (n - 1) - a - b + 2 * joint, n * (n - 1))


def adapted_rand_error(
    truth_labels: Labels | Contingency,
    predicted_labels: Labels | None = None,
    *,
    ignore: Labels | None = None,
) -> float:
    """The adapted Rand error of scikit-image: pairs, with label 0 of the prediction one cluster.

    Close to 1 - thinned V_Rand only where the prediction has next to no label 0. NaN where the
    truth has no two pixels in one region.
    """
    table = contingency(truth_labels, predicted_labels, ignore=ignore)
    inside = table.truth_ids[table.rows] != 0
    joint = table.pixels[inside]
    n = int(joint.sum())
    a = _sum_of_squares(table.truth_areas[table.truth_ids != 0]) - n
    b = _sum_of_squares(sum_by(table.columns[inside], joint, table.predicted_ids.size)) - n
    return 1 - ratio(2 * (_sum_of_squares(joint) - n), a + b)


def regions(interior: BoolArray, *, thinned: bool) -> LabelArray:
    """The regions of a binary slice: its 4-connected components, thinned or as they are."""
    return thin_membranes(interior) if flag_of(thinned, "thinned") else label_interior(interior)


class _Restricted(NamedTuple):
    """Areas inside the truth regions, label 0 of the prediction apart."""

    joint: IntArray  # (P,) [px] n_ij, i and j >= 1
    truth: IntArray  # (R,) [px] a_i, i >= 1, j = 0 included
    predicted: IntArray  # (C,) [px] b_j, j >= 1
    z: int  # [px]
    n: int  # [px]


def _restricted(
    truth_labels: Labels | Contingency, predicted_labels: Labels | None, ignore: Labels | None
) -> _Restricted:
    table = contingency(truth_labels, predicted_labels, ignore=ignore)
    inside = table.truth_ids[table.rows] != 0
    both = inside & (table.predicted_ids[table.columns] != 0)
    joint = table.pixels[both]
    truth = table.truth_areas[table.truth_ids != 0]
    predicted = sum_by(table.columns[both], joint, table.predicted_ids.size)
    n = int(truth.sum())
    return _Restricted(joint, truth, predicted[predicted > 0], n - int(joint.sum()), n)


def _sum_of_squares(areas: IntArray) -> int:
    """Exact: a region of 3.1e9 px would overflow int64 when squared."""
    if float(np.sum(areas, dtype=np.float64)) < 2.0**31:  # the square of the sum bounds the sum
        return int(np.dot(areas, areas))
    return sum(int(area) ** 2 for area in areas)


def _sum_p_log_p(areas: IntArray, n: int) -> float:
    p = areas / n
    return float(np.sum(p * np.log(p)))


def mean_of_defined(scores: list[RandScore] | list[InfoScore], width: int) -> list[float]:
    """Column means over what is defined; NaN where nothing is."""
    columns = np.array(scores, dtype=float).reshape(-1, width).T
    return [
        float(column[~np.isnan(column)].mean()) if (~np.isnan(column)).any() else float("nan")
        for column in columns
    ]
