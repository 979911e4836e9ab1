"""Options and sizes of `unetflow.networks.unetr`."""

from dataclasses import dataclass
from typing import ClassVar

from unetflow.networks.options import AXES, NORMS, Options, one_of, whole
from unetflow.tiles.geometry import Geometry


@dataclass(frozen=True, slots=True, kw_only=True)
class UNETROptions(Options):
    """Of `unetflow.networks.unetr`."""

    paper: ClassVar[str] = "Hatamizadeh et al. 2022"

    base_channels: int = whole(16)
    hidden_channels: int = whole(768)
    layers: int = whole(12)
    heads: int = whole(12)
    size_px: int = whole(256, least=16)
    norm: str | None = one_of("batch", NORMS)
    axes: int = one_of(2, AXES)

    PATCH_PX: ClassVar[int] = 16

    def __post_init__(self) -> None:
        Options.__post_init__(self)
        for name, value, divisor in (
            ("layers", self.layers, 4),
            ("hidden_channels", self.hidden_channels, self.heads),
            ("size_px", self.size_px, self.PATCH_PX),
        ):
            if value % divisor:
                near = max(1, round(value / divisor)) * divisor
                raise ValueError(f"{name} is {value}: must be a multiple of {divisor}, as {near}.")

    def why(self) -> str:
        """By its encoder."""
        return "attention sees all of a tile, and each place in it has an embedding of its own"

    def geometry(self) -> Geometry:
        """What attention sees is no halo: one patch is cut away, where zeros are near."""
        sides = (self.PATCH_PX,) * self.axes
        smallest = (3 * self.PATCH_PX,) * self.axes
        names = ("z", "y", "x")[-self.axes :]
        return Geometry(names, sides, sides, sides, smallest, self.values_per_px(), self.why())

    def values_per_px(self) -> float:
        """The decoder's last maps, and the tokens with their hidden layer."""
        return 16 * self.base_channels + 24 * self.hidden_channels / float(self.PATCH_PX**self.axes)


OPTIONS = UNETROptions
