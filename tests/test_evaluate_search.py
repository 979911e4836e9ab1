"""The object step chosen on validation images: what may be tried, what is found, what is said."""

import math
from typing import Any, cast

import numpy as np
import pytest
from scipy import ndimage

from unetflow import metrics
from unetflow.evaluate.object_stages import Stages, stages_of, warnings_of
from unetflow.evaluate.object_step import ObjectStep, Wanted, choose_object_step, object_stages
from unetflow.evaluate.search_space import (
    NUMBER_OF,
    Sizes,
    is_searched,
    sizes_of,
    space_of,
    wanted_of,
    with_defaults,
)
from unetflow.evaluate.searching import BY, Found, Judged, Trials, search, sums_of_objects
from unetflow.instances.separation import NUMBER, labelling_of
from unetflow.instances.whole_image import label_instances
from unetflow.labels.encoding import separate_touching

INSTANCES: dict[str, Any] = {
    "threshold": None,
    "min_area_px": 0,
    "fill_holes": False,
    "max_hole_px": None,
    "connectivity": 1,
    "separate": "necks",
    "split_px": None,
    "split_logits": None,
    "seed_threshold": None,
}
THRESHOLDS = (0.3, 0.5, 0.7)
SIZES = Sizes(objects=9, area_px=math.pi * 100, near=4)  # discs of 20 px


def discs(*centres: tuple[int, int], radius: float = 10) -> np.ndarray:
    """Labels of discs, each a Voronoi cell of its own where they overlap."""
    y, x = np.mgrid[:64, :96]
    distances = np.stack([np.hypot(y - a, x - b) for a, b in centres])
    return np.where(distances.min(axis=0) <= radius, distances.argmin(axis=0) + 1, 0)


def judged_of(labels: np.ndarray, blur_px: float = 1.5, noise: float = 0.0) -> Judged:
    """A foreground that is blurred: objects that touch are one above a half."""
    target = separate_touching(labels) != 0
    light = ndimage.gaussian_filter((labels != 0).astype(float), blur_px)
    light += np.random.default_rng(0).normal(0, 1, light.shape) * noise
    light = np.clip(light, 0, 1).astype(np.float32)
    return Judged(labels.astype(np.uint32), np.zeros(labels.shape, bool), light, target)


def chosen(instances: dict[str, Any], *judged: Judged, **wanted: Any) -> ObjectStep:
    methods = wanted.pop("methods", ("none", "necks"))
    return choose_object_step(
        Wanted(INSTANCES | instances, methods=methods, **wanted),
        {"cell": judged},
        len(judged),
        kind="instances",
        thresholds=THRESHOLDS,
        label=label_instances,
        labelling_of=labelling_of,
    )


def space(instances: dict[str, Any], sizes: Sizes = SIZES, **others: Any) -> Any:
    asked = {"classes": ["cell"], "thresholds": THRESHOLDS, "methods": ("none", "necks", "seeds")}
    return space_of(INSTANCES | instances, sizes, **(asked | others))


TWO = [judged_of(discs((30, 22), (30, 40), (30, 75))), judged_of(discs((20, 30), (37, 30)))]


def test_the_keys_of_methods_are_those_of_the_labelling() -> None:
    assert NUMBER_OF == NUMBER


def test_what_has_a_value_keeps_it_and_auto_is_searched() -> None:
    assert not is_searched(INSTANCES)
    assert list(space({})) == ["threshold cell"]
    assert list(space({"threshold": 0.4, "min_area_px": "auto"})) == ["min_area_px"]
    found = space({"fill_holes": "auto", "max_hole_px": "auto", "split_px": "auto"})
    assert list(found) == ["threshold cell", "fill_holes", "separate"]
    assert found["threshold cell"][0] == {"threshold cell": 0.5}
    assert found["fill_holes"][0] == {"fill_holes": False, "max_hole_px": None}
    assert found["separate"][0] == {"split_px": None}
    filled = space({"fill_holes": True, "max_hole_px": "auto"})["fill_holes"]
    assert all(each["fill_holes"] for each in filled)
    assert {each["max_hole_px"] for each in space({"fill_holes": "auto"})["fill_holes"]} == {None}
    assert with_defaults(INSTANCES | {"separate": "auto", "split_px": 2.0}) == INSTANCES | {
        "split_px": 2.0
    }


def test_without_a_search_nothing_is_asked_that_only_a_search_reads() -> None:
    plain = wanted_of(INSTANCES, "pq", labelling_of(INSTANCES))
    assert plain == wanted_of(
        INSTANCES | {"seed_threshold": 0.7, "threshold": 0.4}, "seg", labelling_of(INSTANCES)
    )
    searched = INSTANCES | {"min_area_px": "auto"}
    assert wanted_of(searched, "pq", {}) == {"instances": searched, "by": "pq"}


def test_grids_grow_with_the_objects() -> None:
    asked = {"min_area_px": "auto", "split_px": "auto"}
    small = space(asked)
    large = space(asked, Sizes(objects=9, area_px=4 * SIZES.area_px, near=4))
    for one, other in zip(small["separate"][1:], large["separate"][1:], strict=True):
        assert other["split_px"] == pytest.approx(2 * one["split_px"], rel=0.06)
    assert [each["min_area_px"] for each in small["min_area_px"]] == [0, 6, 16, 31, 63, 110]
    assert large["min_area_px"][-1]["min_area_px"] == 440


def test_a_method_is_chosen_with_its_number_unless_that_is_given() -> None:
    found = space({"separate": "auto", "seed_threshold": 0.8})["separate"]
    assert found[0]["separate"] == "none"
    assert [each["seed_threshold"] for each in found if each["separate"] == "seeds"] == [0.8]
    necks = [each["split_px"] for each in found if each["separate"] == "necks"]
    assert len(necks) == 6
    assert None not in necks
    assert "separate" not in space({"separate": "auto"}, Sizes(9, 100.0, near=0))


def test_sizes_are_of_the_objects_and_near_is_near() -> None:
    one = discs((30, 22), (30, 40), (30, 75))
    assert sizes_of([one]).objects == 3
    assert sizes_of([one]).near == 2
    assert sizes_of([one, discs((30, 22), radius=5)]).objects == 4
    for gap, near in ((0, 2), (2, 2), (3, 0)):
        labels = np.array([[1, *[0] * gap, 2]])
        assert sizes_of([labels]).near == near
    assert sizes_of([np.zeros((3, 3), int)]) == Sizes(0, 0.0, 0)
    large = np.array([[7, 7, 0, 0, 0, 0, 2**32 - 1]], np.uint32)  # bincount takes 32 GB of it
    assert sizes_of([large]) == Sizes(2, 1.5, 0)


def test_touching_discs_are_taken_apart_by_what_is_chosen() -> None:
    whole = chosen({"min_area_px": "auto"}, *TWO)
    step = chosen({"min_area_px": "auto", "split_px": "auto"}, *TWO)
    assert step.search is not None
    assert whole.search is not None
    assert whole.search["score"] < 0.5 < 0.8 < step.search["score"]
    assert step.labelling["split_px"] is not None
    made = [
        label_instances(each.foreground, threshold=step.thresholds["cell"], **step.labelling)
        for each in TWO
    ]
    assert [labels.max() for labels in made] == [3, 2]
    assert step.search["objects"] == 5
    assert step.search["tries"] == len(step.tried)
    assert step.tried["chosen"].tolist() == [1] + [0] * (len(step.tried) - 1)
    assert float(step.tried["mean_ap"].iloc[0]) == step.search["score"]
    assert step.search["score"] >= step.tried["mean_ap"].astype(float).max() - 1e-12


def test_a_method_is_chosen_among_those_that_are_possible() -> None:
    step = chosen({"separate": "auto"}, *TWO, methods=("none", "necks", "valleys", "seeds"))
    assert step.labelling["separate"] != "none" if "separate" in step.labelling else True
    assert step.search is not None
    assert step.search["score"] > 0.8
    methods = set(step.tried["separate"])
    assert methods == {"none", "necks", "valleys", "seeds"}
    assert set(step.labelling) <= {*INSTANCES, "separate"} - {"threshold"}


def test_a_given_threshold_is_kept_while_the_rest_is_chosen() -> None:
    step = chosen({"threshold": 0.6, "split_px": "auto"}, *TWO)
    assert step.thresholds == {}
    assert set(step.tried["threshold cell"]) == {0.6}


@pytest.mark.parametrize("by", BY)
def test_the_score_that_decides_is_the_one_that_is_named(by: str) -> None:
    step = chosen({"min_area_px": "auto"}, *TWO, by=by)
    assert step.search is not None
    assert step.search["by"] == by
    options = dict(step.labelling)
    made = [
        label_instances(each.foreground, threshold=step.thresholds["cell"], **options)
        for each in TWO
    ]
    truth = [each.truth for each in TWO]
    if by == "seg":
        assert step.search["score"] == pytest.approx(metrics.seg_score(truth, made))
    sums = sums_of_objects(TWO[0], made[0]) + sums_of_objects(TWO[1], made[1])
    assert step.search["score"] == pytest.approx(BY[by](sums))


def test_one_image_few_objects_or_membranes_have_defaults_and_a_line_that_says_why() -> None:
    asked = {"min_area_px": "auto", "split_px": "auto", "threshold": None}
    one = chosen(asked, TWO[0])
    assert one.labelling == labelling_of(INSTANCES)
    assert one.search is None
    assert "1 validation images with 3 objects are too few" in one.notes[0]
    few = chosen(asked, judged_of(discs((30, 22))), judged_of(discs((30, 22))))
    assert "2 validation images with 2 objects are too few" in few.notes[0]
    assert not chosen({}, TWO[0]).notes
    apart = judged_of(discs((20, 20), (20, 60), (50, 40)))
    step = chosen(asked, apart, apart)
    assert any("no true object is near another one" in note for note in step.notes)
    assert step.labelling["split_px"] is None
    membranes = choose_object_step(
        Wanted(INSTANCES | asked),
        {},
        3,
        kind="interior",
        thresholds=THRESHOLDS,
        label=label_instances,
        labelling_of=labelling_of,
    )
    assert "membranes have no objects" in membranes.notes[0]
    assert membranes.labelling == labelling_of(INSTANCES)


def test_the_best_is_kept_and_of_equal_ones_the_first() -> None:
    space = {"a": [{"a": k} for k in range(4)], "b": [{"b": k} for k in range(4)]}

    def ridge(at: dict[str, Any]) -> float:
        return float(-abs(at["a"] - at["b"]) - abs(at["a"] - 3) / 4)

    found = search(space, {"a": 0, "b": 0}, ridge)
    assert found.score <= 0
    assert all(each.score <= found.score for tried in found.around.values() for each in tried)
    flat = search(space, {"a": 2, "b": 2}, lambda at: 1.0)
    assert flat.settings == {"a": 2, "b": 2}
    assert len(flat.flat("a")) == 4
    assert isinstance(found, Found)


def test_a_try_is_made_once() -> None:
    calls = []

    def counted(foreground: np.ndarray, **options: Any) -> np.ndarray:
        calls.append(options)
        return label_instances(foreground, **options)

    trials = Trials({"cell": TWO}, counted, "mean_ap")
    settings = {**labelling_of(INSTANCES), "threshold cell": 0.5}
    assert trials.score(settings) == trials.score(dict(reversed(settings.items())))
    assert len(calls) == 2


def test_stages_say_where_the_object_step_loses_the_truth() -> None:
    labels = np.zeros((60, 60), int)
    labels[10:50, 5:10], labels[10:50, 50:55] = 1, 2  # four walls that meet by their corners
    labels[5:10, 10:50], labels[50:55, 10:50] = 3, 4
    judged = [judged_of(labels)]

    def stages(**instances: Any) -> Any:
        return stages_of(judged, 0.5, labelling_of(INSTANCES | instances), label_instances)

    filled = stages(fill_holes=True)
    assert (filled["target"], filled["holes"], filled["separated"]) == (1, 0, 0)
    assert stages(fill_holes=True, max_hole_px=100)["holes"] == 1
    assert stages(min_area_px=500)["separated"] == 0
    touching = stages_of(TWO, 0.5, labelling_of(INSTANCES), label_instances)
    assert (touching["target"], touching["perfect_cut"]) == (1, 1)
    assert touching["product"] is not None
    assert touching["product"] < 0.5
    alike = object_stages({"cell": judged}, {"cell": 0.5}, labelling_of(INSTANCES), label_instances)
    assert alike == {"cell": stages()}


def test_a_perfect_cut_of_a_volume_measures_by_its_spacing() -> None:
    truth, light = np.zeros((2, 1, 11), int), np.zeros((2, 1, 11), np.float32)
    truth[0, 0, 1:4], truth[1, 0, 5:] = 1, 2
    light[0, 0, 1:4], light[1] = 1, 1  # of the next plane all

    def cut(*spacing: float) -> float | None:
        each = Judged(truth, truth < 0, light, truth != 0, spacing=spacing)
        return stages_of([each], 0.5, labelling_of(INSTANCES), label_instances)["perfect_cut"]

    assert cut(10, 1, 1) == 1  # it lies nearer to the object beside it
    assert cut(1, 1, 1) == pytest.approx(1 / 3)


def test_a_stage_that_loses_more_than_stated_is_a_warning() -> None:
    fine: Any = {"target": 0.99, "holes": 0.985, "separated": 0.98}
    assert list(warnings_of("cell", fine)) == []
    (holes,) = warnings_of("cell", fine | {"holes": 0.92, "separated": 0.92})
    assert "falls from 0.990 to 0.920 where holes are filled" in holes
    (split,) = warnings_of("cell", fine | {"separated": 0.719})
    assert "falls from 0.985 to 0.719 where clumps are taken apart" in split
    (target,) = warnings_of("cell", fine | {"target": 0.9, "holes": 0.9, "separated": 0.9})
    assert "is 0.900 once its touching objects are apart" in target
    won_back = {"target": 0.875, "holes": 0.354, "separated": 0.99}  # by pieces left out, and cuts
    assert list(warnings_of("cell", cast(Stages, won_back))) == []
    assert list(warnings_of("cell", cast(Stages, dict.fromkeys(fine)))) == []


def test_a_volume_is_as_wide_as_its_planes_lie_apart() -> None:
    labels = np.zeros((4, 9, 9), int)
    labels[1:3, 2:6, 2:6] = 1
    sizes = sizes_of([labels, labels], [(4.0, 1.0, 1.0), (4.0, 1.0, 1.0)])
    assert sizes.area_px == 32
    assert sizes.diameter_px == pytest.approx(math.cbrt(6 * 4 * 32 / math.pi))
