"""How small and how fast chunks of real arrays are: python benchmarks/codecs.py ARRAY_OR_IMAGE...

Of each Zarr array or image file the 512 px square in its middle, by Blosc with several settings;
medians of 20 rounds, one thread.
"""

import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import tifffile
from numcodecs import Blosc, blosc

from unetflow.store.arrays import StoredArray

SIDE_PX = 512
SHUFFLES = {"none": Blosc.NOSHUFFLE, "bytes": Blosc.SHUFFLE, "bits": Blosc.BITSHUFFLE}


def middle_of(path: Path) -> np.ndarray:
    """A square of one channel."""
    if path.is_dir():
        array: Any = StoredArray(path)
        array = array[(0,) * (array.ndim - 2)]
    else:
        array = tifffile.imread(path)
        array = array[..., 0] if array.ndim > 2 else array
    rows, columns = (
        slice(max(0, (size - SIDE_PX) // 2), (size + SIDE_PX) // 2) for size in array.shape
    )
    return np.ascontiguousarray(array[rows, columns])


def nanoseconds(work: Callable[[Any], Any], given: Any, pixels: int) -> float:
    """Per pixel of work on what is given."""
    seconds = []
    for _ in range(20):
        started = time.perf_counter()
        work(given)
        seconds.append(time.perf_counter() - started)
    return statistics.median(seconds) / pixels * 1e9


def main() -> None:
    blosc.use_threads = False
    print("| array | codec | shuffled | encode [ns/px] | decode [ns/px] | bytes/px |")
    print("| --- | --- | --- | --- | --- | --- |")
    for name in sys.argv[1:]:
        pixels = middle_of(Path(name))
        for codec, level in (("zstd", 3), ("zstd", 1), ("lz4", 5)):
            for shuffled, number in SHUFFLES.items():
                coder = Blosc(cname=codec, clevel=level, shuffle=number)
                encoded = coder.encode(pixels)
                costs = (
                    nanoseconds(coder.encode, pixels, pixels.size),
                    nanoseconds(coder.decode, encoded, pixels.size),
                    len(encoded) / pixels.size,
                )
                print(
                    f"| {Path(name).name} {pixels.dtype} | {codec} {level} | {shuffled} | "
                    f"{costs[0]:.1f} | {costs[1]:.1f} | {costs[2]:.3f} |"
                )


if __name__ == "__main__":
    main()
