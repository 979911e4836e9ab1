"""The audit of borders: silent over exact tiling, loud where tiles know nothing of each other."""

import math

import numpy as np
import pytest
import torch

from unetflow.networks import build
from unetflow.predict.whole_image import predict_array
from unetflow.report.seam_audit import audit_seams

STEP_PX = 64


@pytest.mark.slow
def test_exact_tiling_has_no_seams_and_tiles_of_their_own_level_have() -> None:
    torch.manual_seed(0)
    network = build("unet", base_channels=4, depth=2)
    random = np.random.default_rng(0)
    image = random.normal(size=(1, 640, 640)).astype(np.float32)
    exact = predict_array(network, image, write_px=STEP_PX)[1:]
    found = audit_seams(exact, STEP_PX, 4, most_blocks=100)
    assert found is not None
    assert 0.95 < found.ratio < 1.05
    assert found.chance[0] < found.ratio < found.chance[1]
    assert found.pairs == 2 * 9 * 640
    levels = random.normal(scale=0.1, size=(10, 10)).repeat(STEP_PX, axis=0).repeat(STEP_PX, axis=1)
    seen = audit_seams(exact + levels, STEP_PX, 4)
    assert seen is not None
    assert seen.ratio > 1.5 > seen.chance[1]
    beside = audit_seams(exact + levels, STEP_PX + 4, 4)
    assert beside is not None
    assert beside.ratio < 1.5


@pytest.mark.parametrize(("height", "width"), [(300, 170), (64, 129)])
def test_a_seam_in_noise_is_measured(height: int, width: int) -> None:
    noise = np.random.default_rng(1).random((2, height, width)).astype(np.float32)
    found = audit_seams(noise, STEP_PX, 1)
    assert found is not None
    profile = np.zeros(STEP_PX)
    count = np.zeros(STEP_PX)
    for axis in (1, 2):
        steps = np.abs(np.diff(noise, axis=axis)).sum(axis=(0, 3 - axis))
        for at, of_line in enumerate(steps, start=1):
            profile[at % STEP_PX] += of_line
            count[at % STEP_PX] += noise.size // noise.shape[axis]
    # The first tile is left out: it has no border.
    assert found.pairs == count[0]
    assert found.ratio == pytest.approx(profile[0] / count[0] / (profile / count)[1:].mean(), 0.02)


def test_flat_and_single_tiles_say_nothing() -> None:
    assert audit_seams(np.zeros((1, 64, 64)), STEP_PX, 4) is None
    flat = audit_seams(np.ones((1, 200, 200), np.uint8), STEP_PX, 4)
    assert flat is not None
    assert math.isnan(flat.ratio)


def test_a_large_image_is_sampled() -> None:
    noise = np.random.default_rng(1).random((1, 1000, 1000)).astype(np.float32)
    few = audit_seams(noise, STEP_PX, 1, most_blocks=9)
    assert few is not None
    assert few.pairs < 9 * 2 * STEP_PX + 1
    assert 0.8 < few.ratio < 1.2
