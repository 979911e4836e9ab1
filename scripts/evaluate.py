"""All scores of images."""

from unetflow.evaluate.tables import join_tables
from unetflow.jobs.bundles import in_turn
from unetflow.jobs.logs import job_log
from unetflow.stages.evaluate import evaluate_image

with job_log(snakemake.log[0]):
    in_turn(
        evaluate_image,
        snakemake.params.images,
        output=snakemake.output.table,
        made="table",
        finish=join_tables,
        calibration=snakemake.input.calibration,
        kind=snakemake.params.kind,
        classes=snakemake.params.classes,
        thresholds=snakemake.params.thresholds,
        regions_px=snakemake.params.regions_px,
        labelling=snakemake.params.labelling,
        threads=snakemake.threads,
    )
