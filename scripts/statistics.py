"""Intensities and class frequencies of a fold's training part."""

from unetflow.jobs.left import those_left
from unetflow.jobs.logs import job_log
from unetflow.jobs.makings import recorded
from unetflow.labels.dataset import Dataset
from unetflow.stages.statistics import write_statistics

with job_log(snakemake.log[0]), recorded(snakemake.params.making, snakemake.input):
    write_statistics(
        **those_left(
            images=snakemake.params.images,
            stored=snakemake.params.stored,
            on_failed=snakemake.params.on_failed,
        ),
        receipt=snakemake.output.receipt,
        dataset=Dataset(
            kind=snakemake.params.kind,
            classes=tuple(snakemake.params.classes),
        ),
        percentiles=snakemake.params.percentiles,
        scale=snakemake.params.scale,
    )
