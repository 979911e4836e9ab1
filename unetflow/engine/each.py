"""One function over many items, shards of an image say, by several threads or by a crew.

Items are begun in their order. After an error those in work are finished and no other is begun;
then the error is raised, the first in the order of the items. When the call ends, however it does,
no thread of it goes on.

A *crew* is processes, of other machines maybe, that take the place of the threads while a job is
`helped_by` one (`unetflow.engine.distributed`). It is given what is `sendable` alone: a function
and items that are small and can be pickled, whose results are small, and which read and write
arrays themselves.
"""

from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager, nullcontext
from contextvars import ContextVar
from typing import Protocol, TypeVar

from unetflow.progress import progress

Item = TypeVar("Item")
Result = TypeVar("Result")


class Crew(Protocol):
    """Processes that do items."""

    def in_order(
        self, do: Callable[[Item], Result], items: Iterable[Item], ahead: int
    ) -> Generator[Result, None, None]:
        """As the function `in_order`; it may have more items in work than `ahead`."""
        ...

    def ask(self, do: Callable[[], Result]) -> Result:
        """What a function gives in one of the processes."""
        ...


_CREW: ContextVar[Crew | None] = ContextVar("crew", default=None)


def crew() -> Crew | None:
    """Who helps the caller, if anybody does."""
    return _CREW.get()


@contextmanager
def helped_by(crew: Crew) -> Iterator[None]:
    """Meanwhile what is sendable is done by a crew."""
    before = _CREW.set(crew)
    try:
        yield
    finally:
        _CREW.reset(before)


def for_each(
    do: Callable[[Item], object],
    items: Sequence[Item],
    *,
    threads: int,
    what: str | None = None,
    pixels_of: Callable[[Item], int] | None = None,
    sendable: bool = False,
) -> None:
    """Do every item; its results are dropped.

    `what` is done is shown as progress, in items, or in pixels where `pixels_of` says how many an
    item has. One thread is the caller's own. What is `sendable` a crew may do.
    """
    size_of = pixels_of or (lambda item: 1)
    shown = (
        progress(what, total=sum(map(size_of, items)), pixels=pixels_of is not None)
        if what
        else nullcontext(lambda amount: None)
    )
    with shown as tick:
        if sendable and crew():
            done = in_order(do, items, threads=threads, ahead=0, sendable=True)
            for item, _ in zip(items, done, strict=True):
                tick(size_of(item))
            return

        def one(item: Item) -> None:
            do(item)
            tick(size_of(item))

        ahead = len(items) - 1 if threads > 1 else 0
        for _ in in_order(one, items, threads=threads, ahead=ahead):
            pass


def in_order(
    do: Callable[[Item], Result],
    items: Iterable[Item],
    *,
    threads: int,
    ahead: int,
    sendable: bool = False,
) -> Generator[Result, None, None]:
    """The results in the order of the items, while later items are in work.

        item      0  1  2  3  4  5  6
                  |     |     |     |
              taken  next  ahead 2  not drawn from `items` yet

    At most `ahead` items are begun beyond the one whose result comes next: no more results (and
    items, where `items` is an iterator) are in memory. Items are drawn by the caller's thread; with
    `ahead` 0 it does the work too, an item when its result is asked for. Closing or dropping the
    iterator finishes what is in work and begins nothing else. What is `sendable` a crew may do, of
    which as many items are in work as it has threads for.
    """
    if sendable and (helpers := crew()):
        yield from helpers.in_order(do, items, ahead)
        return
    if ahead < 1:
        for item in items:
            yield do(item)
        return
    failed: list[tuple[int, BaseException]] = []

    def one(number: int, item: Item) -> Result:
        if failed and failed[0][0] < number:  # waited behind the item that failed
            raise failed[0][1]
        try:
            return do(item)
        except BaseException as error:
            failed.append((number, error))
            raise

    waiting: deque[Future[Result]] = deque()
    with ThreadPoolExecutor(threads) as pool:
        try:
            for number, item in enumerate(items):
                waiting.append(pool.submit(one, number, item))
                if len(waiting) > ahead:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            pool.shutdown(wait=False, cancel_futures=True)  # leaving the pool waits
