"""What jobs of an image make of it for the report: a thumbnail, its worst objects, tiles."""

from collections.abc import Iterable, Sequence
from typing import NotRequired, TypedDict

from unetflow.tiles.regions import PLANE, Region

CROP_PX = 512  # side of the largest crop of an image
VOLUME_PX = 256  # and of a volume
TILE_PX = 512  # side of a tile of a slide
PICTURE, FOREGROUND, TRUTH, RESULT = "picture", "foreground", "truth", "result"  # layers of tiles
ENDINGS = {PICTURE: "jpg", FOREGROUND: "jpg", TRUTH: "png", RESULT: "png"}
LEAST_PX, MOST_PX = 2048, 32_768  # longer side of what has tiles, and of their finest level


class ObjectPicture(TypedDict):
    """An object that is wrong, as the same square of picture, truth and result."""

    of_class: str
    kind: str  # `unetflow.metrics.object_errors`
    wrong_px: int  # `unetflow.report.worst_objects`
    plane_px: NotRequired[int]  # of a volume: the plane that is shown
    top_px: int  # of the square in the image, as the next two
    left_px: int
    side_px: int
    shown_px: NotRequired[int]  # of a volume: width of a panel, which holds planes along z too
    panels: list[str]  # as a page holds them


class Matched(TypedDict):
    """Objects of a class that are matched one to one at an IoU."""

    of_class: str
    iou: float
    found: int
    annotated: int
    predicted: int


class OfSize(TypedDict):
    """Annotated objects of a kind, from a size to twice that."""

    kind: str
    least_px: int  # a power of 2
    objects: int


class KindsInCrop(TypedDict):
    """What became of the objects in `crop_region`, but of those found."""

    of_class: str
    truth: dict[str, str]  # kind by id
    predicted: dict[str, str]


class PanelOfPlanes(TypedDict):
    """One way to show a volume: the views of the whole, and planes along z."""

    name: str  # picture, truth, result
    views: str  # as a page holds it: (y, x), right of it (y, z), below (z, x)
    planes: list[str]  # (y, x)


class VolumePlanes(TypedDict):
    """Planes of a volume, evenly spread along z: `unetflow.report.figures.planes`."""

    at_px: list[int]  # which planes of the finest level
    views_px: list[int]  # (H, W) of the pictures of views
    plane_share: list[float]  # of the views' height and width, that of the plane (y, x)
    deep_from: list[float]  # where, in the same shares, the planes along z begin
    deep_at: list[float]  # where each plane lies in them, 0 the first, 1 the last
    panels: list[PanelOfPlanes]


class ImagePictures(TypedDict):
    """Of an image in one run."""

    size_px: list[int]  # (Y, X), or (Z, Y, X)
    um_per_px: float | None
    um3_per_px: NotRequired[float | None]  # of a volume
    shown_px: NotRequired[list[int]]  # of a volume: (H, W) of its views
    planes: NotRequired[VolumePlanes]  # of a volume
    thumbnail: str  # as a page holds it
    thumbnail_px: list[int]  # (Y, X)
    objects: int
    area_px: int  # of all objects
    kinds: dict[str, int]  # objects by kind; empty where there is no truth of instances
    matched: list[Matched]  # at the IoUs of DSB 2018; empty where there is no such truth
    sizes: list[OfSize]  # the same
    warnings: list[str]  # of its foreground
    worst: list[ObjectPicture]  # most wrong pixels first
    # (Y, X) or (Z, Y, X) amid the most wrong pixels; None where nothing is judged
    worst_px: list[int] | None
    crops: list[KindsInCrop]  # of each class; empty where there is no such truth


class SlideTiles(TypedDict):
    """What a viewer has to know of the tiles of an image: `unetflow.report.tiles`."""

    size_px: list[int]  # (Y, X) of their finest level
    downsample: int  # of this level, to the image
    levels: int
    tile_px: int
    layers: list[str]  # none: the image is too small for tiles


def crop_region(
    shape_px: Sequence[int],
    worst: Iterable[ObjectPicture],
    worst_px: Sequence[int] | None,
    name: str,
    steps: Sequence[float] | None = None,
) -> Region:
    """What the report shows of an image: at most `CROP_PX` around its `crop_middle`.

    Of a volume, whose pixels have sides of `steps` in their width, at most `VOLUME_PX`.
    """
    middle = crop_middle(shape_px, worst, worst_px, name)
    most = [max(1, round(VOLUME_PX / step)) for step in steps] if steps else [CROP_PX] * PLANE
    starts = (
        max(0, min(at - side // 2, size - side))
        for at, side, size in zip(middle, most, shape_px, strict=True)
    )
    return tuple(
        slice(start, min(start + side, size))
        for start, side, size in zip(starts, most, shape_px, strict=True)
    )


def crop_middle(
    shape_px: Sequence[int],
    worst: Iterable[ObjectPicture],
    worst_px: Sequence[int] | None,
    name: str,
) -> Sequence[int]:
    """Where the worst object of a class lies [px], else `worst_px`, else amid the image."""
    for wrong in worst:
        if wrong["of_class"] == name:
            half = wrong["side_px"] // 2
            planes = [wrong["plane_px"]] if "plane_px" in wrong else []
            return *planes, wrong["top_px"] + half, wrong["left_px"] + half
    return worst_px or [size // 2 for size in shape_px]
