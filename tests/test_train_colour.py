"""Colours of RGB patches: stains after Ruifrok and Johnston, hue and saturation."""

import colorsys
import dataclasses
from typing import Any

import numpy as np
import pytest
import torch
from skimage.color import rgb2hed
from torch import Tensor

from unetflow.errors import ModelError
from unetflow.train.colour import Colours, stain_vectors, stained, turned, vary_colour
from unetflow.train.patches import Drawing, TrainingImage, draw_patch, generator
from unetflow.train.recipes import Augmentation

INTENSITY: dict[str, Any] = {"mean": [180.0, 120.0, 160.0], "deviation": [50.0, 40.0, 30.0]}
COLOURS = Colours.of(INTENSITY, np.dtype(np.uint8))
SEEN = torch.rand(3, 20, 30, generator=generator(1)) * 0.8 + 0.1
NO_CHANGE = torch.ones(3), torch.zeros(3)


def test_nothing_varied_is_nothing_changed() -> None:
    torch.testing.assert_close(stained(SEEN, *NO_CHANGE), SEEN)
    torch.testing.assert_close(turned(SEEN, 0, 1), SEEN)
    assert COLOURS is not None
    torch.testing.assert_close(COLOURS.seen(COLOURS.normalised(SEEN)), SEEN)


def test_stains_are_those_of_ruifrok_and_johnston() -> None:
    # scikit-image has their haematoxylin and eosin, with DAB where we have the residual
    pixels = torch.exp(-torch.tensor([[0.5, 0.2, 0.0], [0.0, 0.7, 0.0]]) @ stain_vectors())
    amounts = rgb2hed(pixels.numpy()[None])[0]
    assert (np.abs(amounts[:, 2]) < 0.01 * amounts[:, :2].max()).all()
    np.testing.assert_allclose(amounts[0, 0] / amounts[0, 1], 0.5 / 0.2, rtol=0.02)
    assert amounts[1, 0] == pytest.approx(0, abs=0.01 * amounts[1, 1])


def test_more_haematoxylin_darkens_nuclei_and_leaves_glass() -> None:
    nucleus, glass = torch.exp(-0.8 * stain_vectors()[0]), torch.ones(3)
    seen = torch.stack([nucleus, glass], dim=1)[:, None]
    darker = stained(seen, torch.tensor([1.5, 1, 1]), torch.zeros(3))[:, 0]
    torch.testing.assert_close(
        darker[:, 0], torch.exp(-1.2 * stain_vectors()[0]), atol=0.01, rtol=0
    )
    torch.testing.assert_close(darker[:, 1], glass, atol=1e-4, rtol=0)
    shifted = stained(seen, torch.ones(3), torch.tensor([0, 0.3, 0]))[:, 0]
    torch.testing.assert_close(
        shifted[:, 1], torch.exp(-0.3 * stain_vectors()[1]), atol=0.01, rtol=0
    )


def test_hue_turns_red_to_green_and_gray_stays() -> None:
    red, gray = torch.tensor([0.9, 0.1, 0.1]), torch.full((3,), 0.4)
    seen = torch.stack([red, gray], dim=1)[:, None]
    found = turned(seen, 1 / 3, 1)[:, 0]
    torch.testing.assert_close(found[:, 0], torch.tensor([0.1, 0.9, 0.1]))
    torch.testing.assert_close(found[:, 1], gray)
    a_little = turned(seen, 0.02, 1)[:, 0, 0].tolist()
    assert colorsys.rgb_to_hsv(*a_little)[0] == pytest.approx(0.02, abs=0.003)


def test_saturation_is_the_distance_to_gray() -> None:
    pale, gray = turned(SEEN, 0, 0.5), turned(SEEN, 0.1, 0)
    mean = SEEN.mean(dim=0, keepdim=True)
    torch.testing.assert_close(pale - mean, (SEEN - mean) / 2)
    torch.testing.assert_close(gray, mean.expand_as(SEEN))


def drawn(augmentation: Augmentation, colours: Colours | None, geometry: Any) -> Tensor:
    assert COLOURS is not None
    image = TrainingImage(
        COLOURS.normalised(SEEN).numpy(),
        lambda region: (np.ones((20, 30), np.uint8)[region], np.ones((20, 30), np.float32)[region]),
        np.zeros((0, 2)),
        colours,
    )
    drawing = Drawing(1, (20, 20), geometry, augmentation)
    return draw_patch([image], drawing, generator(1))[0]


def test_patches_are_varied_only_where_that_is_asked_for() -> None:
    from unetflow import networks

    geometry = networks.geometry_of("unet_padded", depth=1)
    still = Augmentation(elastic_px=0, rotate=False, flip=False, brightness=0, contrast=0)
    plain = drawn(still, COLOURS, geometry)
    torch.testing.assert_close(drawn(still, None, geometry), plain, atol=0, rtol=0)
    each = {
        "stain": dataclasses.replace(still, stain=0.2),
        "hue": dataclasses.replace(still, hue=0.2),
        "saturation": dataclasses.replace(still, saturation=0.2),
    }
    for name, varied in each.items():
        found = drawn(varied, COLOURS, geometry)
        assert (found - plain).abs().max() > 0.01
        torch.testing.assert_close(drawn(varied, COLOURS, geometry), found, atol=0, rtol=0)
        with pytest.raises(ModelError, match=f"{name} is of colours, but an image is not of three"):
            drawn(varied, None, geometry)


def test_colours_are_of_linear_red_green_and_blue() -> None:
    gray = {"mean": [1.0], "deviation": [1.0]}
    assert Colours.of(gray, np.dtype(np.uint8)) is None
    assert Colours.of(INTENSITY | {"scale": "log"}, np.dtype(np.uint8)) is None
    deep = Colours.of(INTENSITY, np.dtype(np.uint16))
    assert deep is not None and deep.peak == 65535


def test_varied_patches_stay_colours() -> None:
    assert COLOURS is not None
    every = Augmentation(stain=1, hue=0.5, saturation=2)
    for seed in range(20):
        found = vary_colour(COLOURS.normalised(SEEN), COLOURS, every, generator(seed))
        seen = found * torch.tensor(COLOURS.deviation)[:, None, None]
        seen = (seen + torch.tensor(COLOURS.mean)[:, None, None]) / 255
        assert float(seen.min()) >= -1e-5 and float(seen.max()) <= 1 + 1e-5


def test_planes_of_a_volume_are_varied_as_an_image_is() -> None:
    assert COLOURS is not None
    every = Augmentation(stain=0.3, hue=0.1, saturation=0.2)
    plane = COLOURS.normalised(SEEN)
    volume = torch.stack([plane, plane.flip(-1), plane, plane], dim=1)
    found = vary_colour(volume, COLOURS, every, generator(4))
    assert found.shape == (3, 4, 20, 30)
    varied = vary_colour(plane, COLOURS, every, generator(4))
    torch.testing.assert_close(found[:, 0], varied)
    torch.testing.assert_close(found[:, 1], varied.flip(-1))


@pytest.mark.parametrize(
    ("dtype", "mean", "peak"),
    [
        *(("uint8", 150, 255), ("uint16", 150, 65_535), ("float32", 0.6, 1)),
        *(("float32", 150, None), ("int32", 150, None), ("uint32", 150, None)),
    ],
)
def test_what_is_white_is_known_or_colours_are_not(
    dtype: str, mean: float, peak: float | None
) -> None:
    colours = Colours.of({"mean": [mean] * 3, "deviation": [mean / 3] * 3}, np.dtype(dtype))
    assert (colours and colours.peak) == peak
