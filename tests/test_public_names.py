"""Names that users and notebooks rely on: where they are, and what they take and return."""

import importlib
import inspect
from inspect import Parameter
from typing import Any

import numpy as np
import pytest

# What docs/design.md promises. Further arguments may be there, with defaults, after these.
PROMISED = """\
tiles.output_size_px(input_px, depth=4)
tiles.halo_px(depth=4)
tiles.tile_grid(shape, write_px, before_px, read_px)
labels.separate_touching(labels)
weights.weight_map(labels, *, class_weights=(1.0, 1.0), w0=10.0, sigma_px=5.0, spacing=None)
networks.build(name, **options)
predict.predict_array(network, image, *, write_px=None, precision="fp32", average=1)
instances.label_instances(foreground, *, threshold=0.5, min_area_px=0, fill_holes=False, connectivity=1)
metrics.pixel_error(truth, proposal, threshold=0.5)
metrics.rand_score(truth, proposal, threshold=0.5, *, thinned=False, reduce="macro")
metrics.info_score(truth, proposal, threshold=0.5, *, thinned=False)
metrics.warping_error(truth, proposal, threshold=0.5, *, mask=None)
metrics.splits_and_mergers(truth, proposal, thresholds, *, radius_px=20)
metrics.isbi2012_scores(truth, proposal)
metrics.seg_score(truth_labels, predicted_labels)
metrics.average_precision(truth_labels, predicted_labels, iou=0.5)
metrics.panoptic_quality(truth_labels, predicted_labels)
metrics.aggregated_jaccard(truth_labels, predicted_labels)
""".splitlines()  # noqa: E501

FIELDS = {
    "tiles.Tile": ("write", "read"),
    "metrics.RandScore": ("f", "split", "merge"),
    "metrics.InfoScore": ("f", "split", "merge", "vi"),
    "metrics.PanopticQuality": ("pq", "dq", "sq"),
}


def public(name: str) -> Any:
    """What users get as `unetflow.folder.name`."""
    folder, _, function = name.partition(".")
    return getattr(importlib.import_module(f"unetflow.{folder}"), function)


def broken_promises(function: Any, promised: str) -> list[str]:
    """Where a function does not take what is promised of it, as `(truth, threshold=0.5)`."""
    wanted = inspect.signature(eval(f"lambda {promised[1:-1]}: None")).parameters
    found = inspect.signature(function).parameters
    broken = []
    for position, (name, parameter) in enumerate(wanted.items()):
        real = found.get(name)
        if real is None or real.kind != parameter.kind:
            broken.append(f"{name} is missing, or taken in another way")
        elif parameter.default not in (Parameter.empty, real.default):
            broken.append(f"{name} is {real.default!r} by itself, not {parameter.default!r}")
        elif parameter.kind == Parameter.POSITIONAL_OR_KEYWORD:
            broken += [f"{name} has another place"] if list(found)[position] != name else []
    needless = (Parameter.VAR_KEYWORD, Parameter.VAR_POSITIONAL)
    broken += [
        f"{name} must be given"
        for name, real in found.items()
        if name not in wanted and real.default is Parameter.empty and real.kind not in needless
    ]
    return broken


@pytest.mark.parametrize("promise", PROMISED, ids=lambda promise: promise.partition("(")[0])
def test_name_takes_what_is_promised(promise: str) -> None:
    name = promise.partition("(")[0]
    if name.partition(".")[0] in ("networks", "predict"):
        pytest.importorskip("torch")
    assert broken_promises(public(name), promise.removeprefix(name)) == []


def test_another_default_order_or_a_need_for_more_breaks_a_promise() -> None:
    def function(a: int, b: int = 1, *, c: int = 2) -> None: ...

    assert broken_promises(function, "(a, b=1, *, c=2)") == broken_promises(function, "(a)") == []
    assert broken_promises(function, "(a, b=2)") == ["b is 1 by itself, not 2"]
    assert broken_promises(function, "(b=1)") == ["b has another place", "a must be given"]
    assert broken_promises(function, "(a, c=2)") == ["c is missing, or taken in another way"]


@pytest.mark.parametrize("name", FIELDS)
def test_fields_of_results_have_their_names_and_order(name: str) -> None:
    assert tuple(inspect.signature(public(name)).parameters) == FIELDS[name]


def test_arrays_have_the_types_that_are_promised() -> None:
    from unetflow.instances import label_instances
    from unetflow.labels import separate_touching
    from unetflow.weights import weight_map

    labels = label_instances(np.array([[0.9, 0.8, 0.1, 0.7], [0.9, 0.2, 0.1, 0.6]]))
    assert labels.dtype == np.uint32
    assert labels.tolist() == [[1, 1, 0, 2], [1, 0, 0, 2]]
    assert separate_touching(labels.astype(np.int16)).dtype == np.int16
    assert weight_map(labels).dtype == np.float32


def test_the_registry_builds_the_network_of_the_paper() -> None:
    torch = pytest.importorskip("torch")
    from unetflow.networks import build

    network = build("unet", in_channels=1, num_classes=2, base_channels=64, depth=4)
    assert sum(weights.numel() for weights in network.parameters()) == 31_030_658
    assert isinstance(network, torch.nn.Module)
