"""What training minimises. Shape suffixes: B batch, K classes, H W of a patch."""

import torch
from torch import Tensor


def weighted_cross_entropy(logits_BKHW: Tensor, target_BHW: Tensor, weight_BHW: Tensor) -> Tensor:
    """Cross entropy with a weight per pixel, a scalar: Ronneberger et al. 2015, equation 1.

    The paper sums over pixels; ours is the mean over those with a weight, so that a learning rate
    does not depend on the patch. Pixels of weight 0 are ignored; without any other it is 0.
    """
    loss_BHW = torch.nn.functional.cross_entropy(logits_BKHW, target_BHW, reduction="none")
    counted = (weight_BHW > 0).sum().clamp(min=1)
    return (weight_BHW * loss_BHW).sum() / counted
