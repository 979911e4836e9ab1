"""Work on the workers of a Dask cluster: one that runs, or one that SLURM's jobs are started for.

Workers see the same files as this process. They read and write arrays themselves, so that nothing
larger than a table of a block passes through the scheduler: a task is a shard or a block. What a
task is made of is sent to each worker once, and a network is loaded once there. Nothing that is
computed depends on where it is: `engine` is in no making and in no digest.
"""

import hashlib
import logging
import os
import pickle
import shutil
import socket
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import contextmanager, suppress
from functools import cache, lru_cache
from pathlib import Path
from typing import Any, TypedDict, TypeVar
from urllib.parse import urlsplit

from unetflow.engine.each import helped_by
from unetflow.errors import EngineError

log = logging.getLogger(__name__)

Item = TypeVar("Item")
Result = TypeVar("Result")

SLURM = "slurm"
ANSWER_S = 10.0  # that a scheduler has to answer
WORKERS_S = 60.0  # that one that runs has to have a worker
PER_THREAD = 3  # tasks of each thread that the scheduler knows of: none waits for this process
WORKER = {"cores": 8, "memory": "32GB", "processes": 1}  # of a job of SLURM
WAY_OUT = (
    "What is finished is kept: run the same command again, or with "
    "--config 'engine={scheduler: null}' to work without helpers."
)


class EngineConfig(TypedDict):
    """The config's `engine`."""

    scheduler: str | None  # null: threads of the job; an address; or "slurm"
    workers: int  # that are started through SLURM, for each job


@contextmanager
def working_on(engine: EngineConfig) -> Iterator[None]:
    """Meanwhile what is sendable is done by the workers that the config's `engine` names.

    How SLURM is asked for workers is said by Dask's own configuration (`jobqueue.slurm`), where it
    says nothing by `WORKER`; they end with the job. Raises EngineError.
    """
    scheduler = engine["scheduler"]
    if scheduler is None:
        yield
        return
    _require_packages(scheduler)
    with _addresses(engine) as address, _client(address) as client:
        crew = DaskCrew(client, address)
        crew.wait_for_workers(None if scheduler == SLURM else WORKERS_S)
        import dask

        with helped_by(crew), dask.config.set(scheduler=crew.get):
            yield


def check_engine(engine: EngineConfig) -> None:
    """Raises EngineError where what `engine` names is not there, before any job waits for it."""
    scheduler = engine["scheduler"]
    if scheduler is None:
        return
    _require_packages(scheduler)
    if scheduler == SLURM:
        if not shutil.which("sbatch"):
            raise EngineError(
                "engine: scheduler is slurm, but there is no sbatch on the PATH. Run the command "
                "where jobs can be submitted, or set it to null or to the address of a scheduler."
            )
        return
    where = urlsplit(scheduler)
    try:
        socket.create_connection((where.hostname or "", where.port or 8786), ANSWER_S).close()
    except (OSError, ValueError) as error:
        raise _silent(scheduler, error) from None


def threads_of_worker() -> int:
    """Of the worker that runs the caller: they share its memory. 0 outside a worker."""
    worker = _worker()
    return 0 if worker is None else int(worker.state.nthreads)


def memory_of_worker_mb() -> int | None:
    """What the worker that runs the caller may take, before its nurse ends it; None: no limit."""
    worker = _worker()
    limit = None if worker is None else worker.memory_manager.memory_limit
    return None if limit is None else int(limit / 2**20)


class DaskCrew:
    """The workers of one scheduler, as `unetflow.engine.each.Crew`."""

    def __init__(self, client: Any, address: str) -> None:
        self._client, self._address = client, address
        self._code = code_here()
        self._asked_s = -1.0
        self._threads = 1

    def in_order(
        self, do: Callable[[Item], Result], items: Iterable[Item], ahead: int
    ) -> Generator[Result, None, None]:
        """The results in the order of the items, which workers do; items that one dies with, too.

        At most `PER_THREAD` items of each thread are known to the scheduler, and `ahead` at least.
        """
        waiting: deque[Any] = deque()
        with self._named():
            # a task of its own, not an argument of each: workers fetch it from one another, and
            # make it again when all that had it have died
            sent = self._client.submit(bytes, pickle.dumps(do), pure=False)
        try:
            for item in items:
                with self._named():
                    waiting.append(
                        self._client.submit(_do, self._code, sent, pickle.dumps(item), pure=False)
                    )
                while len(waiting) > max(ahead, PER_THREAD * self._threads_now()):
                    yield self._result(waiting.popleft())
            while waiting:
                yield self._result(waiting.popleft())
        finally:
            with suppress(Exception):  # a scheduler that is lost has forgotten them
                self._client.cancel([sent, *waiting], force=True)

    def ask(self, do: Callable[[], Result]) -> Result:
        """What a function gives on one of the workers."""
        with self._named():
            task = self._client.submit(_ask, self._code, pickle.dumps(do), pure=False)
        found: Result = self._result(task)
        return found

    def get(self, graph: Any, keys: Any, **options: Any) -> Any:
        """As a scheduler of Dask: the results of a graph."""
        options.pop("num_workers", None)  # of threads
        with self._named():
            return self._client.get(graph, keys, **options)

    def wait_for_workers(self, longest_s: float | None) -> None:
        """Until one is there, which has the code that this process has. Raises EngineError."""
        started_s = said_s = time.monotonic()
        with self._named():
            while not self._client.nthreads():
                now_s = time.monotonic()
                if longest_s is not None and now_s - started_s > longest_s:
                    raise EngineError(
                        f"engine: the scheduler {self._address} answers, but has no workers since "
                        f"{longest_s:.0f} s. Start some (`dask worker {self._address}`). {WAY_OUT}"
                    )
                if now_s - said_s > 20:
                    log.info("engine: waiting for workers of %s", self._address)
                    said_s = now_s
                time.sleep(0.2)
        self.ask(_nothing)
        log.info("engine: %d threads of workers of %s", self._threads_now(), self._address)

    def _threads_now(self) -> int:
        """Of all workers together, asked every few seconds: some come, some go."""
        if time.monotonic() - self._asked_s > 3:
            with self._named():
                self._threads = max(1, sum(self._client.nthreads().values()))
            self._asked_s = time.monotonic()
        return self._threads

    def _result(self, task: Any) -> Any:
        try:
            with self._named():
                return task.result()
        except EngineError as error:
            own = error.__cause__
            if isinstance(own, TimeoutError) and task.status == "error":
                raise own from None  # of what the task does, not of the cluster
            raise

    @contextmanager
    def _named(self) -> Iterator[None]:
        """Errors of the cluster itself in words."""
        from concurrent.futures import CancelledError
        from concurrent.futures import TimeoutError as FutureTimeoutError

        from distributed.comm import CommClosedError
        from distributed.scheduler import KilledWorker

        try:
            yield
        except KilledWorker as error:
            raise EngineError(
                f"engine: {error.allowed_failures + 1} workers of {self._address} died with the "
                "same task. Most often their memory was short: give workers more of it, or fewer "
                f"threads. {WAY_OUT}"
            ) from error
        except ModuleNotFoundError as error:
            raise EngineError(
                f"engine: a worker of {self._address} lacks a package ({error}). Start workers in "
                f"the environment of this process ({sys.prefix}), with {_root()} in PYTHONPATH."
            ) from error
        except (CommClosedError, CancelledError, FutureTimeoutError, TimeoutError) as error:
            raise EngineError(
                f"engine: the scheduler {self._address} is lost ({type(error).__name__}). Start it "
                f"and its workers again. {WAY_OUT}"
            ) from error


@cache
def code_here() -> str:
    """Digest of this package's files: workers of another version would compute other results."""
    files = sorted(Path(__file__).parents[1].rglob("*.py"))
    content = b"".join(file.read_bytes() for file in files)
    return hashlib.sha256(content).hexdigest()


# On the workers


def _do(code: str, sent: bytes, item: bytes) -> Any:
    _check(code)
    with _UNPACKING:
        do = _unpacked(sent)
    return do(pickle.loads(item))


def _ask(code: str, do: bytes) -> Any:
    _check(code)
    return pickle.loads(do)()


def _nothing() -> None:
    pass


def _check(code: str) -> None:
    if code != code_here():
        raise EngineError(
            f"engine: a worker ({socket.gethostname()}, process {os.getpid()}) runs another "
            f"unetflow, of {_root()}. Start workers with the code of the pipeline, by PYTHONPATH, "
            "and again after each change of it."
        )


_UNPACKING = threading.Lock()


@lru_cache(maxsize=2)
def _unpacked(sent: bytes) -> Any:
    """What is done with items, once a worker: it keeps what it has loaded."""
    return pickle.loads(sent)


def _worker() -> Any:
    if "distributed" not in sys.modules:
        return None
    from distributed import get_worker

    try:
        return get_worker()
    except ValueError:
        return None


# The cluster


def _root() -> Path:
    return Path(__file__).parents[2]


def _require_packages(scheduler: str) -> None:
    try:
        import distributed  # noqa: F401

        if scheduler == SLURM:
            import dask_jobqueue  # noqa: F401
    except ImportError as error:
        raise EngineError(
            f"engine: scheduler is {scheduler}, which needs packages that are not here ({error}). "
            "Install the extra: pip install 'unetflow[distributed]'."
        ) from None


@contextmanager
def _addresses(engine: EngineConfig) -> Iterator[str]:
    """The scheduler's, of workers that SLURM is asked for where it is to."""
    scheduler = engine["scheduler"]
    if scheduler != SLURM:
        yield str(scheduler)
        return
    with _slurm_cluster(engine["workers"]) as cluster:
        yield cluster.scheduler_address


def _slurm_cluster(workers: int) -> Any:
    """Workers in jobs of SLURM, a process each."""
    import dask
    from dask_jobqueue import SLURMCluster

    told = dask.config.get("jobqueue.slurm", {})
    asked = {key: value for key, value in WORKER.items() if told.get(key) is None}
    first = [*(told.get("job-script-prologue") or []), f"export PYTHONPATH={_root()}:$PYTHONPATH"]
    python = told.get("python") or sys.executable
    cluster = SLURMCluster(**asked, job_script_prologue=first, python=python)
    log.info("engine: asking SLURM for %d workers:\n%s", workers, cluster.job_script())
    cluster.scale(jobs=workers)
    return cluster


@contextmanager
def _client(address: str) -> Iterator[Any]:
    from distributed import Client

    try:
        client = Client(address, timeout=ANSWER_S, set_as_default=False)
    except (OSError, TimeoutError, ValueError) as error:
        raise _silent(address, error) from error
    try:
        yield client
    finally:
        with suppress(Exception):
            client.close(timeout=2)


def _silent(address: str, error: Exception) -> EngineError:
    return EngineError(
        f"engine: no scheduler of Dask answers at {address} ({str(error) or type(error).__name__})."
        f" Start one (`dask scheduler`), or correct the address. {WAY_OUT}"
    )
