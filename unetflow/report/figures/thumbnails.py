"""Small pictures of whole images and of objects, outlined by what became of each object.

As WebP, since a thousand of them lie in one file. Shapes: (C, Y, X) of pixels, (Y, X) of labels.
"""

from collections.abc import Mapping, Sequence

import numpy as np
from PIL import Image
from skimage.segmentation import find_boundaries

from unetflow.colours import KINDS, rgb
from unetflow.report.figures.panels import data_uri, gray_or_rgb

THUMBNAIL_PX, THUMBNAIL_BYTES = 320, 12_000  # of the longer side; as text, as a page holds it
OBJECT_PX = 112  # of a panel of an object
TINT = 0.25  # of a colour inside its objects
QUALITIES = (80, 65, 50, 35, 20)  # the first that is small enough is taken
Kinds = Mapping[int, str]
"""By id what became of the object."""
Outlined = tuple[np.ndarray, Kinds]
"""Labels (Y, X), and the kind of each; those without a kind are found."""


def thumbnail(image_CYX: np.ndarray, outlined: Sequence[Outlined]) -> tuple[str, tuple[int, int]]:
    """A picture of at most `THUMBNAIL_BYTES`, and its size [px].

    Image and labels are of one shape, which may be larger than the picture.
    """
    return small_picture(image_CYX, outlined, THUMBNAIL_PX, THUMBNAIL_BYTES)


def small_picture(
    image_CYX: np.ndarray, outlined: Sequence[Outlined], longest_px: int, most_bytes: int
) -> tuple[str, tuple[int, int]]:
    """The same of at most `most_bytes`, its longer side `longest_px` or a half, a quarter, ..."""
    while True:
        drawn = _drawn(image_CYX, outlined, longest_px)
        for quality in QUALITIES:
            uri = data_uri(drawn, quality)
            if len(uri) <= most_bytes:
                return uri, drawn.shape[:2]
        longest_px //= 2


def object_panels(image_CYX: np.ndarray, truth: Outlined, result: Outlined) -> list[str]:
    """A square of an image as it is, with the truth's objects, and with those of the result."""
    panels = [_drawn(image_CYX, of, OBJECT_PX) for of in ([], [truth], [result])]
    return [data_uri(panel, QUALITIES[2]) for panel in panels]


def kinds_panel(image_CYX: np.ndarray, truth: Outlined, result: Outlined) -> str:
    """A crop as large as it is, with the objects of the result, and those of the truth missed."""
    missed = [number for number, kind in truth[1].items() if kind == "missed"]
    only_missed = np.where(np.isin(truth[0], missed), truth[0], 0)
    drawn = _drawn(image_CYX, [result, (only_missed, truth[1])], max(image_CYX.shape[1:]))
    return data_uri(drawn, QUALITIES[0])


def _drawn(image_CYX: np.ndarray, outlined: Sequence[Outlined], longest_px: int) -> np.ndarray:
    """RGB (Y, X, 3) in [0, 1] whose longer side is `longest_px`, smaller images enlarged."""
    pixels = np.rint(gray_or_rgb(image_CYX) * 255).astype(np.uint8)
    height, width = pixels.shape[:2]
    factor = longest_px / max(height, width)
    size = (max(1, round(width * factor)), max(1, round(height * factor)))
    small = Image.fromarray(pixels).resize(size, Image.Resampling.BOX)
    drawn = np.asarray(small) / 255.0
    for labels, kinds in outlined:
        _outline(drawn, _nearest(labels, drawn.shape[:2]), kinds)
    return drawn


def _nearest(labels: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    rows, columns = (
        ((np.arange(size) + 0.5) * of / size).astype(int)
        for size, of in zip(shape, labels.shape, strict=True)
    )
    return labels[np.ix_(rows, columns)]


def _outline(drawn: np.ndarray, labels: np.ndarray, kinds: Kinds) -> None:
    """Tint objects, with lines of two pixels around them: WebP has colours at half resolution."""
    numbers, index = np.unique(labels, return_inverse=True)
    of_kinds = [rgb(KINDS[kinds.get(int(number), "found")]) for number in numbers]
    colours = np.array(of_kinds)[index.reshape(labels.shape)]
    inside = labels != 0
    edge = find_boundaries(labels, mode="inner")
    edge |= find_boundaries(labels * ~edge, mode="inner") & inside
    drawn[inside] = (1 - TINT) * drawn[inside] + TINT * colours[inside]
    drawn[edge & inside] = colours[edge & inside]
