"""Networks of a user's own, as CONTRIBUTING tells: a module with `build`, and no more."""

import torch
from torch import Tensor, nn


class Plain(nn.Module):
    """Same-size convolutions on two levels."""

    def __init__(self, in_channels: int, num_classes: int, width: int, kind: str) -> None:
        super().__init__()
        self.kind = kind
        self.encoder = nn.Sequential(nn.Conv2d(in_channels, width, 3, padding=1), nn.ReLU())
        self.below = nn.Sequential(nn.Conv2d(width, width, 3, padding=1), nn.ReLU())
        self.last = nn.Conv2d(2 * width, num_classes, 1)

    def forward(self, image_BCHW: Tensor) -> Tensor:
        if self.kind == "largest":
            image_BCHW = image_BCHW / image_BCHW.abs().amax()
        here = self.encoder(image_BCHW)
        if self.kind == "dropping":
            here = nn.functional.dropout(here, 0.5)  # in prediction, too
        if self.kind == "aside":
            here = torch.roll(here, 5, dims=-1)
        below = self.below(nn.functional.max_pool2d(here, 2))
        up = nn.functional.interpolate(below, scale_factor=2)
        if self.kind == "aligned":
            up = nn.functional.interpolate(
                below, scale_factor=2, mode="bilinear", align_corners=True
            )
        if self.kind == "global":
            up = up * here.mean(dim=(-2, -1), keepdim=True).sigmoid()
        if self.kind == "places":
            up = up + torch.linspace(0, 1, up.shape[-2], device=up.device)[:, None]
        if self.kind == "uniform":
            up = up + torch.ones(up.shape, device=up.device)
        if self.kind == "untraceable":
            up = up * float(up.abs().max() >= 0)  # a number: no graph says what it is
        if self.kind == "attention":
            coarse = nn.functional.max_pool2d(below, 8)
            tokens = coarse.flatten(2)
            share = torch.softmax(tokens.transpose(1, 2) @ tokens, dim=-1)
            up = up + nn.functional.interpolate((tokens @ share).view_as(coarse), scale_factor=16)
        logits: Tensor = self.last(torch.cat([here, up], dim=1))
        if self.kind == "softmax":
            return logits.softmax(dim=1)
        return logits.sigmoid() if self.kind == "sigmoid" else logits


def build(
    in_channels: int = 1, num_classes: int = 2, width: int = 4, kind: str = "plain"
) -> nn.Module:
    return Plain(in_channels, num_classes, width, kind)
