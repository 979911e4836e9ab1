"""Scores of a network in training on whole validation images, cheap and free of the metrics.

Shape suffixes: B batch, C channels, K classes, H W of a tile, T tiles, Y X of an image.
"""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from unetflow.networks.network import Network, heads_of
from unetflow.predict.forward import cut, read_tile, ready, tile_logits
from unetflow.tiles.geometry import Geometry
from unetflow.tiles.regions import PLANE
from unetflow.tiles.tiling import Tiling
from unetflow.train.losses import weighted_cross_entropy
from unetflow.train.patches import TrainingImage

# More where the step of the network wants it. It changes nothing but memory, where the network is
# seamless; of others the scores are an estimate, as they are predicted in other tiles.
WRITE_PX = 256
OF_VOLUMES_PX = 128, 64, 32  # the first that takes `MOST_BYTES` at most: halos are read again
MOST_BYTES = 2e9  # what is free hangs on the hour, and the scores must not


def validation_sums(
    network: Network, images: Sequence[TrainingImage], *, device: str, precision: str
) -> Tensor:
    """What `validation_scores` needs of whole images, float64; sums of images may be added.

    A GPU is waited for once, at the end: tiles are in pinned memory, and their sums stay with it.
    """
    inferring = ready(network, device=device, precision=precision)
    found_T4 = []
    for one in images:
        tiling = _tiling(network.geometry, one.shape_YX)
        for tile in tiling.grid(one.shape_YX):
            labels = one.labels(tile.write)
            if not labels[1].any():  # as most tiles of a slide that is annotated in part
                continue
            tile_BCHW = _moved(read_tile(one.image_CYX, tile), device)
            output_KHW = cut(tile_logits(inferring, tile_BCHW)[0], tile)
            target_HW, weight_HW = (
                _moved(torch.from_numpy(np.ascontiguousarray(part)), device) for part in labels
            )
            logits_KHW = output_KHW[: len(output_KHW) - len(heads_of(network))]
            found_T4.append(_sums_of_tile(logits_KHW, target_HW, weight_HW))
    if not found_T4:
        return torch.zeros(4, dtype=torch.float64)
    sums_T4 = torch.stack(found_T4).cpu().double()
    sums_T4[:, 0] *= sums_T4[:, 1]
    return sums_T4.sum(dim=0)


def _tiling(geometry: Geometry, shape: Sequence[int]) -> Tiling:
    """Tiles of `WRITE_PX`, of a volume of the largest of `OF_VOLUMES_PX` that is not too large."""
    if len(geometry.axes) <= PLANE:
        return Tiling.at_least(geometry, WRITE_PX)
    tilings = [Tiling.at_least(geometry, side).for_image(shape) for side in OF_VOLUMES_PX]
    small = (of for of in tilings if geometry.tile_bytes(of.read_px, 4) <= MOST_BYTES)
    return next(small, tilings[-1])


def _moved(part: Tensor, device: str) -> Tensor:
    """A tensor on the device, by a copy that runs beside what is computed there."""
    if torch.device(device).type == "cuda":
        part = part.pin_memory()
    return part.to(device, non_blocking=True)


def _sums_of_tile(logits_KHW: Tensor, target_HW: Tensor, weight_HW: Tensor) -> Tensor:
    """Mean loss, pixels that count, right ones of an object, and those of any: (4,), float32.

    A tile has far fewer than the 16 million pixels that float32 counts.
    """
    target_HW = target_HW.long()
    counted = weight_HW > 0
    loss = weighted_cross_entropy(logits_KHW[None], target_HW[None], weight_HW[None])
    predicted_HW = logits_KHW.max(dim=0).indices  # in a tenth of the time of argmax
    either = ((predicted_HW != 0) | (target_HW != 0)) & counted
    both = (predicted_HW == target_HW) & either
    return torch.stack([loss, *(of.sum().float() for of in (counted, both, either))])


def validation_scores(sums: Tensor) -> tuple[float, float]:
    """Loss and IoU of the most probable class: mean over pixels, and pooled.

    IoU is pixels of the right class over those where truth or prediction has an object. Pixels of
    weight 0 are in neither. IoU is NaN where neither has an object, and so is the loss without any
    pixel.
    """
    loss_sum, counted_px, both_px, either_px = sums.tolist()
    iou = both_px / either_px if either_px else float("nan")
    return loss_sum / counted_px if counted_px else float("nan"), iou
