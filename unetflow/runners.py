"""Many tiles through one or several networks: as many at once as memory and threads allow.

On a CPU several networks of one thread each run side by side. On an NVIDIA GPU all kernels of a
tile are captured once in a CUDA graph and started by one call for each tile, while other tiles are
copied to and from pinned memory on streams of their own.
Shape suffixes: B batch, C channels, K classes, H W of a tile.
"""

import logging
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from queue import SimpleQueue
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from unetflow.errors import ModelError
from unetflow.forward import check_write_px, read_px_of, ready, tile_logits
from unetflow.memory import available_bytes

log = logging.getLogger(__name__)

SHARE_OF_MEMORY = 0.8  # of what is left, for the activations of tiles
WARM_UP = 3  # tiles before a graph is captured: libraries choose their kernels then

Turns = tuple[tuple[int, bool], ...]

# Flips and rotations of the square as (quarter turns, flip rows first). The paper averages seven
# and does not say which: ours are all but the last, the reflection at the anti-diagonal.
TURNS: Turns = tuple((quarters, flip) for flip in (False, True) for quarters in range(4))
AVERAGES = {1: TURNS[:1], 7: TURNS[:7], 8: TURNS}


class Runner(Protocol):
    """Probabilities (K, H, W), float32 on the CPU, of padded tiles (1, C, H, W), one a network.

    May be called from several threads.
    """

    def __call__(self, inputs_BCHW: Sequence[Tensor], /) -> Tensor: ...


def turns_of(average: int) -> Turns:
    """The turns that are averaged. Raises ValueError for another number than 1, 7 and 8."""
    if average not in AVERAGES:
        raise ValueError(f"average = {average} is not possible; there are 1 (off), 7 and 8")
    return AVERAGES[average]


def mean_probabilities(
    networks: Sequence[nn.Module], inputs_BCHW: Sequence[Tensor], turns: Turns
) -> Tensor:
    """Probabilities (K, H, W) of a padded tile, averaged over networks, each with its input.

    They are on the networks' device.
    """
    found = [
        _of_one_network(network, input_BCHW, turns)
        for network, input_BCHW in zip(networks, inputs_BCHW, strict=True)
    ]
    return found[0] if len(found) == 1 else torch.stack(found).mean(dim=0)


def _of_one_network(network: nn.Module, tile_BCHW: Tensor, turns: Turns) -> Tensor:
    """Probabilities (K, H, W), averaged over turns of the padded input."""
    total_KHW: Tensor | None = None
    for quarters, flip in turns:
        turned = torch.rot90(tile_BCHW.flip(-2) if flip else tile_BCHW, quarters, dims=(-2, -1))
        probabilities = tile_logits(network, turned).softmax(dim=1)[0]
        probabilities = torch.rot90(probabilities, -quarters, dims=(-2, -1))
        probabilities = probabilities.flip(-2) if flip else probabilities
        total_KHW = probabilities if total_KHW is None else total_KHW + probabilities
    if total_KHW is None:
        raise ValueError("nothing to average over")
    return total_KHW / len(turns) if len(turns) > 1 else total_KHW


def runner_for(networks: Sequence[nn.Module], turns: Turns, read_px: int, at_once: int) -> Runner:
    """What tiles of `read_px` are given to, by `at_once` threads or more.

    `networks` are `unetflow.forward.ready`, on one device.
    """
    device = next(networks[0].parameters()).device
    if device.type == "cpu":
        return Direct(networks, turns, at_once)
    if device.type == "cuda":
        try:
            return Captured(networks, turns, read_px, slots=at_once)
        except RuntimeError as error:  # out of memory too: one tile alone was tried before
            log.warning("no CUDA graph could be captured (%s): tile after tile instead", error)
    return Direct(networks, turns, 1)


class Direct:
    """Tiles through the networks as they come, at most `at_once` of them together."""

    def __init__(self, networks: Sequence[nn.Module], turns: Turns, at_once: int) -> None:
        self._networks, self._turns = networks, turns
        self._in_network = threading.Semaphore(at_once)

    def __call__(self, inputs_BCHW: Sequence[Tensor], /) -> Tensor:
        with self._in_network:
            return mean_probabilities(self._networks, inputs_BCHW, self._turns).cpu()


class Captured:
    """Tiles of one size through the networks by a CUDA graph, copies of other tiles meanwhile.

        slot 1   copy in | ------- | copy out
        slot 2           copy in | ------- | copy out
        graph              tile 1  | tile 2  |

    Each of the `slots` has pinned memory and a stream of its own.
    """

    @torch.inference_mode()
    def __init__(
        self, networks: Sequence[nn.Module], turns: Turns, read_px: int, slots: int
    ) -> None:
        self._networks = networks  # whose weights the graph reads
        self._device = device = next(networks[0].parameters()).device
        self._stream = torch.cuda.Stream(device)
        self._computing = threading.Lock()
        self._inputs = [
            torch.zeros(1, next(network.parameters()).shape[1], read_px, read_px, device=device)
            for network in networks
        ]
        self._stream.wait_stream(torch.cuda.current_stream(device))
        with torch.cuda.stream(self._stream):
            for _ in range(WARM_UP):
                mean_probabilities(networks, self._inputs, turns)
        self._stream.synchronize()
        self._graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(self._graph, stream=self._stream):
            self._output = mean_probabilities(networks, self._inputs, turns)
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


def fitting_tile(
    networks: Sequence[Any], turns: Turns, write_px: int, device: str, precision: str
) -> int:
    """The write region of a tile that memory is enough for: `write_px`, or that halved.

    On a GPU a tile is tried, on the CPU its memory is estimated. Raises ModelError where even the
    smallest is too large, ValueError where `write_px` is no multiple of 2**depth.
    """
    depth = networks[0].depth
    check_write_px(networks[0], write_px)
    wanted = write_px
    while True:
        read_px = read_px_of(networks[0], write_px)
        needed = _bytes_of_tile(networks[0], write_px, precision)
        log.info("needs %.2f GB: tile %d px, %s, %s", needed / 1e9, read_px, precision, device)
        if device == "cpu":
            fits = needed < SHARE_OF_MEMORY * available_bytes()
        else:
            fits = _fits_on_gpu(networks, turns, read_px, device, precision)
        if fits:
            return write_px
        if write_px == 2**depth:
            raise ModelError(
                f"predict: not even a tile of {write_px} px fits into the memory that is left "
                f"(wanted: {wanted} px). Ask for more, or use a network with a smaller "
                "base_channels."
            )
        log.warning("write regions of %d px do not fit into memory: halving them", write_px)
        write_px = -(-write_px // 2**depth // 2) * 2**depth


def tiles_at_once(network: Any, chosen: Mapping[str, Any], most: int, held_bytes: int = 0) -> int:
    """How many tiles may be on their way together, 1 to `most`.

    On a CPU as many as memory allows, each with `held_bytes` of its image; on a GPU all, of which
    one is computed. `chosen` has the tile's `write_px`, `device` and `precision`.
    """
    if chosen["device"] != "cpu":
        return max(1, most)
    needed = _bytes_of_tile(network, chosen["write_px"], chosen["precision"]) + held_bytes
    return max(1, min(most, int(SHARE_OF_MEMORY * available_bytes() / needed)))


def _bytes_of_tile(network: Any, write_px: int, precision: str) -> int:
    read_px = read_px_of(network, write_px)
    needed: int = network.bytes_of_tile(read_px, 4 if precision == "fp32" else 2)
    return needed


def _fits_on_gpu(
    networks: Sequence[Any], turns: Turns, read_px: int, device: str, precision: str
) -> bool:
    try:
        trial = [ready(network, device=device, precision=precision) for network in networks]
        inputs = [
            torch.zeros(1, next(network.parameters()).shape[1], read_px, read_px)
            for network in trial
        ]
        mean_probabilities(trial, inputs, turns).cpu()
    except torch.OutOfMemoryError:
        return False
    finally:
        trial = []
        if device == "cuda":
            torch.cuda.empty_cache()
    return True
