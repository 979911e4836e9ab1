"""What the arrays of a store are called: each name stands here once.

0, 1, ...                  the pixels of a prepared image (C, Y, X), finest first
labels/truth/0, 1, ...     (Y, X), and so labels/ignore, labels/class and labels/instances
foreground, foreground_1   (K, Y, X), and so refined, where the foreground is
heads                      (H, Y, X), beside the foreground of a network that has a head
tissue                     a byte per cell

Of volumes Z, Y, X in the place of Y, X.
"""

FOREGROUND, REFINED = "foreground", "refined"
HEADS = "heads"  # what else a network says, beside the foreground
TISSUE = "tissue"
UNSPLIT = "unsplit"  # instances, there until the clumps are taken apart

# Of labels, each a group with an array for each level
TRUTH, IGNORE, CLASS, INSTANCES = "truth", "ignore", "class", "instances"


def of_labels(name: str, level: int | str = 0) -> str:
    """The array of a level of labels; "{}" leaves the level open.

    >>> of_labels(INSTANCES)
    'labels/instances/0'
    """
    return f"labels/{name}/{level}"
