"""Crops of images with truth, foreground and errors, from the worst to the best."""

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from unetflow.provenance.receipts import read_receipt
from unetflow.report.crops import Crop, read_crop
from unetflow.report.figures.panels import data_uri, overlay, scale_bar
from unetflow.report.figures.thumbnails import kinds_panel
from unetflow.report.handed import PicturesFile
from unetflow.report.pictures import CROP_PX, ImagePictures, KindsInCrop
from unetflow.report.run_results import Run
from unetflow.report.score_lines import Line, headline_of
from unetflow.report.sections.scores import NOT_SCORED, texts_by_image

BY_KIND = "objects by kind"


@dataclass(frozen=True, slots=True)
class Shot:
    """The panels of one crop, and where it lies."""

    image: str
    rank: int  # 1 is the worst by the main score
    of: int
    by: str  # that score
    of_class: str  # where there are several
    crop: Crop
    bar: tuple[float, str]  # length [px] and text
    panels: dict[str, str]
    scores: list[str]  # of the whole image


@dataclass(frozen=True, slots=True)
class RunOverlays:
    run: Run
    shots: list[Shot]


@dataclass(frozen=True, slots=True)
class Overlays:
    crop_px: int
    runs: list[RunOverlays]

    @property
    def by_kind(self) -> bool:
        """Whether any crop shows what became of its objects."""
        return any(BY_KIND in shot.panels for run in self.runs for shot in run.shots)


def overlays(runs: Sequence[Run], most: int, pictures: Sequence[PicturesFile]) -> Overlays:
    """Of up to `most` images of each run and class; large ones where `pictures` say it is wrong."""
    drawn = {(of["experiment"], of["fold"], of["image"]): of["pictures"] for of in pictures}
    return Overlays(CROP_PX, [RunOverlays(run, list(_shots(run, most, drawn))) for run in runs])


def _shots(run: Run, most: int, drawn: Mapping[tuple[str, str, str], str]) -> Iterator[Shot]:
    texts = texts_by_image(run, run.lines)
    for line in main_lines(run.lines) if most > 0 else ():
        rows = line.rows.assign(good=line.rows["value"] * (-1 if line.score.lower_is_better else 1))
        order = rows.dropna(subset="good").sort_values(["good", "image"])["image"].tolist()
        shown = np.unique(np.linspace(0, len(order) - 1, min(most, len(order))).round().astype(int))
        for place in shown.tolist():
            scores = _headline_texts(run.lines, texts[order[place]], line.of_class)
            receipt = drawn.get((run.experiment, run.files["fold"], order[place]))
            found = read_receipt(receipt, ImagePictures) if receipt else None
            yield _shot(run, order, place, line, scores, found)


def main_lines(lines: Sequence[Line]) -> list[Line]:
    """The first main score of each class."""
    first: dict[str, Line] = {}
    for line in headline_of(lines):
        first.setdefault(line.of_class, line)
    return list(first.values())


def _headline_texts(lines: Sequence[Line], texts: Sequence[str], of_class: str) -> list[str]:
    headlines = list(headline_of(lines))
    return [
        f"{line.name} {text}"
        for line, text in zip(lines, texts, strict=True)
        if line in headlines and text != NOT_SCORED and line.of_class == of_class
    ]


def _shot(
    run: Run,
    order: Sequence[str],
    place: int,
    line: Line,
    scores: list[str],
    found: ImagePictures | None,
) -> Shot:
    of_class = line.of_class
    name = of_class or run.classes[0]
    crop = read_crop(run, order[place], name, found)
    drawn = overlay(
        crop.image_CYX,
        crop.truth_YX,
        crop.interior_YX,
        crop.foreground_YX,
        crop.instances_YX,
        crop.ignore_YX,
        threshold=crop.threshold,
    )
    panels = {panel: data_uri(of) for panel, of in dataclasses.asdict(drawn).items()}
    for kinds in found["crops"] if found else ():
        if kinds["of_class"] == name:
            panels[BY_KIND] = _by_kind(crop, kinds)
    return Shot(
        image=order[place],
        rank=place + 1,
        of=len(order),
        by=line.score.name,
        of_class=of_class,
        crop=crop,
        bar=scale_bar(crop.truth_YX.shape[1], crop.um_per_px),
        panels=panels,
        scores=scores,
    )


def _by_kind(crop: Crop, kinds: KindsInCrop) -> str:
    """What was found, in the colours of what became of it, and what was missed."""
    truth, predicted = (
        {int(number): kind for number, kind in of.items()}
        for of in (kinds["truth"], kinds["predicted"])
    )
    return kinds_panel(crop.image_CYX, (crop.truth_YX, truth), (crop.instances_YX, predicted))
