"""The registry of networks: from a name in the config to a module, imported when asked for.

A network module offers `build(**options) -> torch.nn.Module`. The network tells its geometry:
`depth` (poolings; it is shift-equivariant in steps of 2**depth px), `halo_px`,
`check_input_px(size)`, `bytes_of_tile(size, bytes)`, and whether it is `seamless`: whether an
output pixel depends on nothing but the input within the halo, so that tiles fit together exactly.
"""

import importlib
from typing import Any

MODULES = {"unet": "unetflow.networks.unet"}  # "unet" is the paper's


def build(name: str, **options: Any) -> Any:
    """Build a registered network with fresh weights.

    Raises ValueError for an unknown name or option, with the names there are.
    """
    if name not in MODULES:
        raise ValueError(f"no network is called {name!r}; there are: {', '.join(sorted(MODULES))}")
    return importlib.import_module(MODULES[name]).build(**options)
