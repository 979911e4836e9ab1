"""The challenge's scores of the slices of one stack, scored together."""

from unetflow.jobs.left import those_left
from unetflow.jobs.logs import job_log
from unetflow.jobs.makings import recorded
from unetflow.stages.evaluate_stack import evaluate_stack

with job_log(snakemake.log[0]), recorded(snakemake.params.making, snakemake.input):
    evaluate_stack(
        **those_left(
            images=snakemake.params.images,
            predictions=snakemake.params.predictions,
            stored=snakemake.params.stored,
        ),
        calibration=snakemake.input.calibration,
        table=snakemake.output.table,
        facts=snakemake.params.facts,
        foreground=snakemake.params.foreground,
        threads=snakemake.threads,
    )
