"""The registry of networks: from a name in the config to a network and to its geometry.

A network's module offers `build(**options)`. It returns a `unetflow.networks.network.Network`, or
any module whose logits are as large as the image: its zero padding is then cut away. The module is
imported when it is asked for, as it needs PyTorch; options and geometry of ours do not.

A network of a user's own is named by its module, `name: package.module`, or by an entry point of
the group `unetflow.networks`. Its geometry is that of its module's `geometry(**options)`, if there
is one, else it is computed from the network.
"""

import importlib
import inspect
from importlib.metadata import entry_points
from pkgutil import iter_modules
from types import ModuleType
from typing import TYPE_CHECKING, Any

from unetflow.networks import sizes
from unetflow.networks.options import Options, refuse_unknown
from unetflow.tiles.geometry import Geometry

if TYPE_CHECKING:
    from unetflow.networks.network import Network

GROUP = "unetflow.networks"  # of entry points


NETWORKS = tuple(each.name for each in iter_modules(sizes.__path__))
"""Ours: what has a module in `unetflow.networks.sizes`. A list here would be in every digest."""


def build(name: str, **options: Any) -> "Network":
    """Build a network with fresh weights.

    Raises ValueError for an unknown name or option, with those there are.
    """
    from unetflow.networks.fitted import fitted

    complete = options_of(name, **options)
    made = _module(name).build(**complete)
    return fitted(made, complete, lambda: geometry_of(name, **options))


def geometry_of(name: str, **options: Any) -> Geometry:
    """The geometry that `build` with the same options would give; of ours without PyTorch.

    Raises ValueError for an unknown name or option, with those there are.
    """
    complete = options_of(name, **options)
    declared = declared_of(name)
    if declared is not None:
        return declared(**complete).geometry()
    key = f"{name} {sorted(complete.items())!r}"
    if key not in _computed:
        _computed[key] = _geometry_of_own(name, complete)
    return _computed[key]


def options_of(name: str, **options: Any) -> dict[str, Any]:
    """All options of a network, those that are not given with their defaults.

    Raises ValueError for an unknown name or option, with those there are.
    """
    declared = declared_of(name)
    if declared is not None:
        return declared.of(name, options).as_dict()
    taken = inspect.signature(_module(name).build).parameters.values()
    if not any(each.kind is each.VAR_KEYWORD for each in taken):
        refuse_unknown(name, options, [each.name for each in taken])
    defaults = {each.name: each.default for each in taken if each.default is not each.empty}
    return defaults | options


def declared_of(name: str) -> type[Options] | None:
    """The options of a network of ours; None for a user's own, whose `build` takes them.

    Raises ValueError for an unknown name.
    """
    if module_of(name) != f"{__name__}.{name}":
        return None
    declared: type[Options] = importlib.import_module(f"{__name__}.sizes.{name}").OPTIONS
    return declared


def changed_options(name: str, **options: Any) -> dict[str, Any]:
    """The options that differ from a network's defaults.

    Raises ValueError for an unknown name or option, with those there are.
    """
    complete, usual = options_of(name, **options), options_of(name)
    return {key: value for key, value in complete.items() if usual.get(key, ...) != value}


def module_of(name: str) -> str:
    """The module that a network is built by. Raises ValueError for an unknown name."""
    if isinstance(name, str):
        if name in NETWORKS:
            return f"{__name__}.{name}"
        for entry in entry_points(group=GROUP, name=name):
            return entry.module
        if "." in name:
            return name
    raise ValueError(
        f"no network is called {name!r}; there are: {', '.join(names())}; of one of your own give "
        "the module, such as package.module"
    )


def names() -> list[str]:
    """The networks there are: ours, and those of installed packages."""
    return [*NETWORKS, *sorted(entry_points(group=GROUP).names - {*NETWORKS})]


def _module(name: str) -> ModuleType:
    module = module_of(name)
    try:
        found = importlib.import_module(module)
    except ModuleNotFoundError as error:
        raise ValueError(
            f"network {name}: there is no module {error.name!r}; install it, or put it where "
            "Python looks for it (PYTHONPATH)"
        ) from error
    if not callable(getattr(found, "build", None)):
        raise ValueError(f"network {name}: module {module} has no function build(**options)")
    return found


def _geometry_of_own(name: str, options: dict[str, Any]) -> Geometry:
    """Said by its module, or computed from the network itself."""
    module = _module(name)
    if hasattr(module, "geometry"):
        said: Geometry = module.geometry(**options)
        return said
    from unetflow.networks.fitted import computed_geometry

    return computed_geometry(lambda: module.build(**options), options)


_computed: dict[str, Geometry] = {}  # of networks of a user's own: it takes seconds
