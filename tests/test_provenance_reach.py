"""What lies behind a rule's digest of code: an edit elsewhere reruns nothing of it."""

from pathlib import Path

from conftest import ROOT

from unetflow.provenance.code_digest import lines_behind, modules_behind


def behind(rule: str) -> dict[str, Path]:
    """The modules of the package that count in a rule's digest, and their files."""
    return modules_behind(ROOT / "scripts" / f"{rule}.py")


def folders(rule: str) -> set[str]:
    return {module.split(".")[1] for module in behind(rule)}


def lines(rule: str) -> int:
    return lines_behind(ROOT / "scripts" / f"{rule}.py")


def test_collect_has_less_than_700_lines_and_no_metric_behind_it() -> None:
    assert folders("collect") == {"evaluate", "stages", "store"}
    assert lines("collect") < 700


def test_tables_made_of_receipts_have_neither_metrics_nor_images_behind_them() -> None:
    for rule in ("segmented", "integrity"):
        assert folders(rule) == {"provenance", "stages", "store"}


def test_scores_are_computed_without_training_prediction_report_or_other_rules() -> None:
    for rule in ("calibrate", "evaluate", "evaluate_stack"):
        assert not folders(rule) & {"train", "predict", "images", "report"}
        networks = {module for module in behind(rule) if module.startswith("unetflow.networks")}
        assert networks <= {"unetflow.networks.deployed"}  # a file of weights with what was chosen
        stages = {module for module in behind(rule) if module.startswith("unetflow.stages")}
        assert stages == {f"unetflow.stages.{rule}"}


def test_an_edit_of_the_catalogue_or_of_pooling_computes_no_instances_anew() -> None:
    assert "evaluate" not in folders("instances") | folders("predict") | folders("train")


def test_an_edit_of_what_refines_predicts_nothing_anew() -> None:
    assert not folders("refine") & {"predict", "train", "networks", "images", "instances"}
    others = ("predict", "train", "calibrate", "instances", "evaluate", "report")
    assert "refine" not in set().union(*map(folders, others))


def test_the_report_has_less_than_7500_lines_behind_it_and_nothing_that_computes() -> None:
    computing = {"components", "images", "instances", "metrics", "predict", "weights", "engine"}
    assert not folders("report") & computing
    assert "unetflow.store.shards" not in behind("report")  # it writes no array
    assert lines("report") < 7500


def test_exports_neither_read_raw_images_nor_write_arrays() -> None:
    for rule in ("export_geojson", "export_labels", "export_overlay", "export_stack"):
        assert not folders(rule) & {"images", "labels", "metrics", "predict", "train", "report"}
        assert "unetflow.store.shards" not in behind(rule)
