"""Are the truths what the config says? Some are read, evenly over all, before any is prepared."""

from pathlib import Path

import numpy as np

from unetflow.commands.check_picture import middle_of, reader_of
from unetflow.errors import LabelsError, UnetflowError
from unetflow.images.slide import Slide
from unetflow.images.sources import holds_polygons
from unetflow.jobs.config import DatasetConfig
from unetflow.jobs.failures import in_groups
from unetflow.jobs.settings import Settings
from unetflow.jobs.sheet import Image
from unetflow.labels.pieces import CountingPieces, odd_numbers
from unetflow.tiles.regions import PLANE, Region

MOST = 48  # truths that are read
MOST_PX = 2048  # side of the part that is read: of a larger one the middle


def problems_of_truths(settings: Settings) -> list[str]:
    """What would stop the preparation of truths, those alike told once with who else has it.

    What can be seen in a part alone is told of large ones; whether an image can be read is not
    asked here.
    """
    annotated = [image for image in settings.images.values() if image.truth]
    chosen = np.linspace(0, len(annotated) - 1, min(MOST, len(annotated))).astype(int)
    problems: dict[str, str] = {}
    for image in (annotated[k] for k in chosen):
        try:
            _look(image, settings.config["datasets"][image.dataset])
        except LabelsError as error:
            problems[f"image {image.name}"] = str(error)
        except (UnetflowError, OSError):
            continue  # of the image, or told as a file that cannot be opened
    return in_groups(problems)


def _look(image: Image, dataset: DatasetConfig) -> None:
    """Read a truth as its job will. Raises LabelsError."""
    truth = str(image.truth)
    polygons = holds_polygons(truth)
    if dataset["truth"] != "classes" and len(dataset["classes"]) > 1 and not polygons:
        names = ", ".join(dataset["classes"])
        raise LabelsError(
            f"{truth}: a label image does not say which of {names} an object is. Give polygons "
            "with classes, or set the dataset's truth to classes if the numbers are classes."
        )
    with Slide(image.path, **image.chosen, **image.resolution) as slide:
        shape_px = slide.levels[0].shape_px
        read = reader_of(image, dataset, slide)
    region = middle_of(shape_px, MOST_PX)
    labels, _ = read(*region)
    if dataset["truth"] == "instances" and max(shape_px) <= MOST_PX and len(region) == PLANE:
        counting = CountingPieces(shape_px[1])
        counting.add(region, labels)
        list(odd_numbers(counting.pieces(), truth, are_polygons=polygons))
    if not polygons and _same_pixels(image, region, labels):
        raise LabelsError(
            f"{truth}: is given as a truth and holds the very pixels of its image. Correct the "
            "sheet's truth column."
        )


def _same_pixels(image: Image, region: Region, labels: np.ndarray) -> bool:
    """Whether labels that are not all alike are the pixels of the image."""
    if Path(image.path) == Path(str(image.truth)) or not labels.any():
        return False
    with Slide(image.path, **image.chosen, **image.resolution) as slide:
        pixels = slide.read(0, *region)
    return len(pixels) == 1 and np.array_equal(pixels[0], labels)
