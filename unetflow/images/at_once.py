"""What reading takes at once: some files are decoded whole, others in strips or chunks of any size.

Sizes come from the header of a file. A job asks for the memory before, and is refused in words, not
killed, where there is less.
"""

import math
from pathlib import Path
from typing import Any

from unetflow.errors import TooLargeError
from unetflow.images.kept_chunks import KEPT_BYTES

LEAST_BYTES = KEPT_BYTES  # what any job has for reading
MOST_BYTES = 2**38  # what asks for more than 256 GiB at once is damaged, or of no use
COPIES = 2  # of a chunk: as it is decoded, and as it is handed on


def peak_bytes(array: Any) -> int:
    """What one pixel of a level of a file takes at least, beside the region that is read."""
    if (of_picture := getattr(array, "peak_bytes", None)) is not None:
        return int(of_picture)
    chunks = getattr(array, "chunks", None)
    return COPIES * math.prod(chunks) * array.dtype.itemsize if chunks else 0


def check_memory(
    path: str | Path, needed_bytes: int, free_bytes: int, why: str, way_out: str
) -> None:
    """Raise TooLargeError where there is less memory than is needed.

    `why` says of the file what takes so much.
    """
    free_bytes = min(free_bytes, MOST_BYTES)
    if needed_bytes > max(free_bytes, LEAST_BYTES):
        raise TooLargeError(
            f"{path}: {why}, which takes {needed_bytes / 1e9:.4g} GB of memory at once; there are "
            f"{free_bytes / 1e9:.3g} GB. {way_out}"
        )
