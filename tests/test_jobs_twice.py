"""Keys that stand twice in a config are told: YAML's readers take the last without a word."""

from pathlib import Path

import pytest
from conftest import ROOT

from unetflow.commands import MENDABLE, run_command
from unetflow.errors import ConfigError
from unetflow.jobs.twice import check_keys

TWICE = """\
results: here
experiments:
  unet: {dataset: cells}
  other: {dataset: cells, recipe: &of {steps: 1, steps: 2}}
datasets: [{cells: 1, cells: 2}]
experiments: {unet: *of}
"""
MERGED = "a: &a {x: 1}\nb: &b {y: 1}\nc: {<<: *a, <<: *b, x: 2}\n"


def test_keys_that_stand_twice_are_told_with_their_lines(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = tmp_path / "case.yaml"
    config.write_text(TWICE)
    with pytest.raises(
        ConfigError, match=r"case\.yaml: steps stands in line 4 and in line 4"
    ) as of:
        check_keys([config])
    assert "cells stands in line 5 and in line 5" in str(of.value)
    assert "experiments stands in line 2 and in line 6, of which the last alone" in str(of.value)
    assert run_command("check", [str(config)]) == MENDABLE
    assert "experiments stands in line 2 and in line 6" in capsys.readouterr().err


def test_what_stands_once_is_no_problem(tmp_path: Path) -> None:
    for name, text in (("merged", MERGED), ("empty", ""), ("no", "{"), ("bytes", "\0")):
        (tmp_path / name).write_text(text)
    check_keys([*tmp_path.iterdir(), tmp_path / "none.yaml", *(ROOT / "config").glob("*.yaml")])
