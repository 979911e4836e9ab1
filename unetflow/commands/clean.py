"""Delete results, stores with them: `unetflow clean results` shows what, and `--yes` does it.

Snakemake's `--delete-all-output` knows receipts and tables; stores, checkpoints, run records and
logs are nobody's output. What unetflow did not write is never deleted, but listed.
"""

import argparse
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from unetflow.commands.parsers import command_parser
from unetflow.errors import StoreError
from unetflow.jobs.written import written_in
from unetflow.store.locks import writers_below

EXAMPLES = (
    "results",
    "results --only predictions report",
    "results --only predictions --yes",
)
SHOWN = 10  # files of others that are named
UNITS = ("bytes", "kB", "MB", "GB", "TB")


def delete(results: Path, files: Sequence[Path]) -> None:
    """Delete these files, receipts first, and the folders that are empty then.

    A kill halfway leaves no receipt of a store that is gone.
    """
    for path in sorted(files, key=lambda path: ".zarr/" in path.as_posix()):
        path.unlink()
    folders = {parent for path in files for parent in path.parents if parent != results.parent}
    for folder in sorted(folders, key=lambda path: len(path.parts), reverse=True):
        if folder.is_relative_to(results):
            with suppress(OSError):  # others have something in it
                folder.rmdir()


def _parts(results: Path, only: Sequence[str]) -> list[Path]:
    """The folders and files of the results that are meant. Raises StoreError."""
    if not results.is_dir():
        raise StoreError(f"{results}: is no folder. Name the one that the config calls results.")
    parts = [results / name for name in only] or [results]
    for name, part in zip(only, parts, strict=False):
        if not part.exists() or not part.resolve().is_relative_to(results.resolve()):
            raise StoreError(f"{part}: there is no such part of {results} to delete.")
        if part.resolve() == results.resolve():  # as an empty variable of a shell does
            raise StoreError(
                f"--only {name!r} names all of {results}. Name a part, such as predictions, or "
                "leave --only out to delete everything."
            )
    return parts


def _shown(results: Path, ours: Sequence[Path]) -> None:
    """Of each part of the results how many files of which size."""
    counts: Counter[str] = Counter()
    sizes: Counter[str] = Counter()
    for path in ours:
        inside = path.relative_to(results).parts
        stores = [k for k, name in enumerate(inside) if name.endswith(".zarr")]
        part = "/".join(inside[: stores[0]]) + " (stores)" if stores else "/".join(inside[:-1])
        counts[part] += 1
        sizes[part] += path.stat().st_size
    for part in sorted(counts):
        print(f"{_in_words(sizes[part]):>10}  {counts[part]:>7} files  {results / part}")
    print(f"{_in_words(sizes.total()):>10}  {counts.total():>7} files  in all")


def _in_words(size_bytes: float) -> str:
    for unit in UNITS[:-1]:
        if size_bytes < 1000:
            return f"{size_bytes:.3g} {unit}"
        size_bytes /= 1000
    return f"{size_bytes:.3g} {UNITS[-1]}"


def main(arguments: Sequence[str] | None = None, *, prog: str) -> int:
    """The command. Raises StoreError where nothing is to be deleted, or while it is written."""
    options = parser_of(prog).parse_args(arguments)
    results: Path = options.results
    parts = _parts(results, options.only)
    found = [
        [path for path in files if any(path.is_relative_to(part) for part in parts)]
        for files in written_in(results)
    ]
    ours, others = found
    if writers := [writer for part in parts for writer in writers_below(part)]:
        raise StoreError(
            f"{results}: is being written by {', '.join(writers)}. Wait until that has ended, or "
            "stop it, and run the same command again."
        )
    _shown(results, ours)
    if others:
        print(f"\nnot written by unetflow, and left: {len(others)} files, such as")
        for path in others[:SHOWN]:
            print(f"    {path}")
    if not ours:
        print("\nnothing to delete")
    elif options.yes:
        delete(results, ours)
        print(f"\ndeleted {len(ours)} files")
    else:
        print("\nnothing is deleted yet: the same command with --yes does it")
    return 0


def parser_of(prog: str) -> argparse.ArgumentParser:
    """What reads the arguments of the command, which is called as `prog`."""
    parser = command_parser(prog, __doc__, EXAMPLES)
    parser.add_argument("results", type=Path, help="the folder that the config calls results")
    parser.add_argument(
        "--only", nargs="+", default=[], metavar="PART", help="as predictions/unet or report"
    )
    parser.add_argument("--yes", action="store_true", help="delete what is shown")
    return parser
