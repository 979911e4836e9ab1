"""Tiles of slides, for the report's viewer."""

from unetflow.jobs.bundles import in_turn
from unetflow.jobs.logs import job_log
from unetflow.jobs.makings import recorded
from unetflow.stages.tiles import make_tiles

with job_log(snakemake.log[0]), recorded(snakemake.params.making, snakemake.input):
    in_turn(
        make_tiles,
        snakemake.params.images,
        rule=snakemake.rule,
        log=snakemake.log[0],
        output=snakemake.output.receipt,
        foreground=snakemake.params.foreground,
        threads=snakemake.threads,
    )
