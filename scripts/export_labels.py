"""The instances of one image as a TIFF of labels."""

from unetflow.exports import export_labels
from unetflow.jobs.logs import job_log

with job_log(snakemake.log[0]):
    export_labels(store=snakemake.params.store, output=snakemake.output.file)
