"""The report of all that was run."""

from unetflow.jobs.logs import job_log
from unetflow.report.page import write_report

with job_log(snakemake.log[0]):
    write_report(
        results=snakemake.params.results,
        config=snakemake.params.config,
        runs=snakemake.params.runs,
        html=snakemake.output.html,
        headline=snakemake.output.headline,
    )
