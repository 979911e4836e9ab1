"""What failed and why: noted beside each log, and told once, when the run is at its end.

logs/prepare_truth/bundles/nuclei-train-3fa1c04e7b.log
logs/prepare_truth/bundles/nuclei-train-3fa1c04e7b.failed.json  only where something failed
"""

import json
import re
import shlex
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

from unetflow.errors import UnetflowError
from unetflow.provenance.receipts import BUNDLES
from unetflow.store.files import write_whole

MOST_NAMES = 10  # of images with the same error
ENDING = ".failed.json"
STOPPED, INCOMPLETE = "What stopped, and why:", "Not everything is done."
ENDINGS = (STOPPED, INCOMPLETE)
"""How the last words of a run begin."""
GO_ON = "what is finished stays, and a training goes on from its last checkpoint"


class ImagesFailed(UnetflowError):
    """Some images of a job, by name with their errors, while it did the others."""

    def __init__(self, why: Mapping[str, str], others: int) -> None:
        self.why, self.others = why, others
        count = f"{len(why)} of {len(why) + others} images failed\n"
        super().__init__((count if len(why) + others > 1 else "") + "\n".join(in_groups(why)))


def told(error: BaseException) -> str:
    """An error in words; of what nobody foresaw also its kind."""
    if isinstance(error, UnetflowError):
        return str(error)
    return f"{type(error).__name__}: {error} (not foreseen: the log has its traceback)"


def note_failure(log: Path, error: BaseException) -> None:
    """Write beside a log what failed, image by image where several share the job."""
    note: dict[str, object] = {"why": {"": told(error)}, "others": 0}
    if isinstance(error, ImagesFailed):
        note = {"why": error.why, "others": error.others}
    write_whole(_note_of(log), json.dumps(note).encode())


def forget_failure(log: Path) -> None:
    """Take the note of an earlier attempt away."""
    _note_of(log).unlink(missing_ok=True)


def forget_failures(logs: Path) -> None:
    """Take the notes of earlier runs away."""
    for note in logs.rglob(f"*{ENDING}"):
        note.unlink(missing_ok=True)


def farewell(logs: Path, arguments: Sequence[str]) -> str:
    """What to say at the end of a run that is not complete: what failed, and how to go on.

    `logs` is the folder of all logs, `arguments` are those that Snakemake was called with.
    """
    why: dict[str, str] = {}
    log_of: dict[str, Path] = {}
    waiting = 0
    for file in sorted(logs.rglob(f"*{ENDING}")):
        note = json.loads(file.read_text())
        job = file.relative_to(logs).as_posix().removesuffix(ENDING)
        own = {_who(job, image, why): text for image, text in note["why"].items()}
        why |= own
        log_of |= dict.fromkeys(own, file.with_name(file.name.replace(ENDING, ".log")))
        waiting += note["others"]
    again = f"run the same command again: {GO_ON}.\n  {shlex.join(['snakemake', *arguments])}"
    if not why:
        return f"{INCOMPLETE} To go on {again}"
    parts = [STOPPED, *in_groups(why, log_of)]
    if waiting:
        parts.append(
            f"{waiting} images that share jobs with these wait for them; with images_per_job: 1 in "
            "the dataset they go on."
        )
    return "\n\n".join([*parts, f"Mend what needs it, and {again}"])


def _who(job: str, image: str, known: Collection[str]) -> str:
    """What failed: `prepare_truth of a`, `predict/unet/fold0 of a`; the whole job if it is known.

    A part of an image fails as others of it do.
    """
    if not image:
        return job
    short = f"{job.partition(f'/{BUNDLES}/')[0]} of {image}"
    return f"{job} of {image}" if short in known else short


def in_groups(why: Mapping[str, str], log_of: Mapping[str, Path] | None = None) -> list[str]:
    """Errors by who had them: those that differ in names and numbers alone are told once."""
    alike: dict[str, list[str]] = {}
    for who, text in why.items():
        alike.setdefault(_sentence(text), []).append(who)
    found = []
    for first, *others in alike.values():
        text = f"{first}: {why[first]}"
        if others:
            more = f" and {len(others) - MOST_NAMES} more" if len(others) > MOST_NAMES else ""
            text += f"\n  The same: {', '.join(others[:MOST_NAMES])}{more}"
        if log_of:
            text += f"\n  Log: {log_of[first]}"
        found.append(text)
    return found


def _sentence(text: str) -> str:
    """An error without the file that it begins with, and without its numbers."""
    _, _, behind = text.partition(": ")
    return re.sub(r"\d+([.,x ]+\d+)*", "#", behind or text)


def _note_of(log: Path) -> Path:
    return log.with_name(f"{log.name.removesuffix('.log')}{ENDING}")
