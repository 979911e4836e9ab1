"""The geometry of overlap-tile: sizes, halos, tiles and mirrored padding. Pure arithmetic.

The paper's network (Ronneberger et al. 2015, figure 1) only has valid convolutions, so its output
is smaller than its input, by twice the halo, and only some input sizes pass its poolings evenly:

    |<------------------ read ------------------->|      700 px
    |  halo  |<----------- write --------->| halo |   92 + 512 + 96 px

Pooling makes the network shift-equivariant only in steps of 2**depth px. Write regions that start
at multiples of it therefore give exactly what the whole image would give; the surplus output
pixels (the network returns 516 of 700) are cut at the end of each axis.
"""

from unetflow.arguments import whole_number_of
from unetflow.tiles.geometry import Geometry

# Maps of base_channels and full size that the U-Net holds at the peak of inference, on the first
# level: both features that are concatenated and their result, what goes into and comes out of a
# convolution. 4.5 to 6 measured at base 16 and 64, inputs of 700 to 2236 px, and up to 7.9 where
# the allocator gives nothing back.
MEASURED_FEATURES = 8


def unet_geometry(depth: int = 4, base_channels: int = 64, norm: str | None = None) -> Geometry:
    """The geometry of the paper's network; with instance normalisation it is not seamless."""
    by_tile = "instance normalisation takes the mean and deviation of a tile"
    return Geometry(
        axes=("y", "x"),
        step_px=(1 << depth,) * 2,
        before_px=(halo_px(depth),) * 2,
        after_px=(halo_px(depth),) * 2,
        smallest_input_px=(valid_input_px(1, depth),) * 2,
        values_per_px=MEASURED_FEATURES * base_channels,
        why=by_tile if norm == "instance" else "",
    )


def _output_or_none(input_px: int, depth: int) -> int | None:
    """Output size of the U-Net, or None where a size turns odd before a pooling or vanishes."""
    output_px = input_px - 2 * halo_px(depth)
    return output_px if output_px > 0 and not _surplus_px(input_px, depth) else None


def _surplus_px(input_px: int, depth: int) -> int:
    """By how much an input is larger than one that every pooling meets with an even size.

    Each level takes four pixels and halves the rest: n pixels of the lowest are 2 n + 4 of the next
    one, and 2**depth n + 4 (2**depth - 1) of the input.
    """
    step = 1 << depth
    return (input_px - 4 * (step - 1)) % step


def output_size_px(input_px: int, depth: int = 4) -> int:
    """Pixels that the U-Net of `depth` poolings returns of `input_px` pixels: 572 -> 388.

    Raises ValueError, with the nearest valid sizes, where a pooling would meet an odd size or
    nothing would be left. Source: Ronneberger et al. 2015, figure 1 and section 2.
    """
    input_px = whole_number_of(input_px, "input_px", least=1)
    depth = whole_number_of(depth, "depth", least=1)
    output_px = _output_or_none(input_px, depth)
    if output_px is None:
        raise ValueError(
            f"an input of {input_px} px is not possible for a U-Net of depth {depth}: every "
            f"pooling needs an even size and something must be left; the nearest valid sizes are "
            + " and ".join(f"{size} px" for size in nearest_input_sizes_px(input_px, depth))
        )
    return output_px


def nearest_input_sizes_px(input_px: int, depth: int = 4) -> list[int]:
    """The nearest valid input sizes at or below and above `input_px` (below may not exist)."""
    above = valid_input_px(max(1, input_px - 2 * halo_px(depth)), depth)
    below = above - 2**depth
    return [size for size in (below, above) if _output_or_none(size, depth) is not None]


def valid_input_px(output_px: int, depth: int = 4) -> int:
    """The smallest valid input whose output has at least `output_px` pixels: 512 -> 700."""
    smallest = whole_number_of(output_px, "output_px", least=1) + 2 * halo_px(depth)
    return smallest + -_surplus_px(smallest, depth) % (1 << depth)


def halo_px(depth: int = 4) -> int:
    """Pixels of context on each side of an output pixel: 92 for the paper's depth of 4.

    Each level loses four pixels of its own on the way down and four on the way up, the lowest
    four: 8 (2**depth - 1) + 4 * 2**depth on both sides together.
    """
    lowest = 1 << whole_number_of(depth, "depth", least=1)
    return (8 * (lowest - 1) + 4 * lowest) // 2
