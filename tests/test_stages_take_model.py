"""A finished model in the place of a training, and its own choice in that of a calibration."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from finished import LABELLING, finished_model

from unetflow.errors import ModelError
from unetflow.evaluate.object_step import Wanted
from unetflow.evaluate.scoring import Scoring
from unetflow.labels.dataset import Dataset
from unetflow.networks.deployed import read_deployed
from unetflow.provenance.receipts import read_receipt
from unetflow.stages.calibrate import calibrate
from unetflow.stages.take_model import take_model
from unetflow.store.files import digest_of_file

MADE_WITH = {"test_time_augmentation": 7, "smooth_px": 1.5}  # as of the model that is deployed
AUTO = dict.fromkeys(("threshold", "min_area_px", "fill_holes", "split_px"), "auto")


def taken(folder: Path, model: Path) -> Path:
    paths = {name: folder / name for name in ("output", "history", "receipt")}
    take_model(model, **paths)
    return folder


def test_the_file_is_copied_to_the_byte_and_its_receipt_says_what_it_is(tmp_path: Path) -> None:
    model = finished_model(tmp_path / "m.safetensors", base_channels=4, depth=1)
    taken(tmp_path, model)
    assert (tmp_path / "output").read_bytes() == model.read_bytes()
    receipt = read_receipt(tmp_path / "receipt")
    assert (receipt["digest"], receipt["classes"]) == (digest_of_file(model), ["cell"])
    assert receipt["parameters"] == 1650
    assert pd.read_csv(tmp_path / "history").empty


def test_a_damaged_model_is_refused(tmp_path: Path) -> None:
    model = finished_model(tmp_path / "m.safetensors", base_channels=4, depth=1)
    content = bytearray(model.read_bytes())
    content[-3] ^= 1
    model.write_bytes(content)
    with pytest.raises(ModelError, match="damaged: its checksum is another one"):
        taken(tmp_path, model)


def calibrated(
    folder: Path,
    instances: Mapping[str, object],
    *,
    deployed: bool = True,
    made_with: Mapping[str, object] = MADE_WITH,
) -> Any:
    model = finished_model(folder / "m.safetensors", deployed=deployed, base_channels=4, depth=1)
    calibrate(
        images=[],
        predictions=[],
        stored=[],
        receipt=folder / "c.json",
        dataset=Dataset("instances", ("cell",)),
        scoring=Scoring([0.5], None, LABELLING, 1, "foreground"),
        wanted=Wanted({**LABELLING, **instances}),
        models=[model],
        deployed=folder / "deploy.safetensors",
        made_with=made_with,
    )
    return read_receipt(folder / "c.json")["instances"]["cell"]


def test_without_validation_images_what_is_auto_is_the_models_choice(tmp_path: Path) -> None:
    made = calibrated(tmp_path, AUTO | {"min_area_px": 3})
    assert (made["threshold"], made["by"]) == (0.55, "model")
    assert made["labelling"]["fill_holes"] is True
    assert made["labelling"]["min_area_px"] == 3, "that of the config"
    before, after = (read_deployed(tmp_path / f"{n}.safetensors") for n in ("m", "deploy"))
    assert before and after and before["of"] == after["of"], "of the training's file"


def test_a_model_that_brings_no_choice_has_the_defaults(tmp_path: Path) -> None:
    made = calibrated(tmp_path, {"threshold": None}, deployed=False)
    assert (made["threshold"], made["by"]) == (0.5, "default")


@pytest.mark.parametrize(
    ("made_with", "said"),
    [
        ({}, []),
        ({"test_time_augmentation": 1}, ["test_time_augmentation is 1 here and was 7 there"]),
        ({"smooth_px": 2.0}, ["smooth_px is 2.0 here and was 1.5 there"]),
        ({"crf": {"iterations": 5}}, ["and was None there"]),
    ],
)
def test_a_choice_for_foregrounds_of_another_making_is_doubted(
    tmp_path: Path, made_with: dict[str, object], said: list[str]
) -> None:
    calibrated(tmp_path, AUTO, made_with={**MADE_WITH, **made_with})
    warnings = read_receipt(tmp_path / "c.json")["warnings"]
    assert len(warnings) == len(said)
    assert all(part in warning for part, warning in zip(said, warnings, strict=True))
