"""Whose fault an error is: that of an image's file, or of the machine and of our code.

A file that is at fault is at fault each time: its job says so in a receipt and ends well. All else
fails the job, which may be tried again with more memory and time.
"""

import errno
import re
from collections.abc import Iterator, Mapping
from pathlib import Path

from unetflow.errors import LabelsError, ReplacedError, SlideError, TooLargeError, UnsuitableError
from unetflow.images.sources import split_dataset
from unetflow.provenance.failed import Failure

OF_FILES = (SlideError, LabelsError, UnsuitableError)
OF_MACHINES = (MemoryError, TooLargeError, ReplacedError, ImportError)
NUMBERS = {
    *(errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS),  # where we write
    *(errno.EIO, errno.ESTALE, errno.ETIMEDOUT, errno.ENOENT, errno.EACCES),  # of a drive
    *(errno.ENOMEM, errno.EMFILE, errno.ENFILE, errno.EAGAIN, errno.EINTR),
}
NEXT = (
    "Mend or replace the file, or take its row out of the sheet, and run the same command again: "
    "a file that has changed is tried again, and each one that failed where snakemake has --config "
    "retry=true (unetflow run CONFIG -- --config retry=true)."
)


def is_of_file(error: BaseException, of: Mapping[str, object]) -> bool:
    """Whether an error is the fault of the file of an image.

    `of` are the arguments of its job; a raw file among them that is not there is a drive's fault:
    it was there when the run began.
    """
    raw = of.get("raw")
    if isinstance(raw, Mapping) and not split_dataset(str(raw["path"]))[0].exists():
        return False
    named = {int(number) for number in re.findall(r"\[Errno (\d+)\]", str(error))}
    if not isinstance(error, OF_FILES) or named & NUMBERS:
        return False
    return not any(map(_is_of_machine, _behind(error)))


def _is_of_machine(error: BaseException) -> bool:
    if isinstance(error, OSError) and error.errno in NUMBERS:
        return True
    return isinstance(error, OF_MACHINES)


def _behind(error: BaseException | None) -> Iterator[BaseException]:
    """An error and those that it came of."""
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


def failure_by(error: BaseException, rule: str, log: str | Path) -> Failure:
    """What a failed receipt says of an error; its log stands there as it lies under the results."""
    _, logs, inside = Path(log).as_posix().rpartition(f"logs/{rule}/")
    return {"stage": rule, "reason": str(error), "log": f"{logs}{inside}", "next": NEXT}
