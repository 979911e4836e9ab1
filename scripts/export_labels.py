"""The instances of one image as a TIFF of labels."""

from unetflow.jobs.left import unless_failed
from unetflow.jobs.logs import job_log
from unetflow.jobs.makings import recorded
from unetflow.stages.export import export_labels

with job_log(snakemake.log[0]), recorded(snakemake.params.making, snakemake.input):
    unless_failed(
        export_labels,
        store=snakemake.params.store,
        stored=snakemake.params.stored,
        output=snakemake.output.file,
    )
