"""All scores of one image."""

from unetflow.evaluation import evaluate_image
from unetflow.jobs.logs import job_log

with job_log(snakemake.log[0]):
    evaluate_image(
        image=snakemake.params.image,
        prediction=snakemake.params.prediction,
        calibration=snakemake.input.calibration,
        instances=snakemake.input.instances,
        table=snakemake.output.table,
        kind=snakemake.params.kind,
        classes=snakemake.params.classes,
        thresholds=snakemake.params.thresholds,
        regions_px=snakemake.params.regions_px,
        labelling=snakemake.params.labelling,
        facts=snakemake.params.facts,
        threads=snakemake.threads,
    )
