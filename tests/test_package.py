"""The wheel: complete, and at home in an environment that has never seen the project."""

import os
import shutil
import subprocess
import sys
import sysconfig
import tomllib
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from conftest import ROOT

pytestmark = pytest.mark.more

CONSTRAINTS = ROOT / "envs" / "constraints.txt"
# Every module is imported, those that are run as programs too: they do nothing without a name.
IMPORT_ALL = """
import importlib, pathlib, unetflow
root = pathlib.Path(unetflow.__file__).parent
names = [path.relative_to(root.parent).with_suffix("") for path in root.rglob("*.py")]
for name in names:
    if name.name != "__main__":
        importlib.import_module(".".join(part for part in name.parts if part != "__init__"))
print(len(names), root)
"""


def run(*command: str | Path, cwd: Path) -> str:
    """What a command prints, which must end well; it does not see this environment's paths."""
    environment = {k: v for k, v in os.environ.items() if k not in ("PYTHONPATH", "VIRTUAL_ENV")}
    done = subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def sources() -> set[str]:
    """What must be in the wheel, with paths from the root of the project."""
    kinds = ("*.py", "py.typed", "*.html")
    found = {path for kind in kinds for path in (ROOT / "unetflow").rglob(kind)}
    return {path.relative_to(ROOT).as_posix() for path in found}


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, built from a copy of what setuptools needs: building leaves files behind."""
    copy, folder = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("wheel")
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, copy / name)
    ignore = shutil.ignore_patterns("__pycache__")
    shutil.copytree(ROOT / "unetflow", copy / "unetflow", ignore=ignore)
    pip = (sys.executable, "-m", "pip", "wheel", "--no-deps", "--no-build-isolation")
    run(*pip, "--wheel-dir", folder, copy, cwd=folder)
    (built,) = folder.glob("unetflow-*.whl")
    return built


@pytest.fixture
def empty(tmp_path: Path) -> Iterator[Path]:
    """A Python environment of its own with nothing but pip; gone afterwards, as it may be large."""
    folder = tmp_path / "environment"
    run(sys.executable, "-m", "venv", folder, cwd=tmp_path)
    yield folder
    shutil.rmtree(folder)


def check_installed(environment: Path, cwd: Path) -> None:
    """All modules can be imported from the environment, and its commands say how they are used."""
    python = environment / "bin" / "python"
    count, place = run(python, "-W", "error", "-c", IMPORT_ALL, cwd=cwd).split()
    assert Path(place).is_relative_to(environment)
    assert int(count) == sum(path.endswith(".py") for path in sources())
    for module in ("metrics", "predict", "splits"):
        assert "usage" in run(python, "-m", f"unetflow.{module}", "--help", cwd=cwd)
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    for command in project.get("scripts", {}):
        assert "usage" in run(environment / "bin" / command, "--help", cwd=cwd)


def test_the_wheel_holds_every_module_and_template(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = {name for name in archive.namelist() if ".dist-info/" not in name}
    assert names == sources()
    assert {Path(name).suffix for name in names} == {".py", ".typed", ".html"}


def test_the_wheel_beside_its_dependencies_needs_no_source_tree(
    wheel: Path, empty: Path, tmp_path: Path
) -> None:
    python = empty / "bin" / "python"
    run(python, "-m", "pip", "install", "--quiet", "--no-deps", "--no-index", wheel, cwd=tmp_path)
    # a folder of a .pth file is searched, but .pth files in it (an editable install) are not read
    packages = next(empty.glob("lib/*/site-packages"))
    (packages / "dependencies.pth").write_text(sysconfig.get_path("purelib"))
    check_installed(empty, tmp_path)


def test_the_wheel_brings_its_dependencies_into_an_empty_environment(
    wheel: Path, empty: Path, tmp_path: Path
) -> None:
    pip = (empty / "bin" / "python", "-m", "pip", "--quiet")
    try:
        run(*pip, "download", "--no-deps", "--constraint", CONSTRAINTS, "tqdm", cwd=tmp_path)
    except AssertionError as error:
        pytest.skip(f"no package index can be reached: {str(error)[-200:]}")
    run(*pip, "install", "--constraint", CONSTRAINTS, wheel, cwd=tmp_path)
    check_installed(empty, tmp_path)
