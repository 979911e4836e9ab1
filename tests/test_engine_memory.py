"""How much memory is left: the machine's, the cgroup's and SLURM's, whichever is least."""

import os
import platform
import subprocess
import sys
from pathlib import Path

import pytest

from unetflow.engine.memory import MIB, available_bytes

NAMES = ("SLURM_MEM_PER_NODE", "SLURM_MEM_PER_CPU", "SLURM_CPUS_ON_NODE")


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A root with 8 GiB left, outside SLURM."""
    for name in NAMES:
        monkeypatch.delenv(name, raising=False)
    (tmp_path / "proc/self").mkdir(parents=True)
    lines = ["MemTotal: 16777216 kB", f"MemAvailable: {8 * 2**20} kB", ""]
    (tmp_path / "proc/meminfo").write_text("\n".join(lines))
    return tmp_path


def cgroup(root: Path, folder: str, **values: str) -> None:
    (root / folder).mkdir(parents=True, exist_ok=True)
    for name, value in values.items():
        (root / folder / name.replace("_", ".", 1)).write_text(value)


def test_without_limits_it_is_what_the_machine_has(machine: Path) -> None:
    assert available_bytes(machine) == 8 * 2**30


def test_the_tightest_cgroup_above_the_process_counts(machine: Path) -> None:
    (machine / "proc/self/cgroup").write_text("0::/a/b\n")
    cgroup(machine, "sys/fs/cgroup/a/b", memory_max="max\n", memory_current="5\n")
    stat = f"anon 7\ninactive_file {100 * MIB}\n"
    cgroup(
        machine,
        "sys/fs/cgroup/a",
        **{"memory_max": f"{2048 * MIB}\n", "memory_current": f"{600 * MIB}\n"},
        memory_stat=stat,
    )
    assert available_bytes(machine) == (2048 - 600 + 100) * MIB


def test_cgroups_of_version_1_count(machine: Path) -> None:
    (machine / "proc/self/cgroup").write_text("5:cpu,cpuacct:/x\n4:memory:/x\n")
    folder = machine / "sys/fs/cgroup/memory/x"
    folder.mkdir(parents=True)
    (folder / "memory.limit_in_bytes").write_text(f"{1000 * MIB}\n")
    (folder / "memory.usage_in_bytes").write_text(f"{400 * MIB}\n")
    assert available_bytes(machine) == 600 * MIB


def test_what_slurm_granted_counts(machine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SLURM_MEM_PER_CPU", "512")
    monkeypatch.setenv("SLURM_CPUS_ON_NODE", "4")
    assert available_bytes(machine) == 2048 * MIB
    monkeypatch.setenv("SLURM_MEM_PER_NODE", "1024")
    assert available_bytes(machine) == 1024 * MIB


def test_here_something_is_left() -> None:
    assert available_bytes() > 2**20


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="the C library is not glibc")
def test_kept_blocks_are_given_back_by_the_next_call() -> None:
    program = """
from pathlib import Path
import numpy as np
from unetflow.engine.memory import keep_freed_memory
def resident():
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096
keep_freed_memory()
before = resident()
blocks = [np.ones(2**25, np.uint8) for _ in range(8)]
del blocks
kept = resident() - before
keep_freed_memory()
print(kept, resident() - before)
"""
    kept, left = map(int, subprocess.check_output([sys.executable, "-c", program]).split())
    assert kept > 7 * 2**25
    assert left < 2**25


@pytest.mark.slow
@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="the C library is not glibc")
def test_freed_blocks_are_kept_in_all_threads() -> None:
    program = """
import resource, sys, threading
import numpy as np
from unetflow.engine.memory import keep_freed_memory
assert sys.argv[1] == "as it is" or keep_freed_memory()
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
def take():
    for _ in range(20):
        np.ones(2**27, np.uint8)  # more than an arena of a thread's own can keep
for _ in range(2):
    thread = threading.Thread(target=take)
    thread.start()
    thread.join()
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""
    small_pages = {**os.environ, "NUMPY_MADVISE_HUGEPAGE": "0"}
    faults = [
        int(subprocess.check_output([sys.executable, "-c", program, how], env=small_pages))
        for how in ("as it is", "kept")
    ]
    assert faults[1] < faults[0] / 4
