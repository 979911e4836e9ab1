"""What goes on without the images that failed: aggregates, training, exports, the report.

Each path of a store or a receipt names its image: `images/a.ome.zarr`, `truth/bundles/x/a.json`.
"""

import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from unetflow.errors import ModelError
from unetflow.jobs.bundles import image_of
from unetflow.jobs.failures import in_groups
from unetflow.provenance.failed import Failure, failure_of, first_failure
from unetflow.report.handed import RunFiles
from unetflow.store.files import write_whole

log = logging.getLogger(__name__)

ERROR = "error"  # of `prepare: on_failed_training_image`


def those_left(
    *,
    stored: Sequence[Sequence[str]],
    receipts: Sequence[str] = (),
    on_failed: str | None = None,
    **lists: Sequence[str],
) -> dict[str, list[Any]]:
    """These lists of paths without those of images that failed, and `stored` and `receipts`.

    `stored` pairs stores with the receipts that tell of them. Raises ModelError where an image
    failed and `on_failed` is ERROR, or where `images` are given and none is left to learn from.
    """
    told = [*receipts, *(receipt for _, receipt in stored)]
    failed = _failed(told) if on_failed == ERROR else _left_out(told)
    if failed and on_failed == ERROR:
        raise ModelError(
            f"{len(failed)} images that are to be learnt from failed:\n"
            + "\n".join(in_groups({name: of["reason"] for name, of in failed.items()}))
            + "\nMend or replace the files, or take their rows out of the sheet. With prepare: "
            "on_failed_training_image: leave_out networks learn from the others."
        )
    found: dict[str, list[Any]] = {
        name: [path for path in paths if image_of(Path(path)) not in failed]
        for name, paths in lists.items()
    }
    if on_failed and lists.get("images") and not found["images"]:
        raise ModelError("all images that are to be learnt from failed; mend their files")
    found["stored"] = [pair for pair in stored if image_of(Path(pair[0])) not in failed]
    if receipts:
        found["receipts"] = [path for path in receipts if image_of(Path(path)) not in failed]
    return found


def data_left(
    images: Sequence[str],
    truths: Mapping[str, str],
    facts: Sequence[Mapping[str, str]],
) -> dict[str, Any]:
    """Arguments of `unetflow.stages.integrity.write_integrity` without what failed."""
    failed = _left_out([*images, *truths.values()])
    pairs = [
        (receipt, fact)
        for receipt, fact in zip(images, facts, strict=True)
        if failure_of(receipt) is None
    ]
    return {
        "images": [receipt for receipt, _ in pairs],
        "truths": {name: receipt for name, receipt in truths.items() if name not in failed},
        "facts": [fact for _, fact in pairs],
    }


def rows_left(rows: Sequence[Mapping[str, Any]], *keys: str) -> list[Mapping[str, Any]]:
    """Those whose own receipts, which stand by these keys, tell of no failure.

    Another network may have taken the same image.
    """
    return [row for row in rows if not _left_out(row[key] for key in keys)]


def runs_left(runs: Sequence[RunFiles]) -> list[RunFiles]:
    """What the report shows of each run, without the images that failed."""
    return [_run_left(run) for run in runs]


def _run_left(run: RunFiles) -> RunFiles:
    images = {
        name: of
        for name, of in run["images"].items()
        if not first_failure([of["pixels"], of["truth"], of["instances"]])
    }
    first = next(iter(images.values()), None)
    weights = run["weights"]
    if weights and not (Path(weights["map"]) / "zarr.json").exists():
        weights = None  # of an image that failed
    foreground = first["foreground"] if first else None
    return {**run, "images": images, "foreground": foreground, "weights": weights}


def receipts_left(receipts: Mapping[str, Sequence[str]]) -> dict[str, list[str]]:
    """By stage the receipts of what did not fail."""
    return {
        stage: [receipt for receipt in of if failure_of(receipt) is None]
        for stage, of in receipts.items()
    }


def unless_failed(
    do: Callable[..., None],
    *,
    output: str | Path,
    stored: Sequence[Sequence[str]],
    **arguments: object,
) -> None:
    """Export what is stored; where that failed, an empty file, which none takes for a result."""
    failed = _failed(receipt for _, receipt in stored)
    if failed:
        log.warning("%s: is empty, as these failed: %s", output, ", ".join(failed))
        write_whole(output, b"")
    else:
        do(output=output, stored=stored, **arguments)


def _failed(receipts: Iterable[str]) -> dict[str, Failure]:
    """Images that failed, each with why."""
    found: dict[str, Failure] = {}
    for receipt in dict.fromkeys(receipts):
        if (failure := failure_of(receipt)) and image_of(Path(receipt)) not in found:
            found[image_of(Path(receipt))] = failure
    return found


def _left_out(receipts: Iterable[str]) -> dict[str, Failure]:
    """The same, and the log names them; the reasons are told at the end of the run."""
    found = _failed(receipts)
    for name, failure in found.items():
        log.info("%s is left out, because %s failed", name, failure["stage"])
    return found
