"""Pixels of float images that are no numbers: NaN, infinite, or too large to reckon with.

One of them would spread over all that a network sees of its surroundings. They become 0, and are
places that could not be read: ignored in the truth, and listed.
"""

from collections.abc import Iterator

import numpy as np

from unetflow.tiles.regions import PLANE, Region

LARGEST = 1e18  # its square, which deviations are made of, is still a float32
WHY = f"NaN, infinite or beyond {LARGEST:g}"
MOST_PLACES = 1000  # of a block; scattered over more they are told in squares that hold them
SIDES_PX = (1, 4, 16, 64)  # of the squares


def without_numbers(pixels_CYX: np.ndarray) -> tuple[np.ndarray, list[Region]]:
    """The pixels with 0 in place of what is no number, and the (rows, columns) where that was.

    Of a volume (C, Z, Y, X) the (planes, rows, columns), plane by plane.
    """
    if pixels_CYX.dtype.kind != "f":
        return pixels_CYX, []
    if pixels_CYX.ndim > 1 + PLANE:
        found = [without_numbers(pixels_CYX[:, k]) for k in range(pixels_CYX.shape[1])]
        places = [(slice(k, k + 1), *at) for k, (_, of) in enumerate(found) for at in of]
        good = np.stack([plane for plane, _ in found], axis=1) if places else pixels_CYX
        return good, places
    largest = min(LARGEST, float(np.finfo(pixels_CYX.dtype).max))
    good = np.abs(pixels_CYX) <= largest  # False of NaN too
    if good.all():
        return pixels_CYX, []
    bad_YX = np.asarray(~good.all(axis=0))
    for side_px in SIDES_PX:
        places = list(_rectangles(_in_squares(bad_YX, side_px)))
        if len(places) <= MOST_PLACES:
            break
    height, width = bad_YX.shape
    return np.where(good, pixels_CYX, 0), [
        (
            slice(rows.start * side_px, min(rows.stop * side_px, height)),
            slice(columns.start * side_px, min(columns.stop * side_px, width)),
        )
        for rows, columns in places
    ]


def _in_squares(flags_YX: np.ndarray, side_px: int) -> np.ndarray:
    """Whether squares of this side hold a flag."""
    padding = [(0, -size % side_px) for size in flags_YX.shape]
    padded = np.pad(flags_YX, padding)
    height, width = (size // side_px for size in padded.shape)
    squares = padded.reshape(height, side_px, width, side_px)
    return np.asarray(squares.any(axis=(1, 3)))


def _rectangles(flags_YX: np.ndarray) -> Iterator[Region]:
    """Rectangles that cover the flags and nothing else: runs of a row, as long as rows repeat them.

    . # # .
    . # # #   ->   rows 0 to 1, columns 1 to 3; rows 1 to 2, columns 1 to 4
    """
    begun: dict[tuple[int, int], int] = {}  # the row that a run began in
    nothing = np.zeros((1, flags_YX.shape[1]), bool)
    for row, flags in enumerate(np.concatenate([flags_YX, nothing])):
        ends = np.flatnonzero(np.diff(np.pad(flags.astype(np.int8), 1))).tolist()
        runs = set(zip(ends[::2], ends[1::2], strict=True))
        for run in sorted(begun.keys() - runs):
            yield slice(begun.pop(run), row), slice(*run)
        for run in runs - begun.keys():
            begun[run] = row
