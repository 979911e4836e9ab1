"""Memory of a job: how much it may still take, and that it keeps what it has."""

import ctypes
import os
from pathlib import Path

MIB = 2**20
# Parameters of glibc's mallopt, by their numbers in malloc.h.
TRIM_THRESHOLD, MMAP_MAX, ARENA_MAX = -1, -4, -8


def keep_freed_memory() -> bool:
    """Let the C library give back the large blocks it has, and keep those freed from now on.

    A network frees and takes the same activations for every tile, and new pages of the system
    cost more than a convolution of few channels. To be called first before threads are started, or
    with MALLOC_ARENA_MAX=1 in the environment, as the pipeline's jobs have it: where some have
    arenas of their own, later threads share those, and an arena takes and gives back blocks over
    64 MB each time. False where the C library is not glibc. Peak memory is what it
    was, but stays taken until the next call, with which each image of a job begins: what is left to
    it is hardly less for those before.
    """
    try:
        library = ctypes.CDLL(None)
        mallopt, give_back = library.mallopt, library.malloc_trim
    except (OSError, AttributeError, TypeError):
        return False
    give_back(0)
    no_limit = -1  # as a size
    return bool(
        mallopt(MMAP_MAX, 0) and mallopt(TRIM_THRESHOLD, no_limit) and mallopt(ARENA_MAX, 1)
    )


def available_bytes(root: Path = Path("/")) -> int:
    """Memory that is left to this process: the least of the machine's, the cgroup's and SLURM's.

    `root` is where /proc and /sys are looked for. Outside Linux, where neither is there, the
    machine's physical memory.
    """
    found = [*_free_of_machine(root), *_free_of_cgroup(root), *_granted_by_slurm()]
    if not found:
        found = [os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")]
    return max(0, min(found))


def _free_of_machine(root: Path) -> list[int]:
    for line in _lines(root / "proc/meminfo"):
        if line.startswith("MemAvailable:"):
            return [int(line.split()[1]) * 1024]
    return []


def _free_of_cgroup(root: Path) -> list[int]:
    """What is left in this process's cgroup and those above it (versions 2 and 1)."""
    left = []
    for line in _lines(root / "proc/self/cgroup"):
        _, controllers, path = line.split(":", 2)
        if controllers == "":
            base, limit, usage = "sys/fs/cgroup", "memory.max", "memory.current"
        elif "memory" in controllers.split(","):
            base = "sys/fs/cgroup/memory"
            limit, usage = "memory.limit_in_bytes", "memory.usage_in_bytes"
        else:
            continue
        group = root / base / path.lstrip("/")
        for folder in (group, *group.parents):
            if not folder.is_relative_to(root / base):
                break
            most, used = _number(folder / limit), _number(folder / usage)
            if most is not None and used is not None:
                left.append(most - (used - _cache(folder)))
    return left


def _cache(folder: Path) -> int:
    """Pages of files in a cgroup, which are given up when memory is short."""
    for line in _lines(folder / "memory.stat"):
        name, _, value = line.partition(" ")
        if name in ("inactive_file", "total_inactive_file"):
            return int(value)
    return 0


def _granted_by_slurm() -> list[int]:
    """What SLURM granted to the whole job on this node; its own cgroup need not limit it."""
    node, core = os.environ.get("SLURM_MEM_PER_NODE"), os.environ.get("SLURM_MEM_PER_CPU")
    if node and node.isdigit() and int(node):
        return [int(node) * MIB]
    cores = os.environ.get("SLURM_CPUS_ON_NODE", "")
    if core and core.isdigit() and cores.isdigit() and int(core):
        return [int(core) * int(cores) * MIB]
    return []


def _number(path: Path) -> int | None:
    lines = _lines(path)
    return int(lines[0]) if lines and lines[0].isdigit() else None  # "max": no limit


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text().splitlines()
    except OSError:
        return []
