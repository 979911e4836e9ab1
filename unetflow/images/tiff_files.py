"""TIFF of all kinds: the images in a file, their levels, their resolution, the files of a set."""

import html
import math
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import tifffile
import zarr

from unetflow.images.file_links import check_name, leaves
from unetflow.images.lossless import JPEG_2000, LOSSY
from unetflow.images.opened import ORIENTATION, Candidate, Opened, choose_image
from unetflow.images.units import PixelUm, pixel_of, um_of

RESOLUTION_UNIT = {2: "inch", 3: "cm", 4: "mm", 5: "um"}  # TIFF's ResolutionUnit
PRINTED_UM = 50.0  # coarser in TIFF's tags is for printers: 72 dots per inch are 353 um/px
WHITE_IS_ZERO, PALETTE = 0, 3  # TIFF's PhotometricInterpretation
OTHER_COLOURS = {5: "CMYK", 6: "YCbCr", 8: "CIELab", 9: "CIELab", 10: "CIELab"}  # as above
PAGE_BY_PAGE = ("generic", "shaped", "uniform")  # kinds of series that no format gives a meaning
SIDES = ("Y", "X")


def open_tiff(file: Path, *, axes: str | None, scene: str | None, as_shown: bool) -> Opened:
    """The largest image of a TIFF, or the one that `scene` names, with its levels.

    `axes` names the axes where there are as many. `as_shown`: a level whose 0 is white is turned
    round by who reads it.
    """
    tiff = tifffile.TiffFile(file)
    try:
        members = [*_members(tiff.ome_metadata)]
        for name in (*members, *_of_index(tiff)):
            check_name(name, file)  # before tifffile opens it
        images = _images(tiff)
        chosen, notes = choose_image([each.candidate for each in images], scene)
        if members and images[chosen].series.kind != "ome":  # none of them could be read
            notes = (*notes, f"names {', '.join(members[:8])}, but its own pages are read")
        opened = _opened(tiff, images[chosen], notes, axes, as_shown)
        return replace(opened, images=len(images))
    except BaseException:
        tiff.close()
        raise


def _members(described: str | None) -> Iterator[str]:
    """The other files that an OME-XML names, as tifffile will open them."""
    if described and "FileName" in described:
        try:
            root = ElementTree.fromstring(described)
        except ElementTree.ParseError:  # tifffile goes on without it
            return
        for each in root.iter():
            if "FileName" in each.attrib and each.text != root.get("UUID"):
                yield each.attrib["FileName"]


def _of_index(tiff: tifffile.TiffFile) -> list[str]:
    """The files that the index of an NDTiff names, which lies beside it."""
    if not tiff.is_ndtiff:
        return []
    index = Path(tiff.filehandle.dirname) / "NDTiff.index"
    return [each[1] for each in tifffile.tifffile.read_ndtiff_index(index)]


def files_of_set(file: Path) -> list[Path]:
    """The other files that the OME-XML of a TIFF names, whether they are there or not."""
    try:
        with tifffile.TiffFile(file) as tiff:
            described = tiff.ome_metadata or ""
    except Exception:  # no TIFF, which is not this function's business
        return []
    own = re.search(r"""<OME\b[^>]*\bUUID\s*=\s*["']([^"']*)""", described)
    names = [
        html.unescape(name)
        for name, uuid in re.findall(
            r"""<UUID\b[^>]*\bFileName\s*=\s*["']([^"']+)["'][^>]*>([^<]*)<""", described
        )
        if not own or uuid.strip() != own[1]  # it may have another name than it was written with
    ]
    return [
        file.parent / name
        for name in dict.fromkeys(names)
        if name != file.name and not leaves(name, file)  # which nobody reads
    ]


@dataclass(frozen=True, slots=True)
class _Image:
    """A series of a TIFF, or the pages of several that are the planes of a stack."""

    candidate: Candidate
    series: Any  # the first
    planes: Sequence[Any]  # itself alone, or pages

    @property
    def axes(self) -> str:
        own: str = self.planes[0].axes
        return own if len(self.planes) == 1 else f"I{own}"

    def levels(self) -> list[Any]:
        arrays = [
            [_Level(each, level) for level in range(len(self.series.levels))]
            for each in self.planes
        ]
        return (
            arrays[0]
            if len(arrays) == 1
            else [_Stack(arrays_of_level) for arrays_of_level in zip(*arrays, strict=True)]
        )

    def at_once(self) -> np.ndarray:
        pixels = [each.asarray() for each in self.planes]
        return np.asarray(pixels[0] if len(pixels) == 1 else np.stack(pixels))


class _Level:
    """A level of a series or page, which is opened as an array when its pixels are read.

    A plan asks thousands of files for their shape alone.
    """

    def __init__(self, series: Any, level: int) -> None:
        self._series, self._level = series, level
        of = series.levels[level] if isinstance(series, tifffile.TiffPageSeries) else series
        chunks = of.keyframe.chunks
        more = len(of.shape) - len(chunks)
        self.shape: tuple[int, ...] = of.shape
        self.chunks: tuple[int, ...] = (1,) * more + chunks
        if more < 0 or of.dtype is None or 0 in of.shape or of.shape[-1] == 1:
            of = self._array  # which knows how its chunks lie
            self.shape, self.chunks = of.shape, of.chunks
        self.dtype, self.ndim = np.dtype(of.dtype), len(self.shape)

    @cached_property
    def _array(self) -> Any:
        return zarr.open_array(self._series.aszarr(level=self._level), mode="r")

    def __getitem__(self, key: tuple[slice | int, ...]) -> np.ndarray:
        return np.asarray(self._array[key])


class _Stack:
    """Arrays of one shape as one, which they are planes of."""

    def __init__(self, planes: Sequence[Any]) -> None:
        self._planes = planes
        self.shape = (len(planes), *planes[0].shape)
        self.chunks = (1, *planes[0].chunks)
        self.dtype, self.ndim = planes[0].dtype, len(self.shape)

    def __getitem__(self, key: tuple[slice | int, ...]) -> np.ndarray:
        first, *others = key
        if not isinstance(first, slice):
            return np.asarray(self._planes[first][tuple(others)])
        return np.stack([np.asarray(each[tuple(others)]) for each in self._planes[first]])


def _images(tiff: tifffile.TiffFile) -> list[_Image]:
    """The images of a file; pages alike that were written one by one are a stack."""
    images: list[_Image] = []
    alike: dict[object, list[Any]] = {}
    for series in tiff.series:
        page = series.keyframe
        # pages that are stored in another way, as by another compression, are a series of their own
        bare = series.kind in PAGE_BY_PAGE and len(series.levels) == 1
        several = series.kind == "generic" and series.axes == f"I{page.axes}"
        one_by_one = bare and (several or series.axes == page.axes)
        key = (page.shape, page.dtype, page.axes) if one_by_one else len(alike)
        alike.setdefault(key, []).append(series)
    for of_one in alike.values():
        first = of_one[0]
        size_px = tuple(
            first.shape[first.axes.index(side)] if side in first.axes else 1 for side in SIDES
        )
        candidate = Candidate(first.name, (size_px[0], size_px[1]))
        planes = of_one if len(of_one) == 1 else _pages_of(of_one)
        images.append(_Image(candidate, first, planes))
    return images


def _pages_of(several: Sequence[Any]) -> list[Any]:
    """The pages of several series, in the order of the file."""
    pages = [page for series in several for page in series.pages]
    return sorted(pages, key=lambda page: page.treeindex)


def _opened(
    tiff: tifffile.TiffFile,
    image: _Image,
    notes: tuple[str, ...],
    axes: str | None,
    as_shown: bool,
) -> Opened:
    for plane in image.planes:
        if isinstance(plane, tifffile.TiffPageSeries):
            for level in plane.levels:
                _check_pieces(level.keyframe, level.pages)
        else:
            _check_pieces(plane, [plane])
    levels = image.levels()
    named = axes.upper() if axes and len(axes) == len(levels[0].shape) else image.axes
    page = image.series.keyframe
    absent = _absent(image.series)
    white = None
    if page.photometric == WHITE_IS_ZERO:
        turned = as_shown and levels[0].dtype.kind in "bu"
        if turned:
            white = 2 ** int(page.bitspersample) - 1
        how = "turned round, as viewers show it" if turned else "read as they are stored"
        notes = (*notes, f"its 0 is white (WhiteIsZero); the values are {how}")
    if page.photometric == PALETTE and as_shown:
        notes = (*notes, "its palette is not applied: its values are read as they are stored")
    colours = OTHER_COLOURS.get(page.photometric)
    if colours and page.compression not in (*LOSSY, *JPEG_2000):  # whose decoders make RGB of them
        notes = (*notes, f"its colours are {colours}, not RGB: they are read as they are stored")
    return Opened(
        levels=levels,
        axes=named,
        pixel_um=[_pixel(tiff, image.series), *[None] * (len(levels) - 1)],
        planes_um=[_plane_um(tiff, image.series), *[None] * (len(levels) - 1)],
        close=tiff.close,
        at_once=image.at_once,
        absent=absent,
        lacking="" if absent is None else _missing(tiff),
        white=white,
        notes=notes,
        orientation=_orientation(page),
    )


def _orientation(page: Any) -> int:
    value = page.keyframe.tags.valueof(ORIENTATION, default=1)
    return int(value) if value in range(1, 9) else 1


def _check_pieces(keyframe: Any, pages: Iterable[Any]) -> None:
    """Raise ValueError where a page lists fewer strips or tiles than its pixels are made of.

    tifffile reads those that are not listed as zeros. (Listed ones may be empty on purpose.)
    """
    wanted = math.prod(keyframe.chunked)
    for page in pages:
        listed = 0 if page is None else len(page.dataoffsets)
        if page is not None and listed < wanted and sum(page.databytecounts) < page.nbytes:
            raise ValueError(
                f"it lists {listed} strips or tiles and its {keyframe.shape} pixels are "
                f"made of {wanted}: its header is damaged"
            )


def _absent(series: Any) -> np.ndarray | None:
    """Which pages of a series are in files that are not there, by index on its first axes."""
    missing = np.array([page is None for page in series.pages])
    if not missing.any():
        return None
    leading = series.shape[: len(series.shape) - len(series.keyframe.shape)]
    return missing.reshape(leading if missing.size == np.prod(leading) else (1,) * len(leading))


def _missing(tiff: tifffile.TiffFile) -> str:
    """What a file lacks that its OME-XML names: others of its set, or its own end."""
    others = files_of_set(Path(tiff.filehandle.path))
    names = [each.name for each in others if not each.exists()]
    if not names:
        return "it has fewer images than its OME-XML names: it was not written to its end"
    return f"it is one of several files, of which {', '.join(names)} cannot be read"


def _pixel(tiff: tifffile.TiffFile, series: Any) -> PixelUm | None:
    """A pixel of the finest level by OME-XML, Aperio's or ImageJ's description or TIFF's tags."""
    page = series.keyframe
    if tiff.is_ome and tiff.ome_metadata:
        return _pixel_of_ome(tiff, series)
    if tiff.is_svs:
        described = tifffile.tifffile.svs_description_metadata(page.description)
        return pixel_of(None, um_of(described.get("MPP"), "um"))
    if tiff.is_lsm:
        lsm = tiff.lsm_metadata or {}
        height, width = (um_of(lsm.get(f"VoxelSize{side}"), "m") for side in SIDES)
        return pixel_of(height, width)
    tagged = RESOLUTION_UNIT.get(int(getattr(page, "resolutionunit", 1)))
    units = _units_of_imagej(tiff.imagej_metadata or {}) if tiff.is_imagej else (None, None)
    width, height = (
        um_of(1 / per_unit, unit or tagged) if per_unit > 0 else None
        for per_unit, unit in zip(page.resolution or (0.0, 0.0), reversed(units), strict=True)
    )
    pixel = pixel_of(height, width)
    printed = not tiff.is_imagej or (units[1] or tagged) == "inch"
    return None if pixel and printed and max(pixel) > PRINTED_UM else pixel


def _units_of_imagej(described: dict[str, Any]) -> tuple[str | None, str | None]:
    """The units of Fiji's calibration along Y and X; `yunit` is there where it is another.

    Letters that are not in ASCII are written as \\u00B5.
    """
    width, height = (
        re.sub(r"\\u([0-9A-Fa-f]{4})", lambda match: chr(int(match[1], 16)), str(unit or ""))
        for unit in (described.get("unit"), described.get("yunit"))
    )
    return height or width or None, width or None


def _plane_um(tiff: tifffile.TiffFile, series: Any) -> float | None:
    """From one plane to the next [um], by OME-XML, ImageJ's description or LSM's."""
    if tiff.is_ome and tiff.ome_metadata:
        pixels = _pixels_of_ome(tiff, series)
        return None if pixels is None else _length_of_ome(pixels, "Z")
    if tiff.is_lsm:
        return um_of((tiff.lsm_metadata or {}).get("VoxelSizeZ"), "m")
    if tiff.is_imagej:
        described = tiff.imagej_metadata or {}
        unit = str(described.get("zunit") or _units_of_imagej(described)[1] or "")
        return um_of(described.get("spacing"), unit)
    return None


def _pixels_of_ome(tiff: tifffile.TiffFile, series: Any) -> Any:
    """What OME-XML says of the pixels of an image, None where it says nothing."""
    described = tiff.ome_metadata or ""
    if "<!ENTITY" in described:
        raise ValueError("its OME-XML defines entities, which no microscope writes")
    images = ElementTree.fromstring(described).findall("{*}Image")
    named = [image for image in images if image.get("Name") == series.name]
    if len(images) == len(tiff.series):
        image = images[tiff.series.index(series)]
    elif images:
        image = (named or images)[0]
    else:
        return None
    return image.find("{*}Pixels")


def _pixel_of_ome(tiff: tifffile.TiffFile, series: Any) -> PixelUm | None:
    pixels = _pixels_of_ome(tiff, series)
    if pixels is None:
        return None
    height, width = (_length_of_ome(pixels, side) for side in SIDES)
    return pixel_of(height, width)


def _length_of_ome(pixels: Any, side: str) -> float | None:
    return um_of(pixels.get(f"PhysicalSize{side}"), pixels.get(f"PhysicalSize{side}Unit", "um"))
