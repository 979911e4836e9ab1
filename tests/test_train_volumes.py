"""Volumes are trained as images are: their patches are drawn and changed alike, and learnt."""

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from lightning_fabric import Fabric

from unetflow.networks import geometry_of
from unetflow.networks.model_file import ModelDescription
from unetflow.train.augment import displacement_field, draw_coordinates, sample
from unetflow.train.checkpoints import Checkpoint
from unetflow.train.loop import TrainingRun
from unetflow.train.patches import Drawing, TrainingImage, draw_patch, generator
from unetflow.train.recipes import PRESETS, Augmentation

SMALL: dict[str, Any] = {"base_channels": 2, "depth": 1}
GEOMETRY = geometry_of("unet3d", **SMALL)
STILL = Augmentation(elastic_px=0, rotate=False, flip=False, brightness=0, contrast=0)
EVERYTHING = Augmentation(elastic_px=1, zoom=0.1, blur_px=1, noise=0.05, gamma=0.1)


def balls(shape: tuple[int, ...] = (30, 44, 48), plane_px: float = 1.0) -> TrainingImage:
    """Bright balls, 16 px apart, with noise."""
    places = np.ogrid[tuple(slice(0, size) for size in shape)]
    target = np.asarray(sum((along % 16 - 8) ** 2 for along in places) < 25, np.uint8)
    noise = np.random.default_rng(1).normal(0, 0.3, (1, *shape))
    weight = np.ones(shape, np.float32)
    return TrainingImage(
        (2.0 * target - 1 + noise).astype(np.float32),
        lambda region: (target[region], weight[region]),
        np.zeros((0, len(shape)), np.int32),
        plane_px=plane_px,
    )


def test_a_patch_that_stays_as_it_is_is_a_piece_of_the_volume() -> None:
    volume = torch.arange(10.0 * 11 * 12).reshape(1, 10, 11, 12)
    centre = torch.tensor([4.0, 5.0, 6.0])
    coordinates = draw_coordinates((3, 5, 7), centre, STILL, generator(0))
    assert coordinates.shape == (3, 3, 5, 7)
    for mode in ("bilinear", "nearest"):
        torch.testing.assert_close(sample(volume, coordinates, mode), volume[:, 3:6, 3:8, 3:10])


def test_it_is_turned_in_plane_and_flipped_along_all_axes() -> None:
    turned = Augmentation(elastic_px=0)
    seen = set()
    for number in range(64):
        found = draw_coordinates((5, 9, 9), torch.zeros(3), turned, generator(number), 2.0)
        assert torch.equal(
            found[0].abs(), torch.arange(-2.0, 3).abs()[:, None, None].expand(5, 9, 9)
        )
        apart = (found[:, 2, 4, 5] - found[:, 2, 4, 4], found[:, 2, 5, 4] - found[:, 2, 4, 4])
        area = apart[0][1] * apart[1][2] - apart[0][2] * apart[1][1]
        assert abs(float(area)) == pytest.approx(1, abs=1e-4)
        seen.add((float(found[0, 4, 0, 0]) > 0, float(area) > 0))
    assert len(seen) == 4


def test_cubes_are_turned_onto_any_side() -> None:
    turned = Augmentation(elastic_px=0, flip=False)
    seen = set()
    for number in range(64):
        found = draw_coordinates((5, 5, 5), torch.zeros(3), turned, generator(number), 1.0)
        steps = [found[:, *at] - found[:, 2, 2, 2] for at in ((3, 2, 2), (2, 3, 2), (2, 2, 3))]
        matrix = torch.stack(steps, dim=1)
        assert float(torch.det(matrix)) == pytest.approx(1, abs=1e-4)  # no mirror image
        (axis,) = (k for k in range(3) if abs(float(matrix[k, 0])) > 0.99)
        seen.add(axis)
    assert seen == {0, 1, 2}


def test_planes_that_lie_apart_move_by_as_much_less() -> None:
    grid = torch.randn(3, 3, 3, 3, generator=generator(3))
    assert displacement_field(grid, (9, 13, 13)).shape == (3, 9, 13, 13)
    at_nodes = displacement_field(grid, (9, 13, 13))[:, ::4, ::6, ::6]
    torch.testing.assert_close(at_nodes, grid, atol=1e-5, rtol=1e-5)
    elastic = Augmentation(elastic_px=3, rotate=False, flip=False)
    still = draw_coordinates((9, 13, 13), torch.zeros(3), STILL, generator(1))
    near, far = (
        draw_coordinates((9, 13, 13), torch.zeros(3), elastic, generator(1), plane_px) - still
        for plane_px in (1.0, 4.0)
    )
    torch.testing.assert_close(far[0], near[0] / 4, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(far[1:], near[1:], atol=1e-5, rtol=1e-5)


def test_z_may_stay_rigid() -> None:
    elastic = Augmentation(elastic_px=3, rotate=False, flip=False)
    rigid = dataclasses.replace(elastic, elastic_z=False)
    free, kept = (
        draw_coordinates((9, 13, 13), torch.zeros(3), of, generator(1), 2.0)
        for of in (elastic, rigid)
    )
    planes = torch.arange(-4.0, 5)[:, None, None].expand(9, 13, 13)
    assert torch.equal(kept[0], planes)
    assert float((free[0] - planes).abs().max()) > 0.5
    assert torch.equal(kept[1:], free[1:])


def test_target_and_weight_lie_where_the_network_has_its_output() -> None:
    sizes = tuple(GEOMETRY.input_px(size, axis) for axis, size in enumerate((4, 12, 12)))
    drawing = Drawing(7, sizes, GEOMETRY, EVERYTHING)
    image, target, weight = draw_patch([balls()], drawing, generator(5))
    assert image.shape == (1, *sizes) and target.shape == weight.shape == (4, 12, 12)
    again = draw_patch([balls().held()], drawing, generator(5))
    assert all(torch.equal(*pair) for pair in zip((image, target, weight), again, strict=True))


def training(folder: Path, steps: int) -> TrainingRun:
    folder.mkdir(exist_ok=True)
    recipe = dataclasses.replace(
        PRESETS["default"],
        tile_px=GEOMETRY.input_px(12),
        batch=1,
        steps=steps,
        validate_every=steps // 2,
        learning_rate=0.01,
        augmentation=EVERYTHING,
    )
    description: ModelDescription = {
        "network": {"name": "unet3d", **SMALL},
        "channels": 1,
        "classes": ["ball"],
        "intensity": {"mean": [0.0], "deviation": [1.0]},
    }
    return TrainingRun(
        description,
        recipe,
        fabric=Fabric(accelerator="cpu", devices=1),
        precision="fp32",
        threads=1,
        checkpoint=Checkpoint(folder / "checkpoint.pt", "digest", every_s=0),
    )


@pytest.mark.slow
def test_a_network_of_volumes_learns_and_goes_on_to_the_bit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    images = [balls().held()], [balls((16, 16, 16)).held()]
    whole = training(tmp_path / "whole", 40)
    whole.train(*images, workers=1)
    assert whole.best["validation_iou"] is not None and whole.best["validation_iou"] > 0.6

    class Stopped(Exception):
        pass

    def stop(*_: object) -> None:
        raise Stopped("at the first validation")

    broken = training(tmp_path / "broken", 40)
    monkeypatch.setattr(broken, "_validate", stop)
    with pytest.raises(Stopped, match="at the first validation"):
        broken.train(*images, workers=1)
    again = training(tmp_path / "broken", 40)
    assert again.step == 19
    again.train(*images, workers=1)
    for name, weights in whole.best_network().state_dict().items():
        assert torch.equal(again.best_network().state_dict()[name], weights), name
