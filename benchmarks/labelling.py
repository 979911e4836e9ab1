"""Labelling by blocks beside scipy.ndimage.label: python benchmarks/labelling.py --help.

Drawn cells in memory, in turns in one run; ours also measures every object. Prints medians.
"""

import argparse
import statistics
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from scipy import ndimage

from unetflow.components.objects_of_image import find_objects
from unetflow.components.pieces_of_block import Labelling
from unetflow.demo.planes import draw_region
from unetflow.tiles.regions import Region, shard_grid, shard_region

DRAWN_PX = 2048


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--side", type=int, default=4096, help=f"a multiple of {DRAWN_PX} px")
    parser.add_argument("--block", type=int, default=1024)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    cells = draw_region(slice(0, DRAWN_PX), slice(0, DRAWN_PX), seed=1)[1] != 0
    foreground = np.tile(cells.astype(np.uint8) * 255, (options.side // DRAWN_PX,) * 2)
    block = (options.block, options.block)

    def read(region: Region) -> tuple[np.ndarray, np.ndarray, None]:
        return foreground[region] > 127, foreground[region], None

    def ours(how: Labelling) -> np.ndarray:
        objects = find_objects(read, foreground.shape, block, how, options.threads)
        labels = np.empty(foreground.shape, np.uint32)

        def draw(index: tuple[int, ...]) -> None:
            region = shard_region(index, foreground.shape, block)
            labels[region] = objects.draw(index, read(region)[0])

        with ThreadPoolExecutor(options.threads) as pool:
            list(pool.map(draw, shard_grid(foreground.shape, block)))
        return labels

    def theirs(how: Labelling) -> np.ndarray:
        mask = foreground > 127
        mask = ndimage.binary_fill_holes(mask) if how.fill_holes else mask
        return np.asarray(ndimage.label(mask)[0])

    print("| | SciPy [ns/px] | ours [ns/px] | ratio |\n| --- | --- | --- | --- |")
    for name, how in (("label", Labelling()), ("fill holes, label", Labelling(fill_holes=True))):
        functions: tuple[Callable[[Labelling], np.ndarray], ...] = (theirs, ours)
        ours(how)  # compiled or read from the cache
        seconds: dict[str, list[float]] = {"theirs": [], "ours": []}
        found = {}
        for _ in range(options.rounds):
            for function in functions:
                started = time.perf_counter()
                found[function.__name__] = function(how)
                seconds[function.__name__].append(time.perf_counter() - started)
        assert np.array_equal(found["theirs"], found["ours"])
        each = [1e9 * statistics.median(of) / foreground.size for of in seconds.values()]
        print(f"| {name} | {each[0]:.1f} | {each[1]:.1f} | {each[0] / each[1]:.2f} |")


if __name__ == "__main__":
    main()
