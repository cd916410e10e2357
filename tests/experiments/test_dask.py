"""Cells on a Dask cluster: the same numbers as here, and nothing that piles up there."""

import contextlib
import itertools
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import joblib
import pytest

from nngmix.experiments import Cell, Outcome, Store, Tally, run_cell, run_cells, run_grid

CELLS = [
    Cell("wine", sampler, "MLP", seed=seed, detector_settings={"max_iter": 20})
    for sampler, seed in itertools.product(("none", "NNGMix"), range(4))
]
WRONG = Cell("wine", "SMOTE", "MLP")

pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore"),  # of the cluster's own parts, as it starts and stops
]


@pytest.fixture
def processes(monkeypatch: pytest.MonkeyPatch) -> Callable[[], list[int]]:
    """List the processes that run this test's cells, on the cluster and here."""
    mark = f"NNGMIX_TEST={uuid.uuid4().hex}"
    monkeypatch.setenv(*mark.split("="))

    def found() -> list[int]:
        pids = []
        for path in Path("/proc").glob("[0-9]*"):
            with contextlib.suppress(OSError):
                if (
                    mark.encode() in (path / "environ").read_bytes().split(b"\0")
                    and b"nngmix.experiments.worker" in (path / "cmdline").read_bytes()
                ):
                    pids.append(int(path.name))
        return pids

    return found


@pytest.fixture
def cluster(processes: Callable[[], list[int]]) -> Iterator[Any]:
    """Have two workers with one thread each, and joblib use them."""
    distributed = pytest.importorskip("distributed", reason="distributed is not installed")
    with (
        distributed.LocalCluster(
            n_workers=2, threads_per_worker=1, dashboard_address=None
        ) as cluster,
        distributed.Client(cluster),
        joblib.parallel_config(backend="dask"),
    ):
        yield cluster
    deadline = time.monotonic() + 60
    while processes():
        assert time.monotonic() < deadline, f"orphans: {processes()}"
        time.sleep(0.05)


def numbers(outcomes: list[Any]) -> set[tuple[Cell, float, float]]:
    assert all(isinstance(outcome, Outcome) for outcome in outcomes), outcomes
    return {(outcome.cell, outcome.aucroc, outcome.aucpr) for outcome in outcomes}


def test_the_same_numbers(cluster: Any, processes: Callable[[], list[int]]) -> None:
    expected = numbers([run_cell(cell) for cell in CELLS])
    assert numbers(list(run_cells(CELLS))) == expected
    assert numbers(list(run_cells(CELLS, n_jobs=2))) == expected
    # Grid after grid in the same processes, one a thread of the cluster.
    if Path("/proc/self/environ").exists():
        assert 1 <= len(processes()) <= 2


def test_a_grid_with_a_store(cluster: Any, tmp_path: Path) -> None:
    with Store(tmp_path / "cells.sqlite") as store:
        assert run_grid(CELLS[:3], store) == Tally(done=3, ran=3)
        assert run_grid([*CELLS, WRONG], store) == Tally(done=8, failed=1, ran=6)
        results = store.results()
    assert numbers(results.outcomes) == numbers([run_cell(cell) for cell in CELLS])
    assert results.failures[0].reason.startswith("ValueError: there is no sampler 'SMOTE'")
    assert [path.name for path in tmp_path.iterdir()] == ["cells.sqlite"]


def test_stopped_halfway(cluster: Any, tmp_path: Path) -> None:
    def progress(tally: Tally, result: object) -> None:
        if tally.ran == 2:
            raise KeyboardInterrupt

    with Store(tmp_path / "cells.sqlite") as store:
        with pytest.raises(KeyboardInterrupt):
            run_grid(CELLS, store, progress=progress)
        # The cluster is of use all the same.
        assert run_grid(CELLS, store) == Tally(done=8, ran=6)
        assert numbers(store.results().outcomes) == numbers([run_cell(cell) for cell in CELLS])
