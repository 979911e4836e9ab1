"""The network of one experiment and fold."""

from unetflow.engine.machine import Machine
from unetflow.jobs.left import those_left
from unetflow.jobs.logs import job_log
from unetflow.jobs.makings import recorded
from unetflow.labels.dataset import Dataset
from unetflow.stages.train import TrainingInputs, TrainingJob, TrainingOutputs, train_network

with job_log(snakemake.log[0]), recorded(snakemake.params.making, snakemake.input):
    train_network(
        TrainingJob(
            inputs=TrainingInputs(
                **those_left(
                    images=snakemake.params.images,
                    weights=snakemake.params.weights,
                    validation_images=snakemake.params.validation_images,
                    stored=snakemake.params.stored,
                    receipts=snakemake.params.receipts,
                    on_failed=snakemake.params.on_failed,
                ),
                statistics=snakemake.input.statistics,
                pretrained=snakemake.params.pretrained,
            ),
            outputs=TrainingOutputs(
                model=snakemake.output.model,
                history=snakemake.output.history,
                patches=snakemake.output.patches,
                receipt=snakemake.output.receipt,
            ),
            network=snakemake.params.network,
            recipe=snakemake.params.recipe,
            dataset=Dataset(
                kind=snakemake.params.kind,
                classes=tuple(snakemake.params.classes),
                mpp=snakemake.params.mpp,
                spacing=snakemake.params.spacing,
            ),
            machine=Machine(
                threads=snakemake.threads,
                gpu=snakemake.resources.gpu > 0,
                require_gpu=snakemake.params.require_gpu,
                processes=snakemake.params.processes,
            ),
            checkpoint_s=snakemake.params.checkpoint_s,
            code=snakemake.params.code,
            head=snakemake.params.head,
        )
    )
