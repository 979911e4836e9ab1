"""Jobs side by side take different GPUs."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from unetflow.engine.gpus import claim_gpus, name_of

HOLDER = """
import sys, torch
from types import SimpleNamespace
torch.cuda.device_count = lambda: 2
torch.cuda.get_device_properties = lambda number: SimpleNamespace(uuid=f"u{number}")
from unetflow.engine.gpus import claim_gpus
print(claim_gpus(), flush=True)
sys.stdin.read()
"""


@pytest.fixture(autouse=True)
def two_gpus(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setattr(
        torch.cuda, "get_device_properties", lambda number: SimpleNamespace(uuid=f"u{number}")
    )
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    claim_gpus.cache_clear()
    yield
    claim_gpus.cache_clear()


def test_each_process_has_its_own_until_all_are_held(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", HOLDER], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == "(0,)\n"
        assert claim_gpus() == (1,)
        assert claim_gpus() == (1,), "asked again it is the same"
        shared: set[int] = set()
        for number in (10, 11):
            claim_gpus.cache_clear()  # as other processes
            monkeypatch.setattr("os.getpid", lambda number=number: number)
            shared.update(claim_gpus())
        assert shared == {0, 1}
        assert "are in use by other jobs: sharing 1 of them" in caplog.text
        other.kill()
    claim_gpus.cache_clear()
    assert claim_gpus() == (0,), "freed by the system"


def test_a_file_that_another_user_made_is_locked_too(tmp_path: Path) -> None:
    (tmp_path / "unetflow-GPU-u0.lock").touch(mode=0o444)
    assert claim_gpus() == (0,)


def test_more_than_there_are_is_what_there_is() -> None:
    assert claim_gpus(3) == (0, 1)
    assert name_of(1) == "GPU-u1"
