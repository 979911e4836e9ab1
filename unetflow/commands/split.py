"""Who trains, who validates, who tests: `unetflow split sheet.tsv out.tsv --folds 5`.

Rows with a split keep it, and count in the shares; the others are drawn, each dataset for itself.
Groups stay together, and every part has sparse and crowded images: units (groups, or images without
one) are sorted by the density of their instances, and each goes to the part that lacks most.
"""

import argparse
import csv
import io
import math
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from unetflow.commands.parsers import command_parser
from unetflow.commands.split_drawing import Annotated, assign_splits
from unetflow.errors import ConfigError
from unetflow.images.picking import planes_of
from unetflow.images.polygon_volume import read_annotation
from unetflow.images.slide import Slide
from unetflow.images.sources import Chosen, holds_polygons
from unetflow.jobs.sheet import Table, file_of, read_table
from unetflow.labels.reading import Meaning, check_lossless, read_truth
from unetflow.store.files import write_whole

EXAMPLES = (
    "sheet.tsv split.tsv --folds 5",
    "sheet.tsv split.tsv --shares 70 10 20 --data-dir images",
)
COLUMNS = ("image", "path", "truth")  # that a sheet has at least
FEWEST_FOLDS = 3
NAMED = ("train", "validation", "test")
PREDICT = "predict"
Row = dict[str, str]


def write_splits(
    sheet: str | Path,
    out: str | Path,
    shares: Mapping[str, float],
    *,
    kind: str,
    data_dir: str | None,
    seed: int,
    ignore_value: int | None = None,
    label_value: int | None = None,
    redraw: bool = False,
) -> tuple[Counter[str], Counter[str]]:
    """Copy a sheet with its empty splits filled in; images given and images drawn of each part.

    `kind`, `ignore_value` and `label_value` are those of the dataset. An image without truth is for
    prediction. With `redraw` the splits of all annotated images are drawn anew, but for those of
    split predict. Raises ConfigError where given splits contradict the shares or a group.
    """
    table = read_table(Path(sheet), COLUMNS)
    rows = [row for _, row in table.rows]
    for row in rows:
        again = redraw and row.get("split") != PREDICT
        row["split"] = "" if again else row.get("split", "")
    _check(sheet, table, shares)
    given = _counted(rows, shares)
    for dataset in dict.fromkeys(row.get("dataset", "") for row in rows):
        _fill(
            [row for row in rows if row.get("dataset", "") == dataset],
            shares,
            meaning=Meaning(kind, ignore_value, inside=label_value),
            data_dir=data_dir,
            seed=seed,
        )
    columns = list(dict.fromkeys([*table.columns, "split"]))
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, columns, delimiter="\t", lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    write_whole(Path(out).resolve(), text.getvalue().encode())  # of a link the file
    return given, _counted(rows, shares) - given


def _counted(rows: Sequence[Row], shares: Mapping[str, float]) -> Counter[str]:
    return Counter(row["split"] for row in rows if row["split"] in shares)


def _check(sheet: str | Path, table: Table, shares: Mapping[str, float]) -> None:
    """Raises ConfigError for names that are there twice and splits that nobody asked for."""
    names = Counter(row["image"] for _, row in table.rows)
    for line, row in table.rows:
        if names[row["image"]] > 1:
            raise ConfigError(
                f"{sheet} line {line}: image {row['image']!r} is there twice; names are unique."
            )
        if row["split"] not in ("", PREDICT, *shares):
            raise ConfigError(
                f"{sheet} line {line}: split {row['split']!r} is given, but the parts asked for "
                f"are {', '.join(shares)}. Correct it, ask for other parts, or let --redraw draw "
                "the rows anew that have a split."
            )


def _fill(
    rows: Sequence[Row],
    shares: Mapping[str, float],
    *,
    meaning: Meaning,
    data_dir: str | None,
    seed: int,
) -> None:
    """Fill in the empty splits of the images of one dataset."""
    part_of_group: dict[str, str] = {}
    for row in rows:
        group, part = row.get("group", ""), row["split"]
        if group and part in shares and part_of_group.setdefault(group, part) != part:
            raise ConfigError(
                f"group {group!r} is given on both sides of a split ({part_of_group[group]}, "
                f"{part}): keep all its images on one, or let --redraw draw them anew."
            )
    for row in rows:
        if not row["split"]:
            group = row.get("group", "")
            row["split"] = part_of_group.get(group, "") if row["truth"] else PREDICT
    images = [
        Annotated(row["image"], row.get("group", ""), _density(row, meaning, data_dir))
        for row in rows
        if not row["split"]
    ]
    if images:
        parts = assign_splits(images, shares, seed=seed, given=_counted(rows, shares))
        for row in rows:
            row["split"] = row["split"] or parts[row["image"]]


def main(arguments: Sequence[str] | None = None, *, prog: str) -> int:
    """The command. Raises ConfigError and others of ours for what cannot be split."""
    options = parser_of(prog).parse_args(arguments)
    shares = _shares(options.folds, options.shares)
    given, drawn = write_splits(
        options.sheet,
        options.out,
        shares,
        kind=options.truth,
        data_dir=options.data_dir,
        seed=options.seed,
        redraw=options.redraw,
        ignore_value=options.ignore_value,
        label_value=options.label_value,
    )
    print(", ".join(f"{part}: {given[part] + drawn[part]} images" for part in shares))
    if given:
        print(f"{given.total()} of them as the sheet had them; --redraw draws all anew")
    return 0


def parser_of(prog: str) -> argparse.ArgumentParser:
    """What reads the arguments of the command, which is called as `prog`."""
    parser = command_parser(prog, __doc__, EXAMPLES)
    parser.add_argument("sheet", help="the table of images; its split column may be missing")
    parser.add_argument("out", help="the table to write")
    how = parser.add_mutually_exclusive_group(required=True)
    how.add_argument("--folds", type=int, metavar="K", help="numbers 0 to K - 1, three or more")
    how.add_argument(
        "--shares", type=float, nargs=3, metavar=("TRAIN", "VALIDATION", "TEST"), help="as 70 10 20"
    )
    parser.add_argument("--truth", choices=("instances", "interior"), default="instances")
    parser.add_argument("--ignore-value", type=int, metavar="N", help="as in the dataset's config")
    parser.add_argument("--label-value", type=int, metavar="N", help="as in the dataset's config")
    parser.add_argument("--data-dir", help="replaces {data} in the sheet's paths")
    parser.add_argument(
        "--redraw", action="store_true", help="draw rows anew that have a split (but for predict)"
    )
    parser.add_argument("--seed", type=int, default=1)
    return parser


def _shares(folds: int | None, shares: Sequence[float]) -> dict[str, float]:
    """The parts that are asked for, and how much each is to have."""
    if folds is None:
        if not all(map(math.isfinite, shares)) or min(shares) < 0 or not sum(shares):
            raise ConfigError(f"--shares are {shares}: must be 0 or more, such as 70 10 20.")
        return dict(zip(NAMED, shares, strict=True))
    if folds < FEWEST_FOLDS:
        raise ConfigError(
            f"--folds is {folds}: must be {FEWEST_FOLDS} or more, usually 5, as one is for test, "
            "the next for validation, and the others for training. With fewer images use --shares."
        )
    return dict.fromkeys(map(str, range(folds)), 1.0)


def _density(row: Row, meaning: Meaning, data_dir: str | None) -> float:
    path = _path(row["truth"], data_dir)
    chosen: Chosen = {
        "plane": _number(row, "plane"),
        "time": _number(row, "time"),
        "axes": row.get("axes") or None,
        "scene": row.get("scene") or None,
    }
    if planes := row.get("planes"):
        chosen["planes"] = planes_of(planes)
    if planes or row.get("spacing"):  # columns of volumes
        chosen["volume"] = True
    if holds_polygons(path):
        with Slide(_path(row["path"], data_dir), **chosen) as slide:
            size_px, first_px = slide.levels[0].shape_px, slide.first_px
        polygons = read_annotation(
            path,
            plane=chosen["plane"],
            time=chosen["time"],
            first_px=first_px,
            classes=None,
            size_px=size_px,
            shape_px=size_px,
        )
        return (len(polygons.classes) - 1) / math.prod(size_px)
    with Slide(path, **chosen, as_labels=True) as slide:
        check_lossless(path)
        values = slide.read(0, *(slice(0, size) for size in slide.levels[0].shape_px))[0]
    labels, _ = read_truth(values, meaning, path)
    return np.count_nonzero(np.unique(labels)) / labels.size


def _path(cell: str, data_dir: str | None) -> str:
    """The file that a cell means. Raises ConfigError where nobody said what {data} is."""
    if "{data}" not in cell:
        return file_of(cell, "")
    if data_dir is None:
        raise ConfigError(
            f"{cell}: say with --data-dir which folder {{data}} stands for, as data_dir in the "
            "config does."
        )
    if not Path(data_dir).is_dir():
        raise ConfigError(
            f"--data-dir: there is no folder {data_dir}, which {{data}} stands for in the sheet."
        )
    return file_of(cell, data_dir)


def _number(row: Row, column: str) -> int | None:
    cell = row.get(column)
    if cell and not cell.isdecimal():
        raise ConfigError(
            f"image {row['image']}: {column}: {cell!r} must be a number from 0 on, or empty."
        )
    return int(cell) if cell else None
