"""Who trains, who validates, who tests: `unetflow split sheet.tsv out.tsv --folds 5`.

Groups stay together, and every part has sparse and crowded images: units (groups, or images without
one) are sorted by the density of their instances, and each goes to the part that lacks most.
"""

import argparse
import csv
import hashlib
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from unetflow.errors import ConfigError
from unetflow.images.polygons import is_geojson, read_polygons
from unetflow.images.slide import Slide
from unetflow.labels.reading import check_lossless, read_truth


@dataclass(frozen=True, slots=True)
class Annotated:
    """An image with truth, and how crowded it is."""

    name: str
    group: str  # "" for none
    density: float  # instances per pixel


def assign_splits(
    images: Sequence[Annotated], shares: Mapping[str, float], *, seed: int
) -> dict[str, str]:
    """The part of each image, by name: groups together, densities mixed, the same for a seed.

    `shares` are parts and how much of the images each is to have, in any unit. Raises ConfigError
    where there are fewer groups than parts.
    """
    units: dict[str, list[Annotated]] = {}
    for image in images:
        units.setdefault(f"group {image.group}" if image.group else image.name, []).append(image)
    if len(units) < len(shares):
        raise ConfigError(
            f"{len(images)} images in {len(units)} groups cannot make {len(shares)} parts: a group "
            "is never on both sides of a split. Ask for fewer parts."
        )
    total = sum(shares.values())
    # dense to sparse; equal ones in an order that hangs on the seed alone
    order = sorted(units, key=lambda unit: (-_mean_density(units[unit]), _hashed(seed, unit)))
    assigned: dict[str, str] = {}
    counts = Counter(dict.fromkeys(shares, 0))
    for done, unit in enumerate(order):
        left = len(order) - done
        empty = [part for part in shares if not counts[part]]
        among = empty if len(empty) == left else list(shares)
        members = units[unit]
        after = counts.total() + len(members)
        part = max(
            among,
            key=lambda part: (
                after * shares[part] / total - counts[part],
                _hashed(seed, f"{unit} {part}"),
            ),
        )
        counts[part] += len(members)
        assigned |= {image.name: part for image in members}
    return assigned


def write_splits(
    sheet: str | Path,
    out: str | Path,
    shares: Mapping[str, float],
    *,
    kind: str,
    data_dir: str,
    seed: int,
    ignore_value: int | None = None,
) -> Counter[str]:
    """Copy a sheet with its split column filled in; the number of images of each part.

    `kind` and `ignore_value` are those of the dataset.

    Images without truth, and those of split predict, stay as they are.
    """
    with Path(sheet).open(newline="", encoding="utf-8-sig") as file:
        reader = csv.DictReader(file, delimiter="\t")
        rows, columns = list(reader), list(reader.fieldnames or [])
    missing = {"image", "path", "truth"} - set(columns)
    if missing:
        raise ConfigError(f"{sheet}: has no column {', '.join(sorted(missing))}; see the README.")
    annotated = [row for row in rows if row["truth"] and row.get("split") != "predict"]
    images = [
        Annotated(row["image"], row.get("group") or "", _density(row, kind, data_dir, ignore_value))
        for row in annotated
    ]
    parts = assign_splits(images, shares, seed=seed)
    for row in rows:
        row["split"] = parts.get(row["image"], "predict")
    columns += [] if "split" in columns else ["split"]
    with Path(out).open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, columns, delimiter="\t", lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
    return Counter(parts.values())


def main(arguments: Sequence[str] | None = None, *, prog: str) -> int:
    """The command. Raises ConfigError and others of ours for what cannot be split."""
    options = _parser(prog).parse_args(arguments)
    shares = _shares(options.folds, options.shares)
    counts = write_splits(
        options.sheet,
        options.out,
        shares,
        kind=options.truth,
        data_dir=options.data_dir,
        seed=options.seed,
        ignore_value=options.ignore_value,
    )
    print(", ".join(f"{part}: {counts[part]} images" for part in shares))
    return 0


def _parser(prog: str) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog=prog, description=__doc__)
    parser.add_argument("sheet", help="the table of images; its split column may be missing")
    parser.add_argument("out", help="the table to write")
    how = parser.add_mutually_exclusive_group(required=True)
    how.add_argument("--folds", type=int, metavar="K", help="numbers 0 to K - 1")
    how.add_argument(
        "--shares", type=float, nargs=3, metavar=("TRAIN", "VALIDATION", "TEST"), help="as 70 10 20"
    )
    parser.add_argument("--truth", choices=("instances", "interior"), default="instances")
    parser.add_argument("--ignore-value", type=int, metavar="N", help="as in the dataset's config")
    parser.add_argument("--data-dir", default=".", help="replaces {data} in the sheet's paths")
    parser.add_argument("--seed", type=int, default=1)
    return parser


def _shares(folds: int | None, shares: Sequence[float]) -> dict[str, float]:
    """The parts that are asked for, and how much each is to have."""
    if folds is None:
        return dict(zip(("train", "validation", "test"), shares, strict=True))
    if folds < 2:
        raise ConfigError(f"--folds is {folds}: must be 2 or more, usually 5.")
    return dict.fromkeys(map(str, range(folds)), 1.0)


def _density(row: Mapping[str, str], kind: str, data_dir: str, ignore_value: int | None) -> float:
    path = row["truth"].replace("{data}", data_dir)
    chosen = {key: int(row[key]) if row.get(key) else None for key in ("plane", "time")}
    axes = row.get("axes") or None
    if is_geojson(path):
        with Slide(row["path"].replace("{data}", data_dir), **chosen, axes=axes) as slide:
            size_px = slide.levels[0].shape_px
        polygons = read_polygons(path, classes=None, size_px=size_px, shape_px=size_px)
        return len(polygons.objects) / (size_px[0] * size_px[1])
    with Slide(path, **chosen, axes=axes) as slide:
        check_lossless(path)
        height, width = slide.levels[0].shape_px
        values = slide.read(0, slice(0, height), slice(0, width))[0]
    labels, _ = read_truth(values, kind, ignore_value, path)
    return np.count_nonzero(np.unique(labels)) / labels.size


def _mean_density(images: Sequence[Annotated]) -> float:
    return sum(image.density for image in images) / len(images)


def _hashed(seed: int, name: str) -> str:
    return hashlib.blake2b(f"{seed} {name}".encode(), digest_size=8).hexdigest()
