"""Validation images in memory, for a search that labels them again and again.

Of an image larger than `SIDE_PX` (a volume larger than `VOLUME_SIDE_PX`) the part with most of the
truth is taken, of very many images as many, spread evenly, as have `MOST_PX` pixels.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path

import dask.array as da
import numpy as np

from unetflow.components.objects_of_image import label_image
from unetflow.components.pieces_of_block import Labelling
from unetflow.evaluate.image_scores import Truth
from unetflow.evaluate.searching import Judged
from unetflow.labels.annotation import Annotation
from unetflow.labels.dataset import Dataset
from unetflow.labels.places import places_of_objects
from unetflow.store.foreground import read_foreground_lazily
from unetflow.store.names import FOREGROUND
from unetflow.tiles.regions import PLANE, Region

SIDE_PX = 2048
VOLUME_SIDE_PX = 160  # of volumes, that have as many pixels then
COARSE_PX = 2048  # of the level of the truth on which its objects are counted
MOST_PX = 2**22  # a try takes seconds then, a search minutes


def read_judged(
    images: Sequence[str | Path],
    predictions: Sequence[str | Path],
    dataset: Dataset,
    *,
    foreground: str = FOREGROUND,
    heads: str | None = None,
) -> dict[str, list[Judged]]:
    """By class what the search looks at.

    `foreground` and `heads` name arrays of the stores of predictions. Of truth of kind "classes"
    the objects are the connected components of a class.
    """
    parts = [_part_of(image, dataset) for image in images]
    sizes = [np.prod([side.stop - side.start for side in part]) for part in parts]
    step = max(1, -(-int(sum(sizes)) // MOST_PX))
    chosen = list(zip(images, predictions, parts, strict=True))[::step]
    return {
        name: [
            _judged(Truth(image, dataset, number), prediction, part, foreground, heads)
            for image, prediction, part in chosen
        ]
        for number, name in enumerate(dataset.classes, start=1)
    }


def notes_of(judged: Sequence[Judged], images: int) -> Iterator[str]:
    """What the search did not look at, in words."""
    if len(judged) < images:
        yield f"the object step is chosen on {len(judged)} of {images} validation images"
    for side_px in sorted({_side_px(each.truth.ndim) for each in judged}):
        if any(max(each.truth.shape) == side_px for each in judged):
            yield (
                f"of validation images above {side_px} px it is chosen on the part with most "
                "objects"
            )


def _side_px(axes: int) -> int:
    return SIDE_PX if axes <= PLANE else VOLUME_SIDE_PX


def _judged(
    truth: Truth, prediction: str | Path, part: Region, foreground: str, heads: str | None
) -> Judged:
    arrays = [truth.labels, truth.ignore, truth.foreground_of(prediction, foreground)]
    arrays.append(truth.interior)
    if heads is not None:
        arrays.append(read_foreground_lazily(prediction, heads)[0])
    labels, ignore, light, target, *head = da.compute(*(array[part] for array in arrays))
    if not truth.has_instances:
        labels = label_image(labels != 0, Labelling())
    # what is annotated with several numbers and touches is apart in the target
    of_head = head[0] if head else None
    return Judged(labels, ignore, light, target != 0, of_head, truth.steps)


def _part_of(image: str | Path, dataset: Dataset) -> Region:
    """The whole image, or of a large one a square (or cube) with most pixels of objects."""
    shape = Annotation(image, dataset.kind, len(dataset.classes)).labels.shape
    side_px = _side_px(len(shape))
    if max(shape) <= side_px:
        return tuple(slice(0, size) for size in shape)
    places = places_of_objects(image, COARSE_PX)
    grid = [-(-size // side_px) for size in shape]
    counts = np.bincount(
        np.ravel_multi_index(tuple((places // side_px).T), grid), minlength=int(np.prod(grid))
    )
    most = np.unravel_index(int(counts.argmax()), grid)
    starts = [
        max(0, min(int(index) * side_px, size - side_px))
        for index, size in zip(most, shape, strict=True)
    ]
    return tuple(
        slice(start, min(start + side_px, size)) for start, size in zip(starts, shape, strict=True)
    )
