"""The foreground of images, refined."""

from unetflow.engine.memory import keep_freed_memory
from unetflow.jobs.bundles import in_turn
from unetflow.jobs.logs import job_log
from unetflow.jobs.makings import recorded
from unetflow.refine.refinement import Refinement
from unetflow.stages.refine import refine_image

keep_freed_memory()
with job_log(snakemake.log[0]), recorded(snakemake.params.making, snakemake.input):
    in_turn(
        refine_image,
        snakemake.params.images,
        rule=snakemake.rule,
        log=snakemake.log[0],
        output=snakemake.output.receipt,
        how=Refinement.of(snakemake.params.refine),
        threads=snakemake.threads,
        code=snakemake.params.code,
    )
