"""A network as figure 1 of the U-Net paper draws one: a box a feature map, a row a resolution."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import matplotlib
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch, Rectangle

from unetflow.colours import BLUE, GRAY, GREEN, ORANGE, PURPLE, VERMILLION, YELLOW
from unetflow.networks.description import FeatureMap
from unetflow.report.figures.plots import STYLE
from unetflow.report.figures.plotted import INK, Plotted, plotted

KINDS = {  # by how what made a map begins: its colour
    "image": GRAY,
    "convolution": BLUE,
    "depthwise": BLUE,
    "max pooling": VERMILLION,
    "mean pooling": VERMILLION,
    "up-convolution": GREEN,
    "enlarged": GREEN,
    "concatenated": ORANGE,
    "added": PURPLE,
    "multiplied": YELLOW,
}
LEGEND = {
    "convolution": BLUE,
    "pooling": VERMILLION,
    "enlarged": GREEN,
    "concatenated": ORANGE,
    "added": PURPLE,
    "multiplied": YELLOW,
}
MOST_BOXES = 44  # else maps of a resolution that follow one another are drawn as one
SLICES = 3  # of a box of several maps
WIDTH_INCH, LEGEND_INCH = 9.0, 0.3
LEAST_WIDTH, BETWEEN = 11.0, 0.5  # of a drawing, and of rows, in its units
LAYERS = ("convolution", "depthwise", "added", "multiplied")  # that are drawn as one then


@dataclass(frozen=True, slots=True)
class _Box:
    """Where a map is drawn; y grows upwards."""

    left: float
    width: float
    middle: float
    height: float


def network_plot(maps: Sequence[FeatureMap], alt: str) -> Plotted:
    """SVG of all maps, from left to right as they are made, coarser ones lower."""
    drawn = maps if len(maps) <= MOST_BOXES else grouped(maps)
    boxes, width, height = _laid_out(drawn)
    with matplotlib.rc_context(STYLE):
        width = max(width, LEAST_WIDTH)
        size_inch = WIDTH_INCH, height * WIDTH_INCH / width + LEGEND_INCH
        figure = Figure(figsize=size_inch, layout="constrained")
        axes = figure.add_subplot()
        axes.set_axis_off()
        axes.set_xlim(0, width)
        axes.set_ylim(-height, 0)
        for number, each in enumerate(drawn):
            for at in each["of"]:
                _line(axes, boxes[at], boxes[number], behind=number - at > 1)
        for each, box in zip(drawn, boxes, strict=True):
            _draw(axes, each, box)
        used = {_colour(each) for each in drawn}
        handles = [Patch(facecolor=of, label=name) for name, of in LEGEND.items() if of in used]
        where = "outside lower center"
        figure.legend(handles=handles, loc=where, ncols=len(LEGEND), fontsize=7, frameon=False)
        return plotted(figure, alt)


def grouped(maps: Sequence[FeatureMap]) -> list[FeatureMap]:
    """Maps of a resolution that follow one another as one, with the channels of the last."""
    found: list[FeatureMap] = []
    place: dict[int, int] = {}
    for number, each in enumerate(maps):
        joins = (
            len(found) > 0
            and each["step_px"] == found[-1]["step_px"]
            and each["made_by"].startswith(LAYERS)
            and found[-1]["made_by"].startswith(LAYERS)
        )
        if joins:
            last = found[-1]
            more = {place[at] for at in each["of"]} - {len(found) - 1, *last["of"]}
            found[-1] = {
                **each,
                "made_by": last["made_by"],
                "of": [*last["of"], *sorted(more)],
                "count": last["count"] + each["count"],
            }
        else:
            found.append({**each, "of": sorted({place[at] for at in each["of"]})})
        place[number] = len(found) - 1
    return found


def _laid_out(maps: Sequence[FeatureMap]) -> tuple[list[_Box], float, float]:
    """Boxes, and width and height of all."""
    steps = sorted({each["step_px"] for each in maps})
    largest = max(max(each["size_px"]) for each in maps)
    tall = [max(0.22, 1.6 * (max(each["size_px"]) / largest) ** 0.7) for each in maps]
    middles: dict[float, float] = {}
    y = 0.0
    for step in steps:
        of_row = max(h for h, each in zip(tall, maps, strict=True) if each["step_px"] == step)
        middles[step] = y - BETWEEN / 2 - of_row / 2
        y -= of_row + BETWEEN
    boxes, x = [], 0.15
    for each, height in zip(maps, tall, strict=True):
        width = 0.1 + 0.035 * math.log2(each["channels"] + 1) * min(each["count"], SLICES)
        boxes.append(_Box(x, width, middles[each["step_px"]], height))
        x += max(width + 0.16, 0.09 * len(_above(each)) + 0.05, 0.09 * len(_below(each)) + 0.05)
    return boxes, x + 0.1, -y


def _draw(axes: Axes, each: FeatureMap, box: _Box) -> None:
    slices = min(each["count"], SLICES)
    part = box.width / slices
    for number in range(slices):
        corner = box.left + number * part, box.middle - box.height / 2
        axes.add_patch(
            Rectangle(
                corner,
                part * (0.86 if slices > 1 else 1),
                box.height,
                facecolor=_colour(each),
                edgecolor=INK,
                linewidth=0.4,
                zorder=2,
            )
        )
    centre, half = box.left + box.width / 2, box.height / 2
    for y, text, side in (
        (box.middle + half + 0.03, _above(each), "bottom"),
        (box.middle - half - 0.03, _below(each), "top"),
    ):
        axes.text(centre, y, text, fontsize=6.5, ha="center", va=side)


def _above(each: FeatureMap) -> str:
    times = "\N{MULTIPLICATION SIGN}"
    return f"{each['channels']}" + (f" {times}{each['count']}" if each["count"] > SLICES else "")


def _below(each: FeatureMap) -> str:
    sides = each["size_px"]
    return f"{sides[0]}" if len({*sides}) == 1 else "x".join(map(str, sides))


def _line(axes: Axes, source: _Box, target: _Box, *, behind: bool) -> None:
    """From one box to the next, or past others to one that takes up an earlier map."""
    x = source.left + source.width, target.left
    axes.plot(
        x,
        (source.middle, target.middle),
        color=GRAY,
        linewidth=1.0 if behind else 0.7,
        alpha=0.8 if behind else 0.6,
        zorder=1,
        solid_capstyle="butt",
    )


def _colour(each: Mapping[str, object]) -> str:
    made_by = str(each["made_by"])
    return next(colour for name, colour in KINDS.items() if made_by.startswith(name))
