"""Damaged files read by every way in, thousands of them: python benchmarks/damaged_files.py --help.

The same cases as in the tests (`tests/damaged.py`), each by its number. They are read in a process
of their own, which is replaced when it crashes or a case takes too long. Prints how often each kind
was read or refused, what was neither, the longest time and the peak of the memory.
"""

import argparse
import resource
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from select import select

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "tests"))

from damaged import KINDS, outcomes_of  # noqa: E402 (found beside the tests)

TOO_LONG_S = 60.0


def read_cases(first: int, last: int) -> None:
    """In a process of its own: a line when a case begins, and one when it is done."""
    with tempfile.TemporaryDirectory() as folder:
        for number in range(first, last):
            print("begin", number, flush=True)
            started = time.perf_counter()
            kind, outcomes = outcomes_of(number, Path(folder))
            seconds = time.perf_counter() - started
            peak_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
            for way, result, why in outcomes:
                print("came", kind, way, result, why.replace("\n", " "), sep="\t", flush=True)
            print("done", number, seconds, peak_mb, sep="\t", flush=True)


class Watched:
    """What is told of all cases, by one process after the other."""

    def __init__(self) -> None:
        self.outcomes: Counter[tuple[str, str]] = Counter()
        self.odd: list[str] = []
        self.longest: list[tuple[float, int]] = []
        self.peaks: list[tuple[int, int]] = []  # where the peak rose [MB], and the case

    def watch(self, first: int, last: int) -> int:
        """Read cases in a new process until it ends; the next case to be read."""
        command = [sys.executable, __file__, "--cases", str(first), str(last)]
        number, done = first, first
        with subprocess.Popen(  # without a buffer, which would keep lines from `select`
            command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, bufsize=0
        ) as child:
            assert child.stdout is not None
            while True:
                ready, _, _ = select([child.stdout], [], [], TOO_LONG_S)
                if not ready:
                    child.kill()
                    self.odd.append(f"{number} ({KINDS[number % len(KINDS)]}): too long")
                    return number + 1
                line = child.stdout.readline().decode().rstrip("\n")
                match line.split("\t"):
                    case ["came", kind, way, result, why]:
                        self.outcomes[kind, result] += 1
                        if result.startswith("!"):
                            self.odd.append(f"{number} ({kind}) as {way}: {result[1:]}: {why}")
                    case ["done", _, seconds, peak_mb]:
                        done = number + 1
                        self.longest = sorted([*self.longest, (float(seconds), number)])[-5:]
                        if not self.peaks or int(peak_mb) > self.peaks[-1][0]:
                            self.peaks.append((int(peak_mb), number))
                    case [""]:
                        break
                    case _:
                        number = int(line.split()[1])
        if done < last:
            self.odd.append(
                f"{number} ({KINDS[number % len(KINDS)]}): ended by signal {-child.returncode}"
            )
            return number + 1
        return last


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--count", type=int, default=10_000, help="how many files")
    parser.add_argument("--first", type=int, default=0, help="the number of the first")
    parser.add_argument("--cases", type=int, nargs=2, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.cases:
        return read_cases(*options.cases)
    watched, started = Watched(), time.perf_counter()
    number, last = options.first, options.first + options.count
    while number < last:
        number = watched.watch(number, last)
    results = sorted({result for _, result in watched.outcomes})
    print("| file |", " | ".join(results), "|")
    print("| --- |", " | ".join("---" for _ in results), "|")
    for kind in KINDS:
        counts = [str(watched.outcomes[kind, result]) for result in results]
        print(f"| {kind} |", " | ".join(counts), "|")
    total = Counter(result for (_, result), n in watched.outcomes.items() for _ in range(n))
    print("| all |", " | ".join(str(total[result]) for result in results), "|")
    print(f"\n{options.count} files, {sum(total.values())} readings")
    print(f"{time.perf_counter() - started:.0f} s in all; the longest, with their numbers:")
    print(*(f"  {seconds:.2f} s: {number}" for seconds, number in watched.longest[::-1]), sep="\n")
    print("peak of the process [MB], where it rose last:", *watched.peaks[-3:])
    print(f"{len(watched.odd)} neither read nor refused in words")
    print(*(f"  {each}" for each in watched.odd), sep="\n")


if __name__ == "__main__":
    main()
