"""The log of a job: in its file and on the terminal."""

import logging
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from unetflow.errors import UnetflowError

log = logging.getLogger("unetflow")


@contextmanager
def job_log(path: str) -> Iterator[None]:
    """Log to the file (with times, and the traceback of what fails) and to the terminal.

    An error that a user can mend is one message on the terminal, and ends the job.
    """
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    to_file = logging.FileHandler(path, mode="w", encoding="utf-8")
    to_file.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
    to_terminal = logging.StreamHandler(sys.stderr)
    to_terminal.setFormatter(_WithoutTraceback("%(message)s"))
    root = logging.getLogger()
    root.handlers = [to_file, to_terminal]
    root.setLevel(logging.WARNING)
    log.setLevel(logging.INFO)
    logging.captureWarnings(True)
    warnings.simplefilter("default")
    try:
        yield
    except UnetflowError as error:
        log.exception("%s: %s", type(error).__name__, error)
        sys.exit(1)
    except Exception:
        log.exception("failed; the traceback is in %s", path)
        raise
    finally:
        to_file.close()


class _WithoutTraceback(logging.Formatter):
    def formatException(self, ei: object) -> str:
        return ""

    def format(self, record: logging.LogRecord) -> str:
        text, record.exc_text = record.exc_text, None
        line = super().format(record).rstrip("\n")
        record.exc_text = text
        return line
