"""The separation terms of images' weight maps."""

from unetflow.jobs.bundles import in_turn
from unetflow.jobs.logs import job_log
from unetflow.jobs.makings import recorded
from unetflow.stages.weights import write_weights

with job_log(snakemake.log[0]), recorded(snakemake.params.making, snakemake.input):
    in_turn(
        write_weights,
        snakemake.params.images,
        rule=snakemake.rule,
        log=snakemake.log[0],
        output=snakemake.output.receipt,
        kind=snakemake.params.kind,
        weighting=snakemake.params.weighting,
        threads=snakemake.threads,
        code=snakemake.params.code,
    )
