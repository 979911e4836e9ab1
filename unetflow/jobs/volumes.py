"""What is wrong with config and sheet where a dataset is of volumes, or a network is."""

import itertools
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from unetflow import networks
from unetflow.images.sources import split_dataset
from unetflow.jobs.sheet import Image
from unetflow.store.ome import are_cubes
from unetflow.store.stains import WAYS
from unetflow.tiles.geometry import Geometry
from unetflow.tiles.regions import PLANE

if TYPE_CHECKING:
    from unetflow.jobs.settings import Settings
    from unetflow.jobs.sources import Sources

WRITTEN_PX = 32  # of the output of a patch that is proposed, along y and x
FLAT_PX = 8  # the same along z
AUGMENTED = {16: "flips along z", 48: "turns cubes onto any side"}  # flips and rotations of volumes
CUBES = 48


def problems_of_volumes(settings: "Settings", sheet: Path) -> Iterator[str]:
    """Keys and columns that do not go together with what a dataset's rows are."""
    yield from _problems_of_rows(settings, sheet)
    yield from (f"{sheet}: {each}" for each in _overlapping([*settings.images.values()]))
    config = settings.config
    for name, dataset in config["datasets"].items():
        yield from _problems_of_dataset(settings, name, volume=dataset["as"] == "volume")
    for name, experiment in config["experiments"].items():
        if experiment["dataset"] in config["datasets"]:
            volume = config["datasets"][experiment["dataset"]]["as"] == "volume"
            yield from _problems_of_experiment(settings, name, volume=volume)


def _problems_of_rows(settings: "Settings", sheet: Path) -> Iterator[str]:
    for image in settings.images.values():
        where = f"{sheet}: image {image.name}"
        if image.volume:
            for column in ("mpp", "plane", "tissue"):
                if getattr(image, column) is not None:
                    instead = ", and give spacing in its place" if column == "mpp" else ""
                    yield (
                        f"{where}: {column} is of images, and its dataset is of volumes (as: "
                        f"volume); take the cell out{instead}"
                    )
        elif image.adjacent and image.channels is not None:
            yield (
                f"{where}: channels cannot be chosen beside adjacent_planes of its dataset, whose "
                "channels stand beside one another; take the cell out, or set adjacent_planes to 0"
            )
        elif image.planes is not None:
            yield (
                f"{where}: planes is of volumes, and its dataset is of slices; give plane in its "
                "place, a row each, or set the dataset's as to volume"
            )
        elif image.spacing is not None:
            yield (
                f"{where}: spacing is of volumes, and its dataset is of slices; give mpp in its "
                "place, or set the dataset's as to volume"
            )


def first_px(image: Image, sources: "Sources") -> list[int]:
    """Where an image begins in its file along z, y and x: a volume may be a part of it.

    A file with just as many planes as are named holds these alone, and begins with the first.
    """
    if image.planes is None:
        return [0, 0, 0]
    first, last, *along = image.planes
    axis = along[0] if along else 0
    every = image.chosen
    every.pop("planes", None)
    shapes = sources.shapes_px(image.path, **every)
    if shapes and shapes[0][axis] == last + 1 - first:
        first = 0
    return [first if each == axis else 0 for each in range(PLANE + 1)]


def _overlapping(images: Sequence[Image]) -> Iterator[str]:
    """Volumes of one stack that share planes, and are on two sides of a split."""
    of_stack: dict[tuple[object, ...], list[Image]] = {}
    for image in images:
        if image.volume and image.split != "predict":
            file, within = split_dataset(image.path)
            within = within and within.strip("/")
            stack = image.dataset, file.resolve(), within, image.time, image.scene
            of_stack.setdefault(stack, []).append(image)
    for several in of_stack.values():
        for one, other in itertools.combinations(several, 2):
            shared = _shared(one.planes, other.planes)
            if one.split != other.split and shared:
                yield (
                    f"images {one.name} and {other.name} share {shared} of {one.path}, and are of "
                    f"the splits {one.split} and "
                    f"{other.split}: scores would tell what the network learnt by heart. Leave a "
                    "gap between them, as wide as what the network sees"
                )


def _shared(one: Sequence[int] | None, other: Sequence[int] | None) -> str:
    """What two parts of a stack share, in words; None is the whole of it.

    Empty where it is nothing, and of a whole twice, which is told as the same image.
    """
    if not one or not other:
        first, last, *_ = one or other or (0, 0)
        return f"planes {first} to {last}" * (one != other)
    (start, end, *along), (first, last, *across) = one, other
    if along != across:
        return "what lies where their planes cross"
    return f"planes {max(start, first)} to {min(end, last)}" * (max(start, first) <= min(end, last))


def _problems_of_dataset(settings: "Settings", name: str, *, volume: bool) -> Iterator[str]:
    dataset, where = settings.config["datasets"][name], f"config: datasets.{name}"
    if not volume:
        if dataset["spacing"] is not None:
            yield f"{where}.spacing: is of volumes; set mpp in its place, or as to volume"
        if dataset["adjacent_planes"] and dataset["intensity"] in WAYS:
            yield f"{where}.adjacent_planes: are no stains, as intensity: {dataset['intensity']} is"
        return
    if dataset["adjacent_planes"]:
        yield f"{where}.adjacent_planes: are of slices; a volume has all its planes: leave it out"
    if dataset["mpp"] is not None:
        yield f"{where}.mpp: is of images; of volumes set spacing in its place, [z, y, x] in um"
    if (spacing := dataset["spacing"]) is not None and spacing[1] != spacing[2]:
        yield f"{where}.spacing: {spacing} must be as long along y as along x, as networks see it"
    if dataset["tissue"] is not None:
        yield f"{where}.tissue: is looked for in slides, not in volumes; leave it out"
    if dataset["intensity"] in WAYS:
        yield f"{where}.intensity: {dataset['intensity']} is of slides; volumes have none"


def _problems_of_experiment(settings: "Settings", name: str, *, volume: bool) -> Iterator[str]:
    config, where = settings.config, f"config: experiments.{name}"
    experiment = config["experiments"][name]
    geometry = networks.geometry_of(**experiment["network"])
    if volume != (len(geometry.axes) > PLANE):
        axes, kind = ", ".join(geometry.axes), "volume" if volume else "slices"
        way = "set its as to slices" if volume else "set its as to volume"
        named = experiment["network"]["name"]
        if "axes" in networks.options_of(**experiment["network"]):
            way = f"set its axes to {3 if volume else 2}"
        yield (
            f"{where}.network: {named} has the axes ({axes}), but dataset "
            f"{experiment['dataset']} is read as {kind}; {way}, or name another network"
        )
        return
    if not volume:
        if (count := config["predict"]["test_time_augmentation"]) in AUGMENTED:
            yield (
                f"config: predict.test_time_augmentation: {count} {AUGMENTED[count]}, and "
                f"experiment {name} is of images; set it to 8"
            )
        if experiment["recipe"].get("augmentation", {}).get("elastic_z") is False:
            yield f"{where}.recipe.augmentation.elastic_z: is of volumes; leave it out"
        return
    if config["predict"]["test_time_augmentation"] == CUBES:
        yield from _problems_of_cubes(settings, name, geometry)
    if settings.is_trained(name) and "tile_px" not in experiment["recipe"]:
        sizes = (FLAT_PX, WRITTEN_PX, WRITTEN_PX)
        proposed = [geometry.input_px(size, axis) for axis, size in enumerate(sizes)]
        yield (
            f"{where}.recipe.tile_px: is missing: of volumes give the input of the network along "
            f"z, y and x, such as {proposed}"
        )
    if experiment["head"] is not None:
        yield f"{where}.head: is of networks of images; leave it out"
    if any(part is not None for part in config["refine"].values()):
        yield f"config: refine: smooths images, and experiment {name} is of volumes; leave it out"
    if "stack" in config["export"]["formats"]:
        yield (
            f"config: export.formats: stack is of slices, and experiment {name} is of volumes; of "
            "these there are geojson, labels and overlay"
        )


def _problems_of_cubes(settings: "Settings", name: str, geometry: Geometry) -> Iterator[str]:
    """Why voxels of an experiment are no cubes, or its network does not see them as such."""
    where = f"config: predict.test_time_augmentation: {CUBES} {AUGMENTED[CUBES]}"
    if not geometry.alike:
        yield f"{where}, and the network of experiment {name} sees less along z; set it to 16"
    of = settings.config["experiments"][name]["dataset"]
    wanted = settings.config["datasets"][of]["spacing"]
    images = [image for image in settings.images.values() if image.dataset == of]
    given: dict[tuple[float, ...], str] = {}
    for image in images:
        if image.spacing:
            given.setdefault(image.spacing, f" of image {image.name}")
    for spacing, whose in {tuple(wanted): ""}.items() if wanted else given.items():
        if not are_cubes(spacing):
            yield (
                f"{where}, and voxels{whose} of dataset {of} have sides of {[*spacing]}; set it to "
                "16, or the dataset's spacing to three equal lengths"
            )
