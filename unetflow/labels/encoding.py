"""Truth as labels: instances of touching objects, membrane masks, classes, ignored pixels."""

import numpy as np

from unetflow.errors import LabelsError

UINT32_MAX = 2**32 - 1


def separate_touching(labels: np.ndarray) -> np.ndarray:
    """Put background between touching instances, by removing the pixels where they touch.

    A pixel becomes 0 if a neighbour by an edge (4 in 2D, 6 in 3D) is of another instance; so both
    sides give one pixel, and renaming instances changes nothing:

        1 1 2 2        1 0 0 2
        1 1 2 2   ->   1 0 0 2
        1 1 0 2        1 1 0 2

    Any number of axes, label 0 is background; a new array of the same dtype. Every output pixel
    depends on its direct neighbours only. Source: Ronneberger et al. 2015, section 3 (there by
    morphological operations that are not given).
    """
    touches = np.zeros(labels.shape, bool)
    for axis in range(labels.ndim):
        before = tuple(slice(None, -1) if a == axis else slice(None) for a in range(labels.ndim))
        after = tuple(slice(1, None) if a == axis else slice(None) for a in range(labels.ndim))
        first, second = labels[before], labels[after]
        differ = (first != second) & (first != 0) & (second != 0)
        touches[before] |= differ
        touches[after] |= differ
    return np.where(touches, np.zeros_like(labels), labels)


def class_target(labels: np.ndarray, kind: str, classes: np.ndarray | None = None) -> np.ndarray:
    """The class of each pixel that a network is asked for, 0 background: uint8.

    Of truth of kind "classes" the labels themselves; of objects their class (`classes`, of the
    same shape; None: there is one, 1) after separating those that touch. Needs a halo of one pixel.
    """
    if kind == "classes":
        return labels.astype(np.uint8)
    objects = separate_touching(labels) != 0
    return np.where(objects, np.uint8(1) if classes is None else classes, 0).astype(np.uint8)


def read_truth(
    values: np.ndarray, kind: str, ignore_value: int | None, name: str, *, classes: int = 1
) -> tuple[np.ndarray, np.ndarray]:
    """Labels (uint32, 0 background) and ignored pixels (bool) of an annotation (Y, X).

    `kind` is "instances" (each object has its number), "interior" (membranes as in EM: 0 is
    membrane, 1 or 255 is inside; instances are the 4-connected components inside) or "classes"
    (each pixel has the number of its class, 1 to `classes`; objects have none). Pixels with
    `ignore_value` are ignored and background. `name` is the file, for messages.
    Raises LabelsError for values that have no meaning.
    """
    labels, ignored = checked_truth(values, kind, ignore_value, name, classes=classes)
    if kind == "interior":
        from unetflow.components.objects_of_image import label_image  # numba, which few jobs need
        from unetflow.components.pieces_of_block import Labelling

        labels = label_image(labels != 0, Labelling())
    return labels, ignored


def checked_truth(
    values: np.ndarray, kind: str, ignore_value: int | None, name: str, *, classes: int = 1
) -> tuple[np.ndarray, np.ndarray]:
    """As `read_truth`, but the inside of all cells of kind "interior" is one label."""
    if not np.issubdtype(values.dtype, np.integer) and values.dtype != bool:
        whole = np.isfinite(values).all() and (values == np.floor(values)).all()
        if not whole:
            raise LabelsError(
                f"{name}: holds {values.dtype} values that are no whole numbers; a truth holds "
                "integer labels. Save it as an integer image."
            )
    if values.min() < 0 or values.max() > UINT32_MAX:
        raise LabelsError(
            f"{name}: holds values from {values.min()} to {values.max()}; labels are 0 "
            f"(background) to {UINT32_MAX}. Renumber the objects."
        )
    ignored = values == ignore_value if ignore_value is not None else np.zeros(values.shape, bool)
    if kind == "instances":
        return np.where(ignored, 0, values).astype(np.uint32), ignored
    known = np.unique(values[~ignored])
    if kind == "classes":
        if known.size and known[-1] > classes:
            raise LabelsError(
                f"{name}: holds the values {', '.join(map(str, known[:8]))}, but the dataset names "
                f"{classes} classes, 1 to {classes}. Name all classes in the config, in the order "
                "of their numbers, or set the ignore value if one of them means that."
            )
        return np.where(ignored, 0, values).astype(np.uint32), ignored
    inside = known[known != 0]
    if len(inside) > 1 or not np.isin(inside, (1, 255)).all():
        raise LabelsError(
            f"{name}: holds the values {', '.join(map(str, known[:8]))}; truth of kind interior "
            "holds 0 (membrane) and either 1 or 255 (inside a cell). Set the dataset's truth to "
            "instances if these are object numbers, or its ignore value if one of them means that."
        )
    return ((values != 0) & ~ignored).astype(np.uint32), ignored
