"""What became of each image, and what was not measured."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import pandas as pd

from unetflow.report.handed import PicturesFile
from unetflow.report.kinds import by_kind, some
from unetflow.report.run_results import Run
from unetflow.report.score_lines import alike_but_seed

DONE = "done"


@dataclass(frozen=True, slots=True)
class Failed:
    """Images that have no result, of one state, stage and reason."""

    state: str
    stage: str
    reason: str  # of the first
    count: int
    who: str
    log: str  # of the first
    following: str  # what a user may do


@dataclass(frozen=True, slots=True)
class Outcome:
    images: int
    states: dict[str, int]
    failed: list[Failed]
    unmeasured: list[str]

    @property
    def missing(self) -> int:
        return self.images - self.states.get(DONE, 0)


def outcome(
    table: pd.DataFrame,
    runs: Sequence[Run],
    pictures: Sequence[PicturesFile],
    making: Mapping[str, str],
) -> Outcome:
    """`table` is that of the outcome as text, `making` what makes an experiment but its seed."""
    states, unmeasured = Counter(map(str, table["state"])), _unmeasured(runs, pictures, making)
    return Outcome(len(table), states, list(_failed(table)), list(unmeasured))


def _failed(table: pd.DataFrame) -> Iterator[Failed]:
    missing = table[table["state"] != DONE]
    for (state, stage), of in missing.groupby(["state", "stage"], sort=False):
        first_of = of.drop_duplicates("image").set_index("image")
        for kind in by_kind(zip(of["image"], of["reason"], strict=True)):
            first = first_of.loc[kind.names[0]]
            yield Failed(
                str(state),
                str(stage),
                kind.text,
                kind.count,
                kind.who,
                str(first["log"]),
                str(first["next"]),
            )


def _unmeasured(
    runs: Sequence[Run], pictures: Sequence[PicturesFile], making: Mapping[str, str]
) -> Iterator[str]:
    """What a reader may think was looked at, and was not."""
    trained = [run for run in runs if run.is_trained]  # others were judged where they come from
    if without := [run.name for run in trained if not run.model["validation_images"]]:
        yield (
            f"No validation images in {some(without)}: no threshold was chosen, and the last step "
            "of the training was kept."
        )
    if without := [run.name for run in runs if run.scores.empty]:
        yield f"No test image with a truth in {some(without)}: nothing is scored."
    if unseen := {of["image"] for of in pictures if of["split"] == "predict"}:
        yield (
            f"{len(unseen)} image{'s' * (len(unseen) > 1)} without a truth "
            f"({some(sorted(unseen))}): how good the result is there was not measured."
        )
    here = {run.experiment for run in trained}
    alone = [of[0] for of in alike_but_seed(making, making) if len(of) == 1 and of[0] in here]
    if alone:
        yield f"One seed alone in {some(alone)}: how much chance is in the training is unknown."
    folds = Counter(run.experiment for run in trained)
    if single := [name for name, count in folds.items() if count == 1]:
        yield (
            f"One split alone in {some(single)}: intervals are over its test images, not over "
            "other choices of training images."
        )
