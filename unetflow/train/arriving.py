"""A number that a GPU computes, asked for later: other work is given to it meanwhile."""

from torch import Tensor, cuda


class Arriving:
    """The value of a tensor of one element, on its way to the CPU from when this is made.

    To ask a tensor itself waits for all that its GPU was given since, and the GPU is idle until it
    is given more; to ask this waits for the tensor alone.
    """

    def __init__(self, value: Tensor) -> None:
        self._value = value.detach().to("cpu", non_blocking=True)  # to pinned memory
        self._there: cuda.Event | None = None
        if value.device.type == "cuda":
            self._there = cuda.Event(blocking=True)  # leaves the core to those that draw patches
            self._there.record(cuda.current_stream(value.device))
        elif value.device.type != "cpu":
            self._value = value.detach()  # of others it is not known when a copy is whole

    def __float__(self) -> float:
        """The value, once it is there."""
        if self._there is not None:
            self._there.synchronize()
        return float(self._value)
