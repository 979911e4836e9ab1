"""What a job takes of a machine: device, precision and threads."""

import logging
import os
from pathlib import Path

import pytest
import torch

from unetflow.engine import devices
from unetflow.engine.gpus import granted_gpu
from unetflow.errors import ModelError


@pytest.fixture
def no_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    monkeypatch.setattr(devices, "granted_gpu", lambda: granted_gpu(os.environ, Path("/nowhere")))
    for name in ("SLURM_STEP_GPUS", "SLURM_JOB_GPUS", "CUDA_VISIBLE_DEVICES"):
        monkeypatch.delenv(name, raising=False)
    devices._say_once.cache_clear()


@pytest.mark.usefixtures("no_gpu")
def test_without_a_gpu_it_is_the_cpu_and_that_is_said_once(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO)
    assert {devices.resolve_device(gpu=gpu) for gpu in (True, False, True)} == {"cpu"}
    assert caplog.messages == ["no GPU here: running on the CPU"]


@pytest.mark.usefixtures("no_gpu")
@pytest.mark.parametrize(
    ("gpu", "why"),
    [(True, "PyTorch finds no GPU"), (False, r"was given none \(--resources gpu=0\)")],
)
def test_a_gpu_that_is_required_and_missing_is_an_error(gpu: bool, why: str) -> None:
    with pytest.raises(ModelError, match=f"require_gpu is true, but .*{why}.*use the CPU"):
        devices.resolve_device(gpu=gpu, require_gpu=True)


@pytest.mark.usefixtures("no_gpu")
def test_a_gpu_that_was_granted_and_cannot_be_used_is_an_error(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("SLURM_JOB_GPUS", "0")
    with pytest.raises(ModelError, match=r"given a GPU \(SLURM_JOB_GPUS is 0\).*train:gpu=0"):
        devices.resolve_device(gpu=True)
    assert devices.resolve_device(gpu=False) == "cpu"


def test_what_says_that_a_gpu_was_granted(tmp_path: Path) -> None:
    assert granted_gpu({}, tmp_path) is None
    assert granted_gpu({"CUDA_VISIBLE_DEVICES": "", "SLURM_JOB_GPUS": "-1"}, tmp_path) is None
    assert granted_gpu({"CUDA_VISIBLE_DEVICES": "GPU-3"}, tmp_path) == (
        "CUDA_VISIBLE_DEVICES is GPU-3"
    )
    (tmp_path / "dev").mkdir()
    (tmp_path / "dev" / "nvidia0").touch()
    assert granted_gpu({}, tmp_path) == f"{tmp_path}/dev/nvidia0 is there"
    assert granted_gpu({"CUDA_VISIBLE_DEVICES": ""}, tmp_path) is None  # hidden


def test_a_gpu_is_used_only_where_the_job_was_given_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: True)
    assert devices.resolve_device(gpu=True) == "mps"
    assert devices.resolve_device(gpu=False) == "cpu"


def test_a_job_takes_one_thread_or_more_but_no_more_than_there_are_cores(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    before = torch.get_num_threads()
    monkeypatch.setattr(devices, "cores", lambda: 2)
    assert [devices.use_threads(granted) for granted in (0, 1, 2, 64)] == [1, 1, 2, 2]
    assert torch.get_num_threads() == 2
    torch.set_num_threads(before)


def test_this_process_has_a_core_and_a_processor_with_a_name() -> None:
    assert devices.cores() >= 1
    assert devices.machine_of("cpu") == {
        "processor": torch.backends.cpu.get_cpu_capability(),
        "PyTorch": torch.__version__,
    }
