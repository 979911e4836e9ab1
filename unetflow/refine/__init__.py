"""The foreground made smoother before thresholds are chosen on it: a Gaussian, a CRF."""

from unetflow.refine.conv_crf import Crf
from unetflow.refine.refinement import crf, smoothed

__all__ = ["Crf", "crf", "smoothed"]
