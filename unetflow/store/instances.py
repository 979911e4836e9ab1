"""Instances of one class among those of a store."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import dask.array as da


def instances_of_class(labels: "da.Array", made: Mapping[str, int]) -> "da.Array":
    """Stored instances of one class, by what the receipt says of it: its ids are consecutive."""
    first = made["first_id"]
    return labels * ((labels >= first) & (labels < first + made["instances"]))
