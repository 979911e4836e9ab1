"""Units of resolutions, and how they are shown."""

import pytest

from unetflow.images.units import is_square, pixel_of, problem_of, shown, um_of


@pytest.mark.parametrize(
    ("size", "unit", "um"),
    [
        (4, "nm", 0.004),
        (40, "angstrom", 0.004),
        (40, "\u212b", 0.004),  # the sign of the unit
        (0.25, "\u00b5m", 0.25),
        (0.25, "\u03bcm", 0.25),
        (0.25, " Micron ", 0.25),
        (0.0005, "mm", 0.5),
        (0.000325, "mm", 0.325),
        (325, "nanometers", 0.325),
        (0.325, "Micrometres", 0.325),
        (3e-7, "metres", 0.3),
        ("0,325", "um", 0.325),  # as programs write it in some countries
        (1, "pixel", None),
        (1, "pixels", None),
        ("", "um", None),
        ("unknown", "um", None),
        (1, None, None),
        (0, "um", None),
        (float("nan"), "um", None),
        (float("inf"), "um", None),
    ],
)
def test_lengths_in_um(size: float | str | None, unit: str | None, um: float | None) -> None:
    assert um_of(size, unit) == um  # without 0.32499999999999996


def test_a_side_that_is_not_known_is_the_other() -> None:
    assert pixel_of(0.5, None) == pixel_of(None, 0.5) == (0.5, 0.5)
    assert pixel_of(None, None) is None
    assert is_square((0.25, 0.2501)) and not is_square((0.25, 0.26))


@pytest.mark.parametrize(
    ("size", "words"),
    [
        (0.25, "0.25 um/px"),
        (0.004, "4 nm/px"),
        ((0.5, 0.5), "0.5 um/px"),
        ((0.008, 0.004), "8 nm high and 4 nm wide"),
    ],
)
def test_resolutions_in_words(size: float | tuple[float, float], words: str) -> None:
    assert shown(size) == words


def test_a_resolution_in_nm_is_asked_after() -> None:
    assert problem_of(0.0005) is None and problem_of(0.25) is None and problem_of(50) is None
    assert "if 250 nm were meant, write 0.25" in str(problem_of(250))
    assert "not from 0.0005 to 50" in str(problem_of(0.0001))
