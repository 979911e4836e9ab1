"""What became of each image."""

from unetflow.jobs.logs import job_log
from unetflow.jobs.makings import recorded
from unetflow.stages.outcome import write_outcome

with job_log(snakemake.log[0]), recorded(snakemake.params.making, snakemake.input):
    write_outcome(
        images=snakemake.params.images,
        on_failed=snakemake.params.on_failed,
        table=snakemake.output.table,
        jobs=snakemake.output.jobs,
    )
