"""Object step and thresholds of one experiment and fold, from its validation images."""

from unetflow.evaluate.object_step import Wanted
from unetflow.evaluate.scoring import Scoring
from unetflow.jobs.left import those_left
from unetflow.jobs.logs import job_log
from unetflow.jobs.makings import recorded
from unetflow.labels.dataset import Dataset
from unetflow.stages.calibrate import calibrate

with job_log(snakemake.log[0]), recorded(snakemake.params.making, snakemake.input):
    calibrate(
        **those_left(
            images=snakemake.params.images,
            predictions=snakemake.params.predictions,
            stored=snakemake.params.stored,
        ),
        receipt=snakemake.output.receipt,
        dataset=Dataset(
            kind=snakemake.params.kind,
            classes=tuple(snakemake.params.classes),
        ),
        scoring=Scoring(
            thresholds=snakemake.params.thresholds,
            regions_px=snakemake.params.regions_px,
            labelling=snakemake.params.labelling,
            threads=snakemake.threads,
            foreground=snakemake.params.foreground,
        ),
        wanted=Wanted(**snakemake.params.wanted),
        tried=snakemake.output.tried,
        models=snakemake.input.models,
        deployed=snakemake.params.deployed,
        made_with=snakemake.params.made_with,
    )
