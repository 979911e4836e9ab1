"""A model file as a calibration leaves it, with random weights."""

from pathlib import Path
from typing import Any

import numpy as np

LABELLING: Any = {"min_area_px": 7, "fill_holes": True, "connectivity": 1, "split_px": None}


def finished_model(
    path: Path,
    *,
    name: str = "unet",
    head: str | None = None,
    deployed: bool = True,
    **options: Any,
) -> Path:
    """Write it; `deployed` with a threshold of 0.55 and its own object step."""
    import torch

    from unetflow.networks import build
    from unetflow.networks.deployed import write_deployed
    from unetflow.networks.model_file import save_model

    torch.manual_seed(3)
    outputs = 2 if head is None else 3
    network = build(name, **options, in_channels=1, num_classes=outputs)
    description: Any = {
        "network": {"name": name, **options, "in_channels": 1, "num_classes": outputs},
        "truth": "instances",
        "channels": 1,
        "classes": ["cell"],
        "intensity": {"mean": [120.0], "deviation": [60.0]},
        "mpp": None,
    }
    save_model(path, network, description | ({} if head is None else {"heads": [head]}))
    if deployed:
        chosen = {"thresholds": {"cell": 0.55}, "labelling": LABELLING}
        write_deployed([path], path, {**chosen, "test_time_augmentation": 7, "smooth_px": 1.5})
    return path


def noisy_image(shape: tuple[int, int], seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 255, shape, dtype=np.uint8)
