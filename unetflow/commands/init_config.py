"""The config that `unetflow init` writes: what was found, and what follows from it."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jinja2 import Environment, PackageLoader, StrictUndefined

from unetflow.commands.init_guesses import Image, Truths
from unetflow.networks import geometry_of

LARGE_PX = 60.0  # median diameter from which a coarser resolution or a deeper network is proposed
WANTED_PX = 45.0
OUTPUT_PX = 276  # side that a patch gives at most, as in the demo
SMALL_PX = 1024  # side of most images that share jobs, and of all at most twice as much
MANY = 12  # images from which they do
AT_ONCE = (8, 32)  # how many, with 16 jobs or more between
FEW_ARE_SMALLER = 0.05  # of the objects
WHY = {
    "instances": "each object has a number of its own, or is a polygon",
    "interior": "one number beside 0: what hangs together is one object",
    "classes": "few numbers, each in several pieces",
}


@dataclass(frozen=True, slots=True)
class Proposal:
    """Sizes for a network and its objects, all but `diameter_px` at the working resolution."""

    diameter_px: float  # of objects in the files, the median; 0 where there are none
    mpp: float | None  # [um/px] working resolution, None: as the files have it
    working_px: int  # the diameter
    depth: int
    tile_px: int
    output_px: int
    min_area_px: int
    images_per_job: int


def proposed(truths: Truths, images: Sequence[Image]) -> Proposal:
    """What follows from sizes.

    Objects over 60 px across are brought to 45 px where the resolution of all images is known,
    else the network has four poolings in place of three. A patch gives what the images allow,
    276 px at most. Smaller objects than a quarter of small ones are none.
    """
    diameters_px = truths.diameters_px
    diameter_px = float(np.median(diameters_px)) if diameters_px.size else 0.0
    mpps = [image.mpp for image in images if image.mpp]
    coarser = diameter_px > LARGE_PX and len(mpps) == len(images)
    wanted = diameter_px / WANTED_PX if coarser else 1.0
    mpp = float(f"{np.median(mpps) * wanted:.2g}") if coarser else None
    factor = mpp / float(np.median(mpps)) if mpp else 1.0
    depth = 3 if diameter_px / factor <= LARGE_PX else 4
    geometry = geometry_of("unet", depth=depth)
    side_px = min(OUTPUT_PX, float(np.median([min(image.shape_px) for image in images])) / factor)
    tile_px = geometry.input_px(max(1, int(side_px) - geometry.step_px[0] + 1))
    small_px = float(np.quantile(diameters_px, FEW_ARE_SMALLER)) if diameters_px.size else 0.0
    return Proposal(
        diameter_px,
        mpp,
        round(diameter_px / factor),
        depth,
        tile_px,
        geometry.output_px(tile_px),
        int(math.pi / 4 * (small_px / factor) ** 2 / 4),
        _images_per_job(images),
    )


def _images_per_job(images: Sequence[Image]) -> int:
    """Each job takes seconds to start, a small image parts of one."""
    sides = [max(image.shape_px) for image in images]
    small = np.median(sides) <= SMALL_PX and max(sides) <= 2 * SMALL_PX
    least, most = AT_ONCE
    return min(most, max(least, len(images) // 16)) if small and len(images) > MANY else 1


def config_text(name: str, folder: Path, sheet: Path, truths: Truths, sizes: Proposal) -> str:
    """The config (YAML) with a comment beside what was guessed."""
    loader = PackageLoader("unetflow.commands", "templates")
    environment = Environment(  # YAML, no HTML: nothing is escaped
        loader=loader, undefined=StrictUndefined, keep_trailing_newline=True, autoescape=False
    )
    text: str = environment.get_template("config.yaml").render(
        name=name,
        title=_quoted(name),
        folder=_quoted(str(folder)),
        sheet=sheet.as_posix(),
        kind=truths.kind,
        why_kind=WHY[truths.kind],
        classes=", ".join(map(_quoted, truths.classes)),
        mpp=sizes.mpp,
        images_per_job=sizes.images_per_job,
        depth=sizes.depth,
        working_px=sizes.working_px,
        tile_px=sizes.tile_px,
        output_px=sizes.output_px,
        min_area_px=sizes.min_area_px,
    )
    return text


def assumed(truths: Truths, sizes: Proposal, images: Sequence[Image]) -> Iterator[str]:
    """What was guessed, a line each."""
    yield f"truth is {truths.kind}: {WHY[truths.kind]}; classes: {', '.join(truths.classes)}"
    at = f", {sizes.working_px} px at {sizes.mpp} um per pixel" if sizes.mpp else ""
    yield f"objects are {sizes.diameter_px:.0f} px across (the median){at}"
    if unknown := sum(image.mpp is None for image in images):
        yield (
            f"{unknown} images do not say their resolution: areas are in pixels, unless the "
            "sheet gets a column mpp (um per pixel)"
        )


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"
