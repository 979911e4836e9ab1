"""Run records are nobody's input: what cannot be read is as if it were not there."""

from pathlib import Path

import pytest

from unetflow.provenance.receipts import write_receipt
from unetflow.report.run_history import read_record, records_by_stage


@pytest.mark.parametrize("text", ["", "{", "[1, 2]", "3", "\xff"])
def test_a_broken_record_is_none(tmp_path: Path, text: str) -> None:
    (tmp_path / "a.run.json").write_text(text, encoding="latin-1")
    assert read_record(tmp_path / "a.json") == {}


def test_records_are_those_beside_the_receipts_that_are_named(tmp_path: Path) -> None:
    for name, seconds in (("a", 1.0), ("b", 2.0), ("left_over", 3.0)):
        write_receipt(tmp_path / f"{name}.run.json", {"seconds": seconds})
    named: dict[str, list[str | Path]] = {
        "train": [tmp_path / "b.json", str(tmp_path / "a.csv"), tmp_path / "not_yet.json"],
        "predict": [tmp_path / "not_yet.json"],
    }
    assert records_by_stage(named) == {"train": [{"seconds": 1.0}, {"seconds": 2.0}]}
