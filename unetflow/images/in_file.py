"""An image in its file as it is wanted: which level and channels, and what of it is ground."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NotRequired, TypedDict

import numpy as np

from unetflow.images.ground import Ground
from unetflow.images.resampling import Lost, Source, picked_channels, source_at
from unetflow.images.slide import Slide
from unetflow.images.sources import RawFile, chosen_of
from unetflow.tiles.regions import Region


class Wanted(TypedDict):
    """What is wanted of a raw image, as its row and its dataset say."""

    level: int | None  # of the file's pyramid
    mpp: float | None  # [um/px], overrules the resolution in the file
    want_mpp: float | None  # [um/px] that the image is brought to
    # of volumes, in the place of both: of a pixel along z, y, x, in um or as one to another
    spacing: NotRequired[Sequence[float] | None]
    in_um: NotRequired[bool]
    want_spacing: NotRequired[Sequence[float] | None]  # [um]
    channels: Sequence[int] | None  # which, in which order; None: all
    tissue: str | None  # "threshold", or the path of a mask; None: everything is read


def open_slide(raw: RawFile, wanted: Wanted) -> Slide:
    """The file of an image, at the resolution that its row says it has."""
    return Slide(
        raw["path"],
        **chosen_of(raw),
        mpp=wanted["mpp"],
        spacing=wanted.get("spacing"),
        in_um=wanted.get("in_um", True),
    )


def source_of(slide: Slide, wanted: Wanted) -> tuple[Source, list[int]]:
    """The image as it is wanted, and its channels. Raises SlideError where it cannot be had."""
    want = wanted.get("want_spacing") or wanted["want_mpp"]
    return (
        source_at(slide, wanted["level"], want),
        picked_channels(slide, wanted["channels"]),
    )


@dataclass(frozen=True, slots=True)
class ImageInFile:
    """An image in an open file, with what need not be read of it at full resolution."""

    source: Source
    channels: list[int]
    ground: Ground | None

    def read(self, shard: Region, lost: list[Lost]) -> np.ndarray:
        """Pixels (C, Y, X) of a whole shard; places that cannot be read are 0 and in `lost`."""
        if self.ground is not None and not self.ground.tissue.reaches(*shard):
            return self.ground.read(*shard)
        return self.source.read(shard, lost, self.channels)
