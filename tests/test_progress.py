"""What a log file says while a stage runs."""

import logging

import pytest

from unetflow.progress import progress


@pytest.fixture
def lines(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> list[str]:
    """Messages of a clock that goes on by 10 s each time it is asked."""
    seconds = iter(range(0, 1000, 10))
    monkeypatch.setattr("unetflow.progress.time.monotonic", lambda: float(next(seconds)))
    monkeypatch.setattr("sys.stderr.isatty", lambda: False, raising=False)
    caplog.set_level(logging.INFO)
    return caplog.messages


def test_pieces_with_the_time_left(lines: list[str], caplog: pytest.LogCaptureFixture) -> None:
    with progress("read", total=10, done=2) as tick:
        for _ in range(4):
            tick()
    assert caplog.messages == [
        "read: 4 of 10, about 60 s left",
        "read: 6 of 10, about 40 s left",
    ]


def test_pixels_with_their_rate(lines: list[str], caplog: pytest.LogCaptureFixture) -> None:
    with progress("predict", total=8_000_000, pixels=True) as tick:
        tick(1_000_000)
        tick(3_000_000)
    assert caplog.messages == ["predict: 4 of 8 Mpx, 0.2 Mpx/s, about 20 s left"]
