"""How long a run will go on: by what jobs took so far, by what they say, and by earlier runs."""

import itertools
import re
from collections import Counter, defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

TELLS = re.compile(r"(?P<rule>[a-z_]+): .*, about (?P<left_s>\d+) s left")  # `unetflow.progress`
LOOKED_AT = 20  # earlier jobs of a rule
LEAST_S = 60.0  # under it nothing is said of what is left while other jobs were never timed
LONG_S = 5400.0  # from which on hours are said


@dataclass(slots=True)
class _Job:
    """A job that runs; `told` is when it said how much is left, and how much."""

    rule: str
    since_s: float
    told: tuple[float, float] | None = None

    def rest_s(self, typical_s: float, now_s: float) -> float:
        if self.told:
            when_s, left_s = self.told
            return max(0.0, left_s - (now_s - when_s))
        return max(0.0, typical_s - (now_s - self.since_s))


class TimeLeft:
    """What is left of a run whose jobs start and finish; times are seconds since it began.

    A job takes what others of its rule took in this run on average, else what one of them that
    runs says, else what they took in earlier runs (`earlier`, by rule). As many jobs of a rule run
    at once as did so far. Jobs of which none of these is known are counted, not guessed.
    """

    def __init__(self, earlier: Mapping[str, float] | None = None) -> None:
        self.jobs: Counter[str] = Counter()
        self.done: Counter[str] = Counter()
        self._earlier = earlier or {}
        self._running: dict[str, _Job] = {}
        self._took_s: defaultdict[str, float] = defaultdict(float)  # all finished jobs of a rule
        self._ran_s: defaultdict[str, float] = defaultdict(float)  # all its jobs, added up
        self._busy_s: defaultdict[str, float] = defaultdict(float)  # while any of them ran
        self._now_s = 0.0

    def start(self, job: str, rule: str, now_s: float) -> None:
        self._until(now_s)
        self._running[job] = _Job(rule, now_s)

    def finish(self, job: str, rule: str, now_s: float) -> None:
        self._until(now_s)
        self.done[rule] += 1
        if started := self._running.pop(job, None):
            self._took_s[rule] += now_s - started.since_s

    def stop(self, job: str, now_s: float) -> None:
        """It failed, and may be tried once more."""
        self._until(now_s)
        self._running.pop(job, None)

    def hear(self, line: str, now_s: float) -> None:
        """Take a line that a job printed. Which of several jobs of a rule it was is not known."""
        if found := TELLS.search(line):
            of_rule = self._of(found["rule"])
            if len(of_rule) == 1:
                of_rule[0].told = (now_s, float(found["left_s"]))

    def in_words(self, now_s: float) -> str:
        """What is left, "" where nothing is known."""
        left_s, untimed = 0.0, 0
        for rule, count in self.jobs.items():
            remaining = count - self.done[rule]
            rest_s = self._rest_s(rule, remaining, now_s) if remaining > 0 else 0.0
            if rest_s is None:
                untimed += remaining
            else:
                left_s += rest_s
        if untimed and left_s < LEAST_S:
            return ""
        more = f", and {untimed} jobs that were never timed" if untimed else ""
        return f"{_span(left_s)} left{more}" if left_s else ""

    def _rest_s(self, rule: str, remaining: int, now_s: float) -> float | None:
        running = self._of(rule)
        typical_s = self._typical_s(rule, running)
        if typical_s is None:
            return None
        work_s = (remaining - len(running)) * typical_s
        work_s += sum(job.rest_s(typical_s, now_s) for job in running)
        return work_s / max(1.0, min(remaining, self._at_once(rule)))

    def _typical_s(self, rule: str, running: list[_Job]) -> float | None:
        """What a job of the rule takes."""
        if self._took_s[rule]:
            return self._took_s[rule] / self.done[rule]
        for job in running:
            if job.told:
                when_s, left_s = job.told
                return when_s - job.since_s + left_s
        return self._earlier.get(rule)

    def _at_once(self, rule: str) -> float:
        """Jobs that ran at once: of the rule, or of all where none of it is done."""
        if self.done[rule] and self._busy_s[rule]:
            return self._ran_s[rule] / self._busy_s[rule]
        return sum(self._ran_s.values()) / self._now_s if self._now_s else 1.0

    def _of(self, rule: str) -> list[_Job]:
        return [job for job in self._running.values() if job.rule == rule]

    def _until(self, now_s: float) -> None:
        passed_s = now_s - self._now_s
        for rule, count in Counter(job.rule for job in self._running.values()).items():
            self._ran_s[rule] += count * passed_s
            self._busy_s[rule] += passed_s
        self._now_s = now_s


def earlier_seconds(results: Path) -> dict[str, float]:
    """Seconds of a job by rule, of the benchmarks that earlier runs left in a folder of results."""
    found = {}
    for folder in sorted((results / "benchmarks").glob("*")):
        files = itertools.islice(folder.rglob("*.tsv"), LOOKED_AT)
        seconds = [each for file in files if (each := _seconds_of(file)) is not None]
        if seconds:
            found[folder.name] = sum(seconds) / len(seconds)
    return found


def _seconds_of(benchmark: Path) -> float | None:
    """Its last row's column `s`, the first; None where it has no number."""
    try:
        return float(benchmark.read_text().splitlines()[-1].split("\t")[0])
    except (ValueError, IndexError):
        return None


def _span(seconds: float) -> str:
    if seconds < LEAST_S:
        return "less than a minute"
    if seconds < LONG_S:
        return f"about {seconds / 60:.0f} min"
    return f"about {seconds / 3600:.1f} h"
