"""The pixels of images as OME-Zarr."""

from unetflow.jobs.bundles import in_turn
from unetflow.jobs.logs import job_log
from unetflow.jobs.makings import recorded
from unetflow.stages.prepare_image import prepare_image

with job_log(snakemake.log[0]), recorded(snakemake.params.making, snakemake.input):
    in_turn(
        prepare_image,
        snakemake.params.images,
        rule=snakemake.rule,
        log=snakemake.log[0],
        output=snakemake.output.receipt,
        max_unreadable=snakemake.params.max_unreadable,
        scratch=snakemake.params.scratch,
        threads=snakemake.threads,
        code=snakemake.params.code,
    )
