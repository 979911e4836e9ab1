"""An open file as its readers hand it out, and the choice among the images in it."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from unetflow.images.units import PixelUm

ORIENTATION = 274  # as a tag of TIFF and Exif


@dataclass(frozen=True, slots=True)
class Opened:
    """An open file: the levels of one image, finest first."""

    levels: Sequence[Any]  # arrays with shape, dtype and slicing, all of the same axes
    axes: str  # a letter per axis: Y, X, Z, T, C or S (channels), others; "": without names
    # of each level; None where the file does not say
    pixel_um: Sequence[PixelUm | None]  # height and width
    close: Callable[[], None] = field(default=lambda: None)
    at_once: Callable[[], np.ndarray] | None = None  # the finest level, faster than by region
    absent: np.ndarray | None = None  # by index on the first axes, where other files are missing
    lacking: str = ""  # what is missing, as a sentence
    white: int | None = None  # the value that shows as black, where 0 is white
    images: int = 1  # in the file, of which this is one
    planes_um: Sequence[float | None] = ()  # of each level from one plane to the next
    notes: Sequence[str] = ()  # what is not read or not as it may be expected
    orientation: int = 1  # how some programs turn and mirror it, as TIFF and Exif number that


def turned(orientation: int) -> str:
    """What is odd about an image that is not read as some programs show it."""
    return (
        f"its orientation is {orientation}: some programs turn or mirror it, and it is read as it "
        "is stored; an image and a truth of which one was made of what such a program shows do "
        "not lie on each other"
    )


class Unclear(ValueError):
    """A file that holds several things, of which `key` would choose one.

    The cure says how, with a place for where `key` is given, and one for {axes}.
    """

    def __init__(self, problem: str, key: str, cure: str = "Correct {}.") -> None:
        super().__init__(problem)
        self.key, self.cure = key, cure


@dataclass(frozen=True, slots=True)
class Candidate:
    """One of the images in a file."""

    name: str  # "" for none
    size_px: tuple[int, int]  # (Y, X)

    def described(self, number: int) -> str:
        name = f" {self.name!r}" if self.name else ""
        return f"{number}{name} ({self.size_px[0]}x{self.size_px[1]} px)"


def choose_image(images: Sequence[Candidate], scene: str | None) -> tuple[int, tuple[str, ...]]:
    """The number of the wanted image, else of the largest; and a note of the others.

    `scene` is a number or a name; it does not count where there is one image only. Raises Unclear
    where there is no such image, or several are the largest.
    """
    if not images:
        raise ValueError("it holds no image")
    if len(images) == 1:
        return 0, ()
    every = [image.described(number) for number, image in enumerate(images)]
    if scene is not None:
        named = [number for number, image in enumerate(images) if image.name == scene]
        if not named and scene.isdecimal() and int(scene) < len(images):
            named = [int(scene)]
        if len(named) != 1:
            raise Unclear(f"it holds the images {_some(every)}, but none is scene {scene}", "scene")
        (chosen,) = named
    else:
        areas = [image.size_px[0] * image.size_px[1] for image in images]
        chosen = areas.index(max(areas))
        if areas.count(max(areas)) > 1:
            raise Unclear(
                f"it holds several images: {_some(every)}",
                "scene",
                "Say which in {}, by its number or name.",
            )
    others = _some([text for number, text in enumerate(every) if number != chosen])
    return chosen, (f"image {every[chosen]} is read; not read: {others}",)


def _some(texts: Sequence[str], most: int = 8) -> str:
    return ", ".join(texts[:most]) + (f" and {len(texts) - most} more" if len(texts) > most else "")
