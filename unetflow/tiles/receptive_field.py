"""What a network sees: the receptive field of each of its maps along one axis, by its layers.

A map is made of others by two kinds of layers: a `Window` gathers (a convolution, a pooling, a
crop), a `Spread` scatters (a transposed convolution, an interpolation). What a run of pixels sees
is found from the last map back to the image, exactly, with the pooling grid at its place:

    image          <-------------------- sees --------------------->
    pooled map          <-- sees -->
    last map               [first, stop)
"""

import itertools
import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from fractions import Fraction

from unetflow.tiles.geometry import Geometry


@dataclass(frozen=True, slots=True)
class Window:
    """A layer of which a pixel sees `kernel` pixels, `stride` further on for the next pixel.

    `before` and `after` are zeros (or mirrored pixels) put around the map; negative: cut off.
    """

    kernel: int = 1
    stride: int = 1
    before: int = 0
    after: int = 0
    dilation: int = 1

    def sees(self, first: int, stop: int) -> tuple[int, int]:
        """The pixels, end-exclusive, that a run of its output sees."""
        reach = self.dilation * (self.kernel - 1)
        return first * self.stride - self.before, (stop - 1) * self.stride - self.before + reach + 1


@dataclass(frozen=True, slots=True)
class Spread:
    """A layer that writes each pixel to `kernel` pixels, `stride` further on for the next one.

    Of what is written `before` and `after` are cut off.
    """

    kernel: int
    stride: int
    before: int = 0
    after: int = 0

    def sees(self, first: int, stop: int) -> tuple[int, int]:
        """The pixels, end-exclusive, that a run of its output sees."""
        start = -(-(first + self.before - (self.kernel - 1)) // self.stride)
        return start, (stop - 1 + self.before) // self.stride + 1


@dataclass(frozen=True, slots=True, eq=False)
class Map:
    """A map of features along one axis: `Map()` is the image, others are made of it.

    Pixel i covers the image from start + i step on; of n image pixels it has
    (n - start - end) / step, where no layer pads and no remainder is left over.
    """

    step: Fraction = Fraction(1)  # [px of the image] from a pixel to the next
    start: Fraction = Fraction(0)  # [px of the image] lost at its start
    end: Fraction = Fraction(0)  # and at its end
    sources: tuple[tuple["Map", Window | Spread], ...] = ()
    number: int = field(default_factory=itertools.count().__next__)  # sources have smaller ones

    def window(
        self,
        kernel: int,
        stride: int = 1,
        padding: int | tuple[int, int] = 0,
        dilation: int = 1,
    ) -> "Map":
        """What a convolution or a pooling makes of it."""
        before, after = padding if isinstance(padding, tuple) else (padding, padding)
        surplus = Fraction(dilation * (kernel - 1) + 1 - stride, 2)
        return Map(
            self.step * stride,
            self.start + self.step * (surplus - before),
            self.end + self.step * (surplus - after),
            ((self, Window(kernel, stride, before, after, dilation)),),
        )

    def same(self, kernel: int = 3, times: int = 1) -> "Map":
        """What convolutions make of it that pad by half a kernel."""
        made = self
        for _ in range(times):
            made = made.window(kernel, padding=(kernel // 2, (kernel - 1) // 2))
        return made

    def spread(self, kernel: int, stride: int, padding: int = 0, output_padding: int = 0) -> "Map":
        """What a transposed convolution makes of it."""
        step = self.step / stride
        surplus = Fraction(kernel - stride, 2)
        return Map(
            step,
            self.start - step * (surplus - padding),
            self.end - step * (surplus - padding + output_padding),
            ((self, Spread(kernel, stride, padding, padding - output_padding)),),
        )

    def enlarged(self, factor: int = 2, *, linear: bool = False) -> "Map":
        """What an interpolation makes of it, to the nearest or linear (corners not aligned)."""
        if not linear:
            return self.spread(factor, factor)
        return self.spread(2 * factor - factor % 2, factor, factor // 2)

    def cropped(self, like: "Map") -> "Map":
        """The part of it that lies where another map does."""
        before, after = (like.start - self.start) / self.step, (like.end - self.end) / self.step
        if before.denominator != 1 or after.denominator != 1:
            raise ValueError(f"a crop by {before} and {after} px is not possible: no whole pixels")
        return self.window(1, padding=(-int(before), -int(after)))

    def joined(self, *others: "Map") -> "Map":
        """What adding, concatenating or multiplying pixel by pixel makes of several maps."""
        if any(other.step != self.step for other in others):
            raise ValueError(f"maps of steps {[str(each.step) for each in (self, *others)]} px met")
        return Map(
            self.step, self.start, self.end, tuple((each, Window()) for each in (self, *others))
        )

    def sees(self, first: int, stop: int) -> tuple[int, int]:
        """The pixels of the image, end-exclusive, that a run of its own sees."""
        wanted = {self: (first, stop)}
        while True:
            latest = max(wanted, key=lambda each: each.number)
            run = wanted.pop(latest)
            if not latest.sources:
                return run
            for source, layer in latest.sources:
                start, end = layer.sees(*run)
                known = wanted.get(source, (start, end))
                wanted[source] = (min(start, known[0]), max(end, known[1]))

    @property
    def period_px(self) -> int:
        """By which the image may be shifted and the map is shifted with it."""
        return math.lcm(*(each.step.numerator for each in self._all()))

    def smallest_px(self) -> int:
        """The smallest image that leaves no remainder at any layer. Raises ValueError for none."""
        lost, every = math.ceil(self.start + self.end), list(self._all())
        for size_px in range(lost + 1, lost + 1 + self.period_px):
            sizes = [(size_px - each.start - each.end) / each.step for each in every]
            if all(size.denominator == 1 and size > 0 for size in sizes):
                return size_px
        raise ValueError(
            "no size passes all layers without a remainder: where maps of two levels meet, one of "
            "them must be cropped to whole pixels"
        )

    def _all(self) -> Iterator["Map"]:
        """It and all maps that it is made of."""
        found, waiting = set[Map](), [self]
        while waiting:
            one = waiting.pop()
            if one not in found:
                found.add(one)
                waiting += [source for source, _ in one.sources]
                yield one


def valid_geometry(seen: Map, values_per_px: float, why: str = "") -> Geometry:
    """The geometry of a network that pads nothing, alike along both axes."""
    return geometry_along((seen, seen), values_per_px=values_per_px, why=why, padded=False)


def padded_geometry(seen: Map, values_per_px: float, why: str = "") -> Geometry:
    """The geometry of a network that pads, and whose padding is cut away; both axes alike."""
    return geometry_along((seen, seen), values_per_px=values_per_px, why=why, padded=True)


def geometry_along(
    seen: tuple[Map, ...], *, values_per_px: float, why: str, padded: bool
) -> Geometry:
    """The geometry of a network by its last map along each of the axes (y, x) or (z, y, x).

    Where it pads, halos are whole steps, so that tiles start on the pooling grid of the whole
    image, and the same on both sides, so that flipped tiles give the same region. Raises
    ValueError where the last map is not of the image's resolution.
    """
    if any(each.step != 1 for each in seen):
        raise ValueError(f"the last map has steps of {seen[0].step} px: must be those of the image")
    steps = tuple(each.period_px for each in seen)
    if padded:
        halos = [_halo_px(each, step) for each, step in zip(seen, steps, strict=True)]
        before = after = tuple(halos)
        smallest = tuple(2 * halo + step for halo, step in zip(halos, steps, strict=True))
    else:
        before = tuple(int(each.start) for each in seen)
        after = tuple(int(each.end) for each in seen)
        smallest = tuple(each.smallest_px() for each in seen)
    return Geometry(
        ("z", "y", "x")[-len(seen) :], steps, before, after, smallest, values_per_px, why
    )


def reach_px(seen: Map, step_px: int) -> tuple[int, int]:
    """What a write region of whole steps sees before and after it, where the network pads."""
    first, stop = seen.sees(0, step_px)
    return max(0, -first), max(0, stop - step_px)


def _halo_px(seen: Map, step_px: int) -> int:
    return -(-max(reach_px(seen, step_px)) // step_px) * step_px
