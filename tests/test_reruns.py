"""Each key of the config has a row in the page that says what its change reruns."""

import importlib
import sys
from types import SimpleNamespace
from typing import Any

import pytest
from conftest import ROOT

from unetflow.jobs.schemas import read_schema
from unetflow.provenance.code_digest import WITHOUT_EFFECT, modules_behind

sys.path.insert(0, str(ROOT / "benchmarks"))
rerun_changes: Any = importlib.import_module("rerun_changes")
reruns: Any = importlib.import_module("reruns")

KEYS = list(rerun_changes.keys_of(read_schema(ROOT / "workflow/schemas/config.schema.yaml")))


def test_each_key_has_another_value_to_be_measured_with() -> None:
    how = "put it into benchmarks/rerun_changes.py, then: python benchmarks/reruns.py . --page"
    assert {*KEYS} ^ {*rerun_changes.VALUES} == set(), how


def test_each_change_has_a_row_in_the_page() -> None:
    text = (ROOT / "docs" / "reruns.md").read_text()
    missing = [
        change.name for change in rerun_changes.changes() if f"| {change.name} |" not in text
    ]
    assert not missing, "python benchmarks/reruns.py . --page"


def test_the_page_names_the_modules_without_effect() -> None:
    text = (ROOT / "docs" / "reruns.md").read_text()
    names = {module.removeprefix("unetflow.") for module in WITHOUT_EFFECT}
    assert {name for name in names if f"`{name}`" not in text} == set()


@pytest.mark.parametrize("module", sorted(WITHOUT_EFFECT))
def test_modules_without_effect_are_behind_no_rule(module: str) -> None:
    for script in sorted((ROOT / "scripts").glob("*.py")):
        assert not [name for name in modules_behind(script) if f"{name}.".startswith(f"{module}.")]


def test_keys_of_free_names_are_stars_and_parts_are_joined() -> None:
    schema: dict[str, Any] = {
        "properties": {
            "a": {"type": "integer"},
            "b": {"additionalProperties": {"properties": {"c": {}, "d": {}}}},
        }
    }
    assert list(rerun_changes.keys_of(schema)) == ["a", "b.*.c", "b.*.d"]


@pytest.mark.parametrize("key", ["predict.dtype", "weighting.*.w0", "refine.crf.radius_px"])
def test_a_change_of_a_key_gives_it_another_value(key: str) -> None:
    written: list[dict[str, Any]] = []
    config = {
        "predict": {"dtype": "uint8"},
        "weighting": {"paper": {"w0": 10}},
        "refine": {"crf": None},
    }
    project: Any = SimpleNamespace(config=lambda: config, write_config=written.append)
    (change,) = (each for each in rerun_changes.changes() if each.name == f"`{key}`")
    change.do(project)
    part: Any = written[0]
    for name in key.replace("*", "paper").split("."):
        part = part[name]
    assert part == rerun_changes.VALUES[key]


def test_jobs_are_told_in_the_order_of_the_pipeline() -> None:
    assert reruns.in_words({"report": 1, "predict": 5, "train": 1}) == "train, predict 5, report"
    assert reruns.in_words({}) == "nothing"
