"""From foreground to instances: threshold, label, clean, take clumps apart."""

from unetflow.instances.whole_image import label_instances

__all__ = ["label_instances"]
