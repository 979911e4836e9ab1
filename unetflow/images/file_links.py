"""Files that a file names: read from its own folder, and never from elsewhere.

A file from somebody else could name any file of this machine, whose bytes would come out as pixels.
Symbolic links are not named by a file: they are the user's own, and are followed.
"""

import contextlib
import os
from pathlib import Path
from typing import Any, TypeAlias

Met: TypeAlias = set[tuple[Path, str]]
"""Files and datasets in them, "" for all of a file, that were met behind a dataset."""


def leaves(named: str, file: Path) -> bool:
    """Whether a name that a file gives leaves its folder."""
    return not any(_place(named, each).is_relative_to(each) for each in _folders(file))


def check_name(named: str, file: Path) -> None:
    """Raise ValueError for a name that leaves the folder of the file which gives it."""
    if leaves(named, file):
        raise ValueError(
            f"it names the file {named}, which is not in its folder: no pixels are read from "
            "elsewhere. Put that file beside it and name it so, or save all pixels in one file"
        )


def _named(named: str, file: Path, met: Met) -> tuple[Path, Path]:
    """The file that a file names, and the folder from which it does."""
    check_name(named, file)
    for folder in _folders(file):
        if (place := _place(named, folder)).is_file():
            met.add((place, ""))
            return place, folder
    met.add((_place(named, file.parent), ""))
    raise ValueError(f"its pixels lie in {named}, which is not beside it")


def _folders(file: Path) -> tuple[Path, Path]:
    """The folder of a file, and of what it is a link to."""
    return _place("", file.parent), file.resolve().parent


def _place(named: str, folder: Path) -> Path:
    """The path as it is written, `..` taken away; links are not looked at."""
    return Path(os.path.abspath(folder / named))  # noqa: PTH100 (resolve() follows links)


def checked_dataset(dataset: Any, file: Path) -> Any:
    """A dataset of an HDF5 file, whose bytes may lie in others of its folder.

    HDF5 reads what is missing of these as the fill value, and looks for it where the program was
    started too. Raises ValueError for files that are missing or elsewhere.
    """
    return _checked(dataset, file, (), set())


def files_behind(file: Path, dataset: str | None) -> list[Path]:
    """The other files in which pixels of an HDF5 file lie, whether they are there or not.

    Of all its datasets where none is named. Links to other files are followed where one is.
    """
    import h5py

    met: Met = set()

    def note(_: str, node: object) -> None:
        if isinstance(node, h5py.Dataset):
            with contextlib.suppress(Exception):
                _checked(node, file, (), met)

    # what is damaged or names what it may not is not this function's business
    with contextlib.suppress(Exception), h5py.File(file, "r") as opened:
        if dataset is None:
            opened.visititems(note)
        else:
            note(dataset, opened.get(dataset))
    here, own = _place("", file.parent), _place(file.name, file.parent)
    others = sorted({place for place, _ in met} - {own})
    return [
        file.parent / each.relative_to(here) if each.is_relative_to(here) else each
        for each in others
    ]


def _checked(dataset: Any, file: Path, behind: tuple[object, ...], met: Met) -> Any:
    """`behind` are the virtual datasets that it is a source of."""
    import h5py

    found = _place(dataset.file.filename, Path())  # behind a link it is another file than this
    check_name(str(found), file)
    met.add((found, ""))
    folders = [_named(name, found, met)[1] for name, _, _ in dataset.external or ()]
    if folders:
        access = h5py.h5p.create(h5py.h5p.DATASET_ACCESS)
        access.set_efile_prefix(os.fsencode(folders[0]))  # else where the program was started
        owner, name = dataset.file, dataset.name
        dataset.id.close()
        return h5py.Dataset(h5py.h5d.open(owner.id, name.encode(), access))
    if dataset.is_virtual:
        _check_sources(dataset, found, (*behind, (found, dataset.name)), met)
    return dataset


def _check_sources(dataset: Any, file: Path, behind: tuple[object, ...], met: Met) -> None:
    """Those of a virtual dataset, which may be virtual or lie elsewhere themselves."""
    import h5py

    for named, within in dict.fromkeys(each[1:3] for each in dataset.virtual_sources()):
        if "%b" in named + within:
            raise ValueError(f"it counts its sources ({named}); save all pixels in one file")
        source = file if named == "." else _named(named, file, met)[0]
        with h5py.File(source, "r") as opened:
            if within not in opened:
                raise ValueError(f"its pixels lie in {within} of {named}, where there is none")
            key = source, opened[within].name
            if key in behind:
                raise ValueError(f"its pixels lie in {within} of {named}, whose lie in it")
            if key not in met:
                met.add(key)
                _checked(opened[within], source, behind, met)
