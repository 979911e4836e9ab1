"""Which objects are most wrong, and the boxes around them."""

import numpy as np

from unetflow.metrics.contingency import contingency
from unetflow.metrics.object_errors import kinds_of_objects
from unetflow.report.worst_objects import boxes, worst_first


def test_the_most_wrong_pixels_come_first() -> None:
    #                  found    split          missed  spurious
    truth = np.array([[1, 1, 0, 2, 2, 2, 2, 2, 0, 3, 0, 0, 0]])
    result = np.array([[5, 5, 0, 6, 6, 0, 7, 7, 0, 0, 0, 8, 8]])
    table = contingency(truth, result)
    worst = worst_first(table, kinds_of_objects(table))
    assert [(of.kind, of.id, of.wrong_px, of.of_truth) for of in worst] == [
        ("split", 2, 3, True),  # shares 2 of 5 px with its largest part, which has no more
        ("spurious", 8, 2, False),
        ("missed", 3, 1, True),
    ]


def test_merged_objects_are_wrong_with_all_their_pixels() -> None:
    truth = np.array([[1, 1, 1, 2, 2, 2]])
    table = contingency(truth, np.full_like(truth, 4))
    kinds = kinds_of_objects(table)
    merged = {
        int(of)
        for of, kind in zip(kinds.truth_ids, kinds.truth_kinds, strict=True)
        if kind == "merged"
    }
    worst = worst_first(table, kinds)
    assert {of.id for of in worst} == merged
    assert {of.wrong_px for of in worst} == {3}


def test_boxes_over_blocks_are_those_of_the_whole() -> None:
    labels = np.zeros((9, 12), int)
    labels[2:7, 3:11] = 4
    labels[8, 0] = 5
    blocks = [
        ((slice(y, y + 4), slice(x, x + 5)), labels[y : y + 4, x : x + 5])
        for y in range(0, 9, 4)
        for x in range(0, 12, 5)
    ]
    assert boxes(blocks, [4, 5]) == {4: (2, 3, 7, 11), 5: (8, 0, 9, 1)}
    assert boxes(blocks, [6]) == {}
