"""Jobs side by side take different GPUs."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from unetflow.gpus import claim_gpus, visible_name

HOLDER = (
    "import sys, torch\n"
    "torch.cuda.device_count = lambda: 2\n"
    "from unetflow.gpus import claim_gpus\n"
    "print(claim_gpus(), flush=True)\n"
    "sys.stdin.read()\n"
)


@pytest.fixture(autouse=True)
def two_gpus(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda number: ((10, 30)[number], 40))
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    claim_gpus.cache_clear()
    yield
    claim_gpus.cache_clear()


def test_each_process_has_its_own_until_all_are_held(caplog: pytest.LogCaptureFixture) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", HOLDER], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == "(0,)\n"
        assert claim_gpus() == (1,)
        assert claim_gpus() == (1,), "asked again it is the same"
        claim_gpus.cache_clear()  # as a third process
        assert claim_gpus() == (1,), "the one with most memory left"
        assert "all GPUs here are in use" in caplog.text
        other.kill()
    claim_gpus.cache_clear()
    assert claim_gpus() == (0,), "freed by the system"


def test_where_there_are_no_more_than_wanted_nothing_is_locked(tmp_path: Path) -> None:
    assert claim_gpus(2) == (0, 1)
    assert not list(tmp_path.iterdir())


def test_names_of_gpus_are_those_of_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    assert visible_name(1) == "1"
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "3,GPU-7f")
    assert visible_name(1) == "GPU-7f"
