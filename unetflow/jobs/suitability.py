"""Will all images suit the networks that are to be trained? Told before hours of training.

By the headers of the raw files, while the graph is built. It is no job that training waits for:
after a job that runs, Snakemake does not ask whether later ones have reasons of their own to run,
even where they take its output as `ancient`, and would leave them stale.
"""

from collections import Counter
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, cast

from unetflow.errors import ConfigError, ModelError
from unetflow.jobs.settings import Settings
from unetflow.jobs.sheet import Image
from unetflow.jobs.sources import Prepared, Sources

if TYPE_CHECKING:
    from unetflow.networks.model_file import ModelDescription

NEAR = 0.05  # of a resolution: what differs by less is refused by nobody


def check_images(settings: Settings, sources: Sources) -> list[str]:
    """A line for each image that cannot be prepared: its own job will say so, and end in an error.

    Raises ConfigError that lists all images which can, but have other channels than the training
    images of their dataset, or another resolution: prediction would refuse them.
    """
    if "demo" in settings.config:  # the workflow draws them
        return []
    notes: list[str] = []
    problems: list[str] = []
    for dataset in {each["dataset"]: None for each in settings.config["experiments"].values()}:
        mpp = settings.config["datasets"][dataset]["mpp"]
        images = [image for image in settings.images.values() if image.dataset == dataset]
        prepared: dict[str, Prepared] = {}
        for image in images:
            found = sources.as_prepared(image, mpp)
            if isinstance(found, str):
                notes.append(f"image {image.name} will not be prepared: {found}")
            else:
                prepared[image.name] = found
        problems += _refused(images, prepared, mpp)
    if problems:
        raise ConfigError(
            f"{len(problems)} of {len(settings.images)} images would be refused after training:"
            + "".join(f"\n  - {problem}" for problem in problems)
            + "\nIn the sheet's channels column `0` takes the first, `0 1 2` red, green and blue. "
            "Or take these images out of the sheet, or into a dataset of their own."
        )
    return notes


def _refused(
    images: list[Image], prepared: Mapping[str, Prepared], mpp: float | None
) -> Iterator[str]:
    """The images of a dataset that its networks will refuse, and why.

    They will have the channels of most of the images that they learn from, and the resolution `mpp`
    [um/px] that the dataset wants or, without, the one that those share.
    """
    learnt = [prepared[i.name] for i in images if _is_learnt(i) and i.name in prepared]
    if not learnt:
        return
    channels = Counter(each["channels"] for each in learnt).most_common(1)[0][0]
    known = {each["mpp"] for each in learnt}
    mpp = mpp or (known.pop() if len(known) == 1 else None)
    for name, of in prepared.items():
        far = of["mpp"] is not None and mpp is not None and abs(of["mpp"] / mpp - 1) > NEAR
        if of["channels"] == channels and not far:
            continue
        from unetflow.predict.suitability import check_image  # seconds of torch, for suspects alone

        # as much of a description as the rules ask for
        network = cast("ModelDescription", {"channels": channels, "mpp": mpp})
        try:
            check_image(network, of["channels"], of["mpp"], f"image {name}")
        except ModelError as error:
            yield str(error)


def _is_learnt(image: Image) -> bool:
    """Whether a network learns from an image, or its training is judged by it, in any fold."""
    return image.split not in ("test", "predict")
