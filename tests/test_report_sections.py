"""What the sections give to their templates, where the whole page does not show it."""

from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest

from unetflow.provenance.schemas import RunRecordContent
from unetflow.report.handed import Config
from unetflow.report.kinds import by_kind
from unetflow.report.page import environment_of_page
from unetflow.report.sections.data import data
from unetflow.report.sections.performance import performance
from unetflow.report.sections.provenance import Provenance, flattened, making
from unetflow.report.sections.thresholds import refinement
from unetflow.report.sections.training import training_curve


@pytest.mark.parametrize(("steps", "rows"), [(1, 1), (400, 20)])
def test_a_curve_without_validation_has_up_to_20_rows(steps: int, rows: int) -> None:
    history = pd.DataFrame({"step": np.arange(1, steps + 1), "loss": 1.0, "elapsed_s": 1.0})
    history = history.assign(validation_loss=np.nan, validation_iou=np.nan)
    curve = training_curve(history)
    assert len(curve) == rows
    assert curve["step"].iloc[-1] == steps
    assert "validation_iou" not in curve


def test_loss_after_the_last_validation_has_a_row_of_its_own() -> None:
    history = pd.DataFrame({"step": [1, 2, 3], "loss": [3.0, 1.0, 5.0], "elapsed_s": 1.0})
    history = history.assign(validation_loss=[np.nan, 0.5, np.nan], validation_iou=np.nan)
    curve = training_curve(history)
    assert curve[["step", "loss"]].to_numpy().tolist() == [[2, 2.0], [3, 5.0]]


def test_a_training_that_went_on_elsewhere_names_all_its_machines() -> None:
    went_on: RunRecordContent = {
        "seconds": 5.0,
        "device": "cpu",
        "machines": [{"device": "cuda"}, {"device": "cpu"}],
    }
    (row,) = performance({"train": [went_on, {"seconds": 2.0, "device": "cpu"}]})
    assert (row.results, row.total_s, row.median_s, row.max_s) == (2, 7.0, 3.5, 5.0)
    assert row.devices == "cuda, cpu"


def test_experiments_are_alike_but_for_the_seed_alone() -> None:
    config: Config = {
        "experiments": {
            "one": {"weighting": "paper", "recipe": {"seed": 1, "steps": 9}},
            "two": {"weighting": "paper", "recipe": {"seed": 2, "steps": 9}},
            "longer": {"weighting": "paper", "recipe": {"seed": 2, "steps": 10}},
            "even": {"weighting": None, "recipe": {"seed": 1, "steps": 9}},
        },
        "report": {"title": "", "overlays": 0},
    }
    made = making(config)
    assert made["one"] == made["two"]
    assert len(set(made.values())) == 3


def test_each_term_of_the_loss_stands_in_the_recipe() -> None:
    recipe = {"loss": {"cross_entropy": 1.0, "dice": 0.5}, "parts": (), "augmentation": {"zoom": 0}}
    assert flattened(recipe) == {"loss": "1 cross_entropy + 0.5 dice", "parts": "none", "zoom": "0"}


def test_sides_of_a_patch_are_no_sum_and_parts_of_a_training_are() -> None:
    shown = flattened({"tile_px": [16, 64, 64], "parts": [400, 200]})
    assert shown == {
        "tile_px": "16 \N{MULTIPLICATION SIGN} 64 \N{MULTIPLICATION SIGN} 64",
        "parts": "400 + 200",
    }


def test_what_was_done_to_the_foreground_is_one_line() -> None:
    config: Config = {"experiments": {}, "report": {"title": "", "overlays": 0}}
    assert (
        refinement(config)
        == refinement(config | {"refine": {"smooth_px": None, "crf": None}})
        == ""
    )
    crf = {"iterations": 5, "appearance_intensity": 0.22}
    assert refinement(config | {"refine": {"smooth_px": 0.5, "crf": crf}}) == (
        "smoothed by a Gaussian of 0.5 px, then refined by a CRF (iterations 5, "
        "appearance_intensity 0.22)"
    )


def test_problems_stand_above_the_table_of_the_data_by_kind() -> None:
    table = pd.DataFrame(
        {
            "image": ["a", "b", "c", "d"],
            "problems": [
                "",
                "the same pixels as c; 3 places cannot be read",
                "the same pixels as b",
                "1 places cannot be read",
            ],
            "split": ["test", "test", "train", "test"],
        }
    )
    shown = data(table)
    assert shown.columns == ["image", "split"]
    assert [row["image"] for row in shown.rows] == ["a", "b", "c", "d"]
    assert (shown.odd, shown.splits) == (3, {"test": 3, "train": 1})
    assert [(kind.text, kind.count, kind.who) for kind in shown.kinds] == [
        ("the same pixels as c", 2, "b, c"),
        ("3 places cannot be read", 2, "b, d"),
    ]


def test_of_one_validation_all_images_and_classes_with_a_warning_are_named() -> None:
    """Of several the first alone stood in the page, as if the others were none."""
    who, other = "net, fold 0, validation", "net, fold 1, validation"
    said = [(who, f"v{number}: {number} objects are found and 3 annotated") for number in (40, 50)]
    (kind,) = by_kind(said)
    assert (kind.count, kind.who) == (2, f"{who}, v40; {who}, v50")
    (kind,) = by_kind([*said[:1], (other, "v60: 60 objects are found and 3 annotated")])
    assert (kind.count, kind.who) == (2, f"{who}; {other}")


def test_of_a_hundred_names_three_are_shown() -> None:
    (kind,) = by_kind([(f"i{number}", f"{number} places") for number in range(100)])
    assert kind.who == "i0, i1, i2 and 97 more"


@pytest.mark.parametrize(("images", "shown"), [(0, "not known"), (7, "7 training, 2 validation")])
def test_a_finished_model_that_says_nothing_of_its_images_has_no_number(
    images: int, shown: str
) -> None:
    model = {"network": {"name": "unet"}, "parameters": 1, "digest": "d"}
    model |= {"training_images": images, "validation_images": 2}
    run: Any = SimpleNamespace(model=model, name="n", is_trained=False, training={}, prediction={})
    of = Provenance([run], [], {"default": {}}, {})
    html = (
        environment_of_page().get_template("provenance.html").render(provenance=of, performance=[])
    )
    assert f'<td class="wide">{shown}</td>' in html
