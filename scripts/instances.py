"""The instances of one image."""

from unetflow.instances import write_instances
from unetflow.jobs.logs import job_log

with job_log(snakemake.log[0]):
    write_instances(
        store=snakemake.params.store,
        foreground_receipt=snakemake.input.foreground,
        calibration=snakemake.input.calibration,
        table=snakemake.output.table,
        receipt=snakemake.output.receipt,
        classes=snakemake.params.classes,
        threshold=snakemake.params.threshold,
        labelling=snakemake.params.labelling,
        threads=snakemake.threads,
        code=snakemake.params.code,
    )
