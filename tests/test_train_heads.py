"""Heads: what they are asked for in a patch, their losses, and a training that lowers them."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from conftest import train
from test_stages_train import job_in
from test_train_patches import NONE, STILL

from unetflow.demo.planes import draw_region
from unetflow.labels.encoding import separate_touching
from unetflow.labels.heads import TARGETS
from unetflow.networks import build
from unetflow.networks.model_file import load_model
from unetflow.predict.whole_image import predict_array
from unetflow.provenance.receipts import read_receipt
from unetflow.store.heads import DISTANCE_PX, HEADS
from unetflow.tiles.valid_sizes import unet_geometry
from unetflow.train.losses import BORDER_SHARE, border_loss, combined_loss, distance_loss, head_loss
from unetflow.train.patches import Batches, Drawing, TrainingImage, draw_patch, generator
from unetflow.train.recipes import Augmentation

VARIED = Augmentation(elastic_px=4, rotate=True, zoom=0.2)


def image_of(seed: int = 0, size: int = 160) -> TrainingImage:
    image, labels = draw_region(slice(0, size), slice(0, size), seed=seed)
    target = (separate_touching(labels) != 0).astype(np.uint8)
    weight = np.ones(labels.shape, np.float32)
    return TrainingImage(
        image[None].astype(np.float32),
        lambda region: (target[region], weight[region]),
        NONE,
        numbers=lambda region: labels[region] + np.uint32(2**25) * (labels[region] != 0),
    )


def drawing(augmentation: Augmentation, heads: tuple[str, ...] = HEADS) -> Drawing:
    return Drawing(7, (100, 100), unet_geometry(depth=2), augmentation, heads)


def test_targets_lie_where_the_network_has_its_output() -> None:
    image = image_of()
    image_CHW, target_HW, _, heads_JHW = draw_patch([image], drawing(STILL), generator(3))
    assert heads_JHW.shape == (len(HEADS), *target_HW.shape)
    labels = image.numbers(tuple(slice(0, n) for n in image.shape_YX)) if image.numbers else NONE
    numbers = np.unique(labels, return_inverse=True)[1].reshape(labels.shape).astype(np.int32)
    halo = (image_CHW.shape[1] - target_HW.shape[0]) // 2
    inner = image_CHW[0, halo:-halo, halo:-halo].numpy()
    assert inner.shape == tuple(target_HW.shape)
    # the patch lies between pixels: it is found as the place whose target is the nearest to its own
    wanted = {name: TARGETS[name](numbers) for name in HEADS}
    size = target_HW.shape[0]
    apart = separate_touching(numbers) != 0
    places = [
        (y, x)
        for y in range(labels.shape[0] - size + 1)
        for x in range(labels.shape[1] - size + 1)
        if np.array_equal(apart[y : y + size, x : x + size], target_HW.numpy() != 0)
    ]
    if not places:
        pytest.skip("the patch is mirrored at the border of the image")
    ((y, x),) = places
    for found, name in zip(heads_JHW.numpy(), HEADS, strict=True):
        np.testing.assert_array_equal(found, wanted[name][y : y + size, x : x + size])


def test_a_head_changes_nothing_of_image_target_and_weight() -> None:
    for number in range(4):
        with_heads = draw_patch([image_of()], drawing(VARIED), generator(number))
        without = draw_patch([image_of()], drawing(VARIED, ()), generator(number))
        assert len(without) == 3
        assert all(map(torch.equal, with_heads, without))


def test_distances_are_those_of_the_deformed_objects() -> None:
    for number in range(4):
        _, target_HW, _, (border_HW, distance_HW) = draw_patch(
            [image_of()], drawing(VARIED), generator(number)
        )
        inside = distance_HW > 0
        assert inside[target_HW != 0].all()  # what is not asked for lies where objects touch
        step_px = (distance_HW.diff(dim=1).abs() * DISTANCE_PX).max()
        assert step_px <= 1.5 * DISTANCE_PX
        assert (distance_HW[border_HW > 0] * DISTANCE_PX <= 3 + 1e-4).all()


def test_held_images_and_batches_have_the_same_targets() -> None:
    images = [image_of(0), image_of(1)]
    held = [image.held() for image in images]
    for one, other in zip(
        *(Batches(of, range(2), drawing(VARIED), numbers=range(2)) for of in (images, held)),
        strict=True,
    ):
        assert one.heads_BJHW is not None and other.heads_BJHW is not None
        assert torch.equal(one.heads_BJHW, other.heads_BJHW)
        assert one.heads_BJHW.shape[:2] == (2, len(HEADS))


def test_dice_counts_for_patches_with_a_border_alone() -> None:
    target = torch.zeros(2, 8, 8)
    target[1, 3] = 1
    everywhere = torch.ones_like(target)
    nothing, right = torch.full_like(target, -9.0), torch.where(target > 0, 9.0, -9.0)
    # of the patch without any, only cross entropy: finding nothing there is no gain of Dice
    alone = border_loss(nothing[:1], target[:1], everywhere[:1])
    cross_entropy = torch.nn.functional.binary_cross_entropy_with_logits
    torch.testing.assert_close(alone, BORDER_SHARE * cross_entropy(nothing[:1], target[:1]))
    slightly = torch.full_like(target[:1], -3.0).requires_grad_()
    (slope,) = torch.autograd.grad(border_loss(slightly, target[:1], everywhere[:1]), slightly)
    (of_entropy,) = torch.autograd.grad(cross_entropy(slightly, target[:1]), slightly)
    assert torch.allclose(slope, BORDER_SHARE * of_entropy)
    # and the mean over both is higher where the border is missed, by Dice too
    missed, found = (border_loss(of, target, everywhere) for of in (nothing, right))
    assert found < 0.01
    assert missed / BORDER_SHARE - cross_entropy(nothing, target) > 0.4


def test_ignored_pixels_count_in_no_head() -> None:
    random = torch.Generator().manual_seed(0)
    outputs = torch.randn(2, 2, 6, 6, generator=random)
    targets = (torch.rand(2, 2, 6, 6, generator=random) > 0.5).float()
    weight = torch.rand(2, 6, 6, generator=random) + 0.5
    weight[:, :2] = 0
    changed = outputs.clone()
    changed[:, :, :2] = 5
    loss = head_loss(HEADS, outputs, targets, weight)
    assert loss == head_loss(HEADS, changed, targets, weight)
    assert loss == head_loss(HEADS, outputs, targets, 3 * weight)  # no weight map for heads
    parts = [
        head_loss(HEADS, outputs[k : k + 1], targets[k : k + 1], weight[k : k + 1]) for k in (0, 1)
    ]
    torch.testing.assert_close(torch.stack(parts).mean(), loss)


def test_a_distance_is_off_by_pixels() -> None:
    target, counted = torch.zeros(1, 4, 4), torch.ones(1, 4, 4)
    for off_px in (4.0, 0.5):
        loss = distance_loss(target + off_px / DISTANCE_PX, target, counted)
        torch.testing.assert_close(loss.sqrt() * DISTANCE_PX, torch.tensor(off_px))


@pytest.mark.parametrize("head", HEADS)
@pytest.mark.slow
def test_a_training_with_a_head_lowers_its_loss(tmp_path: Path, head: str) -> None:
    job = job_in(tmp_path, steps=40) | {"head": head}
    job["recipe"] |= {"learning_rate": 0.01}
    train(**job)
    network, description = load_model(job["model"])
    assert description["heads"] == [head] == read_receipt(job["receipt"])["heads"]
    assert network.heads == (head,)
    assert description["network"]["num_classes"] == 3
    loss = pd.read_csv(job["history"])["loss"]
    assert loss[-10:].mean() < 0.8 * loss[:10].mean()
    image = np.random.default_rng(0).normal(size=(1, 60, 60)).astype(np.float32)
    probabilities = predict_array(network, image)
    assert probabilities.shape == (2, 60, 60)  # the classes, as without a head
    np.testing.assert_allclose(probabilities.sum(axis=0), 1, atol=1e-5)


@pytest.mark.parametrize("head", HEADS)
@pytest.mark.slow
def test_a_head_itself_learns(head: str) -> None:
    """Of its own loss alone, on one patch: better than the best that it says of all pixels."""
    torch.manual_seed(0)
    network = build("unet", base_channels=8, depth=2, num_classes=1)
    image_CHW, _, _, heads_JHW = draw_patch([image_of()], drawing(STILL, (head,)), generator(2))
    image_BCHW = (image_CHW[None] - image_CHW.mean()) / image_CHW.std()
    weight_BHW = torch.ones_like(heads_JHW)
    optimizer = torch.optim.AdamW(network.parameters(), lr=0.01)
    for _ in range(60):
        loss = head_loss([head], network(image_BCHW), heads_JHW[None], weight_BHW)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    values = torch.linspace(-6, 2, 100) if head == "border" else torch.linspace(0, 1, 100)
    alike = [
        head_loss([head], heads_JHW[None] * 0 + v, heads_JHW[None], weight_BHW) for v in values
    ]
    assert heads_JHW.max() == 1
    assert loss < 0.8 * min(alike)


def test_without_a_head_a_description_says_nothing_of_any(tmp_path: Path) -> None:
    job = job_in(tmp_path, steps=2)
    train(**job)
    network, description = load_model(job["model"])
    assert "heads" not in description and network.heads == ()
    assert "heads" not in read_receipt(job["receipt"])


@pytest.mark.slow
def test_another_head_starts_the_last_layer_anew(tmp_path: Path) -> None:
    first: dict[str, Any] = job_in(tmp_path / "a", steps=2)
    train(**first)
    second = job_in(tmp_path / "b", steps=1) | {"head": "border", "pretrained": first["model"]}
    train(**second)
    assert load_model(second["model"])[1]["heads"] == ["border"]


def test_the_classes_loss_is_as_without_a_head() -> None:
    random = torch.Generator().manual_seed(1)
    logits = torch.randn(2, 3, 5, 5, generator=random)
    target = torch.randint(0, 2, (2, 5, 5), generator=random)
    weight = torch.rand(2, 5, 5, generator=random)
    heads = torch.rand(2, 1, 5, 5, generator=random)
    both = combined_loss({"cross_entropy": 1}, logits[:, :2], target, weight)
    both = both + head_loss(("distance",), logits[:, 2:], heads, weight)
    from types import SimpleNamespace

    from unetflow.train.loop import TrainingRun

    run: Any = SimpleNamespace(
        network=SimpleNamespace(heads=("distance",)),
        recipe=SimpleNamespace(loss={"cross_entropy": 1}),
    )
    assert TrainingRun._loss(run, logits, target, weight, heads) == both
