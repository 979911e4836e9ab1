"""Digests of code: what reruns a stage and what does not."""

import shutil
from pathlib import Path

import pytest
from conftest import ROOT

from unetflow.provenance import code_digest as code_module
from unetflow.provenance.code_digest import code_digest


@pytest.fixture
def copy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the package and its scripts that a test may edit."""
    ignore = shutil.ignore_patterns("__pycache__")
    for folder in ("unetflow", "scripts"):
        shutil.copytree(ROOT / folder, tmp_path / folder, ignore=ignore)
    monkeypatch.setattr(code_module, "_root_of_package", lambda: tmp_path)
    return tmp_path


def digests(root: Path) -> dict[str, str]:
    found = {path.stem: code_digest(path) for path in (root / "scripts").glob("*.py")}
    for rule in ("train", "predict"):
        found[rule] = code_digest(root / "scripts" / f"{rule}.py", "unetflow.networks.unet")
    return found


def changed_by(root: Path, module: str, before: str, after: str) -> set[str]:
    """The rules whose digest an edit of a module changes."""
    first = digests(root)
    path = root / module
    text = path.read_text()
    assert before in text
    path.write_text(text.replace(before, after, 1))
    code_module._digest_at.cache_clear()
    code_module._parsed.cache_clear()
    second = digests(root)
    return {rule for rule in first if first[rule] != second[rule]}


def test_an_edit_in_a_metrics_module_changes_calibration_and_evaluation(copy: Path) -> None:
    edited = changed_by(copy, "unetflow/metrics/rand.py", "2 * self.ab", "3 * self.ab")
    assert {"calibrate", "evaluate"} <= edited
    assert not edited & {"prepare_image", "prepare_truth", "weights", "statistics"}
    assert not edited & {"train", "predict", "instances", "draw_demo"}


def test_an_edit_in_the_network_changes_training_and_prediction(copy: Path) -> None:
    edited = changed_by(copy, "unetflow/networks/unet.py", "kernel_size=3", "kernel_size=5")
    assert edited == {"train", "predict"}


def test_an_edit_of_the_labelling_or_of_a_reader_leaves_predictions_alone(copy: Path) -> None:
    edited = changed_by(copy, "unetflow/components/groups_of_block.py", "count + 1", "count + 2")
    assert "instances" in edited
    assert "predict" not in edited
    edited = changed_by(copy, "unetflow/images/readers.py", "import", "import ast\nimport")
    assert "prepare_image" in edited
    assert "predict" not in edited


def test_what_a_module_does_as_a_command_changes_nothing(copy: Path) -> None:
    edited = changed_by(copy, "unetflow/stages/predict.py", "    sys.exit(main())", "    main()")
    assert edited == set()


def test_comments_and_docstrings_change_nothing(copy: Path) -> None:
    edited = changed_by(
        copy, "unetflow/store/shards.py", '"""Zarr arrays', '"""Other words for arrays'
    )
    assert edited == set()
    assert (
        changed_by(
            copy, "unetflow/tiles/valid_sizes.py", "import itertools", "# why\nimport itertools"
        )
        == set()
    )


def test_errors_progress_and_logs_are_not_followed(copy: Path) -> None:
    assert changed_by(copy, "unetflow/errors.py", "(Exception)", "(RuntimeError)") == set()
    assert changed_by(copy, "unetflow/progress.py", "20.0", "5.0") == set()
    assert changed_by(copy, "unetflow/jobs/logs.py", 'mode="w"', 'mode="a"') == set()


def test_a_name_from_a_package_counts_as_the_module_it_comes_from(tmp_path: Path) -> None:
    script = tmp_path / "s.py"
    script.write_text("from unetflow.metrics import rand_score\n")
    assert set(code_module._imports(script, "unetflow")) == {"unetflow.metrics.rand"}
    script.write_text("from unetflow import networks, tiles\nimport unetflow.store.shards\n")
    assert set(code_module._imports(script, "unetflow")) == {
        "unetflow.networks",
        "unetflow.tiles.valid_sizes",
        "unetflow.store.shards",
    }


def test_a_file_of_the_package_counts_where_it_is_named(copy: Path) -> None:
    script = copy / "scripts" / "report.py"
    before = code_digest(script, "unetflow/report/templates/page.html")
    (copy / "unetflow" / "report/templates/page.html").write_text("other")
    assert code_digest(script, "unetflow/report/templates/page.html") != before
