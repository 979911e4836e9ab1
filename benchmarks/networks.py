"""How much work a network has with 512x512 px: U-Net beside the sliding window, FCN and FPN.

    python benchmarks/networks.py --rounds 3 --threads 1 --patches 256

Multiply-adds are counted by `torch.utils.flop_counter` (which counts each as two), of convolutions
alone, in one pass over the whole image; seconds are medians of rounds in which the networks take
turns, fp32, channels last, random weights. The naive sliding window is timed and counted on some
patches, and extrapolated to one for each pixel. On a machine that does other work, too, CPU seconds
of one thread are what can be compared.
"""

import argparse
import os
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from unetflow.networks import fcn, fpn, sliding_window, unet

SIDE_PX = 512


@dataclass
class Way:
    """One way to the logits of the image, and the share of its pixels that a call computes."""

    name: str
    build: Callable[..., nn.Module]
    input_px: int  # the side of what goes in; what is beyond the image is mirrored or zero
    share: float = 1.0
    wall_s: list[float] = field(default_factory=list)
    cpu_s: list[float] = field(default_factory=list)

    def input(self, device: str) -> Tensor:
        """Noise, as large as the network takes it."""
        return torch.randn(1, 1, self.input_px, self.input_px, device=device)

    def multiply_adds(self) -> float:
        """Of the whole image; counted without computing."""
        with torch.device("meta"):
            network, image = self.build().eval(), self.input("meta")
        with FlopCounterMode(display=False) as counter, torch.no_grad():
            network(image)
        return counter.get_total_flops() / 2 / self.share

    def parameters(self) -> int:
        with torch.device("meta"):
            return sum(tensor.numel() for tensor in self.build().parameters())

    def time(self, network: nn.Module) -> None:
        image = self.input("cpu")
        started = time.perf_counter(), time.process_time()
        with torch.inference_mode():
            network(image)
        self.wall_s.append((time.perf_counter() - started[0]) / self.share)
        self.cpu_s.append((time.process_time() - started[1]) / self.share)


def ways(patches: int) -> list[Way]:
    """U-Net first; what a patch classifier gives of a strip of `patches` pixels in a square."""
    patch_px = sliding_window.build().patch_px
    side = round(patches**0.5)
    return [
        Way("unet", unet.build, unet.build(base_channels=1).geometry.input_px(SIDE_PX)),
        Way(
            "sliding_window, naive",
            lambda: sliding_window.build(way="naive"),
            side + patch_px - 1,
            side * side / SIDE_PX**2,
        ),
        Way("sliding_window, dense", sliding_window.build, SIDE_PX + patch_px - 1),
        Way("fcn", fcn.build, SIDE_PX),
        Way("fpn", fpn.build, SIDE_PX),
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--patches", type=int, default=256, help="timed of the naive way")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    torch.manual_seed(0)
    compared = ways(options.patches)
    networks = [way.build().eval().to(memory_format=torch.channels_last) for way in compared]
    for number in range(options.rounds + 1):  # the first warms up
        for way, network in zip(compared, networks, strict=True):
            way.time(network)
        print(f"round {number}: load {os.getloadavg()[0]:.1f}", flush=True)
    print(
        "| network | parameters | input [px] | multiply-adds | per output px | of U-Net's "
        "| CPU [s] | lowest to highest | of U-Net's | wall [s] |\n" + "| --- " * 10 + "|"
    )
    counted = [way.multiply_adds() for way in compared]
    seconds = [statistics.median(way.cpu_s[1:]) for way in compared]
    for way, of_it, cpu_s in zip(compared, counted, seconds, strict=True):
        print(
            f"| {way.name} | {way.parameters():,} | {way.input_px} | {of_it:.4g} "
            f"| {of_it / SIDE_PX**2:,.0f} | {of_it / counted[0]:.3g} | {cpu_s:.4g} "
            f"| {min(way.cpu_s[1:]):.4g} to {max(way.cpu_s[1:]):.4g} | {cpu_s / seconds[0]:.3g} "
            f"| {statistics.median(way.wall_s[1:]):.4g} |"
        )


if __name__ == "__main__":
    main()
