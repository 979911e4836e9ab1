"""Metrics of the field, to the digits of the programs that the challenges used. No torch in here.

Membrane metrics take truth (0 membrane, nonzero interior) and P(interior) of one slice (Y, X) or a
stack (Z, Y, X); instance metrics take labels of any number of axes, whole numbers, 0 background, in
memory, in Zarr or in Dask. What is undefined is NaN, and sums stand beside scores so that images
can be pooled.
"""

from unetflow.metrics.boundaries import (
    BoundaryScore,
    boundary_f1,
    boundary_pixels,
    hausdorff_distance_px,
)
from unetflow.metrics.checks import CHALLENGE_THRESHOLDS, binarise, check_polarity
from unetflow.metrics.components import label_interior
from unetflow.metrics.contingency import Contingency, contingency
from unetflow.metrics.instances import (
    DSB2018_IOUS,
    DetSums,
    MatchingSums,
    PanopticQuality,
    SegSums,
    average_precision,
    det_score,
    det_sums,
    dsb2018_score,
    matching_sums,
    matching_sums_at_ious,
    panoptic_of,
    panoptic_quality,
    panoptic_sums,
    seg_score,
    seg_sums,
)
from unetflow.metrics.isbi2012 import (
    SliceScores,
    best_of_thresholds,
    isbi2012_scores,
    score_slice,
    scores_by_threshold,
)
from unetflow.metrics.jaccard import (
    JaccardSums,
    aggregated_jaccard,
    aggregated_jaccard_plus,
    jaccard_sums,
)
from unetflow.metrics.mismatches import (
    Mismatch,
    Mismatches,
    mismatch_image,
    mismatches_by_threshold,
    mismatches_of_regions,
    splits_and_mergers,
)
from unetflow.metrics.object_errors import (
    KindsOfObjects,
    ObjectErrors,
    kinds_of_objects,
    object_errors,
)
from unetflow.metrics.overlap import (
    PixelCounts,
    confusion_matrix,
    dice_per_class,
    iou_per_class,
    pixel_counts,
    pixel_counts_of_regions,
    pixel_error,
    pixel_f_score,
    pool_pixel_counts,
)
from unetflow.metrics.rand import (
    InfoScore,
    RandScore,
    RandSums,
    Reduce,
    adapted_rand_error,
    info_score,
    info_score_of_labels,
    pool_rand_sums,
    rand_index,
    rand_score,
    rand_sums,
    rand_sums_by_slice,
    reduce_rand,
)
from unetflow.metrics.stitching import region_tables
from unetflow.metrics.thinning import thin_membranes
from unetflow.metrics.warping import simple_points, warped_truth, warping_error

__all__ = [
    "CHALLENGE_THRESHOLDS",
    "DSB2018_IOUS",
    "BoundaryScore",
    "Contingency",
    "DetSums",
    "InfoScore",
    "JaccardSums",
    "KindsOfObjects",
    "MatchingSums",
    "Mismatch",
    "Mismatches",
    "ObjectErrors",
    "PanopticQuality",
    "PixelCounts",
    "RandScore",
    "RandSums",
    "Reduce",
    "SegSums",
    "SliceScores",
    "adapted_rand_error",
    "aggregated_jaccard",
    "aggregated_jaccard_plus",
    "average_precision",
    "best_of_thresholds",
    "binarise",
    "boundary_f1",
    "boundary_pixels",
    "check_polarity",
    "confusion_matrix",
    "contingency",
    "det_score",
    "det_sums",
    "dice_per_class",
    "dsb2018_score",
    "hausdorff_distance_px",
    "info_score",
    "info_score_of_labels",
    "iou_per_class",
    "isbi2012_scores",
    "jaccard_sums",
    "kinds_of_objects",
    "label_interior",
    "matching_sums",
    "matching_sums_at_ious",
    "mismatch_image",
    "mismatches_by_threshold",
    "mismatches_of_regions",
    "object_errors",
    "panoptic_of",
    "panoptic_quality",
    "panoptic_sums",
    "pixel_counts",
    "pixel_counts_of_regions",
    "pixel_error",
    "pixel_f_score",
    "pool_pixel_counts",
    "pool_rand_sums",
    "rand_index",
    "rand_score",
    "rand_sums",
    "rand_sums_by_slice",
    "reduce_rand",
    "region_tables",
    "score_slice",
    "scores_by_threshold",
    "seg_score",
    "seg_sums",
    "simple_points",
    "splits_and_mergers",
    "thin_membranes",
    "warped_truth",
    "warping_error",
]
