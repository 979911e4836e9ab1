"""The doors of the commands: `unetflow COMMAND` and `python -m`, what they say and how they end."""

import os
import platform
import subprocess
import sys
import tomllib
from importlib.metadata import EntryPoint
from pathlib import Path

import numpy as np
import pytest
import tifffile
import torch
from conftest import ROOT
from pipeline import COUNTS_ARENAS

from unetflow import __version__
from unetflow.commands import COMMANDS, MENDABLE, main
from unetflow.networks import build
from unetflow.networks.model_file import ModelDescription, save_model

MODULES = {"predict": "unetflow.predict", "score": "unetflow.metrics", "split": "unetflow.splits"}
WRONG = {  # arguments that a command can only refuse
    "init": ["none.folder"],
    "check": ["none.yaml"],
    "run": ["none.yaml"],
    "predict": ["none.safetensors", "none.tif", "out.ome.zarr"],
    "score": ["none.tif", "none.tif"],
    "split": ["none.tsv", "out.tsv", "--folds", "3"],
    "verify": ["none.results"],
    "clean": ["none.results"],
    "view": ["none.ome.zarr"],
    "models": ["none.model"],
    "networks": ["none.network"],
    "completion": ["none.shell"],
}


def entry_point() -> str:
    """What an installation of the package calls `unetflow`, as Python code."""
    scripts = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["scripts"]
    entry = EntryPoint("unetflow", scripts["unetflow"], "console_scripts")
    return f"import sys; from {entry.module} import {entry.attr}; sys.exit({entry.attr}())"


def doors(name: str) -> list[tuple[tuple[str, ...], str]]:
    """How a command is called, and what its help says to type."""
    found: list[tuple[tuple[str, ...], str]] = [(("-c", entry_point(), name), f"unetflow {name}")]
    if name in MODULES:
        found.append((("-m", MODULES[name]), f"python -m {MODULES[name]}"))
    return found


def called(*command: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *command],
        cwd=ROOT,
        env=os.environ | environment,
        capture_output=True,
        text=True,
    )


def test_the_commands_are_listed_and_nothing_is_loaded_for_it() -> None:
    loaded = "; import atexit; atexit.register(lambda: print(*sys.modules, file=sys.stderr))"
    done = called("-c", entry_point().replace("import sys", f"import sys{loaded}", 1), "--help")
    assert done.returncode == 0
    for name, does in COMMANDS.items():
        assert f"  {name}" in done.stdout
        assert does in done.stdout
    assert not {"torch", "pandas", "numpy", "zarr", "scipy"} & set(done.stderr.split())
    assert "argparse" in done.stderr.split()


def test_the_version_is_said(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="0"):
        main(["--version"])
    assert capsys.readouterr().out == f"unetflow {__version__}\n"


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (["predikt"], "there is no command 'predikt'; did you mean 'predict'?"),
        (["splits"], "there is no command 'splits'; did you mean 'split'?"),
        (
            ["train", "--help"],
            "no command 'train'; there are: init, check, run, predict, score, split, view, "
            "models, networks, verify, clean, completion",
        ),
        (["--vers"], "the following arguments are required: COMMAND"),
        ([], "the following arguments are required: COMMAND"),
    ],
)
def test_a_command_that_is_not_there_is_named_with_the_nearest(
    given: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit, match=str(MENDABLE)):
        main(given)
    assert said in capsys.readouterr().err


@pytest.mark.slow
@pytest.mark.parametrize("name", COMMANDS)
def test_help_is_that_of_the_command_and_says_what_was_typed(name: str) -> None:
    for command, prog in doors(name):
        done = called(*command, "--help")
        assert done.returncode == 0, done.stderr
        assert done.stdout.startswith(f"usage: {prog} [-h]")


@pytest.mark.slow
@pytest.mark.parametrize("name", COMMANDS)
def test_what_a_user_can_mend_is_one_line_and_one_status(name: str) -> None:
    for command, _ in doors(name):
        done = called(*command, *WRONG[name])
        assert done.returncode == MENDABLE
        assert done.stderr.startswith("error: ")
        assert "none." in done.stderr
        assert len(done.stderr.splitlines()) == 1


@pytest.mark.parametrize("name", COMMANDS)
def test_a_wrong_option_ends_the_same(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match=str(MENDABLE)):
        main([name, *WRONG[name], "--no-such-option"])
    assert "unrecognized arguments: --no-such-option" in capsys.readouterr().err


def test_ctrl_c_is_one_line_that_says_how_to_go_on(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def stopped(arguments: object, prog: str) -> int:
        raise KeyboardInterrupt

    monkeypatch.setattr("unetflow.commands.split.main", stopped)
    assert main(["split"]) == 130
    assert capsys.readouterr().err == "stopped. The same command goes on: what is finished stays.\n"


def test_what_no_user_can_mend_is_raised_on(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(arguments: object, prog: str) -> int:
        raise ZeroDivisionError(f"ours, in {prog}")

    monkeypatch.setattr("unetflow.commands.split.main", broken)
    with pytest.raises(ZeroDivisionError, match="ours, in unetflow split"):
        main(["split"])


@pytest.mark.slow
@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="the C library is not glibc")
def test_threads_of_a_prediction_share_one_arena(tmp_path: Path) -> None:
    network = build("unet", base_channels=2, depth=1)
    description: ModelDescription = {
        "network": {"name": "unet", "base_channels": 2, "depth": 1},
        "channels": 1,
        "classes": ["cell"],
        "intensity": {"mean": [120.0], "deviation": [60.0]},
        "mpp": None,
    }
    torch.manual_seed(3)
    save_model(tmp_path / "m.safetensors", network, description)
    pixels = np.random.default_rng(0).integers(0, 255, (1200, 1100), dtype=np.uint8)
    tifffile.imwrite(tmp_path / "i.tif", pixels, photometric="minisblack")
    (tmp_path / "sitecustomize.py").write_text(COUNTS_ARENAS)
    files = [str(tmp_path / name) for name in ("m.safetensors", "i.tif")]
    for command in (("-c", entry_point(), "predict"), ("-m", MODULES["predict"])):
        output = str(tmp_path / f"{command[0]}.ome.zarr")
        done = called(*command, *files, output, "--threads", "2", PYTHONPATH=str(tmp_path))
        assert done.returncode == 0, done.stderr
    lines = (tmp_path / "arenas.txt").read_text().splitlines()
    assert [line.split()[-1] for line in lines] == ["1", "1"]
