# Experiments and folds: what params and resources ask of a job's networks.
import math

from unetflow.evaluate.search_space import wanted_of
from unetflow.instances.separation import WITHOUT_HEAD
from unetflow.jobs.resources import (
    gpus,
    refining_mb,
    refining_minutes,
    shapes_of,
    shards_of,
    tiles_mb,
    training_mb,
    training_minutes,
)


def experiment(key):
    """Function of wildcards: a key of the experiment."""
    return lambda wildcards: SETTINGS.config["experiments"][wildcards.experiment][key]


def weighting(wildcards):
    """The keys of the weighting: `unetflow.stages.weights.Weighting`."""
    return SETTINGS.config["weighting"][wildcards.weighting]


def network_module(wildcards):
    """The module of the experiment's network: its code counts beside the script's."""
    return networks.module_of(experiment("network")(wildcards)["name"])


@cache
def geometry_of_network(name):
    """The geometry of an experiment's network."""
    return networks.geometry_of(**SETTINGS.config["experiments"][name]["network"])


def network_code(rule):
    """Function of wildcards: code digest of a rule that runs the experiment's network."""
    return lambda wildcards: digest_of_code(rule, network_module(wildcards))


def gpus_of_job(count):
    """GPUs, asked for when it is known where jobs run; a step of SLURM's was granted its own."""
    return gpus(
        count,
        elsewhere=lambda: (
            workflow.non_local_exec_or_dryrun
            or workflow.remote_exec
            or SETTINGS.config["require_gpu"]
        ),
    )


def parts_of(wildcards):
    """Jobs that share the images of a bundle: as many as wanted, fewer of small ones."""
    if PARTS == 1 or "demo" in SETTINGS.config:  # the demo's files are not drawn yet
        return PARTS
    shards = sum(raw_shards(name) for name in SETTINGS.bundles[wildcards.bundle])
    return max(1, min(PARTS, shards // LEAST_OF_PART))


@cache
def raw_shape(name):
    """(Y, X) of an image's level in its raw file, before it is resampled; (1, 1) if unreadable.

    Of a volume (Z, Y, X).
    """
    image = SETTINGS.images[name]
    shapes = SOURCES.shapes_px(image.path, **image.chosen)
    level = image.level or 0
    return shapes[level] if level < len(shapes) else [1, 1]


def raw_shards(name):
    """Shards of that level."""
    return shards_of(raw_shape(name), PREDICT["shard_px"])


def raw_pixels_of(name):
    """Pixels of that level."""
    return math.prod(raw_shape(name))


def of_training(wildcards):
    """What memory and time of a training follow from: those that `unetflow.jobs.resources` takes."""
    recipe, processes = SETTINGS.recipe(wildcards.experiment), SETTINGS.config["train"]["gpus"]
    on_gpu = gpus_of_job(processes)(wildcards) > 0
    return geometry_of_network(wildcards.experiment), recipe, processes, on_gpu


def memory_of_training(wildcards, attempt):
    """Memory [MB] of a training: by network, patch, and patches that are in work at once."""
    geometry, recipe, processes, on_gpu = of_training(wildcards)
    patches = math.ceil(recipe.batch / recipe.accumulate / processes)
    sides = recipe.input_px(len(geometry.axes))
    of = {"tile_px": sides, "patches": patches, "processes": processes}
    return attempt * training_mb(geometry, on_gpu=on_gpu, **of)


def runtime_of_training(wildcards, attempt):
    """Minutes of a training: by network, patch and steps."""
    geometry, recipe, _, on_gpu = of_training(wildcards)
    sides = recipe.input_px(len(geometry.axes))
    of = {"tile_px": sides, "batch": recipe.batch, "steps": recipe.steps}
    return attempt * training_minutes(geometry, on_gpu=on_gpu, **of)


@signed
def gpus_of_predict(wildcards):
    """GPUs of the rule that predicts an image, or ends it after its parts."""
    return gpus_unhelped(wildcards) if parts_of(wildcards) == 1 else 0


@signed
def gpus_unhelped(wildcards):
    """GPUs of a job that predicts: workers have their own."""
    return 0 if HELPED else gpus_of_job(1)(wildcards)


@signed
def memory_of_predict(wildcards, threads, attempt):
    """Memory [MB] of the rules that predict: on a CPU as many tiles as threads, on a GPU few."""
    if HELPED:
        return attempt * CLIENT_MB
    geometry = geometry_of_network(wildcards.experiment)
    on_gpu = gpus_of_job(1)(wildcards)
    least = 6000 if on_gpu else tiles_mb(geometry, threads)
    return reading(least, peaks_of_predict)(wildcards, attempt=attempt)


def classes_of(wildcards):
    """How many planes a foreground has."""
    return len(dataset("classes")(wildcards))


def memory_of_refine(wildcards, input, threads, attempt):
    """Memory [MB] of the rule that refines foregrounds."""
    shapes = shapes_of(input.images) or [[3, 1024, 1024]]
    classes = classes_of(wildcards)
    how = {"shard_px": PREDICT["shard_px"], "threads": threads}
    return attempt * max(refining_mb(REFINE["crf"], shape, classes, **how) for shape in shapes)


def runtime_of_refine(wildcards, input, attempt):
    """Minutes of the rule that refines foregrounds."""
    per_gpx = refining_minutes(REFINE["crf"], classes_of(wildcards))
    minutes = growing(10, each=1, per_gpx=per_gpx, of="foregrounds")
    return minutes(wildcards, input=input, attempt=attempt)


def share_of_predict(wildcards):
    """What the rule that predicts an image does of it."""
    return None if parts_of(wildcards) == 1 else END


def predict_params(share, receipt):
    """Params of the rules that predict.

    `share` says which shards, as `unetflow.predict.plan.Share`, `receipt` where that of an image is
    written.
    """
    return {
        "images": of_each(
            image="images/{image}.ome.zarr",
            image_receipt="images/{receipt}.json",
            store="predictions/{experiment}/fold{fold}/{image}.ome.zarr",
            receipt=f"predictions/{{experiment}}/fold{{fold}}/{receipt}",
            file=file_of_image,
        ),
        "models": models,
        "predict": PREDICT,
        "without_effect": {
            "require_gpu": SETTINGS.config["require_gpu"],
            "engine": ENGINE,
            # workers on other nodes see no disk of this one
            "scratch": None if HELPED else SETTINGS.config["prepare"]["scratch"],
        },
        "share": share,
        "code": network_code("predict"),
    }


def wanted_object_step(wildcards):
    """What is to be chosen of the object step: `unetflow.evaluate.object_step.Wanted`."""
    config, head = SETTINGS.config, experiment("head")(wildcards)
    methods = [*WITHOUT_HEAD, head] if head and FOREGROUND == "foreground" else [*WITHOUT_HEAD]
    return {
        **wanted_of(config["instances"], config["calibrate"]["by"], LABELLING),
        "methods": methods,
    }


def image_facts(wildcards):
    """Columns that name an image in the table of scores."""
    image = SETTINGS.images[wildcards.image]
    return {
        "experiment": wildcards.experiment,
        "fold": wildcards.fold,
        "image": image.name,
        "split": image.split,
        "group": image.group or "",
    }


def stack_facts(wildcards):
    """Columns that name a stack in the table of stacks."""
    return {key: wildcards[key] for key in ("experiment", "fold", "stack")}
