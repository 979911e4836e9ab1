"""One opener per family of image files: each gives levels of arrays with named axes.

Nothing is decoded here but metadata; arrays are read by region afterwards. Errors are those of the
libraries: `unetflow.images.slide` puts them into words.
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import imagecodecs
import numpy as np
import tifffile
import zarr

from unetflow.images.sources import split_dataset

UM_PER_UNIT = {
    "m": 1e6,
    "meter": 1e6,
    "cm": 1e4,
    "centimeter": 1e4,
    "mm": 1e3,
    "millimeter": 1e3,
    "µm": 1.0,
    "um": 1.0,
    "micrometer": 1.0,
    "micron": 1.0,
    "nm": 1e-3,
    "nanometer": 1e-3,
    "in": 25400.0,
    "inch": 25400.0,
    "angstrom": 1e-4,
    "Å": 1e-4,
}
RESOLUTION_UNIT_UM = {2: 25400.0, 3: 1e4}  # TIFF's ResolutionUnit: inch, centimetre
PRINTED_MPP = 50.0  # coarser in TIFF's tags is for printers: 72 dots per inch are 353 um/px
OPENSLIDE = (".mrxs", ".scn", ".bif", ".vms", ".vmu", ".svslide", ".dcm", ".zvi", ".czi")
READABLE = (
    "TIFF (OME, BigTIFF, SVS, NDPI, stacks), PNG, JPEG, NumPy (.npy), HDF5 (file.h5:/dataset), "
    "Zarr, OME-Zarr, folders of numbered TIFFs and, with openslide-python, MIRAX, Leica, Ventana, "
    "DICOM"
)

# Decoders of pictures by how a file begins; of all that there are, that of Ultra HDR crashes.
CODECS = {b"\x89PNG": "png", b"\xff\xd8": "jpeg8 ljpeg jpegls", b"": "tiff bmp gif webp"}


@dataclass(frozen=True, slots=True)
class Opened:
    """An open file: the levels of one image, finest first."""

    levels: Sequence[Any]  # arrays with shape, dtype and slicing, all of the same axes
    axes: str  # a letter per axis: Y, X, Z, T, C or S (channels), others; "": without names
    mpp: Sequence[float | None]  # [um/px] of each level; None where the file does not say
    close: Callable[[], None] = field(default=lambda: None)
    at_once: Callable[[], np.ndarray] | None = None  # the finest level, faster than by region


def open_file(path: str | Path, *, axes: str | None) -> Opened:
    """Open a file by its name and content; `axes` names the axes of an array that has none."""
    file, dataset = split_dataset(path)
    suffix = file.suffix.lower()
    if file.is_dir():
        return _open_zarr(file)
    if suffix in (".h5", ".hdf5", ".hdf", ".ilp"):
        return _open_hdf5(file, dataset, axes)
    if suffix == ".npy":
        return _array(np.load(file, mmap_mode="r", allow_pickle=False), axes)
    if suffix in (".png", ".jpg", ".jpeg"):
        return _open_picture(file)
    if suffix in OPENSLIDE:
        return _open_with_openslide(file)
    return _open_tiff(file, axes)


def _open_picture(file: Path) -> Opened:
    """A PNG or a JPEG, whatever its name says. Raises ValueError for one that is cut off.

    JPEG's decoder fills with gray what is lacking.
    """
    content = file.read_bytes()
    if content.startswith(b"\xff\xd8") and content.rfind(b"\xff\xd9") < content.rfind(b"\xff\xda"):
        raise ValueError("it is cut off: a JPEG ends with a mark, and this one does not")
    codecs = next(of for beginning, of in CODECS.items() if content.startswith(beginning))
    pixels = imagecodecs.imread(content, codec=[*codecs.split()])
    return Opened([pixels], "YXS"[: pixels.ndim], [None])


def tiffs_of(folder: Path) -> list[Path]:
    """The TIFF files of a folder, by name."""
    return [file for file in sorted(folder.iterdir()) if file.suffix.lower() in (".tif", ".tiff")]


def numbers_of(file: Path) -> tuple[int, ...]:
    """The numbers in a file's name: time, plane, or both.

    As the Cell Tracking Challenge names them: `t007.tif`, `man_seg007.tif`, `man_seg_007_012.tif`.
    """
    return tuple(map(int, re.findall(r"\d+", file.stem)))


def frame_file(folder: Path, time: int | None, plane: int | None) -> tuple[Path, int | None]:
    """The TIFF of a folder whose numbers are time and plane, and the plane that is left in it.

    Raises ValueError that says which numbers there are.
    """
    numbered = {numbers_of(file): file for file in tiffs_of(folder)}
    wanted = [n for n in (time, plane) if n is not None]
    if tuple(wanted) in numbered:
        return numbered[tuple(wanted)], None
    if time is not None and (time,) in numbered:
        return numbered[time,], plane
    there = ", ".join(" ".join(map(str, numbers)) for numbers in list(numbered)[:8])
    raise ValueError(
        f"it is a folder with {len(numbered)} TIFF files numbered {there or 'nothing'}"
        f"{', ...' if len(numbered) > 8 else ''}; time {time} and plane {plane} are asked for"
    )


def _open_tiff(file: Path, axes: str | None) -> Opened:
    tiff = tifffile.TiffFile(file)
    try:
        series = tiff.series[0]
        levels = [
            zarr.open_array(series.aszarr(level=k), mode="r") for k in range(len(series.levels))
        ]
        named = axes.upper() if axes and len(axes) == levels[0].ndim else series.axes
        mpp = _tiff_mpp(tiff)
        by_level = [mpp, *[None] * (len(levels) - 1)]
        return Opened(levels, named, by_level, tiff.close, at_once=series.asarray)
    except BaseException:
        tiff.close()
        raise


def _open_zarr(folder: Path) -> Opened:
    """An OME-Zarr image or label image (0.4, 0.5), its levels as they are listed, or an array."""
    node = zarr.open(folder, mode="r")
    if isinstance(node, zarr.Array):
        return _array(node, None)
    attributes = dict(node.attrs)
    ome: Any = attributes.get("ome", attributes)
    if "multiscales" not in ome:
        raise ValueError(
            "it is a Zarr group, but no OME-Zarr image or label image: name one in it, such as "
            f"{folder.name}/labels/nuclei"
        )
    multiscale = ome["multiscales"][0]
    named = multiscale.get("axes", [])  # without names before version 0.3
    axes = "".join((axis if isinstance(axis, str) else axis["name"]) for axis in named).upper()
    units = [{} if isinstance(axis, str) else axis for axis in named]
    unit_um = UM_PER_UNIT.get(units[-1].get("unit", "")) if units else None
    levels, mpp = [], []
    for dataset in multiscale["datasets"]:
        levels.append(node[dataset["path"]])
        scales = [
            transformation["scale"]
            for transformation in dataset.get("coordinateTransformations", [])
            if transformation["type"] == "scale"
        ]
        mpp.append(float(scales[0][axes.index("X")]) * unit_um if scales and unit_um else None)
    return Opened(levels, axes, mpp)


def _open_hdf5(file: Path, dataset: str | None, axes: str | None) -> Opened:
    import h5py

    opened = h5py.File(file, "r")
    found: list[str] = []
    opened.visititems(
        lambda name, node: found.append(name) if isinstance(node, h5py.Dataset) else None
    )
    if dataset is None and len(found) != 1:
        opened.close()
        raise ValueError(
            f"it holds the datasets {', '.join(found[:8]) or 'none'}: say which, as {file.name}:/"
            f"{found[0] if found else 'name'}"
        )
    try:
        array = opened[dataset or found[0]]
        tags = array.attrs.get("axistags")  # of ilastik and vigra
        keys = re.findall(r'"key":\s*"(\w)"', str(tags)) if tags is not None else []
        of = _array(array, axes or "".join(keys) or None)
        return Opened(of.levels, of.axes, of.mpp, opened.close)
    except BaseException:
        opened.close()
        raise


def _array(array: Any, axes: str | None) -> Opened:
    """An array without named axes: (Y, X), or as `axes` says."""
    if axes is None and array.ndim == 2:
        axes = "YX"
    named = axes.upper() if axes and len(axes) == array.ndim else ""
    return Opened([array], named, [None])


def _open_with_openslide(file: Path) -> Opened:
    try:
        import openslide
    except ImportError as error:
        raise ValueError(
            "this format needs openslide: pip install 'unetflow[slides]', or convert the file"
        ) from error
    slide = openslide.OpenSlide(file)
    levels = [_OpenSlideLevel(slide, level) for level in range(slide.level_count)]
    mpp = slide.properties.get(openslide.PROPERTY_NAME_MPP_X)
    return Opened(
        levels, "YXS", [float(mpp) if mpp else None, *[None] * (len(levels) - 1)], slide.close
    )


class _OpenSlideLevel:
    """A level of an openslide file as an array (Y, X, 3), transparent pixels white."""

    dtype = np.dtype(np.uint8)

    def __init__(self, slide: Any, level: int) -> None:
        self._slide, self._level = slide, level
        width, height = slide.level_dimensions[level]
        self.shape = (height, width, 3)

    def __getitem__(self, key: tuple[slice, slice, slice]) -> np.ndarray:
        (top, bottom, _), (left, right, _) = (
            part.indices(size) for part, size in zip(key[:2], self.shape, strict=False)
        )
        scale = self._slide.level_downsamples[self._level]
        corner = (round(left * scale), round(top * scale))  # openslide's (x, y) of level 0
        size = (right - left, bottom - top)
        rgba = np.asarray(self._slide.read_region(corner, self._level, size))
        opaque = rgba[..., 3:] > 0
        return np.where(opaque, rgba[..., :3], 255)[..., key[2]].astype(np.uint8)


def _tiff_mpp(tiff: tifffile.TiffFile) -> float | None:
    """Resolution of the finest level [um/px] by OME-XML, Aperio's description or TIFF's tags."""
    page = tiff.series[0].keyframe
    if tiff.is_ome and tiff.ome_metadata:
        if "<!ENTITY" in tiff.ome_metadata:
            raise ValueError("its OME-XML defines entities, which no microscope writes")
        pixels = ElementTree.fromstring(tiff.ome_metadata).find(".//{*}Pixels")
        size = None if pixels is None else pixels.get("PhysicalSizeX")
        unit = "µm" if pixels is None else pixels.get("PhysicalSizeXUnit", "µm")
        return float(size) * UM_PER_UNIT[unit] if size and unit in UM_PER_UNIT else None
    if tiff.is_svs:
        mpp = tifffile.tifffile.svs_description_metadata(page.description).get("MPP")
        return float(mpp) if mpp else None
    unit_um = RESOLUTION_UNIT_UM.get(int(getattr(page, "resolutionunit", 1)))
    resolution = page.resolution[0] if page.resolution else 0
    if not unit_um or not resolution > 0:
        return None
    mpp = float(unit_um / resolution)
    return mpp if mpp <= PRINTED_MPP else None
