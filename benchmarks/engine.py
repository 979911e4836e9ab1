"""What sending shards to workers of a Dask cluster costs: python benchmarks/engine.py --help.

Three numbers. (1) Milliseconds for each of many items that do nothing, with 1 and with 2 worker
processes, by the clock and of the processor in this process: the scheduler's and the client's own
work, which other work on the machine hardly changes. (2) A prediction by one thread of this process
and by one worker process of one thread: the same shards, so that the difference is the cost of
sending them and of starting. (3) The share of the time that 64 workers spend in their tasks, which
sleep as long as a shard took in (2): they are threads of one process, so this is what one scheduler
has to do for 64 workers, and nothing about 64 machines.
"""

import argparse
import logging
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "tests"))

SIDE_SHARDS = 4  # of the image that is predicted
SHARD_PX = 512


@dataclass(frozen=True)
class Sleep:
    """What stands for a shard."""

    seconds: float

    def __call__(self, index: tuple[int, ...]) -> None:
        if self.seconds:
            time.sleep(self.seconds)


def cluster_of(workers: int, *, processes: bool) -> Any:
    from distributed import LocalCluster

    return LocalCluster(
        n_workers=workers,
        threads_per_worker=1,
        processes=processes,
        dashboard_address=":0",
        silence_logs=logging.ERROR,
    )


def seconds_of(cluster: Any, do: Sleep, items: int) -> tuple[float, float]:
    """Seconds that a cluster takes for so many items, once it has done one, and the processor."""
    from unetflow.engine.distributed import working_on
    from unetflow.engine.each import for_each

    with working_on({"scheduler": cluster.scheduler_address, "workers": 1}):
        for_each(do, [(0, 0, 0)], threads=1, sendable=True)
        started_s, used_s = time.perf_counter(), time.process_time()
        for_each(do, [(0, 0, number) for number in range(items)], threads=1, sendable=True)
        return time.perf_counter() - started_s, time.process_time() - used_s


def predicted(folder: Path, cluster: Any | None) -> float:
    """Seconds that an image takes, by one thread here or by a worker that has the network."""
    from conftest import predict
    from predicting import job_in

    from unetflow.engine.distributed import working_on

    address = None if cluster is None else cluster.scheduler_address
    with working_on({"scheduler": address, "workers": 1}):
        for part, side in (("first", 1), ("image", SIDE_SHARDS)):
            (folder / part).mkdir(parents=True)
            job = job_in(folder / part, side * SHARD_PX, side * SHARD_PX)
            if part == "image":
                job["models"] = [folder / "first" / "model.safetensors"]
            started_s = time.perf_counter()
            predict(**job | {"shard_px": SHARD_PX})
    return time.perf_counter() - started_s


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--items", type=int, default=1000, help="that do nothing")
    parser.add_argument("--workers", type=int, default=64, help="whose tasks sleep")
    parser.add_argument("--seconds", type=float, help="that they sleep; as long as a shard took")
    parser.add_argument("--items-alone", action="store_true", help="only the first number")
    options = parser.parse_args()
    print("| what | |\n| --- | --- |")
    for workers in (1, 2):
        with cluster_of(workers, processes=True) as cluster:
            wall_s, used_s = seconds_of(cluster, Sleep(0), options.items)
        what = f"items that do nothing, {workers} worker processes of 1 thread"
        clock, used = (1000 * seconds / options.items for seconds in (wall_s, used_s))
        print(f"| {what} | {clock:.2f} ms each, {used:.2f} of the processor |", flush=True)
    if options.items_alone:
        return
    shards = SIDE_SHARDS**2
    with tempfile.TemporaryDirectory() as folder:
        here_s = predicted(Path(folder, "here"), None) / shards
        with cluster_of(1, processes=True) as cluster:
            there_s = predicted(Path(folder, "there"), cluster) / shards
    of = f"a shard of {SHARD_PX} px"
    print(f"| {of}, 1 thread of this process | {here_s * 1000:.0f} ms |")
    print(f"| {of}, 1 worker process of 1 thread | {there_s * 1000:.0f} ms |", flush=True)
    sleep_s = options.seconds or there_s
    items = 10 * options.workers
    with cluster_of(options.workers, processes=False) as cluster:
        wall_s, used_s = seconds_of(cluster, Sleep(sleep_s), items)
    busy = items * sleep_s / options.workers / wall_s
    what = f"{options.workers} workers in one process, {items} tasks that sleep {sleep_s:.2f} s"
    of_task = f"{1000 * used_s / items:.2f} ms of the processor a task"
    print(f"| {what} | {busy:.0%} of the time in tasks, {wall_s:.1f} s, {of_task} |")


if __name__ == "__main__":
    main()
