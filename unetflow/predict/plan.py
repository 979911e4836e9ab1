"""What a job of prediction is asked for, and what its machine chose; whether another can go on."""

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from unetflow.engine.devices import cores
from unetflow.errors import ModelError
from unetflow.predict.runners import AVERAGED, Orientations
from unetflow.tiles.geometry import Geometry
from unetflow.tiles.regions import PLANE, side_px
from unetflow.tiles.tiling import Tiling

log = logging.getLogger(__name__)

Share = tuple[int, int]
"""Which shards a job does: every so many-th (of), from this one on (number)."""
BEGIN: Share = (0, 0)  # none: the array is made
END: Share = (-1, 1)  # what is still missing: nothing, where all shares are done


@dataclass(frozen=True, slots=True)
class PredictOptions:
    """What a job is asked for: the keys of `predict` in the config, and its share of an image.

    Raises ModelError where a shard is no whole number of write regions.
    """

    write_px: int | None = None  # of a tile; None: as many as suit the precision
    shard_px: int = 1024  # of a square; of volumes cubes as `unetflow.tiles.regions.side_px` says
    dtype: str = "uint8"  # uint8: 255 is 1.0
    test_time_augmentation: int = 1  # flips and rotations that are averaged: 1 (off), 7, 8, 16
    precision: str = "auto"  # fp32, bf16, or what suits the device
    share: Share | None = None  # of the shards; None: all of them

    def __post_init__(self) -> None:
        self.check(PLANE)

    def check(self, axes: int) -> None:
        """Raise ModelError where a shard of so many axes is no whole number of write regions."""
        side = side_px(self.shard_px, axes)
        if self.write_px is not None and side % self.write_px:
            of = "" if axes == PLANE else f", of volumes an eighth of it, {side} px,"
            raise ModelError(
                f"predict: shard_px = {self.shard_px} px{of} is no multiple of write_px = "
                f"{self.write_px} px. Set it to one: a shard is a whole number of write regions."
            )

    @property
    def parameters(self) -> dict[str, int | str | None]:
        """Of the making of an array: its layout apart, all here that decides what is in it."""
        return {
            "write_px": self.write_px,
            "average": self.test_time_augmentation,
            "precision": self.precision,
        }


@dataclass(frozen=True, slots=True)
class Inference:
    """How tiles are computed."""

    device: str
    precision: str
    orientations: Orientations


@dataclass(frozen=True, slots=True)
class Plan:
    """What a machine chose for an image: all that its bits depend on beside image and networks."""

    device: str
    precision: str
    write_px: int  # side of the square, or cube, that a tile writes of its own
    test_time_augmentation: int
    processor: str
    pytorch: str  # version
    threads: int  # of each network
    blended_px: int | None = None  # that tiles reach into the next one, where they do not fit
    memory_format: str = "channels_last"
    wanted_px: int | None = None  # what `write_px` had been, were memory enough, where that shows

    @property
    def inference(self) -> Inference:
        return Inference(self.device, self.precision, AVERAGED[self.test_time_augmentation])

    def tiling(self, geometry: Geometry, shape: Sequence[int] = ()) -> Tiling:
        """Of an image of this shape, (Y, X) or (Z, Y, X), or of any that is large.

        The longest side of the tiles of a small image need be no multiple of the other steps.
        """
        tiling = Tiling.at_least(geometry, self.write_px)
        return tiling.for_image(shape) if shape else tiling

    @property
    def stored(self) -> dict[str, int | str]:
        """For the attributes of an array, in this order."""
        plan: dict[str, int | str] = {
            "device": self.device,
            "precision": self.precision,
            "memory_format": self.memory_format,
            "write_px": self.write_px,
            "average": self.test_time_augmentation,
            "processor": self.processor,
            "PyTorch": self.pytorch,
        }
        if self.blended_px is not None:
            plan["blended_px"] = self.blended_px
        if self.wanted_px is not None:
            plan["wanted_px"] = self.wanted_px
        return plan | {"threads": self.threads}

    @classmethod
    def read(cls, stored: Mapping[str, Any]) -> Self:
        """From the attributes of an array."""
        return cls(
            device=stored["device"],
            precision=stored["precision"],
            memory_format=stored["memory_format"],
            write_px=stored["write_px"],
            test_time_augmentation=stored["average"],
            processor=stored["processor"],
            pytorch=stored["PyTorch"],
            threads=stored["threads"],
            blended_px=stored.get("blended_px"),
            wanted_px=stored.get("wanted_px"),
        )


def warning_of_tiles(chosen: Mapping[str, Any]) -> str | None:
    """Of an array (its `chosen`) whose tiles are smaller than wanted, where their size shows."""
    if chosen.get("wanted_px") is None:
        return None
    return (
        f"its tiles are {chosen['write_px']} px wide, not {chosen['wanted_px']} px, as memory was "
        "short, and what this network says of a pixel depends on the tile: it differs from images "
        f"with other tiles. Give the job more memory, or set predict.write_px to "
        f"{chosen['write_px']} for all images."
    )


def can_have(begun: Plan, now: Plan, fits: Callable[[Plan], bool]) -> bool:
    """Can an array that was begun with one plan be continued here, to the same bits?

    To rounding, where the processor or PyTorch is another. `fits` says whether memory is enough for
    the tiles of a plan.
    """
    same = (begun.device, begun.precision) == (now.device, now.precision)
    if not same or begun.threads > cores():
        return False
    return begun.write_px <= now.write_px or fits(begun)


def warn_of_another_machine(store: str | Path, begun: Plan, now: Plan) -> None:
    for name, before, here in (
        ("processor", begun.processor, now.processor),
        ("PyTorch", begun.pytorch, now.pytorch),
    ):
        if before != here:
            log.warning(
                "%s: was begun with %s %s and goes on with %s: what is done now will differ by "
                "rounding from an undisturbed run",
                store,
                name,
                before,
                here,
            )
