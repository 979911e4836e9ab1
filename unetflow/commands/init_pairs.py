"""Images and their truths in a folder, told apart and brought together by their names.

A path is cut into words at separators and between letters and digits. A file is a truth where one
of its words says so (`labels/a.png`, `a_mask.tif`) or its format does (`a.geojson`, `a.xml`), else
an image. An image and a truth belong together where they have the same words, but for those that
say what they are:

    images/t01.tif      t 01    image    train/raw/7.png        train 7
    labels/t01.png      t 01    truth    train/7_mask.png       train 7
    01/t000.tif        01 000  image    01_ST/SEG/man_seg000.tif  01 000
    imagesTr/a_0000.png a      image    labelsTr/a.png          a         (nnU-Net)

A folder whose files are all truths of no image is one truth, of masks that show an object each,
where it has the words of an image or lies beside one alone, as the Data Science Bowl's do:

    masks/a/1.png, masks/a/2.png              of images/a.png
    7/masks/1f.png, 7/masks/2e.png            of 7/images/7.png

Of several truths of an image, as 01_GT and 01_ST of the Cell Tracking Challenge, the one in whose
folder there are most is taken.
"""

import os
import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from unetflow.errors import ConfigError
from unetflow.images.object_masks import SUFFIXES as MASK_SUFFIXES
from unetflow.images.openslide_files import SUFFIXES as OPENSLIDE_SUFFIXES
from unetflow.images.sources import (
    LITTER,
    POLYGON_SUFFIXES,
    TIFF_SUFFIXES,
    holds_polygons,
    is_store,
)
from unetflow.jobs.makings import FOLDER as RECORDS
from unetflow.jobs.sources import sources_cache

PICTURES = (".png", ".jpg", ".jpeg", ".npy", ".svs", ".ndpi")
IMAGE_SUFFIXES = (*TIFF_SUFFIXES, *PICTURES, *OPENSLIDE_SUFFIXES)
ENDINGS = (".ome.tif", ".ome.tiff", ".ome.zarr", ".geojson.gz")  # that are one

SAYS_TRUTH = re.compile(
    "(annotation|instance|label|lbl|mask|segmentation|truth)s?|groundtruth|gt|manual|seg|segmented"
)
BESIDE_TRUTH = re.compile("cp|ground|man|st")  # a_cp_masks.png, 01_ST/SEG/man_seg000.tif
SAYS_IMAGE = re.compile("(frame|image|img|im)s?|raw|stack|volume")
NNUNET = re.compile(r"\b(images|labels)(tr|ts)\b")  # folders, whose images end on a channel
CHANNEL = re.compile(r"\d{4}")
FIRST_CHANNEL = "0000"
FRAME = "t"  # of a frame of the Cell Tracking Challenge: t000.tif
MADE_BY = "command.json"  # in a store that `unetflow predict` wrote: what it was asked for

OTHER_KINDS = re.compile(
    r".+[.](bmp|gif|h5|hdf5|ics|jp2|lif|lsm|nd2|nii|nrrd|oib|oif|stk|vsi|webp|zip)",
    re.IGNORECASE,
)  # images, that a folder of others may hold too
OURS = "what unetflow wrote"
UNREAD = "files of other kinds (convert them to TIFF, unpack archives, or name HDF5 in a sheet)"

Key = tuple[str, ...]  # words


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
    left_out: dict[str, list[Path]] = defaultdict(list)
    files = sorted(_files(folder, left_out))
    notes = [f"left out: {why}: {_some(sorted(those))}" for why, those in left_out.items() if those]
    truths = {file for file in files if _is_truth(file)}
    images = [file for file in files if file not in truths]
    if not images:
        raise ConfigError("\n  ".join([_no_image(folder, truths), *notes]))
    of_key: dict[Key, list[Path]] = defaultdict(list)
    for image in images:
        _check_channel(image)
        of_key[key_of(image)].append(image)
    keys = _keys_of_truths(truths, images)
    by_key: dict[Key, list[Path]] = defaultdict(list)
    beside = Counter(truth.parent for truth in keys)
    for truth in sorted(keys, key=lambda truth: (-beside[truth.parent], truth)):
        by_key[keys[truth]].append(truth)
    pairs, several = [], []
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


def _keys_of_truths(truths: Iterable[Path], images: Sequence[Path]) -> dict[Path, Key]:
    """The key of each truth; a folder of masks, of one image, stands for its files."""
    keys = {truth: key_of(truth) for truth in truths}
    of_images = {key_of(image) for image in images}
    under: dict[Path, list[Path]] = defaultdict(list)
    for image in images:
        for folder in image.parents:
            under[folder].append(image)
    in_folder: dict[Path, list[Path]] = defaultdict(list)
    for truth in keys:
        in_folder[truth.parent].append(truth)
    for folder, files in in_folder.items():
        of_folder, beside = key_of(folder / "mask"), under[folder.parent]
        if of_folder not in of_images and len(beside) == 1:
            of_folder = key_of(beside[0])
        of_objects = all(file.suffix.lower() in MASK_SUFFIXES for file in files)
        if of_objects and of_folder in of_images and of_images.isdisjoint(keys[f] for f in files):
            for file in files:
                del keys[file]
            keys[folder] = of_folder
    return keys


def key_of(file: Path) -> Key:
    """The words of a path (relative to the folder) that an image and its truth share."""
    silent = [SAYS_IMAGE, *((SAYS_TRUTH, BESIDE_TRUTH) if _says_truth(file) else ())]
    kept = [word for word in words_of(file) if not any(of.fullmatch(word) for of in silent)]
    if not _says_truth(file) and _channel_of(file) == FIRST_CHANNEL:
        kept.pop()
    last = max((k for k, word in enumerate(kept) if word.isdigit()), default=0)
    if last and kept[last - 1] == FRAME:
        del kept[last - 1]
    return tuple(kept)


def words_of(file: Path) -> list[str]:
    """The words of a path without its ending, in lower case: letters and digits apart."""
    text = NNUNET.sub(r"\1 \2", str(file.parent / stem_of(file)).lower())
    return re.findall(r"[^\W\d_]+|\d+", text)


def _channel_of(file: Path) -> str | None:
    """The channel that the images of nnU-Net end on; None of others."""
    if not NNUNET.search(str(file.parent).lower()):
        return None
    *_, last = words_of(file)
    return last if CHANNEL.fullmatch(last) else None


def _check_channel(image: Path) -> None:
    """Raise ConfigError for a further channel of an image, in a file of its own."""
    if _channel_of(image) not in (None, FIRST_CHANNEL):
        raise ConfigError(
            f"{image}: is a further channel of an image, in a file of its own, as nnU-Net has "
            "them; here all channels of an image lie in one file. Join them (Fiji: Image, Color, "
            "Merge Channels; Python: tifffile.imwrite(name, numpy.stack(channels), "
            "metadata={'axes': 'CYX'})), or take the other channels out of the folder."
        )


def stem_of(file: Path) -> str:
    """The name of a file without its ending, `.ome.tif` being one."""
    name = file.name.lower()
    ending = next((each for each in ENDINGS if name.endswith(each)), file.suffix)
    return file.name[: len(file.name) - len(ending)]


def _files(folder: Path, left_out: dict[str, list[Path]]) -> Iterator[Path]:
    """Image files, stores and polygons under a folder, relative to it.

    Results of unetflow are no images: folders and stores of them are added to what is `left_out`,
    and so are images of kinds that are not read. Links to folders are followed at the end, into
    each folder once.
    """
    wanted = (*IMAGE_SUFFIXES, *POLYGON_SUFFIXES)
    seen: set[Path] = set()
    tops = [folder]
    for top in tops:
        for place, folders, names in os.walk(top):
            path = Path(place)
            if (real := path.resolve()) in seen:
                folders.clear()
                continue
            seen.add(real)
            unread = [name for name in names if OTHER_KINDS.fullmatch(name) and name[0] != "."]
            made = [name for name in folders if _is_ours(path / name)]
            left_out[OURS] += ((path / name).relative_to(folder) for name in made)
            left_out[UNREAD] += ((path / name).relative_to(folder) for name in unread)
            stores = [name for name in folders if name not in made and is_store(path / name)]
            others = [name for name in folders if name not in (*made, *stores) and name[0] != "."]
            links = [name for name in others if (path / name).is_symlink()]
            tops += (path / name for name in sorted(links))
            folders[:] = sorted(set(others).difference(links))
            for name in [*stores, *(name for name in names if name.lower().endswith(wanted))]:
                if not LITTER.fullmatch(name):
                    yield (path / name).relative_to(folder)


def _is_ours(folder: Path) -> bool:
    of_results = sources_cache(str(folder)).is_file() or (folder / RECORDS).is_dir()
    return of_results or (folder / MADE_BY).is_file()


def _is_truth(file: Path) -> bool:
    return holds_polygons(file) or _says_truth(file)


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
