"""The foreground of the slices of one stack as a 32-bit TIFF."""

from unetflow.exports import export_stack
from unetflow.jobs.logs import job_log

with job_log(snakemake.log[0]):
    export_stack(predictions=snakemake.params.predictions, output=snakemake.output.file)
