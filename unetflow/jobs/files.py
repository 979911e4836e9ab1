"""Files of the sheet: those that are not there, and truths of another size than their image."""

from pathlib import Path
from typing import TYPE_CHECKING

from unetflow.images.sources import holds_polygons, split_dataset
from unetflow.jobs.failures import in_groups
from unetflow.jobs.sheet import Image
from unetflow.jobs.sources import Sources, sources_cache

if TYPE_CHECKING:
    from unetflow.jobs.settings import Settings

MOST_FILES = 10  # that are not there and are named


def problems_of_files(settings: "Settings") -> list[str]:
    """Missing files, and truths of another size than their image; what cannot be opened waits."""
    if "demo" in settings.config:  # the workflow draws them
        return _demo_problems(settings)
    data_dir = settings.config["data_dir"]
    every = [path for image in settings.images.values() for path in _files_of(image)]
    no_data = set() if Path(data_dir).is_dir() else _inside(data_dir, every)
    problems = []
    if no_data:
        problems.append(
            f"data_dir: there is no folder {data_dir}, which the sheet's {{data}} stands for; set "
            "it in the config or with --config data_dir=..."
        )
    gone: list[str] = []
    sizes: dict[str, str] = {}
    sources = Sources(sources_cache(settings.config["results"]))
    for image in settings.images.values():
        missing = [path for path in _files_of(image) if not split_dataset(path)[0].exists()]
        gone += [f"image {image.name}: there is no file {p}" for p in missing if p not in no_data]
        dataset = settings.config["datasets"].get(image.dataset)
        if dataset and not missing and image.volume:
            sizes |= _volume_problem(image, sources)
        if dataset and not (dataset["mpp"] or dataset["spacing"]) and not missing:
            sizes |= _size_problem(image, sources)
    sources.save()
    if len(gone) > MOST_FILES:
        gone[MOST_FILES:] = [f"and {len(gone) - MOST_FILES} more files of images are not there"]
    return [*problems, *gone, *in_groups(sizes)]


def _demo_problems(settings: "Settings") -> list[str]:
    slides = {i.path for i in settings.images.values() if i.truth and _is_slide(i.path)}
    if len(slides) == 1:
        return []
    return [
        f"demo: the sheet has {len(slides)} slides with truth (*.ome.tif), the demo draws one; "
        "take `demo` out of the config if the images are real ones"
    ]


def _size_problem(image: Image, sources: Sources) -> dict[str, str]:
    """A truth of another size than its image, where both can be opened, by the image."""
    if not image.truth:
        return {}
    # asked for later on, and each file is opened once
    sources.as_prepared(image, None)
    sources.peak_bytes(image.truth, image.chosen)
    shapes = sources.shapes_px(image.path, **image.chosen)  # any level may have been annotated
    of_truth = sources.shapes_px(image.truth, **image.chosen)
    if not shapes or not of_truth or of_truth[0] in shapes:
        return {}
    truth_shape = of_truth[0]
    of_image = " or ".join("x".join(map(str, shape)) for shape in shapes)
    return {
        f"image {image.name}": f"{image.truth}: the truth is {'x'.join(map(str, truth_shape))} px, "
        f"the image {of_image} px; they must be of one size"
    }


def _volume_problem(image: Image, sources: Sources) -> dict[str, str]:
    """A truth that does not open as a volume, where its image does, by the image."""
    if not image.truth or not sources.shapes_px(image.path, **image.chosen):
        return {}
    if sources.shapes_px(image.truth, **image.chosen):
        return {}
    if holds_polygons(image.truth):  # which lie on planes of any file
        return {}
    why = sources.why_no_labels(image.truth, **image.chosen)
    return {f"image {image.name}": why} if why else {}


def _inside(folder: str, paths: list[str]) -> set[str]:
    return {path for path in paths if Path(path).is_relative_to(folder)}


def _files_of(image: Image) -> list[str]:
    return [path for path in (image.path, image.truth, image.tissue) if path]


def _is_slide(path: str) -> bool:
    return path.endswith(".ome.tif")
