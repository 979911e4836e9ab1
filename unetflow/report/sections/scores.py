"""All scores of each run, their spread over seeds, and image by image."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from unetflow.report.run_results import Run
from unetflow.report.score_lines import Line, Spread, spread_over_seeds

NOT_SCORED = "not scored"


@dataclass(frozen=True, slots=True)
class RunScores:
    run: Run
    texts: dict[str, list[str]]  # by image a cell per line


@dataclass(frozen=True, slots=True)
class Scores:
    spreads: list[Spread]
    runs: list[RunScores]


def scores(
    runs: Sequence[Run], lines: Mapping[str, Sequence[Line]], making: Mapping[str, str]
) -> Scores:
    """`lines` are those of each experiment over all its folds, `making` is all but its seed."""
    return Scores(
        spreads=spread_over_seeds(lines, making),
        runs=[RunScores(run, texts_by_image(run)) for run in runs],
    )


def texts_by_image(run: Run) -> dict[str, list[str]]:
    """A row of texts per image, a column per line; `NOT_SCORED` where a score does not apply."""
    images = run.of_network["image"].unique()
    table = {str(image): [NOT_SCORED] * len(run.lines) for image in images}
    for column, line in enumerate(run.lines):
        for image, value in zip(line.rows["image"], line.rows["value"], strict=True):
            table[image][column] = line.score.text(float(value))
    return table
