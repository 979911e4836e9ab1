"""What receipts hold. Types alone, which a checker reads: nothing here can change a result."""

from typing import TYPE_CHECKING, TypedDict

if TYPE_CHECKING:
    from unetflow.evaluate.choosing import ChosenThreshold, InstanceThreshold


class LevelOfImage(TypedDict):
    """A level of a prepared image."""

    shape: list[int]  # (C, Y, X)
    digest: str
    mpp: float | None  # [um/px]


class LevelOfFile(TypedDict):
    """A level of the file that an image was made of."""

    shape: list[int]  # (Y, X)
    mpp: float | None  # [um/px]


class Unreadable(TypedDict):
    """A place of a prepared image that could not be read [px], ends excluded."""

    rows: list[int]
    columns: list[int]
    why: str


class TissueOfImage(TypedDict):
    """Where an image shows something."""

    by: str  # what decided
    share: float  # of its cells
    cells: list[int]  # (rows, columns)
    digest: str


class Intensities(TypedDict):
    """Of each channel over all pixels."""

    lowest: list[float]
    highest: list[float]
    mean: list[float]
    deviation: list[float]


class ImageReceipt(TypedDict):
    """Of a prepared image."""

    axes: list[str]
    dtype: str
    levels: list[LevelOfImage]  # finest first
    level: int  # of the file
    levels_of_file: list[LevelOfFile]
    unreadable: list[Unreadable]
    tissue: TissueOfImage | None
    pixels: Intensities


class TruthReceipt(TypedDict):
    """Of a prepared annotation."""

    shape: list[int]  # (Y, X)
    digest: str
    instances: int | None  # None: of kind classes
    object_px: int
    ignored_px: int
    touching_px: int  # lost by separating what touches
    class_px: dict[str, int]
    warnings: list[str]


class Calibration(TypedDict):
    """Of the thresholds that validation images chose."""

    thresholds: "list[ChosenThreshold]"
    instances: "dict[str, InstanceThreshold]"  # by class
    images: int


class ForegroundReceipt(TypedDict):
    """Of a finished foreground."""

    shape: list[int]  # (K, Y, X)
    dtype: str
    precision: str
    warnings: list[str]
    digest: str


class InstancesOfClass(TypedDict):
    """Of the stored instances of a class, whose ids are consecutive."""

    threshold: float
    instances: int
    first_id: int
    area_px: int


class InstancesReceipt(TypedDict):
    """Of stored instances."""

    shape: list[int]  # (Y, X)
    digest: str
    instances: int
    classes: dict[str, InstancesOfClass]
