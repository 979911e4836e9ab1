"""The wheel: complete, and at home in an environment that has never seen the project."""

import shutil
import sys
import sysconfig
import tomllib
import zipfile
from pathlib import Path

import pytest
from environments import ROOT, install, new_environment, run

pytestmark = pytest.mark.more

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


def sources() -> set[str]:
    """What must be in the wheel, with paths from the root of the project."""
    kinds = ("*.py", "py.typed", "*.html", "templates/*.yaml", "vendor/*", "models/*.*")
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


def check_installed(python: Path, cwd: Path) -> None:
    """All modules can be imported from an environment, and its commands say how they are used."""
    count, place = run(python, "-W", "error", "-c", IMPORT_ALL, cwd=cwd).split()
    assert Path(place).is_relative_to(python.parents[1])
    assert int(count) == sum(path.endswith(".py") for path in sources())
    for module in ("metrics", "predict", "splits"):
        assert "usage" in run(python, "-m", f"unetflow.{module}", "--help", cwd=cwd)
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    for command in project.get("scripts", {}):
        assert "usage" in run(python.with_name(command), "--help", cwd=cwd)


def test_the_wheel_holds_every_module_and_template(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = {name for name in archive.namelist() if ".dist-info/" not in name}
    assert names == sources()
    assert {Path(name).suffix for name in names} == {
        *(".py", ".typed", ".html", ".yaml"),
        *(".js", ".txt"),  # the viewer of slides, and its licence
        *(".safetensors", ".md"),  # models that ship, and their cards
    }


def test_the_wheel_beside_its_dependencies_needs_no_source_tree(
    wheel: Path, tmp_path: Path
) -> None:
    with new_environment() as python:
        run(python, "-m", "pip", "install", "--no-deps", "--no-index", wheel, cwd=tmp_path)
        # a folder of a .pth file is searched, but its own .pth files (an editable install) are not
        (packages,) = python.parents[1].glob("lib/*/site-packages")
        (packages / "dependencies.pth").write_text(sysconfig.get_path("purelib"))
        check_installed(python, tmp_path)


def test_the_wheel_brings_its_dependencies_into_an_empty_environment(
    wheel: Path, tmp_path: Path
) -> None:
    with new_environment() as python:
        install(python, wheel)
        check_installed(python, tmp_path)
