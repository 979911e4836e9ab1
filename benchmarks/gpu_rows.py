"""What `gpu.py` and its parts have in common: a row of what was found, and how large things are."""

from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

Value = TypeVar("Value")


@dataclass(frozen=True, slots=True)
class Row:
    """One thing that was measured; `found` is a number in `unit`, or words."""

    what: str
    found: float | str
    unit: str = ""
    note: str = ""

    @property
    def cells(self) -> list[str]:
        number = f"{self.found:.4g}" if isinstance(self.found, float) else str(self.found)
        return [self.what, f"{number} {self.unit}".strip(), self.note]


class NotHere(Exception):
    """What a measure needs and this machine lacks, by name."""


@dataclass(frozen=True, slots=True)
class Scale:
    """How large things are, and where they run."""

    small: bool  # on the CPU, to see that it runs
    deadline: float  # time.monotonic() when the part is ended
    data: Path | None = None  # with ISBI 2012's train-volume.tif and train-labels.tif

    @property
    def device(self) -> str:
        return "cpu" if self.small else "cuda"

    def pick(self, whole: Value, small: Value) -> Value:
        return small if self.small else whole

    def on_gpu(self) -> None:
        """Raises NotHere without one."""
        if self.small:
            raise NotHere("NVIDIA GPU")
