"""What a pair of images is scored as, and masks that were given as instances."""

from collections.abc import Iterator

import dask
import numpy as np

from unetflow.components.objects_of_image import find_objects
from unetflow.components.pieces_of_block import Labelling
from unetflow.errors import LabelsError
from unetflow.images.whole import WholeImage
from unetflow.labels.pieces import CountingPieces, odd_numbers
from unetflow.metrics.blocks import blocks_of, is_chunked
from unetflow.tiles.regions import PLANE, Region

SIDE_PX = {2: 1024, 3: 128}  # of what is labelled at once, by the number of axes
FEW = 10  # objects, up to which they may be a mask or classes; and pieces of a class


def kind_of(truth: WholeImage, prediction: WholeImage) -> str:
    """Membranes or instances. Raises ValueError where it may be either.

    Zarr is read block by block, up to where it is settled.
    """
    type_of_values = prediction.dtype.kind
    if type_of_values == "b" or (type_of_values == "f" and not _are_numbers(prediction)):
        return "membranes"
    values: set[float] = set()
    for block in _blocks(truth):
        values.update(np.unique(block).tolist())
        if len(values) > 2 and type_of_values in "iuf":
            return "instances"
    raise ValueError(
        f"the truth holds {len(values)} value(s) and the prediction is {prediction.dtype}: this "
        "may be membranes or instances. Say which: --kind membranes or --kind instances."
    )


def in_pieces(image: WholeImage, *, frames: bool) -> str:
    """What is odd in labels of which few numbers lie in many pieces; empty where nothing is."""
    if len(image.shape) - frames not in SIDE_PX:
        return ""
    planes = (np.asarray(image[k]) for k in range(image.shape[0])) if frames else [image]
    found = [_numbers_and_pieces(plane) for plane in planes]
    numbers, pieces = (sum(counts) for counts in zip(*found, strict=True))
    several = any(own > 1 for own, _ in found)
    if pieces <= numbers or (several and pieces < FEW * numbers):
        return ""
    lie = f"{numbers} numbers of objects lie" if numbers > 1 else "the one number of objects lies"
    return (
        f"{lie} in {pieces} pieces, and each counts as one object: is it a mask, or are they "
        "classes? Number the objects first (unetflow.instances.label_instances), or score with "
        "--kind membranes"
    )


def touching(truth: np.ndarray) -> str:
    """What is odd in a truth of membranes (..., Y, X) whose numbers touch; empty where none do."""
    along_y, along_x = (truth[..., 1:, :], truth[..., :-1, :]), (truth[..., 1:], truth[..., :-1])
    if not any(((a != b) & (a != 0) & (b != 0)).any() for a, b in (along_y, along_x)):
        return ""
    return (
        "objects of different numbers touch, and count as one region here, since only 0 lies "
        "between regions. Put 0 between them, or number the objects of the prediction too "
        "(unetflow.instances.label_instances) and score with --kind instances"
    )


def scattered(image: WholeImage) -> str:
    """What is odd in labels (Y, X) of which most numbers lie all over; empty where nothing is."""
    if len(image.shape) != PLANE or is_chunked(image):
        return ""
    height, width = image.shape
    counting = CountingPieces(width)
    counting.add((slice(0, height), slice(0, width)), np.asarray(image))
    try:
        list(odd_numbers(counting.pieces(), "", are_polygons=False))
    except LabelsError:
        return (
            "most of its numbers lie in many pieces, and each counts as one object: are they gray "
            "values or probabilities, or were labels smoothed or resampled? Give the labels"
        )
    return ""


def _numbers_and_pieces(labels: WholeImage) -> tuple[int, int]:
    """How many numbers there are but 0, and connected components, by corners too."""
    numbers: set[float] = set()

    def read(region: Region) -> tuple[np.ndarray, None, None]:
        block = np.asarray(labels[region])
        numbers.update(np.unique(block).tolist())
        return block != 0, None, None

    axes = len(labels.shape)
    found = find_objects(read, labels.shape, (SIDE_PX[axes],) * axes, Labelling(connectivity=axes))
    return len(numbers - {0}), found.count


def _are_numbers(image: WholeImage) -> bool:
    """Whether floats are numbers of objects: whole (or NaN), and beyond 0 and 1."""
    highest = 0.0
    for block in _blocks(image):
        numbers = block[~np.isnan(block)]
        if (numbers != np.floor(numbers)).any():
            return False
        highest = max(highest, float(numbers.max(initial=0)))
    return highest > 1


def _blocks(image: WholeImage) -> Iterator[np.ndarray]:
    """An image in memory as it is, of Zarr block by block."""
    if not is_chunked(image):
        yield np.asarray(image)
        return
    for _, tasks in blocks_of([image]):
        yield dask.compute(*tasks, scheduler="synchronous")[0]
