"""Threads spin for a moment before they sleep, where the user's environment does not say."""

import os

import pytest

from unetflow.engine.waiting import SPINS, spin_briefly


@pytest.mark.parametrize(
    ("given", "left"),
    [
        ({}, {"GOMP_SPINCOUNT": str(SPINS)}),
        ({"OMP_WAIT_POLICY": "ACTIVE"}, {"OMP_WAIT_POLICY": "ACTIVE"}),
        ({"GOMP_SPINCOUNT": "0"}, {"GOMP_SPINCOUNT": "0"}),
    ],
)
def test_what_the_user_says_stays(
    monkeypatch: pytest.MonkeyPatch, given: dict[str, str], left: dict[str, str]
) -> None:
    monkeypatch.setattr(os, "environ", dict(given))
    spin_briefly()
    assert os.environ == left
