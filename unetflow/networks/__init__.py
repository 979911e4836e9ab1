"""The registry of networks: from a name in the config to a network and to its geometry.

A network's module offers `build(**options)`, which returns a `unetflow.networks.network.Network`.
It is imported when it is asked for, as it needs PyTorch; the geometry of the same options does not.
"""

import importlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from unetflow.tiles.geometry import Geometry
from unetflow.tiles.valid_sizes import unet_geometry

if TYPE_CHECKING:
    from unetflow.networks.network import Network


@dataclass(frozen=True, slots=True)
class Registered:
    """Where a network is, and how large: both take its options by name."""

    module: str
    geometry: Callable[..., Geometry]  # ignores options that change no size


def _geometry_of_unet(
    depth: int = 4, base_channels: int = 64, norm: str | None = None, **others: object
) -> Geometry:
    return unet_geometry(depth, base_channels, norm)


NETWORKS = {"unet": Registered("unetflow.networks.unet", _geometry_of_unet)}  # "unet": the paper's


def build(name: str, **options: Any) -> "Network":
    """Build a registered network with fresh weights.

    Raises ValueError for an unknown name or option, with the names there are.
    """
    network: Network = importlib.import_module(module_of(name)).build(**options)
    return network


def geometry_of(name: str, **options: Any) -> Geometry:
    """The geometry that `build` with the same options would give, without PyTorch."""
    return _registered(name).geometry(**options)


def module_of(name: str) -> str:
    """The module that a network is built by. Raises ValueError for an unknown name."""
    return _registered(name).module


def _registered(name: str) -> Registered:
    if not isinstance(name, str) or name not in NETWORKS:
        raise ValueError(f"no network is called {name!r}; there are: {', '.join(sorted(NETWORKS))}")
    return NETWORKS[name]
