"""What is done to a foreground before it is thresholded, by region, with the halo that it takes.

Where a halo leaves the image it is mirrored, so that regions of any size equal the whole, to the
bit. Shape suffixes: K classes, C channels, Y X pixels.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from unetflow.arguments import number_of, probabilities_of
from unetflow.refine.conv_crf import Crf, mean_field
from unetflow.store.foreground import as_probability
from unetflow.store.pixels import ImageLike
from unetflow.store.tissue_mask import Tissue
from unetflow.tiles.mirror import read_mirrored
from unetflow.tiles.regions import Region, shard_grid, shard_region

PIECE_PX = 256  # side of what is computed at once: its kernels stay in a processor's cache
BY_DEFAULT = Crf()
TRUNCATE = 4.0  # deviations at which a Gaussian ends, as SciPy has it


@dataclass(frozen=True, slots=True)
class Refinement:
    """A Gaussian, then a CRF; None: without."""

    smooth_px: float | None = None  # its deviation
    crf: Crf | None = None

    @classmethod
    def of(cls, config: Mapping[str, Any]) -> "Refinement":
        """As the config's `refine` has it."""
        crf = config["crf"]
        return cls(config["smooth_px"], None if crf is None else Crf(**crf))

    @property
    def smoothing_px(self) -> int:
        """The radius of the Gaussian."""
        return int(TRUNCATE * self.smooth_px + 0.5) if self.smooth_px else 0

    @property
    def halo_px(self) -> int:
        """How far a pixel depends on others."""
        return self.smoothing_px + (self.crf.halo_px if self.crf else 0)

    def block(
        self,
        foreground: ImageLike,
        image: ImageLike | None,
        region: Region,
        tissue: Tissue | None = None,
    ) -> np.ndarray:
        """A region (rows, columns) of a stored foreground as it becomes: (K, Y, X), float32.

        The CRF compares the pixels of `image` (C, Y, X), normalised. Outside the tissue, if that is
        known, it is 0 and nothing is computed.
        """
        block_KYX = np.zeros(
            (foreground.shape[0], *(part.stop - part.start for part in region)), np.float32
        )
        for index in shard_grid(block_KYX.shape[1:], (PIECE_PX, PIECE_PX)):
            own = shard_region(index, block_KYX.shape[1:], (PIECE_PX, PIECE_PX))
            piece = tuple(
                slice(part.start + at.start, part.start + at.stop)
                for part, at in zip(region, own, strict=True)
            )
            if tissue is None or tissue.reaches(*piece):
                block_KYX[(slice(None), *own)] = self._piece(foreground, image, piece)
        if tissue is not None:
            block_KYX *= tissue.inside(*region)
        return block_KYX

    def _piece(self, foreground: ImageLike, image: ImageLike | None, region: Region) -> np.ndarray:
        found_KYX = as_probability(read_mirrored(foreground, _widened(region, self.halo_px)))
        if self.smooth_px:
            found_KYX = _gaussian(found_KYX, self.smooth_px, self.smoothing_px)
        if self.crf is None:
            return found_KYX
        if image is None:
            raise ValueError("a CRF needs the image")
        pixels_CYX = read_mirrored(image, _widened(region, self.crf.halo_px))
        return mean_field(found_KYX, pixels_CYX, self.crf)


def smoothed(foreground_KYX: ArrayLike, sigma_px: float) -> np.ndarray:
    """Foreground (K, Y, X) blurred by a Gaussian of this deviation, float32.

    Truncated at `TRUNCATE` deviations, mirrored at the border, the edge pixel not repeated. Raises
    ValueError for what is no foreground and for a deviation that is not above 0.
    """
    if not 0 < number_of(sigma_px, "sigma_px") < math.inf:
        raise ValueError(f"sigma_px is {sigma_px}: must be more than 0.")
    return _whole(_foreground(foreground_KYX), None, Refinement(smooth_px=sigma_px))


def crf(foreground_KYX: ArrayLike, image_CYX: ArrayLike, how: Crf = BY_DEFAULT) -> np.ndarray:
    """Foreground (K, Y, X) after the steps of a CRF that compares the pixels of an image, float32.

    `image_CYX` holds floats, normalised to a deviation of about 1 a channel; `how` says the rest.
    Mirrored at the border. Background is what the classes leave of 1. Raises ValueError for what is
    no foreground, and for an image of another shape.
    """
    foreground = _foreground(foreground_KYX)
    image = np.asarray(image_CYX, np.float32)
    if image.ndim != 3 or image.shape[1:] != foreground.shape[1:] or not np.isfinite(image).all():
        raise ValueError(
            f"image has shape {image.shape}: must be (C, Y, X) of finite numbers, with Y and X of "
            f"the foreground, {foreground.shape}."
        )
    return _whole(foreground, image, Refinement(crf=how))


def _foreground(foreground_KYX: ArrayLike) -> np.ndarray:
    found = np.asarray(probabilities_of(foreground_KYX, "foreground", "P(object)"), np.float32)
    if found.ndim != 3 or not found.size:
        raise ValueError(f"foreground has shape {found.shape}: must be (K, Y, X).")
    return found


def _whole(foreground: np.ndarray, image: np.ndarray | None, how: Refinement) -> np.ndarray:
    region = tuple(slice(0, size) for size in foreground.shape[1:])
    return how.block(foreground, image, region)


def _widened(region: Region, by_px: int) -> Region:
    return tuple(slice(part.start - by_px, part.stop + by_px) for part in region)


def _gaussian(wide_KYX: np.ndarray, sigma_px: float, radius_px: int) -> np.ndarray:
    """Blurred, without the radius on each side, where SciPy's own border is."""
    from scipy import ndimage  # which the graph does without

    blurred_KYX = ndimage.gaussian_filter(wide_KYX, (0, sigma_px, sigma_px), truncate=TRUNCATE)
    inner = [slice(radius_px, size - radius_px) for size in wide_KYX.shape[1:]]
    return np.asarray(blurred_KYX[(slice(None), *inner)])
