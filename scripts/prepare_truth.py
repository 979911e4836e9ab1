"""The annotations of images as labels beside their pixels."""

from unetflow.jobs.bundles import in_turn
from unetflow.jobs.logs import job_log
from unetflow.jobs.makings import recorded
from unetflow.labels.dataset import Dataset
from unetflow.stages.prepare_truth import prepare_truth

with job_log(snakemake.log[0]), recorded(snakemake.params.making, snakemake.input):
    in_turn(
        prepare_truth,
        snakemake.params.images,
        rule=snakemake.rule,
        log=snakemake.log[0],
        output=snakemake.output.receipt,
        dataset=Dataset(
            kind=snakemake.params.kind,
            classes=tuple(snakemake.params.classes),
        ),
        ignore_value=snakemake.params.ignore_value,
        **snakemake.params.annotated,
        code=snakemake.params.code,
    )
