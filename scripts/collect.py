"""The scores of all images as one table, those of all stacks, and their summary."""

from unetflow.jobs.logs import job_log
from unetflow.jobs.makings import recorded
from unetflow.stages.collect import collect_metrics

with job_log(snakemake.log[0]), recorded(snakemake.params.making, snakemake.input):
    collect_metrics(
        tables=snakemake.input.tables,
        stacks=snakemake.input.stacks,
        table=snakemake.output.table,
        stack_table=snakemake.output.stacks,
        summary=snakemake.output.summary,
    )
