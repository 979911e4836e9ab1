"""The end of a run, which fails where images did."""

from unetflow.jobs.logs import job_log
from unetflow.jobs.makings import recorded
from unetflow.stages.verdict import write_verdict

with job_log(snakemake.log[0]), recorded(snakemake.params.making, [snakemake.input.outcome]):
    write_verdict(outcome=snakemake.input.outcome, verdict=snakemake.output.verdict)
