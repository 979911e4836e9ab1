# Settings, and the functions that the rules' params and resources use; paths are in paths.smk.
import atexit
import gc
import math
import os
import shlex
import sys
from functools import cache, lru_cache, partial
from itertools import chain
from pathlib import Path
from types import SimpleNamespace

from snakemake.exceptions import WorkflowError
from snakemake.io import apply_wildcards
from snakemake.logging import logger

from unetflow import __file__ as package_file, networks
from unetflow.engine.distributed import check_engine
from unetflow.engine.waiting import spin_briefly
from unetflow.errors import UnetflowError
from unetflow.evaluate.search_space import wanted_of, with_defaults
from unetflow.images.sources import holds_polygons, split_dataset
from unetflow.instances.separation import WITHOUT_HEAD, labelling_of
from unetflow.jobs.accounts import ask_squeue_without_accounts
from unetflow.jobs.changed import changed_keys
from unetflow.jobs.failures import farewell, forget_failures
from unetflow.jobs.makings import Makings, has_failed, is_readable, making_of
from unetflow.jobs.resources import (
    are_in_memory,
    for_shards,
    gpus,
    growing,
    reading,
    refining_mb,
    refining_minutes,
    shapes_of,
    shards_of,
    tiles_mb,
    training_mb,
    training_minutes,
)
from unetflow.jobs.results import model_made_in
from unetflow.jobs.schemas import read_schema
from unetflow.jobs.settings import read_settings
from unetflow.jobs.signed import signed
from unetflow.jobs.sources import Sources, sources_cache
from unetflow.jobs.stopping import stop_at_signals
from unetflow.jobs.suitability import check_images
from unetflow.jobs.twice import check_keys
from unetflow.jobs.volumes import first_px
from unetflow.models import located
from unetflow.provenance.code_digest import code_digest
from unetflow.provenance.failed import first_failure
from unetflow.report.pictures import LEAST_PX
from unetflow.store.files import digest_of_file

BASE = Path(str(workflow.current_basedir)).parents[1]
SCHEMAS = BASE / "workflow" / "schemas"

# The report shows the command of the run: jobs have others of their own.
COMMAND = "UNETFLOW_COMMAND"
if workflow.is_main_process:
    os.environ[COMMAND] = shlex.join(["snakemake", *sys.argv[1:]])

# Hardly anything of a graph is garbage, and a fifth of a plan's time went into looking for it.
if workflow.is_main_process:
    gc.set_threshold(50_000, 20, 100)
# Threads share one arena of glibc from a job's start: `unetflow.engine.memory` has the reason.
os.environ.setdefault("MALLOC_ARENA_MAX", "1")
spin_briefly()

try:
    if workflow.is_main_process:
        check_keys(workflow.configfiles)
    SETTINGS = read_settings(config, SCHEMAS, BASE, in_job=not workflow.is_main_process)
    RESULTS = SETTINGS.config["results"].rstrip("/")
    SOURCES = Sources(sources_cache(RESULTS))
    atexit.register(SOURCES.save)
    if workflow.is_main_process:  # each job reads the config again
        for note in [*SETTINGS.notes, *check_images(SETTINGS, SOURCES)]:
            logger.warning(f"note: {note}")
except UnetflowError as error:
    raise WorkflowError(str(error)) from None

LOGS = Path(RESULTS) / "logs"
ENGINE = SETTINGS.config["engine"]
HELPED = ENGINE["scheduler"] is not None  # then a job that workers help waits for them
CLIENT_MB = 4000
MAKINGS = Makings(RESULTS, SOURCES)
RETRY = SETTINGS.config["retry"]
# of what is `auto` the defaults; the receipt of the calibration has what was chosen
LABELLING = labelling_of(with_defaults(SETTINGS.config["instances"]))
THRESHOLD = with_defaults(SETTINGS.config["instances"])["threshold"]
REFINE = SETTINGS.config["refine"]
# What a prediction elsewhere has to repeat: `unetflow.networks.deployed.Deployed`
DEPLOYED = {
    "test_time_augmentation": SETTINGS.config["predict"]["test_time_augmentation"],
    "smooth_px": REFINE["smooth_px"],
    **({} if REFINE["crf"] is None else {"crf": REFINE["crf"]}),
}
# What thresholds, instances and scores are of: an array, and the folder of its receipts
FOREGROUND = "refined" if any(part is not None for part in REFINE.values()) else "foreground"
PARTS = SETTINGS.config["predict"]["parts"]  # in no digest: any number gives the same bytes
PREDICT = {key: value for key, value in SETTINGS.config["predict"].items() if key != "parts"}
LEAST_OF_PART = 16  # shards: with fewer, starting the job takes longer than what is shared
BEGIN, END = (0, 0), (-1, 1)  # shares, as `unetflow.predict.plan` has them

CONTAINER = SETTINGS.config["container"]

if CONTAINER:

    container: CONTAINER


onstart:
    forget_failures(LOGS)
    try:
        check_engine(ENGINE)
    except UnetflowError as error:
        raise WorkflowError(str(error)) from None
    stop_at_signals()
    if note := ask_squeue_without_accounts(workflow.executor_settings):
        logger.info(note)


onerror:
    logger.error(farewell(LOGS, sys.argv[1:]))


EXPERIMENTS = list(SETTINGS.config["experiments"])


def one_of(names):
    """Pattern of a wildcard: one of these names, and nothing where there is none."""
    return "|".join(names) or "(?!)"


wildcard_constraints:
    bundle="(bundles/)?[A-Za-z0-9][A-Za-z0-9_-]*",
    image="[A-Za-z0-9][A-Za-z0-9_-]*",
    experiment="[A-Za-z0-9][A-Za-z0-9_-]*",
    weighting="[A-Za-z0-9][A-Za-z0-9_-]*",
    stack="[A-Za-z0-9][A-Za-z0-9_-]*",
    fold="[0-9]+|all|ensemble",
    part="[0-9]+",
    parts="[0-9]+",


@cache
def code(rule, *others):
    """Digest of a rule's script and of the package's modules (and others) behind it."""
    return code_digest(BASE / "scripts" / f"{rule}.py", *others)


# What made each output: `unetflow.jobs.makings`. Params are named once, by `made_by`

MODIFIER = workflow.modifier  # of a workflow that loads this one: its rules have other names there
MAKING_OF = {}
HARMLESS_OF = {}


def made_by(job, /, *, sources=None, stores=None, harmless=None, without_effect=None, **params):
    """The params of a job, and `making`, which has all of them by name for its record.

    `sources` and `stores` are functions of wildcards: the raw files that a job reads, and the
    stores that its receipts speak of. `harmless` has by name functions of wildcards: whether
    another value of that param changes nothing of what is there. `without_effect` are params that
    never do, and are in no record; one of the name of a param is what the script has in its place.
    Snakemake itself compares `values` alone, which says where no file lies.
    """

    def value(param, wildcards):
        if callable(param):
            return param(wildcards)
        return apply_wildcards(param, wildcards) if isinstance(param, str) else param

    known = {}

    def given(wildcards):
        key = tuple(wildcards)
        if key not in known:
            known[key] = evaluated(wildcards)
        return known[key]

    def evaluated(wildcards):
        of_job = {name: value(param, wildcards) for name, param in params.items()}
        making = making_of(
            job,
            RESULTS,
            list(wildcards),
            of_job,
            output=apply_wildcards(str(workflow.get_rule(MODIFIER.modify_rulename(job)).output[0]), wildcards),
            sources=sources(wildcards) if sources else {},
            stores=stores(wildcards) if stores else [],
        )
        of_job |= {name: value(param, wildcards) for name, param in (without_effect or {}).items()}
        return of_job | {"making": making}

    def making(wildcards):
        return given(wildcards)["making"]

    def values(wildcards):
        made = making(wildcards)["values"]
        if not harmless:
            return made
        return {name: of for name, of in made.items() if name not in harmless}

    def of_job(name):
        # what asks for the output is no reason to run again
        return signed(lambda wildcards, output: given(wildcards)[name])

    MAKING_OF[job], HARMLESS_OF[job] = making, harmless or {}
    names = [*params, *(without_effect or {}), "making"]
    return {name: of_job(name) for name in names} | {"values": signed(values)}


def unlike(job):
    """Function of wildcards: no file; it has the job run where its output is made otherwise now."""

    def none(wildcards):
        if workflow.is_main_process:
            making = MAKING_OF[job](wildcards)
            harmless = {name: partial(of, wildcards) for name, of in HARMLESS_OF[job].items()}
            if MAKINGS.differs(making, harmless) or (RETRY and has_failed(making["output"])):
                workflow.dag.forcefiles.add(making["output"])
        return []

    return signed(none)


def report_templates():
    """The report's templates, as `code` takes files."""
    beside = Path(package_file).parents[1]
    folder = beside / "unetflow" / "report" / "templates"
    files = [path for path in sorted(folder.rglob("*")) if path.is_file()]
    return [path.relative_to(beside).as_posix() for path in files]


def under_results(path):
    """A path under the results folder for params, where Snakemake expands wildcards only."""
    return f"{RESULTS}/{path}"


growing = partial(growing, bundles=SETTINGS.bundles)


def threads_unhelped(most, **of):
    """Threads of a job whose shards workers may do in its place."""
    return 1 if HELPED else for_shards(most, **of)


# Images and the bundles that share jobs: patterns name an {image}, its {bundle}, its {receipt}

BUNDLE_OF = {image: bundle for bundle, images in SETTINGS.bundles.items() for image in images}


@cache
def names_of(image):
    """What patterns may name of an image; a bundle of one has the image's name and receipt."""
    bundle = BUNDLE_OF[image]
    receipt = image if bundle == image else f"{bundle}/{image}"
    return {"image": image, "bundle": bundle, "receipt": receipt}


def paths(pattern, images, **wildcards):
    """A path under the results for each image, each path once."""
    filled = (f"{RESULTS}/{pattern}".format(**wildcards, **names_of(image)) for image in images)
    return list(dict.fromkeys(filled))


def each_of(wildcards):
    """The wildcards of each image of a bundle."""
    return of_bundle(wildcards.bundle, tuple(wildcards.items()))


@lru_cache(1)  # all functions of a job ask, one after the other
def of_bundle(bundle, items):
    if bundle not in SETTINGS.bundles:
        there = BUNDLE_OF.get(bundle)
        raise WorkflowError(
            f"{bundle}: shares its jobs with other images; ask for {there} in its place"
            if there
            else f"{bundle}: no image of {SETTINGS.config['images']}, nor a bundle of them"
        )
    return [SimpleNamespace(**(dict(items) | names_of(image))) for image in SETTINGS.bundles[bundle]]


def of_each(**params):
    """Function of wildcards: by image of the bundle its params, made as those of one image.

    A text is a path under the results.
    """

    def value(each, param):
        return param(each) if callable(param) else f"{RESULTS}/{param}".format(**vars(each))

    return lambda wildcards: {
        each.image: {key: value(each, param) for key, param in params.items()}
        for each in each_of(wildcards)
    }


def in_bundle(function):
    """Function of wildcards: what a function gives for each image of the bundle."""
    return signed(lambda wildcards: [function(each) for each in each_of(wildcards)])


def files_of(function):
    """Function of wildcards: the files that a function gives for the bundle's images, each once."""
    found = in_bundle(function)
    return signed(lambda wildcards: list(dict.fromkeys(filter(None, found(wildcards)))))


def of_image(pattern):
    """Function of wildcards: the path of an image or of its bundle."""
    return signed(lambda wildcards: paths(pattern, [wildcards.image], **run_of(wildcards))[0])


def run_of(wildcards):
    """Experiment and fold of a job."""
    return {"experiment": wildcards.experiment, "fold": wildcards.fold}


def place_in_file(wildcards):
    """Where in its file a volume begins along z, y and x, if it is a part of it."""
    return first_px(SETTINGS.images[wildcards.image], SOURCES)


def raw_file(column):
    """Function of wildcards: the raw file of the image, whose time does not count.

    (That of a file which is to be drawn does.) None for a name with braces, which Snakemake would
    fill in: whether the file is there was asked before.
    """

    def path(wildcards):
        file, _ = split_dataset(getattr(SETTINGS.images[wildcards.image], column))
        if {"{", "}"} & {*str(file)}:
            return None
        return str(file) if is_drawn() else ancient(str(file))

    return path


def dataset(key):
    """Function of wildcards: a key of the dataset of the experiment, image or bundle."""

    def value(wildcards):
        if hasattr(wildcards, "experiment"):
            name = SETTINGS.config["experiments"][wildcards.experiment]["dataset"]
        else:  # all images of a bundle are of one
            image = getattr(wildcards, "image", None) or each_of(wildcards)[0].image
            name = SETTINGS.images[image].dataset
        return SETTINGS.config["datasets"][name][key]

    return value


def raw(column):
    """Function of wildcards: `unetflow.images.sources.RawFile` of the image or of its truth."""

    def value(wildcards):
        image = SETTINGS.images[wildcards.image]
        drawn = column == "truth" and image.planes and holds_polygons(image.truth)
        begin = {"first_px": place_in_file(wildcards)} if drawn else {}
        return {"path": getattr(image, column), **image.chosen, **begin}

    return value


def wanted(wildcards):
    """What is made of the raw image: `unetflow.images.in_file.Wanted`."""
    image = SETTINGS.images[wildcards.image]
    of_volume = {
        "spacing": image.spacing and list(image.spacing),
        "in_um": image.in_um,
        "want_spacing": dataset("spacing")(wildcards),
    }
    return {
        "level": image.level,
        "mpp": image.mpp,
        "want_mpp": dataset("mpp")(wildcards),
        "channels": image.channels,
        # its mask, else how its dataset wants tissue found, None for not at all
        "tissue": image.tissue or dataset("tissue")(wildcards),
        **(of_volume if image.volume else {}),
    }


def is_kept(wildcards):
    """Whether all levels of the image stay, else prediction reads its file."""
    keep = SETTINGS.config["prepare"]["keep_images"]
    return keep or SETTINGS.images[wildcards.image].truth is not None


def file_of_image(wildcards):
    """Where the pixels are that its store does not keep: `unetflow.images.file_pixels.ImageFile`."""
    if is_kept(wildcards):
        return None
    return {"raw": raw("path")(wildcards), "wanted": wanted(wildcards)}


def scale(wildcards):
    """How networks see pixels: `unetflow.stages.statistics.Scale`, None for linear."""
    intensity, px = (dataset(key)(wildcards) for key in ("intensity", "intensity_px"))
    if intensity == "linear":
        return None
    return {"scale": intensity} | ({} if px is None else {"px": px})


def annotated(wildcards):
    """How a truth is meant: arguments of `unetflow.stages.prepare_truth.prepare_truth`."""
    return {key: dataset(key)(wildcards) for key in ("label_value", "ring_px")}


def raw_sources(receipt, *columns):
    """Function of wildcards: by name the raw files of the images, and the receipts that know them."""

    def value(wildcards):
        found = {}
        for each in each_of(wildcards):
            image = SETTINGS.images[each.image]
            for column in columns:
                if path := getattr(image, column):
                    mask, volume = column == "tissue", image.volume
                    found[f"{image.name} {column}"] = {
                        "path": path,
                        "time": None if mask else image.time,
                        "plane": None if mask or volume else image.plane,
                        **({"volume": True} if volume and not mask else {}),
                        "receipt": f"{RESULTS}/{receipt}".format(**vars(each)),
                        "key": column,
                    }
        return found

    return value


def stores_of(pattern):
    """Function of wildcards: a path under the results for each image of the bundle."""
    return in_bundle(lambda each: f"{RESULTS}/{pattern}".format(**vars(each)))


def stores_of_images(wildcards):
    """What prepare_image leaves: the finest level, or where it is not kept the store of others."""

    def store(each):
        pattern = "images/{image}.ome.zarr/0" if is_kept(each) else "images/{image}.ome.zarr"
        return f"{RESULTS}/{pattern}".format(**vars(each))

    return in_bundle(store)(wildcards)


def stores_of_predict(wildcards):
    """The arrays that prediction writes: the foreground, and what a head says, if there is one."""
    headed = SETTINGS.config["experiments"][wildcards.experiment]["head"] is not None
    store = "predictions/{experiment}/fold{fold}/{image}.ome.zarr"
    arrays = ["foreground", "heads"] if headed else ["foreground"]
    return [path for array in arrays for path in stores_of(f"{store}/{array}")(wildcards)]


@cache
def is_drawn():
    """Whether the demo's files are to be drawn (again) before they are read."""
    if "demo" not in SETTINGS.config:
        return False
    making = MAKING_OF["draw_demo"]({})
    files = demo_files(slide=False) | demo_files(slide=True)
    there = all(Path(path).exists() for path in chain(files, files.values()))
    return not there or MAKINGS.differs(making)


def peaks_of_images(wildcards):
    """What reading each image of a bundle takes in memory, with the mask of its tissue [bytes]."""
    for name in SETTINGS.bundles[wildcards.bundle] if "demo" not in SETTINGS.config else ():
        image = SETTINGS.images[name]
        of_mask = SOURCES.peak_bytes(image.tissue) if image.tissue else 0
        yield peak_of_image(image) + of_mask


def peak_of_image(image):
    """What reading it takes in memory [bytes], 0 where that is not known."""
    of = SETTINGS.config["datasets"][image.dataset]
    found = SOURCES.as_prepared(image, of["spacing"] or of["mpp"])
    return found["peak_bytes"] if isinstance(found, dict) else 0


def peaks_of_predict(wildcards):
    """The same of those that are read again when they are predicted."""
    for each in each_of(wildcards) if "demo" not in SETTINGS.config else ():
        if not is_kept(each):
            yield peak_of_image(SETTINGS.images[each.image])


def no_peaks(wildcards):
    """Of a job that reads no raw file."""
    return ()


def raw_pixels(wildcards):
    """Pixels of the largest image of a bundle by the headers of the files; None before it is drawn."""
    if "demo" in SETTINGS.config:
        return None
    return max(raw_pixels_of(name) for name in SETTINGS.bundles[wildcards.bundle])


def peaks_of_truths(wildcards):
    """What reading each truth of a bundle takes in memory [bytes]."""
    for name in SETTINGS.bundles[wildcards.bundle]:
        image = SETTINGS.images[name]
        yield SOURCES.peak_bytes(image.truth, image.chosen)


def all_readable(wildcards):
    """Whether no place of the prepared images is unreadable: the limit does not matter then."""
    receipts = paths("images/{receipt}.json", SETTINGS.bundles[wildcards.bundle])
    return all(is_readable(receipt) for receipt in receipts)


def truths_in_memory(wildcards):
    """Whether membranes of all images of the bundle are scored whole, or none: no regions count."""
    return no_regions(wildcards, [each.image for each in each_of(wildcards)])


def are_slices(wildcards):
    """Whether the dataset's rows are no volumes."""
    return dataset("as")(wildcards) == "slices"


def judged_in_memory(wildcards):
    """The same of the images that thresholds are chosen on."""
    pairs = SETTINGS.judged(wildcards.experiment, wildcards.fold)
    return no_regions(wildcards, [image for image, _ in pairs])


def no_regions(wildcards, images):
    """Whether these images are not scored by regions."""
    truths = paths("truth/{receipt}.json", images)
    return dataset("truth")(wildcards) == "classes" or are_in_memory(truths)


def tissue_mask(wildcards):
    """The image's mask of tissue as input, if it has one."""
    return raw_file("tissue")(wildcards) if SETTINGS.images[wildcards.image].tissue else None


# Experiments and folds


def experiment(key):
    """Function of wildcards: a key of the experiment."""
    return lambda wildcards: SETTINGS.config["experiments"][wildcards.experiment][key]


def weighting(wildcards):
    """The keys of the weighting: `unetflow.stages.weights.Weighting`."""
    return SETTINGS.config["weighting"][wildcards.weighting]


def network_module(wildcards):
    """The module of the experiment's network: its code counts beside the script's."""
    return networks.module_of(experiment("network")(wildcards)["name"])


def geometry_of_network(name):
    """The geometry of an experiment's network."""
    return networks.geometry_of(**SETTINGS.config["experiments"][name]["network"])


def network_code(rule):
    """Function of wildcards: code digest of a rule that runs the experiment's network."""
    return lambda wildcards: code(rule, network_module(wildcards))


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


# The whole sheet


def integrity_facts():
    """What the sheet says of each image, for the table of the data."""
    return [
        {
            "image": image.name,
            "dataset": image.dataset,
            "split": image.split,
            "group": image.group or "",
            "kind": SETTINGS.config["datasets"][image.dataset]["truth"],
        }
        for image in SETTINGS.images.values()
    ]


def demo_files(*, slide):
    """The demo's images and their truths, the slide apart: {path: truth}."""
    return {
        image.path: image.truth
        for image in SETTINGS.images.values()
        if image.truth and image.path.endswith(".ome.tif") == slide
    }
