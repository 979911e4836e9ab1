# Which files the rules take of a job's images and models; of all that is run, in aggregates.smk.
from itertools import chain

from unetflow.jobs.results import model_made_in
from unetflow.models import located
from unetflow.provenance.failed import first_failure
from unetflow.store.files import digest_of_file

# Stores, each with the receipt that tells of its shards
PIXELS = "images/{image}.ome.zarr", "images/{receipt}.json"
TRUTHS = "images/{image}.ome.zarr", "truth/{receipt}.json"
FOREGROUNDS, INSTANCES = (
    (
        "predictions/{experiment}/fold{fold}/{image}.ome.zarr",
        f"predictions/{{experiment}}/fold{{fold}}/{stage}/{{receipt}}.json",
    )
    for stage in (FOREGROUND, "instances")
)
FOREGROUND_OF_BUNDLE = f"predictions/{{experiment}}/fold{{fold}}/{FOREGROUND}/{{bundle}}.json"


def images_of(pattern, *roles):
    """Function of wildcards: a path for each image with one of the roles in the fold."""
    return lambda wildcards: paths(
        pattern,
        SETTINGS.images_of(wildcards.experiment, wildcards.fold, *roles),
        **run_of(wildcards),
    )


def reads(*pairs):
    """Function of wildcards: the stores that a job of one image reads, each with its receipt."""

    def stored(wildcards):
        run = {key: getattr(wildcards, key, None) for key in ("experiment", "fold")}
        return [[paths(of, [wildcards.image], **run)[0] for of in pair] for pair in pairs]

    return stored


def reads_each(choose, *pairs):
    """The same of a job of many images; `choose` makes functions of wildcards of the patterns."""

    def stored(wildcards):
        found = ((choose(store)(wildcards), choose(of)(wildcards)) for store, of in pairs)
        return [list(each) for lists in found for each in zip(*lists, strict=True)]

    return stored


def images_of_roles(*roles):
    """As `images_of`, with the pattern last."""
    return lambda pattern: images_of(pattern, *roles)


def judged(pattern):
    """Function of wildcards: a path for each image that the fold's thresholds are chosen on."""

    def judged_paths(wildcards):
        name = wildcards.experiment
        pairs = SETTINGS.judged(name, wildcards.fold)
        found = (paths(pattern, [image], experiment=name, fold=fold) for image, fold in pairs)
        return list(dict.fromkeys(chain.from_iterable(found)))

    return judged_paths


def models(wildcards):
    """The model file of the fold, or those of all folds for their mean."""
    name, fold = wildcards.experiment, wildcards.fold
    folds = SETTINGS.folds(name) if fold == "ensemble" else [fold]
    return [f"{RESULTS}/models/{name}/fold{each}/model.safetensors" for each in folds]


@signed
def model_receipts(wildcards):
    """Their receipts, which name the digests: the time of a large file does not count."""
    return [path.replace("model.safetensors", "model.json") for path in models(wildcards)]


@signed
def shares_of_bundle(wildcards):
    """Receipts of the parts that images are predicted in, none where one job does them."""
    parts = parts_of(wildcards)
    if parts == 1:
        return []
    folder = f"{RESULTS}/predictions/{wildcards.experiment}/fold{wildcards.fold}/parts"
    return [f"{folder}/{wildcards.bundle}.{part}of{parts}.json" for part in range(parts)]


def weight_maps(pattern):
    """Function of wildcards: the training images' weight maps, none without a weighting."""

    def maps(wildcards):
        name = SETTINGS.config["experiments"][wildcards.experiment]["weighting"]
        return images_of(f"weights/{name}/{pattern}", "train")(wildcards) if name else []

    return maps


def reads_of_training(wildcards):
    """All stores that a network learns from, each with its receipt."""
    return [
        *reads_each(images_of_roles("train", "validation"), PIXELS, TRUTHS)(wildcards),
        *reads_each(weight_maps, ("{image}.zarr", "{receipt}.json"))(wildcards),
    ]


def training_receipts(wildcards):
    """Receipts of all images, truths and weight maps that a network learns from."""
    roles = "train", "validation"
    images = images_of("images/{receipt}.json", *roles)(wildcards)
    truths = images_of("truth/{receipt}.json", *roles)(wildcards)
    return [*images, *truths, *weight_maps("{receipt}.json")(wildcards)]


def pretrained(wildcards):
    """The model file that the experiment starts from, if it names one.

    Its time does not count. Of one that this config trains it is the receipt.
    """
    path = file_to_start_from(wildcards)
    if is_trained_here(path):
        return path.replace("model.safetensors", "model.json")
    return ancient(path) if path else []


def file_to_start_from(wildcards):
    """The same itself, None for none."""
    given = experiment("pretrained")(wildcards)
    return given and (model_made_in(RESULTS, given) or located(given))


def is_trained_here(path):
    """Whether a model file is one that this config makes."""
    return bool(path) and path.startswith(f"{RESULTS}/models/")


def what_to_start_from(wildcards):
    """The digest of that file, wherever it lies; its path where this config trains it."""
    path = file_to_start_from(wildcards)
    return digest_of_model_file(path) if path and not is_trained_here(path) else path


def finished_model(wildcards):
    """The model file that the experiment names; its time does not count."""
    return ancient(located(experiment("model")(wildcards)))


@cache
def digest_of_model_file(path):
    """Digest of a model file that was not made here."""
    return digest_of_file(path)


def digest_of_finished_model(wildcards):
    """Another file of the same name is another model."""
    return digest_of_model_file(located(experiment("model")(wildcards)))


def deployed_model(wildcards):
    """The model file that calibration writes."""
    pattern = "calibration/{experiment}/fold{fold}/deploy.safetensors"
    return paths_of_runs(pattern, [(wildcards.experiment, wildcards.fold)])


def slices_of(pattern, roles=("test",)):
    """Function of wildcards: a path for each slice of the stack."""

    def slices(wildcards):
        stacks = SETTINGS.stacks_of(wildcards.experiment, wildcards.fold, *roles)
        return paths(pattern, stacks[wildcards.stack], **run_of(wildcards))

    return slices


def none_failed(*roles):
    """Function of wildcards: whether no image or truth of these roles in the fold failed."""

    def none(wildcards):
        of = images_of("images/{receipt}.json", *roles), images_of("truth/{receipt}.json", *roles)
        return first_failure(chain.from_iterable(each(wildcards) for each in of)) is None

    return none
