"""A volume plane by plane: which planes are drawn, where they lie, how many a page holds."""

import base64
import io
from pathlib import Path

import numpy as np
import pytest
from drawn_results import balls, draw_volume, write_results
from PIL import Image
from test_stages_report import write

from unetflow.report.figures.planes import PLANE_BYTES, PLANES, Outlines, draw_planes
from unetflow.report.figures.views import GAP_PX
from unetflow.report.sections import planes as section
from unetflow.tiles.regions import Region

SHAPE, STEPS = (30, 40, 60), [2.0, 1.0, 1.0]


def decoded(uri: str) -> np.ndarray:
    data = base64.b64decode(uri.partition(",")[2])
    return np.asarray(Image.open(io.BytesIO(data)).convert("L")).astype(float)


def test_planes_are_those_of_the_volume_in_gray_values_of_the_whole() -> None:
    """Planes brighten along z: stretched one by one they would look alike."""
    volume = np.broadcast_to(np.arange(30.0)[:, None, None], SHAPE)[None]

    def read(region: Region) -> np.ndarray:
        return volume[(slice(None), *region)]

    drawn = draw_planes(read, [Outlines("picture")], SHAPE, STEPS)
    (panel,) = drawn["panels"]
    assert len(panel["planes"]) == len(drawn["at_px"]) == PLANES
    assert (drawn["at_px"][0], drawn["at_px"][-1]) == (0, 29)
    gray = [decoded(uri).mean() for uri in panel["planes"]]
    expected = [255 * at / 29 for at in drawn["at_px"]]
    np.testing.assert_allclose(gray, expected, atol=12)  # percentiles and WebP


def test_a_plane_lies_where_it_is_in_the_views() -> None:
    volume, labels = balls(SHAPE)
    layer = Outlines("result", lambda region: labels[region], {1: "missed"})
    drawn = draw_planes(lambda region: volume[(slice(None), *region)], [layer], SHAPE, STEPS)
    height, width = 40 + GAP_PX + 60, 60 + GAP_PX + 60
    assert drawn["plane_share"] == [40 / height, 60 / width]
    assert drawn["deep_from"] == [(40 + GAP_PX) / height, (60 + GAP_PX) / width]
    at = min(range(PLANES), key=lambda number: abs(drawn["at_px"][number] - 15))
    assert drawn["deep_at"][at] == (drawn["at_px"][at] + 0.5) / 30
    views, plane = (
        decoded(uri) for uri in (drawn["panels"][0]["views"], drawn["panels"][0]["planes"][at])
    )
    cut = views[: round(views.shape[0] * 40 / height), : round(views.shape[1] * 60 / width)]
    small = np.asarray(Image.fromarray(plane.astype(np.uint8)).resize(cut.shape[::-1]))
    assert np.corrcoef(small.ravel(), cut.ravel())[0, 1] > 0.9
    assert all(len(uri) <= PLANE_BYTES for uri in drawn["panels"][0]["planes"])


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("volumes")
    write_results(folder)
    return folder


@pytest.mark.slow
def test_the_page_holds_planes_of_a_few_volumes(
    results: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    flat = write(results, results / "report/flat.html").read_text()
    assert '<section id="planes">' not in flat
    for image in ("a", "b"):
        draw_volume(results, image)
    both = write(results, results / "report/both.html").read_text()
    assert both.count('type="range"') == 2
    assert both.count('class="plane"') == 2 * 3 * PLANES
    monkeypatch.setattr(section, "SHOWN", 1)
    one = write(results, results / "report/one.html").read_text()
    assert "The first 1 of 2 volumes" in one
    assert one.count('class="plane"') == 3 * PLANES
    assert "plane of b" in one  # the worse of the two: SEG 0.41
