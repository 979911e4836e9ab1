"""Trained networks that predict together, ready for one image after another."""

import logging
import math
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path

import torch

from unetflow.engine.devices import machine_of
from unetflow.engine.distributed import memory_of_worker_mb
from unetflow.engine.memory import MIB, available_bytes
from unetflow.errors import ModelError
from unetflow.networks.model_file import ModelDescription, load_models
from unetflow.networks.network import Network
from unetflow.predict.forward import ready
from unetflow.predict.plan import Inference, Plan
from unetflow.predict.runners import Captured, Runner, mean_probabilities, runner_for
from unetflow.store.files import digest_of_file
from unetflow.store.shards import Layout
from unetflow.tiles.geometry import Geometry
from unetflow.tiles.regions import PLANE, shard_grid, side_px
from unetflow.tiles.tiling import Tiling

log = logging.getLogger(__name__)


LEAST_BUSY = 0.8  # of the threads
SHARE_OF_MEMORY = 0.8  # of what is left, for the activations of tiles
READERS = 2  # workers that read and write shards while others compute


class Ensemble:
    """Networks with their descriptions, whose probabilities are averaged.

    What takes time is done once for all images of a job: loading and the copies on the device. The
    graph of a GPU is kept until an image has tiles of another size.
    """

    def __init__(
        self,
        models: Sequence[tuple[Network, ModelDescription]],
        digests: Sequence[str] = (),
        memory_mb: int | None = None,
    ) -> None:
        if not models:
            raise ValueError("an ensemble of no model predicts nothing")
        if any(of.get("heads") != models[0][1].get("heads") for _, of in models):
            raise ModelError("the networks of an ensemble must have the same head, or none")
        self.networks = [network for network, _ in models]
        self.descriptions = [description for _, description in models]
        self.digests = list(digests)  # of the files of the trainings: how objects are made is out
        self._paths: tuple[Path, ...] = ()  # where they were loaded from
        self._granted_bytes = memory_mb * MIB if memory_mb else math.inf
        self._ready: dict[tuple[str, str], list[Network]] = {}  # of one device and precision
        # of inputs of one size, one at most: each holds the memory of a tile
        self._captured: dict[tuple[Inference, tuple[int, ...]], Captured] = {}

    @classmethod
    def load(cls, paths: Sequence[str | Path], memory_mb: int | None = None) -> "Ensemble":
        """Of model files. Raises ModelError where one is none, or is damaged.

        `memory_mb` is what the job was granted, if it is less than what is left to it.
        """
        models, digests = [], []
        for path in paths:
            for network, description in load_models(path):
                models.append((network, description))
                made = description.get("deployed")
                digests.append(digest_of_file(path) if made is None else made["of"])
        ensemble = cls(models, digests, memory_mb)
        ensemble._paths = tuple(Path(path).absolute() for path in paths)
        return ensemble

    def __reduce__(self) -> tuple[object, tuple[object, ...]]:
        """A worker loads the same files, once for all images, and takes what it has of memory."""
        if not self._paths:
            raise ValueError("networks are sent by their files: use Ensemble.load")
        return _loaded, (self._paths, tuple(self.digests))

    @property
    def geometry(self) -> Geometry:
        """How tiles are cut: in that all networks are alike."""
        return self.networks[0].geometry

    @property
    def classes(self) -> list[str]:
        """What is segmented, without background."""
        return list(self.descriptions[0]["classes"])

    @property
    def heads(self) -> list[str]:
        """What the networks say beside the classes; in that all are alike."""
        return list(self.descriptions[0].get("heads", []))

    def plan(
        self,
        how: Inference,
        layout: Layout,
        write_px: int | None,
        *,
        granted: int,
        held_bytes: int,
    ) -> Plan:
        """What this machine would choose for an array: tile, and threads of each network.

        Networks of one thread each are faster together than one of many threads, and give the same
        bits whatever their number; of the `granted` threads they get several where there are fewer
        shards than threads, or where memory is short.
        """
        most = min(granted, len(shard_grid(layout.shape, layout.shards)))
        if write_px is None:
            tiling = self.usual_tiling(layout.shards[-1], how, most, held_bytes)
        else:
            tiling = Tiling.square(self.geometry, write_px)
        wanted = tiling.for_image(layout.shape[1:])
        tiling = self.fitting(wanted, how)
        overlap_px = max(tiling.overlap_px)
        if overlap_px:
            log.warning(
                "the network is not seamless (%s): what it says of a pixel depends on the tile. "
                "Tiles overlap by %d px and are blended; the result is not that of the whole "
                "image.",
                self.geometry.why,
                2 * overlap_px,
            )
        machine = machine_of(how.device)
        return Plan(
            device=how.device,
            precision=how.precision,
            write_px=tiling.side_px,
            test_time_augmentation=len(how.orientations),
            processor=machine["processor"],
            pytorch=machine["PyTorch"],
            threads=granted // self.tiles_at_once(tiling, how, most, held_bytes),
            blended_px=overlap_px or None,
            wanted_px=wanted.side_px if overlap_px and tiling != wanted else None,
        )

    def fitting(self, tiling: Tiling, how: Inference) -> Tiling:
        """The tiling whose tiles memory is enough for: this one, or of tiles that are halved.

        Raises ModelError where even the smallest is too large.
        """
        wanted = tiling
        while not self.fits(tiling, how):
            smaller = tiling.halved()
            if smaller == tiling:
                raise ModelError(
                    f"predict: not even a tile of {tiling.side_px} px fits into the memory that is "
                    f"left (wanted: {wanted.side_px} px). Ask for more, or use a narrower network "
                    "(of a U-Net: a smaller base_channels)."
                )
            log.warning(
                "write regions of %d px do not fit into memory: halving them", tiling.side_px
            )
            tiling = smaller
        return tiling

    def fits(self, tiling: Tiling, how: Inference) -> bool:
        """Whether memory is enough for a tile: tried on a GPU, estimated on the CPU."""
        if how.device == "cpu":
            return _bytes_of_tile(tiling, how) < self._usable_bytes()
        return self._fits_on_gpu(tiling, how)

    def usual_tiling(self, shard_px: int, how: Inference, most: int, held_bytes: int) -> Tiling:
        """Where no write region is wanted: tiles of 512 px, or of 1024 px in bf16.

        Of volumes cubes of 128 px, to be halved until they fit (`fitting`): most of what smaller
        ones read is halo.

        Larger tiles compute less of their halos twice. In fp32 on a CPU that gains nothing
        (`benchmarks/results/prediction.md`), nor where memory is enough for fewer of them together.
        """
        axes = len(self.geometry.axes)
        small, large = (
            Tiling.square(self.geometry, math.gcd(side_px(size, axes), shard_px))
            for size in (512, 1024)
        )
        if axes > PLANE:
            return large
        if how.precision != "bf16":
            return small
        if how.device != "cpu":
            return large
        together = [self._fitting(tiling, how, most, held_bytes) for tiling in (small, large)]
        return large if together[1] == together[0] else small

    def tiles_at_once(self, tiling: Tiling, how: Inference, most: int, held_bytes: int = 0) -> int:
        """How many tiles may be on their way together, 1 to `most`.

        On a CPU as many as memory allows, each with `held_bytes` of its image, as the `READERS`
        have; on a GPU all, of which one is computed.
        """
        if how.device != "cpu":
            return max(1, most)
        fitting = self._fitting(tiling, how, most, held_bytes)
        # few threads are idle: of 8, two tiles have four each, where three would have two
        return max(n for n in range(1, fitting + 1) if most // n * n >= LEAST_BUSY * most)

    def needs(self, tiling: Tiling, how: Inference, at_once: int, held_bytes: int) -> str:
        """The memory that prediction takes, and for what: in words, of the device's memory."""
        on_cpu = how.device == "cpu"
        tiles = at_once if on_cpu else 1
        held = (at_once + READERS) * held_bytes if on_cpu else 0
        needed = tiles * _bytes_of_tile(tiling, how) + held
        return (
            f"{needed / 1e9:.2f} GB: {tiles} at once of tile {max(tiling.read_px)} px, "
            f"{self.geometry.values_per_px:g} values per px, {how.precision}, {how.device}"
        )

    def runner(self, tiling: Tiling, how: Inference, at_once: int) -> Runner:
        """What padded tiles are given to, by `at_once` threads or more."""
        tile = how, tiling.read_px
        if tile in self._captured and self._captured[tile].slots >= at_once:
            return self._captured[tile]
        self._captured.clear()  # its memory is free before the next one takes its own
        found = runner_for(self._on(how), how.orientations, tiling.read_px, at_once)
        if isinstance(found, Captured):
            self._captured[tile] = found
        return found

    def _fitting(self, tiling: Tiling, how: Inference, most: int, held_bytes: int) -> int:
        """How many tiles fit into a CPU's memory together, 1 to `most`."""
        self._on(how)  # what the networks take is not left to tiles
        needed = _bytes_of_tile(tiling, how) + held_bytes
        left = self._usable_bytes() - READERS * held_bytes
        return max(1, min(most, int(left / needed)))

    def _usable_bytes(self) -> float:
        return SHARE_OF_MEMORY * min(available_bytes(), self._granted_bytes)

    def _on(self, how: Inference) -> list[Network]:
        """The networks, ready on a device."""
        key = how.device, how.precision
        if key not in self._ready:
            self._ready.clear()
            self._ready[key] = [
                ready(network, device=how.device, precision=how.precision)
                for network in self.networks
            ]
        return self._ready[key]

    def _fits_on_gpu(self, tiling: Tiling, how: Inference) -> bool:
        if (how, tiling.read_px) in self._captured:
            return True  # its memory is taken already
        self._captured.clear()
        try:
            networks = self._on(how)
            inputs = [torch.zeros(1, of.in_channels, *tiling.read_px) for of in networks]
            mean_probabilities(networks, inputs, how.orientations).cpu()
        except torch.OutOfMemoryError:
            return False
        finally:
            if how.device == "cuda":
                torch.cuda.empty_cache()
        return True


@lru_cache(maxsize=1)
def _loaded(paths: tuple[Path, ...], digests: tuple[str, ...]) -> Ensemble:
    """On a worker. Raises ModelError where the files are not those of the job."""
    ensemble = Ensemble.load(paths, memory_of_worker_mb())
    if tuple(ensemble.digests) != digests:
        raise ModelError(
            f"{', '.join(map(str, paths))}: changed while the job ran. Run the same command again."
        )
    return ensemble


def _bytes_of_tile(tiling: Tiling, how: Inference) -> int:
    return tiling.geometry.tile_bytes(tiling.read_px, 4 if how.precision == "fp32" else 2)
