"""One image with the outlines of its instances as a pyramidal OME-TIFF."""

from unetflow.jobs.left import unless_failed
from unetflow.jobs.logs import job_log
from unetflow.jobs.makings import recorded
from unetflow.stages.export import export_overlay

with job_log(snakemake.log[0]), recorded(snakemake.params.making, snakemake.input):
    unless_failed(
        export_overlay,
        image=snakemake.params.image,
        image_receipt=snakemake.params.image_receipt,
        store=snakemake.params.store,
        instances=snakemake.params.instances,
        stored=snakemake.params.stored,
        output=snakemake.output.file,
    )
