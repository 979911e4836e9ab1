"""The weight map of Ronneberger et al. 2015, equation 2."""

from unetflow.weights.separation import weight_map

__all__ = ["weight_map"]
