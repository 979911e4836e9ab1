"""Look at an image with its truth and what networks made of it: `unetflow view IMAGE`.

In napari, if that is installed, each layer with its name, colour and contrast; else the report of
its results in the browser, which has slides down to their pixels.
"""

import argparse
import webbrowser
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

from unetflow.commands.parsers import command_parser
from unetflow.commands.view_layers import Layer, Seen, find_image, layers_of
from unetflow.errors import StoreError

EXAMPLES = (
    "results/images/slide.ome.zarr",
    "slide --results results",
    "slide --results results --list",
)
PAGE = Path("report", "index.html")
ZOOM = 'id="zoom"'  # the part of the page with slides down to their pixels


def main(arguments: Sequence[str] | None = None, *, prog: str) -> int:
    """The command. Raises StoreError where there is nothing to be shown."""
    options = parser_of(prog).parse_args(arguments)
    seen = find_image(options.image, options.results)
    layers = layers_of(seen)
    for layer in layers:
        height, width = layer.levels[0].shape[-2:]
        hidden = "" if layer.visible else ", hidden at first"
        print(f"{layer.name}: {layer.kind}, {height} x {width} px{hidden}")
    if options.list:
        return 0
    try:
        napari = import_module("napari")
    except ImportError:
        return _show_page(seen)
    _show(napari, layers, seen.name)
    return 0


def _show(napari: Any, layers: Sequence[Layer], title: str) -> None:
    """Open a window; returns when it is closed."""
    viewer = napari.Viewer(title=title)
    for layer in layers:
        several = len(layer.levels) > 1  # napari takes a list of one for something else
        data = layer.levels if several else layer.levels[0]
        given: dict[str, Any] = {"name": layer.name, "scale": layer.scale, "visible": layer.visible}
        given["multiscale"] = several
        if layer.kind == "labels":
            viewer.add_labels(data, **given)
        else:
            colours = napari.utils.Colormap([[0, 0, 0, 1], _rgba(layer.colour)], name=layer.colour)
            viewer.add_image(
                data,
                colormap=colours,
                contrast_limits=layer.limits,
                blending="additive",
                **given,
            )
    napari.run()


def _show_page(seen: Seen) -> int:
    """Open the report. Raises StoreError where there is none."""
    page = seen.results / PAGE if seen.results else None
    if page is None or not page.is_file():
        raise StoreError(
            "napari is not installed, and there is no report of this image to be shown in its "
            "place. Install it in this environment: pip install 'napari[all]'."
        )
    has_zoom = ZOOM in page.read_text()
    address = page.absolute().as_uri() + ("#zoom" if has_zoom else "#gallery")
    where = "slides up close" if has_zoom else "all images"
    print(f"napari is not installed: opening the report at its {where}, {page}")
    if not webbrowser.open(address):
        print(f"no browser could be started; open it yourself: {address}")
    return 0


def _rgba(colour: str) -> list[float]:
    return [*(part / 255 for part in bytes.fromhex(colour[1:])), 1.0]


def parser_of(prog: str) -> argparse.ArgumentParser:
    """What reads the arguments of the command, which is called as `prog`."""
    parser = command_parser(prog, __doc__, EXAMPLES)
    parser.add_argument("image", help="the path of one of its stores, or its name with --results")
    parser.add_argument("--results", type=Path, help="the folder that the config calls results")
    parser.add_argument("--list", action="store_true", help="say what there is, and open nothing")
    return parser
