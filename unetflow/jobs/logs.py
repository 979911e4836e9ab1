"""The log of a job: in its file, and what is going on also on the terminal."""

import logging
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from unetflow.errors import UnetflowError
from unetflow.jobs.failures import forget_failure, note_failure

log = logging.getLogger("unetflow")
STOPPED = 130  # exit status after Ctrl-C, as a shell has it


@contextmanager
def job_log(path: str) -> Iterator[None]:
    """Log to the file (with times, and the traceback of what fails) and to the terminal.

    What other libraries log or warn of goes to the file alone. So do errors: what failed is noted
    for the end of the run (`unetflow.jobs.failures`), so that they are told once, and last. An
    error that a user can mend ends the job, and so does Ctrl-C; others are raised on.
    """
    file = Path(path)
    file.parent.mkdir(parents=True, exist_ok=True)
    forget_failure(file)
    to_file = logging.FileHandler(file, mode="w", encoding="utf-8")
    to_file.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
    to_terminal = logging.StreamHandler(sys.stderr)
    to_terminal.addFilter(lambda record: record.levelno < logging.ERROR)
    root = logging.getLogger()
    root.handlers, log.handlers = [to_file], [to_terminal]
    root.setLevel(logging.WARNING)
    log.setLevel(logging.INFO)
    logging.captureWarnings(True)
    warnings.simplefilter("default")
    try:
        yield
    except KeyboardInterrupt:
        log.info("stopped by Ctrl-C")
        sys.exit(STOPPED)
    except Exception as error:
        log.exception("%s: %s", type(error).__name__, error)
        note_failure(file, error)
        if not isinstance(error, UnetflowError):
            raise
        sys.exit(1)
    finally:
        to_file.close()
