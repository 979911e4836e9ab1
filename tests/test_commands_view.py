"""What is shown of an image: layers with names, colours and contrast, in napari or a browser."""

import json
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pytest
import zarr
from ome_zarr_models.v05.image import Image
from pipeline import Project
from prepared import prepare, truth

from unetflow.commands import MENDABLE, run_command
from unetflow.commands.view_layers import find_image, layers_of
from unetflow.store.rendering import channels_of_foreground, channels_of_pixels, rendering_of

PIXELS = {"lowest": [2.0], "highest": [200.0], "mean": [20.0], "deviation": [5.0]}


def prepared_in(results: Path) -> Path:
    """The store of an image with a truth, in a folder of results."""
    folder = results / "images"
    folder.mkdir(parents=True)
    pixels = np.full((60, 50), 100, np.uint8)
    pixels[10:20] = 220
    prepare(folder, pixels)
    labels = np.zeros((60, 50), np.uint8)
    labels[10:20, 10:20] = 1
    return truth(folder, labels)


class FakeNapari(ModuleType):
    """Writes down what it is asked to show."""

    def __init__(self) -> None:
        super().__init__("napari")
        self.shown: list[tuple[str, dict[str, Any]]] = []
        self.ran = False
        self.utils = SimpleNamespace(Colormap=lambda colours, name: name)

    def Viewer(self, title: str) -> "FakeNapari":
        return self

    def add_image(self, data: Any, **given: Any) -> None:
        self.shown.append(("image", {**given, "pixels": np.asarray(data)}))

    def add_labels(self, data: Any, **given: Any) -> None:
        self.shown.append(("labels", {**given, "pixels": np.asarray(data)}))

    def run(self) -> None:
        self.ran = True


def test_napari_gets_layers_with_names_colours_and_contrast(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = prepared_in(tmp_path / "results")
    napari = FakeNapari()
    monkeypatch.setitem(sys.modules, "napari", napari)
    assert run_command("view", [str(store)]) == 0
    (_, image), (_, ignore), (_, labels) = napari.shown
    assert [kind for kind, _ in napari.shown] == ["image", "labels", "labels"] and napari.ran
    assert (image["name"], ignore["name"], labels["name"]) == ("image", "ignore", "truth")
    assert image["colormap"] == "#FFFFFF" and image["contrast_limits"] == (100, 220)
    assert image["pixels"][15, 0] == 220 and labels["pixels"][15, 15] == 1
    assert labels["visible"] and not ignore["visible"]


@pytest.mark.parametrize("results", ["images/mine/results", "predictions/images"])
def test_a_folder_above_the_results_may_be_called_as_one_of_theirs(
    tmp_path: Path, results: str
) -> None:
    store = prepared_in(tmp_path / results)
    seen = find_image(str(store), None)
    assert (seen.results, seen.stores) == (tmp_path / results, {"": store})


def test_a_store_alone_in_a_folder_of_images_is_shown(tmp_path: Path) -> None:
    store = prepared_in(tmp_path / "r").rename(tmp_path / "alone.ome.zarr")
    (tmp_path / "images/of-a-day").mkdir(parents=True)
    store = store.rename(tmp_path / "images/of-a-day/alone.ome.zarr")
    seen = find_image(str(store), None)
    assert (seen.results, seen.stores) == (None, {"": store})
    assert [layer.name for layer in layers_of(seen)] == ["image", "ignore", "truth"]


def test_without_napari_the_report_opens(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "napari", None)
    opened: list[str] = []

    def open_address(address: str) -> bool:
        opened.append(address)
        return True

    monkeypatch.setattr("webbrowser.open", open_address)
    results = tmp_path / "results"
    prepared_in(results)
    assert run_command("view", ["i", "--results", str(results)]) == MENDABLE
    assert "pip install 'napari[all]'" in capsys.readouterr().err
    page = results / "report" / "index.html"
    page.parent.mkdir()
    for text, anchor in (("", "#gallery"), ('<section id="zoom">', "#zoom")):
        page.write_text(text)
        assert run_command("view", ["i", "--results", str(results)]) == 0
        assert opened.pop() == page.as_uri() + anchor


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (["gone.ome.zarr"], "there is no such store. Give the path of one"),
        (["j", "--results", "results"], "has no image j; there are: i"),
        (["results"], "no OME-Zarr to be shown"),
    ],
)
def test_what_is_not_there_is_told(
    tmp_path: Path,
    given: list[str],
    said: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    prepared_in(Path("results"))
    assert run_command("view", given) == MENDABLE
    assert said in capsys.readouterr().err


def test_contrast_spans_the_pixels_but_for_what_is_far_from_most() -> None:
    (channel,) = channels_of_pixels(PIXELS, "uint16")
    assert channel["window"] == {"start": 2.0, "end": 40.0, "min": 0, "max": 65535}
    flat = {key: [7.0] for key in PIXELS} | {"deviation": [0.0]}
    (channel,) = channels_of_pixels(flat, "float32")
    assert channel["window"] == {"start": 7.0, "end": 8.0, "min": 7.0, "max": 8.0}


def test_colours_are_red_green_and_blue_and_classes_have_their_own() -> None:
    rgb = channels_of_pixels({key: of * 3 for key, of in PIXELS.items()}, "uint8")
    assert [of["color"] for of in rgb] == ["FF0000", "00FF00", "0000FF"]
    assert {of["window"]["end"] for of in rgb} == {255}
    one, two = channels_of_foreground(["cell", "gap"], "float16")
    assert one["label"] == "foreground: cell" and one["color"] != two["color"]
    assert one["window"]["end"] == 1


def test_the_metadata_are_those_of_ome_zarr(tmp_path: Path) -> None:
    store = prepared_in(tmp_path)
    content = json.loads((store / "zarr.json").read_text())["attributes"]
    assert content["ome"]["omero"]["channels"] == rendering_of(store)
    Image.from_zarr(zarr.open_group(store, mode="r"))


@pytest.mark.slow
def test_a_finished_image_has_all_that_was_made_of_it(finished: Project) -> None:
    store = next((finished.results / "predictions/unet/fold0").glob("test*.ome.zarr"))
    seen = find_image(str(store), None)
    assert seen.results == finished.results.absolute()
    layers = {layer.name: layer for layer in layers_of(seen)}
    assert {"truth", "unet fold0: foreground: cell", "unet fold0: instances"} <= {*layers}
    assert not layers["unet fold0: foreground: cell"].visible
    assert layers["unet fold0: instances"].visible
