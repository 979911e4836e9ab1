"""How viewers show a store: name, colour and contrast of each channel, as OMERO has them.

In OME-Zarr 0.5 they stand under `omero` beside `multiscales`: napari, Fiji and OMERO read them.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from unetflow.colours import CLASSES
from unetflow.store.ome import OMERO, read_attributes, write_group

RGB = (("red", "FF0000"), ("green", "00FF00"), ("blue", "0000FF"))
GRAY = "FFFFFF"
SEVERAL = ("00FF00", "FF00FF", "00FFFF", "FFFF00", "FF0000", "0000FF")
DEVIATIONS = 4  # around the mean that the contrast spans, where pixels reach so far

Channel = dict[str, Any]


def channels_of_pixels(pixels: Mapping[str, Sequence[float]], dtype: str) -> list[Channel]:
    """Channels of an image: `pixels` has lowest, highest, mean and deviation of each.

    Three of 8 bits are red, green and blue from 0 to 255; others have the contrast of their pixels.
    """
    count = len(pixels["mean"])
    if count == len(RGB) and dtype == "uint8":
        return [_channel(name, colour, 0, 255, dtype) for name, colour in RGB]
    colours = [GRAY] if count == 1 else SEVERAL
    found = []
    for k in range(count):
        low, high, mean, deviation = (
            float(pixels[key][k]) for key in ("lowest", "highest", "mean", "deviation")
        )
        start = max(low, mean - DEVIATIONS * deviation)
        end = min(high, mean + DEVIATIONS * deviation)
        name = "image" if count == 1 else f"channel {k}"
        end = end if end > start else start + 1
        found.append(_channel(name, colours[k % len(colours)], start, end, dtype))
    return found


def channels_of_foreground(classes: Sequence[str], dtype: str) -> list[Channel]:
    """Channels of a foreground, a class each: black is 0, its colour is 1."""
    most = 255 if dtype == "uint8" else 1
    return [
        _channel(f"foreground: {name}", CLASSES[k % len(CLASSES)][1:].upper(), 0, most, dtype)
        for k, name in enumerate(classes)
    ]


def write_rendering(store: str | Path, channels: Sequence[Channel]) -> None:
    """Say how a store that has its other metadata is shown."""
    attributes = read_attributes(store)
    if channels and "ome" in attributes:
        attributes["ome"][OMERO] = {"channels": [*channels], "rdefs": {"model": "color"}}
        write_group(store, "", attributes)


def rendering_of(store: str | Path) -> list[Channel]:
    """The channels as a store says that they are shown; none where it says nothing."""
    found: list[Channel] = read_attributes(store).get("ome", {}).get(OMERO, {}).get("channels", [])
    return found


def _channel(name: str, colour: str, start: float, end: float, dtype: str) -> Channel:
    """`min` and `max` are what the type may hold, of floats the contrast itself."""
    kind = np.dtype(dtype)
    limits = np.iinfo(kind) if kind.kind in "iu" else None
    return {
        "label": name,
        "color": colour,
        "active": True,
        "window": {
            "start": start,
            "end": end,
            "min": int(limits.min) if limits else start,
            "max": int(limits.max) if limits else end,
        },
    }
