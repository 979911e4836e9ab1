"""Functions that numba compiles."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from unetflow.engine.compiled import compiled


@compiled
def summed(values: np.ndarray) -> float:
    total = 0.0
    for value in values:
        total += value
    return total


@compiled(signature="float64(float64)")
def halved(value: float) -> float:
    return value / 2


def test_it_computes_what_is_written() -> None:
    assert summed(np.array([1.5, 2.0])) == 3.5
    assert summed(np.array([1, 2], np.uint8)) == 3
    assert halved(3.0) == 1.5


def test_it_compiles_each_type_where_it_comes_or_the_one_signature_alone() -> None:
    each: Any = summed
    each(np.zeros(2, np.float32))
    assert len(each.signatures) > 0
    one: Any = halved
    one(3)
    assert [str(kind) for kind in one.signatures[0]] == ["float64"]
    assert len(one.signatures) == 1
    with pytest.raises(TypeError, match="No matching definition"):
        one("three")


def test_it_frees_pythons_lock_with_a_signature_or_without() -> None:
    for function in (summed, halved):
        options: Any = function
        assert options.targetoptions["nogil"]


def test_it_is_kept_on_disk() -> None:
    function: Any = summed
    function(np.zeros(2))
    assert any(Path(function.stats.cache_path).glob("*summed*.nbi"))


def test_halving_is_compiled_where_it_is_needed_alone() -> None:
    code = "import sys, unetflow.store.pyramid; sys.exit('numba' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
