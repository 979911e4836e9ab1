"""The foreground of one image."""

from unetflow.jobs.logs import job_log
from unetflow.predict import predict_store

with job_log(snakemake.log[0]):
    predict_store(
        image=snakemake.params.image,
        image_receipt=snakemake.input.image,
        models=snakemake.input.models,
        store=snakemake.params.store,
        receipt=snakemake.output.receipt,
        **snakemake.params.predict,
        threads=snakemake.threads,
        gpu=snakemake.resources.gpu > 0,
        require_gpu=snakemake.params.require_gpu,
        share=snakemake.params.share and tuple(snakemake.params.share),
        code=snakemake.params.code,
    )
