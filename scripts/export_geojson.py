"""The instances of one image as polygons for QuPath."""

from unetflow.jobs.left import unless_failed
from unetflow.jobs.logs import job_log
from unetflow.jobs.makings import recorded
from unetflow.stages.export import export_geojson

with job_log(snakemake.log[0]), recorded(snakemake.params.making, snakemake.input):
    unless_failed(
        export_geojson,
        store=snakemake.params.store,
        table=snakemake.params.table,
        instances=snakemake.input.instances,
        image_receipt=snakemake.params.image_receipt,
        classes=snakemake.params.classes,
        first_px=snakemake.params.first_px,
        stored=snakemake.params.stored,
        output=snakemake.output.file,
    )
