"""What all commands' arguments have in common: a description, and examples at the end of the help.

Each module of a command has `parser_of(prog)`, which reads its arguments.
"""

import argparse
from collections.abc import Sequence
from importlib import import_module


def command_parser(
    prog: str, does: str, examples: Sequence[str], *, usage: str | None = None, more: str = ""
) -> argparse.ArgumentParser:
    """A parser without arguments yet; `examples` are what stands behind `prog`."""
    lines = "".join(f"\n  {prog} {each}" for each in examples)
    return argparse.ArgumentParser(
        prog=prog,
        usage=usage,
        description=does.strip(),
        epilog=f"{more}examples:{lines}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )


def add_json(parser: argparse.ArgumentParser) -> None:
    """What a program asks for."""
    parser.add_argument("--json", action="store_true", help="all of it as JSON, for programs")


def parser_of(command: str) -> argparse.ArgumentParser:
    """What reads the arguments of a command."""
    module = import_module(f"unetflow.commands.{command}")
    parser: argparse.ArgumentParser = module.parser_of(f"unetflow {command}")
    return parser
