"""Pixels of an image from its file, as its store has them: to prepare it, and to read it again.

Where a store keeps no level that is fine enough (`prepare: keep_images: false`), prediction reads
the file, shard by shard as the store was made, so that any pixel has the bits that it had there.
"""

import threading
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, NotRequired, Self, TypedDict

import numpy as np

from unetflow.errors import SlideError
from unetflow.images.ground import Ground
from unetflow.images.resampling import (
    Lost,
    Source,
    ends_of,
    lost_at,
    picked_channels,
    source_at,
)
from unetflow.images.slide import Slide
from unetflow.images.sources import RawFile, chosen_of
from unetflow.images.tissue_finding import coarse_level
from unetflow.store.shards import SHARD_PX, Index
from unetflow.store.tissue_mask import Tissue
from unetflow.tiles.regions import Region, common, shard_region, side_px, touched, within

SHARDS_KEPT = 4  # of those that were read last; prediction keeps more by itself


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


class FilePixels:
    """A prepared image (C, Y, X), or a volume, whose pixels are read from its file.

    Each process that is handed one opens the file itself. `unreadable` are the places that were 0
    when it was prepared; another place that cannot be read raises SlideError.
    """

    def __init__(
        self,
        raw: RawFile,
        wanted: Wanted,
        tissue: Tissue | None,
        unreadable: Sequence[Any],
    ) -> None:
        self._asked = raw, wanted, tissue, unreadable
        self._path, self._unreadable = raw["path"], [ends_of(place) for place in unreadable]
        self._open = ExitStack()
        slide = self._open.enter_context(open_slide(raw, wanted))
        source, channels = source_of(slide, wanted)
        coarse = coarse_level(source, channels) if tissue else None
        ground = Ground(tissue, coarse, source.shape_px) if tissue and coarse else None
        self._image = ImageInFile(source, channels, ground)
        self.shape, self.dtype = (len(channels), *source.shape_px), source.slide.dtype
        self.size = source.size
        self._sides = (side_px(SHARD_PX, len(source.shape_px)),) * len(source.shape_px)
        self._reading = threading.Lock()  # a file is read by one thread at a time
        self._shard = lru_cache(SHARDS_KEPT)(self._read)

    def __reduce__(self) -> tuple[type[Self], tuple[Any, ...]]:
        return type(self), self._asked

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._open.close()

    def __getitem__(self, key: Region, /) -> np.ndarray:
        """All channels of a region, whatever stands before it in `key`."""
        _, *region = key
        sizes = (part.stop - part.start for part in region)
        pixels = np.empty((self.shape[0], *sizes), self.dtype)
        for index in touched(region, self._sides):
            shard = shard_region(index, self.shape[1:], self._sides)
            shared = common(shard, region)
            there, here = within(shared, shard), within(shared, region)
            with self._reading:
                block = self._shard(index)
            pixels[(slice(None), *here)] = block[(slice(None), *there)]
        return pixels

    def _read(self, index: Index) -> np.ndarray:
        lost: list[Lost] = []
        block = self._image.read(shard_region(index, self.shape[1:], self._sides), lost)
        for each in lost:
            place = lost_at(self._image.source.place(each), each["why"])
            if ends_of(place) not in self._unreadable:
                raise SlideError(
                    f"{self._path}: {ends_of(each)} could be read when the image was prepared, but "
                    f"cannot be now ({each['why']}). Look whether the file is whole and its disk "
                    "is there, and run the same command again."
                )
        return block
