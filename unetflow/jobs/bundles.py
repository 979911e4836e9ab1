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

from unetflow.errors import UnetflowError
from unetflow.jobs.resources import shapes_of
from unetflow.jobs.sheet import Image
from unetflow.receipts import BUNDLES, digest_of_file, receipts_of_images, write_receipt

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


def in_turn(
    do: Callable[..., None],
    images: Sequence[Mapping[str, Any]],
    *,
    bundle: str | Path | None = None,
    **common: Any,
) -> None:
    """Do each image of a bundle, then write the bundle's receipt.

    `images` are the arguments that each image has for itself, `common` those of all. One that
    fails does not keep the others from being done; an error that names all of them follows.
    Without a `bundle` no receipt is written.
    """
    if bundle:
        _take_over(images, Path(bundle))
    if len(images) == 1:
        do(**images[0], **common)
    else:
        _do_all(do, images, common)
    if bundle and str(bundle) != str(images[0]["receipt"]):
        told = {Path(each["receipt"]).stem: _told(each["receipt"]) for each in images}
        write_receipt(bundle, {"images": told})


def _do_all(
    do: Callable[..., None], images: Sequence[Mapping[str, Any]], common: Mapping[str, Any]
) -> None:
    errors = []
    for each in images:
        try:
            do(**each, **common)
        except Exception as error:
            log.exception("%s", error)
            errors.append(error)
    unforeseen = [error for error in errors if not isinstance(error, UnetflowError)]
    if unforeseen:
        raise unforeseen[0]
    if errors:
        raise UnetflowError(
            f"{len(errors)} of {len(images)} images failed, the others are finished:\n"
            + "\n".join(map(str, errors))
        )


def _told(receipt: str | Path) -> dict[str, Any]:
    return {"digest": digest_of_file(receipt), "shape": shapes_of(receipt)[0]}


def _take_over(images: Sequence[Mapping[str, Any]], bundle: Path) -> None:
    """Remove the receipts of other bundles, of another `images_per_job`, that had these images.

    They would say that an image is finished as they left it, whatever is made of it now.
    """
    receipts = [Path(each["receipt"]) for each in images]
    folder = bundle.parent if bundle in receipts else bundle.parent.parent
    suffixes = bundle.name.partition(".")[2]
    for mine in receipts:
        for other in receipts_of_images(folder, mine.name):
            if other != mine:
                if other.parent != folder:
                    of_bundle = f"{other.parent.name}.{suffixes}"
                    other.parent.with_name(of_bundle).unlink(missing_ok=True)
                other.unlink()
