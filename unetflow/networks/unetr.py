"""UNETR: a U-shaped decoder on a transformer. Hatamizadeh et al. 2022, figure 2.

"UNETR: Transformers for 3D Medical Image Segmentation". Patches of 16 px along each axis are
tokens; a vision transformer (Dosovitskiy et al. 2021) hands out its tokens after each quarter of
its layers, which are brought to 1/2, 1/4 and 1/8 of the size and laid side by side with what comes
from below.
Differences to the paper:

* Two dimensions: tokens of 16x16 px, 3x3 convolutions, 2x2 up-convolutions; with `axes: 3` the
  three of the paper.
* There the size of the input is fixed. Here the embeddings of places are learnt for tiles of
  `size_px` and interpolated for others, as Dosovitskiy et al. do for larger images.
* Weights start from normal distributions: He's in convolutions, 0.02 in the transformer.
* `norm` may be instance or group normalisation, or none; the paper has batch normalisation.

It is not seamless, whatever the norm: attention sees all of a tile. Tiles are blended, and of each
a patch is cut away at the border (`unetflow.networks.fitted`).

Shape suffixes: B batch, C channels, K classes, H W of a patch or tile (of volumes D H W), N
tokens, S a head's size.
"""

from typing import Any

import torch
from torch import Tensor, nn

from unetflow.networks.blocks import CONVOLUTION, LINEAR, convolutions, doubling, initialise
from unetflow.networks.sizes.unetr import UNETROptions

WIDER = 4  # times the channels of a token, in a layer's hidden one
DEVIATION = 0.02  # of the transformer's first weights


class Layer(nn.Module):
    """Attention among all tokens, then two linear layers; each after a norm, beside an identity."""

    def __init__(self, channels: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.norms = nn.ModuleList(nn.LayerNorm(channels) for _ in range(2))
        self.ask, self.answer = nn.Linear(channels, 3 * channels), nn.Linear(channels, channels)
        self.think = nn.Sequential(
            nn.Linear(channels, WIDER * channels), nn.GELU(), nn.Linear(WIDER * channels, channels)
        )

    def forward(self, tokens_BNC: Tensor) -> Tensor:
        """As many tokens."""
        shape = (*tokens_BNC.shape[:2], 3, self.heads, -1)
        asked = self.ask(self.norms[0](tokens_BNC)).view(shape).permute(2, 0, 3, 1, 4)
        query_BHNS, key_BHNS, value_BHNS = asked
        seen_BHNS = nn.functional.scaled_dot_product_attention(query_BHNS, key_BHNS, value_BHNS)
        tokens_BNC = tokens_BNC + self.answer(seen_BHNS.transpose(1, 2).flatten(2))
        made_BNC: Tensor = tokens_BNC + self.think(self.norms[1](tokens_BNC))
        return made_BNC


class Transformer(nn.Module):
    """Tokens of an image, after each quarter of the layers, as maps of 1/16 of the size."""

    def __init__(self, options: UNETROptions) -> None:
        super().__init__()
        patch_px, channels = options.PATCH_PX, options.hidden_channels
        side = options.size_px // patch_px
        convolution = CONVOLUTION[options.axes]
        self.patches = convolution(options.in_channels, channels, patch_px, stride=patch_px)
        self.places = nn.Parameter(torch.empty(1, channels, *(side,) * options.axes))
        self.layers = nn.ModuleList(Layer(channels, options.heads) for _ in range(options.layers))
        self.norm = nn.LayerNorm(channels)
        nn.init.normal_(self.places, std=DEVIATION)
        for layer in self.modules():
            if isinstance(layer, nn.Linear):
                nn.init.normal_(layer.weight, std=DEVIATION)
                nn.init.zeros_(layer.bias)

    def forward(self, image_BCHW: Tensor) -> list[Tensor]:
        """Four maps (B, C, H / 16, W / 16), of volumes D / 16 too."""
        map_BCHW = self.patches(image_BCHW)
        tokens_BNC = (map_BCHW + self._places(map_BCHW)).flatten(2).transpose(1, 2)
        found = []
        for number, layer in enumerate(self.layers, 1):
            tokens_BNC = layer(tokens_BNC)
            if number % (len(self.layers) // 4) == 0:
                last = number == len(self.layers)
                handed_BNC = self.norm(tokens_BNC) if last else tokens_BNC
                found.append(handed_BNC.transpose(1, 2).unflatten(2, map_BCHW.shape[2:]))
        return found

    def _places(self, map_BCHW: Tensor) -> Tensor:
        """What says where each token is, for a tile of this size."""
        if self.places.shape[2:] == map_BCHW.shape[2:]:
            return self.places
        size = map_BCHW.shape[2:]
        mode = LINEAR[len(size)]
        return nn.functional.interpolate(self.places, size, mode=mode, align_corners=False)


class UNETR(nn.Module):
    """Logits (B, K, H, W) of images (B, C, H, W); H and W are multiples of 16.

    Of volumes (B, K, D, H, W), and D too.
    """

    last_layer = "classify."

    def __init__(self, options: UNETROptions) -> None:
        super().__init__()
        of: dict[str, Any] = {"norm": options.norm, "axes": options.axes}
        widths = [options.base_channels * 2**level for level in range(4)]  # of 1, 1/2, 1/4, 1/8
        self.beside = _convolutions(options.in_channels, widths[0], times=2, **of)
        self.skips = nn.ModuleList(
            _risen(options.hidden_channels, width, 3 - level, **of)
            for level, width in enumerate(widths[1:])
        )
        self.up = nn.ModuleList(
            doubling(before, after, options.axes)
            for before, after in zip([*widths[1:], options.hidden_channels], widths, strict=True)
        )
        self.decoder = nn.ModuleList(
            _convolutions(2 * width, width, times=2, **of) for width in widths
        )
        self.classify = CONVOLUTION[options.axes](widths[0], options.num_classes, kernel_size=1)
        self.apply(initialise)
        self.encoder = Transformer(options)  # has first weights of its own

    def forward(self, image_BCHW: Tensor) -> Tensor:
        """Logits of each class for every pixel."""
        *handed, features_BCHW = self.encoder(image_BCHW)
        skipped = [self.beside(image_BCHW)]
        skipped += [skip(each) for skip, each in zip(self.skips, handed, strict=True)]
        for level in reversed(range(len(self.decoder))):
            features_BCHW = self.up[level](features_BCHW)  # twice as large
            features_BCHW = torch.cat([skipped[level], features_BCHW], dim=1)
            features_BCHW = self.decoder[level](features_BCHW)
        logits_BKHW: Tensor = self.classify(features_BCHW)
        return logits_BKHW


def build(**options: Any) -> UNETR:
    """Build it; options as of `UNETROptions`. Raises ValueError that names those there are."""
    return UNETR(UNETROptions.of("unetr", options))


def _risen(before: int, after: int, times: int, *, norm: str | None, axes: int) -> nn.Sequential:
    """Up-convolutions that double the size, a 3x3 convolution after each."""
    layers: list[nn.Module] = []
    for channels in (before, *(after for _ in range(times - 1))):
        layers += [
            doubling(channels, after, axes),
            _convolutions(after, after, times=1, norm=norm, axes=axes),
        ]
    return nn.Sequential(*layers)


def _convolutions(
    before: int, after: int, *, times: int, norm: str | None, axes: int
) -> nn.Sequential:
    return convolutions(before, after, norm=norm, times=times, bias=norm is None, axes=axes)
