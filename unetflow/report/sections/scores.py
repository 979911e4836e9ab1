"""All scores of each run, their spread over seeds and folds, and image by image."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from unetflow.report.run_results import Run
from unetflow.report.score_lines import Line, Spread, spread_over_folds, spread_over_seeds

NOT_SCORED = "not scored"


@dataclass(frozen=True, slots=True)
class RunScores:
    run: Run
    lines: list[Line]  # each score once
    texts: dict[str, list[str]]  # by image a cell per line


@dataclass(frozen=True, slots=True)
class Scores:
    spreads: list[Spread]  # over seeds
    folds: list[Spread]
    runs: list[RunScores]


def scores(
    runs: Sequence[Run], lines: Mapping[str, Sequence[Line]], making: Mapping[str, str]
) -> Scores:
    """`lines` are those of each experiment over all its folds, `making` is all but its seed."""
    by_fold: dict[str, list[Sequence[Line]]] = {}
    for run in runs:
        by_fold.setdefault(run.experiment, []).append(run.lines)
    return Scores(
        spreads=spread_over_seeds(lines, making),
        folds=spread_over_folds(by_fold),
        runs=[_of_run(run) for run in runs],
    )


def _of_run(run: Run) -> RunScores:
    lines = once(run.lines)
    return RunScores(run, lines, texts_by_image(run, lines))


def once(lines: Sequence[Line]) -> list[Line]:
    """Each score once: of the stored instances where it is of them, else at the chosen threshold.

    What instance scores are at other thresholds is in the plots against the threshold.
    """
    stored = {(line.score.metric, line.score.variant, line.of_class) for line in lines if line.of}
    return [
        line
        for line in lines
        if line.of or (line.score.metric, line.score.variant, line.of_class) not in stored
    ]


def texts_by_image(run: Run, lines: Sequence[Line]) -> dict[str, list[str]]:
    """A row of texts per image, a column per line; `NOT_SCORED` where a score does not apply."""
    images = run.of_network["image"].unique()
    table = {str(image): [NOT_SCORED] * len(lines) for image in images}
    for column, line in enumerate(lines):
        for image, value in zip(line.rows["image"], line.rows["value"], strict=True):
            table[image][column] = line.score.text(float(value))
    return table
