"""Receptive fields by hand: what a few layers see, and the sizes that follow."""

import pytest

from unetflow.tiles.receptive_field import Map, padded_geometry, reach_px, valid_geometry
from unetflow.tiles.valid_sizes import halo_px, output_size_px


def paper(depth: int) -> Map:
    here, skipped = Map(), []
    for level in range(depth + 1):
        here = here.window(2, 2) if level else here
        here = here.window(3).window(3)
        skipped.append(here)
    for kept in reversed(skipped[:-1]):
        here = here.spread(2, 2)
        here = kept.cropped(here).joined(here).window(3).window(3)
    return here


@pytest.mark.parametrize("depth", range(1, 9))
def test_of_the_papers_network_the_formulas_follow(depth: int) -> None:
    geometry = valid_geometry(paper(depth), values_per_px=1)
    assert geometry.before_px == geometry.after_px == (halo_px(depth),) * 2
    assert geometry.step_px == (2**depth,) * 2
    smallest = geometry.smallest_input_px[0]
    assert output_size_px(smallest, depth) == geometry.output_px(smallest)
    with pytest.raises(ValueError, match="is not possible"):
        output_size_px(smallest - 2**depth, depth)


def test_a_window_sees_its_kernel_its_dilation_and_its_padding() -> None:
    assert Map().window(3).sees(0, 1) == (0, 3)
    assert Map().window(3, padding=1).sees(0, 1) == (-1, 2)
    assert Map().window(3, dilation=4, padding=4).sees(5, 6) == (1, 10)
    assert Map().window(3, stride=2, padding=1).sees(1, 3) == (1, 6)  # of centres 2 and 4
    assert Map().window(2, 2).window(3, padding=1).sees(0, 1) == (-2, 4)


def test_an_enlarged_map_sees_what_each_of_its_pixels_lies_on() -> None:
    halved = Map().window(2, 2)
    assert [halved.enlarged().sees(n, n + 1) for n in range(3)] == [(0, 2), (0, 2), (2, 4)]
    # of [0 1 2], twice as large and linear, pixel 0 lies at -0.25, 1 at 0.25, 2 at 0.75
    linear = Map().enlarged(linear=True)
    assert [linear.sees(n, n + 1) for n in range(3)] == [(-1, 1), (0, 2), (0, 2)]
    thrice = Map().enlarged(3, linear=True)  # 0 at -1/3, 1 at 0, 2 at 1/3
    assert [thrice.sees(n, n + 1) for n in range(3)] == [(-1, 1), (0, 1), (0, 2)]
    assert Map().spread(3, 2, padding=1).sees(0, 2) == (0, 2)


def test_joined_maps_see_what_either_does() -> None:
    image = Map()
    assert image.window(5, padding=2).joined(image).sees(0, 1) == (-2, 3)
    with pytest.raises(ValueError, match=r"maps of steps \['1', '2'\] px met"):
        image.joined(image.window(2, 2))


def test_halos_of_padded_networks_are_whole_steps_and_alike_on_both_sides() -> None:
    here = Map().window(3, 2, padding=1).window(3, 2, padding=1).enlarged(4)  # halving by strides
    assert reach_px(here, 4) == (3, 0)  # it sees 3 px before, and behind the last step nothing
    geometry = padded_geometry(here, values_per_px=1)
    assert geometry.before_px == geometry.after_px == (4, 4)
    assert geometry.smallest_input_px == (12, 12)
    assert geometry.output_px(12) == 4


def test_a_network_that_neither_pads_nor_passes_evenly_is_refused() -> None:
    with pytest.raises(ValueError, match="no whole pixels"):
        Map().window(4).cropped(Map().window(3))
    with pytest.raises(ValueError, match="steps of 2 px: must be those of the image"):
        padded_geometry(Map().window(2, 2), values_per_px=1)
