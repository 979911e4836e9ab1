"""In how many pieces each number of a truth lies: is that a number of an object at all?

Pieces are pixels of one number that hang together by edges or corners:

    1 1 0 2
    0 0 1 0        1 lies in one piece, 2 in two
    2 2 0 0
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from unetflow.errors import LabelsError
from unetflow.tiles.regions import Region

BULK = 0.9  # of a number's pixels: a piece of so many is the object, what else there is are crumbs
FEW, MANY = 3, 10  # pieces
OFTEN = 0.1  # of the numbers
LARGEST = (255, 32767, 65535, 2**31 - 1, 2**32 - 1)  # numbers of a type of pixel
MASK_VALUES = (1, *LARGEST)  # of what is inside, as programs write masks
OF_POLYGONS = (
    "Split the polygon (in QuPath: Objects, Annotations, Split annotations), or set the dataset's "
    "truth to classes if areas are meant and no objects."
)
OF_MASKS = (
    "If it is a mask, set the dataset's truth to interior (what hangs together is one object) or "
    "classes (pixels, no objects), or number its pieces (Fiji: Connected Components Labeling; "
    "Python: skimage.measure.label). If it is one object in pieces, give it the number 2."
)


@dataclass(frozen=True, slots=True)
class Pieces:
    """Of numbers, in ascending order (or as they come): how many pieces, and their pixels."""

    number: np.ndarray  # int64, as the others
    count: np.ndarray
    area_px: np.ndarray
    largest_px: np.ndarray  # of one piece

    @classmethod
    def of_each(cls, number: np.ndarray, area_px: np.ndarray) -> "Pieces":
        """Pieces one by one, with the number and the pixels of each."""
        return cls.joined([cls(number, np.ones_like(area_px), area_px, area_px)])

    @classmethod
    def joined(cls, parts: "list[Pieces]") -> "Pieces":
        """The pieces of all parts, by number."""
        number, of = np.unique(np.concatenate([p.number for p in parts]), return_inverse=True)
        count, area_px, largest_px = np.zeros((3, len(number)), np.int64)
        np.add.at(count, of, np.concatenate([p.count for p in parts]))
        np.add.at(area_px, of, np.concatenate([p.area_px for p in parts]))
        np.maximum.at(largest_px, of, np.concatenate([p.largest_px for p in parts]))
        return cls(number, count, area_px, largest_px)

    @property
    def scattered(self) -> np.ndarray:
        """Whether each number lies in pieces of which none is the bulk of it."""
        return (self.count > 1) & (self.largest_px < BULK * self.area_px)


class CountingPieces:
    """Counts pieces shard by shard, in raster order; what reaches into other shards is joined.

    In memory is what lies along the edges of shards, never the image.
    """

    def __init__(self, width_px: int) -> None:
        self._found: list[Pieces] = []
        # pieces that may go on: the number and pixels of each, and which are one
        self._open: list[tuple[np.ndarray, np.ndarray]] = []
        self._count = 0
        self._same: list[np.ndarray] = []  # (N, 2)
        # open pieces (from 1, 0 is none) of the last row of the shards above and of these here,
        # and of the last column of the shard before
        self._above, self._here = np.zeros((2, width_px), np.int64)
        self._before = np.zeros(0, np.int64)

    def add(self, region: Region, labels: np.ndarray) -> None:
        """The next shard; `labels` begin one pixel before its region, where the image does not.

        So each piece that crosses an edge has pixels in both shards, which say that it is one.
        """
        from skimage.measure import label  # half a second that other truths do without

        columns = region[1]
        top, left = (min(1, part.start) for part in region)
        found = label(labels, connectivity=2)
        number = np.zeros(int(found.max()) + 1, np.int64)
        number[found] = labels
        area_px = np.bincount(found[top:, left:].ravel(), minlength=len(number))
        goes_on = np.zeros(len(number), bool)
        for edge in (found[0], found[-1], found[:, 0], found[:, -1]):
            goes_on[edge] = True
        goes_on[0] = False
        whole = ~goes_on & (number != 0)
        self._found.append(Pieces.of_each(number[whole], area_px[whole]))
        self._open.append((number[goes_on], area_px[goes_on]))
        piece = np.zeros(len(number), np.int64)
        piece[goes_on] = np.arange(self._count, self._count + goes_on.sum()) + 1
        self._count += int(goes_on.sum())
        if columns.start == 0:
            self._above, self._here = self._here, np.zeros_like(self._here)
        if top:
            self._join(self._above[columns.start - left : columns.stop], piece[found[0]])
        if left:
            self._join(self._before, piece[found[top:, 0]])
        self._here[columns] = piece[found[-1, left:]]
        self._before = piece[found[top:, -1]]

    def _join(self, one: np.ndarray, other: np.ndarray) -> None:
        """Open pieces of the same pixels, seen from two shards."""
        pairs = np.stack([one, other], axis=1)[one != 0]
        self._same.append(np.unique(pairs, axis=0))

    def pieces(self) -> Pieces:
        """Of each number of the shards so far."""
        from scipy.sparse import coo_array
        from scipy.sparse.csgraph import connected_components

        if not self._open:
            return Pieces.joined([Pieces.of_each(*np.zeros((2, 0), np.int64))])
        number, area_px = (np.concatenate(part) for part in zip(*self._open, strict=True))
        one, other = np.concatenate([np.zeros((0, 2), np.int64), *self._same]).T - 1
        graph = coo_array((np.ones(len(one), bool), (one, other)), (self._count, self._count))
        count, of = connected_components(graph, directed=False) if self._count else (0, number)
        number_of, area_of = np.zeros((2, count), np.int64)
        number_of[of] = number
        np.add.at(area_of, of, area_px)
        return Pieces.joined([*self._found, Pieces.of_each(number_of, area_of)])


def odd_numbers(pieces: Pieces, path: str, *, are_polygons: bool) -> Iterator[str]:
    """Warnings where numbers lie in several pieces, or one may mark what nobody annotated.

    Raises LabelsError where they can be no numbers of objects: a mask has one for all of them, and
    of classes and of gray values most are scattered over the image.
    """
    scattered, total = pieces.scattered, len(pieces.number)
    most = int(np.where(scattered, pieces.count, 0).argmax()) if total else 0
    number, count = (
        int(of[most]) if scattered.any() else 0 for of in (pieces.number, pieces.count)
    )
    if total == 1 and count >= FEW and number in MASK_VALUES:
        raise LabelsError(
            f"{path}: all that is annotated has the number {number} and lies in {count} pieces "
            "that do not touch, but in a truth of kind instances each object has its own number. "
            + (OF_POLYGONS if are_polygons else OF_MASKS)
        )
    # a few branched objects, cut by a plane, may be in as many pieces
    least = FEW if total >= MANY else MANY
    many = int((scattered & (pieces.count >= least)).sum())
    if total > 1 and 2 * many > total:
        raise LabelsError(
            f"{path}: {many} of its {total} numbers lie in {least} pieces or more that do not "
            f"touch (number {number} in {count}), but in a truth of kind instances each object has "
            "its own number. If they are classes, set the dataset's truth to classes and name "
            "them. If the file was saved as JPEG, resampled or smoothed on its way, or is an image "
            "and no truth, take the labels as they were drawn. If objects are in pieces, number "
            "each piece."
        )
    several = int(scattered.sum())
    # another object may cover one in part, so that it lies in two
    often = several > OFTEN * total and (count >= FEW or total == 1)
    if often or count >= MANY:
        yield (
            f"{several} of {total} numbers lie in several pieces that do not touch (number "
            f"{number} in {count}), and are taken as one object each"
        )
    last = pieces.number[-2:].tolist()
    if not are_polygons and total > 1 and last[1] in LARGEST and last[0] != last[1] - 1:
        yield (
            f"number {last[1]} is taken as an object; where it means that nobody annotated the "
            "pixels, set the dataset's ignore_value to it"
        )


def ground_as_object(pieces: Pieces, annotated_px: int) -> Iterator[str]:
    """A warning where no annotated pixel is 0 and one number has most: it may be the ground.

    As watersheds number it, with 1 for the ground.
    """
    most_px = int(pieces.area_px.max(initial=0))
    if len(pieces.number) > 1 and pieces.area_px.sum() == annotated_px < 2 * most_px:
        yield (
            f"no pixel is background (0), and number {pieces.number[pieces.area_px.argmax()]} is "
            f"taken as an object with {most_px / annotated_px:.0%} of all pixels; if it is the "
            "background, write 0 in its place"
        )
