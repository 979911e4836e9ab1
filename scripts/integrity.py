"""What the prepared data are like, and what looks wrong."""

from unetflow.jobs.left import data_left
from unetflow.jobs.logs import job_log
from unetflow.jobs.makings import recorded
from unetflow.stages.integrity import write_integrity

with job_log(snakemake.log[0]), recorded(snakemake.params.making, snakemake.input):
    write_integrity(
        **data_left(
            images=snakemake.params.images,
            truths=dict(zip(snakemake.params.annotated, snakemake.params.truths, strict=True)),
            facts=snakemake.params.facts,
        ),
        table=snakemake.output.table,
    )
