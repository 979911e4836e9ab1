"""What an array looks like on disk: shape, type, shards, chunks and codecs, as Zarr says it."""

import json
from dataclasses import dataclass

import numpy as np

from unetflow.tiles.regions import side_px

CHUNK_PX = 512  # smallest readable piece of an array of images or labels
SHARD_PX = 1024  # smallest writable piece
SPATIAL = ("z", "y", "x")


def spatial_axes(count: int) -> tuple[str, ...]:
    """The axes of an image (Y, X) or a volume (Z, Y, X), by how many they are."""
    return SPATIAL[-count:]


@dataclass(frozen=True, slots=True)
class Layout:
    """What an array looks like on disk. The last axes are spatial: (Y, X) or (Z, Y, X)."""

    shape: tuple[int, ...]  # [px] on spatial axes
    dtype: str
    axes: tuple[str, ...]  # "c", "z", "y", "x"
    shard_px: int = SHARD_PX  # side of a square; cubes are as `unetflow.tiles.regions.side_px` says
    chunk_px: int = CHUNK_PX  # the same

    @property
    def shards(self) -> tuple[int, ...]:
        """Shard shape: all channels together, squares of `shard_px`, or cubes."""
        return self._pieces(self.shard_px, whole_channels=True)

    @property
    def chunks(self) -> tuple[int, ...]:
        """Chunk shape: one channel, squares of `chunk_px`, or cubes."""
        return self._pieces(self.chunk_px, whole_channels=False)

    @property
    def described(self) -> list[object]:
        """As JSON gives it back."""
        parts = (self.shape, self.dtype, self.axes, self.shards, self.chunks)
        described: list[object] = json.loads(json.dumps(parts))
        return described

    @property
    def metadata(self) -> dict[str, object]:
        """The array's zarr.json without attributes: Zarr v3, sharded, each chunk with a CRC32C."""
        dtype = np.dtype(self.dtype)
        as_bytes: dict[str, object] = {"name": "bytes"}
        if dtype.itemsize > 1:
            as_bytes["configuration"] = {"endian": "little"}
        blosc = {
            "typesize": dtype.itemsize,
            "cname": "zstd",
            "clevel": 1,
            "shuffle": "shuffle",
            "blocksize": 0,
        }
        sharding = {
            "chunk_shape": list(self.chunks),
            "codecs": [
                as_bytes,
                {"name": "blosc", "configuration": blosc},
                {"name": "crc32c"},
            ],
            "index_codecs": [
                {"name": "bytes", "configuration": {"endian": "little"}},
                {"name": "crc32c"},
            ],
            "index_location": "end",  # viewers in browsers look for it nowhere else
        }
        return {
            "zarr_format": 3,
            "node_type": "array",
            "shape": list(self.shape),
            "data_type": dtype.name,
            "chunk_grid": {
                "name": "regular",
                "configuration": {"chunk_shape": list(self.shards)},
            },
            "chunk_key_encoding": {"name": "default", "configuration": {"separator": "/"}},
            "fill_value": np.zeros((), dtype).item(),
            "codecs": [{"name": "sharding_indexed", "configuration": sharding}],
            "dimension_names": list(self.axes),
        }

    def _pieces(self, size_px: int, *, whole_channels: bool) -> tuple[int, ...]:
        side = side_px(size_px, sum(axis in SPATIAL for axis in self.axes))
        channels = self.shape[0] if whole_channels else 1
        return tuple(channels if axis == "c" else side for axis in self.axes)
