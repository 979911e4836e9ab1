"""The whole pipeline, quietly: `unetflow run CONFIG`.

Prints the `snakemake` line that it runs, a line for each stage that is done, and at the end what
stopped, once. What Snakemake says itself stands in its log. Arguments behind `--` are Snakemake's.
"""

import argparse
import os
import re
import shlex
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

from unetflow.commands.parsers import command_parser
from unetflow.commands.workflow import (
    PROFILES,
    snakefile_arguments,
    without_config,
    workflow_folder,
)
from unetflow.errors import ConfigError
from unetflow.jobs.failures import ENDINGS

EXAMPLES = (
    "config/mine.yaml",
    "config/mine.yaml --cores 4 -- --dry-run",
    "config/mine.yaml --slurm",
)
MENDABLE, STOPPED = 2, 130  # as `unetflow.commands`
ROW = re.compile(r"(?P<rule>[a-z_]+) +(?P<count>\d+)")  # of Snakemake's table of jobs
DONE = re.compile(r"Finished jobid: \d+ \(Rule: (?P<rule>[a-z_]+)\)")
LOG = re.compile(r"Complete log\(s\): (?P<path>.+)")
NOTHING = "Nothing to be done"
TABLE = "Job stats:"
LAST_LINES = 20  # of Snakemake's, where it stops before the pipeline can say why
SNAKEMAKES = "--"  # what comes behind it
SLURM_PROFILE = Path(PROFILES, "slurm")


class Stages:
    """What Snakemake prints, as a line for each stage whose jobs are all done."""

    def __init__(self) -> None:
        self.jobs: Counter[str] = Counter()
        self.done: Counter[str] = Counter()
        self.log = ""
        self._in_table = False

    def take(self, line: str, elapsed_s: float) -> Iterator[str]:
        """Take a line that Snakemake printed; what to say of it."""
        if TABLE in line:
            self._in_table, self.jobs = True, Counter()
        elif self._in_table:
            self._take_row(line)
            if not self._in_table and self.jobs:
                yield f"{self.jobs.total()} jobs in {len(self.jobs)} stages"
        elif found := DONE.search(line):
            rule = found["rule"]
            self.done[rule] += 1
            if self.done[rule] == self.jobs[rule]:
                count = f"{self.done[rule]} job{'s' if self.done[rule] > 1 else ''}"
                share = f"{self.done.total()} of {self.jobs.total()} jobs done"
                yield f"{_clock(elapsed_s)}  {rule}: {count}; {share}"
        elif NOTHING in line:
            yield "nothing to be done: all results are up to date"
        if found := LOG.search(line):
            self.log = found["path"]

    def _take_row(self, line: str) -> None:
        row = ROW.match(line.strip())
        if row and row["rule"] == "total":
            self._in_table = False
            del self.jobs["all"]
        elif row:
            self.jobs[row["rule"]] = int(row["count"])


def main(arguments: Sequence[str] | None = None, *, prog: str) -> int:
    """The command; 0 where everything is done. Raises ConfigError where there is no such config."""
    given = sys.argv[2:] if arguments is None else list(arguments)
    end = given.index(SNAKEMAKES) if SNAKEMAKES in given else len(given)
    own, more = given[:end], given[end + 1 :]
    options = parser_of(prog).parse_args(own)
    if not Path(options.config).is_file():
        raise ConfigError(without_config(options.config))
    return run_snakemake(_command(options, more))


def run_snakemake(command: Sequence[str]) -> int:
    """Run a `snakemake` line, which is printed, quietly; returns the exit status of a command."""
    print(shlex.join(command), flush=True)
    status, lines, stages = _run(command)
    if status == 0:
        return 0
    for line in _ending(lines):
        print(line, file=sys.stderr)
    if stages.log:
        print(f"All that Snakemake said: {stages.log}", file=sys.stderr)
    return STOPPED if status < 0 else MENDABLE


def parser_of(prog: str) -> argparse.ArgumentParser:
    """What reads the arguments of the command, which is called as `prog`."""
    usage = f"{prog} [-h] [options] CONFIG [-- ARGUMENTS]"
    parser = command_parser(prog, __doc__, EXAMPLES, usage=usage)
    parser.add_argument("config", help="as config/config.yaml")
    parser.add_argument("--cores", type=int, default=os.cpu_count(), help="of this machine")
    parser.add_argument("--gpus", type=int, default=1, help="of this machine, 1 if there is none")
    parser.add_argument("--slurm", action="store_true", help="jobs of SLURM, by profiles/slurm")
    return parser


def _command(options: argparse.Namespace, more: Sequence[str]) -> list[str]:
    folder = workflow_folder()
    where = ["--cores", str(options.cores), "--resources", f"gpu={options.gpus}"]
    if options.slurm:
        own = SLURM_PROFILE.is_dir()  # one that was fitted to a site
        where = ["--workflow-profile", str(SLURM_PROFILE if own else folder / SLURM_PROFILE)]
    of_snakefile = snakefile_arguments(folder)
    return ["snakemake", *of_snakefile, *where, "--configfile", options.config, *more]


def _run(command: Sequence[str]) -> tuple[int, list[str], Stages]:
    """Its exit status, negative after Ctrl-C, all lines that it printed, and what they told."""
    stages, lines, stopped = Stages(), [], False
    started = time.monotonic()

    def stop(number: int, frame: object) -> None:
        nonlocal stopped
        stopped = True  # Snakemake has the signal too, and ends its jobs

    before = signal.signal(signal.SIGINT, stop)
    try:
        with subprocess.Popen(
            command,
            env={**os.environ, "PATH": _path()},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        ) as process:
            for line in process.stdout or ():
                lines.append(line.rstrip("\n"))
                for said in stages.take(line, time.monotonic() - started):
                    print(said, flush=True)
    finally:
        signal.signal(signal.SIGINT, before)
    return (-signal.SIGINT if stopped else process.returncode), lines, stages


def _path() -> str:
    """PATH that begins with the programs of this Python, which is that of jobs, too.

    Its environment need not be activated, and another may be.
    """
    return os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])


def _ending(lines: Sequence[str]) -> list[str]:
    """What the pipeline says at the end of a run that is not complete, else Snakemake's last."""
    starts = [k for k, line in enumerate(lines) if line.startswith(ENDINGS)]
    return list(lines[starts[-1] :] if starts else lines[-LAST_LINES:])


def _clock(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes // 60}:{minutes % 60:02}:{rest:02}"
