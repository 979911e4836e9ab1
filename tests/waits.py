"""How often a GPU would be waited for: operations that hand a value of a tensor to Python.

The same calls are made on a CPU, where they are counted in a trace of the profiler.
"""

from collections.abc import Callable

import torch
from torch.profiler import ProfilerActivity, profile

WAITING = ("aten::_local_scalar_dense", "aten::nonzero", "aten::masked_select", "aten::unique")


def waits(call: Callable[[], object]) -> int:
    """Of all that a call does in this thread."""
    with profile(activities=[ProfilerActivity.CPU]) as trace:
        call()
        torch.ones(1).item()  # is seen: else a trace of nothing would count nothing
    counted: int = sum(event.count for event in trace.key_averages() if event.key in WAITING)
    assert counted > 0
    return counted - 1
