"""Many images by a finished model: a sheet and a config are written, and the pipeline runs them."""

import argparse
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from functools import cache, partial
from pathlib import Path
from typing import Any

import yaml

from unetflow.commands.init_pairs import find_pairs, stem_of
from unetflow.commands.names import distinct
from unetflow.commands.predict_chosen import OF_INSTANCES, chosen_options
from unetflow.commands.run import run_snakemake
from unetflow.commands.workflow import SNAKEFILE, workflow_folder
from unetflow.errors import ConfigError, StoreError
from unetflow.images.readers import open_file
from unetflow.images.slices import holds_slices
from unetflow.images.sources import is_store, split_dataset
from unetflow.jobs.sheet import Image, read_table, unknown_columns, with_home
from unetflow.jobs.sources import Sources, sources_cache
from unetflow.models import named
from unetflow.networks import geometry_of
from unetflow.networks.deployed import read_deployed
from unetflow.networks.description import ModelDescription, read_description
from unetflow.tiles.regions import PLANE

CONFIG, SHEET = "predict.yaml", "predict.tsv"  # in the folder of the results
WRITTEN = "# Written by `unetflow predict`, anew by each call of it.\n"
OF_SHEET = (
    *("level", "mpp", "spacing", "scene", "time", "plane", "planes", "axes", "channels"),
    "tissue",
)
FILES = ("path", "tissue")  # columns
OF_PIPELINE = ("dataset", "truth", "split", "group")  # columns of its sheets, of no use here
TOGETHER = 50  # images, from which on jobs have several each
LONGEST = 80  # characters of an image's name
TOLD = 3  # images that a message names

Row = dict[str, str]


def check_order(model: str, inputs: Sequence[str]) -> None:
    """Refuse a model that comes behind the images. Raises ConfigError."""
    for path in inputs:
        if path.endswith(".safetensors") and not model.endswith(".safetensors"):
            raise ConfigError(
                f"{path} comes behind {model}: the model is the first argument, as in `unetflow "
                f"predict {path} {model} ...`"
            )


def segment_many(options: argparse.Namespace, prog: str) -> int:
    """Segment all images by the pipeline; returns the exit status of the command.

    Raises ConfigError for images that are not there or do not say what has to be known, ModelError
    for a file that is no model, and StoreError where something else is in the folder.
    """
    out, snakefile = Path(options.out).absolute(), workflow_folder().absolute() / SNAKEFILE
    description = read_description(options.model)
    _check_folder(out)
    volumes = is_of_volumes(description)
    rows = [_by_hand(options) | row for row in rows_of(options.inputs, volumes=volumes)]
    if not options.inputs[0].endswith(".tsv"):  # whose owner names images
        _check_lost(rows, out)
    if not volumes:
        _check_images(rows, description, out)
    config = config_of(options, description, out, rows)
    if Path(options.inputs[0]).absolute() != out / SHEET:
        _check_edited(out, _sheet(rows))
    out.mkdir(parents=True, exist_ok=True)
    (out / SHEET).write_text(_sheet(rows))
    (out / CONFIG).write_text(WRITTEN + yaml.safe_dump(config, sort_keys=False))
    print(f"{len(rows)} {'volumes' if volumes else 'images'}: {out / SHEET}, {out / CONFIG}")
    status, _ = run_snakemake(
        [
            *("snakemake", "--cores", str(options.threads)),
            *("--resources", f"gpu={int(options.gpu)}", "--snakefile", str(snakefile)),
            *("--directory", str(out), "--configfile", str(out / CONFIG)),
        ],
        out,
    )
    if status == 0:
        print(f"{out}: outcome.tsv, segmented.csv, predictions, report/index.html")
    return status


def rows_of(inputs: Sequence[str], *, volumes: bool = False) -> list[Row]:
    """A row of the sheet for each image: of files, of folders, or those of a sheet (.tsv).

    Where they are `volumes` a folder of slices is one.
    """
    if any(path.endswith(".tsv") for path in inputs):
        if len(inputs) > 1:
            raise ConfigError(f"{len(inputs)} inputs, of which one is a sheet: give it alone")
        return _rows_of_sheet(Path(inputs[0]))
    files = list(dict.fromkeys(file for path in inputs for file in _files(path, volumes)))
    names: Counter[str] = Counter()
    return [{"image": _name(split_dataset(file)[0], names), "path": str(file)} for file in files]


def _files(path: str, volumes: bool) -> Iterator[Path]:
    """A file or store, or all images of a folder; what looks like a truth there is left out.

    Which is said where it is that of no image. Where they are volumes, of slices their folder.
    """
    file, _ = split_dataset(path)
    if not file.exists():
        raise ConfigError(f"there is no file or folder {file}")
    if file.is_dir() and not is_store(file):
        found = find_pairs(file)
        for note in found.notes:
            print(f"{file}: {note}")
        for pair in found.pairs:
            image = file.absolute() / pair.image
            yield image.parent if volumes and _is_volume(image.parent) else image
    else:
        yield Path(path).absolute()


@cache
def _is_volume(folder: Path) -> bool:
    return holds_slices(folder, partial(open_file, axes=None))


def _name(file: Path, taken: Counter[str]) -> str:
    """A name that results may have: of the file, with a number where it is not the first."""
    name = re.sub("[^A-Za-z0-9_-]+", "-", stem_of(file)).strip("-_")[:LONGEST] or "image"
    return distinct(name, taken, "-n")


def _rows_of_sheet(sheet: Path) -> list[Row]:
    table = read_table(sheet, ["image", "path"])
    if unknown := unknown_columns(table, ["image", "path", *OF_SHEET, *OF_PIPELINE]):
        raise ConfigError(f"{sheet}: {unknown[0]}")
    rows = []
    for line, cells in table.rows:
        row = {key: cells[key] for key in ("image", "path", *OF_SHEET) if cells.get(key)}
        if lacking := [key for key in ("image", "path") if key not in row]:
            raise ConfigError(f"{sheet}, line {line}: the cell of column {lacking[0]} is empty")
        for key in row.keys() & FILES:
            if "{data}" in row[key]:
                raise ConfigError(f"{sheet}, line {line}: write {{data}} of the {key} out")
            row[key] = str(Path(with_home(row[key])).absolute())
        rows.append(row)
    return rows


def _by_hand(options: argparse.Namespace) -> Row:
    """What the options say of all images."""
    given = {key: getattr(options, key, None) for key in OF_SHEET}
    return {
        key: " ".join(map(str, of)) if isinstance(of, list) else str(of)
        for key, of in given.items()
        if of is not None
    }


def _sheet(rows: Sequence[Row]) -> str:
    columns = [key for key in OF_SHEET if any(key in row for row in rows)]
    lines = [["image", "dataset", "path", "truth", "split", *columns]]
    for row in rows:
        own = [row.get(key, "") for key in columns]
        lines.append([row["image"], "images", row["path"], "", "predict", *own])
    return "".join("\t".join(line) + "\n" for line in lines)


def config_of(
    options: argparse.Namespace, description: ModelDescription, out: Path, rows: Sequence[Row]
) -> dict[str, Any]:
    """The config: the model in an experiment of its name, and what was given by hand."""
    deployed = read_deployed(options.model)
    chosen = chosen_options(options, deployed)
    crf = deployed.get("crf") if deployed else None
    given = {key: getattr(options, key, None) for key in OF_INSTANCES if key != "connectivity"}
    open_ = "auto" if deployed else None  # the model file has it; else the schema
    instances = {key: open_ if value is None else value for key, value in given.items()}
    if deployed:  # which the config has no `auto` for
        instances["connectivity"] = chosen.instances.connectivity
    per_job = min(16, 1 + len(rows) // TOGETHER)
    resolution: dict[str, Any] = {"mpp": description.get("mpp")}
    if is_of_volumes(description):
        known = description.get("mpp") is not None
        resolution = {"as": "volume", "spacing": description.get("spacing") if known else None}
    return {
        "results": str(out),
        "images": str(out / SHEET),
        "data_dir": ".",
        "require_gpu": bool(options.require_gpu),
        "datasets": {
            "images": {
                "truth": description.get("truth", "instances"),
                "classes": description["classes"],
                **resolution,
                "images_per_job": per_job,
            }
        },
        "experiments": {
            _name(Path(options.model), Counter()): {
                "dataset": "images",
                "model": named(options.model),
            }
        },
        "predict": {
            "write_px": options.write_px,
            "shard_px": max(1024, options.write_px or 0),
            "precision": options.precision,
            "test_time_augmentation": chosen.test_time_augmentation,
        },
        "refine": {"smooth_px": chosen.smooth_px, **({"crf": crf} if crf else {})},
        "instances": {key: value for key, value in instances.items() if value is not None},
        "report": {"title": f"{Path(options.model).name} on {len(rows)} images"},
    }


def is_of_volumes(description: ModelDescription) -> bool:
    """Whether the network has three axes."""
    return len(geometry_of(**description["network"]).axes) > PLANE


def _check_images(rows: Sequence[Row], description: Mapping[str, Any], out: Path) -> None:
    """Refuse images of other channels than the model's, or without a resolution where it has one.

    Images that cannot be opened are the pipeline's business. Raises ConfigError.
    """
    trained, wanted = description.get("mpp"), description["channels"]
    sources = Sources(sources_cache(str(out)))
    looked = [(row, sources.as_prepared(_image(row), None)) for row in rows]
    found = [(row, of) for row, of in looked if isinstance(of, dict)]
    if others := [row["path"] for row, of in found if of["channels"] != wanted]:
        fewest = min(of["channels"] for _, of in found)
        chosen = " ".join(str(k if fewest >= wanted else 0) for k in range(wanted))
        raise ConfigError(
            f"{_some(others)}: of other channels than the {wanted} that the model was trained on. "
            f"Choose by --channels, such as `--channels {chosen}`, or in the column channels of a "
            "sheet, or leave them out."
        )
    silent = [(row, of) for row, of in found if "mpp" not in row and "level" not in row]
    unknown = [row["path"] for row, of in silent if of["mpp"] is None]
    if trained is not None and unknown:
        raise ConfigError(
            f"{_some(unknown)}: do not say their resolution, but the model was "
            f"trained at {trained:g} um/px. Give theirs by --mpp, or in the column mpp of a sheet."
        )


def _check_lost(rows: Sequence[Row], out: Path) -> None:
    """Refuse to put results in the place of those of other images, which are there. StoreError."""
    if not (out / SHEET).is_file():
        return
    names, paths = {row["image"] for row in rows}, {row["path"] for row in rows}
    before = [cells for _, cells in read_table(out / SHEET, ["image", "path"]).rows]
    others = [cells["path"] for cells in before if cells["image"] in names]
    lost = [path for path in others if path not in paths and split_dataset(path)[0].exists()]
    if lost:
        raise StoreError(
            f"{_some(lost)}: the results in {out} would be lost, as images of the same names take "
            "their place. Name another folder, or give all images together."
        )


def _check_edited(out: Path, text: str) -> None:
    """Refuse to write over a sheet of this command that was edited: newer than the config."""
    sheet, config = out / SHEET, out / CONFIG
    if not sheet.is_file() or sheet.read_text() == text:
        return
    if sheet.stat().st_mtime_ns > config.stat().st_mtime_ns:
        raise StoreError(
            f"{sheet}: was edited, which would be lost, as it is written anew for these images. "
            f"Give it in their place (unetflow predict MODEL {sheet} --out {out}), or move it away."
        )


def _some(paths: Sequence[str]) -> str:
    more = f" and {len(paths) - TOLD} more" if len(paths) > TOLD else ""
    return f"{', '.join(paths[:TOLD])}{more}"


def _image(row: Row) -> Image:
    numbers: dict[str, Any] = {
        key: int(row[key]) for key in ("level", "plane", "time") if key in row
    }
    texts: dict[str, Any] = {key: row[key] for key in ("axes", "scene") if key in row}
    channels = tuple(map(int, row["channels"].split())) if "channels" in row else None
    return Image(
        row["image"], "images", row["path"], "predict", **numbers, **texts, channels=channels
    )


def _check_folder(out: Path) -> None:
    """Refuse a folder with anything but what this command has made. Raises StoreError."""
    if out.is_dir() and any(out.glob("[!.]*")) and not (out / CONFIG).is_file():
        raise StoreError(
            f"{out}: is no place for the results, because there is something else already. Name a "
            "folder that is not there yet, or one that this command has made, to go on."
        )
    if out.exists() and not out.is_dir():
        raise StoreError(f"{out}: is a file. Name a folder for the results.")
