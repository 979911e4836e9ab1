"""What the prepared data are like, image by image, and what looks wrong, before any training.

Everything comes from the receipts of preparation: no pixel is read again.
"""

import logging
import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TypedDict

import pandas as pd

from unetflow.provenance.receipts import read_receipt
from unetflow.provenance.records import RunRecord
from unetflow.provenance.schemas import ImageReceipt, TruthReceipt
from unetflow.store.files import write_whole

log = logging.getLogger(__name__)


INTEGRITY_COLUMNS = (
    "image",
    "dataset",
    "split",
    "group",
    "height_px",
    "width_px",
    "channels",
    "dtype",
    "mpp",
    "lowest",
    "highest",
    "mean",
    "deviation",
    "unreadable_places",
    "tissue_share",
    "instances",
    "diameter_px",
    "object_share",
    "class_shares",
    "ignored_share",
    "touching_px",
    "problems",
)
APART = "; "  # between the problems of an image, and in none of them
SHOWN = 3  # images of the same pixels that are named
SUSPICIOUS_SHARE = 0.4  # interiors of EM cover some 80 % of an image, membranes 20 %
SUITED_PX = (25, 60)  # diameters of objects that networks of few poolings see whole and in detail
AIMED_PX = 40
LEAST_OBJECTS = 4  # that a tile should show side by side
NM_BELOW = 0.05  # [um/px] what is finer is shown in nm
Traits = dict[str, str | float | None]
"""What an image should share with the others of its dataset."""
Cells = dict[str, str | float | None]
"""A row of the table, by column."""


class Fact(TypedDict):
    """What the sheet says of an image."""

    image: str
    dataset: str
    split: str
    group: str
    kind: str  # of its truth


def write_integrity(
    *,
    images: Sequence[str | Path],
    truths: Mapping[str, str | Path],
    facts: Sequence[Fact],
    table: str | Path,
) -> None:
    """Rule integrity: a row per image as CSV, what looks wrong in its last column.

    `images` are receipts in the order of `facts`, `truths` those of annotated images by name.
    Looks for duplicates (the same pixels, above all on both sides of a split), empty truths,
    constant images, truths that look inverted, and images unlike the others of their dataset.
    Nothing is an error: the user decides.
    """
    record = RunRecord(table)
    receipts = {
        fact["image"]: read_receipt(path, ImageReceipt)
        for fact, path in zip(facts, images, strict=True)
    }
    annotated = {name: read_receipt(path, TruthReceipt) for name, path in truths.items()}
    usual = _usual(facts, receipts)
    same_pixels: dict[str, dict[str, list[str]]] = {}  # names by digest and split
    for fact in facts:
        by_split = same_pixels.setdefault(_digest(receipts[fact["image"]]), {})
        by_split.setdefault(fact["split"], []).append(fact["image"])
    rows = []
    for fact in facts:
        name = fact["image"]
        image, truth = receipts[name], annotated.get(name)
        found = [
            *_problems(fact, image, truth),
            *_unlike_others(image, usual[fact["dataset"]]),
            *_duplicates(fact, same_pixels[_digest(image)]),
        ]
        for problem in found:
            log.warning("%s: %s", name, problem)
        told = APART.join(problem.replace(APART, ", ") for problem in found)
        rows.append({**_describe(fact, image, truth), "problems": told})
    columns = [*INTEGRITY_COLUMNS]
    if any("depth_px" in row for row in rows):
        columns.insert(columns.index("height_px"), "depth_px")
    frame = pd.DataFrame(rows, columns=columns, dtype=object)  # counts stay whole numbers
    write_whole(table, frame.to_csv(index=False, lineterminator="\n").encode())
    for line in _resolutions(frame):
        log.warning(line)
    log.info("%s: %d of %d images look odd", table, (frame["problems"] != "").sum(), len(frame))
    record.write()


def _describe(fact: Fact, image: ImageReceipt, truth: TruthReceipt | None) -> Cells:
    channels, *depth, height, width = image["levels"][0]["shape"]
    area_px = math.prod([*depth, height, width])
    row: Cells = {
        "image": fact["image"],
        "dataset": fact["dataset"],
        "split": fact["split"],
        "group": fact["group"],
        "height_px": height,
        "width_px": width,
        "channels": channels,
        "dtype": image["dtype"],
        "mpp": image["levels"][0]["mpp"],
        "lowest": _joined(image["pixels"]["lowest"]),
        "highest": _joined(image["pixels"]["highest"]),
        "mean": _joined(image["pixels"]["mean"]),
        "deviation": _joined(image["pixels"]["deviation"]),
        "unreadable_places": len(image["unreadable"]),
    }
    if depth:
        row["depth_px"] = depth[0]
    if image["tissue"]:
        row["tissue_share"] = round(image["tissue"]["share"], 4)
    if truth is not None:
        row |= {
            "instances": truth["instances"],
            "diameter_px": _diameter_px(truth, image["levels"][0].get("spacing")),
            "object_share": round(truth["object_px"] / area_px, 4),
            "class_shares": ", ".join(
                f"{name} {count / area_px:.4f}" for name, count in truth["class_px"].items()
            ),
            "ignored_share": round(truth["ignored_px"] / area_px, 4),
            "touching_px": truth["touching_px"],
        }
    return row


def _diameter_px(truth: TruthReceipt, spacing: Sequence[float] | None) -> float | None:
    """Of a circle of the mean area of an image's objects, of a volume's of a ball, in its width."""
    count = truth["instances"]
    if count and spacing:
        cubic_px = truth["object_px"] * math.prod(step / spacing[-1] for step in spacing)
        return round(math.cbrt(6 * cubic_px / (math.pi * count)), 1)
    return round(math.sqrt(4 * truth["object_px"] / (math.pi * count)), 1) if count else None


def _resolutions(frame: pd.DataFrame) -> Iterator[str]:
    """Of each dataset whose objects are small or large what would suit networks better.

    The range is a start and no law: what is larger than the context of a network falls apart, what
    is smaller than a few pixels has no shape.
    """
    of_images = frame[frame["depth_px"].isna()] if "depth_px" in frame else frame
    known_sizes = of_images[of_images["diameter_px"].notna()]
    for dataset, rows in known_sizes.groupby("dataset", sort=False):
        diameter_px = float(rows["diameter_px"].astype(float).median())
        if SUITED_PX[0] <= diameter_px <= SUITED_PX[1] or not diameter_px:
            continue
        factor = diameter_px / AIMED_PX
        known = rows["mpp"].dropna().unique()
        want = (
            f"mpp: {float(known[0]) * factor:.3g} in the dataset"
            if len(known) == 1
            else f"{factor:.3g} times the mpp of the images (give theirs in the sheet's column mpp)"
        )
        few = "where the files have that detail; a network of few poolings is enough"
        many = "which also takes less time"
        yield (
            f"dataset {dataset}: objects are {diameter_px:.0f} px wide (median over images), not "
            f"{SUITED_PX[0]} to {SUITED_PX[1]} px: try {want}, {few if factor < 1 else many}. A "
            f"tile should show {LEAST_OBJECTS} of them side by side: output of "
            f"{LEAST_OBJECTS * diameter_px:.0f} px as they are, {LEAST_OBJECTS * AIMED_PX} px then."
        )


def _problems(fact: Fact, image: ImageReceipt, truth: TruthReceipt | None) -> Iterator[str]:
    constant = [k for k, deviation in enumerate(image["pixels"]["deviation"]) if deviation == 0]
    if constant:
        yield f"constant in channel {', '.join(map(str, constant))}"
    yield from (f"the {name} of its row does not apply to it" for name in image["not_applied"])
    yield from image.get("odd", [])
    if image["unreadable"]:
        yield f"{len(image['unreadable'])} places cannot be read"
    if image["tissue"] and not image["tissue"]["share"]:
        yield f"no tissue (by {image['tissue']['by']})"
    elif image["tissue"] and image["tissue"]["by"] not in ("mask", "threshold"):
        yield image["tissue"]["by"]
    if truth is None:
        return
    yield from truth["warnings"]
    _, *sides = image["levels"][0]["shape"]
    yield from (
        f"nothing of class {name}"
        for name, count in truth["class_px"].items()
        if not count and truth["object_px"]
    )
    annotated_px = math.prod(sides) - truth["ignored_px"]
    if fact["kind"] == "interior" and 0 < truth["object_px"] < SUSPICIOUS_SHARE * annotated_px:
        yield (
            f"only {truth['object_px'] / annotated_px:.0%} of the annotated pixels are inside: the "
            "truth may be inverted (0 must be membrane)"
        )


def _traits(image: ImageReceipt) -> Traits:
    level = image["levels"][0]
    resolution = level["mpp"] and _shown(level["mpp"])
    traits: Traits = {"type": image["dtype"], "channels": level["shape"][0]}
    traits["resolution"] = resolution
    if spacing := level.get("spacing"):
        traits["distance of planes"] = f"{spacing[0] / spacing[-1]:.3g} px"
    return traits


def _shown(mpp: float) -> str:
    """As `unetflow.images.units` has it: that would rerun the rule with each edit of a reader."""
    return f"{mpp * 1e3:.4g} nm/px" if mpp < NM_BELOW else f"{mpp:.4g} um/px"


def _usual(facts: Sequence[Fact], receipts: Mapping[str, ImageReceipt]) -> dict[str, Traits]:
    """By dataset the traits that more than half of its images share."""
    counted: dict[str, dict[str, Counter[str | float | None]]] = {}
    for fact in facts:
        traits = counted.setdefault(fact["dataset"], {})
        for name, value in _traits(receipts[fact["image"]]).items():
            traits.setdefault(name, Counter())[value] += 1
    return {
        dataset: {
            name: value
            for name, counter in traits.items()
            for value, count in counter.most_common(1)
            if 2 * count > counter.total()
        }
        for dataset, traits in counted.items()
    }


def _unlike_others(image: ImageReceipt, usual: Traits) -> Iterator[str]:
    """Where an image differs from most of its dataset in type, channels or resolution."""
    for name, value in _traits(image).items():
        if name in usual and value != usual[name]:
            own, others = ("not known" if each is None else each for each in (value, usual[name]))
            yield f"{name} is {own}, of most of the dataset {others}"


def _duplicates(fact: Fact, same_pixels: Mapping[str, Sequence[str]]) -> Iterator[str]:
    """A line for each split with others of the same pixels: of a thousand blank images as well."""
    for split, names in same_pixels.items():
        own = split == fact["split"]
        shown = [name for name in names[: SHOWN + 1] if name != fact["image"]][:SHOWN]
        more = len(names) - own - len(shown)
        if shown:
            yield (
                f"the same pixels as {', '.join(shown)}{f' and {more} more' if more else ''}"
                f"{'' if own else f' of split {split}'}"
            )


def _digest(image: ImageReceipt) -> str:
    return image["levels"][0]["digest"]


def _joined(values: Sequence[float]) -> str:
    return " ".join(f"{value:.6g}" for value in values)
