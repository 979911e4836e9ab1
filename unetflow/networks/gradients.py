"""What a network sees, by gradients: of one that is not traced, and to test what is computed.

A pixel of the input that no gradient reaches is not seen. Weights and pixels are random, in double
precision; a maximum and a ReLU pass only some gradients on, so that several inputs are tried.
"""

import copy
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from unetflow.networks.network import NO_LOGITS, RANDOM
from unetflow.tiles.geometry import Geometry

INPUTS = 3  # tried, for each that is asked
SIZE_PX = 256  # of the input where nothing is known of a network
REGION_PX = 64  # in its middle: no less than any step
OUTSIDE = 4.0  # times the deviation of other pixels: what is put around what is seen
STEPS_PX = (1, 2, 3, 4, 6, 8, 9, 12, 16, 24, 27, 32, 48, 64)


def seen_by_gradients(
    network: nn.Module, channels: int, sizes_px: Sequence[int], run: tuple[int, int], axis: int = 0
) -> tuple[int, int]:
    """The rows of an input, end-exclusive, that rows `run` of the output depend on.

    Rows are those of an `axis` of the spatial ones.
    """
    exact = copy.deepcopy(network).double().eval()
    draw = torch.Generator().manual_seed(0)
    found = torch.zeros(sizes_px[axis], dtype=torch.bool)
    others = [each for each in range(2 + len(sizes_px)) if each != 2 + axis]
    for _ in range(INPUTS):
        shape = (1, channels, *sizes_px)
        image = torch.randn(shape, dtype=torch.float64, generator=draw).requires_grad_()
        rows: Tensor = exact(image).narrow(2 + axis, run[0], run[1] - run[0])
        weights = torch.randn(rows.shape, dtype=torch.float64, generator=draw)
        (gradient,) = torch.autograd.grad((rows * weights).sum(), image)
        found |= gradient.abs().sum(dim=others) > 0
    rows_seen = found.nonzero().flatten().tolist()
    if not rows_seen:
        raise ValueError("no gradient reaches the input: its weights let nothing pass")
    return rows_seen[0], rows_seen[-1] + 1


def geometry_by_gradients(network: nn.Module, channels: int) -> Geometry:
    """The geometry of a network that returns as many pixels as it takes.

    Raises ValueError for one that does not, for one that says another thing each time or no
    logits, and where the shifts that it follows are not found.
    """
    shape = (1, channels, SIZE_PX, SIZE_PX)
    image = torch.randn(shape, generator=torch.Generator().manual_seed(3))
    try:
        with torch.no_grad():
            output, again = network.eval()(image), network(image)
    except Exception as error:  # whatever its forward pass raises
        raise ValueError(
            f"the network takes no image of {SIZE_PX}x{SIZE_PX} px and {channels} channels: "
            f"{type(error).__name__}: {error}. Mend its forward pass, or give its module a "
            "function geometry(**options)"
        ) from error
    if tuple(output.shape[-2:]) != (SIZE_PX, SIZE_PX):
        raise ValueError(
            f"of {SIZE_PX} px the network returns {output.shape[-1]} px, and its graph does not "
            "tell why. Give its module a function geometry(**options), or let it pad"
        )
    if not torch.allclose(output, again, rtol=1e-3, atol=1e-4):  # far more than rounding
        raise ValueError(RANDOM)
    if output.min() >= 0 and torch.allclose(output.sum(dim=1), torch.ones(()), atol=1e-4):
        raise ValueError(NO_LOGITS)
    first = (SIZE_PX - REGION_PX) // 2
    middle = first, first + REGION_PX
    sizes = SIZE_PX, SIZE_PX
    starts, stops = zip(
        *(seen_by_gradients(network, channels, sizes, middle, axis) for axis in range(2)),
        strict=True,
    )
    start, stop = min(starts), max(stops)
    everything = start == 0 or stop == SIZE_PX or _sees_more(network, channels, middle, start, stop)
    halo_px = 0 if everything else max(first - start, stop - first - REGION_PX)
    step_px = 32 if everything else _step_px(network, channels, halo_px)
    halo_px = -(-halo_px // step_px) * step_px
    return Geometry(
        axes=("y", "x"),
        step_px=(step_px,) * 2,
        before_px=(halo_px,) * 2,
        after_px=(halo_px,) * 2,
        smallest_input_px=(2 * halo_px + step_px,) * 2,
        values_per_px=_values_per_px(network, channels),
        why=f"it sees more than {first} px around each pixel, maybe all of a tile"
        if everything
        else "",
    )


@torch.no_grad()
def _sees_more(
    network: nn.Module, channels: int, middle: tuple[int, int], start: int, stop: int
) -> bool:
    """Whether logits in the middle change with pixels that no gradient came from.

    The largest value of a tile has a gradient at one pixel alone, wherever that lies.
    """
    exact = copy.deepcopy(network).double().eval()
    draw = torch.Generator().manual_seed(2)
    shape = (1, channels, SIZE_PX, SIZE_PX)
    image = torch.randn(shape, dtype=torch.float64, generator=draw)
    around = OUTSIDE * torch.randn(shape, dtype=torch.float64, generator=draw)
    around[..., start:stop, start:stop] = image[..., start:stop, start:stop]
    run = slice(*middle)
    here, there = (exact(each)[..., run, run] for each in (image, around))
    return not torch.allclose(here, there, rtol=1e-9, atol=1e-9)


@torch.no_grad()
def _step_px(network: nn.Module, channels: int, halo_px: int) -> int:
    """The smallest shift of an image that the logits follow, where no border is seen."""
    exact = copy.deepcopy(network).double().eval()
    draw = torch.Generator().manual_seed(1)
    larger = SIZE_PX + max(STEPS_PX)
    image = torch.randn((1, channels, larger, larger), dtype=torch.float64, generator=draw)
    here = exact(image[..., :SIZE_PX, :SIZE_PX])
    for step in STEPS_PX:
        # a pixel within a step sees up to a step more than the halo of whole ones
        inner = slice(halo_px + step, SIZE_PX - halo_px - 2 * step)
        there = exact(image[..., step : step + SIZE_PX, step : step + SIZE_PX])
        moved = here[..., inner.start + step : inner.stop + step, :]
        moved = moved[..., inner.start + step : inner.stop + step]
        if moved.numel() and torch.allclose(moved, there[..., inner, inner], rtol=1e-9, atol=1e-9):
            return step
    raise ValueError(f"its logits follow no shift of {STEPS_PX} px")


@torch.no_grad()
def _values_per_px(network: nn.Module, channels: int) -> float:
    """Twice the values of the largest layer's input and output together."""
    largest = [0]

    def measure(layer: nn.Module, given: tuple[object, ...], made: object) -> None:
        tensors = [each for each in (*given, made) if isinstance(each, Tensor)]
        largest[0] = max(largest[0], sum(each.numel() for each in tensors))

    measured = copy.deepcopy(network).eval()
    for layer in measured.modules():
        if not list(layer.children()):
            layer.register_forward_hook(measure)
    measured(torch.zeros(1, channels, SIZE_PX, SIZE_PX))
    return 4 * largest[0] / SIZE_PX**2
