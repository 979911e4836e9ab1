"""4-connected components of a binary image, numbered in raster order."""

from numpy.typing import ArrayLike

from unetflow.components.objects_of_image import label_image
from unetflow.components.pieces_of_block import Labelling
from unetflow.metrics.checks import LabelArray, slice_of


def label_interior(interior: ArrayLike) -> LabelArray:
    """Number the 4-connected components of a binary (Y, X) image.

    0 is membrane; ids run from 1 in the order of each component's first pixel in raster order.

        1 1 0 1        1 1 0 2
        0 0 1 0   ->   0 0 3 0      (diagonal neighbours stay apart)
    """
    return label_image(slice_of(interior), Labelling())
