"""Models that come with unetflow: `unetflow models`, and the card of one, `unetflow models NAME`.

Their names stand in the place of a model file: in `unetflow predict NAME ...`, and in a config as
`model: NAME` (put to use as it is) or `pretrained: NAME` (trained on).
"""

import argparse
import json
from collections.abc import Sequence
from pathlib import Path

from unetflow.commands.parsers import add_json, command_parser
from unetflow.errors import ConfigError
from unetflow.models import card_of, shipped
from unetflow.networks.description import read_description

EXAMPLES = ("", "--json")


def main(arguments: Sequence[str] | None = None, *, prog: str) -> int:
    """The command. Raises ConfigError for a name that is none."""
    options = parser_of(prog).parse_args(arguments)
    models = shipped()
    if options.name is not None:
        if options.name not in models:
            there = ", ".join(models) or "none yet"
            raise ConfigError(f"no model is called {options.name}; there are: {there}.")
        print(card_of(models[options.name]).strip())
        return 0
    if options.json:
        print(json.dumps({name: _told(path) for name, path in models.items()}))
        return 0
    for name, path in models.items():
        print(f"{name}: {card_of(path).strip().splitlines()[0].lstrip('# ')}")
    if not models:
        print("No model comes with this version.")
    return 0


def parser_of(prog: str) -> argparse.ArgumentParser:
    """What reads the arguments of the command, which is called as `prog`."""
    parser = command_parser(prog, __doc__, EXAMPLES)
    parser.add_argument("name", nargs="?", help="of a model, to read its card")
    add_json(parser)
    return parser


def _told(path: Path) -> dict[str, object]:
    description = read_description(path)
    return {
        "path": str(path),
        "classes": description["classes"],
        "channels": description["channels"],
        "mpp": description.get("mpp"),
        "card": card_of(path),
    }
