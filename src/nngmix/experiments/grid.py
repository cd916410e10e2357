"""A grid of cells: run on all cores or a cluster, recorded one by one, resumed where it stopped."""

import contextlib
import dataclasses
import threading
import time
import warnings
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from typing import Any

from joblib import Parallel, delayed

from nngmix.experiments.cells import Cell, Outcome
from nngmix.experiments.store import Store, StoreError
from nngmix.experiments.worker import Failure, Worker

Result = Outcome | Failure

# Seconds between two looks at cells that another run has in hand.
_LOOK = 1.0


def run_cells(
    cells: Iterable[Cell],
    *,
    n_jobs: int | None = -1,
    data_home: str | None = None,
    time_limit: float | None = None,
    memory_limit: int | None = None,
) -> Generator[Result, None, None]:
    """Run cells side by side, each on one core, and hand over each as it is finished.

    Cells run in processes of their own: one that runs out of memory, crashes or passes the time
    limit becomes a :class:`Failure`, and the others go on.

    Parameters
    ----------
    cells : iterable of Cell
        What to run; taken from as processes become free.
    n_jobs : int or None, default=-1
        Processes, in joblib's way of counting; -1 is one a core. The numbers do not depend on it.
        Under ``joblib.parallel_config(backend="dask")`` the cells go to a cluster.
    data_home : str, default=None
        Where ADBench's files are (on each machine of a cluster).
    time_limit : float, default=None
        Seconds that a cell may take.
    memory_limit : int, default=None
        Bytes that a cell's process may allocate, libraries included, where the system can limit
        that; Linux can.

    Yields
    ------
    Outcome or Failure
        In the order of finishing.

    Raises
    ------
    ChildProcessError
        If no process can be started, for which no cell is to blame.

    Notes
    -----
    Whoever stops before the end (closes the generator, or presses Ctrl-C) stops the cells that
    are running, too. Only those on a cluster run to their end, to nobody.

    Examples
    --------
    >>> cells = [Cell("wine", "none", "MLP", seed=seed) for seed in (0, 1)]
    >>> sorted(result.cell.seed for result in run_cells(cells, n_jobs=2))
    [0, 1]
    """
    with contextlib.closing(_Workers(data_home, time_limit, memory_limit)) as workers:
        yield from _run_cells(cells, workers, n_jobs)


class _Workers:
    """As many workers as there are threads that ask for one at a time."""

    def __init__(
        self, data_home: str | None, time_limit: float | None, memory_limit: int | None
    ) -> None:
        self._settings = data_home, time_limit, memory_limit
        self._lock = threading.Lock()
        self._all: list[Worker] = []
        self._free: list[Worker] = []
        self._closed = False
        # What is wrong with the settings is said here, before a cell runs.
        self._free.append(self._make())

    def __reduce__(self) -> tuple[Any, ...]:
        # This is what goes to a cluster. The workers there are for all grids that come by: who
        # started one may vanish without a word. Idle, they end by themselves.
        return _workers_here, self._settings

    def run(self, cell: Cell) -> Result:
        """Run a cell in a worker that is free."""
        with self._lock:
            if self._closed:
                return Failure(cell, "the grid was stopped", 0.0)
            worker = self._free.pop() if self._free else self._make()
        try:
            return worker.run(cell)
        finally:
            with self._lock:
                self._free.append(worker)

    def close(self) -> None:
        """End all workers; the cells that they are running fail."""
        with self._lock:
            self._closed = True
        for worker in self._all:
            worker.close()

    def _make(self) -> Worker:
        data_home, time_limit, memory_limit = self._settings
        worker = Worker(data_home, time_limit=time_limit, memory_limit=memory_limit)
        self._all.append(worker)
        return worker


_here: dict[tuple[Any, ...], _Workers] = {}
_here_lock = threading.Lock()


def _workers_here(*settings: Any) -> _Workers:
    """Return the workers of this process for such settings."""
    with _here_lock:
        if settings not in _here:
            _here[settings] = _Workers(*settings)
        return _here[settings]


def _run_cells(
    cells: Iterable[Cell], workers: _Workers, n_jobs: int | None
) -> Generator[Result, None, None]:
    troubles: list[Exception] = []

    def tasks() -> Iterator[Any]:
        # joblib comes for these in threads of its own, too.
        try:
            for cell in cells:
                yield delayed(workers.run)(cell)
        except Exception as error:
            troubles.append(error)
            raise

    # Threads, each of which waits for a process of its own. A task a cell: joblib would bundle
    # short ones, and an interruption would lose the bundle. And few in advance: whoever shares
    # the grid can have the others.
    jobs = Parallel(
        n_jobs=n_jobs,
        prefer="threads",
        batch_size=1,
        pre_dispatch="n_jobs",
        return_as="generator_unordered",
    )
    results: Any = None
    try:
        results = jobs(tasks())
        for result in results:
            if troubles:
                break
            yield result
    except BaseException:
        # First the processes, or the threads would go on waiting for them.
        workers.close()
        raise
    finally:
        if troubles:
            workers.close()
        with warnings.catch_warnings(), contextlib.suppress(Exception):
            # joblib warns of cells that were given up; whoever stops here knows.
            warnings.simplefilter("ignore")
            if results is not None:
                results.close()
    if troubles:
        raise troubles[0]


@dataclasses.dataclass
class Tally:
    """How far a grid is.

    Attributes
    ----------
    done, failed : int
        Cells with and without numbers, from earlier runs too.
    ran : int
        Cells that this run has finished.
    left : int
        Cells without a record yet.
    """

    done: int = 0
    failed: int = 0
    ran: int = 0
    left: int = 0


def run_grid(
    cells: Sequence[Cell],
    store: Store,
    *,
    n_jobs: int | None = -1,
    data_home: str | None = None,
    time_limit: float | None = None,
    memory_limit: int | None = None,
    retry_failed: bool = False,
    may_start: Callable[[Cell], bool] | None = None,
    progress: Callable[[Tally, Result | None], None] | None = None,
) -> Tally:
    """Run the cells of a grid that the store doesn't have yet, and record each as it is finished.

    Parameters
    ----------
    cells : sequence of Cell
        The grid, in the order in which to run it.
    store : Store
        Where results are and go. Other processes may work on it: their cells are left to them,
        and taken over if they die.
    n_jobs, data_home, time_limit, memory_limit
        As in :func:`run_cells`.
    retry_failed : bool, default=False
        Whether to run cells again that failed in an earlier run.
    may_start : callable, default=None
        Asked before each cell whether it may still be started; else it is left. The question may
        come from another thread, a little before a process is free.
    progress : callable, default=None
        Called at the start, and after each cell with its result (None: found finished by another
        run).

    Returns
    -------
    Tally
        How far it came.

    Raises
    ------
    StoreError
        If a result can't be written. What was written before stays.
    ChildProcessError
        If no process can be started, for which no cell is to blame.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> cells = [Cell("wine", "none", "MLP", seed=seed) for seed in (0, 1)]
    >>> with tempfile.TemporaryDirectory() as folder, Store(Path(folder, "it.sqlite")) as store:
    ...     first = run_grid(cells[:1], store, n_jobs=1)
    ...     second = run_grid(cells, store, n_jobs=1)
    >>> first.ran, second.ran, second.done
    (1, 1, 2)
    """
    known = store.results()
    tally = Tally()
    todo: list[Cell] = []
    for cell in dict.fromkeys(cells):
        if known.outcome(cell) is not None:
            tally.done += 1
        elif known.failure(cell) is not None and not retry_failed:
            tally.failed += 1
        else:
            todo.append(cell)
    tally.left = len(todo)
    claimed: set[Cell] = set()
    # Whether they failed, of the cells that another run has finished meanwhile.
    found: deque[bool] = deque()
    busy: list[Cell] = []

    def claim() -> Iterator[Cell]:
        """Yield what is for this run; joblib asks from other threads."""
        for cell in todo:
            if may_start is not None and not may_start(cell):
                continue
            record = known.records.get(cell)
            state = store.claim(cell, retry_failed=record is not None, known=record)
            if state == "ours":
                claimed.add(cell)
                yield cell
            elif state == "busy":
                busy.append(cell)
            else:
                found.append(state == "failed")

    def count(result: Result | None, *, failed: bool) -> None:
        tally.left -= 1
        tally.failed += failed
        tally.done += not failed
        tally.ran += result is not None
        if progress is not None:
            progress(tally, result)

    if progress is not None:
        progress(tally, None)
    workers = _Workers(data_home, time_limit, memory_limit)
    try:
        while todo:
            ran = tally.ran
            with contextlib.closing(_run_cells(claim(), workers, n_jobs)) as results:
                for result in results:
                    store.record(result)
                    claimed.discard(result.cell)
                    count(result, failed=isinstance(result, Failure))
                    while found:
                        count(None, failed=found.popleft())
            while found:
                count(None, failed=found.popleft())
            todo, busy = busy, []
            if todo and tally.ran == ran:
                time.sleep(_LOOK)
    finally:
        workers.close()
        # What was not finished is for others to run, however long this store stays open.
        with contextlib.suppress(StoreError):
            for cell in list(claimed):
                store.release(cell)
    return tally
