"""What receipts and run records hold, for type checkers: nothing here runs."""

from typing import TypedDict

# What the report and the exports read


class Level(TypedDict):
    """A level of an image's pyramid, 0 the finest."""

    shape: list[int]  # (C, Y, X) [px]
    digest: str
    mpp: float | None  # [um/px]


class LevelOfFile(TypedDict):
    """A level of the file that an image comes from."""

    shape: list[int]  # (Y, X) [px]
    mpp: float | None  # [um/px]


class Intensities(TypedDict):
    """Of all pixels of an image, by channel."""

    lowest: list[float]
    highest: list[float]
    mean: list[float]
    deviation: list[float]


class ImageReceipt(TypedDict):
    """Of rule prepare_image."""

    axes: list[str]
    dtype: str
    levels: list[Level]
    level: int  # of the file, that the finest one is made of
    levels_of_file: list[LevelOfFile]
    pixels: Intensities


class TruthReceipt(TypedDict):
    """Of rule prepare_truth."""

    shape: list[int]  # (Y, X) [px]
    digest: str
    warnings: list[str]


class StatisticsReceipt(TypedDict):
    """Of rule statistics."""

    channels: int
    class_px: list[int]  # background first, as the next
    class_weights: list[float]


class BestStep(TypedDict):
    """The step of a training that the model is kept of."""

    step: int
    validation_loss: float | None  # None without validation images, as the next
    validation_iou: float | None


class NetworkOptions(TypedDict):
    """A network as the config names it, with its channels and classes; others beside these."""

    name: str
    depth: int


class ModelReceipt(TypedDict):
    """Of rule train."""

    network: NetworkOptions
    truth: str  # kind of the dataset
    classes: list[str]
    recipe: dict[str, object]
    parameters: int
    training_images: int
    validation_images: int
    best: BestStep


class ChosenThreshold(TypedDict):
    """Who chose the threshold of a class's stored instances."""

    threshold: float
    by: str  # metric and variant, or "default" without validation images


class CalibrationReceipt(TypedDict):
    """Of rule calibrate."""

    images: int
    instances: dict[str, ChosenThreshold]  # by class


class InstancesOfClass(TypedDict):
    """Stored instances of one class; their numbers follow one another."""

    first_id: int
    instances: int
    area_px: int
    threshold: float


class InstancesReceipt(TypedDict):
    """Of rule instances."""

    shape: list[int]  # (Y, X) [px]
    digest: str
    classes: dict[str, InstancesOfClass]


class MachineRecord(TypedDict, total=False):
    """What a job, or a part of it, ran on."""

    device: str
    precision: str
    threads: int


class RunRecordContent(MachineRecord, total=False):
    """A run record; each stage adds what it knows."""

    seconds: float
    ended: str  # ISO 8601
    host: str
    python: str
    versions: dict[str, str]
    commit: str | None
    training_s: float
    machines: list[MachineRecord]  # of a training that went on elsewhere
