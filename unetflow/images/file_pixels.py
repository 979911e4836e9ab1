"""Pixels of a prepared image from its file, where its store keeps coarse levels alone.

They have the bits that they had when the image was prepared (`prepare: keep_images: false`): shards
are read as preparation read them, and its digest of the pixels is what predictions hang on. So this
module counts in no digest of code; an edit of a reader prepares images anew.
"""

import threading
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from functools import lru_cache
from typing import Any, Self, TypedDict

import numpy as np

from unetflow.errors import ReplacedError, SlideError
from unetflow.images.ground import Ground
from unetflow.images.in_file import ImageInFile, Wanted, open_slide, source_of
from unetflow.images.resampling import Lost, ends_of, lost_at
from unetflow.images.sources import RawFile, has_changed, replaced
from unetflow.images.staging import content_as_read, staged
from unetflow.images.tissue_finding import coarse_level
from unetflow.store.shards import SHARD_PX, Index
from unetflow.store.tissue_mask import Tissue
from unetflow.tiles.regions import Region, common, shard_region, side_px, touched, within

SHARDS_KEPT = 4  # of those that were read last; prediction keeps more by itself


class ImageFile(TypedDict):
    """Where the pixels of an image are that its store does not keep, as for `prepare_image`."""

    raw: RawFile
    wanted: Wanted


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


@contextmanager
def pixels_in_file(
    file: ImageFile,
    *,
    digest: str,
    tissue: Tissue | None,
    unreadable: Sequence[Any],
    scratch: str | None,
) -> Iterator[FilePixels]:
    """The pixels of an image whose file had this `digest` of content when it was prepared.

    Raises ReplacedError where it has another, before and after.
    """
    raw = file["raw"]
    with staged(raw, scratch) as near:
        content = content_as_read(raw, near)
        if content.digest != digest:
            raise ReplacedError(replaced(raw["path"]))
        with FilePixels(near, file["wanted"], tissue, unreadable) as pixels:
            yield pixels
    if has_changed(raw, content):
        raise ReplacedError(replaced(raw["path"]))
