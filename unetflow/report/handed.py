"""What the rule hands to the report: the config and the names of files, each of this config's."""

from collections.abc import Mapping
from typing import NotRequired, TypedDict


class ImageFiles(TypedDict):
    """Of a test image, in one run."""

    store: str  # pixels and truth
    prediction: str  # store of foreground and instances
    pixels: str  # receipt, as the next
    truth: str
    foreground: str
    scored: str  # of the foreground that is thresholded: as predicted, or refined
    instances: str
    parts: list[str]  # of the jobs that shared its foreground; none where one did it


class PicturesFile(TypedDict):
    """What was drawn of an image in one run."""

    experiment: str
    fold: str
    image: str
    split: str  # test or predict
    pictures: str


class TilesFile(TypedDict):
    """Tiles of a slide in one run."""

    experiment: str
    fold: str
    image: str
    receipt: str
    folder: str  # of its tiles, as the page beside them names it


class WeightFiles(TypedDict):
    """A weight map and its training image."""

    image: str  # name
    store: str
    map: str


class RunFiles(TypedDict):
    """Of one experiment and fold."""

    experiment: str
    fold: str
    step_px: int  # of the network: its pattern repeats
    before_px: list[int]  # its halo along y and x, as the next
    after_px: list[int]
    why: str  # it is not seamless; empty where it is
    options: dict[str, object]  # of it, that differ from its defaults
    model: str  # receipt
    history: str
    patches: str
    calibration: str  # receipt, as the next
    statistics: str
    scored: str  # array of the stores that is thresholded: `foreground` or `refined`
    foreground: str | None  # receipt of one test image, None where there is none
    images: dict[str, ImageFiles]  # test images by name
    weights: WeightFiles | None  # of one training image, None without a weighting


class ExperimentConfig(TypedDict, total=False):
    """How an experiment is made; more keys beside these."""

    dataset: str
    weighting: str | None
    recipe: Mapping[str, object]


class RefineConfig(TypedDict):
    """What is done to a foreground before it is thresholded."""

    smooth_px: float | None
    crf: Mapping[str, float] | None


class Published(TypedDict):
    """What others reached, as the config tells it."""

    metric: str
    value: float
    source: str
    variant: NotRequired[str]  # of the metric, as in the tables of scores
    experiment: NotRequired[str | None]  # beside which it stands; None: beside all


class ReportConfig(TypedDict):
    title: str
    overlays: int  # images of a run and class that are shown
    published: NotRequired[list[Published]]


class ChangedKey(TypedDict):
    """A key of the config whose value is not its default."""

    key: str  # with the keys above it: predict.dtype
    value: object
    default: object
    has_default: bool


class PartFiles(TypedDict):
    """A part of the results: what lies there, and what deleting it costs."""

    part: str
    paths: list[str]  # files and folders, whether they are there or not
    without: str  # what follows where it is deleted
    command: str  # that does so; empty where none should


class Repeating(TypedDict):
    """How the run is repeated, and what it takes on disk."""

    command: str  # empty where it is not known
    changed: list[ChangedKey]
    parts: list[PartFiles]


class Config(TypedDict):
    """What the report reads of the config, which it shows whole."""

    experiments: Mapping[str, ExperimentConfig]
    refine: NotRequired[RefineConfig]
    report: ReportConfig
