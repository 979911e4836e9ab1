"""The log of a job."""

import logging
import warnings
from pathlib import Path

import pytest

from unetflow.errors import SlideError
from unetflow.jobs.logs import job_log


@pytest.fixture(autouse=True)
def restored_logging() -> object:
    """Leave the logging of other tests alone."""
    root = logging.getLogger()
    before = root.handlers[:], root.level, warnings.filters[:]
    yield
    root.handlers, root.level = before[0], before[1]
    logging.captureWarnings(False)
    warnings.filters[:] = before[2]  # type: ignore[index]


def test_messages_go_to_file_and_terminal(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with job_log(str(tmp_path / "logs" / "a.log")):
        logging.getLogger("unetflow.x").info("half done")
    assert "INFO unetflow.x: half done" in (tmp_path / "logs" / "a.log").read_text()
    assert capsys.readouterr().err == "half done\n"


def test_an_error_of_the_user_is_one_message_with_its_traceback_in_the_file(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit, match="1"), job_log(str(tmp_path / "a.log")):
        raise SlideError("s.tif: is not readable")
    assert "Traceback" in (tmp_path / "a.log").read_text()
    assert capsys.readouterr().err == "SlideError: s.tif: is not readable\n"


def test_an_error_of_ours_is_raised_on(tmp_path: Path) -> None:
    with pytest.raises(ZeroDivisionError, match="by zero"), job_log(str(tmp_path / "a.log")):
        _ = 1 / 0
    assert "ZeroDivisionError" in (tmp_path / "a.log").read_text()
