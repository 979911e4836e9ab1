"""A network's geometry: which inputs are valid, what they give, what they take."""

import dataclasses

import pytest
from hypothesis import given
from hypothesis import strategies as st

from unetflow.tiles.geometry import Geometry
from unetflow.tiles.valid_sizes import (
    halo_px,
    nearest_input_sizes_px,
    output_size_px,
    unet_geometry,
    valid_input_px,
)

# Planes are convolved but not pooled, and what is seen in them lies before.
VOLUME = Geometry(
    axes=("z", "y", "x"),
    step_px=(1, 4, 4),
    before_px=(6, 20, 20),
    after_px=(0, 20, 24),
    smallest_input_px=(7, 44, 48),
    values_per_px=2.5,
)


@pytest.mark.parametrize("depth", range(1, 7))
def test_the_geometry_of_the_unet_is_its_arithmetic(depth: int) -> None:
    geometry = unet_geometry(depth)
    assert geometry.before_px == geometry.after_px == (halo_px(depth),) * 2
    for size_px in range(1, 2 * halo_px(depth) + 3 * 2**depth):
        if size_px in nearest_input_sizes_px(size_px, depth):
            assert geometry.output_px(size_px, 1) == output_size_px(size_px, depth)
        else:
            nearest = " and ".join(f"{size} px" for size in nearest_input_sizes_px(size_px, depth))
            with pytest.raises(ValueError, match=f"input of {size_px} px .* sizes are {nearest}$"):
                geometry.output_px(size_px)
        assert geometry.input_px(size_px, 1) == valid_input_px(size_px, depth)


def test_only_statistics_of_a_tile_keep_the_unet_from_being_seamless() -> None:
    assert unet_geometry(4, 64, None).seamless
    assert unet_geometry(4, 64, "batch") == unet_geometry(4, 64, None)
    assert not unet_geometry(4, 64, "instance").seamless
    assert "deviation of a tile" in unet_geometry(4, 64, "instance").why


@given(st.integers(1, 300), st.integers(0, 2))
def test_the_smallest_valid_input_yields_enough_and_no_smaller_one_does(
    wanted_px: int, axis: int
) -> None:
    size_px = VOLUME.input_px(wanted_px, axis)
    assert VOLUME.output_px(size_px, axis) >= wanted_px
    smaller_px = size_px - VOLUME.step_px[axis]
    if smaller_px >= VOLUME.smallest_input_px[axis]:
        assert VOLUME.output_px(smaller_px, axis) < wanted_px


def test_each_axis_has_its_sizes() -> None:
    assert [VOLUME.output_px(52, axis) for axis in range(3)] == [46, 12, 8]
    with pytest.raises(
        ValueError, match="along x: .* 48 px and whole steps of 4 px more; .* 52 px"
    ):
        VOLUME.output_px(49, axis=2)
    with pytest.raises(ValueError, match="5 px is not possible along z.* sizes are 7 px$"):
        VOLUME.output_px(5, axis=0)
    assert VOLUME.output_region((9, 44, 48)) == (slice(6, 9), slice(20, 24), slice(20, 24))
    assert VOLUME.tile_bytes((9, 44, 48), 4) == 190_080


@pytest.mark.parametrize(
    "wrong",
    [
        {"step_px": (4, 4)},
        {"step_px": (0, 4, 4)},
        {"after_px": (0, -1, 0)},
        {"smallest_input_px": (6, 44, 48)},
    ],
    ids=str,
)
def test_a_geometry_that_cannot_be_is_refused(wrong: dict[str, tuple[int, ...]]) -> None:
    with pytest.raises(ValueError, match="must not be|gives no output|need a step"):
        dataclasses.replace(VOLUME, **wrong)  # type: ignore[arg-type]
