"""Where commands find the Snakefile and what lies beside it."""

from pathlib import Path

import pytest
from conftest import ROOT

from unetflow.commands import workflow
from unetflow.commands.workflow import snakefile_arguments, workflow_folder
from unetflow.errors import ConfigError


def test_in_a_clone_it_is_the_working_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    assert workflow_folder() == Path()
    assert snakefile_arguments(Path()) == []


def test_elsewhere_it_is_that_of_the_package(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "Snakefile").touch()  # of somebody else's workflow
    assert workflow_folder() == ROOT
    inside = tmp_path / "site" / "pipeline"  # as a wheel has it
    (inside / "workflow" / "schemas").mkdir(parents=True)
    (inside / "Snakefile").touch()
    monkeypatch.setattr(workflow, "IN_WHEEL", inside)
    assert workflow_folder() == inside
    assert snakefile_arguments(inside) == ["--snakefile", str(inside / "Snakefile")]


def test_a_package_without_a_workflow_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(workflow, "PACKAGE", tmp_path / "unetflow")
    with pytest.raises(ConfigError, match=r"there is no Snakefile .* or of a wheel"):
        workflow_folder()
