"""Any image file as levels of (C, Y, X), or of a volume (C, Z, Y, X), finest first, read by region.

Never a level at once, formats without tiles (PNG, JPEG) excepted.
"""

import contextlib
import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import NamedTuple, Self

import numpy as np

from unetflow.engine.memory import available_bytes
from unetflow.errors import SlideError, UnetflowError
from unetflow.images.asked import SHEET, Door
from unetflow.images.at_once import check_memory, peak_bytes
from unetflow.images.frames import frame_file
from unetflow.images.gray import NotGray, one_channel
from unetflow.images.kept_chunks import keep_chunks, layer_bytes
from unetflow.images.object_masks import ObjectMasks, open_object_masks
from unetflow.images.opened import Opened, Unclear, turned
from unetflow.images.picking import Picked
from unetflow.images.pictures import Picture
from unetflow.images.readers import READABLE, holds_numbers, open_file
from unetflow.images.slices import open_slices
from unetflow.images.sources import is_store, split_dataset
from unetflow.images.units import PixelUm, is_square, shown
from unetflow.tiles.regions import in_words

log = logging.getLogger(__name__)


NEAR = 0.05  # of a resolution: what two sources may differ by
OTHER_SHAPE = 1.5  # times that a level may be coarser along one axis than along the other


@dataclass(frozen=True, slots=True)
class Level:
    """One level of a pyramid."""

    shape_px: tuple[int, ...]  # (Y, X), of a volume (Z, Y, X)
    pixel_um: PixelUm | None  # of a pixel along each axis, None where the file does not say
    ratio: tuple[float, ...] | None = None  # the same in a pixel's width, where that is all we know

    @property
    def mpp(self) -> float | None:
        """Side of its pixels [um], None where that is not known or they are not square."""
        return self.pixel_um[-1] if self.pixel_um and is_square(self.pixel_um) else None


class _Asked(NamedTuple):
    """Which image of a file is wanted, and how its axes lie if the file does not say."""

    plane: int | None
    time: int | None
    axes: str | None
    scene: str | None
    volume: bool
    adjacent: int
    planes: tuple[int, ...] | None


class Slide:
    """An opened image file; a context manager. Raises SlideError for what it cannot read."""

    def __init__(
        self,
        path: str | Path,
        *,
        plane: int | None = None,
        time: int | None = None,
        axes: str | None = None,
        scene: str | None = None,
        volume: bool = False,
        adjacent: int = 0,
        planes: Sequence[int] | None = None,
        mpp: float | None = None,
        spacing: Sequence[float] | None = None,
        in_um: bool = True,
        as_labels: bool = False,
        door: Door = SHEET,
    ):
        """Open a file; `plane`, `time` and `scene` choose one of its images.

        They count where the file has such an axis, or several images; `not_applied` names those
        that it has not. `axes` names the axes of an array that has none, such as "czyx"; `mpp`
        overrules what the file says of its resolution. `as_labels`: the values are numbers, not
        colours: as they are stored, and channels that are all the same are one. `door` is where
        messages send a user.

        `adjacent` planes of a stack to each side are channels beside those of the plane; labels
        have none. Of a `volume` all planes are read: those of a stack, or the files of a folder,
        each a slice, in the order of their numbers; or those from the first to the last of
        `planes` (a third number: along which of z, y, x), where there are not just as many.
        `spacing` (z, y, x) overrules what the file
        says of its pixels, in um or, without `in_um`, as lengths beside one another.
        """
        self.path = Path(path)
        self.door = door
        self._as_labels = as_labels
        self._fitting: set[int] = set()  # levels that are not too large
        some = tuple(planes) if planes else None
        beside = 0 if as_labels else adjacent
        self._asked = _Asked(plane, time, axes, scene, volume, beside, some)
        self._open()
        with self._in_words():
            shapes = [self._pick.shape_px(array.shape) for array in self._opened.levels]
            given = tuple(spacing) if spacing else (mpp, mpp) if mpp else None
            self.levels = _levels(path, shapes, _pixels_of(self._opened, volume), given, in_um)
        self.axes = self._pick.axes  # as they lie in the file
        self.channels = 1 if as_labels else self._pick.channels(self._opened.levels[0].shape)
        self.dtype = np.dtype(self._opened.levels[0].dtype)
        alone = self._opened.images == 1 and self._asked.scene not in (None, "0")
        others = bool(axes) and str(axes).upper() != self.axes
        self.not_applied = (
            *self._pick.not_applied,
            *(["scene"] if alone else []),
            *(["axes"] if others and not as_labels else []),
        )
        self._check_numbers()

    def _check_numbers(self) -> None:
        if not holds_numbers(self.dtype):
            self.close()
            raise SlideError(
                f"{self.path}: holds {self.dtype} values; an image holds whole or real numbers of "
                "64 bits at most. Save what is to be seen of it, such as the magnitude of complex "
                f"numbers{self.door.leave_out}."
            )

    def _open(self) -> None:
        file, _ = split_dataset(self.path)
        if not file.exists():
            raise SlideError(f"{self.path}: there is no such file. Correct {self.door('path')}.")
        source, (plane, time, axes, scene, volume, adjacent, planes) = self.path, self._asked
        of_file = partial(open_file, axes=axes, scene=scene, as_shown=not self._as_labels)
        with self._in_words():
            if not file.is_dir() or is_store(file):
                opened = of_file(source)
            elif volume:
                opened, time = open_slices(file, time, of_file), None
            elif self._as_labels and plane is None and time is None:
                opened = open_object_masks(file)
            else:
                source, plane = frame_file(file, time, plane)
                opened, time = of_file(source), None
            self._opened: Opened = opened
            shape = opened.levels[0].shape
            chosen = {"plane": plane, "time": time}
            self._pick = Picked.of(
                opened.axes, shape, **chosen, volume=volume, adjacent=adjacent, planes=planes
            )
            if self._pick.some is not None:  # coarser levels may have others
                self._opened = replace(
                    opened,
                    levels=opened.levels[:1],
                    pixel_um=opened.pixel_um[:1],
                    planes_um=opened.planes_um[:1],
                )
            self._check_set()
            spatial = self._pick.spatial
            self._arrays = [keep_chunks(array, spatial) for array in self._opened.levels]

    @contextlib.contextmanager
    def _in_words(self) -> Iterator[None]:
        """Close the file after an error, and say what it means."""
        try:
            yield
        except Exception as error:  # decoders raise many kinds
            with contextlib.suppress(Exception):  # it may not be open
                self.close()
            if isinstance(error, Unclear):
                raise self._told(error) from error
            if isinstance(error, UnetflowError):  # of one file of a folder
                raise
            why, _, _ = str(error).partition("\n")  # behind it are all decoders that were tried
            raise SlideError(
                f"{self.path}: cannot be opened as an image ({type(error).__name__}: {why}). "
                f"Readable are {READABLE}: save it as one of these, or check that the file is whole"
                f"{self.door.leave_out}."
            ) from error

    def _told(self, unclear: Unclear) -> SlideError:
        cure = unclear.cure.format(self.door(unclear.key), axes=self.door("axes"))
        return SlideError(f"{self.path}: {unclear}. {cure}")

    def _check_set(self) -> None:
        """Refuse an image of which other files are missing: they would be read as zeros."""
        absent = self._opened.absent
        if absent is None:
            return
        asked = tuple(
            slice(None) if index is None else index for index in self._pick.fixed[: absent.ndim]
        )
        if np.any(absent[asked]):
            raise Unclear(self._opened.lacking, "path", "Put there what is missing, or correct {}.")

    def peak_bytes(self, level: int) -> int:
        """What reading one pixel of a level takes in memory, by the header of the file."""
        array = self._opened.levels[level]
        spatial, channels = self._pick.spatial, self._pick.channels(array.shape)
        return max(peak_bytes(array), layer_bytes(array, spatial, channels))

    @property
    def first_px(self) -> tuple[int, int, int]:
        """Where a volume that is a part of its file begins there, along z, y and x."""
        axis, part = self._pick.some or (0, slice(0, 0))
        z, y, x = (part.start if each == axis else 0 for each in range(3))
        return z, y, x

    @property
    def notes(self) -> tuple[str, ...]:
        """What is not read or not as may be expected; of masks of objects when they are read."""
        return (*self._opened.notes, *self.odd)

    @property
    def odd(self) -> tuple[str, ...]:
        """Those of the notes that may make an image and its truth unlike each other."""
        orientation = self._opened.orientation
        return () if orientation == 1 else (turned(orientation),)

    @property
    def resolution_at(self) -> str:
        """Where a user gives the size of pixels, for messages."""
        return self.door("spacing" if self._asked.volume else "mpp")

    @property
    def decodes_whole(self) -> bool:
        """Whether a pixel can be read where all can, and nowhere else."""
        return isinstance(self._opened.levels[0], (Picture, ObjectMasks))

    def check_size(self, level: int, free_bytes: int) -> None:
        """Raise TooLargeError where a level takes more memory at once than that."""
        size = "x".join(map(str, self.levels[level].shape_px))
        check_memory(
            self.path,
            self.peak_bytes(level),
            free_bytes,
            f"level {level} ({size} px) is decoded "
            + ("whole" if self.decodes_whole else "in pieces that are very large"),
            "Save it as a tiled TIFF (vips tiffsave IN OUT.tif --tile --compression deflate "
            f"--bigtiff), or give the job more memory{self.door.leave_out}.",
        )

    def reopen(self) -> None:
        """Open the file again: what a network drive lost may be there now."""
        with contextlib.suppress(Exception):  # of a file that is gone
            self.close()
        self._open()

    def read(self, level: int, *region: slice) -> np.ndarray:
        """Pixels (C, Y, X) of a region (rows, columns) of a level.

        Of a volume (C, Z, Y, X), of planes, rows and columns. Raises SlideError where they do not
        decode, TooLargeError where that takes too much memory.
        """
        if level not in self._fitting:
            self.check_size(level, available_bytes())
            self._fitting.add(level)
        try:
            pixels = self._pick.read(self._arrays[level], region)
        except Unclear as error:
            raise self._told(error) from error
        except UnetflowError:  # of one file of a folder
            raise
        except Exception as error:  # decoders raise many kinds
            why, _, _ = str(error).partition("\n")
            where = (
                "cannot be decoded"
                if self.decodes_whole
                else f"level {level} cannot be read at {in_words(region)}"
            )
            raise SlideError(
                f"{self.path}: {where} ({type(error).__name__}: {why}). The file is damaged or its "
                f"compression is not known: convert it{self.door.leave_out}."
            ) from error
        if self._as_labels:
            return self._numbers(pixels)
        white = self._opened.white
        if white is None:
            return pixels
        return ~pixels if pixels.dtype == bool else pixels.dtype.type(white) - pixels

    def _numbers(self, pixels: np.ndarray) -> np.ndarray:
        """The one channel of labels, as several programs save them as colours."""
        try:
            return one_channel(np.moveaxis(pixels, 0, -1), samples=self._pick.has_samples)[None]
        except NotGray as error:
            raise SlideError(f"{self.path}: {error}.") from error

    def close(self) -> None:
        self._opened.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


def _levels(
    path: str | Path,
    shapes: Sequence[tuple[int, ...]],
    of_file: Sequence[PixelUm | None],
    given: PixelUm | None,
    in_um: bool,
) -> tuple[Level, ...]:
    """The levels; those of unknown resolution have that of the finest by their size.

    Where one is `given` it is that of the finest, whatever the file says.
    """
    own = of_file[0]
    finest = given or own
    if given and own and in_um and _differ(given, own):
        log.warning(
            "%s: says %s and is taken as %s, as given (for its finest level)",
            path,
            shown(own),
            shown(given),
        )
    levels = []
    if empty := [shape for shape in shapes if not min(shape)]:
        raise Unclear(f"it has a level without pixels (shape {empty[0]})", "path")
    for shape, said in zip(shapes, of_file, strict=True):
        *others, wide = (of / size for of, size in zip(shapes[0], shape, strict=True))
        # by rounding alone
        others = [wide if max(by / wide, wide / by) < OTHER_SHAPE else by for by in others]
        scaled = finest and tuple(
            side * by for side, by in zip(finest, (*others, wide), strict=True)
        )
        if in_um:
            levels.append(Level(shape, scaled if given else said or scaled))
        else:
            levels.append(Level(shape, None, scaled))
    return tuple(levels)


def _differ(one: PixelUm, other: PixelUm) -> bool:
    return max(abs(a / b - 1) for a, b in zip(one, other, strict=True)) > NEAR


def _pixels_of(opened: Opened, volume: bool) -> Sequence[PixelUm | None]:
    """A pixel of each level along the axes that are read, None where a side is not known."""
    if not volume:
        return opened.pixel_um
    planes = opened.planes_um or [None] * len(opened.pixel_um)
    return [
        (depth, *pixel) if depth and pixel else None
        for depth, pixel in zip(planes, opened.pixel_um, strict=True)
    ]
