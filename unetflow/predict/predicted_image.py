"""The foreground of a region of an image: its tiles read, run through the networks, put together.

Shape suffixes: C channels, K classes, H W of a tile, Y X of a level.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from unetflow.errors import ModelError, SlideError
from unetflow.predict.forward import as_batch, cut
from unetflow.predict.runners import Runner
from unetflow.store.foreground import as_stored
from unetflow.store.pixels import ImageLike, Intensity, Normalised, is_local, normalised
from unetflow.store.tissue_mask import Tissue
from unetflow.tiles.grid import Tile
from unetflow.tiles.mirror import read_mirrored
from unetflow.tiles.regions import Region, in_words
from unetflow.tiles.tiling import Tiling


@dataclass(frozen=True, slots=True)
class PredictedImage:
    """An image whose foreground is computed where it is asked for."""

    image: ImageLike
    intensities: Sequence[Intensity]  # of the training of each network
    tissue: Tissue | None
    tiling: Tiling
    run: Runner
    trimmed: bool  # tiles read no more than they need

    def block(self, region: Region, dtype: np.dtype) -> np.ndarray:
        """A region (K, rows, columns) as it is stored, all classes and heads together.

        Of a volume (K, planes, rows, columns).
        """
        seamless, shape_YX = self.tiling.geometry.seamless, self.image.shape[1:]
        classes, *parts = region
        inside = tuple(parts)
        sizes = (classes.stop, *(part.stop - part.start for part in inside))
        block = np.zeros(sizes, dtype if seamless else np.float32)
        for tile in self.tiling.tiles(shape_YX, inside):
            if self.tissue is None or self.tissue.reaches(*tile.write):
                found_KHW = as_stored(self._objects(tile), block.dtype)
                self.tiling.put(block, inside, found_KHW, tile, shape_YX)
        block = block if seamless else as_stored(block, dtype)
        if self.tissue is not None:
            block *= self.tissue.inside(*inside)
        return block

    def _objects(self, tile: Tile) -> np.ndarray:
        """Classes without background, then heads (K, H, W), of a tile's write region, float32."""
        if self.trimmed and self.tiling.geometry.seamless:
            tile = self.tiling.trimmed(tile)
        stored_CHW = _finite(read_mirrored(self.image, tile.read), tile.write)
        inputs = [as_batch(self._normalised(stored_CHW, tile, of)) for of in self.intensities]
        objects: np.ndarray = cut(self.run(inputs), tile)[1:].numpy()
        if not np.isfinite(objects).all():  # stored, they would be background
            raise ModelError(
                f"the network gives NaN in {in_words(tile.write)}: the image is far brighter than "
                "those of its training, or its weights are far too large. Choose another model, or "
                "train it anew."
            )
        return objects

    def _normalised(self, stored_CHW: np.ndarray, tile: Tile, intensity: Intensity) -> np.ndarray:
        """A padded tile as a network sees it; its surroundings are read where they count."""
        if is_local(intensity):
            return read_mirrored(Normalised(self.image, intensity), tile.read)
        return normalised(stored_CHW, intensity)


def _finite(pixels_CYX: np.ndarray, region: Region) -> np.ndarray:
    """The pixels as they are. Raises SlideError where one is no number: it would spread."""
    if pixels_CYX.dtype.kind == "f" and not np.isfinite(pixels_CYX).all():
        raise SlideError(
            f"the image has NaN or infinite pixels in or around {in_words(region)}. Replace them "
            "and run the command again."
        )
    return pixels_CYX
