"""What public functions are given: the right result, or one error of ours that names the way out.

Never an error of NumPy or PyTorch, never a silent NaN, never a number of what was not meant.
"""

import math
from collections.abc import Callable
from functools import partial
from typing import Any

import dask.array as da
import h5py
import numpy as np
import pytest
from numpy.typing import NDArray

from unetflow import metrics
from unetflow.instances import label_instances
from unetflow.labels import separate_touching
from unetflow.networks import build
from unetflow.tiles import halo_px, output_size_px, tile_grid, valid_input_px
from unetflow.weights import weight_map

torch = pytest.importorskip("torch")

from unetflow.predict import predict_array  # noqa: E402

LABELS = np.array([[1, 1, 2, 2], [1, 1, 0, 2], [3, 3, 0, 0]])
FOREGROUND = np.array([[0.9, 0.8, 0.1, 0.7], [0.9, 0.2, 0.1, 0.6], [0.9, 0.9, 0.9, 0.1]])
INTERIOR = FOREGROUND > 0.5
IMAGE = np.random.default_rng(0).standard_normal((1, 20, 24)).astype(np.float32)
Function = Callable[[Any], Any]
NETWORK = build("unet", base_channels=2, depth=1)


def predicted(image: Any = IMAGE, network: Any = NETWORK, **options: Any) -> NDArray[Any]:
    return predict_array(network, image, **{"write_px": 8, **options})


def built(option: str, given: Any) -> Any:
    return build("unet", **{"base_channels": 2, option: given})


def spoilt(image: NDArray[Any], value: float) -> NDArray[Any]:
    """With one other value, in the last pixel."""
    changed = image.astype(np.float64)
    changed.flat[-1] = value
    return changed


def locked(image: NDArray[Any]) -> NDArray[Any]:
    changed = image.copy()
    changed.flags.writeable = False
    return changed


OF_LABELS: dict[str, Function] = {
    "separate_touching": separate_touching,
    "weight_map": weight_map,
    "seg_score, truth": lambda labels: metrics.seg_score(labels, LABELS),
    "seg_score, prediction": lambda labels: metrics.seg_score(LABELS, labels),
    "average_precision": lambda labels: metrics.average_precision(LABELS, labels),
    "panoptic_quality": lambda labels: metrics.panoptic_quality(LABELS, labels),
    "aggregated_jaccard": lambda labels: metrics.aggregated_jaccard(LABELS, labels),
    "confusion_matrix": lambda labels: metrics.confusion_matrix(labels, LABELS),
    "boundary_f1": lambda labels: metrics.boundary_f1(labels, LABELS),
    "boundary_pixels": metrics.boundary_pixels,
    "rand_sums": lambda labels: metrics.rand_sums(labels, LABELS),
}
OF_FOREGROUND: dict[str, Function] = {
    "label_instances": label_instances,
    "pixel_error": lambda given: metrics.pixel_error(INTERIOR, given),
    "rand_score": lambda given: metrics.rand_score(INTERIOR, given),
    "info_score": lambda given: metrics.info_score(INTERIOR, given),
    "warping_error": lambda given: metrics.warping_error(INTERIOR, given),
    "splits_and_mergers": lambda given: metrics.splits_and_mergers(INTERIOR, given, 0.5),
    "isbi2012_scores": lambda given: metrics.isbi2012_scores(INTERIOR, given),
    "region_tables": lambda given: metrics.region_tables(INTERIOR, given, 0.5),
    "check_polarity": lambda given: metrics.check_polarity(INTERIOR, given),
}
OF_TRUTH: dict[str, Function] = {
    "pixel_error": lambda given: metrics.pixel_error(given, FOREGROUND),
    "rand_score": lambda given: metrics.rand_score(given, FOREGROUND),
    "isbi2012_scores": lambda given: metrics.isbi2012_scores(given, FOREGROUND),
    "region_tables": lambda given: metrics.region_tables(given, FOREGROUND, 0.5),
    "label_interior": metrics.label_interior,
    "thin_membranes": metrics.thin_membranes,
}
FORMS: dict[str, Function] = {
    "list": lambda image: image.tolist(),
    "big-endian": lambda image: image.astype(image.dtype.newbyteorder(">")),
    "read-only": locked,
    "columns first": np.asfortranarray,
    "every second": lambda image: np.repeat(image, 2, axis=-1)[..., ::2],
    "tensor": torch.tensor,
    "Dask": lambda image: da.from_array(image, chunks=2),
    "masked, nothing of it": np.ma.masked_array,
}
NO_ARRAYS: dict[str, tuple[Any, str]] = {
    "None": (None, "is a NoneType and has dtype object: must be an array of real"),
    "path": ("truth.tif", "is a str and has dtype <U9: .* Read a file first"),
    "dict": ({}, "is a dict and has dtype object"),
    "ragged": ([[1, 2], [1]], "is a list that NumPy makes no array of .* Give lists one length"),
    "complex": (LABELS + 0j, "has dtype complex128"),
    "object": (LABELS.astype(object), "has dtype object: .* convert with .astype"),
    "strings": (LABELS.astype(str), "has dtype <U21"),
    "times": (np.zeros((3, 4), "M8[s]"), "has dtype datetime64"),
    "gradient": (torch.ones((3, 4), requires_grad=True), "is a Tensor that .*pass .detach"),
    "bfloat16": (torch.ones((3, 4)).bfloat16(), r"is a Tensor that .*pass .*\.float\(\)"),
    "masked": (np.ma.masked_equal(LABELS, 3), r"is a masked array: .* Pass .filled\(0\)"),
}


def same(found: Any, wanted: Any) -> None:
    for one, other in zip(np.atleast_1d(found), np.atleast_1d(wanted), strict=True):
        np.testing.assert_equal(one, other)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("function", OF_LABELS)
def test_labels_come_in_any_form(function: str, form: str) -> None:
    same(OF_LABELS[function](FORMS[form](LABELS)), OF_LABELS[function](LABELS))


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64, np.int8, np.uint64])
@pytest.mark.parametrize("function", OF_LABELS)
def test_labels_are_whole_numbers_of_any_type(function: str, dtype: type) -> None:
    same(OF_LABELS[function](LABELS.astype(dtype)), OF_LABELS[function](LABELS))


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("function", [name for name in OF_FOREGROUND if name != "region_tables"])
def test_foreground_comes_in_any_form(function: str, form: str) -> None:
    found, wanted = OF_FOREGROUND[function](FORMS[form](FOREGROUND)), OF_FOREGROUND[function]
    same(found, wanted(FOREGROUND))


@pytest.mark.parametrize("form", FORMS)
def test_truth_comes_in_any_form(form: str) -> None:
    for truth in (INTERIOR, INTERIOR * np.uint8(255), INTERIOR * 1.0):
        assert metrics.pixel_error(FORMS[form](truth), FOREGROUND) == 0
        same(metrics.label_interior(FORMS[form](truth)), metrics.label_interior(INTERIOR))
        (table,) = metrics.region_tables(FORMS[form](truth), FORMS[form](FOREGROUND), 0.5)
        assert table.truth_areas.tolist() == table.predicted_areas.tolist() == [6, 4, 2]


def test_booleans_are_one_object_and_foreground_of_0_and_1() -> None:
    same(separate_touching(LABELS != 0), LABELS != 0)
    assert (weight_map(LABELS != 0) == 1).all()
    assert metrics.seg_score(LABELS != 0, LABELS != 0) == 1
    same(label_instances(INTERIOR), label_instances(FOREGROUND))


@pytest.mark.parametrize("given", NO_ARRAYS)
@pytest.mark.parametrize("function", [*OF_LABELS, *OF_FOREGROUND])
def test_what_is_no_array_of_numbers_is_refused(function: str, given: str) -> None:
    value, message = NO_ARRAYS[given]
    if value is None and function in ("seg_score, prediction", "average_precision"):
        message = "predicted_labels is missing"  # a table of both is taken in their place
    if value is None and function in ("panoptic_quality", "aggregated_jaccard"):
        message = "predicted_labels is missing"
    with pytest.raises(ValueError, match=message):
        {**OF_LABELS, **OF_FOREGROUND}[function](value)
    if function in OF_TRUTH:
        with pytest.raises(ValueError, match=message):
            OF_TRUTH[function](value)


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        (spoilt(LABELS, math.nan), r"holds NaN: must be whole .*numpy.nan_to_num"),
        (spoilt(LABELS, 0.5), "float64 holds 0.5: must be whole .* Label a probability image"),
        (spoilt(LABELS, math.inf), "holds id inf: ids must fit uint32"),
        (spoilt(LABELS, -1), "holds -1: ids must be 0 or above"),
        (LABELS - 1, "holds -1: ids must be 0 or above"),
        (LABELS << 40, "holds id 3298534883328: ids must fit uint32 .*relabel_sequential"),
        (np.array(1), "must be an array of labels|must be the same image"),
    ],
)
@pytest.mark.parametrize("function", OF_LABELS)
def test_numbers_that_are_no_labels_are_refused(
    function: str, labels: NDArray[Any], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        OF_LABELS[function](labels)


@pytest.mark.parametrize(
    ("foreground", "message"),
    [
        (spoilt(FOREGROUND, math.nan), r"holds NaN: P\(\w+\) must be a number"),
        (spoilt(FOREGROUND, math.inf), "spans 0.1 to inf: .* sigmoid or softmax"),
        (FOREGROUND - 0.5, "spans -0.4 to 0.4: .* must lie in .* sigmoid or softmax"),
        ((FOREGROUND * 255).astype(np.uint8), "uint8 spans 25 to 229: .* by 255"),
        (FOREGROUND[0, 0], r"\d axes|must be the same image"),
        (np.zeros((1, 1, 1, 1)), r"4 axes|must be the same image|another \(1, 1, 1, 1\)"),
    ],
)
@pytest.mark.parametrize("function", OF_FOREGROUND)
def test_numbers_that_are_no_probabilities_are_refused(
    function: str, foreground: NDArray[Any], message: str
) -> None:
    if function == "region_tables" and foreground.shape == ():
        message = "another"
    with pytest.raises(ValueError, match=message):
        OF_FOREGROUND[function](foreground)


def test_probabilities_may_leave_their_range_by_rounding() -> None:
    blended = np.where(INTERIOR, np.float32(1 + 1e-7), np.float32(0))
    assert blended.max() > 1
    assert label_instances(blended).max() == 2
    assert metrics.pixel_error(INTERIOR, blended) == 0
    assert metrics.pixel_error(INTERIOR, INTERIOR, 1 + 1e-12) == 8 / 12


def test_noise_of_a_stored_foreground_is_no_object() -> None:
    empty = np.array([[0, 1, 1], [0, 0, 0]], np.uint8)  # 1 is 1/255, not 1.0
    for stored in (empty, 0 * empty, empty.astype(np.int64)):
        with pytest.raises(ValueError, match=r"int\d+: must be floats .* by 255; .* pass mask > 0"):
            label_instances(stored)
    assert not label_instances(empty / 255).any()
    assert label_instances(empty > 0).max() == 1


@pytest.mark.parametrize("function", OF_TRUTH)
def test_truth_and_proposal_are_not_taken_for_one_another(function: str) -> None:
    with pytest.raises(ValueError, match="holds 0.9: must be whole .* give the truth first"):
        OF_TRUTH[function](FOREGROUND)
    with pytest.raises(ValueError, match="holds nan: must be 0"):
        OF_TRUTH[function](spoilt(INTERIOR, math.nan))


def test_empty_images_have_an_empty_result_and_no_score() -> None:
    nothing = np.zeros((0, 4), int)
    assert separate_touching(nothing).shape == weight_map(nothing).shape == (0, 4)
    assert label_instances(nothing / 255).shape == metrics.boundary_pixels(nothing).shape == (0, 4)
    assert metrics.label_interior(nothing).shape == (0, 4)
    for score in (metrics.seg_score, metrics.pixel_error, metrics.boundary_f1):
        with pytest.raises(ValueError, match="there is no pixel to score"):
            score(nothing, nothing)
    for frames in (metrics.seg_score, metrics.isbi2012_scores):
        with pytest.raises(ValueError, match="lists of frames are empty"):
            frames([], [])


def test_ignored_pixels_are_flags() -> None:
    assert metrics.seg_score(LABELS, LABELS, ignore=torch.tensor(LABELS == 0)) == 1
    for ignore, message in ((LABELS * 0.5, "values other than 0, 1, 255"), ("i.tif", "Read a")):
        with pytest.raises(ValueError, match=message):
            metrics.seg_score(LABELS, LABELS, ignore=ignore)
        with pytest.raises(ValueError, match=message):
            metrics.warping_error(INTERIOR, FOREGROUND, mask=ignore)


def test_a_dataset_of_hdf5_is_scored_with_chunks_and_without(tmp_path: Any) -> None:
    with h5py.File(tmp_path / "labels.h5", "w") as file:
        whole = file.create_dataset("whole", data=LABELS)
        chunked = file.create_dataset("chunked", data=LABELS, chunks=(2, 2))
        assert metrics.seg_score(whole, chunked) == metrics.seg_score(LABELS, whole) == 1


NO_NUMBER = (None, "0.5", 1j, [[0.5]], math.nan)
NO_WHOLE_NUMBER = (None, "2", 2.5, math.nan, -1, [2, 2, 2], True)
OPTIONS: dict[str, tuple[Function, tuple[Any, ...], str]] = {
    "threshold of instances": (
        lambda given: label_instances(FOREGROUND, threshold=given),
        (*NO_NUMBER, -1, 128, math.inf),
        r"threshold is .*: must (be one number|lie in \[0, 1\])",
    ),
    **{
        f"threshold of {score.__name__}": (
            partial(score, INTERIOR, FOREGROUND),
            (*NO_NUMBER, -1, 128, math.inf),
            r"threshold is .*: must (be one number|lie in \[0, 1\])",
        )
        for score in (
            *(metrics.pixel_error, metrics.rand_score, metrics.info_score),
            *(metrics.warping_error, metrics.splits_and_mergers),
        )
    },
    "min_area_px": (
        lambda given: label_instances(FOREGROUND, min_area_px=given),
        NO_WHOLE_NUMBER,
        "min_area_px is .*: must be a whole number, 0 or more",
    ),
    "connectivity": (
        lambda given: label_instances(FOREGROUND, connectivity=given),
        (*NO_WHOLE_NUMBER, 0, 4, 8),
        "connectivity is .*: must be (a whole number, 1 or more|1, to join)",
    ),
    "split_px": (
        lambda given: label_instances(FOREGROUND, split_px=given),
        (*NO_NUMBER[1:], 0, -1),
        "split_px is .*: must be (one number|above 0)",
    ),
    "split_logits": (
        lambda given: label_instances(FOREGROUND, separate="valleys", split_logits=given),
        (*NO_NUMBER[1:], 0, -1),
        "split_logits is .*: must be (one number|above 0)",
    ),
    "seed_threshold": (
        lambda given: label_instances(FOREGROUND, separate="seeds", seed_threshold=given),
        (*NO_NUMBER[1:], -1, 1),
        "seed_threshold is .*: must be (one number|at least 0)",
    ),
    "fill_holes": (
        lambda given: label_instances(FOREGROUND, fill_holes=given),
        ("no", None, 2),
        "fill_holes is .*: must be True or False",
    ),
    "thinned": (
        lambda given: metrics.rand_score(INTERIOR, FOREGROUND, thinned=given),
        ("no", None, 2),
        "thinned is .*: must be True or False",
    ),
    "reduce": (
        lambda given: metrics.rand_score(INTERIOR, FOREGROUND, reduce=given),
        ("mean", None, ["macro"]),
        'reduce is .*: must be "macro" or "pooled"',
    ),
    "radius_px": (
        lambda given: metrics.splits_and_mergers(INTERIOR, FOREGROUND, 0.5, radius_px=given),
        (*NO_WHOLE_NUMBER[1:], 0),
        "radius_px is .*: must be a whole number, 1 or more",
    ),
    "iou": (
        lambda given: metrics.average_precision(LABELS, LABELS, given),
        (*NO_NUMBER, 0, 1.5, 50),
        r"iou is .*: must (be one number|lie in \(0, 1\])",
    ),
    "classes": (
        lambda given: metrics.confusion_matrix(LABELS, LABELS, classes=given),
        (*NO_WHOLE_NUMBER[1:], 0),
        "classes is .*: must be a whole number, 1 or more",
    ),
    "tolerance_px": (
        lambda given: metrics.boundary_f1(LABELS, LABELS, tolerance_px=given),
        (*NO_NUMBER, -1),
        "tolerance_px is .*: must be (one number|0 or more)",
    ),
    "confusion": (
        metrics.iou_per_class,
        ([[1, -1], [0, 1]], [[1, math.nan], [0, 1]]),
        "confusion holds .*: must be numbers of pixels",
    ),
    "w0": (
        lambda given: weight_map(LABELS, w0=given),
        (*NO_NUMBER, -1, math.inf, 1e300),
        "w0 is .*: must be one number",
    ),
    "sigma_px": (
        lambda given: weight_map(LABELS, sigma_px=given),
        (*NO_NUMBER, 0, -1, math.inf, 1e300),
        "sigma_px is .*: must be one number",
    ),
    "spacing": (
        lambda given: weight_map(LABELS, spacing=given),
        (0.5, (1,), (1, 1, 1), (0, 1), (1, -1), (math.nan, 1), "ab", ()),
        "spacing is .*: must be (one number|2 numbers, more than 0)",
    ),
    "class_weights": (
        lambda given: weight_map(LABELS, class_weights=given),
        (0.5, (1,), (1, 1, 1), (1, -1), (math.nan, 1), (1e39, 1), "ab", None),
        "class_weights is .*: must be (one number|2 numbers, 0 or more)",
    ),
    "threads": (
        lambda given: weight_map(LABELS, threads=given),
        (*NO_WHOLE_NUMBER, 0),
        "threads is .*: must be a whole number, 1 or more",
    ),
    "input_px": (
        output_size_px,
        (*NO_WHOLE_NUMBER, 0, 572.0),
        "input_px is .*: must be a whole number, 1 or more",
    ),
    "depth": (halo_px, (*NO_WHOLE_NUMBER, 0), "depth is .*: must be a whole number, 1 or more"),
    "depth of a size": (
        lambda given: output_size_px(572, given),
        (*NO_WHOLE_NUMBER, 0),
        "depth is .*: must be a whole number, 1 or more",
    ),
    "shape": (
        lambda given: tile_grid((5, given), 2, 1, 9),
        NO_WHOLE_NUMBER,
        "shape is .*: must be a whole number, 0 or more",
    ),
    "write_px of a grid": (
        lambda given: tile_grid((5, 5), given, 1, 9),
        NO_WHOLE_NUMBER,
        "write_px is .*: must be (a whole number, 0 or more|one for all axes, or 2)",
    ),
    **{
        f"{option} of a network": (
            partial(built, option),
            (*NO_WHOLE_NUMBER, 0, 64.0),
            f"{option} is .*: must be a whole number, 1 or more",
        )
        for option in ("in_channels", "num_classes", "base_channels", "depth")
    },
    "dropout": (
        lambda given: build("unet", dropout=given),
        (*NO_NUMBER, -1, 1),
        "dropout is .*: must (be one number|lie in)",
    ),
    "norm": (
        lambda given: build("unet", norm=given),
        ("layer", ["batch"], 1),
        "norm .* is not known; there are None, batch, instance and group",
    ),
    "name of a network": (build, ("vnet", None, ["unet"]), "no network is called .*; there are"),
    "write_px": (
        lambda given: predicted(write_px=given),
        (*(each for each in NO_WHOLE_NUMBER if each is not None), 0, 512.0),
        "write_px is .*: must be a whole number, 1 or more",
    ),
    "average": (
        lambda given: predicted(average=given),
        (*NO_WHOLE_NUMBER, 0, 5),
        "average is .*: must be a whole number|there are 1",
    ),
    "precision": (
        lambda given: predicted(precision=given),
        ("fp16", None, ["fp32"], torch.float32),
        "precision .* is not known; there are fp32 and bf16",
    ),
    "device": (
        lambda given: predicted(device=given),
        ("gpu", "cuda:99", "meta", 2.5, ["cpu"]),
        "device .* cannot be used .*: must be one that PyTorch finds",
    ),
    "network": (
        lambda given: predicted(network=given),
        (None, "model.safetensors", NETWORK.state_dict(), torch.nn.Conv2d(1, 2, 3)),
        "network is a .*: must be a network of this package.*load_model",
    ),
}


@pytest.mark.parametrize(
    ("function", "value", "message"),
    [
        pytest.param(function, value, message, id=f"{name} {value!r:.20}")
        for name, (function, values, message) in OPTIONS.items()
        for value in values
    ],
)
def test_options_out_of_range_are_refused(function: Function, value: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        function(value)


def test_numbers_of_numpy_are_numbers() -> None:
    one: Any = np.int64(1)
    two: Any = np.array(2)
    half: Any = np.float32(0.5)
    pair: Any = np.array([5, 5])
    depth: Any = np.uint8(4)
    assert output_size_px(572 * one, depth) == 388
    assert len(tile_grid(pair, one + 1, one, pair + 4)) == 9
    same(label_instances(FOREGROUND, threshold=half, min_area_px=one), label_instances(INTERIOR))
    assert metrics.average_precision(LABELS, LABELS, half) == 1
    same(weight_map(LABELS, sigma_px=two, spacing=pair / 5), weight_map(LABELS, sigma_px=2))
    same(predicted(average=one, write_px=8 * one), predicted())


def test_sizes_of_any_depth_are_found_without_trying_all() -> None:
    assert output_size_px(10**12 + 12) == 10**12 + 12 - 184
    assert halo_px(40) == 6 * 2**40 - 4
    assert valid_input_px(1, 40) == 12 * 2**40 - 4
    with pytest.raises(ValueError, match=f"nearest valid sizes are {12 * 2**40 - 4} px"):
        output_size_px(572, 40)


def test_ids_up_to_the_largest_of_uint32_are_told_apart() -> None:
    largest = 2**32 - 1
    labels = np.array([[largest, largest, largest - 1, 0, 1]], np.uint64)
    same(weight_map(labels), weight_map(np.array([[3, 3, 2, 0, 1]])))
    same(separate_touching(labels), [[largest, 0, 0, 0, 1]])
    for beyond in (labels + 1, labels + 2**32, labels.astype(np.float32) + 1):
        with pytest.raises(ValueError, match="ids must fit uint32"):
            weight_map(beyond)


def test_sizes_beyond_the_image_are_the_whole_image() -> None:
    ring = np.pad(np.zeros((3, 3)), 2, constant_values=0.9)
    whole = metrics.splits_and_mergers(np.ones((7, 7)), ring, 0.5, radius_px=None)
    assert metrics.splits_and_mergers(np.ones((7, 7)), ring, 0.5, radius_px=10**30) == whole
    same(predicted(write_px=10**9), predicted(write_px=24))


def test_a_weight_map_takes_no_more_memory_for_distances_beyond_the_image() -> None:
    apart = np.array([[1, 0, 0, 2]])
    assert weight_map(apart, spacing=(1e-12, 1e-12))[0, 1] == np.float32(11)
    assert weight_map(apart, sigma_px=1e12)[0, 1] == np.float32(11)


@pytest.mark.parametrize(
    ("image", "message"),
    [
        (IMAGE[0], r"2 axes \(20, 24\): must be \(C, Y, X\). Pass image\[None\]"),
        (IMAGE[None], "4 axes .*: must be .* one by one"),
        (np.moveaxis(IMAGE, 0, -1), r"20 channels: .* the network takes 1. .*moveaxis"),
        (np.repeat(IMAGE, 3, axis=0), "3 channels: .* the network takes 1"),
        (IMAGE[:0], "0 channels: .* the network takes 1"),
        (IMAGE[:, :0], r"shape \(1, 0, 24\) has no pixels"),
        (
            spoilt(IMAGE, math.nan),
            "NaN or infinite pixels in or around rows 8 to 16, columns 8 to 16",
        ),
        (spoilt(IMAGE, -math.inf), "NaN or infinite pixels in or around rows"),
        (spoilt(IMAGE, 1e300), "NaN or infinite pixels in or around rows"),
        (da.from_array(spoilt(IMAGE, math.nan), chunks=7), "NaN or infinite pixels"),
        ((IMAGE > 0).astype(np.uint8), r"dtype uint8: must be floats, normalised"),
        (da.from_array(IMAGE > 0, chunks=7), r"dtype bool: must be floats, normalised"),
        (IMAGE + 0j, "dtype complex64"),
        (da.from_array(IMAGE + 0j, chunks=7), "dtype complex64"),
        (IMAGE.astype(object), "dtype object"),
        (torch.tensor(IMAGE, requires_grad=True), "pass .detach"),
        (np.ma.masked_greater(IMAGE, 1), "masked array"),
        (None, "is a NoneType"),
        ("image.tif", "Read a file first"),
    ],
)
def test_an_image_that_does_not_fit_is_refused(image: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        predicted(image)


@pytest.mark.parametrize("form", FORMS)
def test_an_image_comes_in_any_form(form: str) -> None:
    same(predicted(FORMS[form](IMAGE)), predicted())
    assert predicted(IMAGE.astype(np.float16)).shape == (2, 20, 24)


@pytest.mark.parametrize(
    ("weight", "message"),
    [
        (math.nan, r"network: the network holds NaN or infinity \(contracting.0.0.weight"),
        (-math.inf, "network: the network holds NaN or infinity"),
        (3e38, "the network gives NaN in or around rows 0 to 8.*weights, are far too large"),
    ],
)
def test_a_network_that_gives_no_numbers_is_said(weight: float, message: str) -> None:
    diverged = build("unet", base_channels=2, depth=1)
    with torch.no_grad():
        next(diverged.parameters()).fill_(weight)
    with pytest.raises(ValueError, match=message):
        predicted(network=diverged)


def test_a_network_of_one_class_says_nothing() -> None:
    with pytest.raises(ValueError, match=r"one class, .* background is a class too.*num_classes=2"):
        predicted(network=build("unet", base_channels=2, depth=1, num_classes=1))
