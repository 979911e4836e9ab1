"""What a dataset is: the kind of its truth, its classes, the resolution of its images."""

from dataclasses import dataclass
from typing import Literal

Kind = Literal["instances", "interior", "classes"]


@dataclass(frozen=True, slots=True)
class Dataset:
    """Of a dataset what its truth means, and how fine its images are.

    Of kind "instances" each object has its number, "interior" is membranes as in EM (0 membrane),
    of "classes" each pixel has the number of its class.
    """

    kind: Kind
    classes: tuple[str, ...]  # in the order of their numbers, from 1; 0 is background
    mpp: float | None = None  # [um/px] that images are brought to; None: as they are
    spacing: tuple[float, ...] | None = None  # [um] along z, y, x, in its place for volumes

    @property
    def has_class_array(self) -> bool:
        """Whether the class of an object stands in an array of its own."""
        return self.kind == "instances" and len(self.classes) > 1
