"""All images at a glance, and the objects that are most wrong."""

import heapq
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import cast

import pandas as pd

from unetflow.provenance.receipts import read_receipt
from unetflow.report.figures.panels import scale_bar
from unetflow.report.handed import Config, PicturesFile
from unetflow.report.pictures import ImagePictures, ObjectPicture
from unetflow.report.run_results import Run
from unetflow.report.score_lines import Line, headline_of

WORST = 60  # objects of an experiment
MOSTLY = 0.5  # share of the pixels
FAR = 2.0  # times the share of objects in the images that the network learned from
UNLIKE, FULL, EMPTY = "unlike the training images", "mostly foreground", "empty"
NO_TRUTH = "no truth"


@dataclass(frozen=True, slots=True)
class Tile:
    """An image in one run."""

    image: str
    experiment: str
    fold: str
    scored: bool
    drawn: ImagePictures  # without its objects and planes
    bar: tuple[float, str]  # share of the thumbnail's width, and text
    score: float | None
    score_text: str
    share: float  # of its pixels that are object
    density: float  # objects per `density_unit`
    density_unit: str
    flags: list[str]

    @property
    def run(self) -> str:
        return f"{self.experiment}, fold {self.fold}"

    @property
    def density_text(self) -> str:
        digits = ",.0f" if self.density >= 100 else ".3g"
        return f"{self.density:{digits}}/{self.density_unit}"


@dataclass(frozen=True, slots=True)
class WrongObject:
    image: str
    drawn: ObjectPicture
    um_per_px: float | None = None

    @property
    def bar(self) -> tuple[float, str]:
        """Share of a panel's width, and text."""
        width_px = self.drawn.get("shown_px", self.drawn["side_px"])
        length, text = scale_bar(width_px, self.um_per_px)
        return length / width_px, text


@dataclass(frozen=True, slots=True)
class Gallery:
    tiles: list[Tile]  # lowest score first, those without one last
    images: int  # of which there is a tile for each run
    runs: list[str]
    score: str  # what the tiles are sorted by; those of several datasets
    flags: dict[str, int]  # tiles that have each
    worst: dict[str, list[WrongObject]]  # by experiment

    @property
    def judged(self) -> bool:
        """Whether it is known what became of any object."""
        return any(tile.drawn["kinds"] for tile in self.tiles)


def gallery(
    files: Sequence[PicturesFile],
    runs: Sequence[Run],
    lines: Mapping[str, Sequence[Line]],
    config: Config,
    images: pd.DataFrame,
) -> Gallery:
    """Of all images of split test and predict. `images` is the table of integrity as text."""
    tiles: list[Tile] = []
    worst: dict[str, list[WrongObject]] = {}
    scores = {name: _scores(of) for name, of in lines.items()}
    learned = _shares_learned(images)
    for of in files:
        drawn = cast(ImagePictures, read_receipt(of["pictures"]))
        drawn.pop("planes", None)  # many bytes: only of a few they are shown
        experiment = of["experiment"]
        wrong = apart(drawn.pop("worst"))  # type: ignore[misc]
        objects = [WrongObject(of["image"], each, drawn["um_per_px"]) for each in wrong]
        worst[experiment] = heapq.nlargest(
            WORST,
            [*worst.get(experiment, []), *objects],
            key=lambda wrong: wrong.drawn["wrong_px"],
        )
        line, values = scores.get(experiment, (None, {}))
        share = learned.get(config["experiments"][experiment].get("dataset", ""))
        tiles.append(_tile(of, drawn, line, values.get(of["image"]), share))
    lower = next((line.score.lower_is_better for line, _ in scores.values() if line), False)
    flags = [flag for tile in tiles for flag in tile.flags]
    return Gallery(
        tiles=sorted(tiles, key=lambda tile: _rank(tile, -1 if lower else 1)),
        images=len({tile.image for tile in tiles}),
        runs=list(dict.fromkeys(tile.run for tile in tiles)),
        score=" or ".join(dict.fromkeys(line.name for line, _ in scores.values() if line))
        or "score",
        flags={flag: flags.count(flag) for flag in (UNLIKE, FULL, EMPTY) if flag in flags},
        worst={name: of for name, of in worst.items() if of},
    )


def apart(worst: Sequence[ObjectPicture]) -> Iterator[ObjectPicture]:
    """Of an image, the most wrong first: an object that a crop of a merger shows has none too."""
    shown: list[ObjectPicture] = []
    for of in worst:
        if of["kind"] == "merged":
            if any(_shows(crop, of) for crop in shown):
                continue
            shown.append(of)
        yield of


def _shows(crop: ObjectPicture, of: ObjectPicture) -> bool:
    """Whether the middle of another one's square lies in a crop."""
    half, side = of["side_px"] // 2, crop["side_px"]
    return (
        (crop["of_class"], crop.get("plane_px")) == (of["of_class"], of.get("plane_px"))
        and 0 <= of["top_px"] + half - crop["top_px"] < side
        and 0 <= of["left_px"] + half - crop["left_px"] < side
    )


def pictures_by_experiment(files: Sequence[PicturesFile]) -> dict[str, list[ImagePictures]]:
    """What was drawn of the test images of each experiment, without their objects."""
    found: dict[str, list[ImagePictures]] = {}
    for of in files:
        if of["split"] == "test":
            drawn = cast(ImagePictures, read_receipt(of["pictures"]))
            drawn["worst"] = []
            drawn.pop("planes", None)
            found.setdefault(of["experiment"], []).append(drawn)
    return found


def _rank(tile: Tile, way: int) -> tuple[float, str]:
    known = tile.score is not None and not math.isnan(tile.score)
    return (way * cast(float, tile.score) if known else math.inf, tile.image)


def _scores(lines: Sequence[Line]) -> tuple[Line | None, dict[str, float]]:
    """The first main score, and its value of each image."""
    line = next(headline_of(lines), None)
    if line is None:
        return None, {}
    return line, dict(zip(line.rows["image"], line.rows["value"].astype(float), strict=True))


def _shares_learned(images: pd.DataFrame) -> dict[str, float]:
    """By dataset the largest share of objects in the annotated pixels of images learned from."""
    annotated = images[~images["split"].isin(("test", "predict"))]
    objects, ignored = (
        pd.to_numeric(annotated[name], errors="coerce")
        for name in ("object_share", "ignored_share")
    )
    shares = objects / (1 - ignored.fillna(0))
    largest = shares[shares < math.inf].groupby(annotated["dataset"]).max().dropna()
    return {str(name): float(share) for name, share in largest.items()}


def _tile(
    of: PicturesFile,
    drawn: ImagePictures,
    line: Line | None,
    score: float | None,
    learned: float | None,
) -> Tile:
    area_px = math.prod(drawn["size_px"])
    _, width_px = drawn.get("shown_px", drawn["size_px"])
    share = drawn["area_px"] / area_px
    um, um3 = drawn["um_per_px"], drawn.get("um3_per_px")
    per, unit = (area_px * um**2 / 1e6, "mm²") if um else (area_px / 1e6, "Mpx")
    if um3:
        per, unit = area_px * um3 / 1e9, "mm³"
    length, text = scale_bar(width_px, um)
    return Tile(
        image=of["image"],
        experiment=of["experiment"],
        fold=of["fold"],
        scored=score is not None,
        drawn=drawn,
        bar=(length / width_px, text),
        score=score,
        score_text=f"{line.short} {line.score.text(score)}"
        if line and score is not None
        else NO_TRUTH
        if of["split"] == "predict"
        else "not scored",
        share=share,
        density=drawn["objects"] / per,
        density_unit=unit,
        flags=list(_flags(drawn, share, learned)),
    )


def _flags(drawn: ImagePictures, share: float, learned: float | None) -> Iterator[str]:
    if drawn["warnings"] or (learned and share > FAR * learned):
        yield UNLIKE
    if share > MOSTLY and share > (learned or 0):
        yield FULL
    if not drawn["objects"]:
        yield EMPTY
