"""A finished model in the place of a training."""

from unetflow.jobs.logs import job_log
from unetflow.jobs.makings import recorded
from unetflow.stages.take_model import take_model

with job_log(snakemake.log[0]), recorded(snakemake.params.making, snakemake.input):
    take_model(
        snakemake.input.model,
        output=snakemake.output.model,
        history=snakemake.output.history,
        receipt=snakemake.output.receipt,
    )
