"""Bundles: images that share their jobs.

A slide has jobs of its own. Small images share theirs, as many as their dataset's `images_per_job`,
since each job takes seconds to start. Each image has its receipt; that of the bundle, which is the
one that Snakemake knows, is written last.

    images/slide.json                       a slide, its own bundle
    images/bundles/nuclei-train-0.json      a bundle
    images/bundles/nuclei-train-0/a.json    one of its images
"""

import logging
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from unetflow.errors import StoreError, UnetflowError
from unetflow.jobs.resources import shapes_of
from unetflow.jobs.sheet import Image
from unetflow.receipts import (
    BUNDLES,
    bundle_of,
    digest_of_file,
    read_receipt,
    record_of,
    write_receipt,
)

log = logging.getLogger(__name__)


def bundles_of(
    images: Mapping[str, Image], images_per_job: Mapping[str, int]
) -> dict[str, list[str]]:
    """Names of images by bundle: at most `images_per_job` of a dataset and split, as in the sheet.

    Images with a truth and such without one are apart. Where one image has a job, the bundle has
    the image's name.
    """
    alike: dict[tuple[str, str], dict[bool, list[str]]] = {}
    bundles: dict[str, list[str]] = {}
    for image in images.values():
        if images_per_job.get(image.dataset, 1) == 1:
            bundles[image.name] = [image.name]
        else:
            kinds = alike.setdefault((image.dataset, image.split), {})
            kinds.setdefault(image.truth is not None, []).append(image.name)
    for (dataset, split), kinds in alike.items():
        most = images_per_job[dataset]
        parts = [
            names[start : start + most]
            for names in kinds.values()
            for start in range(0, len(names), most)
        ]
        for number, names in enumerate(parts):
            bundles[f"{BUNDLES}/{dataset}-{split}-{number}"] = names
    return bundles


def write_bundle(receipts: Sequence[Path], output: Path) -> None:
    """The receipt of a bundle, which follows from those of its images."""
    images = {
        image_of(receipt): {"digest": digest_of_file(receipt), "shape": shapes_of(receipt)[0]}
        for receipt in receipts
    }
    write_receipt(output, {"images": images})


def in_turn(
    do: Callable[..., None],
    images: Mapping[str, Mapping[str, Any]],
    *,
    output: str | Path,
    made: str = "receipt",
    finish: Callable[[Sequence[Path], Path], None] = write_bundle,
    **common: Any,
) -> None:
    """Do each image of a bundle, then make the bundle's output of theirs.

    `images` are by name the arguments that each has for itself, among them `made`, its file;
    `common` are those of all. One that fails does not keep the others from being done; an error
    that names all of them follows.
    """
    output = Path(output)
    files = [Path(of[made]) for of in images.values()]
    _take_over(files, output)
    if files == [output]:  # its own bundle
        (alone,) = images.values()
        do(**alone, **common)
    else:
        _do_all(do, images, common)
        finish(files, output)


def _do_all(
    do: Callable[..., None], images: Mapping[str, Mapping[str, Any]], common: Mapping[str, Any]
) -> None:
    failed: list[str] = []
    kind: type[Exception] = UnetflowError
    for number, (name, of) in enumerate(images.items(), start=1):
        log.info("%d of %d: %s", number, len(images), name)
        try:
            do(**of, **common)
        except Exception as error:  # nothing of it is kept: its frames hold arrays
            log.exception("%s: %s", name, error)
            failed.append(f"{name}: {error}")
            kind = kind if isinstance(error, UnetflowError) else RuntimeError
    if failed:
        raise kind(
            f"{len(failed)} of {len(images)} images failed. None of the {len(images)} goes on "
            "until they are mended or taken out of the sheet; with images_per_job: 1 the others "
            "do.\n" + "\n".join(failed)
        )


def _take_over(files: Sequence[Path], output: Path) -> None:
    """Remove what jobs of another division into bundles left of these images.

    Their receipts would say that an image is finished as they left it, whatever is made of it now.
    """
    stage = output.parent if files == [output] else output.parent.parent
    names, ending = {image_of(file) for file in files}, _ending(output)
    left = {stage / f"{name}.{ending}" for name in names}
    for folder in stage.glob(f"{BUNDLES}/*/"):
        there = {file for file in folder.iterdir() if _ending(file) == ending}
        of_mine = {file for file in there if image_of(file) in names}
        left |= there if folder == files[0].parent else of_mine
    for file in left - set(files):
        bundle = bundle_of(file)
        if bundle != output and _tells_of(bundle, image_of(file)):
            bundle.unlink(missing_ok=True)
        file.unlink(missing_ok=True)
        record_of(file).unlink(missing_ok=True)


def image_of(file: Path) -> str:
    """The image whose receipt or table it is: names have no dots."""
    return file.name.partition(".")[0]


def _ending(file: Path) -> str:
    return file.name.partition(".")[2]


def _tells_of(bundle: Path, image: str) -> bool:
    try:
        return image in read_receipt(bundle)["images"]
    except (StoreError, KeyError, TypeError):
        return False
