"""What there is to see of an image: its pixels, truth and what networks made of it, as layers."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import dask.array

from unetflow.errors import StoreError
from unetflow.store.ome import read_attributes
from unetflow.store.rendering import rendering_of

ENDING = ".ome.zarr"
IMAGES, PREDICTIONS = "images", "predictions"


@dataclass(frozen=True, slots=True)
class Layer:
    """Something to be laid over others: levels (Y, X), finest first, read when they are shown."""

    name: str
    kind: Literal["image", "labels"]
    levels: list[Any]
    scale: Sequence[float]  # um per pixel, or 1
    colour: str = "#FFFFFF"  # of an image where it is brightest
    limits: tuple[float, float] = (0, 1)  # of an image: black, and brightest
    visible: bool = True


@dataclass(frozen=True, slots=True)
class Seen:
    """An image of a results folder, or a store alone."""

    name: str
    results: Path | None
    stores: dict[str, Path]  # by what its layers are called: "" the image, else experiment and fold


def find_image(image: str, results: Path | None) -> Seen:
    """The stores of an image, by its name in a results folder or by the path of one of its stores.

    Raises StoreError where there is none.
    """
    path = Path(image)
    if results is None and not path.is_dir():
        raise StoreError(
            f"{image}: there is no such store. Give the path of one, as results/images/NAME"
            f"{ENDING}, or the name of an image with --results and its folder."
        )
    name = _name(path)
    if results is None:
        store = path.absolute()
        above = [parent.parent for parent in store.parents if parent.name in _FOLDERS]
        found = [each for each in above if store in dict(_stores_of(name, each)).values()]
        if not found:  # other folders are called images, too
            return Seen(name, None, {"": path})
        results = found[0]
    stores = dict(_stores_of(name, results))
    if not stores:
        known = sorted(_name(each) for each in (results / IMAGES).glob(f"*{ENDING}"))
        raise StoreError(
            f"{results}: has no image {name}; there are: {', '.join(known[:20]) or 'none yet'}"
        )
    return Seen(name, results, stores)


def layers_of(seen: Seen) -> list[Layer]:
    """All layers, what lies below first. Of several networks the first is shown, others hidden."""
    found: list[Layer] = []
    for number, (of, store) in enumerate(seen.stores.items()):
        front = number <= (1 if "" in seen.stores else 0)
        found += [*_images(of, store, front), *_labels(of, store, front)]
    if not found:
        raise StoreError(f"{', '.join(map(str, seen.stores.values()))}: no OME-Zarr to be shown.")
    return found


_FOLDERS = (IMAGES, PREDICTIONS)


def _name(path: Path) -> str:
    return path.name.removesuffix(ENDING)


def _stores_of(name: str, results: Path) -> Iterator[tuple[str, Path]]:
    image = results / IMAGES / f"{name}{ENDING}"
    if image.is_dir():
        yield "", image
    for store in sorted((results / PREDICTIONS).glob(f"*/fold*/{name}{ENDING}")):
        yield f"{store.parent.parent.name} {store.parent.name}", store


def _images(of: str, store: Path, front: bool) -> Iterator[Layer]:
    """A layer for each channel of each image of a store."""
    shown = rendering_of(store)
    for number, multiscale in enumerate(_multiscales(store, "")):
        levels, scale = _levels(store, "", multiscale)
        for channel in range(levels[0].shape[0]):
            told = shown[channel] if channel < len(shown) else None
            name = told["label"] if told else f"{multiscale['name']} {channel}"
            if number:  # a second image: the refined foreground
                name = f"{multiscale['name']} {channel}"
            colour = f"#{told['color']}" if told else "#FFFFFF"
            window = told["window"] if told else {"start": 0, "end": 255}
            yield Layer(
                f"{of}: {name}" if of else name,
                "image",
                [level[channel] for level in levels],
                scale,
                colour,
                (window["start"], window["end"]),
                # a foreground lies over the pixels: it is there to be switched on
                visible=front and not of,
            )


def _labels(of: str, store: Path, front: bool) -> Iterator[Layer]:
    names = read_attributes(store, "labels").get("ome", {}).get("labels", [])
    for name in names:
        for multiscale in _multiscales(store, f"labels/{name}"):
            levels, scale = _levels(store, f"labels/{name}", multiscale)
            called = f"{of}: {name}" if of else name
            yield Layer(called, "labels", levels, scale, visible=front and name != "ignore")


def _multiscales(store: Path, group: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = (
        read_attributes(store, group).get("ome", {}).get("multiscales", [])
    )
    return found


def _levels(
    store: Path, group: str, multiscale: dict[str, Any]
) -> tuple[list[Any], Sequence[float]]:
    """Arrays of all levels, and the scale of the finest along Y and X, or Z, Y and X."""
    datasets = multiscale["datasets"]
    arrays = [dask.array.from_zarr(str(store / group / each["path"])) for each in datasets]
    scale = datasets[0]["coordinateTransformations"][0]["scale"]
    spatial = sum(axis["type"] == "space" for axis in multiscale["axes"])
    return arrays, [*map(float, scale[-spatial:])]
