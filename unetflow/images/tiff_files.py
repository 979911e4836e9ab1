"""TIFF of all kinds: the images in a file, their levels, their resolution, the files of a set."""

import math
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import tifffile
import zarr

from unetflow.images.file_links import check_name, leaves
from unetflow.images.opened import Candidate, Opened, choose_image
from unetflow.images.units import PixelUm, pixel_of, um_of

RESOLUTION_UNIT = {2: "inch", 3: "cm"}  # TIFF's ResolutionUnit
PRINTED_UM = 50.0  # coarser in TIFF's tags is for printers: 72 dots per inch are 353 um/px
WHITE_IS_ZERO, PALETTE = 0, 3  # TIFF's PhotometricInterpretation
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
        if members and images[chosen].series[0].kind != "ome":  # none of them could be read
            notes = (*notes, f"names {', '.join(members[:8])}, but its own pages are read")
        return _opened(tiff, images[chosen], notes, axes, as_shown)
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
        name
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
    """A series of a TIFF, or several of one page that are the planes of a stack."""

    candidate: Candidate
    series: Sequence[Any]

    @property
    def axes(self) -> str:
        own: str = self.series[0].axes
        return own if len(self.series) == 1 else f"I{own}"

    def levels(self) -> list[Any]:
        arrays = [
            [
                zarr.open_array(each.aszarr(level=level), mode="r")
                for level in range(len(each.levels))
            ]
            for each in self.series
        ]
        return (
            arrays[0]
            if len(arrays) == 1
            else [_Stack(arrays_of_level) for arrays_of_level in zip(*arrays, strict=True)]
        )

    def at_once(self) -> np.ndarray:
        pixels = [each.asarray() for each in self.series]
        return np.asarray(pixels[0] if len(pixels) == 1 else np.stack(pixels))


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
    pages: dict[object, list[Any]] = {}
    for series in tiff.series:
        single = series.kind in PAGE_BY_PAGE and len(series.levels) == 1 and series.axes[0] == "Y"
        key = (series.shape, series.dtype, series.axes) if single else len(pages)
        pages.setdefault(key, []).append(series)
    for of_one in pages.values():
        first = of_one[0]
        size_px = tuple(
            first.shape[first.axes.index(side)] if side in first.axes else 1 for side in SIDES
        )
        images.append(_Image(Candidate(first.name, (size_px[0], size_px[1])), of_one))
    return images


def _opened(
    tiff: tifffile.TiffFile,
    image: _Image,
    notes: tuple[str, ...],
    axes: str | None,
    as_shown: bool,
) -> Opened:
    for series in image.series:
        for level in series.levels:
            _check_pieces(level)
    levels = image.levels()
    named = axes.upper() if axes and len(axes) == len(levels[0].shape) else image.axes
    page = image.series[0].keyframe
    absent = _absent(image.series[0])
    white = None
    if page.photometric == WHITE_IS_ZERO and levels[0].dtype.kind in "bu":
        if as_shown:
            white = 2 ** int(page.bitspersample) - 1
        how = "turned round, as viewers show it" if as_shown else "read as they are stored"
        notes = (*notes, f"its 0 is white (WhiteIsZero); the values are {how}")
    if page.photometric == PALETTE and as_shown:
        notes = (*notes, "its palette is not applied: its values are read as they are stored")
    return Opened(
        levels=levels,
        axes=named,
        pixel_um=[_pixel(tiff, image.series[0]), *[None] * (len(levels) - 1)],
        close=tiff.close,
        at_once=image.at_once,
        absent=absent,
        lacking="" if absent is None else ", ".join(_names_of_missing(tiff)),
        white=white,
        notes=notes,
    )


def _check_pieces(series: Any) -> None:
    """Raise ValueError where a page lists fewer strips or tiles than its pixels are made of.

    tifffile reads those that are not listed as zeros. (Listed ones may be empty on purpose.)
    """
    wanted = math.prod(series.keyframe.chunked)
    for page in series.pages:
        listed = 0 if page is None else len(page.dataoffsets)
        if page is not None and listed < wanted and sum(page.databytecounts) < page.nbytes:
            raise ValueError(
                f"it lists {listed} strips or tiles and its {series.keyframe.shape} pixels are "
                f"made of {wanted}: its header is damaged"
            )


def _absent(series: Any) -> np.ndarray | None:
    """Which pages of a series are in files that are not there, by index on its first axes."""
    missing = np.array([page is None for page in series.pages])
    if not missing.any():
        return None
    leading = series.shape[: len(series.shape) - len(series.keyframe.shape)]
    return missing.reshape(leading if missing.size == np.prod(leading) else (1,) * len(leading))


def _names_of_missing(tiff: tifffile.TiffFile) -> Iterator[str]:
    file = Path(tiff.filehandle.path)
    for each in files_of_set(file):
        if not each.exists():
            yield each.name


def _pixel(tiff: tifffile.TiffFile, series: Any) -> PixelUm | None:
    """A pixel of the finest level by OME-XML, Aperio's or ImageJ's description or TIFF's tags."""
    page = series.keyframe
    if tiff.is_ome and tiff.ome_metadata:
        return _pixel_of_ome(tiff, series)
    if tiff.is_svs:
        described = tifffile.tifffile.svs_description_metadata(page.description)
        mpp = described.get("MPP")
        return pixel_of(None, um_of(float(mpp), "um") if mpp else None)
    unit = RESOLUTION_UNIT.get(int(getattr(page, "resolutionunit", 1)))
    if tiff.is_imagej:
        unit = _unit_of_imagej(tiff.imagej_metadata or {}) or unit
    per_unit = page.resolution or (0.0, 0.0)
    width, height = (um_of(1 / each, unit) if each > 0 else None for each in per_unit)
    pixel = pixel_of(height, width)
    printed = not tiff.is_imagej or unit == "inch"
    return None if pixel and printed and max(pixel) > PRINTED_UM else pixel


def _unit_of_imagej(described: dict[str, Any]) -> str | None:
    """The unit of Fiji's calibration; it writes letters that are not in ASCII as \\u00B5."""
    unit = str(described.get("unit") or "")
    return re.sub(r"\\u([0-9A-Fa-f]{4})", lambda match: chr(int(match[1], 16)), unit) or None


def _pixel_of_ome(tiff: tifffile.TiffFile, series: Any) -> PixelUm | None:
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
    pixels = image.find("{*}Pixels")
    if pixels is None:
        return None
    height, width = (
        um_of(
            float(pixels.get(f"PhysicalSize{side}", "0")),
            pixels.get(f"PhysicalSize{side}Unit", "um"),
        )
        for side in SIDES
    )
    return pixel_of(height, width)
