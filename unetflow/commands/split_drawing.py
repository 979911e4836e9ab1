"""Parts of images drawn: groups together, sparse and crowded images in every part."""

import hashlib
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from unetflow.errors import ConfigError


@dataclass(frozen=True, slots=True)
class Annotated:
    """An image with truth, and how crowded it is."""

    name: str
    group: str  # "" for none
    density: float  # instances per pixel


def assign_splits(
    images: Sequence[Annotated],
    shares: Mapping[str, float],
    *,
    seed: int,
    given: Mapping[str, int] | None = None,
) -> dict[str, str]:
    """The part of each image, by name: groups together, densities mixed, the same for a seed.

    `shares` are parts and how much of the images each is to have, in any unit; `given` are images
    that parts have already. Raises ConfigError where there are fewer groups than empty parts.
    """
    given = Counter(given)
    every = len(images) + given.total()
    lacking = {  # in the unit of the shares
        part: max(0.0, share - given[part] * sum(shares.values()) / max(1, every))
        for part, share in shares.items()
    }
    to_fill = [part for part in shares if shares[part] and not given[part]]
    units: dict[str, list[Annotated]] = {}
    for image in images:
        units.setdefault(f"group {image.group}" if image.group else image.name, []).append(image)
    if len(units) < len(to_fill):
        raise ConfigError(
            f"{len(images)} images in {len(units)} groups cannot make {len(to_fill)} parts "
            f"({', '.join(to_fill)}): a group is never on both sides of a split. Ask for fewer "
            "parts, or let --redraw draw the rows anew that have a split."
        )
    return _drawn(units, lacking, to_fill, seed)


def _drawn(
    units: Mapping[str, Sequence[Annotated]],
    shares: Mapping[str, float],
    to_fill: Sequence[str],
    seed: int,
) -> dict[str, str]:
    """Units one after the other to the part that lacks most; at the end to those without any."""
    total = sum(shares.values())
    # dense to sparse; equal ones in an order that hangs on the seed alone
    order = sorted(units, key=lambda unit: (-_mean_density(units[unit]), _hashed(seed, unit)))
    assigned: dict[str, str] = {}
    counts = Counter(dict.fromkeys(shares, 0))
    for done, unit in enumerate(order):
        left = len(order) - done
        empty = [part for part in to_fill if not counts[part]]
        among = empty if len(empty) == left else [part for part in shares if shares[part]]
        members = units[unit]
        after = counts.total() + len(members)
        part = max(
            among,
            key=lambda part: (
                after * shares[part] / total - counts[part],
                _hashed(seed, f"{unit} {part}"),
            ),
        )
        counts[part] += len(members)
        assigned |= {image.name: part for image in members}
    return assigned


def _mean_density(images: Sequence[Annotated]) -> float:
    return sum(image.density for image in images) / len(images)


def _hashed(seed: int, name: str) -> str:
    return hashlib.blake2b(f"{seed} {name}".encode(), digest_size=8).hexdigest()
