"""Annotated images with their objects outlined, side by side: is the truth what it should be?"""

import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image as Pillow
from PIL import ImageDraw
from skimage.segmentation import find_boundaries

from unetflow.colours import IGNORED, YELLOW, rgb
from unetflow.errors import UnetflowError
from unetflow.images.polygon_volume import read_annotation
from unetflow.images.resampling import picked_channels
from unetflow.images.slide import Slide
from unetflow.images.sources import holds_polygons, split_dataset
from unetflow.jobs.config import DatasetConfig
from unetflow.jobs.settings import Settings
from unetflow.jobs.sheet import Image
from unetflow.labels.reading import Meaning, Reader, label_reader, polygon_reader
from unetflow.report.figures.panels import gray_or_rgb
from unetflow.tiles.regions import Region

SIDE_PX = 256  # of a panel, of the middle of an image
MOST = 24  # images, evenly over those that are annotated
ACROSS = 6
TEXT_PX = 14


def write_contact_sheet(settings: Settings, path: Path) -> int:
    """Write the picture (PNG); returns how many images it shows, 0 where none is annotated.

    An image is shown at the resolution of its file. One that cannot be read is a dark panel, with
    the reason in place of its name.
    """
    annotated = [
        image
        for image in settings.images.values()
        if image.truth and split_dataset(image.path)[0].exists()
    ]
    if not annotated:
        return 0
    chosen = np.linspace(0, len(annotated) - 1, min(MOST, len(annotated))).astype(int)
    panels = [_panel(annotated[k], settings.config["datasets"]) for k in chosen]
    across = min(ACROSS, len(panels))
    down = math.ceil(len(panels) / across)
    sheet = Pillow.new("RGB", (across * SIDE_PX, down * (SIDE_PX + TEXT_PX)), "white")
    draw = ImageDraw.Draw(sheet)
    for k, (text, pixels) in enumerate(panels):
        top, left = k // across * (SIDE_PX + TEXT_PX), k % across * SIDE_PX
        sheet.paste(Pillow.fromarray(pixels), (left, top + TEXT_PX))
        draw.text((left + 2, top), text[: SIDE_PX // 6], fill="black")
    sheet.save(path, format="png")
    return len(panels)


def _panel(image: Image, datasets: dict[str, DatasetConfig]) -> tuple[str, np.ndarray]:
    """Its caption, and RGB bytes (Y, X, 3) of at most `SIDE_PX` along each axis."""
    try:
        with Slide(image.path, **image.chosen, **image.resolution) as slide:
            shape_px = slide.levels[0].shape_px
            region = middle_of(shape_px, SIDE_PX)
            pixels = slide.read(0, *region)[picked_channels(slide, image.channels)]
            read = reader_of(image, datasets[image.dataset], slide)
        labels, ignored = read(*region)
    except UnetflowError as error:
        return f"{image.name}: {error}", np.full((SIDE_PX, SIDE_PX, 3), 40, np.uint8)
    if image.volume:
        pixels, labels, ignored = pixels[:, 0], labels[0], ignored[0]
    drawn = gray_or_rgb(pixels)
    drawn[ignored] = 0.5 * drawn[ignored] + 0.5 * rgb(IGNORED)
    drawn[find_boundaries(labels, mode="inner")] = rgb(YELLOW)
    caption = f"{image.name}: {len(np.unique(labels[labels != 0]))} objects"
    return caption, np.rint(drawn * 255).astype(np.uint8)


def middle_of(shape_px: Sequence[int], side_px: int) -> Region:
    """A square amid an image, of a volume in its middle plane."""
    sides = [1, side_px, side_px][-len(shape_px) :]
    starts = [max(0, (size - side) // 2) for size, side in zip(shape_px, sides, strict=True)]
    ends = zip(shape_px, sides, starts, strict=True)
    return tuple(slice(start, min(size, start + side)) for size, side, start in ends)


def reader_of(image: Image, dataset: DatasetConfig, slide: Slide) -> Reader:
    """Reads the truth of an image at the pixels of its file, which is open."""
    truth = str(image.truth)
    levels_px = [level.shape_px for level in slide.levels]
    shape_px = levels_px[0]
    if holds_polygons(truth):
        polygons = read_annotation(
            truth,
            plane=image.plane,
            time=image.time,
            first_px=slide.first_px,
            classes=dataset["classes"],
            size_px=shape_px,
            shape_px=shape_px,
            instances=dataset["truth"] != "classes",
        )
        return polygon_reader(polygons, dataset["truth"])
    meaning = Meaning(
        dataset["truth"], dataset["ignore_value"], len(dataset["classes"]), dataset["label_value"]
    )

    def read(*region: slice) -> tuple[np.ndarray, np.ndarray]:
        with Slide(truth, **image.chosen, as_labels=True) as slide:
            return label_reader(slide, levels_px, shape_px, meaning)(*region)

    return read
