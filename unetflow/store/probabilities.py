"""Probabilities as they are stored and as they are meant: bytes with 255 for 1.0, or floats."""

import numpy as np


def as_probability(stored: np.ndarray) -> np.ndarray:
    """Stored foreground as float32 in [0, 1]."""
    scale = np.float32(255 if stored.dtype == np.uint8 else 1)
    return stored.astype(np.float32) / scale


def as_stored(probabilities: np.ndarray, dtype: np.dtype) -> np.ndarray:
    """Probabilities as they are stored, bytes to the nearest."""
    if dtype == np.uint8:
        probabilities = probabilities * 255
        np.rint(probabilities, out=probabilities)
    return probabilities.astype(dtype)
