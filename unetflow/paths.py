"""Paths that name a dataset inside a file."""

import re
from pathlib import Path


def split_dataset(path: str | Path) -> tuple[Path, str | None]:
    """The file and the dataset in it: `stack.h5:/raw` is (stack.h5, /raw), others have none."""
    match = re.fullmatch(r"(.+\.(?:h5|hdf5|hdf|ilp)):(/?.+)", str(path), re.IGNORECASE)
    return (Path(match[1]), match[2]) if match else (Path(path), None)
