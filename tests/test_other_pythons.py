"""Other versions of Python that this machine has: what needs no PyTorch is tested under them.

PyTorch and what needs it are left out, as a build for each version is gigabytes. Of a test with
many cases the first one is run: what differs is the language and its libraries, not the numbers.
"""

import os
import shutil
import subprocess
import tomllib
from pathlib import Path

import pytest
from environments import ROOT, install, new_environment, run

pytestmark = pytest.mark.more

NEED_TORCH = ("torch", "lightning-fabric")
NO_TESTS = ("mypy", "ruff", "pandas-stubs", "types-PyYAML", "types-jsonschema", "types-tqdm")
COMPILE_ALL = """
import pathlib
for path in pathlib.Path().glob("[us]*/**/*.py"):
    compile(path.read_text(), path, "exec")
"""


def interpreter(version: str) -> str | None:
    """A Python of this version on PATH, or one that pyenv has installed."""
    pyenv = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv")) / "versions"
    installed = sorted(str(path) for path in pyenv.glob(f"{version}.*/bin/python"))
    for candidate in (f"python{version}", *installed):
        works = (candidate, "-c", "import ensurepip, venv")
        if shutil.which(candidate) and subprocess.run(works, capture_output=True).returncode == 0:
            return candidate
    return None


@pytest.mark.parametrize("version", ["3.12", "3.13"])
def test_what_needs_no_pytorch_passes_its_tests(version: str) -> None:
    found = interpreter(version)
    if found is None:
        pytest.skip(f"no Python {version} on PATH or in pyenv")
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    wanted = (*project["dependencies"], *project["optional-dependencies"]["test"])
    with new_environment(found) as python:
        install(python, *(name for name in wanted if name not in (*NEED_TORCH, *NO_TESTS)))
        run(python, "-W", "error", "-c", COMPILE_ALL, cwd=ROOT)
        unit = (
            "-q",
            "-p",
            "no:cacheprovider",
            "-m",
            "not slow and not more",
            "--without-torch",
            "--once",
        )
        at_once = ("--numprocesses", str(os.cpu_count()), "--dist", "loadfile")
        closing = run(python, "-m", "pytest", *unit, *at_once, cwd=ROOT).splitlines()[-1]
    print(version, closing)
    assert " passed" in closing
