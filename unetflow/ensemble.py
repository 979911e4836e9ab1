"""Trained networks that predict together, ready for one image after another."""

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import nn

from unetflow.errors import ModelError
from unetflow.forward import check_write_px, read_px_of, ready
from unetflow.memory import available_bytes
from unetflow.models import load_model
from unetflow.receipts import digest_of_file
from unetflow.runners import Runner, Turns, mean_probabilities, runner_for

log = logging.getLogger(__name__)

SHARE_OF_MEMORY = 0.8  # of what is left, for the activations of tiles


class Ensemble:
    """Networks with their descriptions, whose probabilities are averaged.

    What takes time is done once for all images of a job: loading, the copies on the device and, as
    long as tiles are of one size, the graph of a GPU.
    """

    def __init__(
        self, models: Sequence[tuple[nn.Module, dict[str, Any]]], digests: Sequence[str] = ()
    ) -> None:
        self.descriptions = [description for _, description in models]
        self.digests = list(digests)  # of the model files
        self._loaded: list[Any] = [network for network, _ in models]
        self._ready: tuple[Any, list[nn.Module]] | None = None
        self._runner: tuple[Any, Runner] | None = None

    @classmethod
    def load(cls, paths: Sequence[str | Path]) -> "Ensemble":
        """Of model files. Raises ModelError where one is none, or is damaged."""
        return cls([load_model(path) for path in paths], [digest_of_file(path) for path in paths])

    @property
    def network(self) -> Any:
        """One of them, which says how tiles are cut: in that all are alike."""
        return self._loaded[0]

    @property
    def classes(self) -> list[str]:
        """What is segmented, without background."""
        return list(self.descriptions[0]["classes"])

    def fitting_tile(self, turns: Turns, write_px: int, device: str, precision: str) -> int:
        """The write region of a tile that memory is enough for: `write_px`, or that halved.

        On a GPU a tile is tried, on the CPU its memory is estimated. Raises ModelError where even
        the smallest is too large, ValueError where `write_px` is no multiple of 2**depth.
        """
        step = 2**self.network.depth
        check_write_px(self.network, write_px)
        wanted = write_px
        while True:
            read_px = read_px_of(self.network, write_px)
            needed = self._bytes_of_tile(write_px, precision)
            log.info("needs %.2f GB: tile %d px, %s, %s", needed / 1e9, read_px, precision, device)
            if device == "cpu":
                fits = needed < SHARE_OF_MEMORY * available_bytes()
            else:
                fits = self._fits_on_gpu(turns, read_px, device, precision)
            if fits:
                return write_px
            if write_px == step:
                raise ModelError(
                    f"predict: not even a tile of {write_px} px fits into the memory that is left "
                    f"(wanted: {wanted} px). Ask for more, or use a network with a smaller "
                    "base_channels."
                )
            log.warning("write regions of %d px do not fit into memory: halving them", write_px)
            write_px = -(-write_px // step // 2) * step

    def tiles_at_once(self, chosen: Mapping[str, Any], most: int, held_bytes: int = 0) -> int:
        """How many tiles may be on their way together, 1 to `most`.

        On a CPU as many as memory allows, each with `held_bytes` of its image; on a GPU all, of
        which one is computed. `chosen` has the tile's `write_px`, `device` and `precision`.
        """
        if chosen["device"] != "cpu":
            return max(1, most)
        needed = self._bytes_of_tile(chosen["write_px"], chosen["precision"]) + held_bytes
        return max(1, min(most, int(SHARE_OF_MEMORY * available_bytes() / needed)))

    def runner(self, chosen: Mapping[str, Any], turns: Turns, at_once: int) -> Runner:
        """What padded tiles are given to, by `at_once` threads or more; `chosen` as above."""
        device, precision = chosen["device"], chosen["precision"]
        read_px = read_px_of(self.network, chosen["write_px"])
        wanted = (turns, read_px, device, precision), at_once
        if self._runner is None or self._runner[0] != wanted:
            self._runner = None  # its memory is free before the next one takes its own
            networks = self._on(device, precision)
            self._runner = wanted, runner_for(networks, turns, read_px, at_once)
        return self._runner[1]

    def _bytes_of_tile(self, write_px: int, precision: str) -> int:
        read_px = read_px_of(self.network, write_px)
        needed: int = self.network.bytes_of_tile(read_px, 4 if precision == "fp32" else 2)
        return needed

    def _on(self, device: str, precision: str) -> list[nn.Module]:
        """The networks, ready on a device."""
        if self._ready is None or self._ready[0] != (device, precision):
            networks = [ready(of, device=device, precision=precision) for of in self._loaded]
            self._ready = (device, precision), networks
        return self._ready[1]

    def _fits_on_gpu(self, turns: Turns, read_px: int, device: str, precision: str) -> bool:
        if self._runner is not None and self._runner[0][0] == (turns, read_px, device, precision):
            return True  # tiles like it are in work
        self._runner = None
        try:
            networks = self._on(device, precision)
            inputs = [
                torch.zeros(1, next(network.parameters()).shape[1], read_px, read_px)
                for network in networks
            ]
            mean_probabilities(networks, inputs, turns).cpu()
        except torch.OutOfMemoryError:
            return False
        finally:
            if device == "cuda":
                torch.cuda.empty_cache()
        return True
