"""One function over many items, shards of an image say, by several threads.

Items are begun in their order. After an error those in work are finished and no other is begun;
then the error is raised, the first in the order of the items. When the call ends, however it does,
no thread of it goes on.
"""

from collections import deque
from collections.abc import Callable, Generator, Iterable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import nullcontext
from typing import TypeVar

from unetflow.progress import progress

Item = TypeVar("Item")
Result = TypeVar("Result")


def for_each(
    do: Callable[[Item], object],
    items: Sequence[Item],
    *,
    threads: int,
    what: str | None = None,
    pixels_of: Callable[[Item], int] | None = None,
) -> None:
    """Do every item; its results are dropped.

    `what` is done is shown as progress, in items, or in pixels where `pixels_of` says how many an
    item has. One thread is the caller's own.
    """
    size_of = pixels_of or (lambda item: 1)
    shown = (
        progress(what, total=sum(map(size_of, items)), pixels=pixels_of is not None)
        if what
        else nullcontext(lambda amount: None)
    )
    with shown as tick:

        def one(item: Item) -> None:
            do(item)
            tick(size_of(item))

        ahead = len(items) - 1 if threads > 1 else 0
        for _ in in_order(one, items, threads=threads, ahead=ahead):
            pass


def in_order(
    do: Callable[[Item], Result], items: Iterable[Item], *, threads: int, ahead: int
) -> Generator[Result, None, None]:
    """The results in the order of the items, while later items are in work.

        item      0  1  2  3  4  5  6
                  |     |     |     |
              taken  next  ahead 2  not drawn from `items` yet

    At most `ahead` items are begun beyond the one whose result comes next: no more results (and
    items, where `items` is an iterator) are in memory. Items are drawn by the caller's thread; with
    `ahead` 0 it does the work too, an item when its result is asked for. Closing or dropping the
    iterator finishes what is in work and begins nothing else.
    """
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
