"""What the report shows of images."""

from unetflow.jobs.bundles import in_turn
from unetflow.jobs.logs import job_log
from unetflow.jobs.makings import recorded
from unetflow.labels.dataset import Dataset
from unetflow.stages.pictures import draw_pictures

with job_log(snakemake.log[0]), recorded(snakemake.params.making, snakemake.input):
    in_turn(
        draw_pictures,
        snakemake.params.images,
        rule=snakemake.rule,
        log=snakemake.log[0],
        output=snakemake.output.receipt,
        dataset=Dataset(
            kind=snakemake.params.kind,
            classes=tuple(snakemake.params.classes),
        ),
    )
