"""What people type: `unetflow COMMAND ...`.

A command is a module of this package with a function `main`. It is imported when it is asked for:
no library is loaded to say which commands there are.
"""

import argparse
import difflib
import sys
from collections.abc import Sequence
from importlib import import_module

from unetflow import __version__
from unetflow.engine.memory import keep_freed_memory
from unetflow.engine.waiting import spin_briefly
from unetflow.errors import UnetflowError

COMMANDS = {
    "init": "write a sheet and a config for a folder of images and their truths",
    "check": "say what can be known of a case before hours of training",
    "run": "run the pipeline, with a line for each stage",
    "predict": "a finished model on files, folders or a sheet: foreground, objects, tables",
    "score": "score a segmentation against its truth, with the challenges' own metrics",
    "split": "fill in the splits of a sheet: who trains, who validates, who tests",
    "view": "look at an image with its truth and what networks made of it",
    "models": "list the models that come with unetflow, or read the card of one",
    "networks": "list the networks, or check that one keeps to what all must",
    "verify": "check that all results are what their receipts tell of, and say what mends them",
    "clean": "delete results, stores with them; shows first what and how much",
    "completion": "what a shell needs to complete commands, options and files",
}
MENDABLE = 2  # exit status of what a user can mend; argparse has the same
STOPPED = 130  # after Ctrl-C, as a shell has it


def main(arguments: Sequence[str] | None = None) -> int:
    """`unetflow COMMAND ...`; returns the exit status."""
    given = sys.argv[1:] if arguments is None else list(arguments)
    name: str = _parser().parse_args(given[:1]).command
    return run_command(name, given[1:])


def run_command(
    name: str, arguments: Sequence[str] | None = None, *, prog: str | None = None
) -> int:
    """One of the commands; returns its exit status, `MENDABLE` or `STOPPED` with a line on stderr.

    `arguments` are those behind its name, `prog` is what its help says to type. An error that no
    user can mend is raised on.
    """
    spin_briefly()
    if name == "predict":
        keep_freed_memory()  # before pandas starts threads
    try:
        command = import_module(f"{__name__}.{name}")
        status: int = command.main(arguments, prog=prog or f"unetflow {name}")
    except KeyboardInterrupt:
        print("stopped. The same command goes on: what is finished stays.", file=sys.stderr)
        return STOPPED
    except (UnetflowError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return MENDABLE
    return status


def _parser() -> argparse.ArgumentParser:
    commands = "\n".join(f"  {name:<11}{does}" for name, does in COMMANDS.items())
    parser = argparse.ArgumentParser(
        prog="unetflow",
        usage="unetflow [-h] [--version] COMMAND ...",
        description="U-Net for whole slides. The whole pipeline is run by Snakemake.",
        epilog=f"commands:\n{commands}\n\n`unetflow COMMAND --help` says what a command takes.",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("command", metavar="COMMAND", type=_known, help="one of those below")
    parser.add_argument("--version", action="version", version=f"unetflow {__version__}")
    return parser


def _known(name: str) -> str:
    """Type of an argument: the name of a command."""
    if name in COMMANDS:
        return name
    near = difflib.get_close_matches(name, COMMANDS, n=1)
    way_out = f"did you mean {near[0]!r}?" if near else f"there are: {', '.join(COMMANDS)}"
    raise argparse.ArgumentTypeError(f"there is no command {name!r}; {way_out}")
