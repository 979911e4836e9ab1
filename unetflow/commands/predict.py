"""A finished model on images: foreground, instances and a table of the objects.

unetflow predict deploy.safetensors image.svs out.ome.zarr        one image, without the pipeline
unetflow predict deploy.safetensors images/ more.tif --out folder  many, as the pipeline would
"""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from unetflow.commands.init_pairs import MADE_BY, stem_of
from unetflow.commands.predict_chosen import AS_USUAL, InstanceOptions, chosen_options
from unetflow.commands.predict_many import check_order, is_of_volumes, segment_many
from unetflow.commands.predict_options import OF_VOLUMES, parser_of
from unetflow.commands.source_pixels import SourcePixels
from unetflow.engine.machine import Machine
from unetflow.errors import (
    ConfigError,
    ModelError,
    ReplacedError,
    SlideError,
    StoreError,
    UnsuitableError,
)
from unetflow.images.asked import COMMAND
from unetflow.images.resampling import Source, picked_channels, source_at
from unetflow.images.slide import Slide
from unetflow.images.sources import (
    RawFile,
    chosen_of,
    content_of,
    has_changed,
    is_store,
    replaced,
    split_dataset,
)
from unetflow.images.units import shown
from unetflow.instances.labelled_store import label_store
from unetflow.instances.separation import HEADS as HEADED
from unetflow.instances.separation import labelling_of
from unetflow.models import known, located
from unetflow.networks import module_of
from unetflow.networks.deployed import read_deployed
from unetflow.networks.model_file import ModelDescription
from unetflow.predict.ensemble import Ensemble
from unetflow.predict.plan import PredictOptions
from unetflow.predict.stored_foreground import write_foreground
from unetflow.predict.suitability import check_image, check_symmetries, other_intensities
from unetflow.provenance.code_digest import code_digest
from unetflow.provenance.receipts import read_receipt, write_receipt
from unetflow.refine.refined_store import refine_store
from unetflow.refine.refinement import Refinement
from unetflow.store.files import digest_of
from unetflow.store.foreground_levels import write_foreground_levels
from unetflow.store.names import FOREGROUND, HEADS, REFINED
from unetflow.store.ome import PixelSize
from unetflow.store.pyramid import clear_levels
from unetflow.store.rendering import channels_of_foreground, write_rendering
from unetflow.store.shards import ShardedArray, clear
from unetflow.store.stamps import content_digest_of

log = logging.getLogger(__name__)


PLACES_TOLD = 20  # on the terminal; all stand in the output


@dataclass(frozen=True, slots=True)
class ImageOptions:
    """Which image of a file is read, and how fine."""

    level: int | None = None  # of a pyramid; None: the model's resolution
    mpp: float | None = None  # [um/px] of the finest level; overrules what the file says
    scene: str | None = None  # of a file of several images: number or name
    time: int | None = None  # of a series
    plane: int | None = None  # of a stack
    axes: str | None = None  # of an array that has no names for them, such as "czyx"
    channels: Sequence[int] | None = None  # in this order; None: all


def segment_file(
    model: str | Path,
    image: str | Path,
    output: str | Path,
    *,
    read: ImageOptions = ImageOptions(),
    instances: InstanceOptions = AS_USUAL,
    smooth_px: float | None = None,
    options: PredictOptions,
    machine: Machine,
) -> dict[str, dict[str, Any]]:
    """Segment an image file into an OME-Zarr; returns what is said of the instances of each class.

    The image is read at the model's resolution where both are known. The same call goes on where a
    killed one stopped. Raises SlideError and ModelError, and StoreError where something else is at
    `output`. With `smooth_px` instances are made of array `refined`, the foreground blurred by a
    Gaussian of this deviation.
    """
    ensemble = Ensemble.load([model])
    description = ensemble.descriptions[0]  # in that all of several are alike
    _check_head(description, instances, model)
    _check_output(image, Path(output))
    asked = {"model": str(model), "image": str(image), "mpp": read.mpp}
    pixels, foreground, size = _predicted(ensemble, image, output, read, options, machine, asked)
    _warn_of(pixels, description, image)
    array, digest = FOREGROUND, foreground.content_digest()
    write_foreground_levels(output, foreground, digest, machine.threads, size=size)
    if smooth_px:
        code = _code("refine/refined_store.py", description)
        decided_by = {"foreground": digest, "code": code}
        array, digest = REFINED, _smoothed(output, smooth_px, decided_by, machine.threads, size)
    else:  # of an earlier call, of another foreground perhaps
        clear(Path(output) / REFINED)
        clear_levels(output, f"{REFINED}_{{}}", 1)
    dtype = str(foreground.array.dtype)
    write_rendering(output, channels_of_foreground(description["classes"], dtype))
    return _write_instances(Path(output), array, digest, instances, description, machine.threads)


def _predicted(
    ensemble: Ensemble,
    image: str | Path,
    output: str | Path,
    read: ImageOptions,
    options: PredictOptions,
    machine: Machine,
    asked: Mapping[str, object],
) -> tuple[SourcePixels, ShardedArray, PixelSize]:
    """The foreground of an image; what was `asked` for is written beside it."""
    description = ensemble.descriptions[0]
    raw: RawFile = {
        "path": str(image),
        "plane": read.plane,
        "time": read.time,
        "axes": read.axes,
        "scene": read.scene,
    }
    chosen = chosen_of(raw)
    with Slide(image, **chosen, mpp=read.mpp, door=COMMAND) as slide:
        source, channels = _source_for(description, slide, read)
        check_symmetries(options.test_time_augmentation, ensemble.geometry, None, image)
        content = content_of(raw)
        decided_by = {
            "image": content.digest,
            "model": ensemble.digests,
            "shape": source.shape_px,
            "level": source.level,
            **chosen,
            "channels": channels,
            "code": _code("predict/stored_foreground.py", description),
        }
        _check_same(Path(output), image, decided_by)
        write_receipt(Path(output) / MADE_BY, {"asked": asked, "decided_by": decided_by})
        size = source.size
        notes = Path(output) / "unreadable.json"
        pixels = SourcePixels(source, channels, notes, digest_of(decided_by))
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
    if has_changed(raw, content):
        clear(foreground.path)
        raise ReplacedError(replaced(image))
    if not pixels.lost:
        notes.unlink(missing_ok=True)  # those of a file that was damaged then
    return pixels, foreground, size


def _smoothed(
    output: str | Path,
    smooth_px: float,
    decided_by: Mapping[str, object],
    threads: int,
    size: PixelSize,
) -> str:
    """Write array `refined` with its levels; its digest."""
    refined = refine_store(
        output,
        Refinement(smooth_px),
        image=None,
        tissue=None,
        threads=threads,
        decided_by=decided_by,
    )
    digest = refined.content_digest()
    write_foreground_levels(output, refined, digest, threads, size=size)
    return digest


def _source_for(
    description: ModelDescription, slide: Slide, read: ImageOptions
) -> tuple[Source, list[int]]:
    """The image as the model needs it, and the channels to read. Raises where it does not suit."""
    if is_of_volumes(description):
        raise UnsuitableError(
            f"{slide.path}: the model sees volumes (z, y, x), and without --out this command takes "
            "images. Give --out: then the pipeline does it."
        )
    for note in slide.notes:
        log.info("%s: %s", slide.path, note)
    for name in slide.not_applied:
        why = (
            f"its axes are {slide.axes.lower()}" if name == "axes" else "there is nothing to choose"
        )
        raise SlideError(f"{slide.path}: --{name} does not apply to it: {why}. Leave that out.")
    known = slide.levels[0].pixel_um is not None
    source = source_at(slide, read.level, description.get("mpp") if known else None)
    channels = picked_channels(slide, read.channels)
    check_image(description, len(channels), source.mpp, slide.path, door=COMMAND)
    trained = description.get("mpp")
    if trained and not source.mpp:
        log.warning(
            "%s: does not say its resolution and is taken as it is, as if it had the %s that the "
            "model was trained at. Give --mpp if it has another.",
            slide.path,
            shown(trained),
        )
    return source, channels


def _warn_of(pixels: SourcePixels, description: ModelDescription, image: str | Path) -> None:
    """Say which places could not be read, and whether the image is of another kind."""
    for place in pixels.lost[:PLACES_TOLD]:
        log.warning(
            "%s: rows %s, columns %s could not be read (%s) and count as 0",
            image,
            place["rows"],
            place["columns"],
            place["why"],
        )
    if (others := len(pixels.lost) - PLACES_TOLD) > 0:
        log.warning("%s: so do %d other places, listed in %s", image, others, pixels.notes)
    if pixels.values_C is not None:
        for warning in other_intensities(description, *map(list, pixels.values_C)):
            log.warning("%s: %s", image, warning)


def _write_instances(
    output: Path,
    array: str,
    digest: str,
    instances: InstanceOptions,
    description: ModelDescription,
    threads: int,
) -> dict[str, dict[str, Any]]:
    """Instances and their table, of a foreground with this digest; what is said of each."""
    decided_by = {"foreground": digest, "code": _code("instances/labelled_store.py", description)}
    if instances.separate in HEADED:
        decided_by["heads"] = content_digest_of(output, HEADS)
    _, made = label_store(
        output,
        instances.thresholds(description["classes"]),
        labelling_of(asdict(instances)),
        table=output / "objects.parquet",
        threads=threads,
        decided_by=decided_by,
        foreground_array=array,
    )
    return made


def _check_head(
    description: ModelDescription, instances: InstanceOptions, model: str | Path
) -> None:
    """Refuse a method that needs a head which the network has not. Raises ModelError."""
    heads = description.get("heads", [])
    if instances.separate in HEADED and instances.separate not in heads:
        has = f"a {heads[0]} head" if heads else "no head"
        raise ModelError(
            f"{model}: its network has {has}, but --separate {instances.separate} needs one of "
            f"that name. Choose {' or '.join(['necks, valleys, seeds', *heads])}, or train with "
            f"`head: {instances.separate}`."
        )


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


def _check_same(output: Path, image: str | Path, decided_by: Mapping[str, object]) -> None:
    """Refuse to write over what was made of another image, or of another one of its file."""
    if not (output / MADE_BY).exists():
        return
    before = read_receipt(output / MADE_BY)
    made_of, was = before["asked"]["image"], before["decided_by"]
    which = {key: was.get(key) for key in ("scene", "time", "plane")}
    other = made_of != str(image) and was["image"] != decided_by["image"]
    if other or any(decided_by[key] != of for key, of in which.items()):
        chosen = "".join(f", {key} {of}" for key, of in which.items() if of is not None)
        raise StoreError(
            f"{output}: holds what was made of {made_of}{chosen}, which would be lost. Name "
            "another output, or delete that."
        )


def _code(module: str, description: ModelDescription) -> str:
    """Digest of the code that a module of this package, reading and the network are made of."""
    network = module_of(description["network"]["name"])
    path = Path(__file__).parents[1] / module
    return code_digest(path, network, "unetflow.images.resampling")


def _model_of(model: str) -> str:
    """Its file; that of a model which comes with unetflow by its name. Raises ModelError."""
    path = located(model)
    if not Path(path).is_file() and (names := known()):
        raise ModelError(
            f"{model}: there is no such file. Name the deploy.safetensors of a calibration, or the "
            f"model.safetensors of a training. {names}"
        )
    return path


def _image_and_output(inputs: Sequence[str]) -> tuple[str, str]:
    """One image and where it is written: into the working folder, if that is not said.

    Raises ConfigError for several images, and for folders and sheets, which hold several.
    """
    first = split_dataset(Path(inputs[0]))[0]
    holds_several = first.suffix == ".tsv" or (first.is_dir() and not is_store(first))
    if len(inputs) > 2 or holds_several:
        raise ConfigError(
            f"{len(inputs)} paths after the model: without --out these are one image and "
            "the OME-Zarr to write. Give --out FOLDER for results of several images."
        )
    return inputs[0], inputs[1] if len(inputs) == 2 else f"{stem_of(first)}.segmented.ome.zarr"


def main(arguments: Sequence[str] | None = None, *, prog: str) -> int:
    """The command. Raises UnetflowError for what cannot be segmented."""
    options = parser_of(prog).parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    check_order(options.model, options.inputs)
    options.model = _model_of(options.model)
    if options.out is not None:
        return segment_many(options, prog)
    image, output = _image_and_output(options.inputs)
    if options.test_time_augmentation in OF_VOLUMES:
        raise ConfigError(
            f"--test-time-augmentation {options.test_time_augmentation} is of volumes, and without "
            "--out this command takes images. Give 8, or --out: then the pipeline does it."
        )
    deployed = read_deployed(options.model)
    chosen = chosen_options(options, deployed)
    if deployed is not None and deployed.get("crf") is not None:
        log.warning(
            "%s: its choices were made with refine.crf, which is made with --out FOLDER alone: "
            "objects are made without it here",
            options.model,
        )
    made = segment_file(
        options.model,
        image,
        output,
        read=ImageOptions(
            level=options.level,
            mpp=options.mpp,
            scene=options.scene,
            time=options.time,
            plane=options.plane,
            axes=options.axes,
            channels=options.channels,
        ),
        instances=chosen.instances,
        smooth_px=chosen.smooth_px,
        options=PredictOptions(
            write_px=options.write_px,
            shard_px=max(1024, options.write_px or 0),
            test_time_augmentation=chosen.test_time_augmentation,
            precision=options.precision,
        ),
        machine=Machine(
            threads=options.threads,
            gpu=options.gpu,
            require_gpu=options.require_gpu,
        ),
    )
    for line in chosen.said:
        log.info("%s", line)
    for name, of in made.items():
        print(f"{name}: {of['instances']} instances at threshold {of['threshold']:g}")
    smoothed = "refined, " if chosen.smooth_px else ""
    print(f"{output}: foreground, {smoothed}labels/instances, objects.parquet, objects.csv")
    return 0
