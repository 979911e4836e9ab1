"""One function over many items: order, memory, errors and early ends."""

import gc
import logging
import threading
import time
from collections.abc import Callable, Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from unetflow.engine.each import for_each, in_order

WAIT_S = 20.0  # until a test that hangs fails


class Interrupted(BaseException):
    """As KeyboardInterrupt: no Exception."""


def wait_for(condition: Callable[[], bool]) -> None:
    until_s = time.monotonic() + WAIT_S
    while not condition():
        assert time.monotonic() < until_s, "waited for nothing"
        time.sleep(0.001)


@pytest.fixture(autouse=True)
def no_thread_goes_on() -> Iterator[None]:
    before = threading.active_count()
    yield
    assert threading.active_count() == before


@given(
    st.lists(st.integers(0, 3), max_size=20),
    st.integers(1, 4),
    st.integers(0, 25),
)
@settings(max_examples=50)
def test_results_come_in_the_order_of_the_items(
    delays: list[int], threads: int, ahead: int
) -> None:
    def do(item: tuple[int, int]) -> int:
        time.sleep(item[1] / 2000)
        return item[0]

    found = list(in_order(do, enumerate(delays), threads=threads, ahead=ahead))
    assert found == list(range(len(delays)))


@pytest.mark.parametrize("threads", [1, 3])
def test_every_item_is_done_once(threads: int) -> None:
    done: list[int] = []
    for_each(done.append, range(20), threads=threads)
    assert sorted(done) == list(range(20))
    for_each(done.append, [], threads=threads)
    assert len(done) == 20


def test_threads_are_in_work_together() -> None:
    together = threading.Barrier(3, timeout=WAIT_S)
    for_each(lambda item: together.wait(), range(6), threads=3)
    assert len(list(in_order(lambda item: together.wait(), range(6), threads=3, ahead=2))) == 6


@pytest.mark.parametrize("threads", [1, 4])
@pytest.mark.parametrize("ahead", [0, 1, 5])
def test_no_more_items_are_drawn_than_one_and_those_ahead(threads: int, ahead: int) -> None:
    drawn = taken = 0

    def items() -> Iterator[int]:
        nonlocal drawn
        for item in range(30):
            drawn += 1
            assert drawn - taken <= ahead + 1
            yield item

    for _ in in_order(lambda item: item, items(), threads=threads, ahead=ahead):
        assert drawn - taken <= ahead + 1
        taken += 1
    assert taken == drawn == 30


def test_items_ahead_are_done_while_the_caller_is_busy() -> None:
    done: list[int] = []
    results = in_order(done.append, iter(range(10)), threads=1, ahead=2)
    next(results)
    wait_for(lambda: done == [0, 1, 2])
    results.close()
    assert done == [0, 1, 2]


def test_work_that_nobody_waits_for_is_the_callers_own() -> None:
    found: set[str] = set()

    def note(item: int) -> None:
        found.add(threading.current_thread().name)

    for_each(note, range(3), threads=1)
    for_each(note, range(1), threads=4)
    list(in_order(note, range(3), threads=4, ahead=0))
    assert found == {threading.current_thread().name}


@pytest.mark.parametrize(
    "error",
    [ValueError("of a test"), Interrupted("of a test"), StopIteration("of a test")],
)
@pytest.mark.parametrize("threads", [1, 3])
def test_after_an_error_what_is_in_work_is_finished_and_nothing_begun(
    threads: int, error: BaseException
) -> None:
    begun: list[int] = []
    finished: list[int] = []
    all_in_work = threading.Barrier(threads, timeout=WAIT_S)

    def do(item: int) -> None:
        begun.append(item)
        if item < threads:
            all_in_work.wait()
        if item == threads - 1:
            raise error
        time.sleep(0.05)
        finished.append(item)

    kind, said = type(error), str(error)
    if isinstance(error, StopIteration):  # would end the generator in silence
        kind, said = RuntimeError, "generator raised StopIteration"
    with pytest.raises(kind, match=said):
        for_each(do, range(100), threads=threads)
    assert sorted(begun) == list(range(threads))
    assert sorted(finished) == list(range(threads - 1))


def test_of_several_errors_the_first_items_is_raised() -> None:
    second_failed = threading.Event()

    def do(item: int) -> None:
        if item == 0:
            assert second_failed.wait(WAIT_S)
            raise ValueError("of item 0")
        try:
            raise ValueError(f"of item {item}")
        finally:
            second_failed.set()

    with pytest.raises(ValueError, match="of item 0"):
        for_each(do, range(5), threads=2)


def test_results_before_an_error_are_handed_out() -> None:
    def do(item: int) -> int:
        if item == 2:
            raise ValueError("the third")
        return item

    for _ in range(300):  # the second may be begun just when the third fails
        found = []
        with pytest.raises(ValueError, match="the third"):
            for each in in_order(do, range(9), threads=2, ahead=4):
                found.append(each)
        assert found == [0, 1]


@pytest.mark.parametrize("ahead", [0, 3])
def test_an_error_of_the_items_ends_the_work(ahead: int) -> None:
    done: list[int] = []

    def items() -> Iterator[int]:
        yield from range(3)
        raise OSError("cannot be read")

    with pytest.raises(OSError, match="cannot be read"):
        list(in_order(done.append, items(), threads=2, ahead=ahead))
    assert len(done) == len(set(done))  # of two in work either may be the first to end
    assert set(done) <= {0, 1, 2}


@pytest.mark.parametrize("error", [ValueError("of a test"), Interrupted("of a test")])
def test_an_error_of_the_caller_ends_the_work(error: BaseException) -> None:
    begun: list[int] = []
    in_work = threading.Event()
    finished: list[int] = []

    def do(item: int) -> None:
        begun.append(item)
        if item:
            in_work.set()
            time.sleep(0.05)
        finished.append(item)

    def consume() -> None:
        for _ in in_order(do, range(100), threads=1, ahead=50):
            assert in_work.wait(WAIT_S)
            raise error

    with pytest.raises(type(error), match=str(error)):
        consume()
    gc.collect()
    assert begun == finished
    assert len(begun) < 50


def test_an_iterator_that_is_closed_before_its_first_result_does_nothing() -> None:
    done: list[int] = []
    results = in_order(done.append, range(3), threads=2, ahead=2)
    results.close()
    assert done == []


def test_progress_counts_items_or_their_pixels(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("sys.stderr.isatty", lambda: False, raising=False)
    monkeypatch.setattr("unetflow.progress.LINE_EVERY_S", 0.0)
    caplog.set_level(logging.INFO)
    for_each(lambda item: None, range(3), threads=2, what="read")
    assert [line.split(",")[0] for line in caplog.messages] == [
        "read: 1 of 3",
        "read: 2 of 3",
        "read: 3 of 3",
    ]
    caplog.clear()
    for_each(
        lambda item: None,
        [1, 3],
        threads=1,
        what="predict",
        pixels_of=lambda item: item * 1_000_000,
    )
    assert [line.split(",")[0] for line in caplog.messages] == [
        "predict: 1 of 4 Mpx",
        "predict: 4 of 4 Mpx",
    ]


def test_an_item_that_fails_is_not_counted(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("sys.stderr.isatty", lambda: False, raising=False)
    monkeypatch.setattr("unetflow.progress.LINE_EVERY_S", 0.0)
    caplog.set_level(logging.INFO)

    def do(item: int) -> None:
        if item == 1:
            raise ValueError("the second")

    with pytest.raises(ValueError, match="the second"):
        for_each(do, range(3), threads=1, what="read")
    assert len(caplog.messages) == 1
