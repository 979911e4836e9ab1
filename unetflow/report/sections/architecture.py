"""The networks, drawn from the feature maps that their trainings saw."""

import json
from collections.abc import Sequence
from dataclasses import dataclass

import pandas as pd

from unetflow.report.figures.network_plot import network_plot
from unetflow.report.figures.plotted import Plotted
from unetflow.report.run_results import Run
from unetflow.tiles.regions import PLANE


@dataclass(frozen=True, slots=True)
class Drawn:
    """A network with all its options, of the first run that trained it."""

    name: str  # of the experiments that have it
    network: str
    patch_px: int
    output_px: int
    svg: Plotted
    maps: pd.DataFrame  # a row a map


def architecture(runs: Sequence[Run]) -> list[Drawn]:
    """Each network once; none of trainings that could not say their maps."""
    of_network: dict[str, list[Run]] = {}
    for run in runs:
        maps = run.model.get("feature_maps")
        if maps:
            of_network.setdefault(json.dumps([run.model["network"], maps]), []).append(run)
    return [_drawn(of) for of in of_network.values()]


def _drawn(runs: Sequence[Run]) -> Drawn:
    model = runs[0].model
    maps = model["feature_maps"]
    network = model["network"]["name"]
    alt = f"{network}: {len(maps)} feature maps of a patch of {maps[0]['size_px'][-1]} px"
    of_volume = len(maps[0]["size_px"]) > PLANE
    depths = {"depth [px]": [each["size_px"][0] for each in maps]} if of_volume else {}
    table = pd.DataFrame(
        {
            "made by": [each["made_by"] for each in maps],
            "layers": [each["count"] for each in maps],
            "channels": [each["channels"] for each in maps],
            **depths,
            "height [px]": [each["size_px"][-2] for each in maps],
            "width [px]": [each["size_px"][-1] for each in maps],
            "of map": [" ".join(f"{at + 1}" for at in each["of"]) for each in maps],
        },
        index=pd.RangeIndex(1, len(maps) + 1, name="map"),
    )
    return Drawn(
        name=", ".join(dict.fromkeys(run.experiment for run in runs)),
        network=network,
        patch_px=maps[0]["size_px"][-1],
        output_px=maps[-1]["size_px"][-1],
        svg=network_plot(maps, alt),
        maps=table,
    )
