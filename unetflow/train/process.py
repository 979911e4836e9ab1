"""The process that trains: alone, or one of several that torchrun has started."""

import os
from typing import Literal

import torch
from lightning_fabric import Fabric
from lightning_fabric.plugins.environments.lightning import LightningEnvironment

# as Fabric calls them
PRECISIONS: dict[str, Literal["32-true", "bf16-mixed"]] = {"fp32": "32-true", "bf16": "bf16-mixed"}


def processes_here() -> int:
    """How many processes train together on this machine."""
    return int(os.environ.get("LOCAL_WORLD_SIZE", 1))


def launch(device: str, precision: str) -> Fabric:
    """This process alone, or with those that torchrun started beside it."""
    world, here = int(os.environ.get("WORLD_SIZE", 1)), processes_here()
    alone = world == 1
    fabric = Fabric(
        accelerator=device,
        devices=[torch.cuda.current_device()] if alone and device == "cuda" else here,
        num_nodes=world // here,
        strategy="auto" if alone else "ddp",
        precision=PRECISIONS[precision],
        # else a job of SLURM is taken for one of several that train together
        plugins=[LightningEnvironment()] if alone else None,
    )
    fabric.launch()
    return fabric
