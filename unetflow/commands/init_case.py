"""A config that starts from a shipped case: its network and recipe, the folder's images."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from unetflow.commands.init_config import Proposal
from unetflow.commands.init_guesses import Image, Truths
from unetflow.commands.workflow import workflow_folder
from unetflow.errors import ConfigError

BLOCK = re.compile(r"^(?=[a-z_]+:)", re.MULTILINE)  # begins at each key of the config
OF_FOLDER = ("truth", "classes", "mpp", "images_per_job")  # keys of a dataset
HEAD = """\
# Written by unetflow init, from the case {name}: network, recipe and the rest are its own. The
# folder says what the truth is, and which images there are. Nothing is exported.

"""


@dataclass(frozen=True, slots=True)
class Case:
    """A shipped config with one dataset of 2D images."""

    name: str
    text: str
    config: dict[str, Any]

    @property
    def dataset(self) -> str:
        return str(next(iter(self.config["datasets"])))


def find_case(name: str) -> Case:
    """A case by its name. Raises ConfigError for others, with those that there are."""
    cases = shipped_cases()
    if name not in cases:
        raise ConfigError(f"--from {name}: there is no such case; there are: {', '.join(cases)}")
    return cases[name]


def shipped_cases() -> dict[str, Case]:
    """Those that a folder can start from, by name: of images that are not drawn."""
    cases = {}
    folder = workflow_folder() / "config"
    for path in sorted(folder.glob("*.yaml"), key=lambda path: path.stem):
        text = path.read_text()
        config = yaml.safe_load(text)
        datasets = [*config.get("datasets", {}).values()]
        of_volumes = any(of.get("as") == "volume" for of in datasets)
        if len(datasets) == 1 and "demo" not in config and not of_volumes:
            cases[path.stem] = Case(path.stem, text, config)
    return cases


def text_of_case(
    case: Case,
    name: str,
    folder: Path,
    sheet: Path,
    truths: Truths,
    sizes: Proposal,
    images: Sequence[Image],
) -> str:
    """The config (YAML): blocks of the case as they stand, but for those that name its images.

    A resolution is kept where all images know theirs. Published figures are of other images.
    """
    dataset = case.config["datasets"][case.dataset]
    mpp = dataset.get("mpp") if all(image.mpp for image in images) else None
    own = {"truth": truths.kind, "classes": truths.classes, "mpp": mpp}
    own["images_per_job"] = sizes.images_per_job
    kept = {key: value for key, value in dataset.items() if key not in OF_FOLDER}
    report = {key: of for key, of in case.config.get("report", {}).items() if key != "published"}
    replaced: dict[str, Any] = {
        "results": f"results/{name}",
        "images": sheet.as_posix(),
        "data_dir": str(folder),
        "datasets": {case.dataset: own | kept},
        "report": report | {"title": name},
    }
    blocks = {block.partition(":")[0]: block for block in BLOCK.split(case.text)[1:]}
    blocks.pop("export", None)  # a stack wants groups
    written = {key: yaml.safe_dump({key: of}, sort_keys=False) for key, of in replaced.items()}
    together = ("results", "images", "data_dir")  # lines without a gap between
    texts = [(blocks | written)[key].rstrip() for key in (blocks | written) if key not in together]
    first = "".join(written[key] for key in together)
    return HEAD.format(name=case.name) + "\n\n".join([first.rstrip(), *texts]) + "\n"


def kept_of(case: Case, truths: Truths, images: Sequence[Image]) -> list[str]:
    """What to say of a folder that is not as the case, a line each."""
    dataset = case.config["datasets"][case.dataset]
    said = []
    if dataset["truth"] != truths.kind:
        said.append(f"{case.name} has truth {dataset['truth']}: look at `instances` of the config")
    if dataset.get("mpp") and not all(image.mpp for image in images):
        said.append(
            f"{case.name} works at {dataset['mpp']:g} um per pixel, but not all images say their "
            "resolution: mpp is left out, and they are taken as they are"
        )
    return said
