"""Zarr stores: several images, plates, scales of all levels, arrays without metadata."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import zarr

from unetflow.errors import SlideError
from unetflow.images.slide import Slide

STACK = np.random.default_rng(0).integers(0, 60000, (3, 40, 50), dtype=np.uint16)


def whole(slide: Slide) -> np.ndarray:
    height, width = slide.levels[0].shape_px
    return slide.read(0, slice(0, height), slice(0, width))


def write_image(store: Path, pixels: np.ndarray, version: str = "0.5", **changes: Any) -> None:
    """An OME-Zarr image of one level, whose scales and units are among the changes."""
    units = changes.pop("units", ("micrometer", "micrometer"))
    axes = [
        {"name": name, "type": "space", **({"unit": unit} if unit else {})}
        for name, unit in zip("yx", units, strict=True)
    ]
    scale = {"type": "scale", "scale": changes.pop("scale", [1.0, 1.0])}
    datasets = [{"path": "0", "coordinateTransformations": [scale]}]
    of_all = changes.pop("scale_of_all", None)
    multiscale: dict[str, Any] = {"axes": axes, "datasets": datasets}
    if of_all:
        multiscale["coordinateTransformations"] = [{"type": "scale", "scale": of_all}]
    write_group(store, {"multiscales": [multiscale]}, version)
    zarr.open_group(store, mode="a").create_array("0", data=pixels, chunks=(16, 16))


def write_group(store: Path, ome: dict[str, Any], version: str) -> None:
    group = zarr.open_group(store, mode="a", zarr_format=2 if version == "0.4" else 3)
    group.attrs.update(ome if version == "0.4" else {"ome": {"version": version, **ome}})


def test_arrays_take_the_axes_that_are_given_or_have_their_own(tmp_path: Path) -> None:
    zarr.create_array(tmp_path / "a.zarr", data=STACK)
    with Slide(tmp_path / "a.zarr", axes="cyx") as slide:
        np.testing.assert_array_equal(whole(slide), STACK)
    with Slide(tmp_path / "a.zarr", axes="zyx", plane=1) as slide:
        np.testing.assert_array_equal(whole(slide), STACK[[1]])
    with pytest.raises(SlideError, match="Say what they are in the sheet's axes column"):
        Slide(tmp_path / "a.zarr")
    zarr.create_array(tmp_path / "n.zarr", data=STACK, dimension_names=("z", "y", "x"))
    with Slide(tmp_path / "n.zarr", plane=2) as slide:
        np.testing.assert_array_equal(whole(slide), STACK[[2]])


def test_axes_without_names_are_those_of_the_version_or_what_is_given(tmp_path: Path) -> None:
    multiscales = [{"version": "0.1", "datasets": [{"path": "0"}]}]
    for name, pixels in (("five", STACK[None, :, None]), ("three", STACK)):
        write_group(tmp_path / name, {"multiscales": multiscales}, "0.4")
        zarr.open_group(tmp_path / name, mode="a").create_array("0", data=pixels)
    with Slide(tmp_path / "five") as slide:  # (T, C, Z, Y, X), as 0.1 has it
        np.testing.assert_array_equal(whole(slide), STACK)
    with pytest.raises(SlideError, match="no names .* Say what they are in the sheet's axes"):
        Slide(tmp_path / "three")
    with Slide(tmp_path / "three", axes="cyx") as slide:
        np.testing.assert_array_equal(whole(slide), STACK)


def test_axes_that_are_given_overrule_those_of_the_file(tmp_path: Path) -> None:
    write_image(tmp_path / "i.zarr", STACK[0], scale=[0.5, 0.25])
    with Slide(tmp_path / "i.zarr", axes="xy") as slide:
        np.testing.assert_array_equal(whole(slide)[0], STACK[0].T)
        assert slide.levels[0].shape_px == (50, 40)
        assert slide.levels[0].pixel_um == (0.25, 0.5)
    with pytest.raises(SlideError, match="axes QQ .* Name its axes in the sheet's axes column"):
        Slide(tmp_path / "i.zarr", axes="qq")


def test_names_of_axes_may_be_words(tmp_path: Path) -> None:
    axes = [{"name": "channel", "type": "channel"}, {"name": "y"}, {"name": "x"}]
    multiscale = {"axes": axes, "datasets": [{"path": "0"}]}
    write_group(tmp_path / "i.zarr", {"multiscales": [multiscale]}, "0.5")
    zarr.open_group(tmp_path / "i.zarr", mode="a").create_array("0", data=STACK)
    with Slide(tmp_path / "i.zarr") as slide:
        np.testing.assert_array_equal(whole(slide), STACK)


@pytest.mark.parametrize("version", ["0.4", "0.5"])
@pytest.mark.parametrize("listed", [True, False])
def test_of_a_store_of_several_images_one_is_read(
    tmp_path: Path, version: str, listed: bool
) -> None:
    store = tmp_path / "s.zarr"
    write_group(store, {"bioformats2raw.layout": 3}, version)
    if listed:
        write_group(store / "OME", {"series": ["0", "1"]}, version)
    write_image(store / "0", STACK[0], version)
    with Slide(store) as slide:
        np.testing.assert_array_equal(whole(slide), STACK[:1])
    write_image(store / "1", STACK[1, :20], version)
    with Slide(store) as slide:
        np.testing.assert_array_equal(whole(slide), STACK[:1])
        assert slide.notes == ("image 0 '0' (40x50 px) is read; not read: 1 '1' (20x50 px)",)
    for path, scene in ((store, "1"), (store / "1", None)):
        with Slide(path, scene=scene) as slide:
            np.testing.assert_array_equal(whole(slide), STACK[[1], :20])


def test_a_plate_and_other_groups_say_where_images_lie(tmp_path: Path) -> None:
    wells = [{"path": "A/1"}, {"path": "A/2"}]
    write_group(tmp_path / "p.zarr", {"plate": {"wells": wells}}, "0.5")
    with pytest.raises(SlideError, match=r"is a plate, whose images lie in p\.zarr/A/1/0, p\.zarr"):
        Slide(tmp_path / "p.zarr")
    write_group(tmp_path / "p.zarr/A/1", {"well": {"images": [{"path": "0"}]}}, "0.5")
    write_image(tmp_path / "p.zarr/A/1/0", STACK[0])
    for path in ("p.zarr/A/1", "p.zarr/A/1/0"):
        with Slide(tmp_path / path) as slide:
            np.testing.assert_array_equal(whole(slide), STACK[:1])
    zarr.open_group(tmp_path / "g.zarr", mode="w").create_array("raw", data=STACK)
    with pytest.raises(SlideError, match=r"no OME-Zarr image .* holds g\.zarr/raw"):
        Slide(tmp_path / "g.zarr")


@pytest.mark.parametrize(
    ("changes", "um"),
    [
        ({"scale": [1.0, 1.0], "scale_of_all": [0.25, 0.25]}, (0.25, 0.25)),
        ({"scale": [2.0, 4.0], "scale_of_all": [0.25, 0.25]}, (0.5, 1.0)),
        ({"scale": [4.0, 4.0], "units": ("nanometer", "nanometer")}, (0.004, 0.004)),
        ({"scale": [4.0, 0.008], "units": ("nanometer", "micrometer")}, (0.004, 0.008)),
        ({"scale": [4.0, 4.0], "units": (None, None)}, None),
    ],
)
def test_scales_of_one_level_and_of_all_count(
    tmp_path: Path, changes: dict[str, Any], um: tuple[float, float] | None
) -> None:
    write_image(tmp_path / "i.zarr", STACK[0], **changes)
    with Slide(tmp_path / "i.zarr") as slide:
        assert slide.levels[0].pixel_um == (um and pytest.approx(um))
