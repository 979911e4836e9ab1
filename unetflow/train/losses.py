"""What training minimises: the paper's cross entropy, Dice, IoU, focal, and their sums.

Each is the mean over the patches of a batch of a number per patch, so that a batch may be cut in
parts, for several GPUs or less memory, without changing it. Pixels of weight 0 count nowhere; a
patch without any other counts 0. Shape suffixes: B batch, K classes, J heads, H W of a patch (of
volumes D H W).
"""

from collections.abc import Callable, Mapping, Sequence

import torch
from torch import Tensor

FOCUS = 2.0  # gamma of Lin et al. 2017
BORDER_SHARE = 0.2  # of the border's loss: at 1 it drew the classes' validation IoU to 0.93 of 0.98
SMOOTH_PX = 1.0  # added to overlaps and areas, so that absent classes are defined
Loss = Callable[[Tensor, Tensor, Tensor], Tensor]


def combined_loss(
    terms: Mapping[str, float], logits_BKHW: Tensor, target_BHW: Tensor, weight_BHW: Tensor
) -> Tensor:
    """The sum of `LOSSES`, each times its factor in `terms`: a scalar."""
    parts = [
        factor * LOSSES[name](logits_BKHW, target_BHW, weight_BHW) for name, factor in terms.items()
    ]
    return torch.stack(parts).sum()


def weighted_cross_entropy(logits_BKHW: Tensor, target_BHW: Tensor, weight_BHW: Tensor) -> Tensor:
    """Cross entropy with a weight per pixel: Ronneberger et al. 2015, equation 1.

    The paper sums over pixels; ours is the mean over those with a weight, so that a learning rate
    does not depend on the patch.
    """
    loss_BHW = torch.nn.functional.cross_entropy(logits_BKHW, target_BHW, reduction="none")
    return _mean_over_counted(loss_BHW, weight_BHW)


def focal_loss(logits_BKHW: Tensor, target_BHW: Tensor, weight_BHW: Tensor) -> Tensor:
    """Cross entropy times (1 - p)^2, p the probability of the true class: Lin et al. 2017."""
    loss_BHW = torch.nn.functional.cross_entropy(logits_BKHW, target_BHW, reduction="none")
    return _mean_over_counted((1 - torch.exp(-loss_BHW)) ** FOCUS * loss_BHW, weight_BHW)


def dice_loss(logits_BKHW: Tensor, target_BHW: Tensor, weight_BHW: Tensor) -> Tensor:
    """1 - 2 |P T| / (|P| + |T|) of probabilities and truth, mean over the classes of objects."""
    both_BK, predicted_BK, true_BK = _overlap(logits_BKHW, target_BHW, weight_BHW)
    dice_BK = (2 * both_BK + SMOOTH_PX) / (predicted_BK + true_BK + SMOOTH_PX)
    return (1 - dice_BK).mean()


def iou_loss(logits_BKHW: Tensor, target_BHW: Tensor, weight_BHW: Tensor) -> Tensor:
    """1 - |P T| / (|P| + |T| - |P T|) of the same."""
    both_BK, predicted_BK, true_BK = _overlap(logits_BKHW, target_BHW, weight_BHW)
    iou_BK = (both_BK + SMOOTH_PX) / (predicted_BK + true_BK - both_BK + SMOOTH_PX)
    return (1 - iou_BK).mean()


LOSSES: dict[str, Loss] = {
    "cross_entropy": weighted_cross_entropy,
    "focal": focal_loss,
    "dice": dice_loss,
    "iou": iou_loss,
}


def head_loss(
    heads: Sequence[str], outputs_BJHW: Tensor, targets_BJHW: Tensor, weight_BHW: Tensor
) -> Tensor:
    """The sum over heads of what each of them minimises, an output and a target (J) for each.

    Pixels count alike, but those of weight 0, which count nowhere.
    """
    counted_BHW = (weight_BHW > 0).float()
    parts = [
        _OF_HEADS[name](outputs_BJHW[:, place], targets_BJHW[:, place], counted_BHW)
        for place, name in enumerate(heads)
    ]
    return torch.stack(parts).sum()


def border_loss(logits_BHW: Tensor, target_BHW: Tensor, counted_BHW: Tensor) -> Tensor:
    """Cross entropy, and Dice of those patches that have a border.

    Dice of a patch without any would be least where nothing is found, and as most patches may have
    none, the head would find nothing anywhere.
    """
    loss_BHW = torch.nn.functional.binary_cross_entropy_with_logits(
        logits_BHW, target_BHW, reduction="none"
    )
    predicted_BHW, true_BHW = logits_BHW.sigmoid() * counted_BHW, target_BHW * counted_BHW
    both_B, predicted_B, true_B = (
        of.flatten(1).sum(dim=1) for of in (predicted_BHW * true_BHW, predicted_BHW, true_BHW)
    )
    dice_B = 1 - (2 * both_B + SMOOTH_PX) / (predicted_B + true_B + SMOOTH_PX)
    both = _mean_over_counted(loss_BHW, counted_BHW) + dice_B.where(true_B > 0, 0).mean()
    return BORDER_SHARE * both


def distance_loss(output_BHW: Tensor, target_BHW: Tensor, counted_BHW: Tensor) -> Tensor:
    """Squared error: what is all but right leaves the classes their share of each step."""
    return _mean_over_counted((output_BHW - target_BHW) ** 2, counted_BHW)


_OF_HEADS: dict[str, Loss] = {"border": border_loss, "distance": distance_loss}


def _mean_over_counted(loss_BHW: Tensor, weight_BHW: Tensor) -> Tensor:
    counted_B = (weight_BHW > 0).flatten(1).sum(dim=1).clamp(min=1)
    return ((weight_BHW * loss_BHW).flatten(1).sum(dim=1) / counted_B).mean()


def _overlap(
    logits_BKHW: Tensor, target_BHW: Tensor, weight_BHW: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """Areas [px] common to probabilities and truth, of either, (B, K - 1): without background."""
    counted_B1HW = (weight_BHW > 0)[:, None]
    predicted_BKHW = logits_BKHW.softmax(dim=1)[:, 1:] * counted_B1HW
    classes = torch.arange(1, logits_BKHW.shape[1], device=target_BHW.device)
    classes_K11 = classes.view(-1, *(1 for _ in target_BHW.shape[1:]))
    true_BKHW = (target_BHW[:, None] == classes_K11) & counted_B1HW
    both_BK, predicted_BK, true_BK = (
        of.flatten(2).sum(dim=2) for of in (predicted_BKHW * true_BKHW, predicted_BKHW, true_BKHW)
    )
    return both_BK, predicted_BK, true_BK
