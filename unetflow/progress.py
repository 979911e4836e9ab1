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
MEGA = 1e6


@contextmanager
def progress(
    what: str, *, total: int, done: int = 0, pixels: bool = False
) -> Iterator[Callable[..., object]]:
    """Show how much of `total` is done, and how fast: pieces, or pixels.

    Call what it yields after each piece, from any thread; for pixels with their number.
    """
    if sys.stderr.isatty():
        with tqdm(
            desc=what,
            total=total,
            initial=done,
            leave=False,
            unit="px" if pixels else "it",
            unit_scale=pixels,
        ) as bar:
            yield bar.update
        return
    lock, started_s = threading.Lock(), time.monotonic()
    last_s = started_s
    count = done

    def tick(amount: int = 1) -> None:
        nonlocal count, last_s
        with lock:
            count += amount
            now_s = time.monotonic()
            if now_s - last_s < LINE_EVERY_S:
                return
            last_s = now_s
            rate = (count - done) / (now_s - started_s)
            left_s = (total - count) / rate
            if pixels:
                of = f"{count / MEGA:.4g} of {total / MEGA:.4g} Mpx, {rate / MEGA:.3g} Mpx/s"
            else:
                of = f"{count} of {total}"
            log.info("%s: %s, about %.0f s left", what, of, left_s)

    yield tick
