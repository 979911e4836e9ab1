"""The whole object step of a fold: what is searched, what was found, and why where nothing was."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypedDict

import pandas as pd

from unetflow.evaluate.judged_images import notes_of
from unetflow.evaluate.object_stages import Stages, stages_of
from unetflow.evaluate.search_space import (
    LEAST_IMAGES,
    LEAST_OBJECTS,
    Settings,
    Sizes,
    is_searched,
    sizes_of,
    space_of,
    threshold_of,
    with_defaults,
)
from unetflow.evaluate.searching import (
    BY,
    Found,
    Judged,
    MakesObjects,
    Trials,
    search,
)

TRIED = (*BY, "chosen")
"""Columns of the table of what was tried, after the settings: scores, and 1 where it was chosen."""

NO_OBJECTS = (
    "membranes have no objects to choose the object step by: the threshold is chosen, all else "
    "that is auto has its default"
)
TOO_FEW = (
    "{images} validation images with {objects} objects are too few to choose the object step by, "
    f"which takes {LEAST_IMAGES} images and {LEAST_OBJECTS} objects: what is auto has its default"
)


class Around(TypedDict):
    """What was tried of a coordinate, with the others as chosen."""

    tried: list[Settings]
    scores: list[float | None]  # None where undefined
    as_good: list[Settings]  # of those: within 0.01 of the best


class Search(TypedDict):
    """How the object step of a fold was chosen."""

    by: str
    score: float
    images: int  # that it looked at
    objects: int
    median_area_px: float
    median_diameter_px: float  # of a disc of that area
    near_objects: int  # with another one within two pixels
    tries: int
    around: dict[str, Around]  # by coordinate: how flat the optimum is


@dataclass(frozen=True, slots=True)
class Wanted:
    """What the config says of the object step."""

    instances: Mapping[str, Any]  # section `instances`, `auto` where a value is to be chosen
    by: str = "mean_ap"  # one of `BY`
    methods: Sequence[str] = ("necks",)  # of separation, that are possible


@dataclass(frozen=True, slots=True)
class ObjectStep:
    """How instances are made in a fold, and how that came."""

    labelling: Settings  # the options of `unetflow.instances.label_instances`
    thresholds: dict[str, float]  # by class, where they were searched
    search: Search | None
    tried: pd.DataFrame  # a row per try
    notes: list[str]  # what could not be known, and why


def choose_object_step(
    wanted: Wanted,
    judged: Mapping[str, Sequence[Judged]],
    images: int,
    *,
    kind: str,
    thresholds: Sequence[float],
    label: MakesObjects,
    labelling_of: Callable[[Settings], Settings],
) -> ObjectStep:
    """Search what is `auto`; where that cannot be, the stated defaults and a note that says why.

    `judged` is by class what there is of the `images` validation images, whose truth is of `kind`.
    `label` makes instances (`unetflow.instances.label_instances`), and `labelling_of` says which of
    the settings have an effect on them.
    """
    instances = wanted.instances
    fixed = {key: value for key, value in with_defaults(instances).items() if key != "threshold"}
    empty = pd.DataFrame(columns=list(TRIED))
    step = ObjectStep(labelling_of(fixed), {}, None, empty, [])
    if not is_searched(instances):
        return step
    if kind == "interior":
        step.notes.append(NO_OBJECTS)
        return step
    every = [each for of_class in judged.values() for each in of_class]
    sizes = sizes_of([each.truth for each in every], [each.spacing for each in every])
    if images < LEAST_IMAGES or sizes.objects < LEAST_OBJECTS:
        step.notes.append(TOO_FEW.format(images=images, objects=sizes.objects))
        return step
    step.notes.extend(_notes(judged, images, sizes))
    space = space_of(
        instances, sizes, classes=list(judged), thresholds=thresholds, methods=wanted.methods
    )
    given = instances["threshold"]
    at = given if isinstance(given, int | float) else min(thresholds, key=lambda t: abs(t - 0.5))
    start = fixed | {threshold_of(name): float(at) for name in judged}
    trials = Trials(judged, label, wanted.by)
    found = search(space, start, trials.score)
    return ObjectStep(
        labelling=labelling_of(found.settings),
        thresholds={
            name: found.settings[threshold_of(name)]
            for name in judged
            if threshold_of(name) in space
        },
        search=_described(wanted.by, found, trials, sizes, next(iter(judged.values()))),
        tried=_table(trials, found),
        notes=step.notes,
    )


def object_stages(
    judged: Mapping[str, Sequence[Judged]],
    thresholds: Mapping[str, float],
    labelling: Settings,
    label: MakesObjects,
) -> dict[str, Stages]:
    """By class what each part of the object step does, at these thresholds."""
    return {
        name: stages_of(of_class, thresholds[name], labelling, label)
        for name, of_class in judged.items()
    }


def _notes(judged: Mapping[str, Sequence[Judged]], images: int, sizes: Sizes) -> Iterator[str]:
    yield from notes_of(next(iter(judged.values())), images)
    if not sizes.near:
        yield (
            "no true object is near another one: how clumps are taken apart is not chosen by them, "
            "and has its default"
        )


def _described(
    by: str, found: Found, trials: Trials, sizes: Sizes, judged: Sequence[Judged]
) -> Search:
    return {
        "by": by,
        "score": found.score,
        "images": len(judged),
        "objects": sizes.objects,
        "median_area_px": sizes.area_px,
        "median_diameter_px": sizes.diameter_px,
        "near_objects": sizes.near,
        "tries": len(trials.tried),
        "around": {
            name: {
                "tried": [each.settings for each in tried],
                "scores": [_or_none(each.score) for each in tried],
                "as_good": found.flat(name),
            }
            for name, tried in found.around.items()
        },
    }


def _table(trials: Trials, found: Found) -> pd.DataFrame:
    """A row per try with a column per setting, the chosen one first and then the best."""
    rows = [
        {**dict(settings), **scores, "chosen": int(dict(settings) == found.settings)}
        for settings, scores in trials.tried.items()
    ]
    frame = pd.DataFrame(rows, columns=[*found.settings, *TRIED], dtype=object)
    by_score = pd.to_numeric(frame[trials.by])
    order = (-by_score).where(frame["chosen"] == 0, float("-inf")).argsort(kind="stable")
    return frame.iloc[order]


def _or_none(score: float) -> float | None:
    return None if score == float("-inf") else score
