"""The whole pipeline, quietly: `unetflow run CONFIG`.

Prints the `snakemake` line that it runs, what the workflow says of config and images, a line for
each stage that is done with the time that is left for the whole, and at the end the scores with the
report's path, or what stopped, once. What Snakemake says itself stands in its log. Arguments behind
`--` are Snakemake's.
"""

import argparse
import os
import re
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import yaml

from unetflow.commands.parsers import command_parser
from unetflow.commands.run_time import TimeLeft, earlier_seconds
from unetflow.commands.workflow import (
    PROFILES,
    snakefile_arguments,
    text_of_config,
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
STARTS = re.compile(r"(local)?rule (?P<rule>[a-z_]+):")
FAILS = re.compile(r"Error in rule [a-z_]+:")
JOB = re.compile(r" +jobid: (?P<job>\d+)")
DONE = re.compile(r"Finished jobid: (?P<job>\d+) \(Rule: (?P<rule>[a-z_]+)\)")
LOG = re.compile(r"Complete log\(s\): (?P<path>.+)")
NOTHING = "Nothing to be done"
TABLE = "Job stats:"
ALL = "all"  # the rule that is done when all others are; a dry run does none
# what the workflow says while the graph is built, and a line that goes on with it
TOLD, GOES_ON = re.compile(r"note: |[a-z_]+ runs again: "), "  The same: "
LAST_LINES = 20  # of Snakemake's, where it stops before the pipeline can say why
SNAKEMAKES = "--"  # what comes behind it
SAID_EVERY_S, SAID_EVERY = 60.0, 0.1  # what is left: after so long, and so much of the whole
SLURM_PROFILE = Path(PROFILES, "slurm")
HEADLINE = Path("report", "headline.txt")  # scores, and where the report is
# what is asked of Snakemake whose end is not the report of the config's folder of results
NOT_THE_WHOLE = re.compile(r"(-U|--until|-O|--omit-from|-d|--directory|results)(=|$)")


class Stages:
    """What Snakemake prints, as a line for each stage whose jobs are all done.

    `earlier` says what a job of a rule took in earlier runs [s].
    """

    def __init__(self, earlier: Mapping[str, float] | None = None) -> None:
        self.log = ""
        self.time = TimeLeft(earlier)
        self.is_complete = False  # all is made, or was
        self._in_table = self._in_note = False
        self._planned = ""
        self._rule = ""  # that of the block which is printed, "" where it failed
        self._said_s = 0.0

    def take(self, line: str, elapsed_s: float) -> Iterator[str]:
        """Take a line that Snakemake printed; what to say of it."""
        jobs, done = self.time.jobs, self.time.done
        self._in_note = bool(TOLD.match(line)) or (self._in_note and line.startswith(GOES_ON))
        if self._in_note:
            yield line.rstrip()
        elif TABLE in line:
            self._in_table = True
            jobs.clear()
        elif self._in_table:
            self._take_row(line)
            said = f"{jobs.total()} jobs in {len(jobs)} stages"
            if not self._in_table and jobs and said != self._planned:
                self._planned = said  # a dry run has the table twice
                yield said
        elif found := DONE.search(line):
            rule = found["rule"]
            self.time.finish(found["job"], rule, elapsed_s)
            self.is_complete |= rule == ALL
            if done[rule] == jobs[rule]:
                count = f"{done[rule]} job{'s' if done[rule] > 1 else ''}"
                share = f"{done.total()} of {jobs.total()} jobs done"
                yield self._timed(f"{rule}: {count}; {share}", elapsed_s)
        elif NOTHING in line:
            self.is_complete = True
            yield "nothing to be done: all results are up to date"
        else:
            self._follow(line, elapsed_s)
        since_s = elapsed_s - self._said_s
        if since_s > max(SAID_EVERY_S, SAID_EVERY * elapsed_s) and self.time.in_words(elapsed_s):
            yield self._timed("", elapsed_s)
        if found := LOG.search(line):
            self.log = found["path"]

    def _follow(self, line: str, elapsed_s: float) -> None:
        """Which jobs run, and what they say of themselves."""
        if found := STARTS.match(line):
            self._rule = found["rule"]
        elif FAILS.match(line):
            self._rule = ""
        elif found := JOB.match(line):
            if self._rule:
                self.time.start(found["job"], self._rule, elapsed_s)
            else:
                self.time.stop(found["job"], elapsed_s)
        else:
            self.time.hear(line, elapsed_s)

    def _timed(self, said: str, elapsed_s: float) -> str:
        self._said_s = elapsed_s
        parts = filter(None, [said, self.time.in_words(elapsed_s)])
        return f"{_clock(elapsed_s)}  {'; '.join(parts)}"

    def _take_row(self, line: str) -> None:
        row = ROW.match(line.strip())
        if row and row["rule"] == "total":
            self._in_table = False
            del self.time.jobs[ALL]
        elif row:
            self.time.jobs[row["rule"]] = int(row["count"])


def main(arguments: Sequence[str] | None = None, *, prog: str) -> int:
    """The command; 0 where everything is done. Raises ConfigError where there is no such config."""
    given = sys.argv[2:] if arguments is None else list(arguments)
    end = given.index(SNAKEMAKES) if SNAKEMAKES in given else len(given)
    own, more = given[:end], given[end + 1 :]
    options = parser_of(prog).parse_args(own)
    if not Path(options.config).is_file():
        raise ConfigError(without_config(options.config))
    results = _results_of(options.config)
    status, is_complete = run_snakemake(_command(options, more), results)
    headline = results / HEADLINE if results else HEADLINE
    if is_complete and headline.is_file() and not any(map(NOT_THE_WHOLE.match, more)):
        print(headline.read_text(), end="")
    return status


def run_snakemake(command: Sequence[str], results: Path | None = None) -> tuple[int, bool]:
    """Run a `snakemake` line, which is printed, quietly.

    Returns the exit status of a command, and whether all that the workflow makes is there now. What
    earlier runs left in the folder of results says how long this one will take.
    """
    print(shlex.join(command), flush=True)
    status, lines, stages = _run(command, Stages(earlier_seconds(results) if results else None))
    if status == 0:
        return 0, stages.is_complete
    for line in _ending(lines):
        print(line, file=sys.stderr)
    if stages.log:
        print(f"All that Snakemake said: {stages.log}", file=sys.stderr)
    return (STOPPED if status < 0 else MENDABLE), False


def parser_of(prog: str) -> argparse.ArgumentParser:
    """What reads the arguments of the command, which is called as `prog`."""
    usage = f"{prog} [-h] [options] CONFIG [-- ARGUMENTS]"
    parser = command_parser(prog, __doc__, EXAMPLES, usage=usage)
    parser.add_argument("config", help="as config/config.yaml")
    parser.add_argument("--cores", type=int, default=_cores(), help="default: all that it may use")
    parser.add_argument("--gpus", type=int, default=1, help="of this machine, 1 if there is none")
    parser.add_argument("--slurm", action="store_true", help="jobs of SLURM, by profiles/slurm")
    return parser


def _cores() -> int:
    """Cores that this process may use: as of `unetflow.engine.devices`, which loads torch."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _command(options: argparse.Namespace, more: Sequence[str]) -> list[str]:
    folder = workflow_folder()
    where = ["--cores", str(options.cores), "--resources", f"gpu={options.gpus}"]
    if options.slurm:
        own = SLURM_PROFILE.is_dir()  # one that was fitted to a site
        where = ["--workflow-profile", str(SLURM_PROFILE if own else folder / SLURM_PROFILE)]
    of_snakefile = snakefile_arguments(folder)
    return ["snakemake", *of_snakefile, *where, "--configfile", options.config, *more]


def _results_of(config: str) -> Path | None:
    """The folder that a config names; None where it names none, which Snakemake will tell."""
    try:
        return Path(yaml.safe_load(text_of_config(config))["results"]).expanduser()
    except (yaml.YAMLError, KeyError, TypeError):
        return None


def _run(command: Sequence[str], stages: Stages) -> tuple[int, list[str], Stages]:
    """Its exit status, negative after Ctrl-C, all lines that it printed, and what they told."""
    lines, stopped = [], False
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
