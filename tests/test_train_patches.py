"""Training patches: what is drawn is decided by seed and number alone."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import write_prepared

from unetflow.demo.planes import draw_region
from unetflow.engine.devices import use_threads
from unetflow.labels.encoding import separate_touching
from unetflow.tiles.valid_sizes import unet_geometry
from unetflow.train.patches import (
    Batches,
    Drawing,
    Statistics,
    TrainingImage,
    draw_patch,
    generator,
    hold,
    open_image,
)
from unetflow.train.recipes import Augmentation

GEOMETRY = unet_geometry(depth=1)  # 60 -> 44 px
STILL = Augmentation(elastic_px=0, rotate=False, flip=False, brightness=0, contrast=0)


def image_of(size: int = 80, seed: int = 0, offset: int = 0) -> TrainingImage:
    random = np.random.default_rng(seed)
    target = random.integers(0, 2, (size, size)).astype(np.uint8)
    weight = (target + 1).astype(np.float32)
    return TrainingImage(
        offset + target[None].astype(np.float32),
        lambda region: (target[region], weight[region]),
        np.argwhere(target).astype(np.int32),
    )


def drawing(augmentation: Augmentation, input_px: int = 60) -> Drawing:
    return Drawing(7, input_px, GEOMETRY, augmentation)


@pytest.mark.parametrize(("before_px", "after_px"), [((8, 8), (8, 8)), ((2, 16), (14, 0))])
def test_target_and_weight_lie_where_the_network_has_its_output(
    before_px: tuple[int, int], after_px: tuple[int, int]
) -> None:
    geometry = dataclasses.replace(GEOMETRY, before_px=before_px, after_px=after_px)
    image, target, weight = draw_patch([image_of()], Drawing(7, 60, geometry, STILL), generator(3))
    # The image holds its own target. Places are drawn between pixels: nearest rounds, so compare
    # where the interpolated image is clearly one or the other.
    row, column = before_px
    inner = image[0, row : row + 44, column : column + 44]
    clear = (inner - 0.5).abs() > 0.4
    assert clear.sum() > 200
    assert torch.equal((inner > 0.5).long()[clear], target[clear])
    torch.testing.assert_close(weight, 1 + inner)


def test_batches_depend_on_the_step_and_not_on_where_a_run_began() -> None:
    images = [image_of(seed=1), image_of(seed=2)]
    whole, resumed = (
        list(Batches(images, steps, drawing(Augmentation()), numbers=range(2)))
        for steps in (range(0, 6), range(4, 6))
    )
    assert whole[0].image_BCHW.shape == (2, 1, 60, 60)
    assert whole[0].target_BHW.shape == whole[0].weight_BHW.shape == (2, 44, 44)
    for first, second in zip(whole[4:], resumed, strict=True):
        assert torch.equal(first.image_BCHW, second.image_BCHW)
    assert not torch.equal(whole[0].image_BCHW, whole[1].image_BCHW)


def test_large_images_are_drawn_more_often() -> None:
    large, marked = image_of(120), image_of(30, offset=100)
    drawn = [
        draw_patch([large, marked], drawing(STILL, input_px=28), generator(n))[0].mean()
        for n in range(200)
    ]
    assert sum(value > 50 for value in drawn) < 200 * 0.15  # 1 / 17 expected


def test_separated_pixels_are_background_for_training() -> None:
    labels = np.array([[1, 1, 2, 2]])
    assert (separate_touching(labels) != 0).tolist() == [[True, False, False, True]]


def stored_images(folder: Path) -> list[TrainingImage]:
    statistics: Statistics = {
        "channels": 1,
        "intensity": {"mean": [100.0], "deviation": [40.0]},
        "class_weights": [0.9, 1.1],
    }
    images = []
    for seed, size in enumerate((90, 200)):
        pixels, labels = draw_region(slice(0, size), slice(0, size + 31), seed=seed)
        store = write_prepared(folder, f"i{seed}", pixels[None], labels)
        images.append(open_image(store, None, statistics, kind="instances", balance=True))
    return images


def test_patches_are_the_same_from_memory_and_from_zarr(tmp_path: Path) -> None:
    images = stored_images(tmp_path)
    varied = Augmentation(zoom=0.3, gamma=0.1, blur_px=1.0, noise=0.1, foreground=0.5)
    for number in range(12):
        first, second = (
            draw_patch(each, Drawing(7, 92, unet_geometry(depth=2), varied), generator(number))
            for each in (images, [image.held() for image in images])
        )
        for one, other in zip(first, second, strict=True):
            assert torch.equal(one, other)
        assert set(first[1].unique().tolist()) <= {0, 1}


def test_images_that_do_not_fit_are_read_patch_by_patch(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    images = stored_images(tmp_path)
    assert isinstance(hold(images)[0].image_CYX, np.ndarray)
    needed = sum(9 * one.shape_YX[0] * one.shape_YX[1] for one in images)
    monkeypatch.setattr("unetflow.train.patches.available_bytes", lambda: 5 * needed)
    assert isinstance(hold(images, 2)[0].image_CYX, np.ndarray)
    assert hold(images, 3) == images  # each of three processes would hold them
    monkeypatch.setattr("unetflow.train.patches.available_bytes", lambda: 1_000_000)
    caplog.set_level("INFO")
    assert hold(images) == images
    assert "they are read patch by patch" in caplog.text


def test_patches_can_be_centred_on_objects() -> None:
    target = np.zeros((300, 300), np.uint8)
    target[200:204, 90:94] = 1
    weight = np.ones(target.shape, np.float32)
    image = TrainingImage(
        target[None].astype(np.float32),
        lambda region: (target[region], weight[region]),
        np.argwhere(target).astype(np.int32),
    )
    on_objects = dataclasses.replace(STILL, foreground=1.0)
    for number in range(20):
        _, found, _ = draw_patch([image], drawing(on_objects), generator(number))
        assert found[18:26, 18:26].any()


def test_drawing_takes_no_threads_from_the_training() -> None:
    before = use_threads(2)
    batches = Batches([image_of()], range(3), drawing(Augmentation()), numbers=range(1))
    assert [torch.get_num_threads() for _ in batches] == [before] * 3


def test_processes_share_the_patches_of_a_batch() -> None:
    def drawn(numbers: range) -> torch.Tensor:
        batches = Batches([image_of()], range(2), drawing(Augmentation()), numbers=numbers)
        return torch.stack([batch.image_BCHW for batch in batches])

    both = torch.cat([drawn(range(0, 2)), drawn(range(2, 4))], dim=1)
    assert torch.equal(both, drawn(range(4)))
