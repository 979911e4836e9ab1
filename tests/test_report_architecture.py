"""The drawing of a network, and its table."""

from pathlib import Path

import pytest
from drawn_results import feature_maps_of_a_network, files_of_run, write_results
from test_stages_report import rows_of, write

from unetflow.networks.description import FeatureMap
from unetflow.provenance.receipts import read_receipt, write_receipt
from unetflow.report.figures.network_plot import MOST_BOXES, grouped, network_plot


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("results")
    write_results(folder)
    return folder


@pytest.mark.slow
def test_maps_stand_in_drawing_table_and_files(results: Path, tmp_path: Path) -> None:
    page = write(results, tmp_path / "index.html").read_text()
    rows = rows_of(page, "architecture")
    assert rows[6] == ["6", "concatenated", "1", "16", "54", "54", "2 5"]
    assert "of a patch of 60 px it answers for 54 px" in page
    assert (tmp_path / "figures/network-net.pdf").read_bytes().startswith(b"%PDF")
    assert "concatenated" in (tmp_path / "tables/network-net.csv").read_text()


@pytest.mark.slow
def test_without_maps_the_section_is_left_out(results: Path, tmp_path: Path) -> None:
    receipt = Path(files_of_run(results)["model"])
    before = read_receipt(receipt)
    try:
        write_receipt(receipt, before | {"feature_maps": []})
        assert 'id="architecture"' not in write(results, tmp_path / "index.html").read_text()
    finally:
        write_receipt(receipt, before)


def test_many_maps_are_drawn_by_resolution() -> None:
    first, *_ = feature_maps_of_a_network()
    maps: list[FeatureMap] = [first]
    for number in range(1, 61):
        step = 1 if number <= 30 else 2
        made_by = (
            "max pooling 2x2" if number == 31 else "added" if number % 3 == 0 else "convolution 3x3"
        )
        of = [number - 1, number - 3] if made_by == "added" and number > 3 else [number - 1]
        size = [60 // step, 60 // step]
        maps.append(
            {
                "made_by": made_by,
                "channels": 8 * step,
                "size_px": size,
                "step_px": step,
                "of": of,
                "count": 1,
            }
        )
    assert len(maps) > MOST_BOXES
    drawn = grouped(maps)
    assert [(each["made_by"], each["count"]) for each in drawn] == [
        ("image", 1),
        ("convolution 3x3", 30),
        ("max pooling 2x2", 1),
        ("convolution 3x3", 29),
    ]
    assert [each["of"] for each in drawn] == [[], [0], [1], [2, 1]]
    assert "30<" in network_plot(maps, "many")
