"""Whatever happens to the bytes of a file, it is an image or one of our own errors."""

from collections import Counter
from pathlib import Path

import pytest
from damaged import KINDS, WRITERS, outcomes_of, ways_into

from unetflow.errors import UnetflowError

CASES = 200  # `benchmarks/damaged_files.py` reads thousands
LOSSY = ("pyramid.tif", "i.jpg", "progressive.jpg")  # and so no truths


@pytest.mark.slow
def test_any_damage_gives_an_image_or_an_error_of_ours(tmp_path: Path) -> None:
    results: Counter[str] = Counter()
    for number in range(CASES):
        kind, outcomes = outcomes_of(number, tmp_path)
        for outcome in outcomes:
            assert not outcome.result.startswith("!"), (number, kind, outcome)
            results[outcome.result] += 1
    assert results["read"] > CASES / 2  # damage that nobody can see, or in what is not read
    assert results["SlideError"] > CASES / 2
    assert results["LabelsError"] > CASES / 10


@pytest.mark.parametrize("kind", KINDS)
def test_a_whole_file_is_read_and_an_empty_one_refused(tmp_path: Path, kind: str) -> None:
    WRITERS[kind](tmp_path / kind)
    for way, read in ways_into(kind):
        if not (way == "truth" and kind in LOSSY):
            read(tmp_path / kind)
    if kind.endswith(".zarr"):
        return
    (tmp_path / kind).write_bytes(b"")
    for _, read in ways_into(kind):
        with pytest.raises(UnetflowError, match=kind):
            read(tmp_path / kind)
