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


def test_the_report_has_less_than_3000_lines_behind_it_and_nothing_that_computes() -> None:
    computing = {"components", "images", "instances", "metrics", "predict", "weights", "engine"}
    assert not folders("report") & computing
    assert "unetflow.store.shards" not in behind("report")  # it writes no array
    assert lines("report") < 3000


def test_exports_neither_read_raw_images_nor_write_arrays() -> None:
    for rule in ("export_geojson", "export_labels", "export_overlay", "export_stack"):
        assert not folders(rule) & {"images", "labels", "metrics", "predict", "train", "report"}
        assert "unetflow.store.shards" not in behind(rule)
