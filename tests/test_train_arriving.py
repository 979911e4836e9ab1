"""Numbers asked for after a GPU was given other work."""

import pytest
import torch

from unetflow.train.arriving import Arriving


class PretendedEvent:
    """Of a GPU that has done nothing until it is waited for."""

    def __init__(self, blocking: bool) -> None:
        assert blocking, "else a core waits actively"
        self.log: list[str] = []

    def record(self, stream: object) -> None:
        self.log.append("recorded")

    def synchronize(self) -> None:
        self.log.append("waited for")


def test_it_is_waited_for_when_it_is_asked_for_and_not_before(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    class OnGpu(torch.Tensor):
        device = torch.device("cuda")

        def detach(self) -> torch.Tensor:
            return torch.tensor(1.5)

    monkeypatch.setattr(torch.cuda, "Event", PretendedEvent)
    monkeypatch.setattr(torch.cuda, "current_stream", lambda device: None)
    number = Arriving(OnGpu())
    event = number._there
    assert isinstance(event, PretendedEvent)
    assert event.log == ["recorded"]
    assert float(number) == 1.5
    assert event.log == ["recorded", "waited for"]


def test_on_a_cpu_it_is_there() -> None:
    value = torch.tensor(2.5, requires_grad=True)
    assert float(Arriving(value)) == 2.5
