"""What a row asks for counts where a file has such an axis: image and truth differ in theirs."""

from pathlib import Path

import numpy as np
import pytest
import tifffile

from unetflow.errors import SlideError
from unetflow.images.arrays import axes_of
from unetflow.images.slide import Slide

ARRAY = np.random.default_rng(0).integers(0, 60000, (3, 4, 2, 24, 20), dtype=np.uint16)
GIVEN = {"time": 2, "plane": 1, "axes": "tzcyx"}


@pytest.mark.parametrize(
    ("pixels", "given", "wanted"),
    [
        (ARRAY, {}, ARRAY[2, 1]),
        (ARRAY[:, :, 0], {}, ARRAY[2, 1, :1]),  # labels have no channels
        (ARRAY[2, 1, 0], {}, ARRAY[2, 1, :1]),  # of one plane at one time
        (ARRAY[2], {"axes": "zcyx"}, ARRAY[2, 1]),
        (ARRAY[2, :, 0], {"axes": "zcyx", "time": None}, ARRAY[2, 1, :1]),
        (ARRAY[:, 1, 0], {"axes": "tcyx", "plane": None}, ARRAY[2, 1, :1]),
        (ARRAY[:, 1, 0], {"axes": "tyx"}, ARRAY[2, 1, :1]),
    ],
)
def test_axes_plane_and_time_apply_where_the_array_has_them(
    tmp_path: Path, pixels: np.ndarray, given: dict[str, int | str | None], wanted: np.ndarray
) -> None:
    np.save(tmp_path / "a.npy", pixels)
    with Slide(tmp_path / "a.npy", **(GIVEN | given)) as slide:  # type: ignore[arg-type]
        height, width = slide.levels[0].shape_px
        np.testing.assert_array_equal(slide.read(0, slice(0, height), slice(0, width)), wanted)


def test_what_was_not_applied_is_named(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", ARRAY[0, 0, 0])
    with Slide(tmp_path / "a.npy", plane=3, time=0) as slide:
        assert slide.not_applied == ("plane", "time")
    tifffile.imwrite(tmp_path / "one.tif", ARRAY[0, 0, 0])
    tifffile.imwrite(tmp_path / "two.tif", ARRAY[0, 0, 0], metadata=None)
    tifffile.imwrite(tmp_path / "two.tif", ARRAY[0, 0, 0, :1], append=True, metadata=None)
    for name, scene, not_applied in (
        ("a.npy", "macro", ("scene",)),
        ("one.tif", "1", ("scene",)),
        ("one.tif", "0", ()),
        ("two.tif", "1", ()),
    ):
        with Slide(tmp_path / name, scene=scene) as slide:
            assert slide.not_applied == not_applied
    np.save(tmp_path / "s.npy", ARRAY[0, :, 0])
    with Slide(tmp_path / "s.npy", plane=3, axes="zyx") as slide:
        assert slide.not_applied == ()
    with Slide(tmp_path / "one.tif", axes="zyx") as slide:
        assert slide.not_applied == ("axes",)
    with Slide(tmp_path / "one.tif", axes="zyx", as_labels=True) as slide:
        assert slide.not_applied == ()  # of one slice


def test_axes_that_cannot_be_told_are_asked_for(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", ARRAY[0, :, 0])
    with pytest.raises(SlideError, match=r"no names .* Say what they are in the sheet's axes"):
        Slide(tmp_path / "a.npy", plane=3, axes="tzcyx")  # times or planes?
    with pytest.raises(SlideError, match=r"axes FOO .* Name its axes in the sheet's axes column"):
        Slide(tmp_path / "a.npy", axes="foo")
    tifffile.imwrite(tmp_path / "yxc.tif", ARRAY[0, 0, 0, :, :, None].repeat(5, 2))
    with pytest.raises(SlideError, match=r"axis Q, of which none .* or name the axes in the sheet"):
        Slide(tmp_path / "yxc.tif")
    with Slide(tmp_path / "yxc.tif", axes="yxc") as slide:
        assert slide.channels == 5
    with pytest.raises(SlideError, match=r"may be planes or times, .* Say which in the sheet's"):
        Slide(tmp_path / "a.npy", plane=3, time=1, axes="qyx")


def test_axes_of_labels_are_those_of_their_image_without_channels() -> None:
    assert axes_of(4, "czyx") == "czyx"
    assert axes_of(3, "czyx") == "zyx"
    assert axes_of(3, "yxc") == "yxc"
    assert axes_of(2, "czyx") == "yx"
    assert axes_of(3, "tzcyx") == axes_of(3, None) == axes_of(3, "yx") == ""
