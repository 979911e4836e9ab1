"""What the product wrote in a results folder, and what it did not.

A file is the product's if it lies where a rule writes it, under the name that the rule gives it,
and is named after an image, a bundle or a stack that a job has left its traces of: a run record, a
log, or a store. Of a store it is metadata, shards and what a kill left of them. All else is
somebody's own, and so is what is reached by a symbolic link.
"""

import json
import re
from collections.abc import Iterator
from pathlib import Path

from unetflow.provenance.receipts import BUNDLES

RULES = (
    *(
        "draw_demo",
        "prepare_image",
        "prepare_truth",
        "integrity",
        "weights",
        "statistics",
        "train",
        "take_model",
    ),
    *("predict", "predict_begin", "predict_part", "refine", "calibrate", "instances"),
    *("segmented", "evaluate", "evaluate_stack", "collect", "pictures", "tiles", "report"),
    *("outcome", "verdict"),
    *("export_geojson", "export_labels", "export_overlay", "export_stack"),
)
WORD = r"[A-Za-z0-9][A-Za-z0-9_-]*"  # of an experiment, a weighting, a bundle
NAMED = rf"(?P<name>{WORD})"  # must be known
ONE = rf"({BUNDLES}/({WORD}/)?)?{NAMED}"  # an image, a bundle, an image of a bundle
RUN = rf"{WORD}/fold(\d+|all|ensemble)"
RULE = f"({'|'.join(RULES)})"
RECEIPT = r"(\.run|\.shards)?\.json"
FILES = [
    re.compile(pattern)
    for pattern in (
        rf"(images|truth|weights/{WORD})/{ONE}{RECEIPT}",
        rf"predictions/{RUN}/(foreground|refined|instances)/{ONE}{RECEIPT}",
        rf"predictions/{RUN}/parts/{ONE}\.(begun|\d+of\d+){RECEIPT}",
        rf"predictions/{RUN}/objects/{NAMED}\.(csv|parquet)",
        rf"(statistics|calibration)/{RUN}{RECEIPT}",
        rf"calibration/{RUN}/(tried\.csv|deploy\.safetensors)",
        rf"models/{RUN}/(model\.safetensors|training\.csv|patches\.npz|model{RECEIPT})",
        rf"models/{RUN}/checkpoints/\w+\.pt",
        rf"(pictures|tiles)/{RUN}/{ONE}{RECEIPT}",
        rf"report/tiles/{RUN}/{NAMED}/\w+/\d+/\d+_\d+\.(jpg|png)",
        rf"evaluation/{RUN}/(stacks/)?{ONE}(\.csv|{RECEIPT})",
        r"evaluation/(metrics|summary|stacks)(\.csv|\.run\.json)",
        rf"exports/{RUN}/{NAMED}\.(geojson\.gz|labels\.tif|overlay\.ome\.tif|stack\.tif)",
        r"report/(figures/[\w-]+\.(svg|pdf)|tables/[\w-]+\.csv|\w+/\.snakemake_timestamp)",
        r"report/(index\.html|headline\.txt)",
        r"outcome(\.jobs)?\.tsv|verdict\.txt|provenance\.json",
        r"(integrity|segmented)(\.csv|\.run\.json)|\.sources\.json",
        rf"logs/{RULE}(/.+)?(\.log|\.failed\.json)",
        rf"benchmarks/{RULE}(/.+)?\.tsv",
        rf"\.made/{RULE}(/.+)?\.json",
    )
]
STORE = re.compile(rf"(images|weights/{WORD}|predictions/{RUN})/{NAMED}(\.ome)?\.zarr")
ARRAY = (
    r"(\d+|(foreground|refined)(_\d+)?|heads|tissue|unsplit"
    r"|labels/(truth|ignore|class|instances)/\d+)"
)
OF_STORE = re.compile(
    rf"({ARRAY}/|labels/(truth/|ignore/|class/|instances/)?)?zarr\.json"
    rf"|({ARRAY}/)?c(/\d+)+|unreadable/[\d.]+\.json"
)
TEMPORARY = re.compile(
    r"\.(.+?)\.(?:[0-9]+@.*\.[0-9a-f]{8}\.partial|[0-9a-f]{8}|partial)"
)  # what a kill leaves of a file
LEFT_OF_ARRAY = re.compile(r"(.*/)?\.(trash-[^/]+-[0-9a-f]{32}|[^/]+\.lock)/.*")


def written_in(results: Path) -> tuple[list[Path], list[Path]]:
    """Files under a results folder: those of the product, and all others, each in order."""
    files = sorted(_files_of(results))
    stores = _stores_of(results, files)
    known = {path.name.partition(".")[0] for path in stores} | _names_in(results, files)
    ours: list[Path] = []
    others: list[Path] = []
    for path in files:
        store = next((parent for parent in path.parents if parent in stores), None)
        mine = _is_of_store(path, store) if store else _is_of_rule(path, results, known)
        (ours if mine and not path.is_symlink() else others).append(path)
    return ours, others


def _files_of(folder: Path) -> Iterator[Path]:
    """All files below a folder; a symbolic link is one, wherever it leads."""
    for path in folder.iterdir():
        if path.is_dir() and not path.is_symlink():
            yield from _files_of(path)
        else:
            yield path


def _stores_of(results: Path, files: list[Path]) -> set[Path]:
    """Folders where stores lie in which there is an array of the product."""
    found = set()
    for path in files:
        if path.name != "zarr.json":
            continue
        for parent in path.parents:
            if STORE.fullmatch(parent.relative_to(results).as_posix()):
                if _is_our_array(path):
                    found.add(parent)
                break
            if parent == results:
                break
    return found


def _is_our_array(metadata: Path) -> bool:
    try:
        return "decided_by" in json.loads(metadata.read_text())["attributes"]["unetflow"]
    except (OSError, ValueError, LookupError, TypeError):
        return False


def _names_in(results: Path, files: list[Path]) -> set[str]:
    """Names of images, bundles and stacks that run records, logs or folders of bundles have."""
    names = set()
    for path in files:
        log = re.fullmatch(rf"logs/{RULE}/.+\.log", path.relative_to(results).as_posix())
        if log or path.name.endswith(".run.json"):
            names.add(path.name.partition(".")[0])
        if path.parent.parent.name == BUNDLES:
            names.add(path.parent.name)
    return names


def _is_of_store(path: Path, store: Path) -> bool:
    inside = path.relative_to(store)
    whole = TEMPORARY.fullmatch(path.name)
    name = (inside.with_name(whole[1]) if whole else inside).as_posix()
    return bool(OF_STORE.fullmatch(name) or LEFT_OF_ARRAY.fullmatch(inside.as_posix()))


def _is_of_rule(path: Path, results: Path, known: set[str]) -> bool:
    inside = path.relative_to(results)
    whole = TEMPORARY.fullmatch(path.name)
    name = (inside.with_name(whole[1]) if whole else inside).as_posix()
    if LEFT_OF_ARRAY.fullmatch(name) and name.startswith(("weights/", "models/")):
        return True  # what is locked there lies in no store
    matches = [match for pattern in FILES if (match := pattern.fullmatch(name))]
    return any(match.groupdict().get("name", "") in known | {""} for match in matches)
