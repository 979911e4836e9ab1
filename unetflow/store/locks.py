"""Who writes an array: writers of one making share it, one of another making is refused.

A lock is a folder beside the array in which each writer has a file, its *claim*: it says array,
digest of the making and writer, and its time is the writer's heartbeat. Empty files beside it say
how far its writer is:

    {token}           has come, and looks who was before
    {token}.{number}  waits for those with a smaller number, then opens the array alone
    {token}.writes    writes shards, beside others of the same making

That is Lamport's bakery (1974), which asks no more of a file system than that new files are seen
once they are made, as NFS does for a folder that was changed from here; none of its promises about
flock is relied on. A claim is void at once where its process or its SLURM job is known to have
ended, else when its heart has not beaten for `STALE_S`. Nothing of a lock stays when its writers
have ended well, and nothing reads it but this module.
"""

import json
import logging
import math
import os
import secrets
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from unetflow.errors import StoreError
from unetflow.store.writers import Writer

log = logging.getLogger(__name__)

BEAT_S = 30.0
STALE_S = 300.0
POLLS_S = (0.1, 2.0)  # between looks at those before, at first and later
WRITES = "writes"


@dataclass(frozen=True, slots=True)
class Claim:
    """Another writer's claim on an array."""

    path: Path
    number: int  # 0: it has none yet
    writes: bool
    digest: str  # of the making, as the next not known where the file is half written
    writer: Writer | None
    since: str

    @property
    def order(self) -> tuple[int, str]:
        """Who of those that wait is first."""
        return self.number, self.path.name

    def __str__(self) -> str:
        return str(self.writer or "an unknown process")

    def is_gone(self) -> bool | None:
        """Whether its writer has ended, None where that cannot be told."""
        return self.writer.is_gone() if self.writer else None

    def beat_s(self) -> float:
        """When its heart last beat, by the clock of the file server."""
        try:
            return self.path.stat().st_mtime
        except FileNotFoundError:
            return math.inf  # it has just been given up

    def remove(self) -> None:
        """The file itself last, so that no kill leaves a claim that looks further than it is."""
        for mark in self.path.parent.glob(f"{self.path.name}.*"):
            mark.unlink(missing_ok=True)
        self.path.unlink(missing_ok=True)


class Lock:
    """A claim of this process on an array, from when it is made until it is released.

    Making it waits until nobody else opens the array; `share` lets the next one do so. Raises
    StoreError where somebody writes the array with another digest.
    """

    def __init__(self, array: Path, digest: str) -> None:
        self._array, self._digest, self._writer = array, digest, Writer.here()
        self._folder = array.with_name(f".{array.name}.lock")
        self._claim = self._folder / secrets.token_hex(8)
        try:
            self._make()
            _keep_beating(self)
            number = 1 + max((claim.number for claim in self._others()), default=0)
            self._mark(str(number))
            self._wait((number, self._claim.name))
        except OSError as error:
            self.release()
            raise StoreError(
                f"{self._array}: cannot be locked for writing ({error.strerror}). Make room or "
                "rights and run the same command again."
            ) from error
        except BaseException:
            self.release()
            raise

    def share(self) -> None:
        """The array is opened: let others of the same making open it too."""
        self._mark(WRITES)

    def is_shared(self) -> bool:
        """Whether other processes that may live write the array too."""
        others = [claim for claim in self._others() if claim.writer != self._writer]
        living = [claim for claim in others if not self._is_void(claim)]  # removes all that are
        return any(claim.writes for claim in living)

    def confirm(self) -> None:
        """Raises StoreError where the claim is not there: this process was taken for dead."""
        _confirm(self._array, self._claim)

    def __reduce__(self) -> "tuple[type[BorrowedLock], tuple[Path, Path]]":
        return BorrowedLock, (self._array.absolute(), self._claim.absolute())

    def release(self) -> None:
        """Give the claim up. One that a forked process inherited is its parent's."""
        if os.getpid() != self._writer.pid:
            return
        with _HELD_LOCK:
            _HELD.discard(self)
        with suppress(OSError):  # what stays is void when this process has ended
            Claim(self._claim, 0, False, "", None, "").remove()
            self._folder.rmdir()  # not while others have claims

    def beat(self) -> None:
        """Show that this process lives."""
        with suppress(OSError):  # `confirm` says what is wrong
            os.utime(self._claim)

    def _make(self) -> None:
        content = {
            "array": str(self._array),
            "digest": self._digest,
            "writer": self._writer.described,
            "since": time.strftime("%Y-%m-%d %H:%M:%S %z"),
        }
        for attempt in range(100):
            self._folder.mkdir(parents=True, exist_ok=True)
            try:
                with self._claim.open("x") as file:
                    json.dump(content, file)
                return
            except FileNotFoundError:  # the last of others has just removed the folder
                if attempt == 99:
                    raise

    def _mark(self, state: str) -> None:
        self.confirm()
        self._claim.with_name(f"{self._claim.name}.{state}").touch(exist_ok=False)

    def _wait(self, order: tuple[int, str]) -> None:
        """Until those before this one have opened the array."""
        heard: dict[str, float] = {}  # the first heartbeat of each that was seen
        polls = 0
        while True:
            self.confirm()
            before = [
                claim
                for claim in self._others()
                if (claim.digest != self._digest if claim.writes else claim.order < order)
                and not self._is_void(claim)
            ]
            if not before:
                return
            for claim in before:
                first = heard.setdefault(claim.path.name, claim.beat_s())
                self._refuse_if_it_lives(claim, first)
            polls += 1
            if polls == 20:
                log.info("%s: waits for %s, or until that is silent", self._array, before[0])
            time.sleep(POLLS_S[polls > 20])

    def _refuse_if_it_lives(self, claim: Claim, first_beat_s: float) -> None:
        """Raises StoreError where a writer of another making is known to live.

        One that nobody can be asked about lives if its heart is seen to beat.
        """
        if claim.digest == self._digest or not claim.number:
            return
        beat_s = claim.beat_s()
        if claim.is_gone() is not False and (beat_s <= first_beat_s or beat_s == math.inf):
            return
        raise StoreError(
            f"{self._array}: is being written by {claim} since {claim.since}, from other inputs, "
            "settings or code. Wait until that has ended, or stop it, and run the same command "
            "again; or give this run a results folder of its own."
        )

    def _is_void(self, claim: Claim) -> bool:
        """Whether nobody stands behind a claim, which is removed then."""
        gone = claim.is_gone()
        if gone is None:
            gone = Claim(self._claim, 0, False, "", None, "").beat_s() - claim.beat_s() > STALE_S
        elif claim.writer == self._writer:  # opened anew here, with other settings
            gone = claim.digest != self._digest
        if gone:
            log.info("%s: the lock of %s is void: it has ended", self._array, claim)
            claim.remove()
        return gone

    def _others(self) -> list[Claim]:
        """Claims of others that are there just now."""
        return [claim for claim in _claims_in(self._folder) if claim.path != self._claim]


class BorrowedLock:
    """The lock of another process, in one that writes in its name; it is the other's to give up."""

    def __init__(self, array: Path, claim: Path) -> None:
        self._array, self._claim = array, claim

    def __reduce__(self) -> "tuple[type[BorrowedLock], tuple[Path, Path]]":
        return BorrowedLock, (self._array, self._claim)

    def confirm(self) -> None:
        """Raises StoreError where the other holds it no more."""
        _confirm(self._array, self._claim)

    def is_shared(self) -> bool:
        """As of `Lock`: with the process at least that it is borrowed from."""
        return True


def _confirm(array: Path, claim: Path) -> None:
    try:
        os.utime(claim)
    except FileNotFoundError as error:
        raise StoreError(
            f"{array}: is held for writing no more: its writer gave no sign of life for "
            f"{STALE_S:.0f} s and another took over, or has ended, or the folder was deleted. Run "
            "the same command again: what is finished is kept."
        ) from error


@contextmanager
def locked(path: Path, digest: str) -> Iterator[None]:
    """Meanwhile this process writes at a path, beside others that write the same.

    Raises StoreError where somebody writes there with another digest.
    """
    lock = Lock(path, digest)
    try:
        lock.share()
        lock.is_shared()  # takes away what is left of those that were killed
        yield
    finally:
        lock.release()


def writers_below(folder: Path) -> list[str]:
    """Who writes arrays anywhere below a folder, as far as is known."""
    claims = [claim for lock in folder.rglob(".*.lock") for claim in _claims_in(lock)]
    return sorted(
        {
            str(claim)
            for claim in claims
            if not (gone := claim.is_gone())
            and (gone is False or time.time() - claim.beat_s() < STALE_S)
        }
    )


def _claims_in(folder: Path) -> list[Claim]:
    """Claims that are in the folder of a lock just now."""
    names = {path.name for path in folder.iterdir()}
    tokens = {name.partition(".")[0] for name in names} & names
    found = []
    for token in sorted(tokens):
        marks = [name.partition(".")[2] for name in names if name.startswith(f"{token}.")]
        numbers = [int(mark) for mark in marks if mark.isdecimal()]
        path, number = folder / token, max(numbers, default=0)
        told: tuple[str, Writer | None, str]
        try:
            of = json.loads(path.read_text())
            told = of["digest"], Writer.read(of["writer"]), of["since"]
        except FileNotFoundError:
            continue
        except (ValueError, LookupError, TypeError):
            told = "", None, ""
        found.append(Claim(path, number, WRITES in marks, *told))
    return found


_HELD: set[Lock] = set()
_HELD_LOCK = threading.RLock()  # a lock may be released wherever Python collects garbage
_BEATING: list[threading.Thread] = []


def _keep_beating(lock: Lock) -> None:
    """One thread for all locks of a process."""
    with _HELD_LOCK:
        _HELD.add(lock)
        if not any(thread.is_alive() for thread in _BEATING):  # a forked process has none
            _BEATING[:] = [threading.Thread(target=_beat, name="heartbeat", daemon=True)]
            _BEATING[0].start()


def _beat() -> None:
    while True:
        time.sleep(BEAT_S)
        with _HELD_LOCK:
            held = list(_HELD)
        for lock in held:
            lock.beat()
