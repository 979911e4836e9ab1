"""`benchmarks/gpu.py`: its parts run small without a GPU; what is cut off still says something."""

import argparse
import json
import subprocess
import sys
import time
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

PROGRAM = Path(__file__).parents[1] / "benchmarks" / "gpu.py"
sys.path.insert(0, str(PROGRAM.parent))
gpu: Any = import_module("gpu")
Scale: Any = import_module("gpu_rows").Scale

MODULE = """
import time
from gpu_rows import NotHere, Row

def first(scale):
    yield Row("a number", 12.3456789, "Mpx/s", "of this")

def lacking(scale):
    import no_such_library

def failing(scale):
    raise ValueError("too much\\nand more")

def missing(scale):
    scale.on_gpu()

def endless(scale):
    yield Row("begun", "yes")
    time.sleep(60)

MEASURES = {f.__name__: f for f in (first, lacking, failing, missing, endless)}
"""


@pytest.mark.slow
def test_a_part_that_is_ended_at_its_limit_says_what_it_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "own_measures.py").write_text(MODULE)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    monkeypatch.setitem(gpu.PARTS, "own", gpu.Part("Its title", "own_measures", 3))
    options = argparse.Namespace(cpu=True, data=None)
    found = gpu.run_part("own", options, limit_s=3)
    assert [row["found"] for row in found["rows"]] == [
        *(12.3456789, "not run: no no_such_library"),
        *("failed: ValueError: too much", "not run: no NVIDIA GPU", "yes"),
    ]
    assert found["ended"] == "ended at its limit of 3 s"
    gpu.write(tmp_path / "out", "a machine", [found])
    table = (tmp_path / "out" / "gpu.md").read_text()
    assert "## Its title" in table and "| a number | 12.35 Mpx/s | of this |" in table
    assert json.loads((tmp_path / "out" / "gpu.json").read_text())["parts"] == [found]


def test_a_part_whose_library_is_missing_says_which() -> None:
    scale = Scale(small=True, deadline=time.monotonic() + 60)
    assert [row.found for row in gpu.rows_of("no_such_module", scale)] == [
        "not run: no no_such_module"
    ]


def test_the_time_of_a_gpu_is_counted_once() -> None:
    """Of a call that begins a kernel: in the trace the kernel's time stands in both rows."""
    profiled: Any = import_module("torch.autograd.profiler_util")
    of: Any = import_module("torch.autograd").DeviceType
    usual = {"use_device": "cuda", "stack": []}
    call = profiled.FunctionEvent(1, "aten::conv", 0, 0, 10, device_type=of.CPU, **usual)
    call.append_kernel("kernel", 0, 100)
    kernel = profiled.FunctionEvent(2, "kernel", 0, 0, 100, device_type=of.CUDA, **usual)
    events = profiled.EventList([call, kernel], use_device="cuda")
    events._build_tree()
    averages, kind = events.key_averages(), "self_device_time_total"
    assert sum(getattr(row, kind) for row in averages) == 200
    rows = import_module("gpu_inference").rows_of_device(averages, kind, small=False)
    assert [(row.key, getattr(row, kind)) for row in rows] == [("kernel", 100)]


WITHOUT = {"a killed training", "tests that need a GPU"}  # processes of their own


@pytest.mark.slow
@pytest.mark.parametrize("part", gpu.PARTS)
def test_each_part_runs_small_on_the_cpu(part: str, monkeypatch: pytest.MonkeyPatch) -> None:
    module = import_module(gpu.PARTS[part].module)
    measures = {key: of for key, of in module.MEASURES.items() if key not in WITHOUT}
    monkeypatch.setattr(module, "MEASURES", measures)
    scale = Scale(small=True, deadline=time.monotonic() + 60)
    rows = list(gpu.rows_of(gpu.PARTS[part].module, scale))
    said = [str(row.found) for row in rows]
    assert not [of for of in said if of.startswith("failed")], said
    assert {of for of in said if of.startswith("not run")} <= {
        "not run: no NVIDIA GPU",
        "not run: no monai",
    }
    assert sum(isinstance(row.found, float) for row in rows) >= (part != "memory")


@pytest.mark.more
def test_the_whole_program_runs_small(tmp_path: Path) -> None:
    command = [sys.executable, str(PROGRAM), "--cpu", "--out", str(tmp_path)]
    subprocess.run(command, check=True, capture_output=True, cwd=tmp_path)
    parts = json.loads((tmp_path / "gpu.json").read_text())["parts"]
    assert [part["ended"] for part in parts] == ["whole"] * 5
    killed = parts[-1]["rows"][-1]
    assert killed["what"] == "a training that was killed"
    assert killed["found"] == "the same weights to the bit"
