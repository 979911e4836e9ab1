"""Names of images and groups, each given once."""

from collections import Counter


def distinct(name: str, taken: Counter[str], mark: str = "-") -> str:
    """The name, with a number behind the mark where it is taken; it is taken then.

    >>> taken = Counter()
    >>> [distinct(name, taken) for name in ("a", "a", "a-2", "a")]
    ['a', 'a-2', 'a-2-2', 'a-3']
    """
    found = name
    while found in taken:
        taken[name] += 1
        found = f"{name}{mark}{taken[name]}"
    taken[found] = 1
    return found
