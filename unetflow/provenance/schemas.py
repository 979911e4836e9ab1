"""What receipts hold. Types alone, which a checker reads: nothing here can change a result."""

from typing import TYPE_CHECKING, NotRequired, TypedDict

if TYPE_CHECKING:
    from unetflow.evaluate.choosing import ChosenThreshold, MadeInstances
    from unetflow.evaluate.object_stages import Stages
    from unetflow.evaluate.object_step import Search
    from unetflow.networks.description import FeatureMap


class LevelOfImage(TypedDict):
    """A level of a prepared image."""

    shape: list[int]  # (C, Y, X), of a volume (C, Z, Y, X)
    digest: str
    mpp: float | None  # [um/px]
    spacing: NotRequired[list[float]]  # of volumes: of a pixel along z, y, x, in `unit`
    unit: NotRequired[str | None]  # None: as one to another


class LevelOfFile(TypedDict):
    """A level of the file that an image was made of."""

    shape: list[int]  # (Y, X), of a volume (Z, Y, X)
    pixel_um: list[float] | None  # height and width of a pixel, of a volume from z on


class Unreadable(TypedDict):
    """A place of a prepared image that could not be read [px], ends excluded."""

    planes: NotRequired[list[int]]  # of volumes
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
    not_applied: list[str]  # what its row asks for and its file has no choice of
    odd: NotRequired[list[str]]  # about the file, in words
    unreadable: list[Unreadable]
    tissue: TissueOfImage | None
    pixels: Intensities
    shards: str  # digest of the list of its shards' digests


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
    shards: str  # digest of the list of its shards' digests


OF_MODEL = "model"  # who chose a threshold that a finished model brought with it


class Calibration(TypedDict):
    """Of the object step and the thresholds that validation images chose."""

    thresholds: "list[ChosenThreshold]"
    instances: "dict[str, MadeInstances]"  # by class
    images: int
    search: "Search | None"  # None: nothing was searched
    stages: "dict[str, Stages]"  # by class
    warnings: list[str]
    deployed: str | None  # digest of `deploy.safetensors`; None: there is none


class ForegroundReceipt(TypedDict):
    """Of a finished foreground."""

    heads: NotRequired[str]  # digest, where the network has a head
    shape: list[int]  # (K, Y, X)
    dtype: str
    precision: str
    warnings: list[str]  # the image is unlike those of the training
    tiles: NotRequired[str]  # a warning, where they are smaller than those of other images
    digest: str
    shards: str  # digest of the list of its shards' digests


class RefinedReceipt(TypedDict):
    """Of a refined foreground."""

    shape: list[int]  # (K, Y, X)
    dtype: str
    digest: str
    shards: str  # digest of the list of its shards' digests


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
    shards: str  # digest of the list of its shards' digests


class StatisticsReceipt(TypedDict):
    """Of the training images of a fold."""

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
    """Of a trained network."""

    network: NetworkOptions
    truth: str  # kind of the dataset
    classes: list[str]
    recipe: dict[str, object]
    digest: str  # of the model file
    parameters: int
    multiply_adds_per_px: float | None  # of output; None where they cannot be counted
    training_images: int
    validation_images: int
    best: BestStep
    feature_maps: "NotRequired[list[FeatureMap]]"  # of a training patch; none: it is not traced
    rising_by: NotRequired[float | None]  # IoU in the last quarter of the steps; None: not so


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
    peak_mib: float  # most memory that the process had, of the machine
    gpu_peak_mib: float  # the same of its GPU
    gpu_busy: float | None  # share of the time in which it computed, None where not known
    training_s: float
    computed_px: int  # of an image's foreground, by the last start of the job
    computing_s: float  # in which it did
    machines: list[MachineRecord]  # of a training that went on elsewhere
