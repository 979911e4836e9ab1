"""`unetflow networks`: what is printed, and how it ends."""

import json
import re

import pytest

from unetflow.commands import MENDABLE, main
from unetflow.networks import NETWORKS


@pytest.mark.slow
def test_a_table_has_a_row_for_each_network(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["networks"]) == 0
    head, *rows = capsys.readouterr().out.splitlines()
    columns = ["name", "paper", "parameters", "multiply-adds/px", "halo px", "step px", "seamless"]
    assert head.split() == " ".join(columns).split()
    assert [row.split()[0] for row in rows[: len(NETWORKS)]] == list(NETWORKS)
    of_unet = rows[NETWORKS.index("unet")].split("  ")
    assert [cell.strip() for cell in of_unet if cell] == [
        *("unet", "Ronneberger et al. 2015", "31,030,658", "733,888", "92", "16", "yes"),
    ]


def test_a_program_is_told_numbers(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["networks", "unet", "--set", "norm=group", "--json"]) == 0
    (told,) = json.loads(capsys.readouterr().out)
    assert (told["halo_px"], told["step_px"]) == ([92, 92, 92, 92], [16, 16])
    assert told["parameters"] > 31_000_000 and told["why_seams"].startswith("group normalisation")


def test_one_network_is_shown_with_its_options(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["networks", "unet_padded", "--set", "norm=group", "depth=2"]) == 0
    row = capsys.readouterr().out.splitlines()[1]
    assert "28" in row
    assert row.endswith("no: group normalisation takes the mean and deviation of a tile")


@pytest.mark.slow
def test_checks_are_run_by_name(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["networks", "--check", "unet_padded", "--set", "base_channels=4", "depth=1"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert all(line.startswith("ok      unet_padded  ") for line in lines)
    assert "ok      unet_padded  tiled is whole" in lines


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["unot"], "no network is called 'unot'; there are: attention_unet, backbone"),
        (["unet", "--set", "dept=3"], "network unet has no option 'dept'; did you mean 'depth'"),
        (["unet", "--set", "depth"], "--set depth: must be name=value, such as depth=3"),
        (["--set", "depth=3"], "--set: options are of one network; name it"),
        (["--check", "unet", "--set", "depth=0"], "depth is 0 .*: must be a whole number"),
    ],
)
def test_what_cannot_be_is_said(
    arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["networks", *arguments]) == MENDABLE
    assert re.search(message, capsys.readouterr().err)
