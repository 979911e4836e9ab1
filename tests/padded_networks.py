"""What every network's test asks of it: gradients, learning one image, shifts of whole steps."""

from collections.abc import Callable

import torch
from torch import Tensor, nn


def parameters_of(build: Callable[..., nn.Module], **options: object) -> int:
    """The number of parameters; none is allocated."""
    with torch.device("meta"):
        return sum(tensor.numel() for tensor in build(**options).parameters())


def image_and_truth(side_px: int) -> tuple[Tensor, Tensor]:
    """An image (1, 1, H, W) with two bright discs in noise, and their pixels (1, H, W)."""
    generator = torch.Generator().manual_seed(0)
    at = torch.arange(side_px)
    truth = torch.zeros(side_px, side_px, dtype=torch.bool)
    for y, x, radius in ((0.3, 0.3, 0.2), (0.7, 0.6, 0.25)):
        truth |= (at[:, None] - y * side_px) ** 2 + (at - x * side_px) ** 2 < (
            radius * side_px
        ) ** 2
    noise = torch.randn(side_px, side_px, generator=generator)
    return (2 * truth + noise)[None, None] - 0.5, truth.long()[None]


def without_gradient(network: nn.Module, image_BCHW: Tensor) -> list[str]:
    """Parameters that a loss of the logits does not reach."""
    logits_BKHW = network.train()(image_BCHW)
    (logits_BKHW * torch.randn_like(logits_BKHW)).sum().backward()
    return [
        name
        for name, tensor in network.named_parameters()
        if tensor.grad is None or not tensor.grad.any()
    ]


def right_after_training(
    network: nn.Module, image_BCHW: Tensor, truth_BHW: Tensor, *, steps: int, rate: float = 1e-3
) -> float:
    """The share of pixels that a network has right after some steps on that image alone."""
    optimizer = torch.optim.Adam(network.train().parameters(), lr=rate)
    for _ in range(steps):
        optimizer.zero_grad()
        nn.functional.cross_entropy(network(image_BCHW), truth_BHW).backward()
        optimizer.step()
    with torch.no_grad():
        found_BHW: Tensor = network(image_BCHW).argmax(dim=1)
    return float((found_BHW == truth_BHW).double().mean())


def rows_that_differ(network: nn.Module, step_px: int, height_px: int) -> int:
    """Rows at the top that change where the image begins a step later, up to rounding: its halo.

    Only rows that padding reaches may change; all below are those of the whole image.
    """
    image_BCHW = torch.randn(1, 1, height_px, 64, generator=torch.Generator().manual_seed(0))
    _lively(network)
    with torch.inference_mode():
        whole_BKHW = network.eval()(image_BCHW)[:, :, step_px:]
        later_BKHW = network(image_BCHW[:, :, step_px:])
    differ = (whole_BKHW - later_BKHW).abs().amax(dim=(0, 1, 3))
    rows = (differ > 1e-5 * whole_BKHW.abs().max()).nonzero()
    return int(rows.max()) + 1 if len(rows) else 0


def _lively(network: nn.Module) -> None:
    """Statistics as after a training: with a mean of 0 zero padding would hardly differ."""
    generator = torch.Generator().manual_seed(1)

    for layer in network.modules():
        if isinstance(layer, nn.BatchNorm2d):
            for tensor in (layer.bias, layer.running_mean):
                assert tensor is not None
                tensor.data.uniform_(-0.5, 0.5, generator=generator)
