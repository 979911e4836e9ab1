"""A volume plane by plane, for a slider through z: each beside the three views of the whole.

+-------+-+-+
| plane | | |     the views are one picture; the plane z lies on it, and lines
|   z   | | |     in the planes at right angles say where that is
+-------+-+-+
|-------|   |
+-------+---+
"""

from collections.abc import Sequence
from types import MappingProxyType
from typing import NamedTuple

import numpy as np

from unetflow.report.figures.panels import gray_limits
from unetflow.report.figures.thumbnails import THUMBNAIL_BYTES, THUMBNAIL_PX, Kinds, small_picture
from unetflow.report.figures.views import GAP_PX, Read, shown
from unetflow.report.pictures import PanelOfPlanes, VolumePlanes
from unetflow.report.tiles import as_bytes
from unetflow.tiles.regions import PLANE

PLANES = 24  # of a volume, evenly spread along z
PLANE_PX, PLANE_BYTES = 224, 6_000  # longer side of a picture of a plane, and as text


class Outlines(NamedTuple):
    """What a panel shows on the pixels: nothing, or the outlines of labels."""

    name: str
    labels: Read | None = None
    kinds: Kinds = MappingProxyType({})


def draw_planes(
    pixels: Read, layers: Sequence[Outlines], shape: Sequence[int], steps: Sequence[float]
) -> VolumePlanes:
    """Panels of a volume (Z, Y, X) whose pixels have sides of `steps` in their width.

    `pixels` are (C, Z, Y, X), gray values those of the views. What is drawn is one level of the
    volume: `at_px` counts its planes.
    """
    whole = tuple(slice(0, size) for size in shape)
    middle = [size // 2 for size in shape]
    count = min(PLANES, shape[0])
    at_px = np.linspace(0, shape[0] - 1, count).round().astype(int).tolist()
    views = shown(pixels, whole, middle, steps)
    limits = gray_limits(views)
    drawn: list[PanelOfPlanes] = []
    for layer in layers:
        labels, kinds = layer.labels, layer.kinds
        outlined = [] if labels is None else [(shown(labels, whole, middle, steps), kinds)]
        uri, size_px = small_picture(
            _in_colour(views, *limits), outlined, THUMBNAIL_PX, THUMBNAIL_BYTES
        )
        panel: PanelOfPlanes = {"name": layer.name, "views": uri, "planes": []}
        for plane in at_px:
            region = (slice(plane, plane + 1), *whole[1:])
            outlined = [] if labels is None else [(labels(region)[..., 0, :, :], kinds)]
            picture = _in_colour(pixels(region)[..., 0, :, :], *limits)
            panel["planes"].append(small_picture(picture, outlined, PLANE_PX, PLANE_BYTES)[0])
        drawn.append(panel)
    size = views.shape[-PLANE:]
    return {
        "at_px": at_px,
        "views_px": list(size_px),
        "plane_share": [part / of for part, of in zip(shape[1:], size, strict=True)],
        "deep_from": [(part + GAP_PX) / of for part, of in zip(shape[1:], size, strict=True)],
        "deep_at": [(plane + 0.5) / shape[0] for plane in at_px],
        "panels": drawn,
    }


def _in_colour(pixels_CYX: np.ndarray, low: float, high: float) -> np.ndarray:
    """Three channels (3, Y, X) of bytes, gray from `low` to `high` in all planes alike."""
    drawn = as_bytes(pixels_CYX, low, high)
    return np.repeat(drawn[None], 3, axis=0) if drawn.ndim == PLANE else np.moveaxis(drawn, -1, 0)
