"""Checkpoints: whatever happens to their bytes, none gives what was not saved."""

import logging
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from damaging import damaged

from unetflow.errors import StoreError
from unetflow.train.checkpoints import Checkpoint

DAMAGES = 60


@pytest.fixture
def saved(tmp_path: Path) -> Checkpoint:
    """A checkpoint after steps 1 and 2, each with weights of its number."""
    checkpoint = Checkpoint(tmp_path / "last.pt", "a")
    for step in (1, 2):
        checkpoint.save(state_of(step))
    return checkpoint


def state_of(step: int) -> dict[str, Any]:
    return {"step": step, "network": {"w": torch.full((300,), float(step))}}


def again(checkpoint: Checkpoint, digest: str = "a") -> Checkpoint:
    """The same in a later process."""
    return Checkpoint(checkpoint.path, digest)


def step_of(state: dict[str, Any] | None) -> int:
    """Of which step it is, to the last weight; 0 where there is none."""
    if state is None:
        return 0
    assert state["network"]["w"].tolist() == [state["step"]] * 300
    return int(state["step"])


def test_the_newest_is_gone_on_with_and_the_one_before_is_kept(saved: Checkpoint) -> None:
    assert step_of(again(saved).load()) == 2
    saved.path.unlink()  # as a kill leaves it between two renames
    assert step_of(again(saved).load()) == 1
    assert torch.load(saved.before, weights_only=True)["step"] == 1  # anybody can look into it


def test_no_damage_gives_other_weights_and_each_is_said(
    saved: Checkpoint, caplog: pytest.LogCaptureFixture
) -> None:
    """Of 14 turned bits 4 gave other weights without a word."""
    random = np.random.default_rng(0)
    whole = saved.path.read_bytes()
    for _ in range(DAMAGES):
        content = damaged(whole, random)
        saved.path.write_bytes(content)
        caplog.clear()
        assert step_of(again(saved).load()) == (2 if content == whole else 1)
        if content != whole:
            assert "last.pt is damaged: its checksum is another one" in caplog.text
            assert "going on from the one before it" in caplog.text
            assert caplog.records[-1].levelno == logging.WARNING


def test_a_damaged_one_does_not_take_the_place_of_the_one_before(saved: Checkpoint) -> None:
    saved.path.write_bytes(b"")
    later = again(saved)
    assert step_of(later.load()) == 1
    later.save(state_of(3))
    assert step_of(again(saved).load()) == 3
    saved.path.write_bytes(b"")
    assert step_of(again(saved).load()) == 1
    later.save(state_of(4))
    later.save(state_of(5))
    saved.path.write_bytes(b"")
    assert step_of(again(saved).load()) == 4


def test_where_both_are_damaged_training_starts_anew(
    saved: Checkpoint, caplog: pytest.LogCaptureFixture
) -> None:
    for path in (saved.path, saved.before):
        path.write_bytes(path.read_bytes()[:-1])
    assert again(saved).load() is None
    assert "before.pt is damaged: its checksum is another one: training starts anew" in caplog.text


def test_of_two_makings_each_goes_on_with_its_own(
    saved: Checkpoint, caplog: pytest.LogCaptureFixture
) -> None:
    other = again(saved, "b")
    with caplog.at_level("INFO"):
        assert other.load() is None
    assert "last.pt is of another recipe, data or code" in caplog.text
    assert caplog.records[-1].levelno == logging.INFO
    other.save(state_of(7))
    assert step_of(again(saved, "b").load()) == 7
    assert step_of(again(saved, "a").load()) == 2


def test_one_without_a_checksum_is_not_gone_on_with(
    saved: Checkpoint, caplog: pytest.LogCaptureFixture
) -> None:
    """Those of older versions: the code that decides the weights is another one, anyway."""
    torch.save({"digest": "a", **state_of(9)}, saved.path)
    saved.before.unlink()
    assert again(saved).load() is None
    assert "training starts anew" in caplog.text


def test_a_full_disk_leaves_one_to_go_on_from(
    saved: Checkpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(handle: int) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch, pytest.raises(StoreError, match=r"last\.pt: could not be"):
        patch.setattr("os.fsync", full)
        saved.save(state_of(3))
    assert step_of(again(saved).load()) == 2
    saved.save(state_of(3))
    assert step_of(again(saved).load()) == 3


def test_one_that_cannot_be_read_just_now_is_not_written_over(
    saved: Checkpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stale(path: Path) -> bytes:
        raise OSError(116, "Stale file handle")

    with monkeypatch.context() as patch:
        patch.setattr(Path, "read_bytes", stale)
        with pytest.raises(StoreError, match=r"last\.pt: could not be read \(Stale file handle\)"):
            again(saved).load()
        patch.undo()
        patch.setattr("unetflow.train.checkpoints.torch.load", short_of_memory)
        with pytest.raises(MemoryError, match="too little"):
            again(saved).load()
    assert step_of(again(saved).load()) == 2


def short_of_memory(*_: Any, **options: Any) -> None:
    raise MemoryError("too little")
