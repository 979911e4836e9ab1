"""Files written whole: by rename, with the rights of any new file."""

import errno
import os
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from unetflow.errors import StoreError
from unetflow.store.files import HOUR_S, renamed_at_end, write_whole


@pytest.fixture(params=[0o022, 0o077, 0o002], ids=oct)
def umask(request: pytest.FixtureRequest) -> Iterator[int]:
    """A mask of rights, put back after the test."""
    before = os.umask(request.param)
    yield request.param
    os.umask(before)


def rights(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def test_a_file_has_the_rights_of_any_new_file(tmp_path: Path, umask: int) -> None:
    (tmp_path / "plain").write_bytes(b"x")
    write_whole(tmp_path / "whole", b"x")
    assert rights(tmp_path / "whole") == rights(tmp_path / "plain") == 0o666 & ~umask


@pytest.mark.parametrize("umask", [0o022], indirect=True)
def test_files_of_other_threads_keep_their_rights(
    tmp_path: Path, umask: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While a file was written, others' new files were open to all: it set the mask to 0."""
    wholes, plains = tmp_path / "wholes", tmp_path / "plains"
    plains.mkdir()
    done = threading.Event()
    set_umask = os.umask

    def set_and_rest(mask: int) -> int:
        before = set_umask(mask)
        time.sleep(0.001)  # so that others do something meanwhile
        return before

    def write(number: int) -> None:
        while not done.is_set():
            write_whole(wholes / str(number), b"x")

    monkeypatch.setattr(os, "umask", set_and_rest)
    with ThreadPoolExecutor(8) as pool:
        writers = [pool.submit(write, number) for number in range(8)]
        for number in range(1000):
            (plains / str(number)).touch()
        done.set()
    assert [writer.result() for writer in writers] == [None] * 8
    assert {rights(path) for path in [*wholes.iterdir(), *plains.iterdir()]} == {0o644}


def test_threads_that_write_one_file_leave_one_content_and_nothing_else(tmp_path: Path) -> None:
    contents = [bytes([number]) * 1000 for number in range(100)]
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda content: write_whole(tmp_path / "a", content), contents))
    assert (tmp_path / "a").read_bytes() in contents
    assert names(tmp_path) == {"a"}


def test_an_error_leaves_the_old_file_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: set[str] = set()

    def full(handle: int) -> None:
        seen.update(names(tmp_path))
        raise OSError(28, "No space left on device")

    write_whole(tmp_path / "a.json", b"old")
    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(StoreError, match=r"a\.json: could not be written \(No space left"):
        write_whole(tmp_path / "a.json", b"new")
    assert (tmp_path / "a.json").read_bytes() == b"old"
    assert names(tmp_path) == {"a.json"}
    (temporary,) = seen - {"a.json"}
    assert temporary.startswith(".a.json.")  # hidden, and beside it


@pytest.fixture
def killed(tmp_path: Path) -> str:
    """The name of what a writer left that was killed before it renamed."""
    program = (
        "import os, sys, time\n"
        "from unetflow.store.files import write_whole\n"
        "os.fsync = lambda _: (print('here', flush=True), time.sleep(60))\n"
        "write_whole(sys.argv[1], b'half')\n"
    )
    command = [sys.executable, "-c", program, str(tmp_path / "a.json")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None and process.stdout.readline() == "here\n"
        process.kill()
    (left,) = names(tmp_path)
    return left


def test_what_a_kill_left_is_cleared_when_anything_is_written_there(
    tmp_path: Path, killed: str
) -> None:
    """A file of 8 random digits was left beside each one that a kill met, for ever."""
    write_whole(tmp_path / "b.json", b"whole")
    assert names(tmp_path) == {"b.json"}


def test_what_others_may_be_writing_is_left_alone(tmp_path: Path, killed: str) -> None:
    pid = killed.split("@")[0].rpartition(".")[2]
    running = killed.replace(f".{pid}@", f".{os.getppid()}@")
    elsewhere, long_ago = (f".{name}.{pid}@other.host.0123abcd.partial" for name in "bc")
    own = {".notes.partial", ".a.json.0123abcd", f"a.json.{pid}@x.0123abcd.partial"}
    for name in (running, elsewhere, long_ago, *own):
        (tmp_path / name).touch()
    os.utime(tmp_path / long_ago, (time.time() - HOUR_S - 60,) * 2)
    write_whole(tmp_path / "d", b"whole")
    assert names(tmp_path) == {"d", running, elsewhere, *own}


def test_a_file_that_others_write_by_path_is_whole_or_not_there(tmp_path: Path) -> None:
    """What other libraries write is no less than `write_whole`: error in words, nothing left."""
    (tmp_path / "a.tif").write_bytes(b"old")
    with (
        pytest.raises(StoreError, match=r"a\.tif: could not be written \(No space left on device"),
        renamed_at_end(tmp_path / "a.tif") as partial,
    ):
        partial.write_bytes(b"half of the n")
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    assert (tmp_path / "a.tif").read_bytes() == b"old"
    assert names(tmp_path) == {"a.tif"}


def test_two_that_write_one_file_at_once_do_not_share_a_name(tmp_path: Path) -> None:
    """Both wrote to .a.partial: what was renamed was of either."""
    with renamed_at_end(tmp_path / "a") as first, renamed_at_end(tmp_path / "a") as second:
        first.write_bytes(b"first, longer")
        second.write_bytes(b"second")
    assert (tmp_path / "a").read_bytes() == b"first, longer"
    assert names(tmp_path) == {"a"}
