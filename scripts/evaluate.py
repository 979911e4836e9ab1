"""All scores of images."""

from unetflow.engine.distributed import working_on
from unetflow.evaluate.scoring import Scoring
from unetflow.evaluate.tables import join_tables
from unetflow.jobs.bundles import in_turn
from unetflow.jobs.logs import job_log
from unetflow.jobs.makings import recorded
from unetflow.labels.dataset import Dataset
from unetflow.stages.evaluate import evaluate_image

with (
    job_log(snakemake.log[0]),
    recorded(snakemake.params.making, snakemake.input),
    working_on(snakemake.params.engine),
):
    in_turn(
        evaluate_image,
        snakemake.params.images,
        rule=snakemake.rule,
        log=snakemake.log[0],
        output=snakemake.output.table,
        made="table",
        finish=join_tables,
        calibration=snakemake.input.calibration,
        dataset=Dataset(
            kind=snakemake.params.kind,
            classes=tuple(snakemake.params.classes),
        ),
        scoring=Scoring(
            thresholds=snakemake.params.thresholds,
            regions_px=snakemake.params.regions_px,
            per_slice=snakemake.params.per_slice,
            labelling=snakemake.params.labelling,
            threads=snakemake.threads,
            foreground=snakemake.params.foreground,
        ),
    )
