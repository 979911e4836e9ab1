"""Scores of a network in training on whole validation images, cheap and free of the metrics.

Shape suffixes: B batch, C channels, K classes, H W of a tile, Y X of an image.
"""

from collections.abc import Sequence

from torch import nn

from unetflow.forward import cut, grid_for, read_tile, ready, tile_logits
from unetflow.losses import weighted_cross_entropy
from unetflow.patches import TrainingImage

WRITE_PX = 256  # a multiple of 2**depth for any depth up to 8; it changes nothing but memory


def validate(
    network: nn.Module, images: Sequence[TrainingImage], *, device: str, precision: str
) -> tuple[float, float]:
    """Loss and IoU of the most probable class over whole images: mean over pixels, pooled IoU.

    IoU is pixels of the right class over those where truth or prediction has an object. Pixels of
    weight 0 are in neither. IoU is NaN where neither has an object.
    """
    inferring = ready(network, device=device, precision=precision)
    loss_sum, counted_px, both_px, either_px = 0.0, 0, 0, 0
    for one in images:
        for tile in grid_for(inferring, tuple(one.target_YX.shape), WRITE_PX):
            tile_BCHW = read_tile(one.image_CYX.numpy(), tile)
            logits_KHW = cut(tile_logits(inferring, tile_BCHW)[0], tile).cpu()
            target_HW, weight_HW = one.target_YX[tile.write], one.weight_YX[tile.write]
            counted = weight_HW > 0
            loss = weighted_cross_entropy(logits_KHW[None], target_HW[None], weight_HW[None])
            loss_sum += float(loss) * int(counted.sum())
            counted_px += int(counted.sum())
            predicted_HW = logits_KHW.argmax(dim=0)
            either = ((predicted_HW != 0) | (target_HW != 0)) & counted
            both_px += int(((predicted_HW == target_HW) & either).sum())
            either_px += int(either.sum())
    iou = both_px / either_px if either_px else float("nan")
    return loss_sum / max(counted_px, 1), iou
