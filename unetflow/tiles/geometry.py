"""What a network reads for what it writes: sizes in pixels along each of its spatial axes."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from unetflow.tiles.regions import Region


@dataclass(frozen=True, slots=True)
class Geometry:
    """The sizes of a network, along each spatial axis.

        |<------------------- input ------------------->|
        | before |<----------- output ---------->| after |

    An input of n px gives n - before - after. Shifted by whole steps it gives the same, shifted:
    outputs that start at multiples of the step are those of the whole image. Raises ValueError
    where the axes are not alike, or the smallest input gives nothing.
    """

    axes: tuple[str, ...]  # such as ("y", "x")
    step_px: tuple[int, ...]
    before_px: tuple[int, ...]  # what an output pixel sees before it
    after_px: tuple[int, ...]
    smallest_input_px: tuple[int, ...]  # others are whole steps larger
    values_per_px: float  # held at the peak of inference for each pixel of the input
    why: str = ""  # tiles do not fit together exactly; empty where they do

    def __post_init__(self) -> None:
        sizes = (self.step_px, self.before_px, self.after_px, self.smallest_input_px)
        if {len(each) for each in sizes} != {len(self.axes)}:
            raise ValueError(f"axes {self.axes} need a step, both halos and a smallest input each")
        if min(self.step_px) < 1 or min(*self.before_px, *self.after_px) < 0:
            raise ValueError(f"steps of {self.step_px} px and halos must not be negative")
        if min(self._output_px(size, axis) for axis, size in enumerate(self.smallest_input_px)) < 1:
            raise ValueError(f"an input of {self.smallest_input_px} px gives no output")

    @property
    def seamless(self) -> bool:
        """Whether an output pixel depends on nothing but what lies within the halo."""
        return not self.why

    @property
    def alike(self) -> bool:
        """Whether all axes are seen alike, so that any may lie in the place of another."""
        sizes = (self.step_px, self.before_px, self.after_px, self.smallest_input_px)
        return all(len({*each}) == 1 for each in sizes)

    @property
    def symmetric(self) -> bool:
        """Whether the output of a flipped input, or one turned in plane, lies in the same place."""
        sizes = (self.step_px, self.before_px, self.after_px, self.smallest_input_px)
        return self.before_px == self.after_px and all(len({*each[-2:]}) == 1 for each in sizes)

    def output_px(self, input_px: int, axis: int = 0) -> int:
        """What an input gives along an axis. Raises ValueError, with the nearest valid sizes."""
        smallest, step = self.smallest_input_px[axis], self.step_px[axis]
        if input_px < smallest or (input_px - smallest) % step:
            below = smallest + (input_px - smallest) // step * step
            nearest = [size for size in (below, below + step) if size >= smallest] or [smallest]
            raise ValueError(
                f"an input of {input_px} px is not possible along {self.axes[axis]}: this network "
                f"takes {smallest} px and whole steps of {step} px more; the nearest valid sizes "
                "are " + " and ".join(f"{size} px" for size in nearest)
            )
        return self._output_px(input_px, axis)

    def input_px(self, output_px: int, axis: int = 0) -> int:
        """The smallest valid input along an axis whose output has at least so many pixels."""
        smallest, step = self.smallest_input_px[axis], self.step_px[axis]
        missing = max(0, output_px - self._output_px(smallest, axis))
        return smallest + -(-missing // step) * step

    def output_region(self, input_px: Sequence[int]) -> Region:
        """Where in an input its output lies. Raises ValueError where the input is not valid."""
        return tuple(
            slice(before, before + self.output_px(size, axis))
            for axis, (before, size) in enumerate(zip(self.before_px, input_px, strict=True))
        )

    def tile_bytes(self, input_px: Sequence[int], bytes_per_value: int) -> int:
        """About the memory that inference takes for one input: its activations at their peak."""
        return math.ceil(self.values_per_px * bytes_per_value * math.prod(input_px))

    def _output_px(self, input_px: int, axis: int) -> int:
        return input_px - self.before_px[axis] - self.after_px[axis]
