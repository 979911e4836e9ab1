"""Experiments with a finished model: `model: path` in the place of network, recipe and training."""

from collections.abc import Iterator
from pathlib import Path

from unetflow.errors import ModelError
from unetflow.jobs.config import Config, DatasetConfig, ExperimentConfig
from unetflow.jobs.problems import OF_IMAGES
from unetflow.models import located
from unetflow.networks.description import ModelDescription, read_description

OF_TRAINING = ("network", "pretrained", "weighting", "seeds", "head")
NO_RECIPE = {"preset": "default"}  # as the schema completes one that is not given


def complete_models(config: Config) -> list[str]:
    """Give each experiment with a `model` the network and head of its file, in place.

    A line for each that cannot be: no such file, keys of a training beside it, other classes or
    another kind of truth than its dataset. Whether its weights are whole its own job asks.
    """
    problems: list[str] = []
    for name, experiment in config["experiments"].items():
        where = f"config: experiments.{name}"
        if experiment["model"] is None:
            if "network" not in experiment:
                problems.append(
                    f"{where}.network: is missing; name one, such as `name: unet`, or a finished "
                    "`model: path` in its place"
                )
            continue
        problems += _problems_beside(where, experiment)
        try:
            description = read_description(located(experiment["model"]))
        except ModelError as error:
            problems.append(f"{where}.model: {error}")
            continue
        if dataset := config["datasets"].get(experiment["dataset"]):
            problems += _problems_of_dataset(where, experiment["dataset"], dataset, description)
        experiment["network"] = {
            key: value for key, value in description["network"].items() if key not in OF_IMAGES
        }
        heads = description.get("heads", [])
        experiment["head"] = heads[0] if heads else None  # type: ignore[typeddict-item]
    return problems


def description_of(experiment: ExperimentConfig) -> ModelDescription | None:
    """What the experiment's model file says of itself; None where it is trained."""
    return None if experiment["model"] is None else read_description(located(experiment["model"]))


def _problems_beside(where: str, experiment: ExperimentConfig) -> Iterator[str]:
    given = [key for key in OF_TRAINING if experiment.get(key)]
    given += ["recipe"] if experiment["recipe"] != NO_RECIPE else []
    if given:
        yield (
            f"{where}.model: is a finished network, which nothing trains: take out "
            f"{', '.join(given)}, or the model"
        )
    if experiment["segment_with"] != "folds":
        way = experiment["segment_with"]
        yield f"{where}.segment_with: {way} is of networks that are trained; leave it out"
    if {"{", "}"} & {*str(Path(experiment["model"] or ""))}:
        yield f"{where}.model: {experiment['model']}: write a path without {{ and }}"


def _problems_of_dataset(
    where: str, name: str, dataset: DatasetConfig, description: ModelDescription
) -> Iterator[str]:
    found = ", ".join(description["classes"])
    if dataset["classes"] != description["classes"]:
        yield (
            f"{where}.model: finds {found}, but dataset {name} has "
            f"{', '.join(dataset['classes'])}; set its classes to [{found}]"
        )
    kind = description.get("truth", dataset["truth"])
    if dataset["truth"] != kind:
        yield (
            f"{where}.model: is of truth of kind {kind}, but dataset {name} has "
            f"{dataset['truth']}; set its truth to {kind}"
        )
