"""Bundles: images that share their jobs.

A slide has jobs of its own. Small images share theirs, at most as many as their dataset's
`images_per_job`, since each job takes seconds to start. Each image has its receipt; that of the
bundle, which is the one that Snakemake knows, is written last.

    images/slide.json                              a slide, its own bundle
    images/bundles/nuclei-train-3fa1c04e7b.json    a bundle, named after the images in it
    images/bundles/nuclei-train-3fa1c04e7b/a.json  one of them
"""

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import cast

from unetflow.jobs.failures import ImagesFailed, told
from unetflow.jobs.faults import failure_by, is_of_file
from unetflow.jobs.resources import shapes_of, spatial_shapes_of
from unetflow.jobs.sheet import Image
from unetflow.provenance.failed import Failure, failure_of, first_failure, write_failure
from unetflow.provenance.receipts import BUNDLES, write_receipt
from unetflow.provenance.records import RunRecord, record_of
from unetflow.provenance.shard_lists import list_of
from unetflow.store.files import digest_of, digest_of_file
from unetflow.tiles.regions import PLANE

logger = logging.getLogger(__name__)

RECEIPT = "receipt"


def bundles_of(
    images: Mapping[str, Image], images_per_job: Mapping[str, int]
) -> dict[str, list[str]]:
    """Names of images by bundle: at most `images_per_job` of a dataset and split, as in the sheet.

    Images with a truth and such without one are apart. Where one image has a job, the bundle has
    the image's name.
    """
    alike: dict[tuple[str, str, bool], list[str]] = {}
    for image in images.values():
        key = image.dataset, image.split, image.truth is not None
        alike.setdefault(key, []).append(image.name)
    bundles: dict[str, list[str]] = {}
    for (dataset, split, _), names in alike.items():
        most = images_per_job.get(dataset, 1)
        if most == 1:
            bundles |= {name: [name] for name in names}
        else:
            for run in _runs(names, most):
                bundles[f"{BUNDLES}/{dataset}-{split}-{digest_of(run)[:10]}"] = run
    return bundles


def _runs(names: Sequence[str], most: int) -> Iterator[list[str]]:
    """Names in runs of at most so many.

    A run that is half full also ends at a name whose digest says so: a row that is put into the
    sheet or taken out changes the runs around it, not all that follow.
    """
    run: list[str] = []
    for name in names:
        run.append(name)
        ends = int(digest_of(name), 16) % max(2, most // 2) == 0
        if len(run) == most or (ends and 2 * len(run) >= most):
            yield run
            run = []
    if run:
        yield run


def write_bundle(receipts: Sequence[Path], output: Path) -> None:
    """The receipt of a bundle, which follows from those of its images; some may have failed."""
    images = {image_of(receipt): _in_bundle(receipt) for receipt in receipts}
    write_receipt(output, {"images": images})


def _in_bundle(receipt: Path) -> dict[str, object]:
    digest = digest_of_file(receipt)
    if failure_of(receipt):
        return {"digest": digest, "failed": True}
    spatial = len(spatial_shapes_of(receipt)[0])
    of_volume = {"spatial": spatial} if spatial > PLANE else {}
    return {"digest": digest, "shape": shapes_of(receipt)[0], **of_volume}


def in_turn(
    do: Callable[..., None],
    images: Mapping[str, Mapping[str, object]],
    *,
    rule: str,
    log: str | Path,
    output: str | Path,
    made: str = RECEIPT,
    finish: Callable[[Sequence[Path], Path], None] = write_bundle,
    **common: object,
) -> None:
    """Do each image of a bundle, then make the bundle's output of theirs.

    `images` are by name the arguments that each has for itself, among them `made`, its file;
    `common` are those of all. An image whose file is at fault gets a failed receipt, and so does
    one of which an earlier stage failed: `unetflow.provenance.failed`; a table of such an image has
    no rows. Another error does not keep the others from being done; ImagesFailed follows, with the
    errors of all. `rule` and `log` are those of the job.
    """
    output = Path(output)
    files = [Path(str(of[made])) for of in images.values()]
    folder = output.parent / image_of(output)
    alone = files == [output]  # its own bundle
    if not alone and {file.parent for file in files} != {folder}:
        raise ValueError(f"{output} is not what the bundle of {', '.join(map(str, files))} makes")
    _take_over(files, output)
    why: dict[str, str] = {}
    for number, (name, of) in enumerate(images.items(), start=1):
        if not alone:
            logger.info("%d of %d: %s", number, len(images), name)
        if failure := first_failure(_receipts_of(of)):
            logger.info("%s: is skipped, because %s failed", name, failure["stage"])
            if made == RECEIPT:
                _leave(of, failure, skipped=rule)
            else:
                finish([], Path(str(of[made])))
            continue
        record = RunRecord(str(of[made]))
        try:
            do(**of, **common)
        except Exception as error:  # nothing of it is kept: its frames hold arrays
            is_result = made == RECEIPT and is_of_file(error, of)
            if alone and not is_result:
                raise
            logger.exception("%s: %s", name, error)
            if is_result:
                logger.warning("%s failed, and the others go on (%s)", name, log)
                _leave(of, failure_by(error, rule, log))
                record.write(failed=True)
            else:
                why[name] = told(error)
    if why:
        raise ImagesFailed(why, len(images) - len(why))
    if not alone:
        finish(files, output)


def _leave(of: Mapping[str, object], failure: Failure, *, skipped: str | None = None) -> None:
    """A failed receipt in place of what the job of an image left before."""
    receipt = Path(str(of[RECEIPT]))
    _forget(receipt)
    if "table" in of:  # of objects
        for suffix in (".parquet", ".csv"):
            Path(str(of["table"])).with_suffix(suffix).unlink(missing_ok=True)
    write_failure(receipt, failure, skipped=skipped)


def _receipts_of(of: Mapping[str, object]) -> Iterator[str | Path]:
    """The receipts that the job of an image reads."""
    for key, value in of.items():
        if key.endswith(f"_{RECEIPT}"):
            yield str(value)
    stored = of.get("stored", [])
    yield from (receipt for _, receipt in cast("Sequence[tuple[str, str]]", stored))


def _forget(receipt: Path) -> None:
    """Remove a receipt and what lies beside it."""
    for left_over in (receipt, record_of(receipt), list_of(receipt)):
        left_over.unlink(missing_ok=True)


def _take_over(files: Sequence[Path], output: Path) -> None:
    """Remove what jobs of another division into bundles left of these images, and those bundles'.

    Their receipts would say that an image is finished as they left it, whatever is made of it now.
    """
    names, ending = {file.name for file in files}, output.name.partition(".")[2]
    stage = output.parent if files == [output] else output.parent.parent
    left = {stage / name for name in names}
    for folder in stage.glob(f"{BUNDLES}/*/"):
        of_mine = {file for file in folder.iterdir() if file.name in names} - set(files)
        if of_mine:
            left |= {*of_mine, folder.with_name(f"{folder.name}.{ending}")}
    for file in left - set(files):
        _forget(file)


def image_of(file: Path) -> str:
    """The image, or the bundle, whose receipt it is: names have no dots."""
    return file.name.partition(".")[0]
