"""One experiment for each of its seeds, so that a score comes with what a seed is worth."""

import copy

from unetflow.jobs.config import Config, ExperimentConfig


def expand_seeds(config: Config) -> list[str]:
    """Give each seed of an experiment's `seeds` an experiment of its own, `name-seed`, in place.

    Returns a line for each that cannot be.
    """
    expanded: dict[str, ExperimentConfig] = {}
    problems = []
    for name, experiment in config["experiments"].items():
        seeds = experiment["seeds"]
        if seeds is None:
            each = {name: experiment}
        else:
            if "seed" in experiment["recipe"]:
                problems.append(
                    f"config: experiments.{name}.seeds: the recipe has a seed of its own; keep one"
                )
            each = {f"{name}-{seed}": _with_seed(experiment, seed) for seed in seeds}
        problems += [
            f"config: experiments: there would be two named {one}, one of them of seeds; name one "
            "otherwise"
            for one in each
            if one in expanded
        ]
        expanded |= each
    config["experiments"] = expanded
    return problems


def _with_seed(experiment: ExperimentConfig, seed: int) -> ExperimentConfig:
    own = copy.deepcopy(experiment)
    own["seeds"] = None
    own["recipe"]["seed"] = seed
    return own
