"""The scores of all images as one table."""

from unetflow.evaluation import collect_metrics
from unetflow.jobs.logs import job_log

with job_log(snakemake.log[0]):
    collect_metrics(tables=snakemake.input.tables, table=snakemake.output.table)
