"""The pages that the code writes: python docs/pages.py

`config.md` follows from the schemas of config and sheet and from the options of the networks,
`scores.md` from the catalogue of scores, `api.md` from the public functions, `first-steps.ipynb`
from `python.md`. A test fails where one of them is not what this program writes.
"""

import ast
import importlib
import inspect
import json
import re
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from unetflow import networks
from unetflow.evaluate.catalogue import ARROWS, SCORES
from unetflow.jobs.schemas import Schema, read_schema

ROOT = Path(__file__).parents[1]
SCHEMAS = ROOT / "workflow" / "schemas"
WRITTEN = "<!-- written by docs/pages.py: change the schema or the docstring, and run it -->"
BLOCK = re.compile(r"^```python\n(.*?)^```$", re.MULTILINE | re.DOTALL)
NAMES = "NAME"  # of what users name themselves, in the path of a key
OF_KEY = ("key", "value", "default", "what it is for")
PUBLIC = {
    "tiles": ("output_size_px", "halo_px", "tile_grid"),
    "labels": ("separate_touching",),
    "weights": ("weight_map",),
    "networks": ("build", "options_of", "geometry_of"),
    "networks.model_file": ("load_model",),
    "predict": ("predict_array",),
    "instances": ("label_instances",),
    "metrics": (
        *("pixel_error", "rand_score", "info_score", "warping_error", "splits_and_mergers"),
        *("isbi2012_scores", "seg_score", "det_score", "average_precision", "panoptic_quality"),
        *("aggregated_jaccard", "dsb2018_score", "boundary_f1", "hausdorff_distance_px"),
        *("iou_per_class", "dice_per_class", "confusion_matrix"),
    ),
}
CONFIG_HEAD = """\
# Every key of the config

A config is one YAML file. `unetflow init` writes one for a folder of images, `config/config.yaml`
shows every key with its default for the demo, and each [published case](results.md#published-cases)
is a complete one. Unknown keys are errors, with the nearest known one; all problems are listed at
once, before anything runs. `NAME` stands for names of your own. What a change of a key runs again
stands in [reruns](reruns.md).

The config holds what changes the *result*. What only changes *speed* (cores, memory, partitions) is
an option of `snakemake` or stands in a [profile](slurm.md).
"""
SHEET_HEAD = """\
## The sheet

The table that `images` names: text in UTF-8 with tabs between the columns, one row an image. The
order of rows changes nothing. `image`, `dataset`, `path` and `split` must be there.
"""
NETWORKS_HEAD = """\
## Options of the networks

They stand beside `name` in `network`, with these defaults, which are the papers'. `unetflow
networks NAME --set depth=3` says what they make of parameters and halo. What each means and where a
network differs from its paper stands in its module in `unetflow/networks/`.
"""
SCORES_HEAD = """\
# Scores

The report and `unetflow score` name them as here; in `evaluation/summary.csv` they have the names
of the second column. An arrow up says that more is better. A score of several images is the mean
over them (macro) or *pooled*: the counts of all images added, then scored, so that large images
weigh more. What is undefined, such as a score of an image without objects, is in no mean. Intervals
are of 95 %, by a bootstrap over images, groups drawn together; its percentiles are expanded, as few
images need (Hesterberg 2015).

*Threshold from validation*: chosen on the validation images, no weight was trained on them. *Best
of the list*: chosen on the very images that are scored, hence optimistic; it is there because
challenges report it. *Stored instances*: of the objects that the pipeline writes. *Otsu*: one
threshold an image on the gray values of its annotated pixels, as a baseline.

Two files of any origin are scored by the command, label images of any size as instances,
probabilities as membranes:

```sh
unetflow score train-labels.tif probability.tif
unetflow score --json truth.zarr slide.ome.zarr/labels/instances
```

The metrics equal the programs of the challenges to the digit (`benchmarks/results/metrics.md` has
their speed).
"""
API_HEAD = """\
# Python functions

What notebooks and programs of your own may rely on: these names and arguments stay. Arrays are
NumPy's unless said otherwise, (row, column) throughout, label 0 is background. The functions need
neither the pipeline nor a config. [First steps in Python](python.md) uses them.
"""


def config_page() -> str:
    """Every key of the config, every column of the sheet, every option of a network."""
    schema = read_schema(SCHEMAS / "config.schema.yaml")
    rows = {key: list(_rows(key, section)) for key, section in schema["properties"].items()}
    alone = [of[0] for of in rows.values() if len(of) == 1]
    parts = [WRITTEN, CONFIG_HEAD, "## Places and machines\n", _table(OF_KEY, alone)]
    for key, (first, *below) in rows.items():
        if below:
            parts += [f"## {key}\n", first[-1] + "\n", _table(OF_KEY, below)]
    sheet = read_schema(SCHEMAS / "images.schema.yaml")
    columns = [(f"`{name}`", of["description"]) for name, of in sheet["properties"].items()]
    options = [
        (f"`{name}`", ", ".join(f"`{key}: {_yaml(value)}`" for key, value in of.items()))
        for name in networks.NETWORKS
        if (of := _own_options(name))
    ]
    parts += [SHEET_HEAD, _table(["column", "what it says"], columns)]
    parts += [NETWORKS_HEAD, _table(["name", "options"], options)]
    return "\n".join(parts)


def scores_page() -> str:
    """What each score means."""
    rows = [
        (
            f"{score.name} {ARROWS[score.better]}",
            f"`{score.metric}`" + (f" {score.variant}" if score.variant else ""),
            score.meaning,
        )
        for score in SCORES
    ]
    return "\n".join([WRITTEN, SCORES_HEAD, _table(["score", "in tables", "meaning"], rows)])


def api_page() -> str:
    """Signature and docstring of each public function."""
    parts = [WRITTEN, API_HEAD]
    for module, names in PUBLIC.items():
        parts.append(f"## unetflow.{module}\n")
        loaded = importlib.import_module(f"unetflow.{module}")
        for name in names:
            function = getattr(loaded, name)
            parts.append(f"### {name}\n\n```python\n{_signature(function)}\n```\n")
            parts.append(_as_markdown(inspect.getdoc(function) or "") + "\n")
    return "\n".join(parts)


def _rows(path: str, part: Schema) -> Iterator[tuple[str, str, str, str]]:
    """A row for a key, then those of the keys below it."""
    below = part.get("properties", {})
    named = part.get("additionalProperties")
    if isinstance(named, dict):  # keys that users name
        path, below = f"{path}.{NAMES}", named.get("properties", {})
    if isinstance(items := part.get("items"), dict) and "properties" in items:
        path, below = f"{path}[]", items["properties"]
    default = f"`{_yaml(part['default'])}`" if "default" in part and not below else ""
    yield f"`{path}`", "" if below else _value(part), default, part["description"]
    for key, inner in below.items():
        yield from _rows(f"{path}.{key}", inner)


def _value(part: Mapping[str, Any]) -> str:
    """What a key may be, in words."""
    if "enum" in part:
        return ", ".join(f"`{_yaml(each)}`" for each in part["enum"])
    kinds = [part["type"]] if isinstance(part["type"], str) else list(part["type"])
    only_auto = part.get("pattern") == "^auto$"
    words = {
        **{"string": "`auto`" if only_auto else "text", "null": "`null`"},
        **{"integer": "a whole number", "number": "a number", "boolean": "`true`, `false`"},
        **{"array": f"a list of: {_value(part['items'])}" if "items" in part else "a list"},
        "object": "keys",
    }
    limits = {
        **{"minimum": "at least {}", "exclusiveMinimum": "above {}", "multipleOf": "times {}"},
        **{"maximum": "at most {}", "exclusiveMaximum": "below {}"},
    }
    said = [text.format(f"{part[key]:g}") for key, text in limits.items() if _tells(part, key)]
    first = " ".join([words[kinds[0]], *([", ".join(said)] if said else [])])
    return ", or ".join([first, *(words[kind] for kind in kinds[1:])])


def _tells(part: Mapping[str, Any], key: str) -> bool:
    """Whether a limit is one that says something: those of a 64-bit number do not."""
    return key in part and abs(part[key]) < 2**62


def _own_options(name: str) -> dict[str, Any]:
    """Options of a network that do not follow from the dataset."""
    of_images = ("in_channels", "num_classes")
    return {key: of for key, of in networks.options_of(name).items() if key not in of_images}


def _yaml(value: object) -> str:
    if isinstance(value, str):
        return value
    return json.dumps(list(value) if isinstance(value, tuple) else value)


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *([cell.replace("|", "\\|") for cell in r] for r in rows)]
    return "".join(f"| {' | '.join(cells)} |\n" for cells in lines)


def _signature(function: Any) -> str:
    """As it stands in the source, without its body: the same for any version of Python."""
    source = textwrap.dedent(inspect.getsource(inspect.unwrap(function)))
    found = next(n for n in ast.walk(ast.parse(source)) if isinstance(n, ast.FunctionDef))
    arguments = found.args
    given = [None] * (len(arguments.args) - len(arguments.defaults)) + list(arguments.defaults)
    texts = [_argument(each, value) for each, value in zip(arguments.args, given, strict=True)]
    if arguments.vararg:
        texts.append(f"*{_argument(arguments.vararg, None)}")
    elif arguments.kwonlyargs:
        texts.append("*")
    keyed = zip(arguments.kwonlyargs, arguments.kw_defaults, strict=True)
    texts += [_argument(each, value) for each, value in keyed]
    if arguments.kwarg:
        texts.append(f"**{_argument(arguments.kwarg, None)}")
    returns = _type(found.returns) if found.returns else "None"
    inside = "".join(f"    {text},\n" for text in texts)
    return f"def {found.name}(\n{inside}) -> {returns}: ..."


def _argument(argument: ast.arg, default: ast.expr | None) -> str:
    kind = f": {_type(argument.annotation)}" if argument.annotation else ""
    usual = f" = {_quoted(ast.unparse(default))}" if default else ""
    return f"{argument.arg}{kind}{usual}"


def _type(annotation: ast.expr) -> str:
    """A type, also one that the source has in quotes."""
    if isinstance(annotation, ast.Constant) and isinstance(annotation.value, str):
        return annotation.value
    return _quoted(ast.unparse(annotation))


def _quoted(text: str) -> str:
    return text.replace("'", '"')


def _as_markdown(docstring: str) -> str:
    """A docstring: stars of formulas are no emphasis, drawings and code stay as they are."""
    return "\n".join(
        line if line.startswith("    ") else _escaped(line) for line in docstring.splitlines()
    )


def _escaped(line: str) -> str:
    parts = line.split("`")  # every second one is code
    texts = [part.replace("*", "\\*").replace("<", "&lt;") for part in parts[::2]]
    parts[::2] = texts
    return "`".join(parts)


def notebook() -> str:
    """The page of first steps in Python as a notebook: its code in cells."""
    parts = BLOCK.split((ROOT / "docs" / "python.md").read_text())
    cells = []
    for number, part in enumerate(parts):
        cell: dict[str, Any] = {
            "cell_type": "code" if number % 2 else "markdown",
            "id": f"part-{number}",
            "metadata": {},
            "source": part.strip().splitlines(keepends=True),
        }
        if number % 2:
            cell |= {"execution_count": None, "outputs": []}
        if cell["source"]:
            cells.append(cell)
    kernel = {"display_name": "Python 3", "language": "python", "name": "python3"}
    content = {
        "cells": cells,
        "metadata": {"kernelspec": kernel},
        "nbformat": 4,
        "nbformat_minor": 5,
    }
    return json.dumps(content, indent=1, ensure_ascii=False) + "\n"


PAGES = {
    "config.md": config_page,
    "scores.md": scores_page,
    "api.md": api_page,
    "first-steps.ipynb": notebook,
}

if __name__ == "__main__":
    for page, write in PAGES.items():
        (ROOT / "docs" / page).write_text(write())
