"""The separation terms of images' weight maps."""

from unetflow.jobs.bundles import in_turn
from unetflow.jobs.logs import job_log
from unetflow.stages.weights import write_weights

with job_log(snakemake.log[0]):
    in_turn(
        write_weights,
        snakemake.params.images,
        output=snakemake.output.receipt,
        w0=snakemake.params.w0,
        sigma_px=snakemake.params.sigma_px,
        threads=snakemake.threads,
        code=snakemake.params.code,
    )
