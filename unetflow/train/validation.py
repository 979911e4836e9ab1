"""Scores of a network in training on whole validation images, cheap and free of the metrics.

Shape suffixes: B batch, C channels, K classes, H W of a tile, Y X of an image.
"""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from unetflow.networks.network import Network, heads_of
from unetflow.predict.forward import cut, read_tile, ready, tile_logits
from unetflow.tiles.tiling import Tiling
from unetflow.train.losses import weighted_cross_entropy
from unetflow.train.patches import TrainingImage

# More where the step of the network wants it. It changes nothing but memory, where the network is
# seamless; of others the scores are an estimate, as they are predicted in other tiles.
WRITE_PX = 256


def validation_sums(
    network: Network, images: Sequence[TrainingImage], *, device: str, precision: str
) -> Tensor:
    """What `validation_scores` needs of whole images, float64; sums of images may be added."""
    inferring = ready(network, device=device, precision=precision)
    tiling = Tiling.at_least(network.geometry, WRITE_PX)
    loss_sum, counted_px, both_px, either_px = 0.0, 0, 0, 0
    for one in images:
        for tile in tiling.grid(one.shape_YX):
            tile_BCHW = read_tile(one.image_CYX, tile)
            output_KHW = cut(tile_logits(inferring, tile_BCHW)[0], tile).cpu()
            logits_KHW = output_KHW[: len(output_KHW) - len(heads_of(network))]
            target, weight_HW = (
                torch.from_numpy(np.ascontiguousarray(part)) for part in one.labels(tile.write)
            )
            target_HW = target.long()
            counted = weight_HW > 0
            loss = weighted_cross_entropy(logits_KHW[None], target_HW[None], weight_HW[None])
            loss_sum += float(loss) * int(counted.sum())
            counted_px += int(counted.sum())
            predicted_HW = logits_KHW.max(dim=0).indices  # in a tenth of the time of argmax
            either = ((predicted_HW != 0) | (target_HW != 0)) & counted
            both_px += int(((predicted_HW == target_HW) & either).sum())
            either_px += int(either.sum())
    return torch.tensor([loss_sum, counted_px, both_px, either_px], dtype=torch.float64)


def validation_scores(sums: Tensor) -> tuple[float, float]:
    """Loss and IoU of the most probable class: mean over pixels, and pooled.

    IoU is pixels of the right class over those where truth or prediction has an object. Pixels of
    weight 0 are in neither. IoU is NaN where neither has an object, and so is the loss without any
    pixel.
    """
    loss_sum, counted_px, both_px, either_px = sums.tolist()
    iou = both_px / either_px if either_px else float("nan")
    return loss_sum / counted_px if counted_px else float("nan"), iou
