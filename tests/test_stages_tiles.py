"""Tiles of a slide: each pixel once, at each level, and nothing of small images."""

from pathlib import Path

import numpy as np
import pytest
from drawn_results import draw_slide
from PIL import Image

from unetflow.colours import CHOSEN, SKY_BLUE, rgb_bytes
from unetflow.provenance.receipts import read_receipt
from unetflow.report import tiles
from unetflow.report.pictures import TILE_PX, SlideTiles
from unetflow.report.sections.zoom import VENDOR, vendor_script, zoom
from unetflow.report.tiles import edges, shown_levels, write_tiles

SHAPE = (2100, 2600)


@pytest.fixture(scope="module")
def slide(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("results")
    left_over = folder / "report/tiles/net/fold0/b/old/0/0_0.png"
    left_over.parent.mkdir(parents=True)
    left_over.write_bytes(b"of another run")
    draw_slide(folder, SHAPE)
    return folder


def put_together(folder: Path, mode: str) -> np.ndarray:
    """All tiles of a level as one picture."""
    found = {tuple(map(int, path.stem.split("_"))): path for path in folder.iterdir()}
    columns, rows = (max(of) + 1 for of in zip(*found, strict=True))
    return np.vstack(
        [
            np.hstack([np.asarray(Image.open(found[x, y]).convert(mode)) for x in range(columns)])
            for y in range(rows)
        ]
    )


def test_tiles_hold_each_level_whole(slide: Path) -> None:
    made = read_receipt(slide / "tiles/net/fold0/b.json", SlideTiles)
    assert made["size_px"] == [*SHAPE]
    assert (made["levels"], made["downsample"], made["tile_px"]) == (4, 1, TILE_PX)
    folder = slide / "report/tiles/net/fold0/b"
    assert {path.name for path in folder.iterdir()} == {*made["layers"]}  # nothing left over
    assert put_together(folder / "picture/3", "L").shape == SHAPE
    assert put_together(folder / "picture/0", "L").shape == (263, 325)
    foreground = put_together(folder / "foreground/3", "L")
    assert (foreground[1000, 1000], foreground[300, 1000]) == (255, 0)
    assert foreground[1000, 1800] == 255  # of the second class


@pytest.mark.parametrize(
    ("layer", "colour", "down"), [("truth", CHOSEN, 0), ("result", SKY_BLUE, 8)]
)
def test_outlines_lie_on_the_objects_and_all_else_is_clear(
    slide: Path, layer: str, colour: str, down: int
) -> None:
    drawn = put_together(slide / f"report/tiles/net/fold0/b/{layer}/3", "RGBA")
    alpha = drawn[..., 3]
    inside = np.zeros(SHAPE, bool)
    inside[525 + down : 1575 + down, 650:1950] = True
    core = np.zeros(SHAPE, bool)
    core[526 + down : 1574 + down, 651:1949] = True
    np.testing.assert_array_equal(alpha > 0, inside & ~core)  # seams of tiles and blocks: none
    assert tuple(drawn[525 + down, 800, :3]) == rgb_bytes(colour)


def test_touching_objects_have_an_edge_between_them() -> None:
    labels = np.array([[0, 1, 1, 1, 2, 2, 2], [0, 1, 1, 1, 2, 2, 2], [0, 1, 1, 1, 2, 2, 2]])
    assert edges(labels).astype(int).tolist() == [[0, 1, 0, 1, 1, 0, 0]] * 3


def test_small_images_have_no_tiles_and_huge_ones_start_coarser() -> None:
    assert shown_levels([(1500, 2047), (750, 1024)]) == []
    assert shown_levels([(2048, 100)]) == [0]
    assert shown_levels([(70_000, 100), (35_000, 50), (17_500, 25), (8750, 13)]) == [2, 3]


def test_blocks_do_not_show(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tiles, "TILE_PX", 8)
    labels = np.random.default_rng(0).integers(0, 3, (37, 45)).astype(np.uint32)

    def read(level: int, region: tuple[slice, ...]) -> np.ndarray:
        return labels[region]

    for block_px in (16, 64):
        monkeypatch.setattr(tiles, "BLOCK_PX", block_px)
        write_tiles(tmp_path / f"{block_px}", "truth", [labels.shape], [0], read, threads=2)
        drawn = put_together(tmp_path / f"{block_px}/truth/0", "RGBA")[..., 3] > 0
        np.testing.assert_array_equal(drawn, edges(labels))


def test_the_viewer_is_as_released_with_its_version_and_licence() -> None:
    script = vendor_script()
    assert script.startswith("//! openseadragon 6.1.1\n")
    assert "</script" not in script  # which would end it in the page
    licence = Path(tiles.__file__).parent / "templates/vendor/openseadragon-LICENSE.txt"
    assert "Redistribution and use" in licence.read_text()
    assert "6.1.1" in VENDOR


def test_without_slides_there_is_no_viewer() -> None:
    assert zoom([], []) is None
