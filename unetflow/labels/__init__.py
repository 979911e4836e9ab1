"""The truth: how annotations are encoded, read, and asked for by the network."""

from unetflow.labels.encoding import separate_touching

__all__ = ["separate_touching"]
