"""A refined foreground: values of plain loops; blocks with their halo = the whole, to the bit."""

import itertools
import math

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from scipy import ndimage

from unetflow.refine import Crf, crf, smoothed
from unetflow.refine.conv_crf import LEAST
from unetflow.refine.refinement import Refinement
from unetflow.store.tissue_mask import Tissue
from unetflow.tiles.regions import shard_grid, shard_region

CRF = Crf(
    iterations=2,
    radius_px=2,
    appearance_weight=2.5,
    appearance_px=1.5,
    appearance_intensity=0.6,
    smoothness_weight=0.7,
    smoothness_px=1.0,
)


def drawn(classes: int, height: int, width: int) -> tuple[np.ndarray, np.ndarray]:
    """Foreground (K, Y, X) and an image of two channels."""
    random = np.random.default_rng(classes)
    shares = random.dirichlet(np.full(classes + 1, 0.4), size=(height, width))
    image = random.normal(size=(2, height, width)).astype(np.float32)
    return shares.transpose(2, 0, 1)[1:].astype(np.float32), image


def mirrored(at: int, size: int) -> int:
    """numpy.pad(mode="reflect"), one position."""
    while size > 1 and not 0 <= at < size:
        at = -at if at < 0 else 2 * (size - 1) - at
    return at if size > 1 else 0


def by_loops(foreground: np.ndarray, image: np.ndarray, how: Crf) -> np.ndarray:
    """The mean-field steps as they are defined, pixel by pixel, mirrored anew in each."""
    _, height, width = foreground.shape
    radius = how.radius_px
    offsets = [
        (dy, dx)
        for dy, dx in itertools.product(range(-radius, radius + 1), repeat=2)
        if (dy, dx) != (0, 0)
    ]

    def gaussian(sigma_px: float) -> dict[tuple[int, int], float]:
        values = {o: math.exp(-(o[0] ** 2 + o[1] ** 2) / (2 * sigma_px**2)) for o in offsets}
        return {o: value / sum(values.values()) for o, value in values.items()}

    near, far = gaussian(how.appearance_px), gaussian(how.smoothness_px)
    planes = np.concatenate([1 - foreground.sum(0, keepdims=True), foreground]).astype(float)
    unary = np.log(np.maximum(planes, LEAST))
    shares = np.exp(unary) / np.exp(unary).sum(0)
    for _ in range(how.iterations):
        after = np.empty_like(shares)
        for y, x in itertools.product(range(height), range(width)):
            energy = unary[:, y, x].copy()
            for dy, dx in offsets:
                there = mirrored(y + dy, height), mirrored(x + dx, width)
                apart = ((image[:, y, x] - image[(slice(None), *there)]).astype(float) ** 2).sum()
                alike = math.exp(-apart / (2 * how.appearance_intensity**2))
                kernel = (
                    how.appearance_weight * near[dy, dx] * alike
                    + how.smoothness_weight * far[dy, dx]
                )
                # Potts: a neighbour of another class costs
                energy -= kernel * (1 - shares[(slice(None), *there)])
            after[:, y, x] = np.exp(energy - energy.max())
            after[:, y, x] /= after[:, y, x].sum()
        shares = after
    return np.asarray(shares[1:])


@pytest.mark.parametrize(("classes", "height", "width"), [(1, 9, 11), (3, 8, 7), (2, 1, 6)])
def test_the_crf_equals_its_definition(classes: int, height: int, width: int) -> None:
    foreground, image = drawn(classes, height, width)
    found = crf(foreground, image, CRF)
    assert found.dtype == np.float32
    # 24 messages and two steps in float32
    np.testing.assert_allclose(found, by_loops(foreground, image, CRF), atol=2e-6)
    assert np.abs(found - foreground).max() > 0.1  # and does something


def test_a_crf_without_weights_changes_nothing_but_certainty() -> None:
    foreground, image = drawn(1, 20, 30)
    found = crf(foreground, image, Crf(appearance_weight=0, smoothness_weight=0))
    np.testing.assert_allclose(found, np.clip(foreground, LEAST, 1 - LEAST), atol=1e-5)


def test_a_crf_follows_the_edges_of_the_image() -> None:
    image = np.zeros((1, 20, 20), np.float32)
    image[:, :, 10:] = 3
    foreground = np.where(image > 0, 0.6, 0.4).astype(np.float32)
    foreground[0, 5, 5], foreground[0, 5, 15] = 0.6, 0.4  # wrong ones
    found = crf(foreground, image, Crf(appearance_weight=4, smoothness_weight=0))
    assert ((found > 0.5) == (image > 0)).all()
    assert (np.abs(found - 0.5) > 0.3).all()


@pytest.mark.parametrize("sigma_px", [0.4, 1.0, 2.3])
def test_smoothing_equals_scipy_and_a_plain_sum(sigma_px: float) -> None:
    foreground, _ = drawn(2, 13, 40)
    found = smoothed(foreground, sigma_px)
    wanted = ndimage.gaussian_filter(
        foreground.astype(float), (0, sigma_px, sigma_px), mode="mirror", truncate=4
    )
    np.testing.assert_allclose(found, wanted, atol=1e-6)  # float32 between both axes
    radius = int(4 * sigma_px + 0.5)
    steps = range(-radius, radius + 1)
    along = np.exp(-np.square(steps) / (2 * sigma_px**2))
    along /= along.sum()
    plain = sum(
        along[dy + radius]
        * along[dx + radius]
        * foreground[1, mirrored(1 + dy, 13), mirrored(3 + dx, 40)]
        for dy, dx in itertools.product(steps, steps)
    )
    assert found[1, 1, 3] == pytest.approx(plain, abs=1e-6)


def in_blocks(
    how: Refinement, foreground: np.ndarray, image: np.ndarray, block_px: tuple[int, int]
) -> np.ndarray:
    found = np.full_like(foreground, -1)
    for index in shard_grid(foreground.shape[1:], block_px):
        region = shard_region(index, foreground.shape[1:], block_px)
        found[(slice(None), *region)] = how.block(foreground, image, region)
    return found


@settings(max_examples=30)
@example(classes=9, shape=(4, 4), block_px=(1, 1), smooth_px=None, how=CRF)  # sums of one pixel
@given(
    classes=st.integers(1, 9),
    shape=st.tuples(st.integers(1, 40), st.integers(1, 40)),
    block_px=st.tuples(st.integers(1, 40), st.integers(1, 40)),
    smooth_px=st.sampled_from([None, 0.3, 1.7]),
    how=st.sampled_from([None, CRF, Crf(iterations=3, radius_px=1)]),
)
def test_blocks_equal_the_whole(
    classes: int,
    shape: tuple[int, int],
    block_px: tuple[int, int],
    smooth_px: float | None,
    how: Crf | None,
) -> None:
    foreground, image = drawn(classes, *shape)
    refinement = Refinement(smooth_px, how)
    whole = refinement.block(foreground, image, (slice(0, shape[0]), slice(0, shape[1])))
    np.testing.assert_array_equal(in_blocks(refinement, foreground, image, block_px), whole)


def test_pieces_of_a_block_do_not_show() -> None:
    foreground, image = drawn(1, 300, 530)  # more than a piece of 256 px
    how = Refinement(1.0, Crf(iterations=2, radius_px=2))
    whole = how.block(foreground, image, (slice(0, 300), slice(0, 530)))
    np.testing.assert_array_equal(in_blocks(how, foreground, image, (77, 190)), whole)


@pytest.mark.parametrize("how", [Refinement(1.0), Refinement(None, CRF), Refinement(0.5, CRF)])
def test_a_pixel_depends_on_its_halo_and_no_more(how: Refinement) -> None:
    size = 4 * how.halo_px + 1
    foreground, image = drawn(1, size, size)
    middle = (slice(2 * how.halo_px, 2 * how.halo_px + 1),) * 2
    before = how.block(foreground, image, middle)
    for ring_px, reaches in ((how.halo_px, True), (how.halo_px + 1, False)):
        other = foreground.copy()
        at = 2 * how.halo_px - ring_px
        other[0, at] = 1 - other[0, at]  # a line so far above
        after = how.block(other, image, middle)
        assert (after != before).any() == reaches


def test_outside_the_tissue_nothing_is_computed() -> None:
    foreground, image = drawn(1, 512, 512)
    foreground[:, :, 256:] = 0
    image[:, :, 256 + 100 :] = np.nan  # beyond the halo: would be seen
    how = Refinement(1.0, CRF)
    region = (slice(0, 512), slice(0, 512))
    tissue = Tissue(np.array([[True, False], [True, False]]), "test")
    found = how.block(foreground, image, region, tissue)
    assert not found[:, :, 256:].any()
    np.testing.assert_array_equal(
        found[:, :, :256], how.block(foreground, image, (slice(0, 512), slice(0, 256)))
    )
    across = (slice(100, 400), slice(200, 300))
    np.testing.assert_array_equal(
        how.block(foreground, image, across, tissue), found[(slice(None), *across)]
    )


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda f, i: smoothed(f, 0), "sigma_px is 0: must be more than 0"),
        (lambda f, i: smoothed(f[0], 1), r"foreground has shape \(5, 6\): must be \(K, Y, X\)"),
        (lambda f, i: smoothed(f * 3, 1), r"must lie in \[0, 1\]"),
        (lambda f, i: crf(f, i[:, :4]), r"image has shape \(2, 4, 6\).*\(1, 5, 6\)"),
        (lambda f, i: crf(f, i * np.nan), "finite"),
    ],
)
def test_what_is_none_of_these_is_refused(call: object, message: str) -> None:
    assert callable(call)
    with pytest.raises(ValueError, match=message):
        call(np.full((1, 5, 6), 0.5), np.zeros((2, 5, 6)))
