"""Augmentation: one spatial change for image, truth and weights, then gray values.

Source: Ronneberger et al. 2015, section 3.1 (elastic deformation from a coarse grid, shift and
rotation, gray-value variation). It runs where the image lies, with random numbers of the CPU, which
are the same for every device. Volumes (Z, Y, X) are changed as images are: turned in plane, as
their slices may be thick, and onto other sides where they are not; zoomed and deformed along each
axis (Cicek et al. 2016).

Shape suffixes: A spatial axes, C channels, G nodes of a grid, H W of a patch, Y X of an image; of
volumes D H W and Z Y X in their place.
"""

import math
from collections.abc import Sequence
from functools import cache

import numpy as np
import torch
from scipy import ndimage
from torch import Tensor

from unetflow.store.ome import are_cubes
from unetflow.train.recipes import Augmentation

VOLUME = 3  # spatial axes


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


def displacement_field(grid_AGG: Tensor, sizes_px: Sequence[int]) -> Tensor:
    """Displacements [px] (A, H, W) by bicubic interpolation of those on a grid (A, G, G)."""
    *planes, height, width = (
        spline_basis(grid_AGG.shape[-1], size).to(grid_AGG.device) for size in sizes_px
    )
    field = height @ grid_AGG @ width.T
    for basis_DG in planes:
        field = torch.einsum("dg,aghw->adhw", basis_DG, field)
    return field


def draw_coordinates(
    sizes_px: Sequence[int],
    centre: Tensor,
    augmentation: Augmentation,
    random: torch.Generator,
    plane_px: float = 1.0,
) -> Tensor:
    """Where each pixel of a patch (H, W) comes from: (2, H, W), (row, column) [px] of the image.

    The patch is centred at `centre`, (row, column), turned, flipped, zoomed and deformed. Of a
    volume (3, D, H, W): it is flipped along z too, and as its planes lie `plane_px` apart, in
    pixels of a plane, it is deformed by as much less from plane to plane, or not at all
    (`elastic_z`). Where its voxels are cubes, z may be any of its axes.
    """
    device, axes = centre.device, len(sizes_px)
    offsets = [
        torch.arange(size, dtype=torch.float32, device=device) - (size - 1) / 2 for size in sizes_px
    ]
    patch_AHW = torch.stack(torch.meshgrid(*offsets, indexing="ij"))
    angle, flips, zoom = torch.rand(3, generator=random).tolist()
    angle = 2 * math.pi * angle if augmentation.rotate else 0.0
    scale = (1 + augmentation.zoom) ** (2 * zoom - 1)
    in_plane = scale * torch.tensor(
        [[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]], device=device
    )
    if augmentation.flip and flips < 0.5:
        in_plane[:, 0] *= -1
    matrix = in_plane
    if axes == VOLUME:
        back = augmentation.flip and float(torch.rand(1, generator=random)) < 0.5
        along_z = torch.tensor([[-scale if back else scale]], device=device)
        matrix = torch.block_diag(along_z, in_plane)
        if augmentation.rotate and are_cubes((plane_px, 1.0)):
            # with the turns in plane any side of a cube comes to lie on top
            matrix = matrix.roll(int(VOLUME * torch.rand(1, generator=random)), dims=0)
    coordinates_AHW = torch.einsum("ij,j...->i...", matrix, patch_AHW) + _spread(centre, axes)
    if augmentation.elastic_px > 0:
        shape = (axes, *(augmentation.elastic_grid for _ in sizes_px))
        grid_AGG = augmentation.elastic_px * torch.randn(shape, generator=random)
        if axes == VOLUME:
            grid_AGG[0] *= 1 / plane_px if augmentation.elastic_z else 0
        coordinates_AHW += displacement_field(grid_AGG.to(device), sizes_px)
    return coordinates_AHW


def sample(image_CYX: Tensor, coordinates_AHW: Tensor, mode: str) -> Tensor:
    """Pixels (C, H, W) at coordinates (A, H, W), `mode` "bilinear" or "nearest".

    Beyond the image it is mirrored, the edge pixel not repeated, as in inference.
    """
    shape_YX, device = image_CYX.shape[1:], image_CYX.device
    sizes = torch.tensor(shape_YX, dtype=torch.float32, device=device) - 1
    unit_AHW = (coordinates_AHW * _spread(2 / sizes.clamp(min=1), len(shape_YX))).sub_(1)
    grid_HWA = unit_AHW.flip(0).movedim(0, -1)  # grid_sample wants (x, y)
    return torch.nn.functional.grid_sample(
        image_CYX[None], grid_HWA[None], mode=mode, padding_mode="reflection", align_corners=True
    )[0]


def mirrored(coordinates_AHW: Tensor, shape_YX: Sequence[int]) -> Tensor:
    """Coordinates beyond an image, folded into it: the edge pixel is not repeated."""
    lasts, device = [max(n - 1, 0) for n in shape_YX], coordinates_AHW.device
    last = _spread(torch.tensor(lasts, dtype=torch.float32, device=device), len(shape_YX))
    period = (2 * last).clamp(min=1)
    folded = coordinates_AHW.abs().remainder_(period)
    return (last - folded.sub_(last).abs_()).clamp_(min=0)  # 0 where the image is one pixel wide


def _spread(values_A: Tensor, axes: int) -> Tensor:
    """A value for each axis, for coordinates (A, H, W)."""
    return values_A[(..., *(None for _ in range(axes)))]


def blurred(image_CHW: Tensor, deviation_px: float) -> Tensor:
    """A Gaussian over the image, mirrored at its borders; of a volume over each plane."""
    reach = min(math.ceil(3 * deviation_px), *(n - 1 for n in image_CHW.shape[-2:]))
    if reach < 1:
        return image_CHW
    offsets = torch.arange(-reach, reach + 1, dtype=torch.float32, device=image_CHW.device)
    kernel = torch.exp(-(offsets**2) / (2 * deviation_px**2))
    kernel = (kernel / kernel.sum())[None, None]
    planes = image_CHW.reshape(-1, 1, *image_CHW.shape[-2:])
    padded = torch.nn.functional.pad(planes, (reach,) * 4, mode="reflect")
    rows = torch.nn.functional.conv2d(padded, kernel[..., None])
    return torch.nn.functional.conv2d(rows, kernel[:, :, None]).view_as(image_CHW)


def vary_gray(image_CHW: Tensor, augmentation: Augmentation, random: torch.Generator) -> Tensor:
    """Blur, contrast, brightness and gamma of the whole patch, per channel, and noise.

    The image is normalised; gamma bends the values between the patch's lowest and highest.
    """
    ones, device = [1 for _ in image_CHW.shape[1:]], image_CHW.device
    shape = (3, image_CHW.shape[0], *ones)
    factor, shift, bend = torch.randn(shape, generator=random).to(device)
    if augmentation.blur_px > 0:
        image_CHW = blurred(
            image_CHW, augmentation.blur_px * float(torch.rand(1, generator=random))
        )
    image_CHW = image_CHW * torch.exp(augmentation.contrast * factor)
    image_CHW = image_CHW + augmentation.brightness * shift
    if augmentation.gamma > 0:
        within = tuple(range(1, image_CHW.ndim))
        low = image_CHW.amin(dim=within, keepdim=True)
        span = (image_CHW.amax(dim=within, keepdim=True) - low).clamp(min=1e-6)
        image_CHW = low + span * ((image_CHW - low) / span) ** torch.exp(augmentation.gamma * bend)
    if augmentation.noise > 0:
        noise_CHW = torch.randn(image_CHW.shape, generator=random).to(device)
        image_CHW = image_CHW + augmentation.noise * noise_CHW
    return image_CHW
