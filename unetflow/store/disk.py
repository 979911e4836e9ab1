"""What files take on disk."""

from collections.abc import Iterator, Sequence
from pathlib import Path


def on_disk(paths: Sequence[str | Path]) -> tuple[int, int]:
    """Number and bytes of these files, and of those in these folders; nothing where none is there.

    A symbolic link counts as itself.
    """
    sizes = [size for path in dict.fromkeys(map(Path, paths)) for size in _sizes(path)]
    return len(sizes), sum(sizes)


def _sizes(path: Path) -> Iterator[int]:
    if path.is_dir() and not path.is_symlink():
        for inside in path.iterdir():
            yield from _sizes(inside)
    elif path.is_symlink() or path.exists():
        yield path.lstat().st_size
