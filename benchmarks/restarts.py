"""Jobs killed again and again beside undisturbed ones: python benchmarks/restarts.py --help.

All processes are killed (SIGKILL, as by a power loss) at a random time after something was written,
and the same command is run again: the demo's training in the pipeline, or the segmentation of a
drawn slide by the command. Prints what was there at each kill and what the next run made of it; at
the end, whether what was written is the same to the byte. The whole of a small pipeline is killed
by the schedule of `kill_schedule`.
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
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import tifffile
import torch
import yaml
from kill_schedule import kill_pipeline, project_in

from unetflow import networks
from unetflow.demo.planes import draw_region
from unetflow.networks.model_file import save_model

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
        self.written = results / "models/unet/fold0/model.safetensors"
        self._checkpoint = self.written.parent / "checkpoints/last.pt"
        self._log = results / "logs/train/unet/fold0.log"
        self._command = ["snakemake", "--cores", "2", "--configfile", str(path), "--"]

    def start(self) -> "subprocess.Popen[bytes]":
        quiet: dict[str, Any] = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        command = [*self._command, str(self.written)]
        return subprocess.Popen(command, cwd=ROOT, start_new_session=True, **quiet)

    def files(self) -> dict[Path, int]:
        """What a kill must not lose, and when it was written [ns]."""
        return times_of(p for p in (self._checkpoint, self.written) if p.exists())

    def killed(self) -> str:
        """Make it ready to be run again; what there is to tell."""
        age_s = time.time() - self._checkpoint.stat().st_mtime
        command = [*self._command[:-1], "--unlock"]
        subprocess.run(command, cwd=ROOT, capture_output=True, check=True)
        return f"{self.ended()}; its checkpoint was {age_s:.1f} s old"

    def ended(self) -> str:
        found = re.search(r"going (on from step \d+ of \d+)", self._log.read_text())
        return f"it went {found[1]}" if found else "it began with step 0"


class Segmentation:
    """The command on a drawn slide, with random weights or those of a model."""

    def __init__(self, folder: Path, name: str, options: argparse.Namespace) -> None:
        model = (options.model or folder / "model.safetensors").resolve()
        image = folder / "slide.tif"
        if options.model is None and not model.exists():
            torch.manual_seed(0)
            network: Any = {"name": "unet", "base_channels": 16}
            description: Any = {"network": network, "channels": 1, "classes": ["cell"], "mpp": None}
            intensity = {"mean": [128.0], "deviation": [8.0]}
            random_weights = networks.build(**network)
            save_model(model, random_weights, description | {"intensity": intensity})
        if not image.exists():
            block = draw_region(slice(0, 1024), slice(0, 1024), seed=1)[0]
            times = options.side // 1024
            tifffile.imwrite(image, np.tile(block, (times, times)), tile=(256, 256))
        self.written = folder / f"{name}.ome.zarr"
        self._command = [sys.executable, "-m", "unetflow.predict", *map(str, (model, image))]
        self._command += [str(self.written), "--min-area-px", "20", "--threads", "2"]
        self._kept: dict[Path, int] = {}

    def start(self) -> "subprocess.Popen[bytes]":
        quiet: dict[str, Any] = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        return subprocess.Popen(self._command, cwd=ROOT, start_new_session=True, **quiet)

    def files(self) -> dict[Path, int]:
        """Finished shards, and when they were written [ns]."""
        return times_of(p for p in self.written.glob("**/c/**/*") if p.name.isdigit())

    def killed(self) -> str:
        said = self.ended()
        self._kept = self.files()
        return f"{len(self._kept)} shards were finished, {said}"

    def ended(self) -> str:
        now = self.files()
        again = sum(now.get(path) != time_ns for path, time_ns in self._kept.items())
        return f"{again} of the {len(self._kept)} before were written again"


Job = Training | Segmentation


def times_of(paths: Iterable[Path]) -> dict[Path, int]:
    return {path: path.stat().st_mtime_ns for path in paths if path.is_file()}


def kill(job: Job, after_s: float) -> bool:
    """Run it, and kill it some time after it wrote something next; False where it ended before."""
    before = job.files()
    process = job.start()
    while job.files() == before and process.poll() is None:
        time.sleep(0.02)
    time.sleep(after_s)
    if process.poll() is not None:
        return False
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    return True


def finish(job: Job) -> float:
    """Run it to its end; seconds."""
    started = time.monotonic()
    if job.start().wait():
        sys.exit("it failed; run the same by hand to see why")
    return time.monotonic() - started


def content(written: Path) -> dict[str, bytes]:
    """All that was written, by its place."""
    paths = [written] if written.is_file() else sorted(written.rglob("*"))
    return {str(p.relative_to(written)): p.read_bytes() for p in paths if p.is_file()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument(
        "--of", choices=("training", "segmentation", "pipeline"), default="training"
    )
    parser.add_argument("--kills", type=int, default=4)
    parser.add_argument("--steps", type=int, default=160, help="of the training")
    parser.add_argument("--checkpoint-s", type=float, default=5, help="longest time to a kill")
    parser.add_argument("--side", type=int, default=8192, help="of the slide [px]")
    parser.add_argument("--model", type=Path, help="model.safetensors; else random weights")
    parser.add_argument("--seed", type=int, default=0, help="of what is killed when")
    options = parser.parse_args()
    if options.of == "pipeline":
        with tempfile.TemporaryDirectory() as folder:
            project = project_in(Path(folder))
            sys.exit(not kill_pipeline(project, options.kills, options.seed))
    kind = Training if options.of == "training" else Segmentation
    chance = random.Random(options.seed)
    with tempfile.TemporaryDirectory() as folder:
        one = kind(Path(folder), "undisturbed", options)
        print(f"undisturbed: {finish(one):.0f} s", flush=True)
        other = kind(Path(folder), "killed", options)
        for number in range(1, options.kills + 1):
            if not kill(other, chance.uniform(0, options.checkpoint_s)):
                sys.exit(f"it ended or failed before kill {number}")
            print(f"kill {number}: {other.killed()}", flush=True)
        print(f"last run: {finish(other):.0f} s, {other.ended()}")
        same = content(one.written) == content(other.written)
        print(f"equal to the byte: {same}")
        if not same:
            sys.exit(1)


if __name__ == "__main__":
    main()
