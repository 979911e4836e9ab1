"""How busy a GPU was is told by a program, which is drawn here."""

from pathlib import Path

import pytest

from unetflow.engine.gpu_busy import PROGRAM, gpu_busy


@pytest.fixture(autouse=True)
def only_what_is_drawn(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))


def telling(folder: Path, *lines: str) -> Path:
    """A program that prints these lines, then that it has, and goes on until it is ended."""
    program, told = folder / PROGRAM, folder / "told"
    printed = "\n".join(f"echo '{line}'" for line in lines)
    program.write_text(f"#!/bin/sh\n{printed}\n: > {told}\nexec /bin/sleep 100\n")
    program.chmod(0o755)
    return told


@pytest.mark.parametrize(
    ("lines", "shares"),
    [
        (
            ("GPU-0, 5", "GPU-1, 90", "GPU-0, 6", "GPU-1, 95", "GPU-1"),
            {"GPU-0": 0.055, "GPU-1": 0.925},
        ),
        (
            ("GPU-0, [N/A]", "GPU-1, 0"),
            {"GPU-1": 0.0},
        ),  # a part of a GPU, and one with nothing to do
        ((), {}),
    ],
)
def test_shares_are_means_of_what_is_told_of_each(
    tmp_path: Path, lines: tuple[str, ...], shares: dict[str, float]
) -> None:
    told = telling(tmp_path, *lines)
    with gpu_busy(True) as busy:
        while not told.exists():
            pass
    assert busy == shares


def test_nothing_is_started_where_no_gpu_is_wanted(tmp_path: Path) -> None:
    told = telling(tmp_path, "GPU-u1, 90")
    with gpu_busy(False) as busy:
        pass
    assert (busy, told.exists()) == ({}, False)


def test_without_the_program_nothing_is_known() -> None:
    with gpu_busy(True) as busy:
        pass
    assert busy == {}


def test_a_program_that_does_not_end_takes_no_result_away(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    told = telling(tmp_path, "GPU-0, 50")
    program = tmp_path / PROGRAM
    deaf = program.read_text().replace("#!/bin/sh\n", "#!/bin/sh\ntrap '' TERM\n")
    program.write_text(deaf)
    monkeypatch.setattr("unetflow.engine.gpu_busy.END_S", 0.05)
    with gpu_busy(True) as busy:
        while not told.exists():
            pass
    assert busy == {"GPU-0": 0.5}
    assert "nvidia-smi did not end" in caplog.text
