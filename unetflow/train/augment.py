"""Augmentation: one spatial change for image, truth and weights, then gray values.

Source: Ronneberger et al. 2015, section 3.1 (elastic deformation from a coarse grid, shift and
rotation, gray-value variation). It runs where the image lies, with random numbers of the CPU, which
are the same for every device. Shape suffixes: C channels, H W of a patch, Y X of an image.
"""

import math
from functools import cache

import numpy as np
import torch
from scipy import ndimage
from torch import Tensor

from unetflow.train.recipes import Augmentation


@cache
def spline_basis(nodes: int, size_px: int) -> Tensor:
    """Cubic-spline interpolation from `nodes` values to `size_px` pixels, as a matrix (H, nodes).

    The nodes are spread evenly from the first pixel to the last.
    """
    positions = np.linspace(0, nodes - 1, size_px)
    columns = [
        ndimage.map_coordinates(unit, [positions], order=3, mode="mirror") for unit in np.eye(nodes)
    ]
    return torch.from_numpy(np.stack(columns, axis=1).astype(np.float32))


def displacement_field(grid_2GG: Tensor, size_px: int) -> Tensor:
    """Displacements [px] (2, H, W) by bicubic interpolation of those on a grid (2, G, G)."""
    basis_HG = spline_basis(grid_2GG.shape[-1], size_px).to(grid_2GG.device)
    return basis_HG @ grid_2GG @ basis_HG.T


def draw_coordinates(
    size_px: int, centre: Tensor, augmentation: Augmentation, random: torch.Generator
) -> Tensor:
    """Where each pixel of a patch (H, W) comes from: (2, H, W), (row, column) [px] of the image.

    The patch is centred at `centre`, (row, column), turned, flipped, zoomed and deformed.
    """
    device = centre.device
    offsets = torch.arange(size_px, dtype=torch.float32, device=device) - (size_px - 1) / 2
    patch_2HW = torch.stack(torch.meshgrid(offsets, offsets, indexing="ij"))
    angle, flips, zoom = torch.rand(3, generator=random).tolist()
    angle = 2 * math.pi * angle if augmentation.rotate else 0.0
    scale = (1 + augmentation.zoom) ** (2 * zoom - 1)
    matrix = scale * torch.tensor(
        [[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]], device=device
    )
    if augmentation.flip and flips < 0.5:
        matrix[:, 0] *= -1
    coordinates_2HW = torch.einsum("ij,jhw->ihw", matrix, patch_2HW) + centre[:, None, None]
    if augmentation.elastic_px > 0:
        nodes = augmentation.elastic_grid
        grid_2GG = augmentation.elastic_px * torch.randn(2, nodes, nodes, generator=random)
        coordinates_2HW += displacement_field(grid_2GG.to(device), size_px)
    return coordinates_2HW


def sample(image_CYX: Tensor, coordinates_2HW: Tensor, mode: str) -> Tensor:
    """Pixels (C, H, W) at coordinates (2, H, W), `mode` "bilinear" or "nearest".

    Beyond the image it is mirrored, the edge pixel not repeated, as in inference.
    """
    shape_YX, device = image_CYX.shape[-2:], image_CYX.device
    sizes = torch.tensor(shape_YX, dtype=torch.float32, device=device) - 1
    unit_2HW = (coordinates_2HW * (2 / sizes.clamp(min=1))[:, None, None]).sub_(1)
    grid_HW2 = unit_2HW.flip(0).permute(1, 2, 0)  # grid_sample wants (x, y)
    return torch.nn.functional.grid_sample(
        image_CYX[None], grid_HW2[None], mode=mode, padding_mode="reflection", align_corners=True
    )[0]


def mirrored(coordinates_2HW: Tensor, shape_YX: tuple[int, ...]) -> Tensor:
    """Coordinates beyond an image, folded into it: the edge pixel is not repeated."""
    lasts, device = [max(n - 1, 0) for n in shape_YX], coordinates_2HW.device
    last = torch.tensor(lasts, dtype=torch.float32, device=device)[:, None, None]
    period = (2 * last).clamp(min=1)
    folded = coordinates_2HW.abs().remainder_(period)
    return (last - folded.sub_(last).abs_()).clamp_(min=0)  # 0 where the image is one pixel wide


def blurred(image_CHW: Tensor, deviation_px: float) -> Tensor:
    """A Gaussian over the image, mirrored at its borders."""
    reach = min(math.ceil(3 * deviation_px), *(n - 1 for n in image_CHW.shape[1:]))
    if reach < 1:
        return image_CHW
    offsets = torch.arange(-reach, reach + 1, dtype=torch.float32, device=image_CHW.device)
    kernel = torch.exp(-(offsets**2) / (2 * deviation_px**2))
    kernel = (kernel / kernel.sum())[None, None]
    padded = torch.nn.functional.pad(image_CHW[:, None], (reach,) * 4, mode="reflect")
    rows = torch.nn.functional.conv2d(padded, kernel[..., None])
    return torch.nn.functional.conv2d(rows, kernel[:, :, None])[:, 0]


def vary_gray(image_CHW: Tensor, augmentation: Augmentation, random: torch.Generator) -> Tensor:
    """Blur, contrast, brightness and gamma of the whole patch, per channel, and noise.

    The image is normalised; gamma bends the values between the patch's lowest and highest.
    """
    channels, device = image_CHW.shape[0], image_CHW.device
    factor, shift, bend = torch.randn(3, channels, 1, 1, generator=random).to(device)
    if augmentation.blur_px > 0:
        image_CHW = blurred(
            image_CHW, augmentation.blur_px * float(torch.rand(1, generator=random))
        )
    image_CHW = image_CHW * torch.exp(augmentation.contrast * factor)
    image_CHW = image_CHW + augmentation.brightness * shift
    if augmentation.gamma > 0:
        low = image_CHW.amin(dim=(1, 2), keepdim=True)
        span = (image_CHW.amax(dim=(1, 2), keepdim=True) - low).clamp(min=1e-6)
        image_CHW = low + span * ((image_CHW - low) / span) ** torch.exp(augmentation.gamma * bend)
    if augmentation.noise > 0:
        noise_CHW = torch.randn(image_CHW.shape, generator=random).to(device)
        image_CHW = image_CHW + augmentation.noise * noise_CHW
    return image_CHW
