"""What a machine chooses for an image: tile, precision, threads; and whether it can go on."""

import logging
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from unetflow.engine.devices import cores, machine_of
from unetflow.errors import ModelError
from unetflow.predict.ensemble import Ensemble
from unetflow.predict.runners import Turns
from unetflow.store.shards import Layout
from unetflow.tiles.regions import shard_grid
from unetflow.tiles.tiling import no_larger_than_needed, overlap_px

log = logging.getLogger(__name__)


def check_shard_px(shard_px: int, write_px: int) -> None:
    if shard_px % write_px:
        raise ModelError(
            f"predict: shard_px = {shard_px} px is no multiple of write_px = {write_px} px. Set it "
            "to one: a shard is a whole number of write regions."
        )


def choose(
    ensemble: Ensemble,
    turns: Turns,
    layout: Layout,
    write_px: int | None,
    *,
    device: str,
    precision: str,
    granted: int,
    held_bytes: int,
) -> dict[str, Any]:
    """What this machine would choose: tile, and threads of each network.

    Networks of one thread each are faster together than one of many threads, and give the same
    bits whatever their number; they get several where there are fewer shards than threads, or
    where memory is short.
    """
    most = min(granted, len(shard_grid(layout.shape, layout.shards)))
    if write_px is None:
        write_px = ensemble.usual_tile(layout.shard_px, device, precision, most, held_bytes)
    write_px = no_larger_than_needed(write_px, layout.shape[1:], ensemble.network)
    chosen: dict[str, Any] = {
        **{"device": device, "precision": precision, "memory_format": "channels_last"},
        "write_px": ensemble.fitting_tile(turns, write_px, device, precision),
        "average": len(turns),
        **machine_of(device),
    }
    if overlap := overlap_px(ensemble.network, chosen["write_px"]):
        chosen["blended_px"] = overlap
        log.warning(
            "the network is not seamless: what it says of a pixel depends on the tile. Tiles "
            "overlap by %d px and are blended; the result is not that of the whole image.",
            2 * overlap,
        )
    at_once = ensemble.tiles_at_once(chosen, most, held_bytes)
    return {**chosen, "threads": granted // at_once}


def can_have(
    chosen: Mapping[str, Any], now: Mapping[str, Any], fits: Callable[[int], bool]
) -> bool:
    """Can an array that was begun with `chosen` be continued here, to the same bits?

    To rounding, where the processor or PyTorch is another. `fits` says whether memory is enough for
    a tile that writes so many pixels.
    """
    same = all(chosen[key] == now[key] for key in ("device", "precision"))
    if not same or chosen["threads"] > cores():
        return False
    return chosen["write_px"] <= now["write_px"] or fits(chosen["write_px"])


def warn_of_another_machine(
    store: str | Path, begun: Mapping[str, Any], now: Mapping[str, Any]
) -> None:
    for name in machine_of(now["device"]):
        if begun[name] != now[name]:
            log.warning(
                "%s: was begun with %s %s and goes on with %s: what is done now will differ by "
                "rounding from an undisturbed run",
                *(store, name, begun[name], now[name]),
            )
