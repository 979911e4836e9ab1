"""Python environments that tests make, fill and throw away."""

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
OF_THIS_ONE = ("PYTHONPATH", "VIRTUAL_ENV", "PYTEST_XDIST_WORKER")  # environment
PINNED = ("--constraint", str(ROOT / "envs" / "constraints.txt"))


def run(*command: str | Path, cwd: Path) -> str:
    """What a command prints, which must end well; it does not see this environment's paths."""
    environment = {name: value for name, value in os.environ.items() if name not in OF_THIS_ONE}
    done = subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, (done.stdout + done.stderr)[-5000:]
    return done.stdout


@contextmanager
def new_environment(interpreter: str | Path = sys.executable) -> Iterator[Path]:
    """The Python of a new environment with nothing but pip, which is removed at the end."""
    folder = Path(tempfile.mkdtemp(prefix="environment"))
    try:
        run(interpreter, "-m", "venv", folder, cwd=folder)
        yield folder / "bin" / "python"
    finally:
        shutil.rmtree(folder)


def install(python: Path, *what: str | Path) -> None:
    """Install with all that it needs, pinned; the test is skipped where no index can be reached."""
    pip = (python, "-m", "pip", "--quiet")
    with tempfile.TemporaryDirectory() as folder:
        try:
            run(*pip, "download", "--no-deps", *PINNED, "tqdm", cwd=Path(folder))
        except AssertionError as error:
            pytest.skip(f"no package index can be reached: {str(error)[-200:]}")
        run(*pip, "install", *PINNED, *what, cwd=Path(folder))
