"""Tiles through networks: side by side on a CPU, by a captured graph on a GPU."""

import threading
import weakref
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, nullcontext
from typing import Any

import pytest
import torch
from conftest import needs_gpu

from unetflow.errors import ModelError
from unetflow.networks import build
from unetflow.predict.ensemble import Ensemble
from unetflow.predict.forward import ready
from unetflow.predict.plan import Inference
from unetflow.predict.runners import (
    OF_CUBES,
    ORIENTATIONS,
    Captured,
    Direct,
    Orientations,
    mean_probabilities,
    runner_for,
)
from unetflow.tiles.tiling import Tiling

READ_PX = (36, 36)  # of a U-Net of depth 1


def networks_on(device: str, precision: str = "fp32") -> list[Any]:
    torch.manual_seed(0)
    built = [build("unet", base_channels=4, depth=1).eval() for _ in range(2)]
    return [ready(network, device=device, precision=precision) for network in built]


def tiles(count: int) -> list[torch.Tensor]:
    random = torch.Generator().manual_seed(1)
    return [torch.randn(1, 1, *READ_PX, generator=random) for _ in range(count)]


def through(run: Any, inputs: list[torch.Tensor]) -> list[torch.Tensor]:
    """All tiles, by more threads than there are slots."""
    with ThreadPoolExecutor(5) as pool:
        return list(pool.map(lambda tile: run([tile, -tile]), inputs))


@pytest.fixture
def pretended_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    """`torch.cuda` that does all at once on the CPU: what is checked is who waits for which slot.

    A graph computes when it is replayed, as a real one, and notes who else is computing.
    """

    class Stream:
        def __init__(self, device: Any = None) -> None: ...
        def wait_stream(self, other: Any) -> None: ...
        def wait_event(self, event: Any) -> None:
            assert event.recorded

        def synchronize(self) -> None: ...

    class Event:
        def __init__(self, blocking: bool = False) -> None:
            self.recorded = False

        def record(self) -> None:
            self.recorded = True

        def synchronize(self) -> None:
            assert self.recorded

    class Graph:
        computing = threading.Lock()
        compute: Any
        output: torch.Tensor

        def replay(self) -> None:
            assert self.computing.acquire(blocking=False), "two tiles in the graph at once"
            self.output.copy_(self.compute())
            self.computing.release()

    @contextmanager
    def graph(captured: Any, stream: Any) -> Iterator[None]:
        def noted(networks: Any, inputs: Any, orientations: Orientations) -> torch.Tensor:
            captured.compute = lambda: mean_probabilities(networks, inputs, orientations)
            output: torch.Tensor = captured.compute()
            captured.output = output
            return output

        with monkeypatch.context() as patch:
            patch.setattr("unetflow.predict.runners.mean_probabilities", noted)
            yield

    empty = torch.empty
    for name, value in {
        "Stream": Stream,
        "Event": Event,
        "CUDAGraph": Graph,
        "graph": graph,
        "stream": lambda stream: nullcontext(),
        "current_stream": lambda device: None,
        "synchronize": lambda device: None,
        "device": lambda device: nullcontext(),
    }.items():
        monkeypatch.setattr(torch.cuda, name, value)
    monkeypatch.setattr(torch, "empty", lambda *size, pin_memory=False, **how: empty(*size, **how))


@pytest.mark.slow
@pytest.mark.usefixtures("pretended_gpu")
def test_tiles_by_slots_are_those_one_after_the_other() -> None:
    networks, inputs = networks_on("cpu"), tiles(40)
    wanted = through(Direct(networks, ORIENTATIONS, 1), inputs)
    found = through(Captured(networks, ORIENTATIONS, READ_PX, slots=3), inputs)
    assert all(torch.equal(a, b) for a, b in zip(found, wanted, strict=True))
    assert not torch.equal(found[0], found[1])


def test_all_48_symmetries_of_a_cube_are_there_and_are_turned_back() -> None:
    cube = torch.arange(2 * 27).reshape(2, 3, 3, 3)
    seen = {tuple(of.of(cube).flatten().tolist()) for of in OF_CUBES}
    assert len(seen) == len(OF_CUBES) == 48
    assert all(torch.equal(of.back(of.of(cube)), cube) for of in OF_CUBES)
    box = torch.zeros(1, 2, 3, 4)
    assert {tuple(of.of(box).shape[1:]) for of in OF_CUBES} > {(2, 3, 4), (3, 4, 2), (4, 2, 3)}
    assert all(of.back(of.of(box)).shape == box.shape for of in OF_CUBES)


def test_a_gpu_without_graphs_takes_tile_after_tile(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fails(*_: Any, **__: Any) -> None:
        raise torch.OutOfMemoryError("too much")

    class Pretended:
        def parameters(self) -> Iterator[Any]:
            yield type("Weight", (), {"device": torch.device("cuda")})

    monkeypatch.setattr("unetflow.predict.runners.Captured", fails)
    run = runner_for([Pretended()], ORIENTATIONS, READ_PX, at_once=8)  # type: ignore[list-item]
    assert isinstance(run, Direct)
    assert run._in_network._value == 1
    assert "too much" in caplog.text


class Noted:
    """An ensemble whose GPU is pretended: what is copied, tried and captured for its images."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.copied: list[str] = []
        self.tried: list[int] = []
        self.captured: list[int] = []
        self.largest_px, self.captures = 1000, True
        self.alive = 0  # graphs that held their memory when the last one was captured
        self._made: list[weakref.ref[Captured]] = []
        for name in ("ready", "runner_for", "mean_probabilities"):
            monkeypatch.setattr(f"unetflow.predict.ensemble.{name}", getattr(self, name))
        network = build("unet", base_channels=4, depth=1)
        description: Any = {}
        self.ensemble = Ensemble([(network, description)])

    def ready(self, network: Any, *, device: str, precision: str) -> Any:
        self.copied.append(precision)
        return network

    def mean_probabilities(
        self, networks: Any, inputs: list[Any], orientations: Orientations
    ) -> torch.Tensor:
        self.tried.append(inputs[0].shape[-1])
        if inputs[0].shape[-1] > self.largest_px:
            raise torch.OutOfMemoryError("too large")
        return torch.zeros(1)

    def runner_for(
        self, networks: Any, orientations: Orientations, read_px: tuple[int, int], at_once: int
    ) -> Any:
        height_px, width_px = read_px
        assert height_px == width_px
        self.captured.append(height_px)
        self.alive = sum(each() is not None for each in self._made)
        if not self.captures:
            return Direct(networks, orientations, 1)
        made = object.__new__(Captured)
        made.slots = at_once
        self._made.append(weakref.ref(made))
        return made

    def image(
        self,
        write_px: int,
        at_once: int = 2,
        orientations: Orientations = ORIENTATIONS,
        to: str = "fp32",
    ) -> Any:
        how = Inference("mps", to, orientations)
        tiling = self.ensemble.fitting(Tiling.square(self.ensemble.geometry, write_px), how)
        return self.ensemble.runner(tiling, how, at_once)


def test_images_share_a_graph_as_long_as_their_tiles_are_alike(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    noted = Noted(monkeypatch)
    runners = [noted.image(write_px) for write_px in (16, 16, 32, 32, 16)]
    assert runners[0] is runners[1]
    assert runners[2] is runners[3]
    assert noted.tried == noted.captured == [32, 48, 32]
    assert noted.image(16, at_once=1) is runners[4]  # slots enough
    assert noted.image(16, at_once=3) is not runners[4]
    assert noted.copied == ["fp32"]
    assert noted.captured == [32, 48, 32, 32]
    noted.image(16, at_once=3, orientations=ORIENTATIONS[:1])
    noted.image(16, at_once=3, orientations=ORIENTATIONS[:1], to="bf16")
    assert noted.copied == ["fp32", "bf16"]
    assert noted.captured == [32, 48, 32, 32, 32, 32]


def test_a_graph_is_gone_before_the_next_one_is_captured(monkeypatch: pytest.MonkeyPatch) -> None:
    noted = Noted(monkeypatch)
    for write_px, at_once in ((16, 1), (16, 2), (32, 2)):
        noted.image(write_px, at_once)
        assert noted.alive == 0
    assert noted.captured == [32, 32, 48]


def test_where_no_graph_could_be_captured_the_next_image_tries_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    noted = Noted(monkeypatch)
    noted.captures = False
    assert isinstance(noted.image(16), Direct)
    noted.captures = True
    assert isinstance(noted.image(16), Captured)
    assert noted.tried == [32, 32]  # what is not captured holds no memory


def test_a_tile_too_large_for_a_gpu_is_halved(monkeypatch: pytest.MonkeyPatch) -> None:
    noted = Noted(monkeypatch)
    noted.largest_px = 48
    noted.image(64)
    assert noted.tried == [80, 48]
    assert noted.captured == [48]
    noted.largest_px = 10
    with pytest.raises(ModelError, match="not even a tile of 2 px fits"):
        noted.image(16, orientations=ORIENTATIONS[:1])


def test_an_ensemble_of_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match="no model predicts nothing"):
        Ensemble([])


@needs_gpu
@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_a_captured_graph_gives_what_the_networks_give(precision: str) -> None:
    networks, inputs = networks_on("cuda", precision), tiles(40)
    wanted = through(Direct(networks, ORIENTATIONS, 1), inputs)
    run = runner_for(networks, ORIENTATIONS, READ_PX, at_once=3)
    assert isinstance(run, Captured)
    for a, b in zip(through(run, inputs), wanted, strict=True):
        torch.testing.assert_close(a, b)


@needs_gpu
def test_fp32_on_a_gpu_is_fp32() -> None:
    inputs = tiles(3)
    wanted = through(Direct(networks_on("cpu"), ORIENTATIONS[:1], 1), inputs)
    found = through(runner_for(networks_on("cuda"), ORIENTATIONS[:1], READ_PX, 2), inputs)
    for a, b in zip(found, wanted, strict=True):
        torch.testing.assert_close(a, b, atol=1e-5, rtol=1e-5)


def test_memory_that_another_program_took_is_a_named_error(monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*arguments: Any) -> torch.Tensor:
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr("unetflow.predict.runners.mean_probabilities", full)
    with pytest.raises(ModelError, match="other programs took it. Run the same command again"):
        Direct(networks_on("cpu"), ORIENTATIONS[:1], 1)([tiles(1)[0]] * 2)
