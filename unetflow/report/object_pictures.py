"""The objects of an image that are most wrong, as pictures.

Each is a square of picture, truth and result; of a volume three planes through its middle.
"""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np

from unetflow.report.figures.thumbnails import object_panels
from unetflow.report.figures.views import shown, shown_px
from unetflow.report.pictures import ObjectPicture
from unetflow.report.worst_objects import Box, Wrong, boxes
from unetflow.store.arrays import read_array
from unetflow.store.names import INSTANCES, TRUTH, of_labels
from unetflow.store.ome import steps_of
from unetflow.tiles.regions import PLANE, Region, shard_grid, shard_region

AROUND = 2.2  # times its longer side is an object's square
SQUARE_PX = (48, 512)  # least and greatest
VOLUME_PX = (24, 256)  # the same of a volume
Kinds = Mapping[int, str]


def pictures_of(
    image: str | Path,
    prediction: str | Path,
    worst: Sequence[tuple[str, Wrong]],
    truth_kinds: Kinds,
    predicted_kinds: Kinds,
) -> Iterator[ObjectPicture]:
    """Of each of the worst, with the name of its class; kinds are of all objects by number."""
    of_truth = [wrong.id for _, wrong in worst if wrong.of_truth]
    of_result = [wrong.id for _, wrong in worst if not wrong.of_truth]
    truth = boxes(_blocks(image, of_labels(TRUTH)), of_truth) if of_truth else {}
    result = boxes(_blocks(prediction, of_labels(INSTANCES)), of_result) if of_result else {}
    shape = read_array(image, "0").shape[1:]
    steps = steps_of(image, len(shape))
    for name, wrong in worst:
        box = (truth if wrong.of_truth else result)[wrong.id]
        region, middle = _square(box, shape, steps), _middle(box)

        def view(
            store: str | Path, array: str, region: Region = region, at: Sequence[int] = middle
        ) -> np.ndarray:
            values = read_array(store, array)
            return shown(lambda part: np.asarray(values[(..., *part)]), region, at, steps)

        *_, rows, columns = region
        found: ObjectPicture = {
            "of_class": name,
            "kind": wrong.kind,
            "wrong_px": wrong.wrong_px,
            "top_px": rows.start,
            "left_px": columns.start,
            "side_px": rows.stop - rows.start,
            "panels": object_panels(
                view(image, "0"),
                (view(image, of_labels(TRUTH)), truth_kinds),
                (view(prediction, of_labels(INSTANCES)), predicted_kinds),
            ),
        }
        if len(region) > PLANE:
            found["plane_px"] = middle[0]
            sizes = [along.stop - along.start for along in region]
            found["shown_px"] = shown_px(sizes, steps)[1]
        yield found


def _middle(box: Box) -> list[int]:
    axes = len(box) // 2
    return [(start + stop) // 2 for start, stop in zip(box[:axes], box[axes:], strict=True)]


def _blocks(store: str | Path, name: str) -> Iterator[tuple[Region, np.ndarray]]:
    array = read_array(store, name)
    for index in shard_grid(array.shape, array.shards):
        region = shard_region(index, array.shape, array.shards)
        yield region, np.asarray(array[tuple(region)])


def _square(box: Box, shape: Sequence[int], steps: Sequence[float] | None = None) -> Region:
    """Around a box, moved into the image; smaller only where the image is.

    Of a volume as many planes as lie beside the square, as far as there are.
    """
    axes = len(shape)
    begins, ends = box[:axes], box[axes:]
    least, most = SQUARE_PX if axes == PLANE else VOLUME_PX
    widest = max(end - begin for begin, end in zip(begins[-PLANE:], ends[-PLANE:], strict=True))
    side = min(max(least, round(AROUND * widest)), most, *shape[-PLANE:])
    deep = [min(shape[0], max(1, round(side / steps[0])))] if steps else []
    sides = [*deep, side, side]
    starts = (
        max(0, min((begin + end - own) // 2, size - own))
        for begin, end, size, own in zip(begins, ends, shape, sides, strict=True)
    )
    return tuple(slice(start, start + own) for start, own in zip(starts, sides, strict=True))
