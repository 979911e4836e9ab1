"""What was run: networks, recipes, versions."""

import dataclasses
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from unetflow.provenance.receipts import distinct
from unetflow.provenance.schemas import RunRecordContent
from unetflow.report.handed import Config, ExperimentConfig
from unetflow.report.run_results import Run
from unetflow.train.recipes import PRESETS


@dataclass(frozen=True, slots=True)
class ShownRecipe:
    """The resolved recipe of an experiment beside the name of its preset."""

    experiment: str
    preset: str
    recipe: dict[str, str]


@dataclass(frozen=True, slots=True)
class Provenance:
    runs: Sequence[Run]
    recipes: list[ShownRecipe]
    presets: dict[str, dict[str, str]]
    environment: dict[str, str]


def provenance(
    runs: Sequence[Run], config: Config, records: Mapping[str, Sequence[RunRecordContent]]
) -> Provenance:
    """`records` are the run records of all stages."""
    return Provenance(
        runs=runs,
        recipes=_recipes(runs, config),
        presets={name: flattened(dataclasses.asdict(of)) for name, of in PRESETS.items()},
        environment=_environment([record for of in records.values() for record in of]),
    )


def making(config: Config) -> dict[str, str]:
    """By experiment all that makes it but its seed, as text."""
    return {name: _but_seed(of) for name, of in config["experiments"].items()}


def _but_seed(experiment: ExperimentConfig) -> str:
    recipe = {key: value for key, value in experiment["recipe"].items() if key != "seed"}
    return json.dumps(plain({**experiment, "recipe": recipe}), sort_keys=True)


def plain(config: Mapping[str, object]) -> object:
    """Without Snakemake's own types, which YAML does not know."""
    content: object = json.loads(json.dumps(config, default=str))
    return content


def _recipes(runs: Sequence[Run], config: Config) -> list[ShownRecipe]:
    models = {run.experiment: run.model for run in reversed(runs)}  # of the first fold
    return [
        ShownRecipe(
            experiment=name,
            preset=str(config["experiments"][name]["recipe"].get("preset", "default")),
            recipe=flattened(models[name]["recipe"]),
        )
        for name in dict.fromkeys(run.experiment for run in runs)
    ]


def flattened(recipe: Mapping[str, object]) -> dict[str, str]:
    """Keys and values as text; those of the augmentation beside the others."""
    flat: dict[str, str] = {}
    for key, value in recipe.items():
        if key == "loss" and isinstance(value, Mapping):
            flat[key] = " + ".join(f"{factor:g} {name}" for name, factor in value.items())
        elif isinstance(value, Mapping):
            flat |= flattened(value)
        elif isinstance(value, bool):
            flat[key] = "yes" if value else "no"
        elif isinstance(value, list | tuple):
            between = " \N{MULTIPLICATION SIGN} " if key == "tile_px" else " + "
            flat[key] = between.join(map(str, value)) or "none"
        elif value is None:
            flat[key] = "none"
        else:
            flat[key] = str(value) if isinstance(value, str) else f"{value:g}"
    return flat


def _environment(records: Sequence[RunRecordContent]) -> dict[str, str]:
    """Versions, commit, hosts and time of all jobs; several values where they differ."""
    versions: dict[str, set[str]] = {}
    for record in records:
        of_job = {**record.get("versions", {}), "python": record.get("python")}
        for name, version in of_job.items():
            if version:
                versions.setdefault(name, set()).add(version)
    ended = max((record.get("ended", "") for record in records), default="")
    return {
        "commit": distinct(record.get("commit") for record in records) or "not known",
        "finished": ended.replace("T", " ") or "not known",
        "hosts": distinct(record.get("host") for record in records) or "not known",
        **{name: ", ".join(sorted(found)) for name, found in versions.items()},
    }
