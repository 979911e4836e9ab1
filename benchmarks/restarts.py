"""A training killed again and again beside an undisturbed one: python benchmarks/restarts.py.

All processes of Snakemake are killed (SIGKILL, as by a power loss) some time after a checkpoint,
drawn at random, and the same command is run again. Prints how old the checkpoint was at each kill
and where the next run went on; at the end, whether both models are the same to the byte.
"""

import argparse
import os
import random
import re
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).parents[1]


class Training:
    """The demo's training, with results of its own."""

    def __init__(self, folder: Path, name: str, options: argparse.Namespace) -> None:
        results = folder / name
        config: dict[str, Any] = yaml.safe_load((ROOT / "config/config.yaml").read_text())
        config |= {"results": str(results), "data_dir": str(folder / "data")}
        config["train"]["checkpoint_s"] = options.checkpoint_s
        config["experiments"]["unet"]["recipe"] |= {
            "steps": options.steps,
            "validate_every": options.steps // 4,
        }
        path = folder / f"{name}.yaml"
        path.write_text(yaml.safe_dump(config))
        self.model = results / "models/unet/fold0/model.safetensors"
        self._checkpoint = self.model.parent / "checkpoints/last.pt"
        self._log = results / "logs/train/unet/fold0.log"
        self._command = ["snakemake", "--cores", "2", "--configfile", str(path), "--"]

    def start(self) -> "subprocess.Popen[bytes]":
        quiet: dict[str, Any] = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        command = [*self._command, str(self.model)]
        return subprocess.Popen(command, cwd=ROOT, start_new_session=True, **quiet)

    def unlock(self) -> None:
        command = [*self._command[:-1], "--unlock"]
        subprocess.run(command, cwd=ROOT, capture_output=True, check=True)

    def written_s(self) -> float:
        """When the checkpoint was written; 0: there is none."""
        return self._checkpoint.stat().st_mtime if self._checkpoint.exists() else 0.0

    def went_on_from(self) -> str:
        found = re.search(r"going (on from step \d+ of \d+)", self._log.read_text())
        return f"went {found[1]}" if found else "began with step 0"


def kill(training: Training, after_s: float) -> float | None:
    """Run it, and kill it some time after its next checkpoint; the age of that in seconds.

    None where it ended before.
    """
    before_s = training.written_s()
    process = training.start()
    while training.written_s() == before_s and process.poll() is None:
        time.sleep(0.05)
    time.sleep(after_s)
    if process.poll() is not None:
        return None
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    age_s = time.time() - training.written_s()
    training.unlock()
    return age_s


def finish(training: Training) -> float:
    """Run it to its end; seconds."""
    started = time.monotonic()
    if training.start().wait():
        sys.exit("the training failed; run the same by hand to see why")
    return time.monotonic() - started


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--steps", type=int, default=160)
    parser.add_argument("--kills", type=int, default=4)
    parser.add_argument("--checkpoint-s", type=float, default=5)
    options = parser.parse_args()
    chance = random.Random(0)
    with tempfile.TemporaryDirectory() as folder:
        one = Training(Path(folder), "undisturbed", options)
        print(f"undisturbed: {finish(one):.0f} s", flush=True)
        other = Training(Path(folder), "killed", options)
        for number in range(1, options.kills + 1):
            age_s = kill(other, chance.uniform(0, options.checkpoint_s))
            if age_s is None:
                sys.exit(f"it ended before kill {number}: more --steps are needed")
            print(
                f"kill {number} of a run that {other.went_on_from()}; its checkpoint was "
                f"{age_s:.1f} s old, of every {options.checkpoint_s:g} s",
                flush=True,
            )
        print(f"last run: {finish(other):.0f} s, {other.went_on_from()}")
        same = one.model.read_bytes() == other.model.read_bytes()
        print(f"models equal to the byte: {same}")
        if not same:
            sys.exit(1)


if __name__ == "__main__":
    main()
