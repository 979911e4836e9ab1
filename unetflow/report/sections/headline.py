"""The head of the page: the scores that say most, and what to read with care."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from unetflow.report.run_results import Run
from unetflow.report.score_lines import Line, headline_of, vanishing


@dataclass(frozen=True, slots=True)
class Headline:
    images: int  # of the test split
    lines: dict[str, list[Line]]  # by experiment
    warnings: list[str]


def headline(
    runs: Sequence[Run], lines: Mapping[str, Sequence[Line]], truth_warnings: Sequence[str]
) -> Headline:
    """`lines` are those of each experiment over all its folds."""
    return Headline(
        images=len({image for run in runs for image in run.scores["image"]}),
        lines={name: list(headline_of(of)) for name, of in lines.items()},
        warnings=[*_vanishing_warnings(runs), *truth_warnings],
    )


def _vanishing_warnings(runs: Sequence[Run]) -> Iterator[str]:
    for run in runs:
        for threshold, images in vanishing(run.scores):
            yield (
                f"{run.name}: at threshold {threshold:g} the foreground vanishes in "
                f"{', '.join(images)}. Zero splits and mergers and a small warping error mean "
                "nothing there."
            )
