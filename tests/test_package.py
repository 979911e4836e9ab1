"""The wheel: complete, and at home in an environment that has never seen the project."""

import shutil
import sys
import sysconfig
import tomllib
import zipfile
from pathlib import Path

import pytest
import yaml
from environments import ROOT, install, new_environment, run
from pipeline import COPIED, Project, path_without_slurm

from unetflow.demo.files import write_image_pair

pytestmark = pytest.mark.more

# Every module is imported, those that are run as programs too: they do nothing without a name.
IMPORT_ALL = """
import importlib, pathlib, unetflow
root = pathlib.Path(unetflow.__file__).parent
names = [path.relative_to(root.parent).with_suffix("") for path in root.rglob("*.py")]
names = [name for name in names if "pipeline" not in name.parts]  # scripts of Snakemake
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


def workflow() -> set[str]:
    """The same of what lies beside the package in a clone."""
    places = [ROOT / name for name in COPIED if name != "unetflow"]
    found = {path for place in places for path in (place, *place.rglob("*")) if path.is_file()}
    names = {path.relative_to(ROOT) for path in found if path.parent.name != "__pycache__"}
    return {f"unetflow/pipeline/{name.as_posix()}" for name in names}


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, built from a copy of what setuptools needs: building leaves files behind."""
    copy, folder = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("wheel")
    for name in ("pyproject.toml", "setup.py", "README.md", "LICENSE", "Snakefile"):
        shutil.copy(ROOT / name, copy / name)
    for name in COPIED:
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, copy / name)
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
    assert names == sources() | workflow()
    assert {Path(name).suffix for name in sources()} == {
        *(".py", ".typed", ".html", ".yaml"),
        *(".js", ".txt"),  # the viewer of slides, and its licence
        *(".safetensors", ".md"),  # models that ship, and their cards
    }


def test_the_wheel_beside_its_dependencies_needs_no_source_tree(
    wheel: Path, tmp_path: Path
) -> None:
    with new_environment() as python:
        install_beside_dependencies(python, wheel, tmp_path)
        check_installed(python, tmp_path)


def test_the_wheel_runs_a_case_as_a_clone_does(wheel: Path, tmp_path: Path) -> None:
    """A clone has nothing to do after it, and no receipt says where the workflow lies."""
    for name in "abc":
        pair = (tmp_path / "cells" / f"{name}.tif", tmp_path / "cells" / f"{name}_mask.tif")
        write_image_pair(*pair, shape=(128, 128), seed=ord(name))
    with new_environment() as python:
        install_beside_dependencies(python, wheel, tmp_path)
        run(python.with_name("unetflow"), "init", "cells", cwd=tmp_path)
        config_path = tmp_path / "config" / "cells.yaml"
        config = yaml.safe_load(config_path.read_text())
        config["experiments"]["unet"]["pretrained"] = "nuclei-fluorescence"  # a file of the package
        config["experiments"]["unet"]["recipe"] |= {"steps": 4, "validate_every": 4}
        config_path.write_text(yaml.safe_dump(config))
        command = (python.with_name("unetflow"), "run", "config/cells.yaml", "--cores", "2")
        said = run(*command, cwd=tmp_path)
        place = python.parents[1]
    results = tmp_path / "results" / "cells"
    assert f"--snakefile {place}" in said and "report: 1 job" in said
    found = [path for path in results.rglob("*.json") if ".made" not in path.parts]
    receipts = [path for path in found if not path.name.endswith((".run.json", "provenance.json"))]
    assert len(receipts) > 10
    assert [path for path in receipts if str(place) in path.read_text()] == []
    clone = Project(tmp_path, path_without_slurm(tmp_path))
    snakefile = ("--snakefile", str(ROOT / "Snakefile"))
    assert not clone.snakemake("-n", *snakefile, "--configfile", str(config_path)).planned()


def install_beside_dependencies(python: Path, wheel: Path, cwd: Path) -> None:
    """Install the wheel alone; what it needs is taken from the environment of the tests."""
    run(python, "-m", "pip", "install", "--no-deps", "--no-index", wheel, cwd=cwd)
    # a folder of a .pth file is searched, but its own .pth files (an editable install) are not
    (packages,) = python.parents[1].glob("lib/*/site-packages")
    (packages / "dependencies.pth").write_text(sysconfig.get_path("purelib"))
    program = python.with_name("snakemake")
    program.write_text(f"#!{python}\nfrom snakemake.cli import main\nmain()\n")
    program.chmod(0o755)


def test_the_wheel_brings_its_dependencies_into_an_empty_environment(
    wheel: Path, tmp_path: Path
) -> None:
    with new_environment() as python:
        install(python, wheel)
        check_installed(python, tmp_path)
