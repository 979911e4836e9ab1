"""Whose fault an error is."""

import errno
from pathlib import Path

import pytest

from unetflow.errors import (
    LabelsError,
    ModelError,
    ReplacedError,
    SlideError,
    StoreError,
    TooLargeError,
    UnsuitableError,
)
from unetflow.jobs.faults import failure_by, is_of_file


def caused(error: Exception, cause: BaseException) -> Exception:
    error.__cause__ = cause
    return error


@pytest.mark.parametrize(
    "error",
    [
        SlideError("a.tif: cannot be opened"),
        LabelsError("a.tif: holds 7"),
        UnsuitableError("a.tif: has 3 channels"),
        caused(SlideError("a.png: is cut off"), OSError("image file is truncated")),
        caused(SlideError("a.tif: is odd"), OSError(errno.EINVAL, "Invalid argument")),
    ],
)
def test_what_is_wrong_with_a_file_is_its_fault(error: Exception) -> None:
    assert is_of_file(error, {})


@pytest.mark.parametrize(
    "error",
    [
        MemoryError(),
        TooLargeError("a.tif: takes 9 GB"),
        ReplacedError("a.tif: was replaced"),
        StoreError("a.zarr: is gone"),
        ModelError("model: not finite"),
        KeyError("bug"),
        OSError(errno.ENOSPC, "No space left on device"),
        caused(SlideError("a.tif: cannot be read"), OSError(errno.EIO, "Input/output error")),
        caused(SlideError("a.tif: cannot be read"), MemoryError()),
        caused(SlideError("a.mrxs"), caused(ValueError("needs openslide"), ImportError("no"))),
        caused(SlideError("b"), caused(ValueError("c"), OSError(errno.ESTALE, "Stale handle"))),
        SlideError("a.tif: 40 % of it cannot be read (OSError: [Errno 5] Input/output error)"),
    ],
)
def test_all_else_is_the_fault_of_the_machine_or_of_our_code(error: Exception) -> None:
    assert not is_of_file(error, {})


def test_a_file_that_is_not_there_is_the_fault_of_a_drive(tmp_path: Path) -> None:
    error = SlideError("a.tif: there is no such file")
    raw = {"raw": {"path": str(tmp_path / "a.tif")}}
    assert not is_of_file(error, raw)
    (tmp_path / "a.tif").touch()
    assert is_of_file(error, raw)


def test_a_log_is_named_as_it_lies_under_the_results() -> None:
    log = "logs/predict/results/logs/predict/unet/fold0/a.log"
    assert failure_by(SlideError("x"), "predict", log)["log"] == "logs/predict/unet/fold0/a.log"
