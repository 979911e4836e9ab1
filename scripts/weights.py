"""The separation term of one image's weight map."""

from unetflow.jobs.logs import job_log
from unetflow.weights import write_weights

with job_log(snakemake.log[0]):
    write_weights(
        truth=snakemake.params.truth,
        truth_receipt=snakemake.input.truth,
        store=snakemake.params.store,
        receipt=snakemake.output.receipt,
        kind=snakemake.params.kind,
        w0=snakemake.params.w0,
        sigma_px=snakemake.params.sigma_px,
        threads=snakemake.threads,
        code=snakemake.params.code,
    )
