"""One palette for all figures and exports, told apart with any kind of colour vision.

Source: Okabe and Ito 2008, without its black. Colours are written as CSS has them: #rrggbb.
"""

import numpy as np
from numpy.typing import NDArray

ORANGE, SKY_BLUE, GREEN, PURPLE = "#e69f00", "#56b4e9", "#009e73", "#cc79a7"
YELLOW, BLUE, VERMILLION = "#f0e442", "#0072b2", "#d55e00"
GRAY = "#7f7f7f"

# In the order in which they are taken, then from the first again.
PALETTE = (ORANGE, SKY_BLUE, GREEN, PURPLE, YELLOW, BLUE, VERMILLION)
CLASSES = PALETTE[:5]  # of exports, as QuPath's users have them
INSTANCES = PALETTE  # of figures

PREDICTION, SINGLE = BLUE, SKY_BLUE  # a mean, and the single images or steps behind it
BASELINE = ORANGE
CHOSEN = VERMILLION
HIT, MISSED, FALSE, IGNORED = SKY_BLUE, VERMILLION, YELLOW, GRAY
KINDS = {  # of objects: `unetflow.metrics.object_errors`; and those that lie where nobody annotated
    "found": SKY_BLUE,
    "merged": PURPLE,
    "split": ORANGE,
    "misshapen": GREEN,
    "missed": VERMILLION,
    "spurious": YELLOW,
    "ignored": GRAY,
}
RAMP = ("#06121c", BLUE, SKY_BLUE, "#ffffff")  # foreground 0, 1/3, 2/3, 1


def rgb_bytes(colour: str) -> tuple[int, int, int]:
    """Red, green and blue from 0 to 255."""
    red, green, blue = bytes.fromhex(colour[1:])
    return red, green, blue


def rgb(colour: str) -> NDArray[np.float64]:
    """Red, green and blue in [0, 1], shape (3,)."""
    return np.array(rgb_bytes(colour)) / 255.0
