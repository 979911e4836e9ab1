"""The foreground of the slices of one stack as a 32-bit TIFF."""

from unetflow.jobs.left import unless_failed
from unetflow.jobs.logs import job_log
from unetflow.jobs.makings import recorded
from unetflow.stages.export import export_stack

with job_log(snakemake.log[0]), recorded(snakemake.params.making, snakemake.input):
    unless_failed(
        export_stack,
        predictions=snakemake.params.predictions,
        stored=snakemake.params.stored,
        output=snakemake.output.file,
        foreground=snakemake.params.foreground,
    )
