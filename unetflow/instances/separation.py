"""How clumps may be taken apart: the methods by name, each with one number.

What each of them looks at stands in `unetflow.instances.landscapes`. Nothing here needs more than
the standard library and NumPy: planning reads it, too.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from unetflow.arguments import number_of

METHODS = ("necks", "valleys", "seeds", "border", "distance", "none")
NUMBER = {
    "necks": "split_px",
    "valleys": "split_logits",
    "seeds": "seed_threshold",
    "border": "border_threshold",
    "distance": "split_px",
}
DEFAULTS = {"valleys": 2.0, "seeds": 0.9, "border": 0.5, "distance": 2.0}  # of necks: none
HEADS = ("border", "distance")  # methods that need the head of the same name
WITHOUT_HEAD = tuple(name for name in METHODS if name not in HEADS)
OF_FOREGROUND = ("valleys", "seeds")  # methods that look at the foreground


@dataclass(frozen=True, slots=True)
class Separation:
    """A method and its number, as `NUMBER` has them."""

    method: str
    number: float
    steps: tuple[float, ...] | None = None  # side of a pixel along each axis; None: 1

    @classmethod
    def of(
        cls, options: Mapping[str, Any], steps: tuple[float, ...] | None = None
    ) -> "Separation | None":
        """Of the options of `unetflow.instances.label_instances`; None takes nothing apart.

        `steps` is the side of a pixel along each axis, in what distances are given in. Raises
        ValueError for a method that there is not, and a number that it cannot have.
        """
        method = options.get("separate", "necks")
        if method not in METHODS:
            raise ValueError(f"separate is {method!r:.60}: there are {', '.join(METHODS)}.")
        if method == "none":
            return None
        name = NUMBER[method]
        number = options.get(name)
        if number is None:
            return None if method == "necks" else cls(method, DEFAULTS[method], steps)
        number = number_of(number, name)
        if method in ("seeds", "border"):
            if not 0 <= number < 1:
                raise ValueError(
                    f"{name} is {number:g}: must be at least 0 and under 1, or None for "
                    f"{DEFAULTS[method]:g}."
                )
        elif not 0 < number < math.inf:
            nothing = "to split nothing" if method == "necks" else f"for {DEFAULTS[method]:g}"
            raise ValueError(f"{name} is {number}: must be above 0, or None {nothing}.")
        return cls(method, number, steps)

    @property
    def head(self) -> str | None:
        """The head that it needs, None where it needs none."""
        return self.method if self.method in HEADS else None

    @property
    def looks_at_foreground(self) -> bool:
        """Whether the foreground decides, beside the object's shape."""
        return self.method in OF_FOREGROUND


def needs_head(labelling: Mapping[str, Any]) -> bool:
    """Whether objects cannot be taken apart without what a head of the network says."""
    return labelling.get("separate") in HEADS


def labelling_of(options: Mapping[str, Any]) -> dict[str, Any]:
    """Of the config's `instances` what has an effect on labels: no number of another method.

    For necks it is what it was before there were other methods.
    """
    kept = {name: options[name] for name in ("min_area_px", "fill_holes", "connectivity")}
    if options.get("max_hole_px") is not None:
        kept["max_hole_px"] = options["max_hole_px"]
    method = options.get("separate", "necks")
    if method == "necks":
        return {**kept, "split_px": options.get("split_px")}
    separation = Separation.of(options)
    number = {} if separation is None else {NUMBER[method]: separation.number}
    return {**kept, "separate": method, **number}


def without_head(labelling: Mapping[str, Any]) -> dict[str, Any]:
    """The same for a foreground that no head belongs to, such as Otsu's: nothing taken apart."""
    if not needs_head(labelling):
        return dict(labelling)
    own = ("separate", *NUMBER.values())
    return {name: value for name, value in labelling.items() if name not in own}


def labelling_of_class(made: Mapping[str, Any], labelling: Mapping[str, Any]) -> dict[str, Any]:
    """How the instances of a class are made; of an older calibration as `labelling` says."""
    return dict(made.get("labelling", labelling))
