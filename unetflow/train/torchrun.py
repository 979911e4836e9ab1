"""Several processes that train together on one machine, by torchrun: started, told when to stop."""

import json
import logging
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from types import FrameType

from unetflow.engine.gpus import claim_gpus, name_of
from unetflow.engine.machine import Machine
from unetflow.errors import ModelError

log = logging.getLogger(__name__)


STOP_SIGNALS = (signal.SIGTERM, signal.SIGUSR1)


def train_together(machine: Machine, module: str, arguments: Mapping[str, object]) -> None:
    """`python -m module arguments.json` in as many processes as the machine is to have.

    One per GPU, where there are any. A stop signal is passed on as SIGTERM: the processes write a
    checkpoint and end. Raises ModelError where they fail; why stands above in the log.
    """
    processes = machine.processes
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "arguments.json"
        path.write_text(json.dumps(arguments, default=str))
        torchrun = ["-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={processes}"]
        with subprocess.Popen(
            [sys.executable, *torchrun, "-m", module, str(path)],
            env=_with_gpus(processes) if machine.gpu else None,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",  # libraries write to it, too, in whatever encoding
        ) as process:

            def pass_on(number: int, frame: FrameType | None) -> None:
                process.terminate()

            before = {number: signal.signal(number, pass_on) for number in STOP_SIGNALS}
            try:
                for line in process.stdout or ():
                    log.info(line.rstrip())
                process.wait()
            except BaseException:
                process.terminate()
                raise
            finally:
                for number, handler in before.items():
                    signal.signal(number, handler)
        code = process.returncode
    if code:
        raise ModelError(
            f"training in {processes} processes ended with code {code}; the log above says why. "
            "Run the same command again to go on from the last checkpoint."
        )


def _with_gpus(count: int) -> dict[str, str]:
    """The environment of processes that see so many GPUs, which no other job holds."""
    names = [name_of(number) for number in claim_gpus(count)]
    visible = {"CUDA_VISIBLE_DEVICES": ",".join(names)} if names else {}
    return os.environ | visible
