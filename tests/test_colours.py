"""One palette: its names mean the same in figures, pages and exports."""

import numpy as np

from unetflow.colours import CLASSES, INSTANCES, PALETTE, rgb, rgb_bytes


def test_classes_have_the_colours_that_exports_always_had() -> None:
    expected = [(230, 159, 0), (86, 180, 233), (0, 158, 115), (204, 121, 167), (240, 228, 66)]
    assert [rgb_bytes(colour) for colour in CLASSES] == expected


def test_figures_and_exports_take_from_one_palette_in_one_order() -> None:
    assert len(set(PALETTE)) == len(PALETTE) == 7
    assert PALETTE[: len(CLASSES)] == CLASSES
    assert PALETTE[: len(INSTANCES)] == INSTANCES


def test_a_colour_is_three_shares() -> None:
    np.testing.assert_array_equal(rgb("#ff0033"), [1.0, 0.0, 0.2])
