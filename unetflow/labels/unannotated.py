"""Does an image hold far more objects than were annotated? Asked before anything is learnt.

The annotated objects say what to look for: a gray value that tells them from the ground, and their
size. Where that finds the annotated ones it is believed of the others too; else nothing is said.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from scipy import ndimage

from unetflow.store.names import IGNORE, TRUTH, of_labels
from unetflow.store.shards import read_array

LOOKED_AT_PX = 2**22  # pixels of the level that is looked at, at most
TIMES, MORE = 2, 10  # objects found, of those annotated, that are worth a word
BELIEVED = 0.7  # share of the annotated objects that must be found
LIKE = (0.5, 2.0)  # area of what counts as an object, of the median annotated one
FEWEST = 5  # annotated objects, to know how such look
TELLING = 0.5  # difference of objects and ground, in the sum of their standard deviations
LEAST_PX = 20  # of that median: specks of noise are smaller
RIM_PX = 3  # around annotated objects, which belongs to none of the others
BLUR_PX = 1.0


@dataclass(frozen=True, slots=True)
class Seen:
    """Objects of an image."""

    annotated: int
    found: int  # of the annotated ones, by their gray value alone
    others: int  # like them, where nobody annotated anything

    @property
    def far_more(self) -> bool:
        """Whether the annotation looks far from complete."""
        every = self.annotated + self.others
        return every >= TIMES * self.annotated and self.others >= MORE


def warn_of_unannotated(store: str | Path, levels: int) -> Iterator[str]:
    """A line where far more objects are seen in a prepared image than its truth has."""
    for level in range(levels):
        array = read_array(store, of_labels(TRUTH, level))
        if math.prod(array.shape) <= LOOKED_AT_PX:
            break
    else:
        return
    ignored = read_array(store, of_labels(IGNORE, level))
    image = read_array(store, str(level))
    seen = objects_seen(image[:], array[:], ignored[:])
    if seen and seen.far_more:
        yield (
            f"{seen.annotated} objects are annotated, and {seen.others} like them, by gray value "
            "and area, are seen where nobody annotated any. Is the annotation complete? If not, "
            "`unannotated: ignore` in the dataset leaves out of training and scores what is not"
        )


def objects_seen(
    image_CYX: np.ndarray, labels_YX: np.ndarray, ignored_YX: np.ndarray
) -> Seen | None:
    """Annotated objects, and others like them; None where gray values do not tell.

    `labels_YX` are numbers of annotated objects. Ignored pixels are neither object nor ground.
    """
    numbers, areas_px = np.unique(labels_YX[labels_YX > 0], return_counts=True)
    counted_YX = ignored_YX == 0
    ground_YX = (labels_YX == 0) & counted_YX
    if len(areas_px) < FEWEST or np.median(areas_px) < LEAST_PX or not ground_YX.any():
        return None
    bright_YX = _like_objects(image_CYX, labels_YX > 0, ground_YX)
    covered = ndimage.mean(bright_YX, labels_YX, numbers)
    found = int(np.count_nonzero(np.asarray(covered) > 0.5))
    if found < BELIEVED * len(areas_px):
        return None
    near_YX = ndimage.distance_transform_edt(labels_YX == 0) <= RIM_PX
    pieces_YX, _ = ndimage.label(bright_YX & counted_YX & ~near_YX)
    sizes_px = np.bincount(pieces_YX.ravel())[1:] / np.median(areas_px)
    others = int(np.count_nonzero((sizes_px >= LIKE[0]) & (sizes_px <= LIKE[1])))
    return Seen(len(areas_px), found, others)


def _like_objects(
    image_CYX: np.ndarray, objects_YX: np.ndarray, ground_YX: np.ndarray
) -> np.ndarray:
    """Pixels nearer to the objects' median than to the ground's, in the channel that tells best.

    Nowhere if none tells.
    """
    best, told = np.zeros(objects_YX.shape, bool), TELLING
    for plane_YX in image_CYX:
        smooth_YX = ndimage.gaussian_filter(plane_YX.astype(np.float32), BLUR_PX)
        inside, outside = (float(np.median(smooth_YX[of])) for of in (objects_YX, ground_YX))
        spread = float(smooth_YX[objects_YX].std() + smooth_YX[ground_YX].std())
        apart = abs(inside - outside) / spread if spread else 0.0
        if apart > told:
            sign = 1 if inside > outside else -1
            best, told = sign * smooth_YX > sign * (inside + outside) / 2, apart
    return best
