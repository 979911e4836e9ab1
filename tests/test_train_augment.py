"""Augmentation: the deformation of the paper, mirrored sampling, seeds."""

import dataclasses
import math

import numpy as np
import torch
from scipy import ndimage

from unetflow.train.augment import (
    blurred,
    displacement_field,
    draw_coordinates,
    mirrored,
    sample,
    vary_gray,
)
from unetflow.train.colour import Colours, vary_colour
from unetflow.train.patches import generator
from unetflow.train.recipes import Augmentation

STILL = Augmentation(elastic_px=0, rotate=False, flip=False, brightness=0, contrast=0)


def test_the_deformation_is_bicubic_map_coordinates() -> None:
    grid = 10 * torch.randn(2, 3, 3, generator=generator(1))
    size_px = 101
    found = displacement_field(grid, (size_px, size_px))
    rows, columns = np.mgrid[0 : 2 : size_px * 1j, 0 : 2 : size_px * 1j]
    for axis in range(2):
        wanted = ndimage.map_coordinates(
            grid[axis].numpy().astype(float), [rows, columns], order=3, mode="mirror"
        )
        np.testing.assert_allclose(found[axis], wanted, atol=1e-4)  # px, in float32


def test_the_nodes_are_displaced_by_what_was_drawn() -> None:
    grid = torch.arange(18, dtype=torch.float32).reshape(2, 3, 3)
    found = displacement_field(grid, (41, 41))
    torch.testing.assert_close(found[:, ::20, ::20], grid)


def test_without_variation_a_patch_is_a_piece_of_the_image() -> None:
    image = torch.arange(20 * 30, dtype=torch.float32).reshape(1, 20, 30)
    coordinates = draw_coordinates((5, 5), torch.tensor([9.0, 12.0]), STILL, generator(0))
    for mode in ("bilinear", "nearest"):
        torch.testing.assert_close(sample(image, coordinates, mode), image[:, 7:12, 10:15])


def test_beyond_the_image_it_is_mirrored_without_repeating_the_edge() -> None:
    image = torch.arange(6 * 7, dtype=torch.float32).reshape(1, 6, 7)
    coordinates = draw_coordinates((15, 15), torch.tensor([2.0, 3.0]), STILL, generator(0))
    wanted = np.pad(image[0].numpy(), ((5, 4), (4, 4)), mode="reflect")
    torch.testing.assert_close(sample(image, coordinates, "bilinear")[0], torch.from_numpy(wanted))


def test_turning_and_flipping_keeps_distances() -> None:
    turning = Augmentation(elastic_px=0)
    angles = set()
    for seed in range(8):
        found = draw_coordinates((9, 9), torch.zeros(2), turning, generator(seed))
        step = found[:, 0, 1] - found[:, 0, 0]
        torch.testing.assert_close(step.norm(), torch.tensor(1.0))
        torch.testing.assert_close(found[:, 4, 4], torch.zeros(2), atol=1e-5, rtol=0)
        angles.add(round(math.atan2(*step.tolist()), 4))
    assert len(angles) == 8


def test_elastic_displacements_have_the_wanted_deviation() -> None:
    elastic = Augmentation(elastic_px=10, rotate=False, flip=False)
    still = draw_coordinates((61, 61), torch.zeros(2), STILL, generator(0))
    nodes = torch.stack(
        [
            (draw_coordinates((61, 61), torch.zeros(2), elastic, generator(seed)) - still)[
                :, ::30, ::30
            ]
            for seed in range(60)
        ]
    )
    assert abs(float(nodes.std()) - 10) < 5 * 10 / math.sqrt(2 * nodes.numel())  # 5 standard errors


def test_gray_values_vary_per_channel_by_seed() -> None:
    image = torch.ones(3, 4, 4)
    varied = Augmentation(noise=0)
    first, second = (vary_gray(image, varied, generator(seed)) for seed in (1, 2))
    assert len(first.unique()) == 3
    assert not torch.equal(first, second)
    torch.testing.assert_close(first, vary_gray(image, varied, generator(1)))
    torch.testing.assert_close(vary_gray(image, STILL, generator(1)), image)


def test_mirrored_coordinates_are_those_of_numpy_again_and_again() -> None:
    numbers = torch.arange(-25, 31, dtype=torch.float32)
    both = torch.stack([numbers, numbers])[:, None]
    for height, width in ((6, 1), (2, 9)):
        folded = mirrored(both, (height, width))
        for axis, size in enumerate((height, width)):
            wanted = np.pad(np.arange(size), (25, 31 - size), mode="reflect")[: len(numbers)]
            np.testing.assert_array_equal(folded[axis, 0], wanted)


def test_blur_is_a_gaussian_and_keeps_constant_images() -> None:
    image = torch.randn(2, 30, 41, generator=generator(0))
    wanted = [
        ndimage.gaussian_filter(channel, 1.5, mode="mirror", radius=5) for channel in image.numpy()
    ]
    np.testing.assert_allclose(blurred(image, 1.5), wanted, atol=1e-5)
    torch.testing.assert_close(blurred(torch.ones(1, 3, 3), 9.0), torch.ones(1, 3, 3))


def test_gamma_bends_between_the_lowest_and_the_highest_value() -> None:
    image = torch.rand(2, 8, 8, generator=generator(0))
    bent = vary_gray(image, dataclasses.replace(STILL, gamma=0.5), generator(1))
    for channel in range(2):
        torch.testing.assert_close(bent[channel].min(), image[channel].min())
        torch.testing.assert_close(bent[channel].max(), image[channel].max())
        assert torch.equal(bent[channel].flatten().argsort(), image[channel].flatten().argsort())
        assert not torch.allclose(bent[channel], image[channel], atol=1e-2)


def test_patches_are_varied_where_their_image_lies() -> None:
    """On a device that has no values: what else is made on the CPU cannot be mixed with it."""
    everything = Augmentation(
        zoom=0.1, gamma=0.1, blur_px=1, noise=0.1, stain=0.1, hue=0.1, saturation=0.1
    )
    image, centre = torch.empty(3, 40, 50, device="meta"), torch.empty(2, device="meta")
    drawn = draw_coordinates((21, 21), centre, everything, generator(1))
    patch = sample(image, mirrored(drawn, (40, 50)), "bilinear")
    colours = Colours((100.0,) * 3, (40.0,) * 3, 255)
    patch = vary_gray(
        vary_colour(patch, colours, everything, generator(2)), everything, generator(3)
    )
    assert (patch.device.type, patch.shape) == ("meta", (3, 21, 21))
