"""How long threads of OpenMP spin for their next piece of work before they sleep."""

import os

# As fast as spinning on a quiet machine, as sleep on a busy one: benchmarks/results/spinning.md
SPINS = 10_000
SAID_BY = {"OMP_WAIT_POLICY", "GOMP_SPINCOUNT"}  # keys of the environment


def spin_briefly() -> None:
    """Tell GCC's OpenMP, which PyTorch has on Linux and which reads it when it starts.

    Nothing is done where the environment says something already.
    """
    if not SAID_BY & os.environ.keys():
        os.environ["GOMP_SPINCOUNT"] = str(SPINS)
