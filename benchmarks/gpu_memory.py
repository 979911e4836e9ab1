"""Part 5 of `gpu.py`: memory that others have taken, and a training that is killed."""

import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from gpu_exact import network_of
from gpu_inference import predicted
from gpu_rows import Row, Scale

HOLD = """
import sys, torch
left = float(sys.argv[1])
free, _ = torch.cuda.mem_get_info()
held = torch.empty(max(0, int(free - left)), dtype=torch.uint8, device="cuda")
print("held", flush=True)
sys.stdin.read()
"""
LEFT_BYTES = 3e9  # that another process leaves of the card
STEPS = 200


@contextmanager
def other_process(left_bytes: float) -> Iterator[None]:
    """As long as it is open, another process has all but some bytes of the card."""
    pipes: dict[str, Any] = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    with subprocess.Popen([sys.executable, "-c", HOLD, str(left_bytes)], **pipes) as process:
        assert process.stdout is not None and process.stdout.readline() == "held\n"
        try:
            yield
        finally:
            process.kill()


def smaller_tiles(scale: Scale) -> Iterator[Row]:
    """Beside a process that has nearly all memory, tiles are halved before anything is written."""
    scale.on_gpu()
    from prediction import draw_slide

    from unetflow.store.shards import read_array

    network = network_of(64)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        draw_slide(folder, 2048)
        usual, usual_s, _ = predicted(folder, network, 4, scale)
        (alone,) = set(folder.glob("*.ome.zarr")) - {folder / "i.ome.zarr"}
        torch.cuda.empty_cache()
        with other_process(LEFT_BYTES):
            plan, elapsed_s, _ = predicted(folder, network, 4, scale)
        (beside,) = set(folder.glob("*.ome.zarr")) - {folder / "i.ome.zarr", alone}
        a, b = (read_array(store, "foreground")[:].astype(int) for store in (alone, beside))
    yield Row(
        f"beside a process that leaves {LEFT_BYTES / 1e9:g} GB, base 64, bf16",
        f"tiles of {plan.write_px} px instead of {usual.write_px} px",
        note=f"{elapsed_s:.1f} s instead of {usual_s:.1f} s; largest difference of the foreground "
        f"{abs(a - b).max()} of 255",
    )


def estimated_tiles(scale: Scale) -> Iterator[Row]:
    """The same decision where memory is estimated: on a CPU."""
    from unetflow.predict.ensemble import Ensemble
    from unetflow.predict.plan import Inference
    from unetflow.predict.runners import orientations_of
    from unetflow.tiles.tiling import Tiling

    ensemble = Ensemble([(network_of(16), {})], memory_mb=400)  # type: ignore[typeddict-item]
    how = Inference("cpu", "fp32", orientations_of(1))
    wanted = Tiling.square(ensemble.geometry, 2048)
    found = ensemble.fitting(wanted, how).side_px
    yield Row("on a CPU with 400 MB, base 16, fp32", f"tiles of {found} px instead of 2048 px")


def killed_training(scale: Scale) -> Iterator[Row]:
    """SIGKILL after a checkpoint, then the same again: the same weights to the bit?"""
    with tempfile.TemporaryDirectory() as name:
        folders = [Path(name) / each for each in ("undisturbed", "killed")]
        for folder in folders:
            folder.mkdir()
        if scale.small:
            train_to_end(folders[0], scale)
        else:
            started(folders[0], scale).wait()
        process = started(folders[1], scale)
        while not (folders[1] / "last.pt").exists() and process.poll() is None:
            time.sleep(0.01)
        killed = process.poll() is None
        process.kill()
        process.wait()
        step = train_to_end(folders[1], scale)
        one, two = (torch.load(folder / "weights.pt", map_location="cpu") for folder in folders)
    same = all(torch.equal(one[key], two[key]) for key in one)
    yield Row(
        "a training that was killed" if killed else "a training that ended before its kill",
        "the same weights to the bit" if same else "other weights",
        note=f"went on from step {step} of {steps_of(scale)}; deterministic: true",
    )


def steps_of(scale: Scale) -> int:
    return int(scale.pick(STEPS, 400))


def started(folder: Path, scale: Scale) -> "subprocess.Popen[bytes]":
    command = [sys.executable, __file__, str(folder), *(["--cpu"] if scale.small else [])]
    return subprocess.Popen(command)


def train_to_end(folder: Path, scale: Scale) -> int:
    """Goes on from the folder's checkpoint, if there is one; the step that it began with."""
    from gpu_training import images, run_of, workers

    from unetflow.stages.train import _determine
    from unetflow.train.checkpoints import Checkpoint
    from unetflow.train.loop import TrainingRun

    changes = {"deterministic": True, "tile_px": scale.pick(300, 60)}
    model = run_of(scale.pick(16, 4), steps_of(scale), scale.pick("bf16", "fp32"), scale, **changes)
    _determine(model.recipe, scale.device)
    depth, base = scale.pick(4, 2), scale.pick(16, 4)
    run = TrainingRun(
        {"network": {"name": "unet", "base_channels": base, "depth": depth}},  # type: ignore
        model.recipe,
        fabric=model.fabric,
        precision=model.precision,
        threads=model.threads,
        checkpoint=Checkpoint(folder / "last.pt", digest="", every_s=0.2),
    )
    began: int = run.step
    run.train(images(scale), [], workers=workers(scale))
    torch.save(run.network.state_dict(), folder / "weights.pt")
    return began


MEASURES = {
    "smaller tiles": smaller_tiles,
    "estimated tiles": estimated_tiles,
    "a killed training": killed_training,
}

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
    train_to_end(Path(sys.argv[1]), Scale("--cpu" in sys.argv, time.monotonic() + 60))
