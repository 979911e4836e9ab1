"""Progress of long stages: a bar on a terminal, plain lines in a log file."""

import logging
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from tqdm import tqdm

log = logging.getLogger(__name__)

LINE_EVERY_S = 20.0


@contextmanager
def progress(what: str, *, total: int, done: int = 0) -> Iterator[Callable[[], object]]:
    """Show how many of `total` pieces are done; call what it yields after each, from any thread."""
    if sys.stderr.isatty():
        with tqdm(desc=what, total=total, initial=done, leave=False) as bar:
            yield bar.update
        return
    lock, started_s = threading.Lock(), time.monotonic()
    last_s = started_s
    count = done

    def tick() -> None:
        nonlocal count, last_s
        with lock:
            count += 1
            now_s = time.monotonic()
            if now_s - last_s >= LINE_EVERY_S:
                last_s = now_s
                left_s = (now_s - started_s) / (count - done) * (total - count)
                log.info("%s: %d of %d, about %.0f s left", what, count, total, left_s)

    yield tick
