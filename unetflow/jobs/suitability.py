"""Will all images suit the networks that are to be trained? Told before hours of training.

By the headers of the raw files, while the graph is built. It is no job that training waits for:
after a job that runs, Snakemake does not ask whether later ones have reasons of their own to run,
even where they take its output as `ancient`, and would leave them stale.
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, cast

from unetflow.errors import ConfigError, ModelError
from unetflow.jobs.failures import in_groups
from unetflow.jobs.results import model_made_in
from unetflow.jobs.settings import Settings
from unetflow.jobs.sheet import Image
from unetflow.jobs.sources import Prepared, Sources
from unetflow.models import located
from unetflow.networks import geometry_of
from unetflow.networks.description import read_description

if TYPE_CHECKING:
    from unetflow.networks.model_file import ModelDescription

NEAR = 0.05  # of a resolution: what differs by less is refused by nobody


def check_images(settings: Settings, sources: Sources) -> list[str]:
    """The images that cannot be prepared: their own jobs will say so, and end in an error.

    Those that are alike are one note. Raises ConfigError that lists all images which can, but have
    other channels than the training images of their dataset, or another resolution: prediction
    would refuse them. Or that lists the model files that no training can start from, or the images
    of a dataset of which none is left to train on.
    """
    if "demo" in settings.config:  # the workflow draws them
        return []
    unreadable: dict[str, str] = {}
    refused: dict[str, str] = {}
    channels: dict[str, int] = {}  # that the networks of a dataset will have
    for dataset in {each["dataset"]: None for each in settings.config["experiments"].values()}:
        of = settings.config["datasets"][dataset]
        mpp, spacing = of["mpp"], of["spacing"]
        images = [image for image in settings.images.values() if image.dataset == dataset]
        prepared: dict[str, Prepared] = {}
        for image in images:
            found = sources.as_prepared(image, spacing or mpp)
            if isinstance(found, str):
                unreadable[f"image {image.name}"] = found
            else:
                prepared[image.name] = found
        learnt = [prepared[i.name] for i in images if _is_learnt(i) and i.name in prepared]
        drawn = [f"image {i.name}" for i in images if _is_drawn(i) and i.volume]
        trained = [prepared[i.name] for i in images if _is_drawn(i) and i.name in prepared]
        is_trained = any(
            settings.is_trained(name)
            for name, each in settings.config["experiments"].items()
            if each["dataset"] == dataset
        )
        if is_trained and drawn and not trained:
            raise _nothing_to_learn_from(dataset, {name: unreadable[name] for name in drawn})
        if learnt and is_trained:
            channels[dataset] = Counter(of["channels"] for of in learnt).most_common(1)[0][0]
            own_mpp = mpp or (spacing and spacing[-1]) or _shared_mpp(learnt)
            seen = spacing or _shared_spacing(trained)
            refused |= _refused(channels[dataset], prepared, mpp=own_mpp, spacing=seen)
        for description in _finished(settings, dataset):
            own_mpp, seen = description.get("mpp"), description.get("spacing")
            refused |= _refused(description["channels"], prepared, mpp=own_mpp, spacing=seen)
        refused |= _too_flat(settings, dataset, prepared)
    if refused:
        raise ConfigError(
            f"{len(refused)} of {len(settings.images)} images would be refused by their network:"
            + "".join(f"\n  - {problem}" for problem in in_groups(refused))
            + "\nIn the sheet's channels column `0` takes the first, `0 1 2` red, green and blue. "
            "Or take these images out of the sheet, or into a dataset of their own."
        )
    _check_colours(settings, channels)
    _check_pretrained(settings, channels)
    return [f"will not be prepared: {each}" for each in in_groups(unreadable)]


def _nothing_to_learn_from(dataset: str, why: Mapping[str, str]) -> ConfigError:
    return ConfigError(
        f"no image that dataset {dataset} has for training can be prepared:"
        + "".join(f"\n  - {problem}" for problem in in_groups(why))
    )


def _too_flat(
    settings: Settings, dataset: str, prepared: Mapping[str, Prepared]
) -> Iterator[tuple[str, str]]:
    """The volumes that a network would see mirrored more than once, and why."""
    for name, experiment in settings.config["experiments"].items():
        if experiment["dataset"] != dataset:
            continue
        geometry = geometry_of(**experiment["network"])
        for image, of in prepared.items():
            halos = zip(geometry.before_px, geometry.after_px, strict=True)
            around = [max(pair) for pair in halos]
            sides = zip(geometry.axes, of.get("shape_px", []), around, strict=False)
            short = [(axis, size, reach) for axis, size, reach in sides if size <= reach]
            for axis, size, reach in short[:1]:
                yield (
                    f"image {image}",
                    f"has {size} px along {axis}, but the network of experiment {name} sees "
                    f"{reach} px to each side of a pixel: most of that would be mirrored again and "
                    "again. Make its depth smaller, or its finest levels flat (flat), or set the "
                    "dataset's as to slices",
                )


def _finished(settings: Settings, dataset: str) -> "Iterator[ModelDescription]":
    """What the finished models of a dataset's experiments say of themselves."""
    for experiment in settings.config["experiments"].values():
        if experiment["dataset"] == dataset and experiment["model"] is not None:
            yield read_description(located(experiment["model"]))


def _check_colours(settings: Settings, channels: Mapping[str, int]) -> None:
    """Raise ConfigError where colours are to be varied of images that are not RGB."""
    problems = []
    for name, experiment in settings.config["experiments"].items():
        varied = settings.recipe(name).augmentation.of_colour
        count = channels.get(experiment["dataset"], 3)
        if varied and count != 3:
            problems.append(
                f"\n  - config: experiments.{name}.recipe.augmentation: {', '.join(varied)} varies "
                f"red, green and blue, but the images have {count} channels; take it "
                "out, or choose the three in the sheet's channels column"
            )
    if problems:
        raise ConfigError("colours cannot be varied:" + "".join(problems))


def _check_pretrained(settings: Settings, channels: Mapping[str, int]) -> None:
    """Raise ConfigError for model files that a training would refuse; those it makes may wait."""
    problems = []
    for name, experiment in settings.config["experiments"].items():
        given = experiment["pretrained"]
        if given is None or model_made_in(settings.config["results"], given):
            continue
        path = located(given)
        from unetflow.networks.backbones import backbone_of  # seconds of torch, as below
        from unetflow.networks.initial_weights import check_network
        from unetflow.networks.model_file import is_model_file, load_model

        wanted, own = channels.get(experiment["dataset"]), experiment["network"]
        try:
            if "backbone" in own and not is_model_file(path):
                backbone_of(own["backbone"], wanted or 1).load_weights(path)
                continue
            _, model = load_model(path)
            theirs = model["network"]
            seen = {"in_channels": wanted or theirs["in_channels"]}
            check_network(path, theirs | own | seen, theirs)
        except ModelError as error:
            problems.append(f"\n  - config: experiments.{name}.pretrained: {error}")
    if problems:
        raise ConfigError("no training can start from these models:" + "".join(problems))


def _shared_mpp(learnt: Sequence[Prepared]) -> float | None:
    """The resolution [um/px] that images share, None where they differ."""
    known = {each["mpp"] for each in learnt}
    return known.pop() if len(known) == 1 else None


def _shared_spacing(trained: Sequence[Prepared]) -> Sequence[float] | None:
    """That of volumes whose planes lie as far apart, in their pixels; None where they differ."""
    known = [each["spacing"] for each in trained if "spacing" in each]
    return known[0] if known and not any(map(partial(_other_planes, known[0]), known)) else None


def _other_planes(one: Sequence[float], other: Sequence[float]) -> bool:
    """Whether planes of volumes lie farther apart, or closer, in their pixels."""
    return abs((one[0] / one[-1]) / (other[0] / other[-1]) - 1) > NEAR


def _refused(
    channels: int,
    prepared: Mapping[str, Prepared],
    *,
    mpp: float | None,
    spacing: Sequence[float] | None,
) -> Iterator[tuple[str, str]]:
    """The images of a dataset that a network will refuse, and why.

    It has so many `channels`, a resolution `mpp` [um/px] and, of volumes, a `spacing` along z, y,
    x, each None where it is not known.
    """
    for name, of in prepared.items():
        own = of.get("spacing")
        far = of["mpp"] is not None and mpp is not None and abs(of["mpp"] / mpp - 1) > NEAR
        other = own is not None and spacing is not None and _other_planes(own, spacing)
        if of["channels"] == channels and not far and not other:
            continue
        from unetflow.predict.suitability import check_image  # seconds of torch, for suspects alone

        # as much of a description as the rules ask for
        network = cast("ModelDescription", {"channels": channels, "mpp": mpp, "spacing": spacing})
        try:
            check_image(network, of["channels"], of["mpp"], f"image {name}", spacing=own)
        except ModelError as error:
            who, _, why = str(error).partition(": ")
            yield who, why


def _is_learnt(image: Image) -> bool:
    """Whether a network learns from an image, or its training is judged by it, in any fold."""
    return image.split not in ("test", "predict")


def _is_drawn(image: Image) -> bool:
    """Whether a network takes its patches from an image, in any fold."""
    return _is_learnt(image) and image.split != "validation"
