"""One palette for all figures and exports, told apart with any kind of colour vision.

Source: Okabe and Ito 2008.
"""

import numpy as np

# One palette for all figures: Okabe and Ito 2008, told apart with any kind of colour vision.
PREDICTION, SINGLE = "#0072b2", "#56b4e9"  # a mean, and the single images or steps behind it
BASELINE = "#e69f00"
CHOSEN = "#d55e00"
HIT, MISSED, FALSE, IGNORED = "#56b4e9", "#d55e00", "#f0e442", "#7f7f7f"
INSTANCES = ("#56b4e9", "#e69f00", "#009e73", "#cc79a7", "#f0e442", "#0072b2", "#d55e00")
RAMP = ("#06121c", "#0072b2", "#56b4e9", "#ffffff")  # foreground 0, 1/3, 2/3, 1


def rgb(colour: str) -> np.ndarray:
    return np.array([int(colour[i : i + 2], 16) for i in (1, 3, 5)]) / 255.0


COLOURS = ((230, 159, 0), (86, 180, 233), (0, 158, 115), (204, 121, 167), (240, 228, 66))
