"""Folders of numbered TIFFs: which file is which frame."""

import re
from pathlib import Path

from unetflow.images.opened import Unclear
from unetflow.images.sources import LITTER

TIFF = (".tif", ".tiff")


def tiffs_of(folder: Path) -> list[Path]:
    """The TIFF files of a folder, by name."""
    return [file for file in sorted(folder.iterdir()) if _is_tiff(file)]


def _is_tiff(file: Path) -> bool:
    return file.suffix.lower() in TIFF and not LITTER.fullmatch(file.name)


def numbers_of(file: Path) -> tuple[int, ...]:
    """The numbers in a file's name: time, plane, or both.

    As the Cell Tracking Challenge names them: `t007.tif`, `man_seg007.tif`, `man_seg_007_012.tif`.
    """
    return tuple(map(int, re.findall(r"\d+", file.stem)))


def frame_file(folder: Path, time: int | None, plane: int | None) -> tuple[Path, int | None]:
    """The TIFF of a folder whose numbers are time and plane, and the plane that is left in it.

    Raises Unclear that says which numbers there are.
    """
    numbered: dict[tuple[int, ...], list[Path]] = {}
    for file in tiffs_of(folder):
        numbered.setdefault(numbers_of(file), []).append(file)
    wanted = tuple(n for n in (time, plane) if n is not None)
    if wanted in numbered:
        return _only(numbered[wanted]), None
    if time is not None and (time,) in numbered:
        return _only(numbered[time,]), plane
    if not numbered:
        raise Unclear("it is a folder with neither Zarr nor TIFF files in it", "path")
    there = ", ".join(" ".join(map(str, numbers)) or "nothing" for numbers in list(numbered)[:8])
    pairs = " (time and plane)" if all(len(numbers) == 2 for numbers in numbered) else ""
    asked = " and ".join(
        f"{name} {n}" for name, n in (("time", time), ("plane", plane)) if n is not None
    )
    raise Unclear(
        f"it is a folder with {len(numbered)} TIFF files numbered {there}"
        f"{', ...' if len(numbered) > 8 else ''}{pairs}, "
        + (f"none of them {asked}" if asked else "of which none was chosen"),
        "time",
        "Say which in {}, or name one in the path.",
    )


def _only(files: list[Path]) -> Path:
    """Raises Unclear where several have the numbers that are asked for."""
    if len(files) > 1:
        names = ", ".join(file.name for file in files[:8])
        raise Unclear(
            f"it is a folder in which {len(files)} TIFF files have the same numbers ({names})",
            "path",
            "Name the one that is meant in {}, or put files of each kind into a folder of its own.",
        )
    return files[0]
