"""How busy the GPUs of a machine were, as the driver's own program tells it."""

import logging
import shutil
import statistics
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress

log = logging.getLogger(__name__)

PROGRAM, EVERY_S = "nvidia-smi", 5
ASKED = ("--query-gpu=uuid,utilization.gpu", "--format=csv,noheader,nounits", f"--loop={EVERY_S}")
END_S = 10


@contextmanager
def gpu_busy(wanted: bool) -> Iterator[dict[str, float]]:
    """Measure meanwhile, every few seconds; nothing where it is not `wanted` or cannot be known.

    At the end the share of the time in which a GPU computed anything stands there by the name of
    the GPU, as `unetflow.engine.gpus` has it.
    """
    shares: dict[str, float] = {}
    program = shutil.which(PROGRAM)
    if not wanted or program is None:
        yield shares
        return
    with tempfile.TemporaryFile("w+") as told:
        process = subprocess.Popen([program, *ASKED], stdout=told, stderr=subprocess.DEVNULL)
        try:
            yield shares
        finally:
            _end(process)
        told.seek(0)
        percents: dict[str, list[int]] = {}
        for name, _, percent in (line.strip().partition(", ") for line in told):
            if percent.isdigit():  # of a part of a GPU it is not supported
                percents.setdefault(name, []).append(int(percent))
    shares |= {name: round(statistics.mean(of) / 100, 3) for name, of in percents.items()}


def _end(process: subprocess.Popen[bytes]) -> None:
    """End the program; one that hangs in its driver is left behind, and no error."""
    process.terminate()
    try:
        process.wait(END_S)
    except subprocess.TimeoutExpired:
        log.warning("%s did not end in %g s: the GPU or its driver may hang", PROGRAM, END_S)
        process.kill()
        with suppress(subprocess.TimeoutExpired):
            process.wait(END_S)
