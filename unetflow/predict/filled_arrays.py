"""The arrays that one pass of the networks fills: the foreground, and the heads where there are."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from unetflow.store.names import HEADS
from unetflow.store.shards import Index, Layout, ShardedArray, clear, join_array, open_array


@dataclass(frozen=True, slots=True)
class Filled:
    """Arrays with the same shards; `heads` is None where no network has a head."""

    foreground: ShardedArray
    heads: ShardedArray | None

    @property
    def planes(self) -> int:
        """Classes and heads together."""
        of_heads = 0 if self.heads is None else self.heads.array.shape[0]
        return int(self.foreground.array.shape[0]) + of_heads

    def missing(self) -> list[Index]:
        """Shards that one of them lacks."""
        if self.heads is None:
            return self.foreground.missing()
        lacking = {*self.foreground.missing(), *self.heads.missing()}
        return [index for index in self.foreground.shards() if index in lacking]

    def drop_unusable(self) -> None:
        """As of each."""
        self.foreground.drop_unusable()
        if self.heads is not None:
            self.heads.drop_unusable()

    def write(self, index: Index, block: np.ndarray) -> None:
        """A shard of both, whole: the planes of the foreground, then those of the heads."""
        classes = self.foreground.array.shape[0]
        if self.heads is not None:
            self.heads.write(index, block[classes:])
        self.foreground.write(index, block[:classes])


def filled_with(
    foreground: ShardedArray,
    heads: int,
    store: str | Path,
    layout: Layout,
    decided_by: Mapping[str, object],
    *,
    joined: bool,
) -> Filled:
    """A foreground of this layout with its `heads` planes, opened or joined as itself was.

    Heads of another plan than the foreground's are begun anew; those that no network has any more
    are removed.
    """
    if not heads:
        if (Path(store) / HEADS).exists():
            clear(Path(store) / HEADS)
        return Filled(foreground, None)
    own = replace(layout, shape=(heads, *layout.shape[1:]))
    if joined:
        return Filled(foreground, join_array(store, HEADS, own, decided_by=decided_by))
    chosen = foreground.chosen
    array = open_array(
        store,
        HEADS,
        own,
        decided_by=decided_by,
        chosen=chosen,
        can_have=lambda begun: begun == chosen,
    )
    return Filled(foreground, array)
