"""What the job of an image draws of it for the report: a thumbnail, and its worst objects."""

from typing import TypedDict


class ObjectPicture(TypedDict):
    """An object that is wrong, as the same square of picture, truth and result."""

    of_class: str
    kind: str  # `unetflow.metrics.object_errors`
    wrong_px: int  # `unetflow.report.worst_objects`
    top_px: int  # of the square in the image, as the next two
    left_px: int
    side_px: int
    panels: list[str]  # as a page holds them


class ImagePictures(TypedDict):
    """Of an image in one run."""

    size_px: list[int]  # (Y, X)
    um_per_px: float | None
    thumbnail: str  # as a page holds it
    thumbnail_px: list[int]  # (Y, X)
    objects: int
    area_px: int  # of all objects
    kinds: dict[str, int]  # objects by kind; empty where there is no truth of instances
    warnings: list[str]  # of its foreground
    worst: list[ObjectPicture]  # most wrong pixels first
