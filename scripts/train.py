"""The network of one experiment and fold."""

from unetflow.jobs.logs import job_log
from unetflow.stages.train import train_network
from unetflow.train.torchrun import train_together

with job_log(snakemake.log[0]):
    arguments = {
        "images": snakemake.params.images,
        "weights": snakemake.params.weights,
        "validation_images": snakemake.params.validation_images,
        "receipts": snakemake.params.receipts,
        "statistics": snakemake.input.statistics,
        "model": snakemake.output.model,
        "history": snakemake.output.history,
        "patches": snakemake.output.patches,
        "receipt": snakemake.output.receipt,
        "network": snakemake.params.network,
        "recipe": snakemake.params.recipe,
        "kind": snakemake.params.kind,
        "classes": snakemake.params.classes,
        "mpp": snakemake.params.mpp,
        "checkpoint_s": snakemake.params.checkpoint_s,
        "threads": snakemake.threads,
        "gpu": snakemake.resources.gpu > 0,
        "require_gpu": snakemake.params.require_gpu,
        "pretrained": snakemake.input.get("pretrained") or None,
        "code": snakemake.params.code,
    }
    if snakemake.params.processes > 1:
        train_together(snakemake.params.processes, arguments)
    else:
        train_network(**arguments)
