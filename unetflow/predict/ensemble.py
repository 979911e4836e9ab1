"""Trained networks that predict together, ready for one image after another."""

import logging
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import nn

from unetflow.engine.memory import MIB, available_bytes
from unetflow.errors import ModelError
from unetflow.networks.model_file import load_model
from unetflow.predict.forward import ready
from unetflow.predict.runners import Captured, Runner, Turns, mean_probabilities, runner_for
from unetflow.store.files import digest_of_file
from unetflow.tiles.tiling import check_write_px, read_px_of

log = logging.getLogger(__name__)


LEAST_BUSY = 0.8  # of the threads
SHARE_OF_MEMORY = 0.8  # of what is left, for the activations of tiles
READERS = 2  # workers that read and write shards while others compute


class _Tile(NamedTuple):
    """What a graph of a GPU is captured for."""

    turns: Turns
    read_px: int
    device: str
    precision: str


class Ensemble:
    """Networks with their descriptions, whose probabilities are averaged.

    What takes time is done once for all images of a job: loading and the copies on the device. The
    graph of a GPU is kept until an image has tiles of another size.
    """

    def __init__(
        self,
        models: Sequence[tuple[nn.Module, dict[str, Any]]],
        digests: Sequence[str] = (),
        memory_mb: int | None = None,
    ) -> None:
        if not models:
            raise ValueError("an ensemble of no model predicts nothing")
        self.descriptions = [description for _, description in models]
        self.digests = list(digests)  # of the model files
        self._granted_bytes = memory_mb * MIB if memory_mb else math.inf
        self._loaded: list[Any] = [network for network, _ in models]
        self._ready: dict[tuple[str, str], list[nn.Module]] = {}  # of one device and precision
        self._captured: dict[_Tile, Captured] = {}  # one at most: each holds the memory of a tile

    @classmethod
    def load(cls, paths: Sequence[str | Path], memory_mb: int | None = None) -> "Ensemble":
        """Of model files. Raises ModelError where one is none, or is damaged.

        `memory_mb` is what the job was granted, if it is less than what is left to it.
        """
        models = [load_model(path) for path in paths]
        return cls(models, [digest_of_file(path) for path in paths], memory_mb)

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

        Raises ModelError where even the smallest is too large, ValueError where `write_px` is no
        multiple of 2**depth.
        """
        step = 2**self.network.depth
        check_write_px(self.network, write_px)
        wanted = write_px
        while not self.fits(turns, write_px, device, precision):
            if write_px == step:
                raise ModelError(
                    f"predict: not even a tile of {write_px} px fits into the memory that is left "
                    f"(wanted: {wanted} px). Ask for more, or use a network with a smaller "
                    "base_channels."
                )
            log.warning("write regions of %d px do not fit into memory: halving them", write_px)
            write_px = -(-write_px // step // 2) * step
        return write_px

    def fits(self, turns: Turns, write_px: int, device: str, precision: str) -> bool:
        """Whether memory is enough for a tile: tried on a GPU, estimated on the CPU."""
        if device == "cpu":
            return self._bytes_of_tile(write_px, precision) < self._usable_bytes()
        return self._fits_on_gpu(
            _Tile(turns, read_px_of(self.network, write_px), device, precision)
        )

    def usual_tile(
        self, shard_px: int, device: str, precision: str, most: int, held_bytes: int
    ) -> int:
        """The write region of a tile where none is wanted: 512 px, or 1024 px in bf16.

        Larger tiles compute less of their halos twice. In fp32 on a CPU that gains nothing
        (`benchmarks/results/prediction.md`), nor where memory is enough for fewer of them together.
        """
        small, large = math.gcd(512, shard_px), math.gcd(1024, shard_px)
        if precision != "bf16":
            return small
        if device != "cpu":
            return large
        together = [
            self._fitting(
                {"write_px": px, "device": device, "precision": precision}, most, held_bytes
            )
            for px in (small, large)
        ]
        return large if together[1] == together[0] else small

    def tiles_at_once(self, chosen: Mapping[str, Any], most: int, held_bytes: int = 0) -> int:
        """How many tiles may be on their way together, 1 to `most`.

        On a CPU as many as memory allows, each with `held_bytes` of its image, as the `READERS`
        have; on a GPU all, of which one is computed. `chosen` has the tile's `write_px`, `device`
        and `precision`.
        """
        if chosen["device"] != "cpu":
            return max(1, most)
        fitting = self._fitting(chosen, most, held_bytes)
        # few threads are idle: of 8, two tiles have four each, where three would have two
        return max(n for n in range(1, fitting + 1) if most // n * n >= LEAST_BUSY * most)

    def _fitting(self, chosen: Mapping[str, Any], most: int, held_bytes: int) -> int:
        """How many tiles fit into a CPU's memory together, 1 to `most`."""
        self._on(chosen["device"], chosen["precision"])  # what they take is not left to tiles
        needed = self._bytes_of_tile(chosen["write_px"], chosen["precision"]) + held_bytes
        left = self._usable_bytes() - READERS * held_bytes
        return max(1, min(most, int(left / needed)))

    def needs(self, chosen: Mapping[str, Any], at_once: int, held_bytes: int) -> str:
        """The memory that prediction takes, and for what: in words, of the device's memory."""
        on_cpu = chosen["device"] == "cpu"
        tiles = at_once if on_cpu else 1
        held = (at_once + READERS) * held_bytes if on_cpu else 0
        needed = tiles * self._bytes_of_tile(chosen["write_px"], chosen["precision"]) + held
        network = self.descriptions[0].get("network", {})
        base = f"base {network['base_channels']}, " if "base_channels" in network else ""
        return (
            f"{needed / 1e9:.2f} GB: {tiles} at once of tile "
            f"{read_px_of(self.network, chosen['write_px'])} px, {base}{chosen['precision']}, "
            f"{chosen['device']}"
        )

    def runner(self, chosen: Mapping[str, Any], turns: Turns, at_once: int) -> Runner:
        """What padded tiles are given to, by `at_once` threads or more; `chosen` as above."""
        device, precision = chosen["device"], chosen["precision"]
        tile = _Tile(turns, read_px_of(self.network, chosen["write_px"]), device, precision)
        if tile in self._captured and self._captured[tile].slots >= at_once:
            return self._captured[tile]
        self._captured.clear()  # its memory is free before the next one takes its own
        found = runner_for(self._on(device, precision), turns, tile.read_px, at_once)
        if isinstance(found, Captured):
            self._captured[tile] = found
        return found

    def _usable_bytes(self) -> float:
        return SHARE_OF_MEMORY * min(available_bytes(), self._granted_bytes)

    def _bytes_of_tile(self, write_px: int, precision: str) -> int:
        read_px = read_px_of(self.network, write_px)
        needed: int = self.network.bytes_of_tile(read_px, 4 if precision == "fp32" else 2)
        return needed

    def _on(self, device: str, precision: str) -> list[nn.Module]:
        """The networks, ready on a device."""
        if (device, precision) not in self._ready:
            self._ready.clear()
            networks = [ready(of, device=device, precision=precision) for of in self._loaded]
            self._ready[device, precision] = networks
        return self._ready[device, precision]

    def _fits_on_gpu(self, tile: _Tile) -> bool:
        if tile in self._captured:
            return True  # its memory is taken already
        self._captured.clear()
        try:
            networks = self._on(tile.device, tile.precision)
            inputs = [
                torch.zeros(1, next(network.parameters()).shape[1], tile.read_px, tile.read_px)
                for network in networks
            ]
            mean_probabilities(networks, inputs, tile.turns).cpu()
        except torch.OutOfMemoryError:
            return False
        finally:
            if tile.device == "cuda":
                torch.cuda.empty_cache()
        return True
