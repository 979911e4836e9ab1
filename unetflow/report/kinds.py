"""What is said of many, told once a kind with its count: never a wall of names."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

SHOWN = 3  # names of a kind


@dataclass(frozen=True, slots=True)
class Kind:
    """Texts that differ in names and numbers alone."""

    text: str  # of the first
    names: tuple[str, ...]  # of all who have it

    @property
    def count(self) -> int:
        return len(self.names)

    @property
    def who(self) -> str:
        return some(self.names)


def some(names: Sequence[str]) -> str:
    """The first few names and how many more there are.

    >>> some(["a", "b", "c", "d"]), some(["net, fold 0", "net, fold 1"])
    ('a, b, c and 1 more', 'net, fold 0; net, fold 1')
    """
    apart = "; " if any(", " in name for name in names) else ", "
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return apart.join(names[:SHOWN]) + more


def by_kind(said: Iterable[tuple[str, str]]) -> list[Kind]:
    """Pairs (name, text) by kind, in the order of the first of each.

    Numbers, and what stands before a colon at the begin, are left out of the comparison, and so
    are the names themselves: an image is "the same pixels as" another. Where one name has several
    of a kind, as a validation with warnings of many images, that begin stands behind it.
    """
    pairs = [(name, text) for name, text in said]
    names = {name for name, _ in pairs}
    alike: dict[str, list[tuple[str, str]]] = {}
    for name, text in pairs:
        alike.setdefault(_sentence(text, names), []).append((name, text))
    return [Kind(of[0][1], tuple(dict.fromkeys(_told_apart(of)))) for of in alike.values()]


def _told_apart(said: Sequence[tuple[str, str]]) -> list[str]:
    several = len({name for name, _ in said}) < len(said)
    begins = [f", {text.partition(': ')[0]}" * (several and ": " in text) for _, text in said]
    return [name + begin for (name, _), begin in zip(said, begins, strict=True)]


def _sentence(text: str, names: set[str]) -> str:
    _, _, behind = text.partition(": ")
    words = ("*" if word.strip(",;.") in names else word for word in (behind or text).split())
    return re.sub(r"\d+([.,x]+\d+)*", "#", " ".join(words))
