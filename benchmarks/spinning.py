"""Threads that spin while they wait, against threads that sleep: python benchmarks/spinning.py.

The threads of OpenMP spin at each barrier before they sleep, which saves microseconds where cores
are free and burns them where other work waits for them. A bare training step and a bare pass of the
paper's network at a small width run in processes of their own, in turns with each environment; with
`--busy N` beside N processes that compute without a pause. Ratios are to the first environment.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

ENVIRONMENTS = {
    "as it comes": {},
    "OMP_WAIT_POLICY=PASSIVE": {"OMP_WAIT_POLICY": "PASSIVE"},
    "GOMP_SPINCOUNT=0": {"GOMP_SPINCOUNT": "0"},
    "both": {"OMP_WAIT_POLICY": "PASSIVE", "GOMP_SPINCOUNT": "0"},
}
STEPS = 8


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--busy", type=int, default=0, help="processes that compute beside")
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--child", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        print(json.dumps(measured(options.threads)))
        return
    found: dict[str, list[dict[str, float]]] = {name: [] for name in ENVIRONMENTS}
    names = list(ENVIRONMENTS)
    for number in range(options.rounds):
        first = number % len(names)
        for name in names[first:] + names[:first]:
            with busy(options.busy):
                found[name].append(of_a_process(ENVIRONMENTS[name], options.threads))
    print(f"{options.threads} threads, {options.busy} processes beside, {options.rounds} rounds")
    print(f"load at the end: {os.getloadavg()[0]:.1f}")
    print("| environment | " + " | ".join(found["as it comes"][0]) + " |")
    print("| --- " * (1 + len(found["as it comes"][0])) + "|")
    usual = medians(found["as it comes"])
    for name, each in found.items():
        own = medians(each)
        cells = (f"{own[key]:.3f} ({own[key] / usual[key]:.2f})" for key in own)
        print(f"| {name} | {' | '.join(cells)} |")


def measured(threads: int) -> dict[str, float]:
    """Wall and processor seconds of a training step and of a pass, without the first ones."""
    import torch

    from unetflow.networks import build

    torch.set_num_threads(threads)
    torch.manual_seed(0)
    network = build("unet", base_channels=16, depth=3)
    optimizer = torch.optim.AdamW(network.parameters())
    image_BCHW = torch.rand(1, 1, 300, 300)
    target_BHW = torch.randint(0, 2, (1, 212, 212))

    def step() -> None:
        optimizer.zero_grad()
        torch.nn.functional.cross_entropy(network(image_BCHW), target_BHW).backward()
        optimizer.step()

    @torch.no_grad()
    def forward() -> None:
        network(image_BCHW)

    found = {}
    for name, work in (("step", step), ("pass", forward)):
        work(), work()
        wall, cpu = time.perf_counter(), time.process_time()
        for _ in range(STEPS):
            work()
        found[f"{name} [s]"] = (time.perf_counter() - wall) / STEPS
        found[f"{name} [CPU s]"] = (time.process_time() - cpu) / STEPS
    return found


def of_a_process(environment: dict[str, str], threads: int) -> dict[str, float]:
    """`measured` in a process of its own: OpenMP reads its environment once."""
    usual = {key: value for key, value in os.environ.items() if key not in ENVIRONMENTS["both"]}
    command = [sys.executable, __file__, "--child", "--threads", str(threads)]
    told = subprocess.run(
        command, env=usual | environment, check=True, stdout=subprocess.PIPE, text=True
    )
    found: dict[str, float] = json.loads(told.stdout)
    return found


def medians(rounds: list[dict[str, float]]) -> dict[str, float]:
    """The median of each figure."""
    return {key: statistics.median(each[key] for each in rounds) for key in rounds[0]}


@contextmanager
def busy(count: int) -> Iterator[None]:
    """As long as it is open, so many processes that compute."""
    command = [sys.executable, "-c", "while True: pass"]
    beside = [subprocess.Popen(command) for _ in range(count)]
    try:
        yield
    finally:
        for process in beside:
            process.kill()
            process.wait()


if __name__ == "__main__":
    main()
