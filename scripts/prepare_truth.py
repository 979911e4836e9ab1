"""The annotation of one image as labels beside its pixels."""

from unetflow.jobs.logs import job_log
from unetflow.truth import prepare_truth

with job_log(snakemake.log[0]):
    prepare_truth(
        path=snakemake.input.source + snakemake.params.inside,
        fingerprint=snakemake.params.fingerprint,
        store=snakemake.params.store,
        image_receipt=snakemake.input.image,
        receipt=snakemake.output.receipt,
        plane=snakemake.params.plane,
        time=snakemake.params.time,
        axes=snakemake.params.axes,
        kind=snakemake.params.kind,
        classes=snakemake.params.classes,
        ignore_value=snakemake.params.ignore_value,
        code=snakemake.params.code,
    )
