"""The instances of one image as polygons for QuPath."""

from unetflow.jobs.logs import job_log
from unetflow.stages.export import export_geojson

with job_log(snakemake.log[0]):
    export_geojson(
        store=snakemake.params.store,
        table=snakemake.params.table,
        instances=snakemake.input.instances,
        image_receipt=snakemake.params.image_receipt,
        classes=snakemake.params.classes,
        stored=snakemake.params.stored,
        output=snakemake.output.file,
    )
