"""The networks there are, and whether one keeps to what all must: `unetflow networks`.

    unetflow networks                                   a table of all, by their defaults
    unetflow networks unet --set depth=3 norm=batch     one, with options
    unetflow networks --check my_package.my_network     what a network of one's own must keep to

Multiply-adds are those of convolutions, for each output pixel of an image without end: what tiles
compute twice, in their halos, is not in it.
"""

import argparse
import inspect
import json
from collections.abc import Sequence
from importlib import import_module
from typing import Any

import yaml

from unetflow import networks
from unetflow.commands.parsers import add_json, command_parser
from unetflow.errors import ConfigError, ModelError

EXAMPLES = (
    "",
    "unet --set depth=3 norm=batch",
    "--check my_package.my_network",
)
KEYS = ("name", "paper", "parameters", "multiply_adds_per_px", "halo_px", "step_px", "why_seams")
HEAD = ("name", "paper", "parameters", "multiply-adds/px", "halo px", "step px", "seamless")


def main(arguments: Sequence[str] | None = None, *, prog: str) -> int:
    """`unetflow networks`; returns the exit status. Raises UnetflowError as a user can mend it."""
    given = parser_of(prog).parse_args(arguments)
    options = dict(_option(text) for text in given.set)
    if options and len(given.name) != 1:
        raise ConfigError("--set: options are of one network; name it")
    try:
        if given.check:
            return _check(given.name or networks.names(), options)
        rows = [_row(name, options) for name in given.name or networks.names()]
    except ValueError as error:
        raise ConfigError(str(error)) from error
    if given.json:
        print(json.dumps([dict(zip(KEYS, row, strict=True)) for row in rows]))
    else:
        print(_table([HEAD, *map(_as_text, rows)]))
    return 0


def _check(names: Sequence[str], options: dict[str, Any]) -> int:
    """Run each check on each network; say how it went. Raises ModelError where one failed."""
    from unetflow.predict.network_checks import CHECKS

    failed = 0
    for name in names:
        networks.options_of(name, **options)
        for what, check in CHECKS.items():
            try:
                check(name, **options)
            except ModelError as error:
                failed += 1
                print(f"failed  {name}  {what.replace('_', ' ')}: {error}", flush=True)
            else:
                print(f"ok      {name}  {what.replace('_', ' ')}", flush=True)
    if failed:
        raise ModelError(f"{failed} checks failed: see above")
    return 0


def _row(name: str, options: dict[str, Any]) -> tuple[Any, ...]:
    """What is said of a network, as `KEYS` names it."""
    from unetflow.networks.fitted import multiply_adds_per_px
    from unetflow.networks.walk import on_no_device

    geometry = networks.geometry_of(name, **options)
    network = on_no_device(lambda: networks.build(name, **options))
    parameters = sum(weights.numel() for weights in network.parameters())
    work = multiply_adds_per_px(network)
    return (
        name,
        _paper(name),
        parameters,
        work,
        [*geometry.before_px, *geometry.after_px],
        [*geometry.step_px],
        geometry.why,
    )


def _as_text(row: tuple[Any, ...]) -> tuple[str, ...]:
    """A row of the table."""
    name, paper, parameters, work, halo_px, step_px, why = row
    return (
        name,
        paper,
        f"{parameters:,}",
        "unknown" if work is None else f"{work:,.0f}",
        _sizes(halo_px),
        _sizes(step_px),
        f"no: {why}" if why else "yes",
    )


def _paper(name: str) -> str:
    """Where a network is from; of one of a user's own the first line of its module."""
    declared = networks.declared_of(name)
    if declared is not None:
        return declared.paper
    text = inspect.getdoc(import_module(networks.module_of(name))) or "its own"
    return text.partition("\n")[0].rstrip(".")


def _sizes(sizes_px: Sequence[int]) -> str:
    """All of them, or one where they are alike."""
    return str(sizes_px[0]) if len({*sizes_px}) == 1 else " ".join(map(str, sizes_px))


def _table(rows: Sequence[tuple[str, ...]]) -> str:
    """Rows below one another; numbers to the right."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    right = {2, 3, 4, 5}
    return "\n".join(
        "  ".join(
            cell.rjust(width) if column in right else cell.ljust(width)
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    )


def _option(text: str) -> tuple[str, Any]:
    key, equals, value = text.partition("=")
    if not equals:
        raise ConfigError(f"--set {text}: must be name=value, such as depth=3")
    return key, yaml.safe_load(value)


def parser_of(prog: str) -> argparse.ArgumentParser:
    """What reads the arguments of the command, which is called as `prog`."""
    parser = command_parser(prog, __doc__, EXAMPLES)
    parser.add_argument(
        "name", nargs="*", help="of the registry, or a module with build(**options); default all"
    )
    parser.add_argument(
        "--set",
        nargs="+",
        action="extend",
        default=[],
        metavar="OPTION=VALUE",
        help="options of the network, as in the config",
    )
    parser.add_argument(
        "--check", action="store_true", help="run the checks that every network must pass"
    )
    add_json(parser)
    return parser
