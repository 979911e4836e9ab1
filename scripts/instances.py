"""The instances of images."""

from unetflow.engine.distributed import working_on
from unetflow.engine.memory import keep_freed_memory
from unetflow.jobs.bundles import in_turn
from unetflow.jobs.logs import job_log
from unetflow.jobs.makings import recorded
from unetflow.stages.instances import Making, write_instances

keep_freed_memory()
with (
    job_log(snakemake.log[0]),
    recorded(snakemake.params.making, snakemake.input),
    working_on(snakemake.params.engine),
):
    in_turn(
        write_instances,
        snakemake.params.images,
        rule=snakemake.rule,
        log=snakemake.log[0],
        output=snakemake.output.receipt,
        calibration=snakemake.input.calibration,
        making=Making(
            classes=snakemake.params.classes,
            threshold=snakemake.params.threshold,
            labelling=snakemake.params.labelling,
            foreground=snakemake.params.foreground,
        ),
        threads=snakemake.threads,
        code=snakemake.params.code,
    )
