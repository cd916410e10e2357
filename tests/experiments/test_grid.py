"""A grid: each cell once, whatever becomes of the others."""

import dataclasses
import itertools
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from nngmix.experiments import (
    Cell,
    Failure,
    Outcome,
    Results,
    Store,
    Tally,
    run_cell,
    run_cells,
    run_grid,
)
from nngmix.experiments.store import StoreError

QUICK = [
    Cell("wine", sampler, "MLP", seed=seed, detector_settings={"max_iter": 5})
    for sampler, seed in itertools.product(("none", "NNGMix"), range(4))
]
# Minutes.
LONG = Cell(
    "digits", "none", "MLP", detector_settings={"batch_size": 1, "hidden_layer_sizes": 30_000}
)
LARGE = Cell("digits", "GaussianNoise", "MLP", multiplier=2_000_000)
WRONG = Cell("wine", "SMOTE", "MLP")


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with Store(tmp_path / "cells.sqlite") as store:
        yield store


def numbers(results: Results) -> dict[Cell, tuple[float, float]]:
    return {o.cell: (o.aucroc, o.aucpr) for o in results.outcomes}


def expected(cells: list[Cell]) -> dict[Cell, tuple[float, float]]:
    return {o.cell: (o.aucroc, o.aucpr) for o in map(run_cell, cells)}


def test_runs_what_is_missing(store: Store) -> None:
    seen: list[tuple[int, int, int, int, Cell | None]] = []

    def progress(tally: Tally, result: Outcome | Failure | None) -> None:
        seen.append((*dataclasses.astuple(tally), result and result.cell))

    assert run_grid([*QUICK[:3], QUICK[0]], store, n_jobs=2) == Tally(done=3, ran=3)
    assert run_grid(QUICK, store, n_jobs=2, progress=progress) == Tally(done=8, ran=5)
    assert run_grid(QUICK, store, n_jobs=2) == Tally(done=8)
    assert numbers(store.results()) == expected(QUICK)
    assert [row[:4] for row in seen] == [(3 + i, 0, i, 5 - i) for i in range(6)]
    assert seen[0][4] is None
    assert {row[4] for row in seen[1:]} == set(QUICK[3:])


def test_failures_do_not_stop_the_rest(store: Store) -> None:
    cells = [WRONG, LONG, *QUICK]
    tally = run_grid(cells, store, n_jobs=2, time_limit=5)
    assert tally == Tally(done=8, failed=2, ran=10)
    results = store.results()
    reasons = {failure.cell: failure.reason for failure in results.failures}
    assert reasons.keys() == {WRONG, LONG}
    assert reasons[WRONG].startswith("ValueError: there is no sampler 'SMOTE'; there are none, ")
    assert reasons[LONG] == "time limit of 5 s"
    assert numbers(results) == expected(QUICK)

    before = results.records
    assert run_grid(cells, store, n_jobs=1) == Tally(done=8, failed=2)
    assert store.results().records == before
    assert run_grid(cells, store, n_jobs=1, time_limit=1, retry_failed=True) == Tally(8, 2, ran=2)
    results = store.results()
    assert {cell for cell in cells if results.records[cell] != before[cell]} == {WRONG, LONG}
    failure = results.failure(LONG)
    assert failure is not None
    assert failure.reason == "time limit of 1 s"


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="only Linux limits memory")
def test_memory_that_runs_out(store: Store) -> None:
    tally = run_grid(
        [QUICK[0], LARGE, QUICK[1]], store, n_jobs=1, memory_limit=500_000_000, time_limit=60
    )
    assert tally == Tally(done=2, failed=1, ran=3)
    assert store.results().failures[0].cell == LARGE
    assert store.results().failures[0].reason.startswith("out of memory: ")


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="there is no /proc")
def test_a_process_that_is_killed(store: Store) -> None:
    before = children()

    def progress(tally: Tally, result: Outcome | Failure | None) -> None:
        if tally.ran == 1:
            # By now it is at the next one.
            threading.Timer(0.5, os.kill, (*(children() - before), signal.SIGKILL)).start()

    cells = [QUICK[0], LONG, QUICK[1]]
    assert run_grid(cells, store, n_jobs=1, progress=progress) == Tally(done=2, failed=1, ran=3)
    assert store.results().failures[0].cell == LONG
    assert store.results().failures[0].reason.startswith("killed by signal 9")
    assert children() <= before


def test_what_may_not_start_is_left(store: Store) -> None:
    tally = run_grid(QUICK, store, n_jobs=2, may_start=lambda cell: cell.seed < 2)
    assert tally == Tally(done=4, ran=4, left=4)
    assert numbers(store.results()) == expected([cell for cell in QUICK if cell.seed < 2])


def test_nothing_to_run(store: Store) -> None:
    assert run_grid([], store) == Tally()
    assert list(run_cells([])) == []


def test_cells_of_another_run_are_waited_for(store: Store) -> None:
    with Store(store.path) as other:
        for cell in QUICK[:2]:
            other.claim(cell)
        seen: list[Cell | None] = []

        def progress(tally: Tally, result: Outcome | Failure | None) -> None:
            seen.append(result and result.cell)
            if len(seen) == 7:
                # The own ones are finished. One of the others is finished now, one given up.
                other.record(Outcome(QUICK[0], 0.5, 0.5, 1.0))
                other.release(QUICK[1])

        assert run_grid(QUICK, store, n_jobs=2, progress=progress) == Tally(done=8, ran=7)
    assert set(seen[1:7]) == set(QUICK[2:])
    assert set(seen[7:]) == {None, QUICK[1]}


def test_a_failure_elsewhere_is_not_retried_here(store: Store) -> None:
    store.record(Failure(WRONG, "no luck", 1.0))
    with Store(store.path) as other:
        assert other.claim(WRONG, retry_failed=True) == "ours"

        def progress(tally: Tally, result: Outcome | Failure | None) -> None:
            if tally.ran == 1:
                other.record(Failure(WRONG, "no luck again", 1.0))

        tally = run_grid([WRONG, QUICK[0]], store, n_jobs=1, retry_failed=True, progress=progress)
    assert tally == Tally(done=1, failed=1, ran=1)
    assert store.results().failures[0].reason == "no luck again"


@pytest.mark.parametrize(("n_jobs", "error"), [(1, KeyboardInterrupt), (2, ZeroDivisionError)])
def test_stopped_from_within(store: Store, n_jobs: int, error: type[BaseException]) -> None:
    def progress(tally: Tally, result: Outcome | Failure | None) -> None:
        if result is not None:
            raise error

    with pytest.raises(error):
        run_grid([*QUICK[:1], LONG, *QUICK[1:]], store, n_jobs=n_jobs, progress=progress)
    # What had been claimed is free for others, although the store is still open.
    with Store(store.path) as other:
        assert [other.claim(cell) for cell in (*QUICK, LONG)].count("ours") == 8
    assert run_grid(QUICK, store, n_jobs=n_jobs) == Tally(done=8, ran=7)
    assert numbers(store.results()) == expected(QUICK)


def test_trouble_with_the_list_of_cells_ends_it_at_once() -> None:
    def cells() -> Iterator[Cell]:
        yield LONG
        yield from QUICK[:2]
        raise ZeroDivisionError("no more cells")

    found: list[Outcome | Failure] = []
    # The time limit is for the test's own sake.
    results = run_cells(cells(), n_jobs=2, time_limit=60)
    with pytest.raises(ZeroDivisionError, match="no more cells"):
        found.extend(results)
    assert LONG not in [result.cell for result in found]


def test_left_halfway(recwarn: pytest.WarningsRecorder) -> None:
    for n_jobs in (1, 2):
        found = run_cells([QUICK[0], LONG, LONG, *QUICK], n_jobs=n_jobs)
        assert next(found).cell == QUICK[0]
        found.close()
    assert not recwarn.list


def test_a_store_that_fails_ends_it_at_once(store: Store) -> None:
    def progress(tally: Tally, result: Outcome | Failure | None) -> None:
        if result is not None:
            store.close()

    with pytest.raises(StoreError, match=r"cells\.sqlite"):
        run_grid([QUICK[0], LONG, *QUICK], store, n_jobs=2, progress=progress)


def test_no_cell_fails_where_no_process_starts(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Or a machine in disorder would fail cell after cell, in no time.
    monkeypatch.setattr("nngmix.experiments.worker._TRIES", (0.0,))
    monkeypatch.setattr(sys, "executable", str(tmp_path / "python"))
    with pytest.raises(ChildProcessError, match="no process could be started for the cells"):
        run_grid(QUICK, store, n_jobs=2)
    assert store.results().records == {}


@pytest.mark.parametrize("name", ["time_limit", "memory_limit"])
def test_limits_are_above_zero(store: Store, name: str) -> None:
    limits: dict[str, int] = {name: 0}
    with pytest.raises(ValueError, match=f"{name} must be above 0; got 0"):
        next(run_cells(QUICK, **limits))  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=f"{name} must be above 0; got 0"):
        run_grid(QUICK, store, **limits)  # type: ignore[arg-type]


def test_threads_end_with_it(store: Store) -> None:
    before = threading.active_count()
    run_grid(QUICK, store, n_jobs=2)
    wait_for(lambda: threading.active_count() <= before)


def children() -> set[int]:
    """List the processes that this one has started, zombies too."""
    found = set()
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            # The name, in brackets, may hold anything.
            if int(path.read_text().rpartition(")")[2].split()[1]) == os.getpid():
                found.add(int(path.parent.name))
        except OSError:
            continue
    return found


def wait_for(what: Callable[[], object]) -> None:
    deadline = time.monotonic() + 60
    while not what():
        assert time.monotonic() < deadline, "waited for a minute in vain"
        time.sleep(0.02)
