"""Plots and pictures of the report: equal data give equal bytes, and they show what is there."""

import base64
import doctest
import io
import re
from functools import partial

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from unetflow import colours
from unetflow.colours import FALSE, HIT, IGNORED, MISSED, rgb_bytes
from unetflow.report.figures import panels
from unetflow.report.figures.panels import overlay
from unetflow.report.figures.plots import threshold_plot, training_plot
from unetflow.report.figures.plotted import INK


@pytest.fixture
def scores() -> pd.DataFrame:
    values = [[0.5, 0.7, 0.6], [0.8, 0.9, np.nan]]
    return pd.DataFrame(values, index=[0.25, 0.75], columns=["first", "second", "third"])


@pytest.fixture
def history() -> pd.DataFrame:
    return pd.DataFrame(
        {"step": [1, 2, 3, 4], "loss": [2.0, 1.5, 1.2, 1.0], "elapsed_s": [30, 60, 90, 240]}
    )


def pixels(picture: np.ndarray) -> np.ndarray:
    return np.asarray(np.rint(picture * 255), np.uint8)


def test_a_plot_is_the_same_to_the_byte(scores: pd.DataFrame) -> None:
    draw = partial(threshold_plot, scores, name="IoU", chosen=[0.5], baseline=0.3)
    assert draw() == draw()


def test_a_plot_says_what_it_shows_and_asks_for_nothing(scores: pd.DataFrame) -> None:
    svg = threshold_plot(scores, name="IoU & more", chosen=[0.5], baseline=0.3)
    assert 'aria-label="IoU &amp; more against the threshold, 3 images and their mean"' in svg
    assert "threshold on the foreground" in svg
    assert "currentColor" in svg and INK not in svg
    assert set(re.findall(r'(\S+)="http', svg)) == {"xmlns", "xmlns:xlink"}


@pytest.mark.parametrize("name", ["IoU, $CD3^+$", "IoU, $\\foo$"])
def test_the_name_of_a_class_is_text_and_no_formula(scores: pd.DataFrame, name: str) -> None:
    """The second ended the report with an error of the drawing library."""
    assert f">{name}</text>" in threshold_plot(scores, name=name)


def test_two_plots_on_a_page_share_no_id_of_different_content(scores: pd.DataFrame) -> None:
    plots = [threshold_plot(scores + shift, name="IoU") for shift in (0, 5)]
    found = [dict(re.findall(r'<(?:path|clipPath) id="(\w+)"(.*?)/>', svg, re.S)) for svg in plots]
    assert found[0]
    for shared in found[0].keys() & found[1].keys():
        assert found[0][shared] == found[1][shared]


def test_marks_appear_only_where_there_is_something_to_mark(scores: pd.DataFrame) -> None:
    marked = threshold_plot(scores, name="IoU", chosen=[0.5], baseline=0.3)
    plain = threshold_plot(scores, name="IoU", baseline=float("nan"))
    for colour in (colours.CHOSEN, colours.BASELINE):
        assert colour in marked
        assert colour not in plain


def test_the_training_curve_has_a_scale_of_minutes(history: pd.DataFrame) -> None:
    curve = pd.DataFrame({"step": [2, 4], "loss": [1.75, 1.1], "validation_loss": [1.8, 1.3]})
    svg = training_plot(history, curve, "loss", name="loss", best_step=4)
    assert "elapsed time [min]" in svg
    assert colours.CHOSEN in svg and colours.BASELINE in svg


def test_steps_of_empty_patches_do_not_set_the_scale_of_the_loss() -> None:
    losses = np.full(1000, 0.3)
    losses[::50] = 1e-7
    history = pd.DataFrame({"step": range(1, 1001), "loss": losses, "elapsed_s": range(1000)})
    curve = pd.DataFrame({"step": [500, 1000], "loss": [0.3, 0.29], "validation_loss": [0.2, 0.1]})
    svg = training_plot(history, curve, "loss", name="loss", best_step=None)
    shown = {float(text) for text in re.findall(r">([\d.e-]+)</text>", svg)}
    assert {0.1, 0.2} <= shown
    assert min(of for of in shown if of) > 0.01


def test_errors_are_coloured_by_kind() -> None:
    truth = np.zeros((4, 6), np.uint32)
    truth[:, :2] = 7
    foreground = np.zeros((4, 6), np.float32)
    foreground[:, 1:4] = 0.9
    ignore = np.zeros((4, 6), bool)
    ignore[:, 5] = True
    nothing = np.zeros((4, 6), np.uint32)
    black = np.zeros((1, 4, 6), np.uint16)
    errors = pixels(overlay(black, truth, truth, foreground, nothing, ignore, threshold=0.5).errors)
    share = {MISSED: 0.9, HIT: 0.45, FALSE: 0.9}
    for column, colour in ((0, MISSED), (1, HIT), (2, FALSE), (3, FALSE)):
        expected = np.multiply(rgb_bytes(colour), share[colour])
        np.testing.assert_allclose(errors[:, column], [expected] * 4, atol=1)  # rounding to bytes
    assert (errors[:, 4] == 0).all()
    assert (errors[:, 5] == rgb_bytes(IGNORED)).all()


def test_the_threshold_is_strict_as_in_the_metrics() -> None:
    half = np.full((2, 2), 0.5, np.float32)
    nothing = np.zeros((2, 2), np.uint32)
    image = np.zeros((1, 2, 2), np.uint8)
    errors = overlay(image, nothing, nothing, half, nothing, nothing, threshold=0.5).errors
    assert (pixels(errors) == 0).all()


def test_instances_have_the_colours_of_the_palette_in_turn() -> None:
    labels = np.zeros((9, 9), np.uint32)
    labels[3:6, :3], labels[3:6, 6:] = 1, 2 + len(colours.INSTANCES)
    black, nothing = np.zeros((1, 9, 9), np.uint16), np.zeros((9, 9), np.uint32)
    truth = pixels(overlay(black, labels, labels, nothing, nothing, nothing, threshold=0.5).truth)
    for place, number in (((4, 1), 1), ((4, 7), 2)):
        expected = np.multiply(rgb_bytes(colours.INSTANCES[number]), 0.55)
        np.testing.assert_allclose(truth[place], expected, atol=1)  # rounding to bytes


def test_the_weight_is_drawn_from_zero_to_its_largest_value() -> None:
    weight = np.array([[0.0, 2.0], [4.0, 6.0]])
    labels = np.array([[0, 1], [0, 1]], np.uint32)
    drawn = panels.weight_panels(np.zeros((1, 2, 2), np.uint8), labels, weight)
    assert list(drawn) == ["image", "truth", "weight"]
    weights = pixels(drawn["weight"])
    for place, colour in zip(((0, 0), (0, 1), (1, 0), (1, 1)), colours.RAMP, strict=True):
        np.testing.assert_allclose(weights[place], rgb_bytes(colour), atol=1)
    flat = panels.weight_panels(np.zeros((1, 2, 2), np.uint8), labels, 0 * weight)
    assert (pixels(flat["weight"]) == rgb_bytes(colours.RAMP[0])).all()


def test_panels_are_the_same_to_the_byte_and_have_fine_grays() -> None:
    random = np.random.default_rng(3)
    image = random.integers(0, 255, (3, 40, 30), np.uint8)
    labels = np.kron(np.arange(12, dtype=np.uint32).reshape(4, 3), np.ones((10, 10), np.uint32))
    foreground = random.random((40, 30), np.float32)
    arguments = (image, labels, labels, foreground, labels, np.zeros((40, 30), bool))
    first = overlay(*arguments, threshold=0.5)
    again = overlay(*arguments, threshold=0.5)
    np.testing.assert_array_equal(pixels(first.image), np.moveaxis(image, 0, -1))
    for name in ("truth", "foreground", "errors"):
        panel = getattr(first, name)
        assert panel.shape == (40, 30, 3)
        assert panels.data_uri(panel) == panels.data_uri(getattr(again, name))
    ramp = np.tile(np.linspace(0, 1, 256), (16, 1))[..., None].repeat(3, axis=-1)
    _, _, text = panels.data_uri(ramp).partition(",")
    shown = np.asarray(Image.open(io.BytesIO(base64.b64decode(text))).convert("RGB"))
    assert len(np.unique(shown[8, :, 0])) > 100  # no bands in a dark ground
    np.testing.assert_allclose(shown / 255, ramp, atol=0.03)  # of a picture that loses a little


@pytest.mark.parametrize(
    ("width_px", "um_per_px", "expected"),
    [
        (512, 0.5, (100, "50 µm")),
        (512, 0.004, (125, "0.5 µm")),
        (512, 0.25, (80, "20 µm")),
        (80, None, (20, "20 px")),
        (3, None, (0.5, "0.5 px")),
    ],
)
def test_the_scale_bar_is_a_round_length_and_at_most_a_quarter(
    width_px: int, um_per_px: float | None, expected: tuple[float, str]
) -> None:
    length_px, text = panels.scale_bar(width_px, um_per_px)
    assert length_px == pytest.approx(expected[0])
    assert text == expected[1]
    assert length_px <= width_px / 4


def test_examples_in_docstrings_hold() -> None:
    assert doctest.testmod(panels).failed == 0
