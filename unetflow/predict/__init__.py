"""Overlap-tile inference: the network over images of any size, seamless and restartable.

Source of the strategy: Ronneberger et al. 2015, figure 2; of the grid: `unetflow.tiles`.
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from unetflow.predict.whole_image import predict_array

__all__ = ["predict_array"]


def __getattr__(name: str) -> object:
    """Public names, imported when they are asked for: training takes `forward` alone from here."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from unetflow.predict import whole_image

    return getattr(whole_image, name)
