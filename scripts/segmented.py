"""What was found in the images that are only segmented."""

from unetflow.jobs.left import rows_left
from unetflow.jobs.logs import job_log
from unetflow.jobs.makings import recorded
from unetflow.stages.segmented import write_segmented

with job_log(snakemake.log[0]), recorded(snakemake.params.making, snakemake.input):
    write_segmented(
        images=rows_left(snakemake.params.images, "foreground", "instances"),
        threshold=snakemake.params.threshold,
        table=snakemake.output.table,
    )
