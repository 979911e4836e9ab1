"""Training patches: what is drawn is decided by seed and number alone."""

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from conftest import write_prepared

from unetflow.demo.planes import draw_region
from unetflow.engine.devices import use_threads
from unetflow.labels.encoding import separate_touching
from unetflow.labels.places import Part
from unetflow.store.layout import SHARD_PX
from unetflow.tiles.regions import Region
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
NONE = np.zeros((0, 2), np.int32)
STATISTICS: Statistics = {
    "channels": 1,
    "intensity": {"mean": [100.0], "deviation": [40.0]},
    "class_weights": [0.9, 1.1],
}
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
    return Drawing(7, (input_px, input_px), GEOMETRY, augmentation)


@pytest.mark.parametrize(("before_px", "after_px"), [((8, 8), (8, 8)), ((2, 16), (14, 0))])
def test_target_and_weight_lie_where_the_network_has_its_output(
    before_px: tuple[int, int], after_px: tuple[int, int]
) -> None:
    geometry = dataclasses.replace(GEOMETRY, before_px=before_px, after_px=after_px)
    image, target, weight = draw_patch(
        [image_of()], Drawing(7, (60, 60), geometry, STILL), generator(3)
    )
    # The image holds its own target. Places are drawn between pixels: nearest rounds, so compare
    # where the interpolated image is clearly one or the other.
    row, column = before_px
    inner = image[0, row : row + 44, column : column + 44]
    clear = (inner - 0.5).abs() > 0.4
    assert clear.sum() > 200
    assert torch.equal((inner > 0.5).long()[clear], target[clear])
    torch.testing.assert_close(weight, 1 + inner)  # between pixels, as the image itself is


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


def centres_in(image: TrainingImage, count: int, monkeypatch: pytest.MonkeyPatch) -> np.ndarray:
    """The pixels (N, 2) that so many patches are centred in."""
    found: list[np.ndarray] = []

    def noted(size_px: int, centre: torch.Tensor, *_: Any) -> torch.Tensor:
        found.append(centre.numpy())
        raise KeyboardInterrupt("the rest of the patch is not needed")

    monkeypatch.setattr("unetflow.train.patches.draw_coordinates", noted)
    for number in range(count):
        with pytest.raises(KeyboardInterrupt, match="not needed"):
            draw_patch([image], drawing(STILL), generator(number))
    pixels: np.ndarray = np.rint(np.stack(found)).astype(int)
    return pixels


def test_centres_are_spread_evenly_up_to_the_border_and_into_the_corners(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    size, count = 512, 12_000
    centres = centres_in(image_of(size), count, monkeypatch)
    assert centres.min() >= 0 and centres.max() <= size
    from_border = np.minimum(centres, size - 1 - centres).clip(min=0)
    rings, corners = from_border.min(axis=1), from_border.max(axis=1)
    for counted, share in [
        *(
            (
                (rings >= start) & (rings < stop),
                ((size - 2 * start) ** 2 - (size - 2 * stop) ** 2) / size**2,
            )
            for start, stop in ((0, 8), (8, 32), (32, 128), (128, 256))
        ),
        (corners < 64, 4 * 64**2 / size**2),
    ]:
        error = np.sqrt(count * share * (1 - share))  # of a binomial: 4 of it once in 16,000
        assert abs(counted.sum() - count * share) < 4 * error


@pytest.mark.parametrize("size", [30, 128])  # smaller and larger than what a patch shows
def test_all_parts_of_an_image_are_learnt_from_as_often(size: int) -> None:
    number_of = np.arange(size**2, dtype=np.float32).reshape(size, size)
    image = TrainingImage(
        number_of[None], lambda region: (np.zeros_like(number_of)[region], number_of[region]), NONE
    )
    count = 500
    seen = np.zeros((count, size, size))
    for n in range(count):
        numbers = draw_patch([image], drawing(Augmentation(elastic_px=3)), generator(n))[2]
        times = np.bincount(numbers.long().flatten(), minlength=size**2)
        seen[n] = times.reshape(size, size)
    # mirrored, the outermost line is not repeated: it is seen half as often as all others
    outer, inner = seen[:, 1:-1, 1:-1].copy(), seen[:, 9:-9, 9:-9]
    outer[:, 8:-8, 8:-8] = 0
    pixels = (size - 2) ** 2 - (size - 18) ** 2
    difference = outer.sum(axis=(1, 2)) / pixels - inner.mean(axis=(1, 2))
    error = difference.std() / np.sqrt(count)
    mean = seen.mean()
    assert abs(difference.mean()) < 4 * error + 0.03 * mean  # 1 of 44 px: half a pixel on each side
    assert error < 0.08 * mean


def test_nothing_of_an_ignored_pixel_is_learnt_whatever_the_patch() -> None:
    size = 80
    ignored = np.random.default_rng(5).random((size, size)) < 0.2
    target = np.where(ignored, 1, 0).astype(np.uint8)  # so a pixel of class 1 is one that leaked
    weight = np.where(ignored, 0, 3).astype(np.float32)
    image = TrainingImage(
        np.zeros((1, size, size), np.float32), lambda r: (target[r], weight[r]), NONE
    )
    counted = torch.zeros(())
    for number in range(20):
        varied = Augmentation(zoom=0.3)
        _, found, weights = draw_patch([image], drawing(varied), generator(number))
        assert not found[weights > 0].any()
        # a neighbour of theirs counts in full
        torch.testing.assert_close(weights, torch.where(weights > 0, 3.0, 0.0))
        counted += (weights > 0).float().mean() / 20
    assert abs(counted - 0.8) < 0.03


def test_patches_lie_where_an_image_is_annotated_and_images_count_by_that(tmp_path: Path) -> None:
    """As of a slide with a rectangle of class Region: all else shows nothing that is learnt."""
    stores = []
    for name, rows in (("a", slice(40, 60)), ("b", slice(900, 960))):
        pixels = np.zeros((1, 1000, 1000), np.uint8)
        ignored = np.ones(pixels.shape[1:])
        ignored[rows, 300:340] = 0
        labels = pixels[0].astype(np.uint32)
        stores.append(write_prepared(tmp_path, name, pixels, labels, ignored))
    few, many = (
        open_image(store, None, STATISTICS, kind="instances", balance=False) for store in stores
    )
    assert (few.annotated_px, many.annotated_px) == (20 * 40, 60 * 40)
    marked = [
        dataclasses.replace(one, image_CYX=np.full((1, 1000, 1000), n, np.float32))
        for n, one in enumerate((few, many))
    ]
    of_many, counted = 0, 0.0
    for number in range(200):
        image, _, weight = draw_patch(marked, drawing(STILL), generator(number))
        assert weight.max() == 1
        counted += float((weight > 0).float().mean()) / 200
        of_many += int(image.mean())
    assert counted > 0.2  # of 44 x 44 px; of one anywhere in the image 0.002
    assert 130 < of_many < 170  # three quarters of 200, and four deviations of 6
    everywhere = dataclasses.replace(many, part=Part(NONE, (1, 1), 0.0))  # too small to be found
    assert draw_patch([everywhere], drawing(STILL), generator(1))[0].shape == (1, 60, 60)
    assert draw_patch([everywhere, few], drawing(STILL), generator(1))[2].max() == 1


def test_separated_pixels_are_background_for_training() -> None:
    labels = np.array([[1, 1, 2, 2]])
    assert (separate_touching(labels) != 0).tolist() == [[True, False, False, True]]


def stored_images(folder: Path) -> list[TrainingImage]:
    images = []
    for seed, size in enumerate((90, 200)):
        pixels, labels = draw_region(slice(0, size), slice(0, size + 31), seed=seed)
        store = write_prepared(folder, f"i{seed}", pixels[None], labels)
        images.append(open_image(store, None, STATISTICS, kind="instances", balance=True))
    return images


def test_patches_are_the_same_from_memory_and_from_zarr(tmp_path: Path) -> None:
    images = stored_images(tmp_path)
    varied = Augmentation(zoom=0.3, gamma=0.1, blur_px=1.0, noise=0.1, foreground=0.5)
    for number in range(12):
        first, second = (
            draw_patch(
                each, Drawing(7, (92, 92), unet_geometry(depth=2), varied), generator(number)
            )
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


def test_a_large_image_is_brought_into_memory_shard_by_shard() -> None:
    whole = np.arange(3 * 1100, dtype=np.float32).reshape(1, 3, 1100)
    asked = []

    class Read:
        shape = whole.shape

        def __getitem__(self, key: Region) -> np.ndarray:
            asked.append(key[1:])
            return np.asarray(whole[key])

    def labels(region: Region) -> tuple[np.ndarray, np.ndarray]:
        asked.append(region)
        return whole[0][region].astype(np.uint8), whole[0][region] / 2

    def numbers(region: Region) -> np.ndarray:
        asked.append(region)
        return np.asarray(whole[0][region], np.uint32)

    held = TrainingImage(Read(), labels, NONE, numbers=numbers).held()
    assert max(part.stop - part.start for region in asked for part in region) <= SHARD_PX
    inner = slice(1, 3), slice(1000, 1050)  # on both sides of a seam
    assert held.numbers is not None
    found = (held.image_CYX[(slice(None), *inner)], *held.labels(inner), held.numbers(inner))
    for one, other in zip(found, (whole[0][inner], *labels(inner), numbers(inner)), strict=True):
        np.testing.assert_array_equal(np.squeeze(one), other)


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
