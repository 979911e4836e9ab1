"""The conda environment has what pyproject.toml asks for, pinned as everywhere."""

import re
import tomllib

import yaml
from conftest import ROOT

from unetflow import __version__


def test_conda_has_the_same_packages_in_the_same_versions() -> None:
    lines = (ROOT / "envs" / "constraints.txt").read_text().splitlines()
    pinned = [line.lower().split("==") for line in lines if "==" in line and line[0] != "#"]
    pins = {name.replace("_", "-"): version for name, version in pinned}
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    names = [re.match(r"[\w.-]+(\[\w+\])?", each) for each in project["dependencies"]]
    wanted = [f"{name[0]}=={pins[name[0].split('[')[0]]}" for name in names if name]
    conda = yaml.safe_load((ROOT / "envs" / "unetflow.yaml").read_text())
    assert conda["dependencies"][-1]["pip"] == wanted


def test_the_version_to_be_cited_is_the_package_s() -> None:
    cited = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    assert cited["version"] == __version__
