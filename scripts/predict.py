"""The foreground of images."""

from unetflow.engine.distributed import working_on
from unetflow.engine.machine import Machine
from unetflow.jobs.bundles import in_turn
from unetflow.jobs.logs import job_log
from unetflow.jobs.makings import recorded
from unetflow.predict.ensemble import Ensemble
from unetflow.predict.plan import PredictOptions
from unetflow.stages.predict import predict_store

with (
    job_log(snakemake.log[0]),
    recorded(snakemake.params.making, snakemake.input),
    working_on(snakemake.params.engine),
):
    in_turn(
        predict_store,
        snakemake.params.images,
        rule=snakemake.rule,
        log=snakemake.log[0],
        output=snakemake.output.receipt,
        ensemble=Ensemble.load(snakemake.params.models, snakemake.resources.get("mem_mb")),
        options=PredictOptions(**snakemake.params.predict, share=snakemake.params.share),
        machine=Machine(
            threads=snakemake.threads,
            gpu=snakemake.resources.gpu > 0,
            require_gpu=snakemake.params.require_gpu,
        ),
        code=snakemake.params.code,
        scratch=snakemake.params.scratch,
    )
