"""What became of the objects of all test images, as counts: of stored instances."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from unetflow.evaluate.catalogue import OBJECT_ERRORS, SCORES, STORED
from unetflow.report.score_lines import Line

ERRORS = tuple(score.variant for score in SCORES if score.metric == OBJECT_ERRORS)
"""As `unetflow.metrics.object_errors` has them, which is not imported here: an edit of a metric
makes no report anew, but for its numbers."""


@dataclass(frozen=True, slots=True)
class ObjectCounts:
    """Objects of a class over all images; rules in `unetflow.metrics.object_errors`."""

    of_class: str  # where there are several
    annotated: int
    predicted: int
    errors: dict[str, int]  # by kind, in the order of `ERRORS`; spurious ones are predictions

    @property
    def found(self) -> int:
        return self.annotated - sum(n for kind, n in self.errors.items() if kind != "spurious")

    @property
    def text(self) -> str:
        """As one phrase."""
        of = f" of class {self.of_class}" if self.of_class else ""
        kinds = ", ".join(f"{n} {kind}" for kind, n in self.errors.items() if kind != "spurious")
        return (
            f"of {self.annotated} annotated objects{of} {self.found} found, {kinds}; of "
            f"{self.predicted} predicted {self.errors['spurious']} spurious"
        )


def object_counts(lines: Sequence[Line]) -> Iterator[ObjectCounts]:
    """A count per class, none where nothing is known of the kinds of objects."""
    for name in dict.fromkeys(line.of_class for line in lines):
        rows = {
            line.score.variant: line.rows
            for line in lines
            if (line.score.metric, line.of, line.of_class) == (OBJECT_ERRORS, STORED, name)
        }
        if set(rows) >= set(ERRORS):
            yield ObjectCounts(
                name,
                annotated=int(rows["missed"]["objects"].sum()),
                predicted=int(rows["spurious"]["objects"].sum()),
                errors={kind: int(rows[kind]["a"].sum()) for kind in ERRORS},
            )
