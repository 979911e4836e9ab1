"""A volume through the stages: prepared, learnt, predicted, labelled and scored in 3D."""

import gzip
import json
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import shapely
import tifffile
from conftest import predict, train
from ome_zarr_models.v05.image import Image
from ome_zarr_models.v05.image_label import ImageLabel
from prepared import prepare, truth
from shapely.geometry import shape
from skimage.filters import threshold_otsu
from skimage.segmentation import find_boundaries

from unetflow.evaluate.scoring import Labelling, Scoring
from unetflow.instances.whole_image import label_instances
from unetflow.labels.dataset import Dataset
from unetflow.networks import geometry_of
from unetflow.predict.plan import BEGIN, END
from unetflow.predict.whole_image import predict_array
from unetflow.provenance.receipts import read_receipt
from unetflow.report.figures.views import GAP_PX
from unetflow.report.pictures import ImagePictures
from unetflow.stages.calibrate import calibrate
from unetflow.stages.evaluate import evaluate_image
from unetflow.stages.export import export_geojson, export_overlay
from unetflow.stages.instances import Making, write_instances
from unetflow.stages.pictures import draw_pictures
from unetflow.stages.statistics import write_statistics
from unetflow.stages.weights import write_weights
from unetflow.store.foreground import read_foreground
from unetflow.store.pixels import normalised
from unetflow.store.shards import read_array
from unetflow.weights.separation import separation_term

pytestmark = pytest.mark.slow

SHAPE = 12, 150, 46  # two shards along y
SPACING = 1.0, 0.5, 0.5  # um
SMALL: dict[str, Any] = {"name": "unet3d", "base_channels": 2, "depth": 1}
GEOMETRY = geometry_of(**SMALL)
CELLS = Dataset("instances", ("cell",))
LABELLING: Labelling = {"min_area_px": 4, "fill_holes": True, "connectivity": 1, "split_px": 1.5}


@cache
def drawn() -> tuple[np.ndarray, np.ndarray]:
    """Bright balls (as many um along each axis), some of which touch, and their numbers."""
    places = np.ogrid[tuple(slice(0, size) for size in SHAPE)]
    labels = np.zeros(SHAPE, np.uint16)
    centres = [(z, y, x) for z in (3, 8) for y in range(10, 150, 20) for x in (10, 21, 38)]
    for number, centre in enumerate(centres, start=1):
        away = sum(((p - c) * s) ** 2 for p, c, s in zip(places, centre, SPACING, strict=True))
        labels[(away < 3**2) & (labels == 0)] = number
    noise = np.random.default_rng(3).normal(0, 12, SHAPE)
    pixels = np.clip(60 + 120 * (labels > 0) + noise, 0, 255).astype(np.uint8)
    return pixels, labels


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a prepared volume (i) and its truth (t)."""
    made = tmp_path_factory.mktemp("volume")
    pixels, labels = drawn()
    tifffile.imwrite(made / "i.tif", pixels, photometric="minisblack")
    prepare(made, volume=True, spacing=SPACING)
    truth(made, labels, volume=True)
    write_weights(
        truth=made / "i.ome.zarr",
        truth_receipt=made / "t.json",
        store=made / "w.zarr",
        receipt=made / "w.json",
        kind="instances",
        weighting={"w0": 10.0, "sigma_px": 3.0},
        threads=1,
        code="c",
    )
    write_statistics(
        images=[made / "i.ome.zarr"],
        stored=[],
        receipt=made / "s.json",
        dataset=CELLS,
        percentiles=None,
    )
    return made


def predict_in(folder: Path, store: str = "f", **options: Any) -> None:
    predict(
        image=folder / "i.ome.zarr",
        image_receipt=folder / "i.json",
        models=[folder / "m.safetensors"],
        store=folder / f"{store}.ome.zarr",
        receipt=folder / f"{store}.json",
        threads=2,
        code="c",
        precision="fp32",
        dtype="float32",
        **options,
    )


@pytest.fixture(scope="module")
def predicted(folder: Path) -> Path:
    """The same with a network of a few steps, and what it and the object step make of it."""
    tile = [GEOMETRY.input_px(size, axis) for axis, size in enumerate((8, 16, 16))]
    train(
        images=[folder / "i.ome.zarr"],
        weights=[folder / "w.zarr"],
        validation_images=[],
        receipts=[folder / "i.json", folder / "t.json"],
        stored=[],
        statistics=folder / "s.json",
        model=folder / "m.safetensors",
        history=folder / "h.csv",
        patches=folder / "p.npz",
        receipt=folder / "m.json",
        network=SMALL,
        recipe={"tile_px": tile, "steps": 20, "learning_rate": 0.02, "precision": "fp32"},
        kind="instances",
        classes=["cell"],
        checkpoint_s=60,
        threads=1,
        code="c",
    )
    predict_in(folder)
    calibrate(
        images=[folder / "i.ome.zarr"],
        predictions=[folder / "f.ome.zarr"],
        stored=[],
        receipt=folder / "c.json",
        dataset=CELLS,
        scoring=Scoring((0.5,), None, LABELLING, threads=1),
    )
    write_instances(
        store=folder / "f.ome.zarr",
        foreground_receipt=folder / "f.json",
        calibration=folder / "c.json",
        receipt=folder / "l.json",
        table=folder / "o.parquet",
        making=Making(["cell"], None, LABELLING),
        threads=1,
        code="c",
    )
    return folder


def test_it_is_stored_as_ome_zarr_with_z(folder: Path) -> None:
    import zarr

    store, (pixels, labels) = folder / "i.ome.zarr", drawn()
    np.testing.assert_array_equal(read_array(store, "0")[0], pixels)
    np.testing.assert_array_equal(read_array(store, "labels/truth/0")[:], labels)
    assert read_array(store, "1").shape == (1, 12, 75, 23)  # planes lie twice as far apart
    image = Image.from_zarr(zarr.open_group(store, mode="r"))
    (multiscale,) = image.ome_attributes.multiscales
    assert [axis.name for axis in multiscale.axes] == ["c", "z", "y", "x"]
    scales = [each.coordinateTransformations[0].scale for each in multiscale.datasets]
    assert scales == [[1, 1.0, 0.5, 0.5], [1, 1.0, 1.0, 1.0]]
    ImageLabel.from_zarr(zarr.open_group(store / "labels/truth", mode="r"))


def test_weights_are_by_distances_in_space(folder: Path) -> None:
    from unetflow.labels.encoding import separate_touching

    separated = separate_touching(drawn()[1])
    whole = separation_term(separated, w0=10.0, sigma_px=3.0, spacing=(2.0, 1.0, 1.0))
    np.testing.assert_array_equal(read_array(folder / "w.zarr", "")[:], whole)
    assert whole.max() > 1


def test_its_foreground_is_that_of_the_whole_volume(predicted: Path) -> None:
    from unetflow.networks.model_file import load_model

    network, description = load_model(predicted / "m.safetensors")
    assert description["spacing"] == list(SPACING)
    image = normalised(drawn()[0][None], description["intensity"])
    whole = predict_array(network, image, write_px=160)[1:]
    found = read_foreground(predicted / "f.ome.zarr")
    assert found.shape == (1, *SHAPE)
    np.testing.assert_allclose(found, whole, atol=1e-5)


def test_stitched_instances_are_those_of_a_single_pass(predicted: Path) -> None:
    made = read_receipt(predicted / "l.json")["classes"]["cell"]
    foreground = read_foreground(predicted / "f.ome.zarr")[0]
    whole = label_instances(
        foreground, threshold=made["threshold"], **LABELLING, spacing=(2.0, 1.0, 1.0)
    )
    found = read_array(predicted / "f.ome.zarr", "labels/instances/0")[:]
    np.testing.assert_array_equal(found, whole)
    assert made["instances"] == whole.max() > 10


def test_the_table_has_planes_and_volumes(predicted: Path) -> None:
    table = pd.read_parquet(predicted / "o.parquet")
    labels = read_array(predicted / "f.ome.zarr", "labels/instances/0")[:]
    np.testing.assert_array_equal(table["volume_px"], np.bincount(labels.ravel())[1:])
    np.testing.assert_allclose(table["volume_um3"], table["volume_px"] / 4)
    at = np.argwhere(labels == 5)
    row = table[table["id"] == 5].iloc[0]
    centre = row[["plane_px", "row_px", "column_px"]].to_numpy(float)
    np.testing.assert_allclose(centre, at.mean(axis=0))
    stop = row[["end_plane_px", "bottom_px", "right_px"]].to_numpy(int)
    np.testing.assert_array_equal(stop, at.max(axis=0) + 1)


def test_it_is_scored_in_space_and_membranes_by_slices(predicted: Path) -> None:
    from unetflow import metrics

    evaluate_image(
        image=predicted / "i.ome.zarr",
        prediction=predicted / "f.ome.zarr",
        calibration=predicted / "c.json",
        instances=predicted / "l.json",
        table=predicted / "e.csv",
        stored=[],
        dataset=CELLS,
        scoring=Scoring((0.5,), None, LABELLING, threads=1, per_slice=True),
        facts={"image": "i"},
    )
    table = pd.read_csv(predicted / "e.csv", keep_default_na=False)
    labels = read_array(predicted / "f.ome.zarr", "labels/instances/0")[:]
    stored = table[(table["metric"] == "seg") & (table["chosen"] == "instances")]
    of_variant = stored.set_index("variant")["value"].astype(float)
    assert of_variant[""] == pytest.approx(metrics.seg_score(drawn()[1], labels))
    frames = metrics.seg_score([*drawn()[1]], [*labels])  # a list of images is scored together
    assert of_variant["by slices"] == pytest.approx(frames)
    otsu = table[(table["metric"] == "seg") & (table["chosen"] == "otsu")]
    bright = drawn()[0] > threshold_otsu(drawn()[0])
    by_hand = label_instances(bright.astype(np.float32), **LABELLING, spacing=(2.0, 1.0, 1.0))
    score = metrics.seg_score(drawn()[1], by_hand)
    assert float(otsu["value"].item()) == pytest.approx(score, abs=0.02)  # other bins
    assert score > 0.5
    assert {*table[table["metric"] == "warping_error"]["variant"]} == {"by slices"}
    assert "thinned, by slices" in {*table[table["metric"] == "v_rand"]["variant"]}


def test_a_shard_that_is_missing_is_predicted_again_to_the_same_bytes(predicted: Path) -> None:
    shards = sorted((predicted / "f.ome.zarr/foreground/c").rglob("[0-9]*"))
    files = [file for file in shards if file.is_file()]
    before, digest = files[1].read_bytes(), read_receipt(predicted / "f.json")["digest"]
    files[1].unlink()
    predict_in(predicted)
    assert len(files) == 2
    assert files[1].read_bytes() == before
    assert read_receipt(predicted / "f.json")["digest"] == digest


def test_jobs_that_share_a_volume_write_what_one_would(predicted: Path) -> None:
    for share in (BEGIN, (1, 2), (0, 2), END):
        predict_in(predicted, "shared", share=share)
    digest = read_receipt(predicted / "shared.json")["digest"]
    assert digest == read_receipt(predicted / "f.json")["digest"]


def test_a_volume_is_brought_to_the_wanted_spacing_and_its_truth_with_it(tmp_path: Path) -> None:
    pixels, labels = (each[:, :40, :40] for each in drawn())
    tifffile.imwrite(tmp_path / "i.tif", pixels, photometric="minisblack")
    store = prepare(tmp_path, volume=True, spacing=SPACING, want_spacing=(1.5, 1.0, 1.0))
    truth(tmp_path, labels, volume=True)
    assert read_array(store, "0").shape == (1, 8, 20, 20)
    level = read_receipt(tmp_path / "i.json")["levels"][0]
    assert (level["spacing"], level["mpp"]) == ([1.5, 1.0, 1.0], 1.0)
    at = [np.array([0, 2, 3, 5, 6, 8, 9, 11]), np.arange(1, 40, 2), np.arange(1, 40, 2)]
    np.testing.assert_array_equal(read_array(store, "labels/truth/0")[:], labels[np.ix_(*at)])


def test_its_planes_are_drawn_for_the_report(predicted: Path) -> None:
    draw_pictures(
        image=predicted / "i.ome.zarr",
        prediction=predicted / "f.ome.zarr",
        foreground=predicted / "f.json",
        instances=predicted / "l.json",
        annotated=True,
        stored=[],
        dataset=CELLS,
        receipt=predicted / "drawn.json",
    )
    picture = read_receipt(predicted / "drawn.json", ImagePictures)
    wrong, planes = picture["worst"][0], picture["planes"]
    beside = min(SHAPE[0], round(wrong["side_px"] / 2))  # planes: pixels are twice as deep as wide
    assert wrong["shown_px"] == wrong["side_px"] + GAP_PX + 2 * beside
    assert planes["at_px"] == [*range(SHAPE[0])]
    panels = {panel["name"]: len(panel["planes"]) for panel in planes["panels"]}
    assert panels == {"picture": 12, "truth": 12, "result": 12}
    deep = 2 * SHAPE[0]
    width = SHAPE[2] + GAP_PX + deep
    assert planes["deep_from"][1] == pytest.approx(1 - deep / width)


def export_polygons(predicted: Path, output: Path, *, first_px: tuple[int, int, int]) -> None:
    """As of a volume that begins there in its file."""
    export_geojson(
        store=predicted / "f.ome.zarr",
        table=predicted / "o.parquet",
        instances=predicted / "l.json",
        image_receipt=predicted / "i.json",
        classes=["cell"],
        stored=[],
        output=output,
        first_px=first_px,
    )


def test_polygons_of_its_planes_are_its_labels(
    predicted: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    labels = read_array(predicted / "f.ome.zarr", "labels/instances/0")[:]
    for large_px in (2048, 8):  # in one piece, and block by block
        monkeypatch.setattr("unetflow.export.outlines.LARGE_PX", large_px)
        export_polygons(predicted, tmp_path / "o.geojson.gz", first_px=(5, 0, 30))
        drawn = np.zeros_like(labels)
        for feature in json.loads(gzip.decompress((tmp_path / "o.geojson.gz").read_bytes()))[
            "features"
        ]:
            polygon, number = shape(feature["geometry"]), int(feature["properties"]["name"])
            rows, columns = np.mgrid[: SHAPE[1], : SHAPE[2]] + 0.5
            plane = drawn[feature["geometry"]["plane"]["z"] - 5]
            inside = shapely.contains_xy(polygon, columns + 30, rows)
            assert not plane[inside].any()
            plane[inside] = number
            size = feature["properties"]["measurements"]["volume px"]
            assert size == np.count_nonzero(labels == number)
        np.testing.assert_array_equal(drawn, labels)


def test_polygons_of_its_planes_are_a_truth(predicted: Path, tmp_path: Path) -> None:
    pixels, _ = drawn()
    tifffile.imwrite(tmp_path / "i.tif", pixels, photometric="minisblack")
    prepare(tmp_path, volume=True, spacing=SPACING)
    export_polygons(predicted, tmp_path / "o.geojson.gz", first_px=(5, 0, 30))
    labels = read_array(predicted / "f.ome.zarr", "labels/instances/0")[:]
    truth(tmp_path, labels, path=tmp_path / "o.geojson.gz", volume=True, first_px=[5, 0, 30])
    found = read_array(tmp_path / "i.ome.zarr", "labels/truth/0")[:]
    ignored = read_array(tmp_path / "i.ome.zarr", "labels/ignore/0")[:].astype(bool)
    np.testing.assert_array_equal(ignored.all(axis=(1, 2)), ~labels.any(axis=(1, 2)))
    np.testing.assert_array_equal(found > 0, labels > 0)
    pairs = np.unique(np.stack([found[labels > 0], labels[labels > 0]]), axis=1)
    assert pairs.shape[1] == len(np.unique(labels)) - 1 == len(np.unique(found)) - 1


def test_the_overlay_has_its_planes(predicted: Path, tmp_path: Path) -> None:
    export_overlay(
        image=predicted / "i.ome.zarr",
        image_receipt=predicted / "i.json",
        store=predicted / "f.ome.zarr",
        instances=predicted / "l.json",
        stored=[],
        output=tmp_path / "o.ome.tif",
    )
    with tifffile.TiffFile(tmp_path / "o.ome.tif") as tiff:
        assert (tiff.series[0].axes, tiff.series[0].shape) == ("ZYXS", (*SHAPE, 3))
        drawn = tiff.asarray().astype(int)
    labels = read_array(predicted / "f.ome.zarr", "labels/instances/0")[:]
    orange = drawn[..., 0] - drawn[..., 2]  # lines on gray; JPEG has colours at half resolution
    line = np.stack([find_boundaries(plane, mode="inner") for plane in labels])
    assert orange[line].mean() > max(25, orange[labels == 0].mean() + 15)


def test_foreground_and_instances_lie_on_the_image_in_any_viewer(predicted: Path) -> None:
    import zarr

    store = predicted / "f.ome.zarr"
    (multiscale,) = Image.from_zarr(zarr.open_group(store, mode="r")).ome_attributes.multiscales
    labels = ImageLabel.from_zarr(zarr.open_group(store / "labels/instances", mode="r"))
    scales = [
        [each.coordinateTransformations[0].scale[-3:] for each in of.datasets]
        for of in (multiscale, labels.ome_attributes.multiscales[0])
    ]
    assert scales == [[[1.0, 0.5, 0.5], [1.0, 1.0, 1.0]]] * 2
