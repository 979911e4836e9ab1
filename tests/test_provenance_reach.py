"""What lies behind a rule's digest of code: an edit elsewhere reruns nothing of it."""

from pathlib import Path

from conftest import ROOT

from unetflow.provenance import code_digest


def behind(rule: str) -> dict[str, Path]:
    """The modules of the package that count in a rule's digest, and their files."""
    found: dict[str, Path] = {}
    waiting = code_digest._imports(ROOT / "scripts" / f"{rule}.py", "unetflow")
    while waiting:
        module = waiting.pop()
        if module not in found and not code_digest._without_effect(module):
            path = found[module] = code_digest._path_of(ROOT, module)
            is_package = path.name == "__init__.py"
            waiting += code_digest._imports(
                path, module if is_package else module.rpartition(".")[0]
            )
    return found


def folders(rule: str) -> set[str]:
    return {module.split(".")[1] for module in behind(rule)}


def lines(rule: str) -> int:
    return sum(len(path.read_text().splitlines()) for path in behind(rule).values())


def test_collect_has_less_than_600_lines_and_no_metric_behind_it() -> None:
    assert folders("collect") == {"evaluate", "stages", "store"}
    assert lines("collect") < 600


def test_tables_made_of_receipts_have_neither_metrics_nor_images_behind_them() -> None:
    for rule in ("segmented", "integrity"):
        assert folders(rule) == {"provenance", "stages", "store"}


def test_scores_are_computed_without_training_prediction_report_or_other_rules() -> None:
    for rule in ("calibrate", "evaluate", "evaluate_stack"):
        assert not folders(rule) & {"train", "predict", "networks", "images", "report"}
        stages = {module for module in behind(rule) if module.startswith("unetflow.stages")}
        assert stages == {f"unetflow.stages.{rule}"}


def test_an_edit_of_the_catalogue_or_of_pooling_computes_no_instances_anew() -> None:
    assert "evaluate" not in folders("instances") | folders("predict") | folders("train")
