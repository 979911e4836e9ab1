# Settings, and what made each output. What params and resources ask of a job's images stands in
# images.smk, of its networks in experiments.smk; paths.smk and aggregates.smk say who takes which
# files.
import atexit
import gc
import os
import shlex
import sys
from functools import cache, partial
from pathlib import Path

from snakemake.exceptions import WorkflowError
from snakemake.io import apply_wildcards
from snakemake.logging import logger

from unetflow import __file__ as package_file, networks
from unetflow.engine.distributed import check_engine
from unetflow.engine.waiting import spin_briefly
from unetflow.errors import UnetflowError
from unetflow.evaluate.search_space import with_defaults
from unetflow.instances.separation import labelling_of
from unetflow.jobs.accounts import ask_squeue_without_accounts
from unetflow.jobs.failures import farewell, forget_failures
from unetflow.jobs.makings import Makings, has_failed, making_of
from unetflow.jobs.resources import for_shards, growing, reading
from unetflow.jobs.settings import read_settings, type_arguments
from unetflow.jobs.signed import signed
from unetflow.jobs.sources import Sources, sources_cache
from unetflow.jobs.stopping import stop_at_signals
from unetflow.jobs.suitability import check_images
from unetflow.jobs.twice import check_keys
from unetflow.provenance.code_digest import code_digest

BASE = Path(str(workflow.current_basedir)).parents[1]
SCHEMAS = BASE / "workflow" / "schemas"

# The report shows the command of the run: jobs have others of their own.
COMMAND = "UNETFLOW_COMMAND"
if workflow.is_main_process:
    os.environ[COMMAND] = shlex.join(["snakemake", *sys.argv[1:]])

# Hardly anything of a graph is garbage, and a fifth of a plan's time went into looking for it. What
# is garbage is young.
if workflow.is_main_process:
    THRESHOLDS = gc.get_threshold()
    gc.set_threshold(100_000, 1000, 1000)
# Threads share one arena of glibc from a job's start: `unetflow.engine.memory` has the reason.
os.environ.setdefault("MALLOC_ARENA_MAX", "1")
spin_briefly()

try:
    if workflow.is_main_process:
        check_keys(workflow.configfiles)
    if not workflow.modifier.skip_configfile:  # of a module, which has a config of its own
        type_arguments(config, workflow.config_settings.config_args)
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
    gc.freeze()  # the graph stays
    gc.set_threshold(*THRESHOLDS)
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


def code(rule, *others):
    """Function of wildcards: digest of a rule's script and of all modules (and others) behind it."""
    return lambda wildcards: digest_of_code(rule, *others)


@cache
def digest_of_code(rule, *others):
    """That digest, once it is asked for: a job on a cluster parses the code of its own rule alone."""
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
        outputs = workflow.get_rule(MODIFIER.modify_rulename(job)).output
        output, *others = (apply_wildcards(str(each), wildcards) for each in outputs)
        receipt = outputs.get("receipt")
        making = making_of(
            job,
            RESULTS,
            list(wildcards),
            of_job,
            output=output,
            receipt=receipt and apply_wildcards(str(receipt), wildcards),
            others=others,
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
