"""Deep zoom of slides: what the viewer is told of their tiles, which lie beside the page."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files as resources
from typing import Any, cast

from unetflow.provenance.receipts import read_receipt
from unetflow.report.handed import PicturesFile, TilesFile
from unetflow.report.pictures import ENDINGS, FOREGROUND, PICTURE, ImagePictures, SlideTiles

VENDOR = "openseadragon-6.1.1.min.js"
SHOWN_AT_FIRST = (PICTURE, "result")
FAINT = {FOREGROUND: 0.6}  # layers that lie over the picture


@dataclass(frozen=True, slots=True)
class Zoom:
    """All slides, as the viewer's script takes them."""

    slides: list[Mapping[str, Any]]
    layers: list[str]  # that any of them has


def zoom(tiles: Sequence[TilesFile], pictures: Sequence[PicturesFile]) -> Zoom | None:
    """None where no image has tiles."""
    drawn = {(of["experiment"], of["fold"], of["image"]): of["pictures"] for of in pictures}
    slides = list(_slides(tiles, drawn))
    if not slides:
        return None
    layers = [name for name in ENDINGS if any(name in of["layers"] for of in slides)]
    return Zoom(slides, layers)


def vendor_script() -> str:
    """The viewer as it was released: OpenSeadragon, whose licence lies beside it."""
    folder = resources("unetflow.report") / "templates" / "vendor"
    return (folder / VENDOR).read_text()


def _slides(
    tiles: Sequence[TilesFile], drawn: Mapping[tuple[str, str, str], str]
) -> Iterator[Mapping[str, Any]]:
    for of in tiles:
        made = read_receipt(of["receipt"], SlideTiles)
        if not made["layers"]:
            continue
        picture = drawn.get((of["experiment"], of["fold"], of["image"]))
        shown = cast(ImagePictures, read_receipt(picture)) if picture else None
        scale = made["downsample"]
        um = shown["um_per_px"] if shown else None
        yield {
            "name": f"{of['image']} ({of['experiment']}, fold {of['fold']})",
            "folder": of["folder"],
            "height": made["size_px"][0],
            "width": made["size_px"][1],
            "levels": made["levels"],
            "tile": made["tile_px"],
            "um_per_px": um * scale if um else None,
            "layers": {
                name: {
                    "ending": ENDINGS[name],
                    "opacity": FAINT.get(name, 1),
                    "shown": name in SHOWN_AT_FIRST,
                }
                for name in made["layers"]
            },
            "places": [
                {
                    "text": f"{wrong['kind']}, {wrong['wrong_px']:,} px",
                    "x": wrong["left_px"] / scale,
                    "y": wrong["top_px"] / scale,
                    "side": wrong["side_px"] / scale,
                }
                for wrong in (shown["worst"] if shown else [])
            ],
        }
