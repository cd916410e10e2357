"""A grid of cells: run on all cores or a cluster, recorded one by one, resumed where it stopped."""

import contextlib
import dataclasses
import threading
import time
import uuid
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from typing import Any

from joblib import Parallel, delayed

from nngmix.experiments.cells import Cell, Outcome
from nngmix.experiments.store import Store
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
        Bytes that a cell may allocate, where the system can limit that.

    Yields
    ------
    Outcome or Failure
        In the order of finishing.

    Examples
    --------
    >>> cells = [Cell("wine", "none", "MLP", seed=seed) for seed in (0, 1)]
    >>> sorted(result.cell.seed for result in run_cells(cells, n_jobs=2))
    [0, 1]
    """
    session = uuid.uuid4().hex
    settings = (data_home, time_limit, memory_limit)
    # Threads, each of which waits for a process of its own. A task a cell: joblib would bundle
    # short ones, and an interruption would lose the bundle.
    jobs = Parallel(n_jobs=n_jobs, prefer="threads", batch_size=1, return_as="generator_unordered")
    results = jobs(delayed(_run_in_worker)(session, settings, cell) for cell in cells)
    try:
        yield from results
    finally:
        # First the processes, or the threads would go on waiting for them.
        _close_workers(session)
        with contextlib.suppress(Exception):
            results.close()


_local = threading.local()
_workers: dict[str, list[Worker] | None] = {}
_workers_lock = threading.Lock()


def _run_in_worker(session: str, settings: tuple[Any, ...], cell: Cell) -> Result:
    """Run a cell in this thread's process; this is what goes to a cluster."""
    if getattr(_local, "session", None) != session:
        data_home, time_limit, memory_limit = settings
        worker = Worker(data_home, time_limit=time_limit, memory_limit=memory_limit)
        with _workers_lock:
            known = _workers.setdefault(session, [])
            if known is None:  # closed meanwhile
                worker.close()
            else:
                known.append(worker)
        _local.session, _local.worker = session, worker
    return _local.worker.run(cell)


def _close_workers(session: str) -> None:
    with _workers_lock:
        known = _workers.get(session) or []
        _workers[session] = None
    for worker in known:
        worker.close()


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
        Asked before each cell whether it may still be started; else it is left.
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

    def count(result: Result | None, *, failed: bool) -> None:
        tally.left -= 1
        tally.failed += failed
        tally.done += not failed
        tally.ran += result is not None
        if progress is not None:
            progress(tally, result)

    if progress is not None:
        progress(tally, None)
    while todo:
        busy: list[Cell] = []
        troubles: list[BaseException] = []
        started = False

        def claimed(
            todo: list[Cell] = todo,
            busy: list[Cell] = busy,
            troubles: list[BaseException] = troubles,
        ) -> Iterator[Cell]:
            # joblib calls this in its own threads, where an exception would be lost.
            try:
                for cell in todo:
                    if may_start is not None and not may_start(cell):
                        continue
                    state = store.claim(cell, retry_failed=retry_failed)
                    if state == "ours":
                        yield cell
                    elif state == "busy":
                        busy.append(cell)
                    else:
                        count(None, failed=state == "failed")
            except BaseException as error:
                troubles.append(error)

        running = run_cells(
            claimed(),
            n_jobs=n_jobs,
            data_home=data_home,
            time_limit=time_limit,
            memory_limit=memory_limit,
        )
        with contextlib.closing(running):
            for result in running:
                started = True
                store.record(result)
                count(result, failed=isinstance(result, Failure))
        if troubles:
            raise troubles[0]
        todo = busy
        if todo and not started:
            time.sleep(_LOOK)
    return tally
