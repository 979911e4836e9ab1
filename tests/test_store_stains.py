"""Images of H&E in other stains: what is measured is what was mixed, and no region shows."""

import itertools
from typing import Any

import numpy as np
import pytest

from unetflow.errors import UnsuitableError
from unetflow.store.pixels import Normalised, of_image
from unetflow.store.stains import STAINED, WAYS, restained, stains_of

HAEMATOXYLIN, EOSIN = np.array([0.65, 0.70, 0.29]), np.array([0.27, 0.91, 0.31])
OTHER = np.array([[0.55, 0.76, 0.35], [0.15, 0.95, 0.28]])


def unit(vectors: Any) -> np.ndarray:
    return np.asarray(vectors / np.linalg.norm(vectors, axis=-1, keepdims=True))


def amounts(shape: tuple[int, int] = (150, 170)) -> np.ndarray:
    """Of both stains: some pixels are all but of one, some are glass."""
    random = np.random.default_rng(7)
    mixed = random.gamma(2, 0.3, (2, *shape))
    only = random.integers(0, 4, shape)
    mixed[1][only == 0] *= 0.01
    mixed[0][only == 1] *= 0.01
    mixed[:, only == 2] *= 0.02
    return mixed


def image(vectors: Any = (HAEMATOXYLIN, EOSIN), strength: Any = (1, 1), peak: int = 255) -> Any:
    density = np.einsum("sc,syx->cyx", unit(vectors), amounts() * np.reshape(strength, (2, 1, 1)))
    dtype = np.uint8 if peak == 255 else np.uint16
    return np.rint((peak + 1) * np.exp(-density) - 1).clip(0, peak).astype(dtype)


@pytest.mark.parametrize("peak", [255, 65_535])
@pytest.mark.parametrize("vectors", [(HAEMATOXYLIN, EOSIN), (OTHER[0], OTHER[1])], ids=["a", "b"])
def test_the_two_stains_of_an_image_are_found(vectors: Any, peak: int) -> None:
    found = stains_of(image(vectors, peak=peak), "macenko")
    assert found is not None
    cosines = (np.array(found["vectors"]) * unit(vectors)).sum(axis=1)
    assert (cosines > np.cos(np.radians(4))).all()  # directions are of the last percent of pixels
    density = np.einsum("sc,syx->cyx", unit(vectors), amounts())
    stained = (density > STAINED).all(axis=0)
    assert found["most"] == pytest.approx(np.percentile(amounts()[:, stained], 99, axis=1), rel=0.1)


def test_an_image_of_other_stains_looks_like_the_first_by_macenko() -> None:
    first, other = image(), image(OTHER, (1.4, 0.6))
    target, own = stains_of(first, "macenko"), stains_of(other, "macenko")
    assert target is not None and own is not None
    before = np.abs(other.astype(float) - first).mean()
    after = np.abs(restained(other, "macenko", own, target) - first).mean()
    assert after < 0.35 * before


def test_the_mean_colour_is_that_of_the_first_by_reinhard() -> None:
    other = image(OTHER, (1.6, 1.2))
    target, own = stains_of(image(), "reinhard"), stains_of(other, "reinhard")
    assert target is not None and own is not None
    made = np.rint(restained(other, "reinhard", own, target)).astype(np.uint8)
    found = stains_of(made, "reinhard")  # of pixels that are stained then: a few are others
    assert found is not None
    off, before = (np.abs(np.subtract(of["mean"], target["mean"])).max() for of in (found, own))
    assert off < 0.2 * before


@pytest.mark.parametrize("way", WAYS)
def test_in_its_own_stains_an_image_stays_as_it_is(way: str) -> None:
    own = stains_of(image(), way)
    assert own is not None
    same = restained(image(), way, own, own)
    assert np.abs(same - image()).mean() < 2  # of 255: what is of neither stain is left out


@pytest.mark.parametrize("way", WAYS)
def test_any_region_has_the_bits_that_it_has_in_the_whole(way: str) -> None:
    target = stains_of(image(), way)
    intensity = {"mean": [150.0] * 3, "deviation": [40.0] * 3, "scale": way, "target": target}
    seen = Normalised(image(OTHER), intensity)
    whole = seen[:, 0:150, 0:170]
    assert whole.dtype == np.float32
    for height, width in ((1, 1), (7, 41), (150, 50)):
        for top, left in itertools.product(range(0, 150, height + 31), range(0, 170, width + 29)):
            region = slice(None), slice(top, top + height), slice(left, left + width)
            np.testing.assert_array_equal(seen[region], whole[region])


@pytest.mark.parametrize("way", WAYS)
def test_glass_and_what_was_not_read_have_no_stains(way: str) -> None:
    glass = np.full((3, 200, 200), 244, np.uint8)
    assert stains_of(glass, way) is None
    half = image()
    lost = np.concatenate([half, np.zeros_like(half)], axis=1)
    found, wanted = stains_of(lost, way), stains_of(half, way)
    assert found is not None and wanted is not None
    for key, values in wanted.items():  # other squares are looked at
        assert np.array(found[key]) == pytest.approx(np.array(values), abs=0.05)
    target = stains_of(half, way)
    intensity = {"mean": [0.0] * 3, "deviation": [1.0] * 3, "scale": way, "target": target}
    assert of_image(intensity, glass)["own"] == target


def test_pixels_of_no_colour_are_refused_by_a_model_of_stains() -> None:
    intensity = {"scale": "macenko", "target": stains_of(image(), "macenko")}
    with pytest.raises(UnsuitableError, match="has 1 channels of uint8, but the model was trained"):
        of_image(intensity, np.zeros((1, 9, 9), np.uint8))
    with pytest.raises(UnsuitableError, match="has 3 channels of float32"):
        of_image(intensity, np.zeros((3, 9, 9), np.float32))
