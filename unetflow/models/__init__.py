"""Models to start from, by name: `unetflow predict NAME ...`, `model: NAME`, `pretrained: NAME`.

A model is two files of this folder, NAME.safetensors (as a calibration leaves it) and NAME.md, its
card: what it was trained on and by which config, under which licence, how good it is, and what it
is not for. An installed package brings more by an entry point of the group `unetflow.models`, whose
value is the package that the files lie in.
"""

from collections.abc import Iterator
from importlib.metadata import entry_points
from importlib.util import find_spec
from pathlib import Path

GROUP = "unetflow.models"  # of entry points
MODEL, CARD = ".safetensors", ".md"


def shipped() -> dict[str, Path]:
    """The model files that there are, by name."""
    found: dict[str, Path] = {}
    for folder in _folders():
        for path in sorted(folder.glob(f"*{MODEL}")):
            found.setdefault(path.name.removesuffix(MODEL), path)
    return found


def card_of(model: Path) -> str:
    """What a model says of itself, as Markdown. Raises OSError where it has no card."""
    return model.with_suffix(CARD).read_text()


def located(model: str) -> str:
    """The path of a model: that of the shipped one of this name, else what is given.

    A file of the same name in the working folder is meant by its path, as `./NAME`.
    """
    path = shipped().get(model)
    return model if path is None else str(path)


def named(path: str) -> str:
    """What stands for a model file in a config: the name of a shipped one, else its whole path."""
    names = {str(file): name for name, file in shipped().items()}
    return names.get(path, str(Path(path).absolute()))


def known() -> str:
    """For messages: the names that may stand in the place of a path."""
    names = ", ".join(shipped())
    return f"Models that come with unetflow: {names}." if names else ""


def _folders() -> Iterator[Path]:
    yield Path(__file__).parent
    for entry in entry_points(group=GROUP):
        spec = find_spec(entry.value)
        for folder in (spec and spec.submodule_search_locations) or ():
            yield Path(folder)
