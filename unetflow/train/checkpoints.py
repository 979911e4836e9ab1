"""Checkpoints written by rename and kept twice, and the signals that ask for one."""

import hashlib
import io
import logging
import signal
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType, TracebackType
from typing import Any, Self

import torch

from unetflow.errors import StoreError
from unetflow.store.files import renamed_at_end

log = logging.getLogger(__name__)

CHECKSUM_BYTES = 16


@dataclass(slots=True)
class Checkpoint:
    """The file that a training goes on from, and the one before it, should this one be damaged.

    It is a file of `torch.save`, and ends in a checksum of all of it.
    """

    path: Path
    digest: str  # of all that decides the weights: of another making it is not gone on with
    every_s: float = 60.0  # seconds from one writing to the next
    earlier: Sequence[str] = ()  # digests of trainings of fewer steps that this one goes on from
    _whole: bool = field(default=False, init=False)  # the file at `path`, as far as is known here

    @property
    def before(self) -> Path:
        """Where the one before is kept."""
        return self.path.with_name("before.pt")

    def save(self, state: Mapping[str, object]) -> None:
        """Write it by rename. Raises StoreError where the disk refuses it."""
        content = io.BytesIO()
        torch.save({"digest": self.digest, **state}, content)
        content.write(_checksum(content.getbuffer()))
        with renamed_at_end(self.path) as partial:
            partial.write_bytes(content.getbuffer())
            if self._whole and self.path.exists():  # one that is damaged replaces none that is not
                self.path.replace(self.before)
        self._whole = True

    def load(self) -> dict[str, Any] | None:
        """What was saved last, or else before it; None where both are lost or of another making.

        Raises StoreError where one is there that the system does not read just now.
        """
        reasons: dict[str, int] = {}  # and how bad each is
        for path in (self.path, self.before):
            if path.exists() and (state := self._read(path, reasons)) is not None:
                self._say(reasons, "going on from the one before it")
                return state
        self._say(reasons, "training starts anew")
        return None

    def _read(self, path: Path, reasons: dict[str, int]) -> dict[str, Any] | None:
        """What is in a file, or None with a further reason why it is nothing to go on from."""
        try:
            content = path.read_bytes()
        except OSError as error:  # it may be whole, and to start anew would write over it
            raise StoreError(
                f"{path}: could not be read ({error.strerror or error}). Mend that, or delete it "
                "to do its steps again, and run the same command again."
            ) from error
        try:
            if content[-CHECKSUM_BYTES:] != _checksum(memoryview(content)[:-CHECKSUM_BYTES]):
                reasons[f"{path} is damaged: its checksum is another one"] = logging.WARNING
                return None
            state: dict[str, Any] = torch.load(
                io.BytesIO(content), map_location="cpu", weights_only=True
            )
            found = state["digest"]
        except MemoryError:
            raise
        except Exception as error:  # torch.load raises many kinds
            reasons[f"{path} cannot be read ({error})"] = logging.WARNING
            return None
        if path == self.path:
            self._whole = True
        if found in self.earlier:
            log.info("%s is of a training of fewer steps, which this one goes on from", path)
        elif found != self.digest:
            reasons[f"{path} is of another recipe, data or code"] = logging.INFO
            return None
        return state

    def _say(self, reasons: Mapping[str, int], what: str) -> None:
        if reasons:
            log.log(max(reasons.values()), "%s: %s", "; ".join(reasons), what)


def _checksum(content: bytes | memoryview) -> bytes:
    return hashlib.blake2b(content, digest_size=CHECKSUM_BYTES).digest()


class StopSignal:
    """While active, SIGTERM and SIGUSR1 are noted in `requested` (their name) instead of killing.

    Outside the main thread, where Python cannot catch signals, it notes nothing.
    """

    def __init__(self) -> None:
        self.requested: str | None = None
        self._before: dict[int, Any] = {}

    def __enter__(self) -> Self:
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGTERM, signal.SIGUSR1):
                self._before[number] = signal.signal(number, self._note)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _note(self, number: int, frame: FrameType | None) -> None:
        self.requested = signal.Signals(number).name
