"""Training: a run that was stopped ends with the weights of one that was not."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from conftest import needs_gpu, train, write_prepared
from test_store_locks import holding
from waits import waits

from unetflow.demo.planes import draw_region
from unetflow.engine.machine import Machine
from unetflow.errors import ConfigError, ModelError, StoreError
from unetflow.labels.dataset import Dataset
from unetflow.networks import build
from unetflow.networks.fitted import multiply_adds_per_px
from unetflow.networks.initial_weights import centre_filters, start_from
from unetflow.networks.model_file import load_model
from unetflow.predict.suitability import check_image
from unetflow.provenance.receipts import read_receipt, write_receipt
from unetflow.stages.train import _description
from unetflow.tiles.valid_sizes import output_size_px
from unetflow.train.changed_recipes import recipe_from
from unetflow.train.loop import TrainingRun
from unetflow.train.patches import generator
from unetflow.train.recipes import PRESETS, Recipe
from unetflow.train.steps import learning_rate
from unetflow.train.torchrun import train_together


def job_in(folder: Path, steps: int = 12) -> dict[str, Any]:
    """Arguments of `conftest.train` for two tiny training images and one for validation."""
    stores, receipts = [], []
    for seed, name in enumerate(("a", "b", "v")):
        image, labels = draw_region(slice(0, 96), slice(0, 96), seed=seed)
        stores.append(write_prepared(folder, name, image[None], labels))
        receipts += [folder / f"{name}.json", folder / f"{name}-truth.json"]
    write_receipt(
        folder / "statistics.json",
        {
            "channels": 1,
            "intensity": {"mean": [100.0], "deviation": [40.0]},
            "class_weights": [0.9, 1.1],
        },
    )
    made = folder / "fold0"
    return {
        "images": stores[:2],
        "weights": [],
        "validation_images": stores[2:],
        "receipts": receipts,
        "stored": [],
        "statistics": folder / "statistics.json",
        "model": made / "model.safetensors",
        "history": made / "training.csv",
        "patches": made / "patches.npz",
        "receipt": made / "model.json",
        "network": {"name": "unet", "base_channels": 4, "depth": 1, "dropout": 0.3},
        "recipe": {"preset": "default", "tile_px": 60, "steps": steps, "validate_every": 5}
        | {"precision": "fp32"},
        "kind": "instances",
        "classes": ["cell"],
        "mpp": 0.5,
        "pretrained": None,
        "checkpoint_s": 60,
        "threads": 1,
        "gpu": False,
        "require_gpu": False,
        "code": "c",
    }


def train_in_process(job: dict[str, Any], *, slowly: bool) -> "subprocess.Popen[str]":
    arguments = {
        key: [str(v) for v in value] if isinstance(value, list) else value
        for key, value in {**job, "checkpoint_s": 0}.items()
    }
    program = (
        "import json, sys, time, unetflow.train.loop as t\n"
        "from conftest import train\n"
        "one = t.learning_rate\n"
        "def slow(*args):\n    time.sleep(0.2)\n    return one(*args)\n"
        f"t.learning_rate = slow if {slowly} else one\n"
        "train(**json.loads(sys.argv[1]))\n"
    )
    return subprocess.Popen(
        [sys.executable, "-c", program, json.dumps(arguments, default=str)],
        cwd=Path(__file__).parent,
        stderr=subprocess.PIPE,
        text=True,
    )


def finish(process: "subprocess.Popen[str]") -> int:
    process.communicate()
    return process.returncode


@pytest.mark.slow
def test_a_run_stopped_twice_ends_with_the_same_weights_bit_for_bit(tmp_path: Path) -> None:
    undisturbed, disturbed = (job_in(tmp_path / name) for name in ("u", "d"))
    assert finish(train_in_process(undisturbed, slowly=False)) == 0
    checkpoint = tmp_path / "d" / "fold0" / "checkpoints" / "last.pt"
    before_ns = 0
    for number in (signal.SIGKILL, signal.SIGTERM):
        process = train_in_process(disturbed, slowly=True)
        while process.poll() is None and (
            not checkpoint.exists() or checkpoint.stat().st_mtime_ns == before_ns
        ):
            time.sleep(0.01)
        assert process.poll() is None, "finished before it could be stopped"
        os.kill(process.pid, number)
        message = process.communicate()[1]
        assert process.returncode != 0
        before_ns = checkpoint.stat().st_mtime_ns
    assert "stopped by SIGTERM after step" in message
    assert 0 < torch.load(checkpoint, weights_only=True)["step"] < 12
    assert finish(train_in_process(disturbed, slowly=False)) == 0
    assert {path.name for path in checkpoint.parent.iterdir()} == {"last.pt", "before.pt"}
    for name in ("model.safetensors", "model.json"):
        first, second = ((tmp_path / run / "fold0" / name).read_bytes() for run in ("u", "d"))
        assert first == second, name
    first_table, second_table = (
        pd.read_csv(tmp_path / run / "fold0" / "training.csv").drop(columns="elapsed_s")
        for run in ("u", "d")
    )
    pd.testing.assert_frame_equal(first_table, second_table)


@pytest.mark.slow
def test_the_seconds_of_a_training_that_went_on_are_those_of_all_its_starts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each start takes a second more before its last step; the second one is stopped after it."""
    job = job_in(tmp_path)

    def stops(*steps: int) -> None:
        def rate(recipe: Recipe, step: int) -> float:
            if step in steps:
                time.sleep(1)
                os.kill(os.getpid(), signal.SIGTERM)
            return learning_rate(recipe, step)

        monkeypatch.setattr("unetflow.train.loop.learning_rate", rate)

    for step in (3, 7):
        stops(step)
        with pytest.raises(ModelError, match=f"stopped by SIGTERM after step {step + 1} of 12"):
            train(**job)
    stops()
    train(**job)
    history = pd.read_csv(job["history"])
    assert history["step"].tolist() == list(range(1, 13))
    took = history["elapsed_s"].diff().fillna(history["elapsed_s"])
    assert (took >= 0).all()
    assert took[3] >= 1 and took[7] >= 1
    record = read_receipt(job["receipt"].with_suffix(".run.json"))
    assert record["training_s"] == history["elapsed_s"].iloc[-1] >= 2
    assert record["peak_mib"] > 50  # PyTorch alone has more


def test_the_receipt_has_the_work_for_a_pixel_that_the_command_prints(tmp_path: Path) -> None:
    job = job_in(tmp_path, steps=1)
    train(**job)
    first, below = 9 * (1 * 4 + 4 * 4), 9 * (4 * 8 + 8 * 8) / 4
    up, last = 4 * 8 * 4 / 4, 9 * (8 * 4 + 4 * 4) + 4 * 2
    receipt = read_receipt(job["receipt"])
    assert receipt["multiply_adds_per_px"] == first + below + up + last
    fresh = build("unet", base_channels=4, depth=1)
    assert receipt["multiply_adds_per_px"] == multiply_adds_per_px(fresh)


def test_training_lowers_the_loss_and_keeps_the_best_weights(tmp_path: Path) -> None:
    job = job_in(tmp_path, steps=40)
    job["recipe"]["learning_rate"] = 0.01
    train(**job)
    history = pd.read_csv(job["history"])
    assert len(history) == 40
    assert history["loss"].tail(8).mean() < 0.8 * history["loss"].head(8).mean()
    validated = history.dropna(subset="validation_iou")
    assert validated["step"].tolist() == [5, 10, 15, 20, 25, 30, 35, 40]
    best = read_receipt(job["receipt"])["best"]
    assert best["validation_iou"] == validated["validation_iou"].max()
    _, description = load_model(job["model"])
    assert description["recipe"]["steps"] == 40
    assert description["network"]["num_classes"] == 2


def test_a_training_that_still_improves_at_its_end_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    job = job_in(tmp_path, steps=20)
    scores = iter([0.2, 0.5, 0.6, 0.65])
    monkeypatch.setattr("unetflow.train.loop.validation_scores", lambda sums: (1.0, next(scores)))
    train(**job)
    assert read_receipt(job["receipt"])["rising_by"] == 0.05
    assert "still rising at the end: in the last 25 % of the steps" in caplog.text
    assert "rose by 0.050. More steps than 20 may help." in caplog.text


@pytest.mark.slow
def test_a_finished_checkpoint_ends_in_a_moment_and_another_recipe_starts_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    job = job_in(tmp_path)
    train(**job)
    first, before = job["model"].read_bytes(), weights_of(job)
    job["model"].unlink()
    with monkeypatch.context() as patch:
        patch.setattr("unetflow.train.loop.combined_loss", None)  # no step may be done
        train(**job)
    assert job["model"].read_bytes() == first
    for other in ({"seed": 2}, {"precision": "bf16"}):
        job["recipe"] |= other
        caplog.clear()
        with caplog.at_level("INFO"):
            train(**job)
        assert "is of another recipe, data or code: training starts anew" in caplog.text
        assert not torch.equal(weights_of(job), before)
        before = weights_of(job)


def test_a_model_is_refused_while_another_training_writes_it(tmp_path: Path) -> None:
    job = job_in(tmp_path)
    checkpoints = job["model"].parent / "checkpoints"
    with (
        holding(checkpoints, "another making") as other,
        pytest.raises(StoreError, match=rf"is being written by process {other.pid} on"),
    ):
        train(**job)
    assert not job["model"].exists()
    train(**job)
    assert not checkpoints.with_name(".checkpoints.lock").exists()


def train_seven_steps(job: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    """Train until something ends the process before step 8, with a checkpoint after each step."""

    def die_at_step_7(recipe: Recipe, step: int) -> float:
        if step == 7:
            raise KeyboardInterrupt("killed before step 8")
        return learning_rate(recipe, step)

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt, match="step 8"):
        patch.setattr("unetflow.train.loop.learning_rate", die_at_step_7)
        train(**job | {"checkpoint_s": 0})


@pytest.mark.slow
@pytest.mark.parametrize(
    "recipe",
    [
        {"optimizer": "sgd", "momentum": 0.9},
        {"ema": 0.9},
        {"batch": 2, "accumulate": 2, "schedule": "constant"},
        {"precision": "bf16"},
    ],
    ids=str,
)
def test_whatever_a_recipe_keeps_from_step_to_step_is_gone_on_with(
    recipe: dict[str, Any],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    undisturbed, disturbed = (job_in(tmp_path / name) for name in ("u", "d"))
    for job in (undisturbed, disturbed):
        job["recipe"] |= recipe
    train(**undisturbed)
    train_seven_steps(disturbed, monkeypatch)
    with caplog.at_level("INFO"):
        train(**disturbed)
    assert "going on from step 7 of 12" in caplog.text
    assert undisturbed["model"].read_bytes() == disturbed["model"].read_bytes()
    assert len(read_receipt(disturbed["receipt"].with_suffix(".run.json"))["machines"]) == 1


def test_another_machine_goes_on_and_says_what_differs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    job = job_in(tmp_path)
    job["recipe"]["precision"] = "auto"
    with monkeypatch.context() as patch:
        patch.setattr("unetflow.stages.train.resolve_precision", lambda *_: "fp32")
        train_seven_steps(job, monkeypatch)
    with monkeypatch.context() as patch, caplog.at_level("INFO"):
        patch.setattr("unetflow.stages.train.resolve_precision", lambda *_: "bf16")
        train(**job)
    assert "written with precision fp32, this run has bf16: the weights will differ" in caplog.text
    assert "going on from step 7 of 12" in caplog.text
    assert load_model(job["model"])[1]["training"]["precision"] == "fp32, bf16"
    record = read_receipt(job["receipt"].with_suffix(".run.json"))
    parts = [(of["from_step"], of["precision"]) for of in record["machines"]]
    assert parts == [(1, "fp32"), (8, "bf16")] and record["precision"] == "fp32, bf16"
    assert len(pd.read_csv(job["history"])) == 12


def test_a_diverging_loss_is_named_with_its_remedy(tmp_path: Path) -> None:
    job = job_in(tmp_path)
    job["recipe"] |= {"learning_rate": 1e30, "schedule": "constant", "optimizer": "sgd"}
    with pytest.raises(ModelError, match="diverged. Lower the recipe's learning_rate"):
        train(**job)


@pytest.mark.slow
def test_a_gpu_is_waited_for_once_a_step_for_the_loss_of_the_one_before(tmp_path: Path) -> None:
    few, many = (job_in(tmp_path / f"{steps}", steps) for steps in (3, 7))
    for job in (few, many):
        job["validation_images"] = []
        job["recipe"]["ema"] = 0.9
        job["recipe"]["optimizer"] = "sgd"  # AdamW asks for each count of steps, on a CPU alone
    assert waits(lambda: train(**many)) - waits(lambda: train(**few)) == 4


def test_a_step_that_a_gpu_has_no_memory_for_says_what_takes_less(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: Any) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr("unetflow.train.loop.combined_loss", full)
    with pytest.raises(ModelError, match="1 patch of 60 px at once.*make recipe.tile_px smaller"):
        train(**job_in(tmp_path))


@needs_gpu
@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_training_on_a_gpu_is_that_of_the_cpu_and_the_same_each_time(
    tmp_path: Path, precision: str
) -> None:
    losses, found = [], []
    for name, gpu in (("cpu", False), ("gpu", True), ("again", True)):
        job = job_in(tmp_path / name) | {"gpu": gpu}
        job["recipe"] |= {"precision": precision if gpu else "fp32", "deterministic": True}
        job["network"] |= {"dropout": 0}  # its random numbers are others on a GPU
        train(**job)
        losses.append(pd.read_csv(job["history"])["loss"].to_numpy())
        found.append(weights_of(job))
    np.testing.assert_allclose(losses[1], losses[0], rtol=1e-3 if precision == "fp32" else 0.05)
    assert torch.equal(found[1], found[2])


def test_weights_that_the_last_step_broke_are_not_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("unetflow.train.loop.combined_loss", lambda terms, logits, *_: logits.sum())
    job = job_in(tmp_path, steps=1) | {"validation_images": []}
    job["recipe"] |= {"learning_rate": 1e38, "schedule": "constant", "optimizer": "sgd"}
    job["recipe"] |= {"clip_norm": None}
    with pytest.raises(ModelError, match=r"a weight is not finite .* 1: training has diverged"):
        train(**job)
    assert not job["model"].exists()
    assert not (tmp_path / "fold0/checkpoints/last.pt").exists()


@pytest.mark.parametrize(
    ("pixels", "message"),
    [
        ((3, np.uint8), r"have 1 channels of uint8, .*: o.ome.zarr \(3 channels, uint8\)"),
        ((1, np.uint16), r"have 1 channels of uint8, .*: o.ome.zarr \(1 channels, uint16\)"),
    ],
)
def test_validation_images_of_another_kind_are_refused_before_any_step(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, pixels: tuple[int, Any], message: str
) -> None:
    job = job_in(tmp_path)
    channels, dtype = pixels
    image, labels = draw_region(slice(0, 96), slice(0, 96), seed=9)
    other = write_prepared(tmp_path, "o", np.stack([image] * channels).astype(dtype), labels)
    monkeypatch.setattr("unetflow.stages.train.TrainingRun", None)  # not even a network is made
    with pytest.raises(ModelError, match=message):
        train(**job | {"validation_images": [*job["validation_images"], other]})


def test_gray_validation_images_do_not_stand_in_for_colours(tmp_path: Path) -> None:
    job = job_in(tmp_path)
    image, labels = draw_region(slice(0, 96), slice(0, 96), seed=9)
    colour = write_prepared(tmp_path, "rgb", np.stack([image] * 3), labels)
    intensity = {"mean": [100.0] * 3, "deviation": [40.0] * 3}
    statistics = {"channels": 3, "intensity": intensity, "class_weights": [0.9, 1.1]}
    write_receipt(job["statistics"], statistics)
    with pytest.raises(ModelError, match=r"have 3 channels of uint8, .*v.ome.zarr \(1 channels"):
        train(**job | {"images": [colour]})


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"network": {"norm": "batch"}}, r"a weight is not finite \(.*running_mean\) at step"),
        ({"recipe": {"ema": 0.9}}, r"a running mean is not finite \(.*\) at step"),
    ],
    ids=["batch normalisation", "ema"],
)
@pytest.mark.parametrize("validated", [True, False])
def test_what_no_loss_shows_is_checked_before_it_is_kept(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    changes: dict[str, Any],
    message: str,
    validated: bool,
) -> None:
    job = job_in(tmp_path, steps=2)
    for part, changed in changes.items():
        job[part] |= changed
    if not validated:
        job["validation_images"] = []
    one_step = TrainingRun._one_step

    def breaking(run: TrainingRun, batch: Any) -> Any:
        row = one_step(run, batch)
        kept = run.network if run._averaged is None else run._averaged.module
        numbers = dict(kept.named_buffers()) or dict(kept.named_parameters())
        next(iter(numbers.values())).data.fill_(float("inf"))
        return row

    monkeypatch.setattr(TrainingRun, "_one_step", breaking)
    with pytest.raises(ModelError, match=message + ".* training has diverged"):
        train(**job)
    assert not job["model"].exists() and not (tmp_path / "fold0/checkpoints/last.pt").exists()


def test_without_validation_images_the_last_weights_are_kept(tmp_path: Path) -> None:
    job = job_in(tmp_path) | {"validation_images": []}
    train(**job)
    assert read_receipt(job["receipt"])["best"] == {"step": 12, "validation_iou": None}


def test_the_papers_recipe() -> None:
    paper = recipe_from("paper")
    assert (paper.tile_px, paper.batch, paper.optimizer, paper.momentum) == (572, 1, "sgd", 0.99)
    assert (paper.augmentation.elastic_px, paper.augmentation.elastic_grid) == (10, 3)
    assert output_size_px(paper.input_px(2)[0]) == 388
    assert learning_rate(paper, 0) == learning_rate(paper, 39_999) == paper.learning_rate


def test_centred_filters_have_no_mean_and_the_papers_variance() -> None:
    torch.manual_seed(0)
    network: Any = build("unet", base_channels=8, depth=2)
    up = network.up[0].weight.clone()
    centre_filters(network)
    for layer in network.modules():
        if isinstance(layer, torch.nn.Conv2d) and layer.kernel_size == (3, 3):
            filters = layer.weight.detach().flatten(1)
            assert filters.mean(dim=1).abs().max() < 1e-7
            variance = filters.var(dim=1, correction=0)
            torch.testing.assert_close(variance, torch.full_like(variance, 2 / filters.shape[1]))
    assert torch.equal(network.up[0].weight, up)


def test_a_start_that_does_not_exist_is_refused() -> None:
    with pytest.raises(ConfigError, match="recipe.start: 'best' unknown; there are: he, centred"):
        recipe_from(start="best")


def test_the_cosine_schedule_starts_low_and_ends_at_nothing() -> None:
    recipe = recipe_from("default", steps=100, learning_rate=1.0)
    rates = [learning_rate(recipe, step) for step in range(101)]
    assert rates[0] == 0.2
    assert max(rates) == rates[4] == 1
    assert rates[100] < 1e-9
    assert np.all(np.diff(rates[5:]) < 0)


def test_added_steps_have_the_schedule_anew() -> None:
    alone = recipe_from("default", steps=100, learning_rate=1.0)
    rates = [learning_rate(alone, step) for step in range(100)]
    given: dict[str, Any] = {"steps": 100, "learning_rate": 1.0}
    recipe = recipe_from(**{**given, "continue": [100, 40]})
    assert (recipe.steps, recipe.parts, recipe.ends) == (240, (100, 100, 40), [100, 200, 240])
    assert [learning_rate(recipe, step) for step in range(200)] == 2 * rates
    assert learning_rate(recipe, 200) == 0.5 and learning_rate(recipe, 239) < 0.01
    twice = recipe_from(**{**given, "continue": True})
    assert list(recipe.shorter()) == [twice, alone]
    assert list(twice.shorter()) == [alone] and list(alone.shorter()) == []
    none: dict[str, Any] = {"continue": False}
    assert recipe_from(**none) == recipe_from()


@pytest.mark.slow
def test_a_training_that_is_gone_on_with_is_that_of_a_clean_run(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """400 + 400, here 7 + 7: the best is looked for after the 7th step, too, in both."""
    later, clean = (job_in(tmp_path / name, steps=7) for name in ("later", "clean"))
    train(**later)
    assert read_receipt(later["receipt"])["recipe"]["parts"] == []
    for job in (later, clean):
        job["recipe"]["continue"] = True
    with caplog.at_level("INFO"):
        train(**later)
        assert "is of a training of fewer steps, which this one goes on from" in caplog.text
        assert "going on from step 7 of 14" in caplog.text
        caplog.clear()
        train(**clean)
        assert "going on" not in caplog.text
    for name in ("model.safetensors", "model.json"):
        first, second = (
            (tmp_path / run / "fold0" / name).read_bytes() for run in ("later", "clean")
        )
        assert first == second, name
    first_table, second_table = (
        pd.read_csv(job["history"]).drop(columns="elapsed_s") for job in (later, clean)
    )
    pd.testing.assert_frame_equal(first_table, second_table)
    assert read_receipt(later["receipt"])["recipe"]["parts"] == [7, 7]
    assert pd.read_csv(later["history"])["step"].tolist() == [*range(1, 15)]
    later["recipe"]["continue"] = [7, 3]
    train(**later)
    assert read_receipt(later["receipt"])["steps"] == 17


def test_unknown_presets_and_keys_are_refused() -> None:
    with pytest.raises(ConfigError, match="no preset 'papr'; there are: paper, default"):
        recipe_from("papr")
    with pytest.raises(ConfigError, match="stepz"):
        recipe_from("paper", stepz=3)
    assert recipe_from(augmentation={"zoom": 0.5}).augmentation.elastic_px == 10
    assert set(PRESETS) == {"paper", "default"}


def weights_of(job: dict[str, Any]) -> torch.Tensor:
    network, _ = load_model(job["model"])
    return torch.cat([tensor.flatten() for tensor in network.state_dict().values()])


@pytest.mark.slow
def test_two_processes_train_as_one_with_the_same_batch(tmp_path: Path) -> None:
    changes = {"batch": 4, "steps": 6, "validate_every": 3, "loss": {"cross_entropy": 1, "dice": 1}}
    jobs = [job_in(tmp_path / name) for name in ("one", "two")]
    for job in jobs:
        job["recipe"] |= changes
        job["network"]["dropout"] = 0.0
    train(**jobs[0])
    train(**jobs[1], processes=2)
    torch.testing.assert_close(weights_of(jobs[0]), weights_of(jobs[1]), atol=1e-4, rtol=0)
    assert read_receipt(jobs[1]["receipt"].with_suffix(".run.json"))["processes"] == 2
    one, two = (pd.read_csv(job["history"]) for job in jobs)
    for column in ("loss", "validation_loss", "validation_iou"):
        np.testing.assert_allclose(one[column], two[column], atol=1e-4)


@pytest.mark.slow
def test_processes_that_train_together_wait_for_one_another_at_no_step(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At a barrier of NCCL the CPU waits until its GPU has done all that it was given."""
    waits = tmp_path / "waits.txt"
    (tmp_path / "sitecustomize.py").write_text(
        "import torch.distributed as d\n"
        "barrier = d.barrier\n"
        "def counted(*args, **options):\n"
        f"    print('waits', file=open({str(waits)!r}, 'a'))\n"
        "    return barrier(*args, **options)\n"
        "d.barrier = counted\n"
    )
    monkeypatch.setenv("PYTHONPATH", f"{tmp_path}{os.pathsep}{Path(__file__).parents[1]}")
    job = job_in(tmp_path, steps=6)
    job["recipe"] |= {"batch": 2, "validate_every": 6}
    train(**job, processes=2)
    assert len(waits.read_text().splitlines()) == 2  # in each for the one validation


@pytest.mark.slow
def test_two_processes_go_on_from_one_checkpoint(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Each read the file: where one found it damaged and another not, they would mix weights."""
    undisturbed, disturbed = (job_in(tmp_path / name, steps=9) for name in ("u", "d"))
    for job in (undisturbed, disturbed):
        job["recipe"] |= {"batch": 4}
        job["network"]["dropout"] = 0.0
    train(**undisturbed)
    train_seven_steps(disturbed, monkeypatch)
    checkpoint = disturbed["model"].parent / "checkpoints" / "last.pt"
    checkpoint.write_bytes(checkpoint.read_bytes()[:-1])
    with caplog.at_level("INFO"):
        train(**disturbed, processes=2)
    assert caplog.text.count("last.pt is damaged") == 1
    torch.testing.assert_close(weights_of(undisturbed), weights_of(disturbed), atol=1e-4, rtol=0)
    record = read_receipt(disturbed["receipt"].with_suffix(".run.json"))
    assert [of["from_step"] for of in record["machines"]] == [1, 7]


def test_a_line_in_another_encoding_ends_no_training(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    program = tmp_path / "python"
    program.write_text("#!/bin/sh\nprintf 'caf\\351\\n'; echo done\n")
    program.chmod(0o755)
    monkeypatch.setattr("unetflow.train.torchrun.sys.executable", str(program))
    caplog.set_level("INFO")
    train_together(Machine(processes=2), "any.module", {})
    assert caplog.messages == ["caf\ufffd", "done"]


@pytest.mark.slow
def test_processes_that_fail_are_an_error(tmp_path: Path) -> None:
    job = job_in(tmp_path)  # its batch of 1 cannot be shared
    with pytest.raises(ModelError, match="training in 2 processes ended with code 1"):
        train(**job, processes=2)
    assert not job["model"].exists()


def test_a_batch_taken_in_parts_is_the_same_step(tmp_path: Path) -> None:
    found = []
    for parts in (1, 2):
        job = job_in(tmp_path / str(parts), steps=3)
        job["network"]["dropout"] = 0.0
        job["recipe"] |= {"batch": 4, "accumulate": parts, "clip_norm": 0.1}
        train(**job)
        found.append(weights_of(job))
    torch.testing.assert_close(found[0], found[1], atol=1e-5, rtol=0)
    with pytest.raises(ConfigError, match="a batch of 3 cannot be taken in accumulate = 2"):
        recipe_from(batch=3, accumulate=2)


def test_what_the_optimizer_does_not_take_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"momentum: 0.9 is for sgd, but the optimizer is adamw"):
        recipe_from(momentum=0.9)
    with pytest.raises(ConfigError, match=r"weight_decay: 0.1 is for adamw.* set optimizer: adamw"):
        recipe_from("paper", weight_decay=0.1)
    assert recipe_from("paper", optimizer="adamw", momentum=0.99).momentum == 0.99  # the preset's
    assert recipe_from(optimizer="sgd", momentum=0.9, weight_decay=1e-4).momentum == 0.9


def test_clipping_bounds_the_step(tmp_path: Path) -> None:
    moved = []
    for name, clip in (("free", None), ("clipped", 1e-3)):
        job = job_in(tmp_path / name, steps=1) | {"validation_images": []}
        job["recipe"] |= {"optimizer": "sgd", "schedule": "constant", "learning_rate": 1.0}
        job["recipe"] |= {"clip_norm": clip, "start": "he"}
        torch.manual_seed(0)
        train(**job)
        torch.manual_seed(generator(1, "weights").initial_seed())
        start = build(**job["network"], in_channels=1, num_classes=2)
        before = torch.cat([tensor.flatten() for tensor in start.state_dict().values()])
        moved.append(float((weights_of(job) - before).norm()))
    assert moved[1] == pytest.approx(1e-3, rel=1e-2)
    assert moved[0] > 0.01


@pytest.mark.slow
def test_the_running_mean_of_the_weights_is_kept_and_resumed(tmp_path: Path) -> None:
    plain, averaged = job_in(tmp_path / "p"), job_in(tmp_path / "a")
    averaged["recipe"]["ema"] = 0.9
    for job in (plain, averaged):
        train(**job)
    assert not torch.allclose(weights_of(plain), weights_of(averaged))
    stopped = job_in(tmp_path / "s")
    stopped["recipe"]["ema"] = 0.9
    process = train_in_process(stopped, slowly=True)
    checkpoint = stopped["model"].parent / "checkpoints" / "last.pt"
    while not checkpoint.exists() and process.poll() is None:
        time.sleep(0.01)
    assert process.poll() is None, "finished before it could be killed"
    process.kill()
    process.communicate()
    train(**stopped)
    assert torch.equal(weights_of(stopped), weights_of(averaged))


def test_early_stopping_ends_the_training_and_a_rerun_adds_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = job_in(tmp_path, steps=40)
    job["recipe"] |= {"early_stopping": 2}
    scores = iter([0.2, 0.6, 0.5, 0.6, 0.9, 0.9, 0.9, 0.9])
    monkeypatch.setattr("unetflow.train.loop.validation_scores", lambda sums: (1.0, next(scores)))
    train(**job)
    receipt = read_receipt(job["receipt"])
    assert (receipt["steps"], receipt["best"]["step"]) == (20, 10)
    assert receipt["rising_by"] is None
    before = job["model"].read_bytes()
    monkeypatch.setattr("unetflow.train.loop.combined_loss", None)  # no step may be done
    train(**job)
    assert job["model"].read_bytes() == before


def test_an_encoder_of_random_weights_is_not_frozen(tmp_path: Path) -> None:
    job = job_in(tmp_path)
    job["recipe"] |= {"freeze_encoder": True}
    with pytest.raises(ModelError, match="freeze_encoder .* has no pretrained. Name one, or set"):
        train(**job)


@pytest.mark.slow
@pytest.mark.parametrize("norm", [None, "batch"])
def test_a_network_may_start_from_a_model_file(tmp_path: Path, norm: str | None) -> None:
    first = job_in(tmp_path / "first", steps=5)
    second = job_in(tmp_path / "second", steps=5) | {"pretrained": first["model"]}
    for job in (first, second):
        job["network"]["norm"] = norm
    train(**first)
    second["recipe"]["freeze_encoder"] = True
    train(**second)
    given, found = (load_model(job["model"])[0].state_dict() for job in (first, second))
    kept = {name for name in given if torch.equal(given[name], found[name])}
    assert kept == {name for name in given if name.startswith("contracting.")}


def test_other_classes_start_the_last_layer_anew(tmp_path: Path) -> None:
    first = job_in(tmp_path / "first", steps=2)
    train(**first)
    _, description = load_model(first["model"])
    other = description | {"classes": ["a", "b"]}
    other["network"] = description["network"] | {"num_classes": 3}
    network = build(**other["network"])
    start_from(first["model"], network, other, freeze=False)
    given = load_model(first["model"])[0].state_dict()
    for name, tensor in network.state_dict().items():
        assert name.startswith("classify.") or torch.equal(tensor, given[name])
    other["network"] = description["network"] | {"base_channels": 8}
    with pytest.raises(ModelError, match=r"another base_channels \(4, here 8\)"):
        start_from(first["model"], build(**other["network"]), other, freeze=False)


def test_a_model_refuses_another_resolution(tmp_path: Path) -> None:
    job = job_in(tmp_path, steps=1)
    train(**job)
    _, description = load_model(job["model"])
    assert (description["mpp"], description["code"]) == (0.5, "c")
    assert description["training"]["steps"] == 1
    check_image(description, 1, 0.52, "i.ome.zarr")
    check_image(description, 1, None, "i.ome.zarr")
    with pytest.raises(ModelError, match=r"has 0.25 um/px, but the model was trained at 0.5 um/px"):
        check_image(description, 1, 0.25, "i.ome.zarr")
    with pytest.raises(ModelError, match="has 3 channels"):
        check_image(description, 3, 0.5, "i.ome.zarr")


def test_deterministic_training_gives_the_same_bits_twice(tmp_path: Path) -> None:
    jobs = [job_in(tmp_path / name, steps=4) for name in "ab"]
    for job in jobs:
        job["recipe"]["deterministic"] = True
        train(**job)
    torch.use_deterministic_algorithms(False)
    assert torch.equal(*map(weights_of, jobs))


def test_a_model_of_volumes_has_the_resolution_that_its_dataset_wants() -> None:
    wanted = Dataset("instances", ("cell",), spacing=(2.0, 0.5, 0.5))
    job = SimpleNamespace(network={"name": "unet3d"}, head=None, code="c", dataset=wanted)
    statistics: Any = {"channels": 1, "intensity": {}}
    taken = [{"levels": [{"mpp": mpp, "spacing": [2.0, mpp, mpp]}]} for mpp in (0.5, 0.51)]
    recipe = recipe_from(preset="default", tile_px=60)
    description = _description(job, recipe, statistics, taken)  # type: ignore[arg-type]
    assert (description["mpp"], description["spacing"]) == (0.5, [2.0, 0.5, 0.5])
    with pytest.raises(ModelError, match=r"set the dataset's spacing to \[2.0, 0.5, 0.5\]: then"):
        check_image(description, 1, 1.0, "v", spacing=[4.0, 1.0, 1.0])
    with pytest.raises(
        ModelError, match=r"planes lie 9 px .* Set the dataset's spacing to \[2.0, "
    ):
        check_image(description, 1, 0.5, "v", spacing=[4.5, 0.5, 0.5])
    description["mpp"] = None
    with pytest.raises(ModelError, match=r"Correct the sheet's spacing column, or give all of it"):
        check_image(description, 1, None, "v", spacing=[9, 1, 1])
