"""What made each output: recorded by its job, compared while the graph is built.

    results/.made/prepare_image/slide.json   values by name, digests of inputs, how raw files looked

The records lie with the results, so that a change is seen from another clone and working directory
too. What differs from its record, or has none, is made again; its job is cheap where the content
turns out to be the same.
"""

import hashlib
import json
import logging
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import MappingProxyType
from typing import Any, NotRequired, TypedDict

from unetflow.images.sources import files_of, seen, split_dataset
from unetflow.jobs.sources import Sources
from unetflow.provenance.failed import KEY
from unetflow.store.files import write_whole

log = logging.getLogger(__name__)

FOLDER = ".made"
LONG = 2000  # characters of a value that is recorded by its digest
SMALL_BYTES = 2**20  # of a file that is read at each plan
PLACES = ("path",)  # keys that say where a file lies: what it holds counts, and which dataset of it
MASKS = ("tissue",)  # keys that do, or say how what the file would hold is found
FOUND = (None, "threshold")
SPARED = ("prepare_image", "prepare_truth", "weights", "train", "take_model")
"""Rules whose results may be taken away, all of a job's: they are made anew when needed."""


class RawSource(TypedDict):
    """A raw file that a job reads, and where its digest stands."""

    path: str
    time: int | None
    plane: int | None
    volume: NotRequired[bool]  # all planes of it; left out of images
    receipt: str
    key: str  # in the receipt's `sources`


class Making(TypedDict):
    """What makes the outputs of a job."""

    rule: str
    results: str
    record: str
    output: str  # the first one
    receipt: str  # the one of that name, else the same
    others: list[str]  # outputs
    values: dict[str, Any]  # by name: parameters, and the digest of the code
    sources: dict[str, RawSource]
    stores: list[str]  # that its receipts speak of, and files of an image beside them


def making_of(
    rule: str,
    results: str,
    wildcards: Sequence[str],
    values: Mapping[str, object],
    *,
    output: str,
    receipt: str | None = None,
    others: Iterable[str] = (),
    sources: Mapping[str, RawSource],
    stores: Iterable[str],
) -> Making:
    """What makes the outputs of a job; values as JSON has them, wherever the results lie."""
    plain = {name: _plain(value, f"{results}/") for name, value in values.items()}
    return {
        "rule": rule,
        "results": results,
        "record": "/".join([results, FOLDER, rule, *wildcards]) + ".json",
        "output": output,
        "receipt": receipt or output,
        "others": list(others),
        "values": {name: _short(value) for name, value in plain.items()},
        "sources": dict(sources),
        "stores": list(stores),
    }


def _plain(value: object, folder: str) -> Any:
    if isinstance(value, str):
        return value.removeprefix(folder)
    if isinstance(value, Mapping):
        return {
            str(k): _file(v) if _is_file(k, v) else _plain(v, folder)
            for k, v in value.items()
            if k not in PLACES or split_dataset(str(v))[1]
        }
    if isinstance(value, Sequence):
        return [_plain(each, folder) for each in value]
    return value


def _is_file(key: object, value: object) -> bool:
    return key in PLACES or (key in MASKS and value not in FOUND)


def _file(path: object) -> str:
    """A file wherever it lies, and which dataset in it is meant."""
    _, dataset = split_dataset(str(path))
    return "a file" if dataset is None else f"dataset {dataset.strip('/')} of a file"


def _short(value: Any) -> Any:
    if value is None or isinstance(value, int | float):
        return value
    text = json.dumps(value, sort_keys=True)
    if len(text) <= LONG:
        return value
    return f"digest {hashlib.blake2b(text.encode(), digest_size=16).hexdigest()}"


@contextmanager
def recorded(making: Making, inputs: Iterable[str]) -> Iterator[None]:
    """Record what made the outputs of a job that ends well; of one that breaks off, that it did."""
    record = Path(making["record"])
    attempts = _attempts(record) + 1
    write_whole(record, json.dumps({"attempts": attempts}).encode())
    looked = {name: _look(source) for name, source in making["sources"].items()}
    raw = {str(split_dataset(source["path"])[0]) for source in making["sources"].values()}
    files = [file for file in dict.fromkeys(inputs) if file not in raw and Path(file).is_file()]
    content: dict[str, object] = {
        "attempts": attempts,
        "values": making["values"],
        "inputs": {
            file.removeprefix(f"{making['results']}/"): _digest(Path(file)) for file in files
        },
        "sources": looked,
    }
    yield
    output = Path(making["output"])
    for name, source in making["sources"].items():
        looked[name]["digest"] = _digest_in(source)
    ours = output.is_relative_to(making["results"])  # what the demo draws may be changed
    content["output"] = _digest_of_small(output) if ours else None
    record.parent.mkdir(parents=True, exist_ok=True)
    write_whole(record, json.dumps(content, indent=1, sort_keys=True).encode())


def _attempts(record: Path) -> int:
    """How often the job was tried since it last ended well."""
    before = _content(record)
    return 0 if "values" in before else int(before.get("attempts", 0))


def _look(source: RawSource) -> dict[str, object]:
    """How a raw file and those behind it look."""
    files = files_of(source["path"], **_frame_of(source))
    return {"files": _named(source["path"], files), "seen": seen(files)}


def _digest_in(source: RawSource) -> str | None:
    """Digest of a raw file, as its receipt knows it; None of one that failed, or is not there."""
    digests: dict[str, str] = _content(Path(source["receipt"])).get("sources", {})
    return digests.get(source["key"])


def _frame_of(source: RawSource) -> dict[str, Any]:
    """Which files of a folder are meant, as of `unetflow.images.sources.files_of`."""
    volume = source.get("volume", False)
    return {"time": source["time"], "plane": source["plane"], "volume": volume}


def _named(path: str, files: Sequence[Path]) -> list[str] | None:
    """The files, None for those of a folder, which are listed anew."""
    return None if Path(path).is_dir() else [str(file) for file in files]


class Makings:
    """Compares what made each output with what would make it now."""

    def __init__(self, results: str, sources: Sources) -> None:
        self._results, self._sources = results, sources
        self._digests: dict[str, str] = {}  # of inputs, which many jobs share
        self._told: set[tuple[str, str]] = set()

    def differs(
        self, making: Making, harmless: Mapping[str, Callable[[], bool]] = MappingProxyType({})
    ) -> bool:
        """Whether a job is to run again; each kind of reason is told once.

        A job that never ran does so anyway. But of one whose output was taken away, or that broke
        off, Snakemake asks for it only where what is made of it is made again, too. `harmless` says
        by the name of a value whether another one would change nothing; it is asked only where that
        value differs.
        """
        record = _content(Path(making["record"]))
        if "values" not in record and not Path(making["output"]).exists():
            return bool(record)  # it broke off
        difference = self._difference(record, making, harmless)
        if difference is None:
            return False
        kind, text = difference
        if (making["rule"], kind) not in self._told:
            self._told.add((making["rule"], kind))
            log.warning("%s runs again: %s (%s)", making["rule"], text, making["output"])
        return True

    def _difference(
        self,
        record: Mapping[str, Any],
        making: Making,
        harmless: Mapping[str, Callable[[], bool]],
    ) -> tuple[str, str] | None:
        """Of what kind the first difference is, and which."""
        try:
            before, inputs, looked = record["values"], record["inputs"], record["sources"]
            made = record["output"]
        except KeyError:
            return "record", "no record says what made its output"
        values = making["values"]
        if before != values:
            same = {name for name in values if before.get(name) == values[name]}
            same |= {name for name in harmless if name not in same and harmless[name]()}
            if {*before, *values} - same:
                return _first_difference(_without(before, same), _without(values, same))
        for file, digest in inputs.items():
            now = self._digest_now(file)
            if now is not None and now != digest:
                return "input", f"{file} is another"
        if not Path(making["receipt"]).exists():
            if not _was_taken_away(making):
                return "receipt", f"{Path(making['receipt']).name} is gone"
        else:
            output = Path(making["output"])
            if made is not None and output.exists() and made != _digest_of_small(output):
                return "output", "its output was changed"
            for store in making["stores"]:
                if not _is_there(store) and not _may_lack(making, store):
                    return "store", f"{store} is gone"
        for name, source in making["sources"].items():
            if name not in looked or self._is_other(source, looked[name]):
                return "source", f"{source['path']} holds something else"
        return None

    def _digest_now(self, file: str) -> str | None:
        """Of an input, None for one that is not there and will be made."""
        if file not in self._digests:
            path = Path(file) if Path(file).is_absolute() else Path(self._results, file)
            path = path if path.exists() else Path(file)  # of the user, from the working directory
            if not path.exists():
                return None
            small = _digest_of_small(path)
            self._digests[file] = self._sources.digest(path, _digest) if small is None else small
        return self._digests[file]

    def _is_other(self, source: RawSource, looked: Mapping[str, Any]) -> bool:
        """Whether a raw file holds something else than its receipt says.

        It is read only where it looks different.
        """
        path, frame = source["path"], _frame_of(source)
        try:
            named = looked["files"]
            moved = bool(named) and named[0] != str(split_dataset(path)[0])
            there = [Path(n) for n in named or ()]
            if not named or moved:
                there = files_of(path, **frame)
            if seen(there) == looked["seen"]:
                return False
            # the record has it, too, as the receipt may be taken away
            held = looked["digest"] if "digest" in looked else _digest_in(source)
            return held is None or self._sources.raw_digest(path, **frame) != held
        except (OSError, ValueError, KeyError, TypeError):
            return True


def has_failed(output: str | Path) -> bool:
    """Whether a stage itself failed on an image: that of a receipt, or one of a bundle's."""
    path = Path(output)
    receipts = [path, *path.with_suffix("").glob("*.json")] if path.suffix == ".json" else []
    return any(_content(receipt).keys() & {KEY, "skipped"} == {KEY} for receipt in receipts)


def _was_taken_away(making: Making) -> bool:
    """Whether all that a job left is gone, on purpose, and nothing needs it; `unetflow clean`."""
    if not Path(making["output"]).is_relative_to(making["results"]):
        return True  # what the demo draws
    left = [making["output"], *making["others"], *making["stores"]]
    return making["rule"] in SPARED and not any(Path(path).exists() for path in left)


def _is_there(store: str) -> bool:
    """Whether there is a store, or a file."""
    return Path(store, "zarr.json").exists() if ".zarr" in store else Path(store).exists()


def _may_lack(making: Making, store: str) -> bool:
    """Whether the image of a store failed, so that there need be none."""
    parts = Path(store.removeprefix(f"{making['results']}/")).parts
    image = next(part.partition(".")[0] for part in parts if "." in part)  # names have no dots
    content = _content(Path(making["output"]))
    images = content.get("images")
    return KEY in (images.get(image, content) if isinstance(images, dict) else content)


def _content(receipt: Path) -> dict[str, Any]:
    """Of a small JSON file, nothing where it is none."""
    try:
        content = json.loads(receipt.read_text())
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}


def is_readable(receipt: str | Path) -> bool:
    """Whether an image was prepared, and no place of it was unreadable."""
    try:
        return bool(json.loads(Path(receipt).read_text())["unreadable"] == [])
    except (OSError, ValueError, KeyError, TypeError):
        return False


def _without(values: Mapping[str, Any], names: set[str]) -> dict[str, Any]:
    return {name: value for name, value in values.items() if name not in names}


def _first_difference(before: Mapping[str, Any], now: Mapping[str, Any]) -> tuple[str, str]:
    """The name of the first value that differs, and how."""
    names = [
        name
        for name in {**before, **now}
        if (name in before) != (name in now) or before[name] != now[name]
    ]
    name = names[0]
    if name == "code":
        return name, "its code is another"
    old, new = before.get(name), now.get(name)
    if old is new is None:
        return name, f"{name} is {'new' if name in now else 'gone'}"
    if isinstance(old, dict) and isinstance(new, dict):
        _, text = _first_difference(old, new)
        return name, f"{name}.{text}"
    if str(old).startswith("digest ") or isinstance(old, list | dict):
        return name, f"{name} differs"
    return name, f"{name} was {json.dumps(old)} and is {json.dumps(new)}"


def _digest_of_small(path: Path) -> str | None:
    """The digest of a small file, None for a large one."""
    return None if path.stat().st_size > SMALL_BYTES else _digest(path)


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "blake2b").hexdigest()[:32]
