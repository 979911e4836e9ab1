"""Checkpoints written by rename, and the signals that ask for one."""

import io
import logging
import signal
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import FrameType, TracebackType
from typing import Any, Self

import torch

from unetflow.store.files import write_whole

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """The file that a training goes on from."""

    path: Path
    digest: str  # of all that decides the weights: of another making it is not gone on with
    every_s: float = 60.0  # seconds from one writing to the next

    def save(self, state: Mapping[str, object]) -> None:
        """Write it by rename. Raises StoreError where the disk refuses it."""
        content = io.BytesIO()
        torch.save({"digest": self.digest, **state}, content)
        write_whole(self.path, content.getvalue())

    def load(self) -> dict[str, Any] | None:
        """What was saved, or None: there is none, or it is of another making or broken."""
        path = self.path
        for leftover in path.parent.glob(f".{path.name}.*"):  # of a kill while it was written
            leftover.unlink(missing_ok=True)
        if not path.exists():
            return None
        try:
            state: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
            found = state["digest"]
        except Exception as error:  # torch.load raises many kinds
            log.warning("%s cannot be read (%s): training starts anew", path, error)
            return None
        if found != self.digest:
            log.info("%s is of another recipe, data or code: training starts anew", path)
            return None
        return state


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
