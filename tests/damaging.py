"""Damage to files: what the tests of all that is read share."""

import numpy as np


def damaged(content: bytes, random: np.random.Generator) -> bytes:
    """A bit turned, bytes replaced, cut off at the end or in the middle, doubled, or empty."""
    start, stop = sorted(random.integers(0, len(content), 2))
    turned = bytearray(content)
    turned[start] ^= 1 << random.integers(8)
    other = random.bytes(stop - start + 1)
    return [
        bytes(turned),
        content[:start] + other + content[start + len(other) :],
        content[:start],
        content[:start] + content[stop + 1 :],
        content[:stop] + content[start:],
        b"",
    ][random.integers(6)]
