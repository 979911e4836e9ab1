"""One image without the pipeline: foreground, instances and a table of the objects.

python -m unetflow.stages.predict model.safetensors image.svs out.ome.zarr
"""

import argparse
import logging
import math
import sys
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from unetflow.engine.devices import cores
from unetflow.engine.machine import Machine
from unetflow.errors import StoreError, UnetflowError
from unetflow.images.resampling import Lost, Source, picked_channels, source_at
from unetflow.images.slide import SENSIBLE_MPP, Slide
from unetflow.images.sources import fingerprint_of, split_dataset
from unetflow.instances.labelled_store import label_store
from unetflow.networks import module_of
from unetflow.networks.model_file import ModelDescription
from unetflow.predict.ensemble import Ensemble
from unetflow.predict.plan import PredictOptions
from unetflow.predict.stored_foreground import write_foreground, write_foreground_levels
from unetflow.predict.suitability import check_image, other_intensities
from unetflow.provenance.code_digest import code_digest
from unetflow.provenance.receipts import read_receipt, write_receipt
from unetflow.store.files import digest_of
from unetflow.store.ome import PixelSize

log = logging.getLogger(__name__)


MADE_BY = "command.json"  # in a store of the command: what it was asked for


class SourcePixels:
    """An image file at one resolution as an array (C, Y, X) that is read by region.

    Places that cannot be read are 0, and noted in a file: a run that goes on knows those of the run
    before. `digest` is that of all that decides what is read.
    """

    def __init__(self, source: Source, channels: Sequence[int], notes: Path, digest: str) -> None:
        self._source, self._channels = source, list(channels)
        self.shape, self.dtype = (len(channels), *source.shape_px), source.slide.dtype
        self._notes, self._digest = notes, digest
        before = read_receipt(notes) if notes.exists() else {}
        self.lost: list[Lost] = before["lost"] if before.get("of") == digest else []
        self._sum_C, self._count = np.zeros(len(channels)), 0
        self._lock = threading.Lock()  # a file is read by one thread at a time

    def __getitem__(self, key: Any) -> np.ndarray:
        _, rows, columns = key
        with self._lock:
            found: list[Lost] = []
            pixels_CYX = self._source.read(rows, columns, found)[self._channels]
            new = [place for place in found if place not in self.lost]
            if new:
                self.lost += new
                write_receipt(self._notes, {"of": self._digest, "lost": self.lost})
            self._sum_C += pixels_CYX.sum(axis=(1, 2), dtype=np.float64)
            self._count += pixels_CYX[0].size
        return pixels_CYX

    @property
    def mean_C(self) -> np.ndarray | None:
        """Of each channel over what was read, None before."""
        return self._sum_C / self._count if self._count else None


def segment_file(
    model: str | Path,
    image: str | Path,
    output: str | Path,
    *,
    threshold: float = 0.5,
    min_area_px: int = 0,
    fill_holes: bool = False,
    split_px: float | None = None,
    mpp: float | None = None,
    level: int | None = None,
    plane: int | None = None,
    channels: Sequence[int] | None = None,
    options: PredictOptions,
    machine: Machine,
) -> dict[str, dict[str, Any]]:
    """Segment an image file into an OME-Zarr; returns what is said of the instances of each class.

    The image is read at the model's resolution where both are known; `mpp` overrules what the file
    says. The same call goes on where a killed one stopped. Raises SlideError and ModelError, and
    StoreError where something else is at `output`.
    """
    ensemble = Ensemble.load([model])
    (description,) = ensemble.descriptions
    _check_output(image, Path(output))
    with Slide(image, plane=plane, mpp=mpp) as slide:
        known = slide.levels[0].mpp is not None
        source = source_at(slide, level, description.get("mpp") if known else None)
        picked = picked_channels(slide, channels)
        check_image(description, len(picked), source.mpp, image)
        if description.get("mpp") and not source.mpp:
            log.warning(
                "%s: does not say its resolution and is taken as it is, as if it had the %.4g "
                "um/px that the model was trained at. Give --mpp if it has another.",
                *(image, description["mpp"]),
            )
        decided_by = {
            **{"image": fingerprint_of(image), "model": ensemble.digests[0]},
            **{"shape": source.shape_px, "level": source.level, "plane": plane, "channels": picked},
            "code": _code("predict/stored_foreground.py", description),
        }
        asked = {"model": str(model), "image": str(image), "mpp": mpp}
        write_receipt(Path(output) / MADE_BY, {"asked": asked, "decided_by": decided_by})
        size = PixelSize.square(source.mpp)
        notes = Path(output) / "unreadable.json"
        pixels = SourcePixels(source, picked, notes, digest_of(decided_by))
        foreground = write_foreground(
            ensemble,
            pixels,
            output,
            size=size,
            tissue=None,
            decided_by=decided_by,
            options=options,
            machine=machine,
        )
    for place in pixels.lost:
        log.warning(
            "%s: rows %s, columns %s could not be read (%s) and count as 0",
            *(image, place["rows"], place["columns"], place["why"]),
        )
    if pixels.mean_C is not None:
        for warning in other_intensities(description, list(pixels.mean_C)):
            log.warning("%s: %s", image, warning)
    digest = foreground.content_digest()
    write_foreground_levels(output, foreground, digest, machine.threads, size=size)
    _, made = label_store(
        output,
        dict.fromkeys(description["classes"], threshold),
        {
            **{"min_area_px": min_area_px, "fill_holes": fill_holes},
            **{"connectivity": 1, "split_px": split_px},
        },
        table=Path(output) / "objects.parquet",
        threads=machine.threads,
        decided_by={
            "foreground": digest,
            "code": _code("instances/labelled_store.py", description),
        },
    )
    return made


def _check_output(image: str | Path, output: Path) -> None:
    """Refuse an output that holds anything but what this command has made."""
    file = split_dataset(Path(image))[0].resolve()
    if file in (output.resolve(), *output.resolve().parents):
        what = "it lies in the image"
    elif output.exists() and not output.is_dir():
        what = "there is a file of this name"
    elif output.exists() and not (output / MADE_BY).exists() and any(output.glob("[!.]*")):
        what = "there is something else already"
    else:
        return
    raise StoreError(
        f"{output}: is no place for the result, because {what}. Name a folder that is not there "
        "yet, or one that this command has made, to go on."
    )


def _code(module: str, description: ModelDescription) -> str:
    """Digest of the code that a module of this package, reading and the network are made of."""
    network = module_of(description["network"]["name"])
    path = Path(__file__).parents[1] / module
    return code_digest(path, network, "unetflow.images.resampling")


def main(arguments: Sequence[str] | None = None) -> int:
    """The command; returns its exit status."""
    options = _parser().parse_args(arguments)
    given = vars(options).copy()
    write_px, average = given.pop("write_px"), given.pop("average")
    machine = Machine(**{name: given.pop(name) for name in ("threads", "gpu", "require_gpu")})
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    try:
        predicting = PredictOptions(
            write_px=write_px,
            shard_px=max(1024, write_px or 0),
            test_time_augmentation=average,
            precision=given.pop("precision"),
        )
        made = segment_file(**given, options=predicting, machine=machine)
    except (UnetflowError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    for name, of in made.items():
        print(f"{name}: {of['instances']} instances at threshold {of['threshold']:g}")
    print(f"{options.output}: foreground, labels/instances, objects.parquet, objects.csv")
    return 0


def _in_range(kind: Callable[[str], float], least: float, most: float) -> Callable[[str], float]:
    """Type of an argument: a number from `least` to `most`."""

    def number(text: str) -> float:
        value = kind(text)
        if not least <= value <= most:
            raise argparse.ArgumentTypeError(f"{text} is not in the range {least:g} to {most:g}")
        return value

    number.__name__ = kind.__name__  # as argparse names it
    return number


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m unetflow.stages.predict", description=__doc__.splitlines()[0]
    )
    parser.add_argument("model", help="model.safetensors of a training")
    parser.add_argument("image", help="any file that the pipeline reads")
    parser.add_argument("output", help="OME-Zarr to write, out.ome.zarr")
    add = parser.add_argument
    count, size = _in_range(int, 0, math.inf), _in_range(float, 1e-3, 1e6)
    add("--threshold", type=_in_range(float, 0, 1), default=0.5, help="of instances (default 0.5)")
    add("--min-area-px", type=count, default=0, help="smaller instances are left out")
    add("--fill-holes", action="store_true", help="of instances")
    add("--split-px", type=size, help="take clumps apart at necks this much thinner")
    add(
        "--mpp",
        type=_in_range(float, *SENSIBLE_MPP),
        help="um per pixel, where the file does not say",
    )
    add("--level", type=count, help="of a pyramid, instead of the model's resolution")
    add("--plane", type=count, help="of a stack")
    add("--channels", type=count, nargs="+", help="which, in which order")
    sizes = (128, 256, 512, 1024, 2048)
    add("--write-px", type=int, choices=sizes, help="of a tile (default: by the precision)")
    add("--average", type=int, choices=(1, 7, 8), default=1, help="flips and rotations")
    add("--precision", choices=("auto", "fp32", "bf16"), default="auto")
    add("--threads", type=_in_range(int, 1, 4096), default=cores(), help="default: all cores")
    add("--cpu", dest="gpu", action="store_false", help="do not use a GPU")
    add("--require-gpu", action="store_true", help="no GPU is an error")
    return parser
