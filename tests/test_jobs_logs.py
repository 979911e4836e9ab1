"""The log of a job."""

import logging
import warnings
from pathlib import Path

import pytest

from unetflow.errors import SlideError
from unetflow.jobs.failures import farewell
from unetflow.jobs.logs import job_log


@pytest.fixture(autouse=True)
def restored_logging() -> object:
    """Leave the logging of other tests alone."""
    root = logging.getLogger()
    own = logging.getLogger("unetflow")
    before = root.handlers[:], root.level, warnings.filters[:], own.handlers[:], own.level
    yield
    root.handlers, root.level = before[0], before[1]
    own.handlers, own.level = before[3], before[4]
    logging.captureWarnings(False)
    warnings.filters[:] = before[2]  # type: ignore[index]


def test_messages_go_to_file_and_terminal(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with job_log(str(tmp_path / "logs" / "a.log")):
        logging.getLogger("unetflow.x").info("half done")
    assert "INFO unetflow.x: half done" in (tmp_path / "logs" / "a.log").read_text()
    assert capsys.readouterr().err == "half done\n"


def test_an_error_of_the_user_stands_in_the_file_and_waits_for_the_end_of_the_run(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit, match="1"), job_log(str(tmp_path / "prepare_image/a.log")):
        raise SlideError("s.tif: is not readable")
    text = (tmp_path / "prepare_image/a.log").read_text()
    assert "ERROR unetflow: SlideError: s.tif: is not readable\nTraceback" in text
    assert capsys.readouterr().err == ""
    assert "prepare_image/a: s.tif: is not readable\n" in farewell(tmp_path, [])
    with job_log(str(tmp_path / "prepare_image/a.log")):
        pass  # another attempt, which does not fail
    assert "s.tif" not in farewell(tmp_path, [])


def test_decoders_and_warnings_go_to_the_file_alone(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with job_log(str(tmp_path / "a.log")):
        logging.getLogger("tifffile").error("<tifffile.TiffFile> corrupted strip")
        warnings.warn("odd metadata", stacklevel=1)
    text = (tmp_path / "a.log").read_text()
    assert "corrupted strip" in text
    assert "odd metadata" in text
    assert capsys.readouterr().err == ""


def test_ctrl_c_is_a_line_and_no_failure(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit, match="130"), job_log(str(tmp_path / "a.log")):
        raise KeyboardInterrupt
    assert capsys.readouterr().err == "stopped by Ctrl-C\n"
    assert farewell(tmp_path, ["--cores", "2"]).startswith("Not everything is done. To go on run")


def test_an_error_of_ours_is_raised_on(tmp_path: Path) -> None:
    with pytest.raises(ZeroDivisionError, match="by zero"), job_log(str(tmp_path / "a.log")):
        _ = 1 / 0
    assert "ZeroDivisionError" in (tmp_path / "a.log").read_text()
    assert "a: ZeroDivisionError: division by zero (not foreseen" in farewell(tmp_path, [])
