"""Tiling does not show: an array predicted tile by tile is that of one pass."""

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from predicting import difference, image_of, network_of

from unetflow.errors import UnsuitableError
from unetflow.networks import build
from unetflow.networks.network import Network
from unetflow.predict.runners import ORIENTATIONS
from unetflow.predict.suitability import check_symmetries
from unetflow.predict.whole_image import predict_array
from unetflow.tiles.geometry import Geometry
from unetflow.tiles.grid import Tile
from unetflow.tiles.mirror import read_mirrored
from unetflow.tiles.valid_sizes import halo_px, valid_input_px


@pytest.mark.slow
@pytest.mark.parametrize("options", [{"depth": 1}, {"depth": 2, "flat": 1}], ids=str)
def test_volumes_are_tiled_as_images_are(options: dict[str, int]) -> None:
    network = build("unet3d", base_channels=2, norm=None, **options)
    volume = np.random.default_rng(1).normal(size=(1, 13, 30, 41)).astype(np.float32)
    whole = predict_array(network, volume)
    assert whole.shape == (2, 13, 30, 41)
    np.testing.assert_allclose(predict_array(network, volume, write_px=8), whole, atol=1e-5)
    seen = np.asarray(
        read_mirrored(
            volume,
            tuple(
                slice(-halo, network.geometry.input_px(size, axis) - halo)
                for axis, (halo, size) in enumerate(
                    zip(network.geometry.before_px, volume.shape[1:], strict=True)
                )
            ),
        )
    )
    with torch.inference_mode():
        by_hand = network.eval()(torch.from_numpy(seen)[None]).softmax(1)[0, :, :13, :30, :41]
    np.testing.assert_allclose(whole, by_hand.numpy(), atol=1e-5)


@pytest.mark.slow
def test_of_volumes_planes_are_reversed_too() -> None:
    network = build("unet3d", base_channels=2, depth=1)
    volume = np.random.default_rng(2).normal(size=(1, 8, 16, 16)).astype(np.float32)
    eight, sixteen = (predict_array(network, volume, average=n) for n in (8, 16))
    assert np.abs(eight - sixteen).max() > 1e-4
    for axis in (1, 2, 3):  # of a volume of whole steps the result turns with it
        turned = predict_array(network, np.flip(volume, axis).copy(), average=16)
        np.testing.assert_allclose(np.flip(turned, axis), sixteen, atol=1e-5)
    cube = np.random.default_rng(3).normal(size=(1, 12, 12, 12)).astype(np.float32)
    of_cube = predict_array(network, cube, average=48)
    moved = predict_array(network, np.moveaxis(cube, 1, 3).copy(), average=48)
    np.testing.assert_allclose(np.moveaxis(moved, 3, 1), of_cube, atol=1e-5)
    assert np.abs(of_cube - predict_array(network, cube, average=16)).max() > 1e-4
    flat = build("unet3d", base_channels=2, depth=1, flat=1)
    with pytest.raises(
        ValueError, match=r"over 48 .* does not see alike along z, y, x.*average=16"
    ):
        predict_array(flat, cube, average=48)
    with pytest.raises(ValueError, match=r"over 16 flips .* there are 1 \(off\), 7 and 8"):
        predict_array(network_of(1), image_of(9, 9), average=16)


def test_an_image_for_a_network_of_volumes_is_refused() -> None:
    network = build("unet3d", base_channels=2, depth=1)
    with pytest.raises(ValueError, match=r"image has 3 axes .*: must be \(C, Z, Y, X\)"):
        predict_array(network, image_of(9, 9))


@pytest.mark.slow
@pytest.mark.parametrize("write_px", [512, 1024])
def test_tiled_equals_whole_on_1500_by_1300(write_px: int) -> None:
    # 1e-5 of the largest |logit| is the law; both sides are fp32, channels last, same threads.
    assert difference(network_of(), image_of(1500, 1300), write_px) < 1e-5


@pytest.mark.slow
def test_batch_normalisation_obeys_the_law() -> None:
    network = build("unet", base_channels=4, depth=2, norm="batch")
    torch.manual_seed(0)
    network.train()(torch.randn(2, 1, 60, 60))  # its statistics are those of the training
    assert difference(network.eval(), image_of(200, 150), 64) < 1e-5


@pytest.mark.slow
def test_the_law_notices_when_the_outermost_ring_really_read_is_mirrored(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def one_ring_less(image_CYX: Any, tile: Tile) -> torch.Tensor:
        # Of the 516 px that the network returns 512 are kept: it really reads 92 px before the
        # write region and 92 after it. Both outermost rows and columns become their mirrors.
        pixels = read_mirrored(image_CYX, tile.read).copy()
        last = 92 + (tile.write[0].stop - tile.write[0].start) + 92 - 1
        right = 92 + (tile.write[1].stop - tile.write[1].start) + 92 - 1
        pixels[:, 0], pixels[:, last] = pixels[:, 2], pixels[:, last - 2]
        pixels[:, :, 0], pixels[:, :, right] = pixels[:, :, 2], pixels[:, :, right - 2]
        return torch.from_numpy(pixels)[None]

    monkeypatch.setattr("unetflow.predict.whole_image.read_tile", one_ring_less)
    assert difference(network_of(), image_of(1500, 1300), 512) > 1e-5


@pytest.mark.slow
@pytest.mark.parametrize(("height", "width"), [(1, 1), (3, 70), (65, 200), (129, 17)])
@pytest.mark.parametrize("depth", [1, 2, 3])
def test_tiled_equals_whole_for_small_and_odd_images(height: int, width: int, depth: int) -> None:
    assert difference(network_of(depth), image_of(height, width), write_px=64) < 1e-5


@pytest.mark.slow
@given(st.integers(1, 100), st.integers(1, 100), st.sampled_from([1, 2, 3]), st.integers(0, 6))
@settings(max_examples=20)
def test_tiled_equals_whole_for_any_size_and_write_region(
    height: int, width: int, depth: int, steps: int
) -> None:
    write_px = (32 // 2**depth + steps) * 2**depth
    assert difference(network_of(depth), image_of(height, width), write_px) < 1e-5


def test_channels_are_kept_apart_and_probabilities_sum_to_one() -> None:
    found = predict_array(network_of(2, in_channels=3), image_of(40, 50, channels=3), write_px=32)
    assert found.shape == (2, 40, 50)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found.sum(axis=0), 1, rtol=1e-6)


def test_a_write_region_off_the_poolings_is_refused_with_the_nearest() -> None:
    with pytest.raises(ValueError, match="multiples of 16 px.*384 px and 400 px"):
        predict_array(network_of(), image_of(9, 9), write_px=388)


def test_averaging_is_the_mean_over_orientations_of_the_padded_input() -> None:
    network, image = network_of(2), image_of(32, 32)
    assert len(set(ORIENTATIONS)) == 8
    by_hand = []
    halo, size = halo_px(2), valid_input_px(32, 2)
    padded = torch.from_numpy(read_mirrored(image, (slice(-halo, size - halo),) * 2))[None]
    with torch.inference_mode():
        for flip in (False, True):
            for quarters in range(4):
                turned = torch.rot90(padded.flip(-2) if flip else padded, quarters, (-2, -1))
                output = network(turned).softmax(1)[0]
                output = torch.rot90(output, -quarters, (-2, -1))
                by_hand.append(output.flip(-2) if flip else output)
    found = predict_array(network, image, write_px=32, average=8)
    wanted = torch.stack(by_hand).mean(0)[:, :32, :32].numpy()
    np.testing.assert_allclose(found, wanted, atol=1e-6)
    seven = predict_array(network, image, write_px=32, average=7)
    np.testing.assert_allclose(seven, torch.stack(by_hand[:7]).mean(0)[:, :32, :32], atol=1e-6)


def test_averages_that_do_not_exist_are_refused() -> None:
    with pytest.raises(ValueError, match="over 5 flips and rotations is not possible; there are 1"):
        predict_array(network_of(1), image_of(9, 9), write_px=32, average=5)


def test_a_network_that_sees_farther_to_one_side_is_not_flipped() -> None:
    class Aside(Network):
        in_channels, last_layer = 1, "last."
        geometry = Geometry(("y", "x"), (1, 1), (4, 4), (0, 0), (5, 5), 1.0)

        def __init__(self) -> None:
            super().__init__()
            self.last = torch.nn.Conv2d(1, 2, 1)

        def forward(self, image_BCHW: torch.Tensor) -> torch.Tensor:
            logits: torch.Tensor = self.last(image_BCHW)[..., 4:, 4:]
            return logits

    assert predict_array(Aside(), image_of(9, 9)).shape == (2, 9, 9)
    with pytest.raises(ValueError, match=r"\(4, 4\) px before a pixel and \(0, 0\) px after it"):
        predict_array(Aside(), image_of(9, 9), average=8)
    with pytest.raises(UnsuitableError, match=r"i: the model sees \(4, 4\) px before .* to 1"):
        check_symmetries(8, Aside.geometry, None, "i")
    check_symmetries(1, Aside.geometry, None, "i")
    check_symmetries(8, network_of(1).geometry, None, "i")


def test_bf16_stays_within_its_rounding() -> None:
    network, image = network_of(2), image_of(40, 40)
    exact = predict_array(network, image, write_px=64)
    rough = predict_array(network, image, write_px=64, precision="bf16")
    assert 0 < np.abs(exact - rough).max() < 0.05  # 8 bits of mantissa through 11 layers
    with pytest.raises(ValueError, match="precision 'fp8' is not known"):
        predict_array(network, image, write_px=64, precision="fp8")


def test_the_network_given_is_not_changed() -> None:
    network = network_of(1).train()
    predict_array(network, image_of(9, 9), write_px=32, precision="bf16")
    assert network.training
    assert next(network.parameters()).dtype == torch.float32
