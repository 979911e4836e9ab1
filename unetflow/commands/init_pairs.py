"""Images and their truths in a folder, told apart and brought together by their names.

A path is cut into words at separators and between letters and digits. A file is a truth where one
of its words says so (`labels/a.png`, `a_mask.tif`) or its format does (`a.geojson`, `a.xml`), else
an image. An image and a truth belong together where they have the same words, but for those that
say what they are:

    images/t01.tif      t 01    image    train/raw/7.png        train 7
    labels/t01.png      t 01    truth    train/7_mask.png       train 7
    01/t000.tif        01 000  image    01_ST/SEG/man_seg000.tif  01 000

Of several truths of an image, as 01_GT and 01_ST of the Cell Tracking Challenge, the one in whose
folder there are most is taken.
"""

import os
import re
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from unetflow.errors import ConfigError
from unetflow.images.openslide_files import SUFFIXES as OPENSLIDE_SUFFIXES
from unetflow.images.polygons import SUFFIXES as POLYGON_SUFFIXES
from unetflow.images.sources import LITTER, TIFF_SUFFIXES, is_store

PICTURES = (".png", ".jpg", ".jpeg", ".npy", ".svs", ".ndpi")
IMAGE_SUFFIXES = (*TIFF_SUFFIXES, *PICTURES, *OPENSLIDE_SUFFIXES)
ENDINGS = (".ome.tif", ".ome.tiff", ".ome.zarr", ".geojson.gz")  # that are one

SAYS_TRUTH = re.compile(
    "(annotation|instance|label|lbl|mask|segmentation|truth)s?|groundtruth|gt|manual|seg|segmented"
)
BESIDE_TRUTH = re.compile("cp|man|st")  # a_cp_masks.png, 01_ST/SEG/man_seg000.tif
SAYS_IMAGE = re.compile("(frame|image|img|im)s?|raw|stack|volume")
FRAME = "t"  # of a frame of the Cell Tracking Challenge: t000.tif


@dataclass(frozen=True, slots=True)
class Pair:
    """An image as it lies under the folder, and its truth."""

    image: Path
    truth: Path | None = None


@dataclass(frozen=True, slots=True)
class Found:
    """What a folder holds: its images in order of their names, and what is left over, in words."""

    pairs: list[Pair]
    notes: list[str] = field(default_factory=list)


def find_pairs(folder: Path) -> Found:
    """Images under a folder with their truths.

    Raises ConfigError where there is no such folder, no image in it, or what belongs together
    cannot be told.
    """
    if not folder.is_dir():
        raise ConfigError(f"there is no folder {folder}; give the one that your images lie in.")
    files = sorted(_files(folder))
    truths = {file for file in files if _is_truth(file)}
    images = [file for file in files if file not in truths]
    if not images:
        raise ConfigError(_no_image(folder, truths))
    by_key: dict[tuple[str, ...], list[Path]] = defaultdict(list)
    beside = Counter(truth.parent for truth in truths)
    for truth in sorted(truths, key=lambda truth: (-beside[truth.parent], truth)):
        by_key[key_of(truth)].append(truth)
    of_key: dict[tuple[str, ...], list[Path]] = defaultdict(list)
    for image in images:
        of_key[key_of(image)].append(image)
    pairs, notes, several = [], [], []
    for key, alike in of_key.items():
        own = by_key.pop(key, [])
        if own and len(alike) > 1:
            raise ConfigError(
                f"{own[0]} may be the truth of {_some(alike)}: their names differ in nothing but "
                "words for images. Keep those that are meant in a folder of their own."
            )
        if len(own) > 1:
            several.append(f"{own[0]} and not {_some(own[1:])}")
        pairs += [Pair(image, own[0] if own else None) for image in alike]
    if several:
        notes.append(f"{len(several)} images have several truths; taken is {several[0]}")
    if lonely := [truth for left in by_key.values() for truth in left]:
        notes.append(
            f"{len(lonely)} files look like truths, but no image has their names: {_some(lonely)}"
        )
    return Found(sorted(pairs, key=lambda pair: pair.image), notes)


def key_of(file: Path) -> tuple[str, ...]:
    """The words of a path (relative to the folder) that an image and its truth share."""
    silent = [SAYS_IMAGE, *((SAYS_TRUTH, BESIDE_TRUTH) if _says_truth(file) else ())]
    kept = [word for word in words_of(file) if not any(of.fullmatch(word) for of in silent)]
    last = max((k for k, word in enumerate(kept) if word.isdigit()), default=0)
    if last and kept[last - 1] == FRAME:
        del kept[last - 1]
    return tuple(kept)


def words_of(file: Path) -> list[str]:
    """The words of a path without its ending, in lower case: letters and digits apart."""
    return re.findall(r"[^\W\d_]+|\d+", str(file.parent / stem_of(file)).lower())


def stem_of(file: Path) -> str:
    """The name of a file without its ending, `.ome.tif` being one."""
    name = file.name.lower()
    ending = next((each for each in ENDINGS if name.endswith(each)), file.suffix)
    return file.name[: len(file.name) - len(ending)]


def _files(folder: Path) -> Iterator[Path]:
    """Image files, stores and polygons under a folder, relative to it."""
    for place, folders, names in os.walk(folder):
        path = Path(place)
        stores = [name for name in folders if is_store(path / name)]
        folders[:] = sorted(
            name for name in folders if name not in stores and not name.startswith(".")
        )
        wanted = (*IMAGE_SUFFIXES, *POLYGON_SUFFIXES)
        for name in [*stores, *(name for name in names if name.lower().endswith(wanted))]:
            if not LITTER.fullmatch(name):
                yield (path / name).relative_to(folder)


def _is_truth(file: Path) -> bool:
    return file.name.lower().endswith(POLYGON_SUFFIXES) or _says_truth(file)


def _says_truth(file: Path) -> bool:
    return any(SAYS_TRUTH.fullmatch(word) for word in words_of(file))


def _no_image(folder: Path, truths: Sequence[Path] | set[Path]) -> str:
    if truths:
        return (
            f"{folder}: all {len(truths)} files look like truths by their names, as "
            f"{min(truths)}; images beside them have no word such as mask or label in theirs."
        )
    return (
        f"{folder}: holds no image that can be read ({', '.join(IMAGE_SUFFIXES[:2])}, "
        f"{', '.join(PICTURES)}, OME-Zarr and slides). Give the folder that they lie in."
    )


def _some(files: Sequence[Path], most: int = 3) -> str:
    more = f" and {len(files) - most} more" if len(files) > most else ""
    return ", ".join(str(file) for file in files[:most]) + more
