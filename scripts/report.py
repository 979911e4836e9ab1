"""The report of all that was run."""

from unetflow.jobs.left import receipts_left, rows_left, runs_left
from unetflow.jobs.logs import job_log
from unetflow.jobs.makings import recorded
from unetflow.stages.report import write_report

with job_log(snakemake.log[0]), recorded(snakemake.params.making, snakemake.input):
    write_report(
        config=snakemake.params.config,
        runs=runs_left(snakemake.params.runs),
        receipts=receipts_left(snakemake.params.receipts),
        pictures=rows_left(snakemake.params.pictures, "pictures"),
        tiles=rows_left(snakemake.params.tiles, "receipt"),
        scores=snakemake.input.table,
        stacks=snakemake.input.stacks,
        integrity=snakemake.input.integrity,
        outcome=snakemake.input.outcome,
        repeat={
            "command": snakemake.params.command,
            "changed": snakemake.params.changed,
            "parts": snakemake.params.parts,
        },
        html=snakemake.output.html,
        headline=snakemake.output.headline,
        provenance=snakemake.params.provenance,
    )
