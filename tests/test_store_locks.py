"""Locks of arrays: who shares one, who is refused, and that nobody is locked out by the dead."""

import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from unetflow.errors import StoreError
from unetflow.store import locks
from unetflow.store.shards import Layout, ShardedArray, open_array, read_array
from unetflow.store.writers import Writer

LAYOUT = Layout((1, 256, 320), "uint8", ("c", "y", "x"), shard_px=64, chunk_px=64)  # 20 shards
WRITING = """
import sys, time
from pathlib import Path
import numpy as np
from unetflow.store.shards import Layout, open_array
store, model, rest_s = sys.argv[1], int(sys.argv[2]), float(sys.argv[3])
layout = Layout((1, 256, 320), "uint8", ("c", "y", "x"), shard_px=64, chunk_px=64)
array = open_array(store, "0", layout, decided_by={"model": model})
for number, index in enumerate(array.missing()):
    array.write(index, np.full((1, 64, 64), model, np.uint8))
    print(number, flush=True)
    time.sleep(rest_s)
"""


def opened(store: Path, model: int) -> ShardedArray:
    return open_array(store, "0", LAYOUT, decided_by={"model": model})


def job(store: Path, model: int, rest_s: float = 0.0) -> "subprocess.Popen[str]":
    """A process that writes the array, a shard after the other."""
    return subprocess.Popen(
        [sys.executable, "-c", WRITING, str(store), str(model), str(rest_s)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


@contextmanager
def writing(store: Path, model: int) -> Iterator["subprocess.Popen[str]"]:
    """Such a process, when it has written a shard; it takes its time for the others."""
    with until_killed(job(store, model, 60), "0") as process:
        yield process


@contextmanager
def until_killed(process: "subprocess.Popen[str]", ready: str) -> Iterator["subprocess.Popen[str]"]:
    """A process, when it has said that it is ready; it is killed at the end."""
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == f"{ready}\n"
        yield process
    finally:
        process.kill()
        process.communicate()


def locks_in(store: Path) -> list[Path]:
    return list(store.rglob("*.lock"))


HOLDING = """
import sys
from pathlib import Path
from unetflow.store.locks import locked
with locked(Path(sys.argv[1]), sys.argv[2]):
    print("held", flush=True)
    sys.stdin.read()
"""


@contextmanager
def holding(path: Path, digest: str) -> Iterator["subprocess.Popen[str]"]:
    """A process that writes at a path, until it is killed at the end."""
    process = subprocess.Popen(
        [sys.executable, "-c", HOLDING, str(path), digest],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    with until_killed(process, "held"):
        yield process


@pytest.mark.parametrize("digest", ["same", "other"])
def test_nothing_stays_of_one_that_was_killed(tmp_path: Path, digest: str) -> None:
    with holding(tmp_path / "checkpoints", "same"):
        pass
    assert (tmp_path / ".checkpoints.lock").exists()
    with locks.locked(tmp_path / "checkpoints", digest):
        assert len(list((tmp_path / ".checkpoints.lock").iterdir())) == 3  # its own
    assert not (tmp_path / ".checkpoints.lock").exists()


def claim_of(store: Path, state: str = "writes", **writer: Any) -> Path:
    """The claim of a writer of model 9 on another host, as that leaves it when it is killed."""
    folder = store / ".0.lock"
    folder.mkdir(parents=True, exist_ok=True)
    elsewhere = Writer("node7", "node7 4f", 4242, "77")
    content = {
        "array": "0",
        "digest": "of model 9",
        "writer": elsewhere.described | writer,
        "since": "2025-01-02 03:04:05 +0000",
    }
    claim = folder / "c0ffee"
    claim.write_text(json.dumps(content))
    for mark in ("1", state):
        (folder / f"c0ffee.{mark}").touch()
    return claim


def slurm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, answer: str, status: int = 0) -> None:
    """A SLURM that says this of each job."""
    program = tmp_path / "bin" / "scontrol"
    program.parent.mkdir()
    where = " >&2" if status else ""
    program.write_text(f"#!/bin/sh\necho '{answer}'{where}\nexit {status}\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}:{os.environ['PATH']}")


def test_no_lock_stays_when_nobody_refers_to_the_array(tmp_path: Path) -> None:
    array = opened(tmp_path, 1)
    assert [path.name for path in locks_in(tmp_path)] == [".0.lock"]
    del array
    assert locks_in(tmp_path) == []


def test_no_lock_stays_after_an_error(tmp_path: Path) -> None:
    def broken(chosen: object) -> bool:
        raise ZeroDivisionError("ours")

    opened(tmp_path, 1)
    with pytest.raises(ZeroDivisionError, match="ours"):
        open_array(tmp_path, "0", LAYOUT, decided_by={"model": 1}, can_have=broken)
    assert locks_in(tmp_path) == []


def test_another_making_is_refused_while_one_is_written_and_clears_nothing(tmp_path: Path) -> None:
    with writing(tmp_path, 1) as process:
        said = f"is being written by process {process.pid} on .* since 20.* Wait until that has"
        with pytest.raises(StoreError, match=said):
            opened(tmp_path, 2)
        assert len(opened(tmp_path, 1).missing()) == 19


def test_other_arrays_of_a_store_have_other_locks(tmp_path: Path) -> None:
    with writing(tmp_path, 1):
        open_array(tmp_path, "1", LAYOUT, decided_by={"model": 2})


@pytest.mark.parametrize(("model", "missing"), [(1, 19), (2, 20)])
def test_after_kill_9_nobody_waits(tmp_path: Path, model: int, missing: int) -> None:
    with writing(tmp_path, 1) as process:
        os.kill(process.pid, signal.SIGKILL)
        os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)  # nobody has buried it yet
        begun = time.monotonic()
        assert len(opened(tmp_path, model).missing()) == missing
        assert time.monotonic() - begun < 5
    assert locks_in(tmp_path) == []


def test_a_later_process_with_the_same_number_is_another_one(tmp_path: Path) -> None:
    here = Writer.here().described
    claim_of(tmp_path, **here | {"pid": os.getppid(), "started": "1"})
    assert len(opened(tmp_path, 1).missing()) == 20


@pytest.mark.slow
def test_jobs_of_one_making_that_start_together_share_the_array(tmp_path: Path) -> None:
    for round_ in range(3):
        store = tmp_path / str(round_)
        opened(store, 2)  # to be cleared by the first of them, and by no other
        together = [job(store, 1, 0.01) for _ in range(4)]
        said = [process.communicate() for process in together]
        assert [process.returncode for process in together] == [0] * 4, said
        assert (read_array(store, "0")[:] == 1).all()
        assert locks_in(store) == []


@pytest.mark.slow
def test_of_two_makings_that_start_together_one_is_refused_and_nothing_is_mixed(
    tmp_path: Path,
) -> None:
    for round_ in range(4):
        store = tmp_path / str(round_)
        together = {model: job(store, model, 0.15) for model in (1, 2)}
        said = {model: process.communicate()[1] for model, process in together.items()}
        won = [model for model, process in together.items() if process.returncode == 0]
        (lost,) = {1, 2} - {*won}
        assert "is being written by process" in said[lost]
        assert (read_array(store, "0")[:] == won[0]).all()


def test_what_is_opened_again_in_the_same_process_with_other_settings_takes_over(
    tmp_path: Path,
) -> None:
    before = opened(tmp_path, 1)
    now = opened(tmp_path, 2)
    with pytest.raises(StoreError, match="is held for writing no more"):
        before.write((0, 0, 0), np.zeros((1, 64, 64), np.uint8))
    now.write((0, 0, 0), np.zeros((1, 64, 64), np.uint8))


def test_a_process_that_was_taken_for_dead_writes_nothing_when_it_wakes(tmp_path: Path) -> None:
    array = opened(tmp_path, 1)
    for mark in (tmp_path / ".0.lock").iterdir():
        mark.unlink()
    with pytest.raises(StoreError, match="gave no sign of life for 300 s and another took over"):
        array.write((0, 0, 0), np.zeros((1, 64, 64), np.uint8))
    assert len(array.missing()) == 20


# On other hosts, which cannot be asked


@pytest.mark.parametrize("state", ["writes", "1"])
def test_a_host_without_a_heartbeat_for_five_minutes_is_dead(tmp_path: Path, state: str) -> None:
    claim = claim_of(tmp_path, state)
    os.utime(claim, (time.time() - 301,) * 2)
    begun = time.monotonic()
    assert len(opened(tmp_path, 1).missing()) == 20
    assert time.monotonic() - begun < 2
    assert locks_in(tmp_path) == []


@pytest.mark.slow
def test_one_that_was_killed_just_now_is_waited_for_and_needs_no_hand(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    claim_of(tmp_path)
    monkeypatch.setattr(locks, "STALE_S", 1.5)
    begun = time.monotonic()
    assert len(opened(tmp_path, 1).missing()) == 20
    assert time.monotonic() - begun > 1.2


def test_one_whose_heart_beats_is_refused_with_who_it_is(tmp_path: Path) -> None:
    claim = claim_of(tmp_path, job="88")
    beating = threading.Timer(0.3, lambda: os.utime(claim))
    beating.start()
    said = "written by process 4242 on node7, SLURM job 88 since 2025-01-02 03:04:05"
    with pytest.raises(StoreError, match=said):
        opened(tmp_path, 1)
    beating.join()


def test_a_heart_beats_while_an_array_is_open(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(locks, "BEAT_S", 0.05)
    monkeypatch.setattr(locks, "_BEATING", [])
    array = opened(tmp_path, 1)
    (claim,) = (path for path in (tmp_path / ".0.lock").iterdir() if not path.suffix)
    os.utime(claim, (0, 0))
    for _ in range(100):
        time.sleep(0.02)
        if claim.stat().st_mtime:
            break
    assert time.time() - claim.stat().st_mtime < 5
    del array


def test_a_claim_that_a_kill_left_half_written_is_void_after_its_time(tmp_path: Path) -> None:
    claim = claim_of(tmp_path)
    claim.write_text('{"array": ')
    os.utime(claim, (time.time() - 301,) * 2)
    assert len(opened(tmp_path, 1).missing()) == 20


# Under SLURM


@pytest.mark.parametrize(
    ("answer", "status"),
    [
        ("slurm_load_jobs error: Invalid job id specified", 1),
        *((f"JobId=88 JobState={state} Restarts=0", 0) for state in ("TIMEOUT", "NODE_FAIL")),
        ("JobId=88 JobState=PENDING Restarts=1", 0),  # requeued
        ("JobId=88 JobState=RUNNING Reason=None Restarts=1 NodeList=node8", 0),
    ],
)
def test_after_a_time_out_or_a_requeue_nobody_waits(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, answer: str, status: int
) -> None:
    slurm(tmp_path, monkeypatch, answer, status)
    claim_of(tmp_path, job="88")
    begun = time.monotonic()
    assert len(opened(tmp_path, 1).missing()) == 20
    assert time.monotonic() - begun < 2


def test_a_job_that_slurm_requeued_knows_that_it_was_itself(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    claim_of(tmp_path, job="88")
    monkeypatch.setenv("SLURM_JOB_ID", "88")
    monkeypatch.setenv("SLURM_RESTART_COUNT", "1")
    monkeypatch.setenv("PATH", "")
    assert len(opened(tmp_path, 1).missing()) == 20


def test_a_job_that_slurm_suspended_is_refused_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    slurm(tmp_path, monkeypatch, "JobId=88 JobState=SUSPENDED Restarts=0")
    os.utime(claim_of(tmp_path, job="88"), (0, 0))
    with pytest.raises(StoreError, match="process 4242 on node7, SLURM job 88"):
        opened(tmp_path, 1)


@pytest.mark.parametrize(
    ("answer", "status", "cluster"),
    [
        ("JobId=88 JobState=RUNNING Restarts=0", 0, None),  # without that process
        ("slurm_load_jobs error: Unable to contact slurm controller", 1, None),
        ("slurm_load_jobs error: Invalid job id specified", 1, "another"),
    ],
)
def test_what_slurm_cannot_tell_the_heartbeat_does(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    answer: str,
    status: int,
    cluster: str | None,
) -> None:
    monkeypatch.setenv("SLURM_CLUSTER_NAME", "mine")
    slurm(tmp_path, monkeypatch, answer, status)
    claim = claim_of(tmp_path, job="88", cluster=cluster)
    beating = threading.Timer(0.4, lambda: os.utime(claim))
    beating.start()
    with pytest.raises(StoreError, match="is being written by"):
        opened(tmp_path, 1)
    beating.join()
    os.utime(claim, (time.time() - 301,) * 2)
    assert len(opened(tmp_path, 1).missing()) == 20


def test_without_slurm_nothing_is_missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert shutil.which("scontrol") is None
    os.utime(claim_of(tmp_path, job="88"), (time.time() - 301,) * 2)
    assert len(opened(tmp_path, 1).missing()) == 20
