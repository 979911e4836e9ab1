"""From a folder of images to a sheet and a config: `unetflow init FOLDER`.

Nothing is asked: what is assumed stands as a comment beside the key that it made, and is said.
"""

import argparse
import csv
import io
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from unetflow.commands.init_case import find_case, kept_of, text_of_case
from unetflow.commands.init_config import assumed, config_text, proposed
from unetflow.commands.init_guesses import Row, look_at_truths, rows_of
from unetflow.commands.init_pairs import find_pairs, stem_of, words_of
from unetflow.commands.names import distinct
from unetflow.commands.parsers import command_parser
from unetflow.commands.split_drawing import Annotated, assign_splits
from unetflow.errors import ConfigError
from unetflow.store.files import write_whole

EXAMPLES = (
    "images",
    "images --name nuclei --seed 2",
    "images --from dsb2018-cpu",
)
SHARES = {"train": 70.0, "validation": 15.0, "test": 15.0}
PREDICT = "predict"
DATASET = "images"  # its name, as the template of the config has it
PART_OF_FOLDER = {
    **dict.fromkeys(("train", "training"), "train"),
    **dict.fromkeys(("val", "valid", "validation"), "validation"),
    **dict.fromkeys(("test", "testing"), "test"),
}
FRAME_OF_CTC = re.compile(r"man_seg[_0-9]*[.]tiff?", re.IGNORECASE)
MOST_NAME = 60  # characters of a file's name in that of its image


def main(arguments: Sequence[str] | None = None, *, prog: str) -> int:
    """The command. Raises ConfigError where a folder says too little, or files are there."""
    options = parser_of(prog).parse_args(arguments)
    folder = Path(options.folder)
    name = _name(options.name or folder.resolve().name)
    sheet, config = Path("config", f"{name}.tsv"), Path("config", f"{name}.yaml")
    for written in (sheet, config):
        if written.exists():
            raise ConfigError(
                f"{written} is there already, and nothing is overwritten: edit it, or give another "
                "--name."
            )
    case = find_case(options.case) if options.case else None
    found = find_pairs(folder)
    rows, images, left_out = rows_of(folder, found.pairs)
    notes = [*found.notes, *left_out]
    annotated = [row for row in rows if row.truth]
    if not annotated:
        raise ConfigError(_no_truth(folder, len(rows), notes))
    truths, looked_at = look_at_truths(annotated), [images[row] for row in rows]
    sizes = proposed(truths, looked_at)
    splits = _splits(folder, annotated, options.seed)
    config.parent.mkdir(exist_ok=True)
    if case:
        text = text_of_case(case, name, folder, sheet, truths, sizes, looked_at)
        notes += kept_of(case, truths, looked_at)
    else:
        text = config_text(name, folder, sheet, truths, sizes)
    dataset = case.dataset if case else DATASET
    write_whole(sheet, _table(folder, rows, splits, dataset).encode())
    write_whole(config, text.encode())
    parts = Counter(splits.of.get(row, PREDICT) for row in rows)
    counted = ", ".join(f"{parts[part]} {part}" for part in (*SHARES, PREDICT) if parts[part])
    print(f"{sheet}: {len(rows)} images: {counted} ({splits.how})")
    print(f"{config}: edit what is wrong")
    for line in (*notes, *assumed(truths, sizes, looked_at), *_lacking(parts)):
        print(f"  {line}")
    print(f"next: unetflow check {config}\nthen: unetflow run {config}")
    return 0


def parser_of(prog: str) -> argparse.ArgumentParser:
    """What reads the arguments of the command, which is called as `prog`."""
    parser = command_parser(prog, __doc__, EXAMPLES)
    parser.add_argument("folder", help="of images, with truths beside them or in folders")
    parser.add_argument("--name", help="of sheet, config and results; else the folder's")
    parser.add_argument(
        "--from", dest="case", metavar="CASE", help="whose config is taken, as dsb2018-cpu"
    )
    parser.add_argument("--seed", type=int, default=1, help="of the drawing of splits")
    return parser


@dataclass(frozen=True, slots=True)
class Splits:
    """The part of each annotated image, the group of those that have one, how they were drawn."""

    of: dict[Row, str]
    groups: dict[Row, str]
    how: str


def _splits(folder: Path, rows: Sequence[Row], seed: int) -> Splits:
    """Draw who trains, validates and tests.

    Folders called train, validation and test are taken at their word; what lies elsewhere trains,
    or is of a part that they do not name.
    """
    named = {row: part for row in rows if (part := _part_of_folder(folder, row))}
    elsewhere = [row for row in rows if row not in named]
    if not elsewhere and "train" not in named.values():
        return _drawn(folder, rows, SHARES, seed)
    if not elsewhere:
        return Splits(named, {}, "as the folders are called")
    shares = {part: of for part, of in SHARES.items() if part not in {*named.values()} - {"train"}}
    drawn = _drawn(folder, elsewhere, shares, seed)
    how = f"as the folders are called; {len(elsewhere)} elsewhere: {drawn.how}"
    return Splits(named | drawn.of, drawn.groups, how if named else drawn.how)


def _drawn(folder: Path, rows: Sequence[Row], shares: Mapping[str, float], seed: int) -> Splits:
    """Stacks are groups, and so are folders where images lie in as many as there are parts.

    A stack or series alone is cut in three pieces, as what lies side by side is alike.
    """
    if len(rows) < len(shares):
        return Splits(dict(zip(rows, shares, strict=False)), {}, "too few to draw from")
    units = {row: _unit(folder, row) for row in rows}
    several = len({*units.values()}) >= len(SHARES)
    taken: Counter[str] = Counter()  # long names of folders begin alike
    of_unit = {unit: distinct(_name(unit), taken) for unit in sorted({*units.values()})}
    groups = {row: of_unit[unit] for row, unit in units.items()} if several else {}
    if not several and any(_is_of_series(row) for row in rows):
        if len(shares) < len(SHARES):
            return Splits(dict.fromkeys(rows, "train"), {}, "a series")
        train = min(round(len(rows) * SHARES["train"] / 100), len(rows) - 2)
        test = max(1, round(len(rows) * SHARES["test"] / 100))
        pieces = {"train": train, "validation": len(rows) - train - test, "test": test}
        parts = [part for part, count in pieces.items() for _ in range(count)]
        return Splits(dict(zip(rows, parts, strict=True)), {}, "a series, in three pieces")
    drawn = [Annotated(str(k), groups.get(row, ""), 0) for k, row in enumerate(rows)]
    part_of = assign_splits(drawn, shares, seed=seed)
    how = f"drawn by {'group' if groups else 'image'} with seed {seed}"
    return Splits({row: part_of[str(k)] for k, row in enumerate(rows)}, groups, how)


def _is_of_series(row: Row) -> bool:
    return (
        bool(row.stack) or FRAME_OF_CTC.fullmatch(row.truth.name if row.truth else "") is not None
    )


def _part_of_folder(folder: Path, row: Row) -> str | None:
    """The part that the folders of an image name, such as `train/images/a.tif`."""
    names = [name.lower() for name in row.path.relative_to(folder).parent.parts]
    return next((PART_OF_FOLDER[name] for name in names if name in PART_OF_FOLDER), None)


def _unit(folder: Path, row: Row) -> str:
    """What an image is a part of: its stack, else the folders that it lies in."""
    relative = row.path.relative_to(folder)
    return "_".join([*relative.parent.parts, *([stem_of(relative)] if row.stack else [])])


def _names(folder: Path, rows: Sequence[Row]) -> dict[Row, str]:
    """A name for each image, of its file; of its folders too where files are called alike."""
    short = {row: _name(stem_of(row.path)) for row in rows}
    owners: dict[str, set[Path]] = {}
    for row in rows:
        owners.setdefault(short[row], set()).add(row.path)
    names: dict[Row, str] = {}
    taken: Counter[str] = Counter()
    for row in rows:
        relative = row.path.relative_to(folder)
        alone = len(owners[short[row]]) == 1
        name = short[row] if alone else _name("_".join(words_of(relative)))
        names[row] = distinct(f"{name}_{row.index:04d}" if row.stack else name, taken)
    return names


def _name(text: str) -> str:
    """A name as sheets take it, as near to the text as possible."""
    kept = re.sub(r"[^A-Za-z0-9_-]+", "-", text).strip("-_")[:MOST_NAME]
    return kept or "images"


def _table(folder: Path, rows: Sequence[Row], splits: Splits, dataset: str) -> str:
    """The sheet, without columns that are empty."""
    names = _names(folder, rows)
    lines: list[dict[str, str]] = [
        {
            "image": names[row],
            "dataset": dataset,
            "path": f"{{data}}/{row.path.relative_to(folder).as_posix()}",
            "truth": f"{{data}}/{row.truth.relative_to(folder).as_posix()}" if row.truth else "",
            "split": splits.of.get(row, PREDICT),
            "group": splits.groups.get(row, ""),
            **{key: str(value) for key, value in row.column.items()},
        }
        for row in rows
    ]
    used = dict.fromkeys(key for line in lines for key, cell in line.items() if cell)
    text = io.StringIO(newline="")
    writer = csv.DictWriter(
        text, list(used), delimiter="\t", lineterminator="\n", extrasaction="ignore", restval=""
    )
    writer.writeheader()
    writer.writerows(lines)
    return text.getvalue()


def _lacking(parts: Counter[str]) -> list[str]:
    what = {
        "validation": "thresholds cannot be chosen, and 0.5 is taken",
        "test": "nothing is scored",
    }
    return [
        f"no image is for {part}: {why}. Annotate more"
        for part, why in what.items()
        if not parts.get(part)
    ]


def _no_truth(folder: Path, images: int, notes: Sequence[str]) -> str:
    said = "".join(f"\n  {note}" for note in notes)
    return (
        f"{folder}: {images} images, but none with a truth, which a network needs to learn from. "
        "Put label images or polygons of the images' names beside them (a.tif and a_mask.tif or "
        "a.geojson) or into a folder of their own (images/a.tif, labels/a.tif). A finished model "
        "needs none: `unetflow predict MODEL FOLDER --out OUT`; `unetflow models` lists some."
        + said
    )
