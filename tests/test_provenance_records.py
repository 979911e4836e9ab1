"""Run records: what a process took."""

import subprocess
import sys
from pathlib import Path

import pytest

from unetflow.provenance.receipts import read_receipt
from unetflow.provenance.records import MIB, RunRecord, peak_bytes

HOLDS = """
import numpy
from unetflow.provenance.records import peak_bytes
before = peak_bytes()
held = numpy.ones(200 * 2**20, "u1")
del held
print(before, peak_bytes())
"""


def test_the_peak_of_a_process_stays_when_it_gives_memory_back() -> None:
    done = subprocess.run([sys.executable, "-c", HOLDS], capture_output=True, text=True, check=True)
    before, after = map(int, done.stdout.split())
    assert 200 * MIB * 0.9 <= after - before <= 200 * MIB * 1.2  # pages that were free are taken


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="no /proc here")
def test_a_program_does_not_answer_for_the_one_that_started_it() -> None:
    held = bytearray(400 * MIB)
    code = "from unetflow.provenance.records import peak_bytes; print(peak_bytes())"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert int(done.stdout) < 300 * MIB < len(held) <= peak_bytes()


def test_of_linux_the_line_is_read_and_without_proc_the_system_is_asked(tmp_path: Path) -> None:
    status = tmp_path / "proc/self/status"
    status.parent.mkdir(parents=True)
    status.write_text("Name:\tpython\nVmPeak:\t  900 kB\nVmHWM:\t  300 kB\nVmRSS:\t  200 kB\n")
    assert peak_bytes(tmp_path) == 300 * 1024
    assert peak_bytes(tmp_path / "none") > 10 * MIB


def test_a_record_says_what_the_process_had_and_took(tmp_path: Path) -> None:
    RunRecord(tmp_path / "a.json").write(device="cpu")
    found = read_receipt(tmp_path / "a.run.json")
    assert found["device"] == "cpu"
    assert found["seconds"] >= 0
    assert 10 < found["peak_mib"] <= peak_bytes() / MIB + 0.05  # it is rounded
