"""All questions to a GPU in one command of a quarter of an hour: python benchmarks/gpu.py --out DIR

Five parts in the order of their worth, each in a process of its own that is ended at its limit:
exactness, inference, a whole slide, training, memory that runs out. After each part gpu.md and
gpu.json are written, so that a run that is cut off still says something. Nothing is downloaded, all
data is drawn. What needs a library that is not there is "not run: no NAME": exactness, the bare
network and the bare step need PyTorch and NumPy alone. With --cpu the same parts run small, to see
that they run; what they print then says nothing of a GPU.
"""

import argparse
import importlib
import json
import os
import platform
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from gpu_rows import NotHere, Row, Scale

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # the package beside this folder


@dataclass(frozen=True, slots=True)
class Part:
    """A part: its measures are the functions of `MEASURES` in a module beside this one."""

    title: str
    module: str
    limit_s: float


PARTS = {
    "exact": Part("Exactness, and the tests that need a GPU", "gpu_exact", 120),
    "inference": Part("Inference", "gpu_inference", 180),
    "slide": Part("A slide from TIFF to instances", "gpu_slide", 180),
    "training": Part("Training", "gpu_training", 240),
    "memory": Part("Memory that runs out, and kills", "gpu_memory", 60),
}


def rows_of(module: str, scale: Scale) -> Iterator[Row]:
    """Of each measure in turn; one that fails, or lacks something, is a row that says so."""
    try:
        measures: Mapping[str, Any] = importlib.import_module(module).MEASURES
    except ModuleNotFoundError as error:
        yield Row("all of it", f"not run: no {error.name}")
        return
    for name, measure in measures.items():
        try:
            yield from measure(scale)
        except ModuleNotFoundError as error:
            yield Row(name, f"not run: no {error.name}")
        except NotHere as error:
            yield Row(name, f"not run: no {error}")
        except Exception as error:
            lines = str(error).strip().splitlines() or [""]
            yield Row(name, f"failed: {type(error).__name__}: {lines[0]:.200}")


def run_part(name: str, options: argparse.Namespace, limit_s: float) -> dict[str, Any]:
    """The rows of a part, as far as it came, and how it ended."""
    with tempfile.TemporaryDirectory() as folder:
        into, said = Path(folder) / "rows.jsonl", Path(folder) / "said.txt"
        command = [sys.executable, __file__, "--module", PARTS[name].module, "--into", str(into)]
        command += ["--limit", str(limit_s), *(["--cpu"] if options.cpu else [])]
        command += ["--data", str(options.data)] if options.data else []
        started_s = time.monotonic()
        with said.open("wb") as output:
            process = subprocess.Popen(
                command, stdout=output, stderr=output, start_new_session=True
            )
            ended = ended_of(process, limit_s)
        lines = into.read_text().splitlines() if into.exists() else []
        last = said.read_text(errors="replace").strip().splitlines()[-1:]
    return {
        "part": name,
        "title": PARTS[name].title,
        "limit_s": limit_s,
        "seconds": round(time.monotonic() - started_s, 1),
        "ended": ended + (f" ({last[0]:.200})" if last and ended != "whole" else ""),
        "rows": [json.loads(line) for line in lines],
    }


def ended_of(process: "subprocess.Popen[bytes]", limit_s: float) -> str:
    """How it ended: whole, with a status, or at its limit, with all that it had started."""
    try:
        status = process.wait(limit_s)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        return f"ended at its limit of {limit_s:g} s"
    return "whole" if status == 0 else f"ended with status {status}"


def machine(small: bool) -> str:
    """What it ran on."""
    try:
        import torch
    except ModuleNotFoundError:
        return f"not known: no torch; Python {platform.python_version()}"
    names = [f"{os.cpu_count()} cores", f"Python {platform.python_version()}"]
    names.append(f"PyTorch {torch.__version__}")
    if small:
        return ", ".join(["no GPU: a small run on the CPU", *names])
    if not torch.cuda.is_available():
        sys.exit("PyTorch finds no NVIDIA GPU here. With --cpu the same parts run small.")
    card = torch.cuda.get_device_properties(0)
    cuda = f"CUDA {torch.version.cuda}, cuDNN {torch.backends.cudnn.version()}"
    return ", ".join([f"{card.name}, {card.total_memory / 1e9:.0f} GB", cuda, *names])


def write(out: Path, where: str, found: list[dict[str, Any]]) -> None:
    """All parts so far, as Markdown and JSON."""
    lines = ["# On a GPU", "", where, ""]
    for part in found:
        lines += [f"## {part['title']}", ""]
        lines += [f"{part['seconds']} s of at most {part['limit_s']:g} s; {part['ended']}.", ""]
        lines += ["| what | found | note |", "| --- | --- | --- |"]
        lines += [f"| {' | '.join(Row(**row).cells)} |" for row in part["rows"]]
        lines.append("")
    out.mkdir(parents=True, exist_ok=True)
    (out / "gpu.md").write_text("\n".join(lines))
    (out / "gpu.json").write_text(json.dumps({"machine": where, "parts": found}, indent=1))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("gpu-results"), help="gpu.md, gpu.json")
    parser.add_argument("--only", nargs="+", choices=PARTS, default=list(PARTS))
    parser.add_argument("--cpu", action="store_true", help="small, without a GPU")
    parser.add_argument("--data", type=Path, help="a folder with ISBI 2012's train-*.tif")
    parser.add_argument("--limit", type=float, help="seconds of each part instead of its own")
    parser.add_argument("--module", help=argparse.SUPPRESS)
    parser.add_argument("--into", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.module:
        scale = Scale(options.cpu, time.monotonic() + options.limit, options.data)
        with options.into.open("a") as file:
            for row in rows_of(options.module, scale):
                print(json.dumps(asdict(row)), file=file, flush=True)
        return
    where, found = machine(options.cpu), []
    for name in options.only:
        found.append(run_part(name, options, options.limit or PARTS[name].limit_s))
        write(options.out, where, found)
        print(f"{name}: {found[-1]['seconds']} s, {found[-1]['ended']}", flush=True)
    print((options.out / "gpu.md").read_text())


if __name__ == "__main__":
    main()
