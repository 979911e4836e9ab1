"""Workers of a Dask cluster in place of threads: the same bytes, and what happens when they die."""

import gc
import json
import os
import pickle
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Generator, Iterable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from conftest import ROOT, predict, write_prepared
from predicting import all_bytes, finished_shards, job_in

from unetflow.demo.planes import draw_region
from unetflow.engine.distributed import DaskCrew, EngineConfig, check_engine, working_on
from unetflow.engine.each import crew, for_each, helped_by, in_order
from unetflow.errors import EngineError, StoreError
from unetflow.evaluate.image_scores import Truth, score_foreground
from unetflow.instances.labelled_store import label_store
from unetflow.instances.whole_image import label_instances
from unetflow.labels.dataset import Dataset
from unetflow.metrics import contingency
from unetflow.predict import stored_foreground
from unetflow.store.ome import ome_image, write_group
from unetflow.store.shards import Layout, open_array, read_lazily

distributed = pytest.importorskip("distributed", reason="needs the extra `distributed`")

WAIT_S = 60.0


def at(address: str) -> EngineConfig:
    return {"scheduler": address, "workers": 1}


# Without processes


class Noted:
    """A crew that notes what it was given."""

    def __init__(self) -> None:
        self.given: list[int] = []

    def in_order(
        self, do: Callable[[Any], Any], items: Iterable[Any], ahead: int
    ) -> Generator[Any, None, None]:
        for item in items:
            self.given.append(item)
            yield do(item)

    def ask(self, do: Callable[[], Any]) -> Any:
        return do()


def test_a_crew_is_given_what_is_sendable_and_nothing_else() -> None:
    noted, done = Noted(), list[int]()
    with helped_by(noted):
        for_each(done.append, [1, 2], threads=2, sendable=True, what="of a test")
        for_each(done.append, [3], threads=2)
        assert list(in_order(abs, iter([-4, -5]), threads=1, ahead=0, sendable=True)) == [4, 5]
        assert list(in_order(abs, [-6], threads=1, ahead=0)) == [6]
    for_each(done.append, [7], threads=1, sendable=True)
    assert noted.given == [1, 2, -4, -5]
    assert sorted(done) == [1, 2, 3, 7]
    assert crew() is None


def test_an_address_that_does_not_answer_is_named_at_once_with_the_way_out(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"tcp://127.0.0.1:{free.getsockname()[1]}"
    said = f"no scheduler of Dask answers at {address}.*Start one.*engine={{scheduler: null}}"
    started_s = time.monotonic()
    with pytest.raises(EngineError, match=said):
        check_engine(at(address))
    monkeypatch.setenv("PATH", "")
    with pytest.raises(EngineError, match=r"no sbatch on the PATH"):
        check_engine({"scheduler": "slurm", "workers": 2})
    check_engine({"scheduler": None, "workers": 2})
    assert time.monotonic() - started_s < WAIT_S


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (distributed.scheduler.KilledWorker("t", None, 3), "4 workers of tcp://a:1 died with the"),
        (distributed.CancelledError("t"), "the scheduler tcp://a:1 is lost"),
        (ModuleNotFoundError("No module named 'unetflow'"), "lacks a package.*PYTHONPATH"),
    ],
)
def test_what_happens_to_a_cluster_is_said_in_words(error: Exception, said: str) -> None:
    with pytest.raises(EngineError, match=said), DaskCrew(None, "tcp://a:1")._named():
        raise error


def test_a_shard_is_written_elsewhere_under_the_lock_of_who_opened_the_array(
    tmp_path: Path,
) -> None:
    layout = Layout((8, 8), "uint8", ("y", "x"), shard_px=4, chunk_px=4)
    array = open_array(tmp_path, "a", layout, decided_by={"a": 1})
    sent = pickle.dumps(array)
    assert len(sent) < 5000
    elsewhere = pickle.loads(sent)
    first, second, *_ = array.missing()
    elsewhere.write(first, np.full((4, 4), 7, "u1"))
    assert array.array[:4, :4].min() == 7
    assert elsewhere.missing() == array.missing() != array.shards()
    del array  # and with it the lock
    with pytest.raises(StoreError, match="is held for writing no more"):
        elsewhere.write(second, np.zeros((4, 4), "u1"))


def test_what_a_shard_of_a_prediction_takes_is_small(
    job: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    sizes = []
    monkeypatch.setattr(
        stored_foreground, "for_each", lambda do, *_, **__: sizes.append(len(pickle.dumps(do)))
    )
    with pytest.raises(StoreError, match=r"shard \(0, 0, 0\) is not there"):
        predict(**job)
    assert sizes[0] < 10_000


def test_every_worker_computes_the_same_bits_each_time(
    job: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    found = []

    def send(do: Any, *_: Any, **__: Any) -> None:  # to one that planned nothing
        monkeypatch.setattr(torch.backends.cudnn, "deterministic", False)
        pickle.loads(pickle.dumps(do))
        found.append(torch.backends.cudnn.deterministic)

    monkeypatch.setattr(stored_foreground, "for_each", send)
    with pytest.raises(StoreError, match=r"shard \(0, 0, 0\) is not there"):
        predict(**job)
    assert found == [True]


@pytest.mark.parametrize(("status", "kind"), [("error", TimeoutError), ("lost", EngineError)])
def test_a_task_that_waits_too_long_is_no_lost_scheduler(
    status: str, kind: type[Exception]
) -> None:
    def late() -> None:
        raise TimeoutError("the disk is slow")

    waiting = DaskCrew(SimpleNamespace(), "tcp://here:1")
    task = SimpleNamespace(status=status, result=late)
    with pytest.raises(kind, match="the disk is slow" if status == "error" else "is lost"):
        waiting._result(task)


# With processes


@pytest.fixture(scope="module")
def cluster() -> Iterator[Any]:
    with distributed.LocalCluster(
        n_workers=2, threads_per_worker=1, dashboard_address=":0", silence_logs=50
    ) as found:
        yield found


class Marked:
    """Does something and writes a file each time; the worker that does it first is killed."""

    def __init__(self, do: Callable[[Any], Any], folder: Path) -> None:
        self.do, self.folder = do, folder

    def __call__(self, item: Any) -> Any:
        (self.folder / f"{item}-{os.getpid()}-{time.time_ns()}").touch()
        try:
            (self.folder / "killed").touch(exist_ok=False)
        except FileExistsError:
            return self.do(item)
        os.kill(os.getpid(), signal.SIGKILL)


@pytest.mark.more
def test_prediction_has_the_bytes_of_threads_and_a_killed_worker_costs_its_shards(
    tmp_path: Path, cluster: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = job_in(tmp_path, 1300, 1500)
    undisturbed = {**job, "store": tmp_path / "u" / "i.ome.zarr", "receipt": tmp_path / "u/i.json"}
    predict(**undisturbed)
    begun = tmp_path / "begun"
    begun.mkdir()
    monkeypatch.setattr(
        stored_foreground,
        "for_each",
        lambda do, *args, **how: for_each(Marked(do, begun), *args, **how),
    )
    with working_on(at(cluster.scheduler_address)):
        predict(**job)
    assert all_bytes(tmp_path / "p") == all_bytes(tmp_path / "u")
    tries = [path.name for path in begun.iterdir() if path.name != "killed"]
    assert 9 < len(tries) <= 11  # of nine shards that in work and one that waited in the worker
    assert not any(f"-{os.getpid()}-" in name for name in tries)


@pytest.mark.more
@pytest.mark.parametrize("separate", ["none", "necks"])
def test_labelling_has_the_bytes_of_threads(tmp_path: Path, cluster: Any, separate: str) -> None:
    _, labels = draw_region(slice(0, 1100), slice(0, 1300), seed=4)
    noise = np.random.default_rng(0).normal(0, 0.25, labels.shape)
    stored = np.rint(np.clip(0.2 + 0.6 * (labels != 0) + noise, 0, 1) * 255).astype("u1")
    before = cluster.scheduler.transition_counter
    for name in ("threads", "workers"):
        assert cluster.scheduler.transition_counter == before
        store = tmp_path / name / "i.ome.zarr"
        scales = {"foreground": [1, 1, 1]}
        write_group(store, "", ome_image("i", ("c", "y", "x"), scales, unit=None))
        layout = Layout((1, *stored.shape), "uint8", ("c", "y", "x"))
        array = open_array(store, "foreground", layout, decided_by={})
        for index in array.missing():
            array.write(index, stored[None][array.region(index)])
        del array  # and with it its lock
        engine: EngineConfig = {"scheduler": None, "workers": 1}
        with working_on(at(cluster.scheduler_address) if name == "workers" else engine):
            assert (crew() is not None) == (name == "workers")
            label_store(
                store,
                {"cell": 0.5},
                {
                    "min_area_px": 20,
                    "fill_holes": True,
                    "connectivity": 1,
                    "separate": separate,
                    "split_px": 2 if separate == "necks" else None,
                },
                table=tmp_path / name / "i.parquet",
                threads=2,
                decided_by={},
            )
    assert cluster.scheduler.transition_counter > before + 50  # of tasks: it was done there
    assert all_bytes(tmp_path / "workers") == all_bytes(tmp_path / "threads")


@pytest.mark.more
def test_scores_are_those_of_threads(tmp_path: Path, cluster: Any) -> None:
    image, labels = draw_region(slice(0, 1100), slice(0, 1100), seed=4)
    store = write_prepared(tmp_path, "i", image[None], labels)
    truth = Truth(store, Dataset("instances", ("cell",)))
    assert not truth.in_memory
    foreground = read_lazily(store, "0")[0] / 255
    shifted = read_lazily(store, "labels/truth/0") // 2

    def scores() -> list[Any]:
        rows = score_foreground(truth, foreground, [0.4, 0.6], label_instances, regions_px=512)
        table = contingency(truth.labels, shifted, ignore=truth.ignore)
        return [*map(repr, rows), repr(table)]

    wanted = scores()
    before = cluster.scheduler.transition_counter
    with working_on(at(cluster.scheduler_address)):
        found = scores()
    assert cluster.scheduler.transition_counter > before + 50  # of tasks: it was done there
    assert found == wanted


@pytest.mark.more
def test_a_scheduler_that_goes_away_is_named_and_the_same_command_goes_on(tmp_path: Path) -> None:
    job = job_in(tmp_path, 1300, 1500)
    undisturbed = {**job, "store": tmp_path / "u" / "i.ome.zarr", "receipt": tmp_path / "u/i.json"}
    predict(**undisturbed)
    file = tmp_path / "scheduler.json"
    environment = os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    common: dict[str, Any] = {"env": environment, "stderr": subprocess.DEVNULL}
    at_file = ["--no-dashboard", "--scheduler-file", str(file)]
    cli = [sys.executable, "-m"]
    scheduler = subprocess.Popen(
        [*cli, "distributed.cli.dask_scheduler", "--port", "0", *at_file], **common
    )
    worker = subprocess.Popen(
        [*cli, "distributed.cli.dask_worker", "--no-nanny", "--nthreads", "1", *at_file], **common
    )
    try:
        until_s = time.monotonic() + WAIT_S
        while not file.exists() or not file.read_text():
            assert time.monotonic() < until_s
            time.sleep(0.05)
        address = json.loads(file.read_text())["address"]
        said = "is lost.*the same command again"
        with pytest.raises(EngineError, match=said), working_on(at(address)):
            killing(scheduler, job["store"], 3)
            predict(**job)
    finally:
        for process in (worker, scheduler):
            process.kill()
            process.wait()
    gc.collect()  # what the error refers to holds the array's lock
    kept = finished_shards(job["store"])
    assert 3 <= len(kept) < 9
    predict(**job)
    assert {path: path.stat().st_mtime_ns for path in kept} == kept
    assert all_bytes(tmp_path / "p") == all_bytes(tmp_path / "u")


def killing(process: "subprocess.Popen[bytes]", store: Path, shards: int) -> None:
    """A thread that kills a process when so many shards are there."""

    def wait() -> None:
        while len(finished_shards(store)) < shards:
            time.sleep(0.01)
        process.kill()

    threading.Thread(target=wait, daemon=True).start()
