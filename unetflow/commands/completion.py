"""What a shell needs to complete commands, options and files: `unetflow completion bash`.

Write it where the shell looks for it, once, and again after an update:

    unetflow completion bash > ~/.local/share/bash-completion/completions/unetflow
    unetflow completion zsh > ~/.zfunc/_unetflow        (~/.zfunc in fpath, before compinit)
    unetflow completion fish > ~/.config/fish/completions/unetflow.fish
"""

import argparse
from collections.abc import Mapping, Sequence

from unetflow.commands import COMMANDS
from unetflow.commands.parsers import command_parser
from unetflow.commands.parsers import parser_of as parser_of_command
from unetflow.errors import ConfigError

EXAMPLES = ("bash > ~/.local/share/bash-completion/completions/unetflow",)
Words = Mapping[str, Mapping[str, Sequence[str]]]
"""Of each command its options, and of each option the values that it may have, if they are few."""


def main(arguments: Sequence[str] | None = None, *, prog: str) -> int:
    """The command. Raises ConfigError for another shell."""
    shell = parser_of(prog).parse_args(arguments).shell
    if shell not in SHELLS:
        raise ConfigError(
            f"{shell}: is no shell that is known here; there are {', '.join(SHELLS)}."
        )
    print(SHELLS[shell](words()), end="")
    return 0


def parser_of(prog: str) -> argparse.ArgumentParser:
    """What reads the arguments of the command, which is called as `prog`."""
    parser = command_parser(prog, __doc__, EXAMPLES)
    parser.add_argument("shell", help=" or ".join(SHELLS))
    return parser


def words() -> Words:
    """Options of all commands."""
    return {
        name: {
            option: [*map(str, action.choices or ())]
            for action in parser_of_command(name)._actions
            if action.help != argparse.SUPPRESS
            for option in action.option_strings
            if option.startswith("--")
        }
        for name in COMMANDS
    }


def _bash(of: Words) -> str:
    values = sorted({(option, *few) for each in of.values() for option, few in each.items() if few})
    cases = "".join(
        f'    {option}) COMPREPLY=($(compgen -W "{" ".join(few)}" -- "$word")); return ;;\n'
        for option, *few in values
    )
    options = "".join(f'    {name}) options="{" ".join(each)}" ;;\n' for name, each in of.items())
    return (
        "_unetflow() {\n"
        '  local word="${COMP_WORDS[COMP_CWORD]}" options=""\n'
        "  if ((COMP_CWORD == 1)); then\n"
        f'    COMPREPLY=($(compgen -W "{" ".join(of)} --help --version" -- "$word")); return\n'
        "  fi\n"
        f'  case "${{COMP_WORDS[COMP_CWORD-1]}}" in\n{cases}  esac\n'
        f'  case "${{COMP_WORDS[1]}}" in\n{options}  esac\n'
        '  if [[ $word == -* ]]; then COMPREPLY=($(compgen -W "$options" -- "$word"))\n'
        '  else COMPREPLY=($(compgen -f -- "$word")); fi\n'
        "}\n"
        "complete -o filenames -F _unetflow unetflow\n"
    )


def _zsh(of: Words) -> str:
    cases = "".join(
        f"    {name}) _arguments {' '.join(_of_zsh(*each) for each in options.items())} "
        "'*:file:_files' ;;\n"
        for name, options in of.items()
    )
    names = " ".join(f"'{name}:{_does(name)}'" for name in of)
    return (
        "#compdef unetflow\n"
        f"local -a commands=({names})\n"
        "if ((CURRENT == 2)); then _describe command commands\n"
        "else\n"
        f'  case "${{words[2]}}" in\n{cases}  esac\n'
        "fi\n"
    )


def _of_zsh(option: str, few: Sequence[str]) -> str:
    return f"'{option}:value:({' '.join(few)})'" if few else f"'{option}'"


def _fish(of: Words) -> str:
    first = "__fish_use_subcommand"
    lines = [f"complete -c unetflow -n {first} -a {name} -d '{_does(name)}'" for name in of]
    for name, options in of.items():
        for option, few in options.items():
            values = f" -xa '{' '.join(few)}'" if few else ""
            behind = f"'__fish_seen_subcommand_from {name}'"
            lines.append(f"complete -c unetflow -n {behind} -l {option[2:]}{values}")
    return "\n".join(lines) + "\n"


def _does(command: str) -> str:
    """What a command does, between quotation marks of a shell."""
    return COMMANDS[command].replace("'", "")


SHELLS = {"bash": _bash, "zsh": _zsh, "fish": _fish}
