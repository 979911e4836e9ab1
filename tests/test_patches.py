"""Training patches: what is drawn is decided by seed and number alone."""

import numpy as np
import torch

from unetflow.labels import separate_touching
from unetflow.losses import weighted_cross_entropy
from unetflow.patches import TrainingImage, draw_batches, draw_patch, generator
from unetflow.recipes import Augmentation

STILL = Augmentation(elastic_px=0, rotate=False, flip=False, brightness=0, contrast=0)


def image_of(size: int = 80, seed: int = 0) -> TrainingImage:
    random = np.random.default_rng(seed)
    target = random.integers(0, 2, (size, size))
    return TrainingImage(
        torch.from_numpy(target[None].astype(np.float32)),
        torch.from_numpy(target),
        torch.from_numpy((target + 1).astype(np.float32)),
    )


def test_target_and_weight_are_the_middle_of_the_patch() -> None:
    image, target, weight = draw_patch(
        [image_of()], input_px=60, output_px=44, augmentation=STILL, random=generator(3)
    )
    # The image holds its own target. Places are drawn between pixels: nearest rounds, so compare
    # where the interpolated image is clearly one or the other.
    middle = image[0, 8:52, 8:52]
    clear = (middle - 0.5).abs() > 0.4
    assert clear.sum() > 200
    assert torch.equal((middle > 0.5).long()[clear], target[clear])
    torch.testing.assert_close(weight, 1 + middle)


def test_batches_depend_on_the_step_and_not_on_where_a_run_began() -> None:
    options = {
        "seed": 7, "batch": 2, "input_px": 60, "output_px": 44, "augmentation": Augmentation(),
    }  # fmt: skip
    images = [image_of(seed=1), image_of(seed=2)]
    whole = list(draw_batches(images, range(0, 6), **options))  # type: ignore[arg-type]
    resumed = list(draw_batches(images, range(4, 6), **options))  # type: ignore[arg-type]
    assert whole[0].image_BCHW.shape == (2, 1, 60, 60)
    assert whole[0].target_BHW.shape == whole[0].weight_BHW.shape == (2, 44, 44)
    for first, second in zip(whole[4:], resumed, strict=True):
        assert torch.equal(first.image_BCHW, second.image_BCHW)
    assert not torch.equal(whole[0].image_BCHW, whole[1].image_BCHW)


def test_large_images_are_drawn_more_often() -> None:
    large, small = image_of(120), image_of(30)
    marked = TrainingImage(small.image_CYX + 100, small.target_YX, small.weight_YX)
    drawn = [
        draw_patch(
            [large, marked], input_px=28, output_px=12, augmentation=STILL, random=generator(n)
        )[0].mean()
        for n in range(200)
    ]
    assert sum(value > 50 for value in drawn) < 200 * 0.15  # 1 / 17 expected


def test_separated_pixels_are_background_for_training() -> None:
    labels = np.array([[1, 1, 2, 2]])
    assert (separate_touching(labels) != 0).tolist() == [[True, False, False, True]]


def test_the_loss_is_the_papers_mean_over_weighted_pixels() -> None:
    logits = torch.tensor([[[[0.0, 2.0, 5.0]], [[0.0, 0.0, 1.0]]]])  # (1, 2, 1, 3)
    target = torch.tensor([[[0, 1, 0]]])
    weight = torch.tensor([[[1.0, 3.0, 0.0]]])
    wanted = (1 * np.log(2) + 3 * np.log(1 + np.exp(2))) / 2
    assert float(weighted_cross_entropy(logits, target, weight)) == np.float32(wanted)
    assert float(weighted_cross_entropy(logits, target, torch.zeros_like(weight))) == 0
