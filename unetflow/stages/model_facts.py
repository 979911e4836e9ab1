"""What a model's receipt says of its network, whoever trained it."""

from pathlib import Path
from typing import Any

from unetflow.networks.feature_maps import feature_maps
from unetflow.networks.fitted import multiply_adds_per_px
from unetflow.networks.model_file import ModelDescription
from unetflow.networks.network import Network
from unetflow.store.files import digest_of_file


def facts_of(network: Network, description: ModelDescription, file: str | Path) -> dict[str, Any]:
    """Digest of its file, parameters, work for a pixel, and the maps of a training patch."""
    facts: dict[str, Any] = {
        "digest": digest_of_file(file),
        "parameters": sum(tensor.numel() for tensor in network.parameters()),
        "multiply_adds_per_px": multiply_adds_per_px(network),
    }
    axes = len(network.geometry.axes)
    tile_px = description.get("recipe", {}).get("tile_px")
    if tile_px is not None:
        sides = (tile_px,) * axes if isinstance(tile_px, int) else tile_px
        facts["feature_maps"] = feature_maps(network, description["channels"], sides)
    return facts
