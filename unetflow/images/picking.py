"""Which part of an array with named axes is the image: one plane, one time, all channels.

Or the volume: all planes of one time.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np

from unetflow.images.opened import Unclear
from unetflow.tiles.mirror import mirror
from unetflow.tiles.regions import Region

ALONG = ("z", "y", "x")  # axes that planes of a volume may lie along


@dataclass(frozen=True, slots=True)
class Picked:
    """How (C, Y, X) lies in an array with named axes: which index of the others, which order.

    Of a volume (C, Z, Y, X).
    """

    axes: str
    fixed: tuple[int | None, ...]  # index on axes that are not read, None on those that are
    order: tuple[int, ...]  # of the axes that are read, to make them (C,) Y, X
    spatial: tuple[int, ...]  # which axes are Y, X, or Z, Y, X
    not_applied: tuple[str, ...]  # of `plane` and `time` those that the array has no axis for
    planes: tuple[int, int] | None = None  # which axis the planes lie along, and how many there are
    adjacent: int = 0  # planes before and after, whose channels stand beside its own
    # of a volume the planes that are it, and which of its axes they lie along; None: all
    some: tuple[int, slice] | None = None

    @classmethod
    def of(
        cls,
        axes: str,
        shape: Sequence[int],
        *,
        plane: int | None,
        time: int | None,
        volume: bool = False,
        adjacent: int = 0,
        planes: Sequence[int] | None = None,
    ) -> Self:
        """What is asked for, where the array has such an axis; of a `volume` all planes.

        Or those from the first to the last of `planes`, where it has not just as many; a third
        number is the axis that they lie along, 0 of z, 1 of y and 2 of x.
        `adjacent` planes to each side are channels beside those of the plane.

        Raises Unclear where it is not there, or more is to be chosen than is asked for.
        """
        if min(shape, default=0) == 0:
            raise Unclear(f"has no pixels (shape {tuple(shape)}, axes {axes})", "path")
        if not axes:
            raise Unclear(
                f"its axes have no names and its shape is {tuple(shape)}",
                "axes",
                "Say what they are in {}, such as czyx or yxc.",
            )
        channels = [i for i, a in enumerate(axes) if a in "CS" and shape[i] > 1]
        stacked = [i for i, a in enumerate(axes) if a not in "YXSC" and shape[i] > 1]
        if len(stacked) > 2 or len(channels) > 1 or not axes.count("Y") == axes.count("X") == 1:
            raise Unclear(
                f"axes {axes} of shape {tuple(shape)} are not an image, a stack or a series of "
                "stacks",
                "path",
                "Name its axes in {axes}, such as czyx or yxc, or save the image to be used as a "
                "file of its own and correct {}.",
            )
        deep = _planes_of(axes, shape, stacked) if volume else []
        stacked = [i for i in stacked if i not in deep]
        asked = {"plane": plane, "time": time}
        if volume:
            used = ["time" for _ in stacked]
        else:
            used = _names_of([axes[i] for i in stacked], plane=plane, time=time)
        chosen = _chosen(axes, shape, dict(zip(stacked, used, strict=True)), asked)
        spatial = (*deep, axes.index("Y"), axes.index("X"))
        some = _some_of(planes, [shape[i] for i in spatial]) if deep and planes else None
        wanted = [*channels, *spatial]
        read = sorted(wanted)
        fixed = tuple(None if i in read else chosen.get(i, 0) for i in range(len(axes)))
        order = tuple(read.index(i) for i in wanted)
        left = tuple(
            name for name, index in asked.items() if index is not None and name not in used
        )
        along = [axis for axis, name in zip(stacked, used, strict=True) if name == "plane"]
        if adjacent and not along:
            raise Unclear(
                f"has no planes beside one another (axes {axes}), of which the dataset wants "
                f"{adjacent} to each side (adjacent_planes)",
                "path",
                "Name a stack in {}, and the plane in the column plane.",
            )
        stack = (along[0], shape[along[0]]) if along else None
        return cls(axes, fixed, order, spatial, left, stack, adjacent, some)

    def shape_px(self, shape: Sequence[int]) -> tuple[int, ...]:
        sizes = [shape[axis] for axis in self.spatial]
        if self.some is not None:
            axis, part = self.some
            sizes[axis] = part.stop - part.start
        return tuple(sizes)

    def channels(self, shape: Sequence[int]) -> int:
        read = (i for i, index in enumerate(self.fixed) if index is None and i not in self.spatial)
        own: int = next((shape[i] for i in read), 1)
        return own * (2 * self.adjacent + 1)

    @property
    def has_samples(self) -> bool:
        """Whether the channels are those of colours, of which the last may be transparency."""
        return any(
            a == "S" and index is None for a, index in zip(self.axes, self.fixed, strict=True)
        )

    def read(self, array: Any, region: Region) -> np.ndarray:
        """Pixels (C, Y, X) of a region, of a volume (C, Z, Y, X).

        With adjacent planes all channels of the first of them, then of the next; beyond the stack
        they are mirrored.
        """
        if self.some is not None:
            axis, some = self.some
            part = slice(some.start + region[axis].start, some.start + region[axis].stop)
            region = (*region[:axis], part, *region[axis + 1 :])
        if not self.adjacent:
            return self._read(array, region, self.fixed)
        assert self.planes is not None
        axis, count = self.planes
        plane = self.fixed[axis] or 0
        beside = np.arange(plane - self.adjacent, plane + self.adjacent + 1)
        found = [
            self._read(array, region, (*self.fixed[:axis], at, *self.fixed[axis + 1 :]))
            for at in mirror(beside, count).tolist()
        ]
        return np.concatenate(found)

    def _read(self, array: Any, region: Region, fixed: Sequence[int | None]) -> np.ndarray:
        parts = dict(zip(self.spatial, region, strict=True))
        key = tuple(
            parts.get(axis, slice(None)) if index is None else index
            for axis, index in enumerate(fixed)
        )
        pixels = np.transpose(np.asarray(array[key]), self.order)
        return pixels if pixels.ndim > len(region) else pixels[None]


def _chosen(
    axes: str,
    shape: Sequence[int],
    named: Mapping[int, str],
    asked: Mapping[str, int | None],
) -> dict[int, int]:
    """By axis which of its images is meant, of axes that are `named` plane or time."""
    chosen: dict[int, int] = {}
    for axis, name in named.items():
        index, count = asked[name], shape[axis]
        if index is None or not 0 <= index < count:
            here = "of which none was chosen" if index is None else f"without {name} {index}"
            other = "" if axes[axis] in "TZ" else ", or name the axes in {axes}, as cyx or yxc"
            raise Unclear(
                f"is a stack of {count} images along axis {axes[axis]}, {here}",
                name,
                f"Set {{}} to 0 to {count - 1}{other}.",
            )
        chosen[axis] = index
    return chosen


def _planes_of(axes: str, shape: Sequence[int], stacked: Sequence[int]) -> list[int]:
    """The axis of a volume's planes: Z, or the one that has no other meaning.

    Raises Unclear where there is none.
    """
    named = [i for i, axis in enumerate(axes) if axis == "Z"]
    found = named or [i for i in stacked if axes[i] != "T"]
    if len(found) == 1:
        return found
    raise Unclear(
        f"axes {axes} of shape {tuple(shape)} are no volume, which its dataset asks for (as: "
        "volume): it has no axis of planes",
        "axes",
        "Name the axes in {}, such as zyx, or set the dataset's as to slices.",
    )


def planes_of(cell: str) -> list[int]:
    """First and last plane as a sheet has them, and of those along y or x which axis that is.

    >>> planes_of("0-17"), planes_of("y 0-59")
    ([0, 17], [0, 59, 1])
    """
    along, _, planes = cell.rpartition(" ")
    axis = ALONG.index(along) if along else 0
    return [*map(int, planes.split("-")), *([axis] if axis else [])]


def _some_of(planes: Sequence[int], sizes: Sequence[int]) -> tuple[int, slice] | None:
    """From the first to the last of these planes; None where there are just as many.

    Raises Unclear where there are others.
    """
    first, last, *along = planes
    axis = along[0] if along else 0
    if sizes[axis] == last + 1 - first:
        return None
    if not 0 <= first <= last < sizes[axis]:
        named = f" along {ALONG[axis]}" if axis else ""
        raise Unclear(
            f"has planes 0 to {sizes[axis] - 1}{named}, but {first} to {last} were asked for",
            "planes",
            "Correct {}.",
        )
    return axis, slice(first, last + 1)


def _names_of(stacked: Sequence[str], *, plane: int | None, time: int | None) -> list[str]:
    """Which of `plane` and `time` chooses on each axis, T being that of time."""
    if len(stacked) == 2:
        return ["time", "plane"] if stacked[1] != "T" else ["plane", "time"]
    if not stacked or stacked[0] == "Z":
        return ["plane"] * len(stacked)
    if stacked[0] == "T":
        return ["plane" if time is None else "time"]
    if plane is not None and time is not None:
        raise Unclear(
            f"its axis {stacked[0]} may be planes or times, and both are asked for",
            "axes",
            "Say which in {}, as zyx or tyx.",
        )
    return ["time" if plane is None and time is not None else "plane"]
