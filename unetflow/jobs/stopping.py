"""A run that is told to stop ends like after Ctrl-C, in seconds, with its folder unlocked."""

import signal
from types import FrameType

import psutil

SHELLS = {"bash", "dash", "sh"}


def stop_at_signals() -> None:
    """Let SIGTERM and SIGHUP stop the jobs of this machine, and then this process as Ctrl-C does.

    By itself Snakemake waits at SIGTERM until its jobs are done, which may take hours, and a closed
    terminal (SIGHUP) kills it in a locked folder. Where SIGHUP is ignored (nohup) it stays so.
    """
    signal.signal(signal.SIGTERM, _stop)
    if signal.getsignal(signal.SIGHUP) != signal.SIG_IGN:
        signal.signal(signal.SIGHUP, _stop)


def _stop(number: int, frame: FrameType | None) -> None:
    for each in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(each, signal.SIG_IGN)  # the jobs are told once
    for process in psutil.Process().children(recursive=True):
        if process.name() not in SHELLS:  # which would die before what they wait for
            process.terminate()
    raise KeyboardInterrupt
