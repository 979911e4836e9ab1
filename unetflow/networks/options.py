"""The options of a network: names, defaults and what each may be, without PyTorch.

A network declares a frozen dataclass of `Options`; its fields are made by `whole`, `wholes`,
`one_of`, `share` and `factor`. From them its sizes follow, so that a config is checked without
building anything.
"""

import difflib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from typing import Any, ClassVar, Self

from unetflow.arguments import number_of, whole_number_of
from unetflow.tiles.geometry import Geometry
from unetflow.tiles.receptive_field import Map, geometry_along

ACTIVATIONS = ("relu", "leaky_relu", "elu", "gelu", "silu")
KERNELS = (3, 5, 7, 9, 11)
WAYS_UP = ("transposed", "interpolated")
AXES = (2, 3)  # spatial ones: of images, and of volumes
NORMS = (None, "batch", "instance", "group")
BY_TILE = {
    "instance": "instance normalisation takes the mean and deviation of a tile",
    "group": "group normalisation takes the mean and deviation of a tile",
}


def whole(default: int, *, least: int = 1, most: int | None = None) -> Any:
    """An option that is a whole number."""

    def check(value: object, name: str) -> int:
        number = whole_number_of(value, name, least=least)
        if most is not None and number > most:
            raise ValueError(f"{name} is {number}: must be a whole number, {least} to {most}.")
        return number

    return field(default=default, metadata={"check": check})


def wholes(*default: int) -> Any:
    """An option that is a list of whole numbers, 1 or more each."""

    def check(value: object, name: str) -> tuple[int, ...]:
        every = value if isinstance(value, list | tuple) else []
        if not every:
            raise ValueError(
                f"{name} is {value!r}: must be a list of whole numbers, such as [4, 5]"
            )
        return tuple(whole_number_of(each, f"{name}[{k}]", least=1) for k, each in enumerate(every))

    return field(default=default, metadata={"check": check})


def one_of(default: object, choices: Sequence[object]) -> Any:
    """An option that is one of a few."""

    def check(value: object, name: str) -> object:
        # of the type, too: True is no 1
        if not any(value == each and type(value) is type(each) for each in choices):
            raise ValueError(f"{name} {value!r} is not known; there are {_listed(choices)}")
        return value

    return field(default=default, metadata={"check": check})


def share(default: float) -> Any:
    """An option that lies in [0, 1), such as dropout."""

    def check(value: object, name: str) -> float:
        if not 0 <= (number := number_of(value, name)) < 1:
            raise ValueError(f"{name} is {value}: must lie in [0, 1), usually 0 to 0.5.")
        return number

    return field(default=default, metadata={"check": check})


def factor(default: float) -> Any:
    """An option that is a number above 0."""

    def check(value: object, name: str) -> float:
        if (number := number_of(value, name)) <= 0:
            raise ValueError(f"{name} is {value}: must be above 0, usually about {default:g}.")
        return number

    return field(default=default, metadata={"check": check})


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """What every network takes; checked when it is made, by ValueErrors that name the option."""

    in_channels: int = whole(1)
    num_classes: int = whole(2)  # background among them

    paper: ClassVar[str]  # where it is from
    padded: ClassVar[bool] = True  # it pads: what comes out is as large as what goes in

    def __post_init__(self) -> None:
        for each in fields(self):
            check: Callable[[object, str], object] = each.metadata["check"]
            object.__setattr__(self, each.name, check(getattr(self, each.name), each.name))

    @classmethod
    def of(cls, name: str, given: Mapping[str, Any]) -> Self:
        """The options of a network, completed. Raises ValueError with those there are."""
        known = [each.name for each in fields(cls)]
        refuse_unknown(name, given, known)
        return cls(**dict(given))

    def as_dict(self) -> dict[str, Any]:
        """Each option by its name."""
        return asdict(self)

    def seen(self) -> Map:
        """Its last map, made as the network makes it, along one axis."""
        raise NotImplementedError

    def values_per_px(self) -> float:
        """Values held at the peak of inference for each pixel of the input: `Geometry`."""
        raise NotImplementedError

    @property
    def spatial_axes(self) -> int:
        """Of the images that it takes; those of volumes have an option `axes`, or are of none."""
        return int(getattr(self, "axes", AXES[0]))

    def why(self) -> str:
        """Why it is not seamless; empty where it is."""
        return BY_TILE.get(str(getattr(self, "norm", None)), "")

    def geometry(self) -> Geometry:
        """The sizes that follow."""
        return geometry_along(
            (self.seen(),) * self.spatial_axes,
            values_per_px=self.values_per_px(),
            why=self.why(),
            padded=self.padded,
        )


def refuse_unknown(name: str, given: Mapping[str, object], known: Sequence[str]) -> None:
    """Raise ValueError for an option that a network does not have, with those it has."""
    for option in given:
        if option not in known:
            near = difflib.get_close_matches(str(option), known, n=1, cutoff=0.7)
            meant = f"did you mean {near[0]!r}? " if near else ""
            raise ValueError(
                f"network {name} has no option {option!r}; {meant}there are {', '.join(known)}"
            )


def _listed(choices: Sequence[object]) -> str:
    *others, last = map(str, choices)
    return f"{', '.join(others)} and {last}" if others else last
