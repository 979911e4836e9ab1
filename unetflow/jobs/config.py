"""The config once it is checked and completed, as far as the package reads it; rules read the rest.

`workflow/schemas/config.schema.yaml` says what each key may be, and its default.
"""

from typing import Any, Literal, NotRequired, TypedDict

from unetflow.engine.distributed import EngineConfig
from unetflow.labels.dataset import Kind

# what its rows are; the key is a word of Python
DatasetAs = TypedDict("DatasetAs", {"as": Literal["slices", "volume"]})


class DatasetConfig(DatasetAs):
    truth: Kind
    classes: list[str]  # in the order of their numbers, from 1
    ignore_value: int | None  # of the truth: what nobody annotated
    label_value: int | None  # of truth of kind interior: the value inside cells
    unannotated: Literal["background", "ignore"]
    ring_px: float | None  # around annotated objects, where what nobody annotated is ignored
    percentiles: list[float] | None
    intensity: Literal["linear", "log", "local", "macenko", "reinhard"]
    intensity_px: int | None  # of local: side of a pixel's surroundings
    mpp: float | None  # [um/px] that images are brought to; None: as they are
    spacing: list[float] | None  # [um] that volumes are brought to, along z, y, x
    adjacent_planes: int  # of slices, to each side, whose channels networks see beside their own
    tissue: Literal["threshold"] | None
    images_per_job: int  # at most


class ExperimentConfig(TypedDict):
    dataset: str
    weighting: str | None
    model: str | None  # a finished one, in the place of all but the dataset
    pretrained: str | None
    segment_with: Literal["folds", "all", "ensemble"]
    seeds: list[int] | None  # None once each has an experiment of its own: `unetflow.jobs.seeds`
    head: Literal["border", "distance"] | None
    budget_min: float  # of a recipe that is chosen: `unetflow.commands.auto_rules`
    network: dict[str, Any]  # its name and options: each network has its own
    recipe: dict[str, Any]  # the preset and what is changed: `unetflow.train.recipes.Recipe`


class PredictConfig(TypedDict):
    write_px: int | None
    shard_px: int
    dtype: Literal["uint8", "float16", "float32"]
    test_time_augmentation: Literal[1, 7, 8, 16]
    precision: Literal["auto", "fp32", "bf16"]
    parts: int


class CrfConfig(TypedDict):
    """As `unetflow.refine.Crf`."""

    iterations: int
    radius_px: int
    appearance_weight: float
    appearance_px: float
    appearance_intensity: float
    smoothness_weight: float
    smoothness_px: float


class RefineConfig(TypedDict):
    smooth_px: float | None
    crf: CrfConfig | None


class PrepareConfig(TypedDict):
    keep_images: bool
    scratch: str | None
    max_unreadable: float
    on_failed_training_image: Literal["error", "leave_out"]


class InstancesConfig(TypedDict):
    separate: Literal["necks", "valleys", "seeds", "border", "distance", "none"]


class ExportConfig(TypedDict):
    formats: list[Literal["geojson", "labels", "overlay", "stack"]]
    splits: list[Literal["train", "validation", "test", "predict"]]


class PublishedConfig(TypedDict):
    metric: str
    value: float
    source: str
    variant: NotRequired[str]
    experiment: NotRequired[str]


class ReportConfig(TypedDict):
    title: str | None  # None: the name of the config's file
    overlays: int
    published: list[PublishedConfig]


class Config(TypedDict):
    results: str
    images: str
    data_dir: str
    require_gpu: bool
    retry: bool
    engine: EngineConfig
    demo: NotRequired[dict[str, int]]
    datasets: dict[str, DatasetConfig]
    prepare: PrepareConfig
    weighting: dict[str, dict[str, float]]
    experiments: dict[str, ExperimentConfig]
    predict: PredictConfig
    refine: RefineConfig
    instances: InstancesConfig
    export: ExportConfig
    report: ReportConfig
