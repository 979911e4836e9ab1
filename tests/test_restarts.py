"""Whatever is killed whenever, the results are those of an undisturbed run."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

PROGRAM = Path(__file__).parents[1] / "benchmarks" / "restarts.py"


@pytest.mark.more
def test_five_random_kills_change_no_byte_of_the_results() -> None:
    command = [sys.executable, str(PROGRAM), "--of", "pipeline", "--kills", "5", "--seed", "20"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    assert re.search(r"5 kills in (\d+) rounds, of which \1 ended equal to the byte", done.stdout)
