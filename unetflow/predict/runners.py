"""Many tiles through one or several networks: as many at once as memory and threads allow.

On a CPU several networks of one thread each run side by side. On an NVIDIA GPU all kernels of a
tile are captured once in a CUDA graph and started by one call for each tile, while other tiles are
copied to and from pinned memory on streams of their own.
Shape suffixes: B batch, C channels, K classes, H W of a tile.
"""

import logging
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from queue import SimpleQueue
from typing import NamedTuple, Protocol

import torch
from torch import Tensor, nn

from unetflow.errors import ModelError
from unetflow.networks.network import Network, heads_of
from unetflow.predict.forward import tile_logits

log = logging.getLogger(__name__)


WARM_UP = 3  # tiles before a graph is captured: libraries choose their kernels then


class Orientation(NamedTuple):
    """A symmetry of the square, the grid of a volume, or the cube."""

    turns: int  # quarter turns in plane
    flips: tuple[int, ...]  # axes flipped before
    moves: int = 0  # z, y and x moved on in turn behind: another side of the cube lies on top

    def of(self, values: Tensor) -> Tensor:
        """Values (..., H, W) or (..., D, H, W) so turned."""
        flipped = values.flip(self.flips) if self.flips else values
        return _moved(torch.rot90(flipped, self.turns, dims=(-2, -1)), self.moves)

    def back(self, values: Tensor) -> Tensor:
        """What was turned so as it was."""
        turned = torch.rot90(_moved(values, -self.moves), -self.turns, dims=(-2, -1))
        return turned.flip(self.flips) if self.flips else turned


def _moved(values: Tensor, moves: int) -> Tensor:
    if not moves:
        return values
    others = values.ndim - 3
    return values.permute(*range(others), *(others + (axis + moves) % 3 for axis in range(3)))


Orientations = tuple[Orientation, ...]
# Those of the square. The paper averages seven and does not say which: ours are all but the last,
# the reflection at the anti-diagonal.
ORIENTATIONS: Orientations = tuple(
    Orientation(turns, flips) for flips in ((), (-2,)) for turns in range(4)
)
PLANES = -3  # axis of a volume
OF_VOLUMES: Orientations = tuple(
    Orientation(turns, (*flips, *planes))
    for planes in ((), (PLANES,))
    for turns, flips, _ in ORIENTATIONS
)
OF_CUBES: Orientations = tuple(of._replace(moves=moves) for moves in range(3) for of in OF_VOLUMES)
AVERAGED = {
    **{1: ORIENTATIONS[:1], 7: ORIENTATIONS[:7], 8: ORIENTATIONS},
    **{16: OF_VOLUMES, len(OF_CUBES): OF_CUBES},
}


class Runner(Protocol):
    """Probabilities (K, H, W), float32 on the CPU, of padded tiles (1, C, H, W), one a network.

    What heads say comes behind the classes.

    May be called from several threads.
    """

    def __call__(self, inputs_BCHW: Sequence[Tensor], /) -> Tensor: ...


def orientations_of(count: int, axes: int = 2) -> Orientations:
    """Those that test-time augmentation averages over, by the number of spatial axes.

    Raises ValueError for another number than 1, 7 and 8, and of volumes 16, with planes in reverse
    order too, and 48, with each side of a cube on top.
    """
    of_volumes = {16: "16", 48: "48"} if axes == -PLANES else {}
    possible = {1: "1 (off)", 7: "7", 8: "8"} | of_volumes
    if count not in possible:
        *others, last = possible.values()
        raise ValueError(
            f"test-time augmentation over {count} flips and rotations is not possible; there are "
            f"{', '.join(others)} and {last}"
        )
    return AVERAGED[count]


def mean_probabilities(
    networks: Sequence[nn.Module], inputs_BCHW: Sequence[Tensor], orientations: Orientations
) -> Tensor:
    """Probabilities (K, H, W) of a padded tile, averaged over networks, each with its input.

    They are on the networks' device. What heads say, averaged too, comes behind the classes.
    """
    found = [
        _of_one_network(network, input_BCHW, orientations)
        for network, input_BCHW in zip(networks, inputs_BCHW, strict=True)
    ]
    return found[0] if len(found) == 1 else torch.stack(found).mean(dim=0)


def _of_one_network(network: nn.Module, tile_BCHW: Tensor, orientations: Orientations) -> Tensor:
    """Probabilities (K, H, W), averaged over orientations of the padded input."""
    total_KHW: Tensor | None = None
    for orientation in orientations:
        logits = tile_logits(network, orientation.of(tile_BCHW))
        probabilities = orientation.back(_probabilities(logits, heads_of(network))[0])
        total_KHW = probabilities if total_KHW is None else total_KHW + probabilities
    if total_KHW is None:
        raise ValueError("nothing to average over")
    return total_KHW / len(orientations) if len(orientations) > 1 else total_KHW


def _probabilities(output_BKHW: Tensor, heads: tuple[str, ...]) -> Tensor:
    """Of classes, and behind them what the heads say, in [0, 1] each."""
    if not heads:
        return output_BKHW.softmax(dim=1)
    classes = output_BKHW.shape[1] - len(heads)
    said = [
        (output_BKHW[:, k].sigmoid() if name == "border" else output_BKHW[:, k].clamp(0, 1))[
            :, None
        ]
        for k, name in enumerate(heads, start=classes)
    ]
    return torch.cat([output_BKHW[:, :classes].softmax(dim=1), *said], dim=1)


def runner_for(
    networks: Sequence[Network], orientations: Orientations, read_px: Sequence[int], at_once: int
) -> Runner:
    """What tiles of `read_px` (height, width) are given to, by `at_once` threads or more.

    `networks` are `unetflow.predict.forward.ready`, on one device.
    """
    device = next(networks[0].parameters()).device
    if device.type == "cpu":
        return Direct(networks, orientations, at_once)
    if device.type == "cuda":
        try:
            return Captured(networks, orientations, read_px, slots=at_once)
        except RuntimeError as error:  # out of memory too: one tile alone was tried before
            log.warning("no CUDA graph could be captured (%s): tile after tile instead", error)
    return Direct(networks, orientations, 1)


class Direct:
    """Tiles through the networks as they come, at most `at_once` of them together."""

    def __init__(
        self, networks: Sequence[nn.Module], orientations: Orientations, at_once: int
    ) -> None:
        self._networks, self._orientations = networks, orientations
        self._in_network = threading.Semaphore(at_once)

    def __call__(self, inputs_BCHW: Sequence[Tensor], /) -> Tensor:
        with self._in_network:
            try:
                return mean_probabilities(self._networks, inputs_BCHW, self._orientations).cpu()
            except torch.OutOfMemoryError as error:
                raise ModelError(
                    "the GPU's memory, which was enough for such a tile before, has run out: other "
                    "programs took it. Run the same command again: finished shards are kept."
                ) from error


class Captured:
    """Tiles of one size through the networks by a CUDA graph, copies of other tiles meanwhile.

        slot 1   copy in | ------- | copy out
        slot 2           copy in | ------- | copy out
        graph              tile 1  | tile 2  |

    Each of the `slots` has pinned memory and a stream of its own.
    """

    @torch.inference_mode()
    def __init__(
        self,
        networks: Sequence[Network],
        orientations: Orientations,
        read_px: Sequence[int],
        slots: int,
    ) -> None:
        self.slots = slots
        self._networks = networks  # whose weights the graph reads
        self._device = device = next(networks[0].parameters()).device
        self._stream = torch.cuda.Stream(device)
        self._computing = threading.Lock()
        self._inputs = [
            torch.zeros(1, network.in_channels, *read_px, device=device) for network in networks
        ]
        self._stream.wait_stream(torch.cuda.current_stream(device))
        with torch.cuda.stream(self._stream):
            for _ in range(WARM_UP):
                mean_probabilities(networks, self._inputs, orientations)
        self._stream.synchronize()
        self._graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(self._graph, stream=self._stream):
            self._output = mean_probabilities(networks, self._inputs, orientations)
        self._free: SimpleQueue[_Slot] = SimpleQueue()
        for _ in range(slots):
            self._free.put(_Slot(self._inputs, self._output))
        torch.cuda.synchronize(device)

    @torch.inference_mode()
    def __call__(self, inputs_BCHW: Sequence[Tensor], /) -> Tensor:
        # each thread has a current device, GPU 0 at first, which this may not be
        with torch.cuda.device(self._device), self._slot() as slot:
            for pinned, given in zip(slot.pinned, inputs_BCHW, strict=True):
                pinned.copy_(given)
            with torch.cuda.stream(slot.stream):
                for there, pinned in zip(slot.inputs, slot.pinned, strict=True):
                    there.copy_(pinned, non_blocking=True)
                slot.arrived.record()
            with self._computing, torch.cuda.stream(self._stream):
                self._stream.wait_event(slot.arrived)
                for own, there in zip(self._inputs, slot.inputs, strict=True):
                    own.copy_(there, non_blocking=True)
                self._graph.replay()
                slot.output.copy_(self._output, non_blocking=True)
                slot.computed.record()
            with torch.cuda.stream(slot.stream):
                slot.stream.wait_event(slot.computed)
                slot.result.copy_(slot.output, non_blocking=True)
                slot.returned.record()
            slot.returned.synchronize()
            return slot.result.clone()

    @contextmanager
    def _slot(self) -> "Iterator[_Slot]":
        slot = self._free.get()
        try:
            yield slot
        finally:
            self._free.put(slot)


class _Slot:
    """Memory of a tile on its way to the GPU and back, and the events that it waits for."""

    def __init__(self, inputs: Sequence[Tensor], output: Tensor) -> None:
        self.stream = torch.cuda.Stream(output.device)
        self.pinned = [torch.empty(each.shape, pin_memory=True) for each in inputs]
        self.inputs = [torch.empty_like(each) for each in inputs]
        self.output = torch.empty_like(output)
        self.result = torch.empty(output.shape, pin_memory=True)
        self.arrived, self.computed = torch.cuda.Event(), torch.cuda.Event()
        self.returned = torch.cuda.Event(blocking=True)  # waiting for it leaves the core to others
