"""Sizes of pixels: the units that files give them in, what is sensible, how they are shown."""

import unicodedata
from typing import TypeAlias

from unetflow.tiles.regions import PLANE

PixelUm: TypeAlias = tuple[float, ...]
"""Height and width of a pixel [um], of a volume before them from one plane to the next."""

UM_PER_UNIT = {
    "m": 1e6,
    "meter": 1e6,
    "cm": 1e4,
    "centimeter": 1e4,
    "mm": 1e3,
    "millimeter": 1e3,
    "\u03bcm": 1.0,  # the Greek letter, which the micro sign is taken for
    "um": 1.0,
    "micrometer": 1.0,
    "micron": 1.0,
    "nm": 1e-3,
    "nanometer": 1e-3,
    "pm": 1e-6,
    "picometer": 1e-6,
    "in": 25400.0,
    "inch": 25400.0,
    "angstrom": 1e-4,
    "\u00e5": 1e-4,  # A with a ring
}
SENSIBLE_MPP = (0.0005, 50.0)  # [um/px] what is beyond is a unit taken for another
SENSIBLE_SPACING = (0.0005, 10_000.0)  # [um] of volumes, as CT, MRI and thick sections have it
NM_BELOW = 0.05  # [um/px] what is finer is shown in nm, as electron microscopists do
SQUARE = 0.01  # of a pixel's side: what height and width may differ by


def um_of(size: float | str | None, unit: str | None) -> float | None:
    """A length [um], None where it is no length or the unit is none of those above.

    As files have it: a text, with a decimal comma perhaps, and a unit that may be a plural. Rounded
    to 9 digits, as what was divided and multiplied again would else be 0.32499999999999996.
    """
    name = unicodedata.normalize("NFKC", unit or "").strip().lower()
    factor = UM_PER_UNIT.get(name.removesuffix("s").replace("metre", "meter"))
    try:
        length = float(str(size).replace(",", "."))
    except ValueError:
        return None
    return float(f"{length * factor:.9g}") if factor and 0 < length < float("inf") else None


def pixel_of(height: float | None, width: float | None) -> PixelUm | None:
    """A pixel [um]: where one side is not known, as wide as high."""
    if not height and not width:
        return None
    return (height or width or 0.0), (width or height or 0.0)


def is_square(pixel: PixelUm) -> bool:
    """Whether a pixel is as wide as high, or nearly so."""
    return abs(pixel[-2] / pixel[-1] - 1) <= SQUARE


def shown(size: float | PixelUm) -> str:
    """A resolution in words: `0.25 um/px`, `4 nm/px`, `8 nm high and 4 nm wide`.

    Of a volume `4 nm/px, planes 50 nm apart`.
    """
    if isinstance(size, tuple):
        if len(size) > PLANE:
            apart = shown(size[0]).removesuffix("/px")
            return f"{shown(size[-PLANE:])}, planes {apart} apart"
        if is_square(size):
            return shown(size[1])
        high, wide = (shown(side).removesuffix("/px") for side in size)
        return f"{high} high and {wide} wide"
    return f"{size * 1e3:.4g} nm/px" if size < NM_BELOW else f"{size:.4g} um/px"


def problem_of(mpp: float, sensible: tuple[float, float] = SENSIBLE_MPP) -> str | None:
    """What is wrong with a resolution [um/px] that somebody typed; None for a sensible one."""
    low, high = sensible
    if low <= mpp <= high:
        return None
    problem = f"{mpp:g} um/px is not from {low:g} to {high:g}"
    if low <= mpp / 1e3 <= high:
        return f"{problem}; if {mpp:g} nm were meant, write {mpp / 1e3:g}"
    return f"{problem}; it is the side of a pixel in um"
