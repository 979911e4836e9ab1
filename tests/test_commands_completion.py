"""Shells complete what the commands take."""

import shutil
import subprocess
from pathlib import Path

import pytest

from unetflow.commands import COMMANDS, run_command
from unetflow.commands.completion import SHELLS, words
from unetflow.commands.parsers import parser_of

ASK = """\
source {script}
COMP_WORDS=({words}) COMP_CWORD={at}
_unetflow
printf '%s\\n' "${{COMPREPLY[@]}}"
"""


@pytest.fixture(scope="module")
def scripts(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What each shell is given."""
    folder = tmp_path_factory.mktemp("completion")
    of = words()
    for shell, script in SHELLS.items():
        (folder / shell).write_text(script(of))
    return folder


@pytest.mark.slow
@pytest.mark.parametrize(
    ("typed", "completed"),
    [
        ("unetflow pre", ["predict"]),
        ("unetflow predict --sep", ["--separate"]),
        ("unetflow predict --precision ''", ["auto", "fp32", "bf16"]),
        ("unetflow check conf", ["config.yaml"]),
    ],
)
def test_bash_completes(
    scripts: Path,
    typed: str,
    completed: list[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("config.yaml").touch()
    asked = ASK.format(script=scripts / "bash", words=typed, at=len(typed.split()) - 1)
    done = subprocess.run(["bash", "-c", asked], capture_output=True, text=True, check=True)
    assert done.stdout.split() == completed


@pytest.mark.slow
@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_a_shell_reads_its_script(scripts: Path, shell: str) -> None:
    if not shutil.which(shell):
        pytest.skip(f"no {shell} on this machine")
    subprocess.run([shell, "-n", scripts / shell], check=True)


@pytest.mark.slow
def test_every_command_and_option_is_completed(
    scripts: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for shell in SHELLS:
        text = (scripts / shell).read_text()
        for name in COMMANDS:
            long = [
                o[2:] for a in parser_of(name)._actions for o in a.option_strings if o[1] == "-"
            ]
            shown = [option for option in long if option != "average"]  # an old name
            assert name in text and "help" in shown
            assert [option for option in shown if option not in text] == []
    assert run_command("completion", ["bash"]) == 0
    assert capsys.readouterr().out == (scripts / "bash").read_text()
