"""What became of each object: found, merged, split, misshapen, missed or spurious.

Every object of the truth, and every predicted one, has one kind; the first rule that holds decides.
S lies in R where more than half of its pixels are R's, as SEG and DET decide who stands for whom.

    truth                      it is                      prediction
    matched one to one         found                      matched one to one
      at IoU >= 0.5
    lies in a prediction that  merged                     two or more true objects lie in it
      another true object
      lies in too
    two or more predictions,   split                      it lies in a true object for which
      each a tenth of it or                                 another prediction stands: its match,
      more, lie in it                                       one it lies in, or a piece as beside
    one prediction lies in it, misshapen                  the same, seen from the prediction
      or it in one, and they
      share a tenth of it
    else                       missed / spurious          else

An object that is found may have others merged into its prediction, and surplus pieces beside it:
those others are `merged` and those pieces `split`, it is not. Predictions that no true object holds
by more than half, and that hold none, are spurious even where they touch several.

Input as in `unetflow.metrics.instances`.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from unetflow.metrics.checks import LabelArray
from unetflow.metrics.contingency import Contingency, Labels, contingency
from unetflow.metrics.matching import instance_overlaps, pair_at_iou

MATCHED_IOU = 0.5  # as AP at IoU 0.5
LEAST = 0.1  # share of a true object that a prediction must have to be said to show it
KINDS_OF_TRUTH = ("found", "merged", "split", "misshapen", "missed")
KINDS_OF_PREDICTION = ("found", "merged", "split", "misshapen", "spurious")
ERRORS = ("merged", "split", "misshapen", "missed", "spurious")
"""What is counted as an error: true objects of the first four kinds, and spurious predictions."""


@dataclass(frozen=True, slots=True)
class ObjectErrors:
    """True objects of each kind, and predictions that stand for none."""

    truth_objects: int
    predicted_objects: int
    merged: int
    split: int
    misshapen: int
    missed: int
    spurious: int  # predictions; the others are true objects

    def __add__(self, other: "ObjectErrors") -> "ObjectErrors":
        return ObjectErrors(
            self.truth_objects + other.truth_objects,
            self.predicted_objects + other.predicted_objects,
            self.merged + other.merged,
            self.split + other.split,
            self.misshapen + other.misshapen,
            self.missed + other.missed,
            self.spurious + other.spurious,
        )

    @property
    def found(self) -> int:
        """True objects that are matched one to one at IoU >= 0.5: the true positives of AP."""
        return self.truth_objects - self.merged - self.split - self.misshapen - self.missed


@dataclass(frozen=True, slots=True)
class KindsOfObjects:
    """The kind of each object, in the order of first appearance in raster order."""

    truth_ids: LabelArray  # (R,)
    truth_kinds: NDArray[np.str_]  # (R,) of KINDS_OF_TRUTH
    predicted_ids: LabelArray  # (C,)
    predicted_kinds: NDArray[np.str_]  # (C,) of KINDS_OF_PREDICTION


def object_errors(
    truth_labels: Labels | Contingency,
    predicted_labels: Labels | None = None,
    *,
    ignore: Labels | None = None,
) -> ObjectErrors:
    """How many objects are merged, split, misshapen, missed, spurious: rules above.

    truth     1 1 1 1 2 2 3 . .    1 and 2 are found, 3 is merged
    predicted 5 . 6 6 7 7 7 . 8    6 and 7 are found, 5 is split, 8 spurious
    """
    kinds = kinds_of_objects(truth_labels, predicted_labels, ignore=ignore)
    counts = {kind: int((kinds.truth_kinds == kind).sum()) for kind in KINDS_OF_TRUTH[1:]}
    return ObjectErrors(
        truth_objects=kinds.truth_ids.size,
        predicted_objects=kinds.predicted_ids.size,
        spurious=int((kinds.predicted_kinds == "spurious").sum()),
        **counts,
    )


def kinds_of_objects(
    truth_labels: Labels | Contingency,
    predicted_labels: Labels | None = None,
    *,
    ignore: Labels | None = None,
) -> KindsOfObjects:
    """The kind of every true and of every predicted object, with their ids: rules above."""
    table = contingency(truth_labels, predicted_labels, ignore=ignore)
    pairs = instance_overlaps(table)
    rows, columns, shared = pairs.rows, pairs.columns, pairs.shared
    true, predicted = pairs.truth_areas.size, pairs.predicted_areas.size
    in_prediction = 2 * shared > pairs.truth_areas[rows]
    in_truth = 2 * shared > pairs.predicted_areas[columns]
    shown = shared >= LEAST * pairs.truth_areas[rows]
    matched = np.zeros(shared.size, np.bool_)
    matched[pair_at_iou(pairs, MATCHED_IOU)] = True

    merging = np.bincount(columns[in_prediction], minlength=predicted) > 1
    stands = np.bincount(
        rows[matched | in_prediction | (in_truth & shown)], minlength=true
    )  # predictions that stand for each true object
    surplus = in_truth & (stands[rows] > (matched | in_prediction | shown))
    bound = (in_prediction | in_truth) & shown
    return KindsOfObjects(
        truth_ids=table.truth_ids[table.truth_ids != 0],
        truth_kinds=np.select(
            [
                _any(rows[matched], true),
                _any(rows[in_prediction & merging[columns]], true),
                np.bincount(rows[in_truth & shown], minlength=true) > 1,
                _any(rows[bound], true),
            ],
            list(KINDS_OF_TRUTH[:-1]),
            KINDS_OF_TRUTH[-1],
        ),
        predicted_ids=table.predicted_ids[table.predicted_ids != 0],
        predicted_kinds=np.select(
            [
                _any(columns[matched], predicted),
                merging,
                _any(columns[surplus], predicted),
                _any(columns[bound], predicted),
            ],
            list(KINDS_OF_PREDICTION[:-1]),
            KINDS_OF_PREDICTION[-1],
        ),
    )


def _any(members: NDArray[np.int64], count: int) -> NDArray[np.bool_]:
    """Which of `count` occur among the members."""
    found = np.zeros(count, np.bool_)
    found[members] = True
    return found
