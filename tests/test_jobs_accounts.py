"""States of jobs are asked of squeue where SLURM keeps no accounts."""

from pathlib import Path
from types import SimpleNamespace

import pytest

from unetflow.jobs.accounts import ask_squeue_without_accounts, has_accounts


def scontrol(folder: Path, monkeypatch: pytest.MonkeyPatch, storage: str | None) -> None:
    """A program that answers as SLURM's does."""
    program = folder / "scontrol"
    line = "" if storage is None else f"echo 'AccountingStorageType   = {storage}'"
    program.write_text(f"#!/bin/sh\necho 'AccountingStorageUser   = N/A'\n{line}\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}:/bin:/usr/bin")


@pytest.mark.parametrize(
    ("storage", "has"),
    [
        ("accounting_storage/none", False),
        ("(null)", False),  # as newer versions say it
        ("accounting_storage/slurmdbd", True),
        (None, None),
    ],
)
def test_what_slurm_says_of_its_accounts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, storage: str | None, has: bool | None
) -> None:
    scontrol(tmp_path, monkeypatch, storage)
    assert has_accounts() is has
    settings = SimpleNamespace(status_command="sacct")
    said = ask_squeue_without_accounts(settings)
    assert settings.status_command == ("squeue" if has is False else "sacct")
    assert (said is not None) == (has is False)


def test_what_was_chosen_or_is_no_cluster_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scontrol(tmp_path, monkeypatch, "accounting_storage/none")
    squeue = SimpleNamespace(status_command="squeue")
    assert ask_squeue_without_accounts(squeue) is None
    assert ask_squeue_without_accounts(None) is None
    local = SimpleNamespace()
    assert ask_squeue_without_accounts(local) is None
    assert not hasattr(local, "status_command")


def test_without_slurm_nothing_is_known(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    assert has_accounts() is None
