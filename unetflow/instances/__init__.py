"""From foreground to instances: threshold, label, clean, take clumps apart."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from unetflow.instances.whole_image import label_instances

__all__ = ["label_instances"]


def __getattr__(name: str) -> object:
    """Public names, imported when they are asked for: planning takes `separation` alone."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from unetflow.instances import whole_image

    return getattr(whole_image, name)
