"""What kind of mistake warping could not repair: splits, mergers, holes, objects.

Source: Jain et al. 2010 and Fiji's Trainable Segmentation, whose "minimum splits and mergers" is
the warping error in table 1 of the U-Net paper.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import Protocol

import numpy as np
from numpy.typing import ArrayLike

from unetflow.arguments import whole_number_of
from unetflow.metrics.checks import binarise, membrane_pair, thresholds_of
from unetflow.metrics.overlap import ratio
from unetflow.metrics.topology import count_clusters, types_of
from unetflow.metrics.warping import Bytes, Warped, warp_slices


class ByRegion(Protocol):
    """What is read by slices: NumPy, Zarr and Dask arrays."""

    def __getitem__(self, key: tuple[slice, ...], /) -> ArrayLike: ...


class Mismatch(IntEnum):
    """Types of mismatching pixels; NONE is a pixel that agrees after warping."""

    NONE = 0
    OBJECT_ADDITION = 1
    OBJECT_DELETION = 2
    HOLE_ADDITION = 3
    HOLE_DELETION = 4
    MERGER = 5
    SPLIT = 6


@dataclass(frozen=True, slots=True)
class Mismatches:
    """What is left after warping at one threshold; pixels add up over slices and images."""

    threshold: float
    pixels: dict[Mismatch, int]  # [px] of each type but NONE
    clusters: dict[Mismatch, int]  # connected groups of pixels of one type
    interior_px: int  # [px] above the threshold; 0: the foreground vanished, and so do mergers
    inside_px: int  # [px] inside the mask, interior or not; 0: nothing was compared
    total_px: int  # [px] W * H * slices, outside the mask too, as in Fiji

    def __add__(self, other: "Mismatches") -> "Mismatches":
        if self.threshold != other.threshold:
            raise ValueError(
                f"mismatches at thresholds {self.threshold} and {other.threshold}: must be of one."
            )
        return Mismatches(
            threshold=self.threshold,
            pixels={kind: self.pixels[kind] + other.pixels[kind] for kind in self.pixels},
            clusters={kind: self.clusters[kind] + other.clusters[kind] for kind in self.clusters},
            interior_px=self.interior_px + other.interior_px,
            inside_px=self.inside_px + other.inside_px,
            total_px=self.total_px + other.total_px,
        )

    @property
    def split_merger_error(self) -> float:
        """(Split + merger pixels) / (W * H * slices); NaN where the mask has no pixel."""
        return self._share(self._splits_and_mergers(self.pixels))

    @property
    def split_merger_cluster_error(self) -> float:
        """(Split + merger clusters) / (W * H * slices); NaN where the mask has no pixel."""
        return self._share(self._splits_and_mergers(self.clusters))

    @property
    def warping_error(self) -> float:
        """Pixels of all types / (W * H * slices); NaN where the mask has no pixel."""
        return self._share(sum(self.pixels.values()))

    @staticmethod
    def _splits_and_mergers(counts: dict[Mismatch, int]) -> int:
        return counts[Mismatch.SPLIT] + counts[Mismatch.MERGER]

    def _share(self, wrong: int) -> float:
        return ratio(wrong, self.total_px if self.inside_px else 0)


def splits_and_mergers(
    truth: ArrayLike,
    proposal: ArrayLike,
    thresholds: float | Sequence[float],
    *,
    radius_px: int | None = 20,
    mask: ArrayLike | None = None,
) -> float:
    """Minimum over thresholds of (split + merger pixels) / (W * H * slices).

    The "warping error" of the U-Net paper (0.000353 on the ISBI 2012 test stack). truth 0 membrane,
    nonzero interior; proposal P(interior) in [0, 1]; (Y, X) or a stack (Z, Y, X). `radius_px` is
    the window in which a suspected split is looked at, None the whole image.

    A threshold at which the interior vanishes has no split and no merger and wins: see
    `mismatches_by_threshold` before believing a small number. NaN where the mask has no pixel.
    """
    rows = mismatches_by_threshold(truth, proposal, thresholds, radius_px=radius_px, mask=mask)
    return min(row.split_merger_error for row in rows)


def mismatches_by_threshold(
    truth: ArrayLike,
    proposal: ArrayLike,
    thresholds: float | Sequence[float],
    *,
    radius_px: int | None = 20,
    mask: ArrayLike | None = None,
) -> list[Mismatches]:
    """Pixels and clusters of each mismatch type at each threshold, pooled over a stack."""
    values, rows = thresholds_of(thresholds), []
    _, probability, inside = membrane_pair(truth, proposal, mask)
    compared = np.broadcast_to(True, probability.shape) if inside is None else inside
    for threshold in values:
        interior = binarise(probability, threshold) & compared
        pixels, clusters = np.zeros(len(Mismatch), np.int64), np.zeros(len(Mismatch), np.int64)
        for warped, types in _typed(truth, proposal, threshold, mask, radius_px):
            pixels += np.bincount(types, minlength=len(Mismatch))
            clusters += count_clusters(warped, types)
        rows.append(
            Mismatches(
                threshold=threshold,
                pixels={kind: int(pixels[kind]) for kind in Mismatch if kind},
                clusters={kind: int(clusters[kind]) for kind in Mismatch if kind},
                interior_px=int(np.count_nonzero(interior)),
                inside_px=int(np.count_nonzero(compared)),
                total_px=probability.size,
            )
        )
    return rows


def mismatches_of_regions(
    truth: ByRegion,
    proposal: ByRegion,
    thresholds: float | Sequence[float],
    regions: Iterable[tuple[slice, ...]],
    *,
    radius_px: int | None = 20,
    mask: ByRegion | None = None,
) -> list[Mismatches]:
    """As `mismatches_by_threshold`, over declared regions of an image larger than memory.

    Images in memory, in Zarr or in Dask, of which one region at a time is read. Each is warped as
    an image of its own (background beyond its border) and counted; the counts are added. That is
    another number than of the whole image, since objects are cut: name the regions beside it.
    """
    total: list[Mismatches] = []
    for region in regions:
        found = mismatches_by_threshold(
            np.asarray(truth[region]),
            np.asarray(proposal[region]),
            thresholds,
            radius_px=radius_px,
            mask=None if mask is None else np.asarray(mask[region]),
        )
        total = [a + b for a, b in zip(total, found, strict=True)] if total else found
    if not total:
        raise ValueError("regions is empty: pass at least one, as a tuple of slices.")
    return total


def mismatch_image(
    truth: ArrayLike,
    proposal: ArrayLike,
    threshold: float = 0.5,
    *,
    radius_px: int | None = 20,
    mask: ArrayLike | None = None,
) -> Bytes:
    """The type of each pixel as `Mismatch`, uint8 of the truth's shape: what a figure shows."""
    slices = []
    for warped, types in _typed(truth, proposal, threshold, mask, radius_px):
        image = np.zeros(warped.truth.shape, np.uint8)
        image.ravel()[warped.mismatches] = types
        slices.append(image[1:-1, 1:-1])
    return np.stack(slices).reshape(np.shape(truth))


def _typed(
    truth: ArrayLike,
    proposal: ArrayLike,
    threshold: float,
    mask: ArrayLike | None,
    radius_px: int | None,
) -> Iterator[tuple[Warped, Bytes]]:
    if radius_px is not None:  # None: the whole image
        radius_px = whole_number_of(radius_px, "radius_px", least=1)
    for warped in warp_slices(truth, proposal, threshold, mask):
        yield warped, types_of(warped, radius_px)
