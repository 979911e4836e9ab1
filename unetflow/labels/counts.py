"""What is in a stored truth: instances, pixels of objects, of each class and ignored."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from unetflow.labels.dataset import Dataset
from unetflow.labels.encoding import class_target
from unetflow.labels.pieces import CountingPieces, Pieces
from unetflow.store.arrays import StoredArray
from unetflow.store.names import CLASS, IGNORE, TRUTH
from unetflow.store.shards import ShardedArray
from unetflow.store.tissue_mask import Tissue
from unetflow.tiles.regions import PLANE, shard_grid, shard_region, with_halo


@dataclass(frozen=True, slots=True)
class Counts:
    """What was found in an annotation."""

    ids: frozenset[int]  # of instances
    left: frozenset[int]  # of those that keep a pixel when touching ones are separated
    outside: frozenset[int]  # of those outside the tissue, at least in part
    class_px: list[int]  # background first
    touching_px: int
    ignored_px: int
    pieces: Pieces | None  # of the numbers of instances, of images
    is_image: bool  # its labels are the pixels of the image's first channel

    def described(self, dataset: Dataset) -> dict[str, object]:
        """For the receipt."""
        return {
            "instances": None if dataset.kind == "classes" else len(self.ids),
            "object_px": sum(self.class_px[1:]),
            "ignored_px": self.ignored_px,
            "touching_px": self.touching_px,
            "class_px": dict(zip(dataset.classes, self.class_px[1:], strict=True)),
        }

    def warnings(self, dataset: Dataset) -> list[str]:
        """What is odd."""
        what = "classes" if dataset.kind == "classes" else "instances"
        found = []
        if lost := len(self.ids - self.left):
            of = f"{lost} of {len(self.ids)} instances"
            found.append(f"{of} so thin that separating touching ones leaves none")
        if self.outside:
            count = len(self.outside)
            found.append(f"{count} {what} lie outside the tissue mask, at least in part")
        if not self.ids:
            found.append("no object in this image")
        return found


def count_truth(
    arrays: Mapping[str, ShardedArray], image: StoredArray, dataset: Dataset, tissue: Tissue | None
) -> Counts:
    """Instances, pixels of objects, of each class and ignored, shard by shard.

    `image` (C, Y, X) is what the truth is of; of a volume each has Z before Y.
    """
    ids: set[int] = set()
    left: set[int] = set()
    outside: set[int] = set()
    touching_px = 0
    ignored_px = 0
    class_px = np.zeros(len(dataset.classes) + 1, np.int64)
    truth = arrays[TRUTH]
    shape = truth.array.shape
    of_image = dataset.kind == "instances" and len(shape) == PLANE
    counting = CountingPieces(shape[1]) if of_image else None
    is_image = True
    for index in shard_grid(shape, truth.array.shards):
        region = shard_region(index, shape, truth.array.shards)
        wide, inner = with_halo(region, (1,) * len(shape), shape)
        labels = np.asarray(truth.array[wide])
        of_class = np.asarray(arrays[CLASS].array[wide]) if CLASS in arrays else None
        target = class_target(labels, dataset.kind, of_class)[inner]
        if counting:
            counting.add(region, labels[: inner[0].stop, : inner[1].stop])
        labels = labels[inner]
        if not counting:
            ids.update(np.unique(labels).tolist())
        is_image = is_image and np.array_equal(image[(slice(1), *region)][0], labels)
        left.update(np.unique(labels[target != 0]).tolist())
        if tissue is not None:
            outside.update(np.unique(labels[(labels != 0) & ~tissue.inside(*region)]).tolist())
        class_px += np.bincount(target.ravel(), minlength=len(class_px))
        touching_px += int(np.count_nonzero(labels)) - int(np.count_nonzero(target))
        ignored_px += int(np.count_nonzero(arrays[IGNORE].array[region]))
    pieces = counting.pieces() if counting else None
    if pieces:
        ids.update(pieces.number.tolist())
    ids.discard(0)
    return Counts(
        ids=frozenset(ids),
        left=frozenset(left),
        outside=frozenset(outside),
        class_px=class_px.tolist(),
        touching_px=touching_px,
        ignored_px=ignored_px,
        pieces=pieces,
        is_image=is_image and bool(ids),
    )
