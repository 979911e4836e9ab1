"""What lies on two sides of a split, so that a network would be judged by what it learnt."""

from collections.abc import Iterator, Sequence

from unetflow.images.sources import split_dataset
from unetflow.jobs.sheet import Image

ImageKey = tuple[object, ...]


def problems_of_sides(images: Sequence[Image]) -> Iterator[str]:
    """The same image in several splits of a dataset, and folds that are written in two ways.

    The same are a file, its plane, time, scene and level; of split predict any image may be. Planes
    of one stack may be on both sides: where they are alike, a `group` keeps them on one.
    """
    sides = [image for image in images if image.split != "predict"]
    for dataset, spellings in _spellings(sides).items():
        for number, written in spellings.items():
            if len(written) > 1:
                yield (
                    f"dataset {dataset} writes fold {number} as {' and '.join(sorted(written))}; "
                    f"write {number} everywhere"
                )
    for first, other in _on_two_sides(sides, [_key(image, image.level) for image in sides]):
        yield (
            f"images {first.name} and {other.name} are the same image of one file, and of the "
            f"splits {first.split} and {other.split}: scores would tell what the network learnt by "
            "heart. Keep it in one of them, or correct the path, plane, time, scene or level"
        )


def notes_of_sides(images: Sequence[Image]) -> Iterator[str]:
    """Levels of one image that are in several splits of a dataset: they show the same."""
    sides = [image for image in images if image.split != "predict"]
    for first, other in _on_two_sides(sides, [_key(image, None) for image in sides]):
        if first.level != other.level:
            yield (
                f"images {first.name} and {other.name} are levels of one image, and of the splits "
                f"{first.split} and {other.split}: scores may tell what the network learnt by heart"
            )


def _key(image: Image, level: int | None) -> ImageKey:
    file, within = split_dataset(image.path)
    within = within and within.strip("/")
    chosen = image.plane, image.planes, image.time, image.scene
    return image.dataset, file.resolve(), within, *chosen, level or 0


def _on_two_sides(
    images: Sequence[Image], keys: Sequence[ImageKey]
) -> Iterator[tuple[Image, Image]]:
    """Of each key the first image, with the first of each other split."""
    found: dict[ImageKey, dict[str, Image]] = {}
    for image, key in zip(images, keys, strict=True):
        found.setdefault(key, {}).setdefault(_side(image), image)
    for of_splits in found.values():
        first, *others = of_splits.values()
        yield from ((first, other) for other in others)


def _side(image: Image) -> str:
    return str(int(image.split)) if image.split.isdigit() else image.split


def _spellings(images: Sequence[Image]) -> dict[str, dict[int, set[str]]]:
    """By dataset and number of a fold, how it is written."""
    found: dict[str, dict[int, set[str]]] = {}
    for image in images:
        if image.split.isdigit():
            of_dataset = found.setdefault(image.dataset, {})
            of_dataset.setdefault(int(image.split), set()).add(image.split)
    return found
