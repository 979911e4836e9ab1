"""Rule predict: the foreground of one image into its store."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from unetflow.engine.devices import machine_of
from unetflow.engine.gpu_busy import gpu_busy
from unetflow.engine.gpus import own_gpu
from unetflow.engine.machine import Machine
from unetflow.errors import ReplacedError
from unetflow.images.file_pixels import ImageFile, pixels_in_file
from unetflow.predict.ensemble import Ensemble
from unetflow.predict.plan import END, PredictOptions, warning_of_tiles
from unetflow.predict.stored_foreground import Work, write_foreground
from unetflow.predict.suitability import (
    check_axes,
    check_image,
    check_symmetries,
    other_intensities,
)
from unetflow.provenance.receipts import read_receipt, write_receipt
from unetflow.provenance.records import MIB, RunRecord
from unetflow.provenance.shard_lists import Stored, unchanged, write_shard_list
from unetflow.store.foreground_levels import write_foreground_levels
from unetflow.store.names import FOREGROUND, HEADS, TISSUE
from unetflow.store.ome import PixelSize, pixel_size, steps_of
from unetflow.store.pixels import Pixels
from unetflow.store.rendering import channels_of_foreground, write_rendering
from unetflow.store.shards import SHARD_PX, ShardedArray, clear, read_array
from unetflow.store.stamps import content_digest_of
from unetflow.store.tissue_mask import Tissue, read_tissue
from unetflow.tiles.regions import shard_grid, side_px

log = logging.getLogger(__name__)


def predict_store(
    *,
    image: str | Path,
    image_receipt: str | Path,
    ensemble: Ensemble,
    store: str | Path,
    receipt: str | Path,
    options: PredictOptions,
    machine: Machine,
    code: str,
    file: ImageFile | None = None,
    scratch: str | None = None,
) -> None:
    """Rule predict: the foreground of one image into its store, shard by shard, then the receipt.

    A run that was killed goes on with the shards that are missing. Several jobs may do an image:
    one begins the array (`BEGIN`), each does its share, one ends it (`END`). An image takes a
    thread for each 1024 px square, a volume for each 128 px cube, whatever the larger ones of its
    job are granted. Where the store of the image has coarse levels alone its `file` is read,
    which is copied to `scratch` before, if that is given.
    """
    if len(ensemble.digests) != len(ensemble.descriptions):
        raise ValueError("an array must know the digests of its models: use Ensemble.load")
    record = RunRecord(receipt)
    prepared = read_receipt(image_receipt)
    channels, *shape_px = prepared["levels"][0]["shape"]
    check_axes(len(shape_px), ensemble.geometry.axes, image)
    steps = steps_of(image, len(shape_px))
    check_symmetries(options.test_time_augmentation, ensemble.geometry, steps, image)
    warnings = _suits(ensemble, prepared, channels, image)
    work = Work()
    most = len(shard_grid(shape_px, [side_px(SHARD_PX, len(shape_px))] * len(shape_px)))
    tissue = read_tissue(image, prepared["tissue"])
    with (
        _pixels(image, image_receipt, tissue, file, scratch, Path(store)) as (pixels, size),
        gpu_busy(machine.gpu) as busy,
    ):
        foreground = write_foreground(
            ensemble,
            pixels,
            store,
            size=size,
            tissue=tissue,
            decided_by=_decided_by(prepared, ensemble, code),
            options=options,
            machine=replace(machine, threads=min(machine.threads, most)),
            work=work,
        )
    content: dict[str, object] = {
        "shape": foreground.array.shape,
        "dtype": str(foreground.array.dtype),
        "precision": foreground.chosen["precision"],
        "warnings": warnings,
    }
    if warning := warning_of_tiles(foreground.chosen):
        log.warning("%s: %s", image, warning)
        content["tiles"] = warning
    if options.share in (None, END):
        content |= _ended(store, foreground, ensemble, receipt, machine.threads, size)
    else:
        content["share"] = options.share
    write_receipt(receipt, content)
    record.write(
        **foreground.chosen,
        **_measured(work, foreground.chosen["device"]),
        ended_on=machine_of(foreground.chosen["device"]),
        gpu_busy=busy.get(own_gpu()),
    )


def _ended(
    store: str | Path,
    foreground: ShardedArray,
    ensemble: Ensemble,
    receipt: str | Path,
    threads: int,
    size: PixelSize,
) -> dict[str, object]:
    """Write what an array that is whole has beside it; digests of all, for its receipt."""
    digest = foreground.content_digest()
    levels = write_foreground_levels(store, foreground, digest, threads, size=size)
    classes, dtype = ensemble.descriptions[0]["classes"], str(foreground.array.dtype)
    write_rendering(store, channels_of_foreground(classes, dtype))
    of_heads = {"heads": content_digest_of(store, HEADS)} if ensemble.heads else {}
    levels += [HEADS] if ensemble.heads else []
    return {**of_heads, "digest": digest, "shards": write_shard_list(receipt, store, levels)}


@contextmanager
def _pixels(
    image: str | Path,
    receipt: str | Path,
    tissue: Tissue | None,
    file: ImageFile | None,
    scratch: str | None,
    store: Path,
) -> Iterator[tuple[Pixels, PixelSize]]:
    """The image's pixels, and how large they are; what is read must be what was prepared.

    What was made of a file that was replaced meanwhile is taken away.
    """
    prepared = read_receipt(receipt)
    levels = [] if file else ["0"]
    with unchanged(Stored(image, receipt, [*levels, *([TISSUE] if tissue else [])])):
        if file is None:
            yield read_array(image, "0"), pixel_size(image)
            return
        known = {"digest": prepared["sources"]["path"], "unreadable": prepared["unreadable"]}
        try:
            with pixels_in_file(file, tissue=tissue, scratch=scratch, **known) as pixels:
                yield pixels, pixels.size
        except ReplacedError:
            clear(store / FOREGROUND)
            raise


def _suits(
    ensemble: Ensemble, prepared: dict[str, Any], channels: int, image: str | Path
) -> list[str]:
    """Warnings, in their order, each once. Raises where a model cannot take the image."""
    finest = prepared["levels"][0]
    mpp = finest.get("mpp")
    values_C = [prepared["pixels"][name] for name in ("mean", "lowest", "highest")]
    warnings: dict[str, None] = {}
    for description in ensemble.descriptions:
        check_image(description, channels, mpp, image, spacing=finest.get("spacing"))
        warnings |= dict.fromkeys(other_intensities(description, *values_C))
    for warning in warnings:
        log.warning("%s: %s", image, warning)
    return list(warnings)


def _measured(work: Work, device: str) -> dict[str, float]:
    """What this job did itself, and the most memory of a GPU that it took for it."""
    found: dict[str, float] = {
        "computed_px": work.computed_px,
        "computing_s": round(work.computing_s, 3),
    }
    if device == "cuda" and work.computed_px:
        found["gpu_peak_mib"] = round(torch.cuda.max_memory_reserved() / MIB, 1)
    return found


def _decided_by(prepared: dict[str, Any], ensemble: Ensemble, code: str) -> dict[str, object]:
    """All that decides the content of a foreground."""
    return {
        "image": prepared["levels"][0]["digest"],
        "tissue": prepared["tissue"] and prepared["tissue"]["digest"],
        "models": ensemble.digests,
        "code": code,
    }
