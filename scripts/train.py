"""The network of one experiment and fold."""

from unetflow.jobs.logs import job_log
from unetflow.train import train_network

with job_log(snakemake.log[0]):
    train_network(
        images=snakemake.params.images,
        weights=snakemake.params.weights,
        validation_images=snakemake.params.validation_images,
        receipts=[*snakemake.input.images, *snakemake.input.truths, *snakemake.input.weights],
        statistics=snakemake.input.statistics,
        model=snakemake.output.model,
        history=snakemake.output.history,
        receipt=snakemake.output.receipt,
        network=snakemake.params.network,
        recipe=snakemake.params.recipe,
        kind=snakemake.params.kind,
        classes=snakemake.params.classes,
        mpp=snakemake.params.mpp,
        threads=snakemake.threads,
        gpu=snakemake.resources.gpu > 0,
        require_gpu=snakemake.params.require_gpu,
        code=snakemake.params.code,
    )
