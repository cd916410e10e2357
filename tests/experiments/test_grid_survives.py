"""A grid in a process of its own, killed, interrupted, short of disk: it goes on from there."""

import contextlib
import dataclasses
import functools
import json
import os
import random
import signal
import sqlite3
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest

from nngmix.experiments import Cell, read_results, run_cell

CELLS = [
    Cell("wine", sampler, "MLP", seed=seed, detector_settings={"max_iter": 20})
    for seed in range(50)
    for sampler in ("none", "NNGMix")
]
# Minutes.
LONG = Cell(
    "digits", "none", "MLP", detector_settings={"batch_size": 1, "hidden_layer_sizes": 30_000}
)
SCRIPT = """
import dataclasses, json, sys
from nngmix.experiments import Cell, Store, run_grid
from nngmix.experiments.store import StoreError

def progress(tally, result):
    print(json.dumps([dataclasses.asdict(tally), result and result.cell.key]), flush=True)

path, largest_file, cells = json.loads(sys.stdin.readline())
cells = [Cell(**cell) for cell in cells]
if largest_file is not None:
    import resource
    resource.setrlimit(resource.RLIMIT_FSIZE, (largest_file, largest_file))
print("loaded", flush=True)
sys.stdin.readline()
try:
    with Store(path) as store:
        run_grid(cells, store, n_jobs=2, progress=progress)
except StoreError as error:
    sys.exit(f"error: {error}")
"""

posix = pytest.mark.skipif(os.name != "posix", reason="only for systems with signals")


class Run:
    """A grid in a process of its own, whose progress can be followed."""

    def __init__(
        self,
        path: Path,
        cells: Sequence[Cell] = CELLS,
        *,
        largest_file: int | None = None,
        wait: bool = False,
    ) -> None:
        self.mark = f"NNGMIX_TEST={uuid.uuid4().hex}"
        self.process = subprocess.Popen(
            [sys.executable, "-c", SCRIPT],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=os.environ
            | {"PYTHONPATH": os.pathsep.join(sys.path)}
            | dict([self.mark.split("=")]),
            # As from a shell: Ctrl-C goes to the whole group.
            start_new_session=True,
        )
        self.finished: list[str] = []
        self.tally: dict[str, int] = {}
        order = [str(path), largest_file, [dataclasses.asdict(cell) for cell in cells]]
        self.write(json.dumps(order))
        if not wait:
            self.write("go")

    def write(self, line: str) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(line + "\n")
        self.process.stdin.flush()

    def follow(self, until: Callable[[], bool] = lambda: False) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            if line != "loaded\n":
                self.tally, key = json.loads(line)
                if key is not None:
                    self.finished.append(key)
            if until():
                return

    def start(self) -> None:
        """Wait until the first cells are claimed."""
        self.follow(lambda: bool(self.tally))

    def advance(self, n: int) -> None:
        """Wait for so many cells."""
        self.follow(lambda: len(self.finished) >= n)

    def send(self, number: signal.Signals) -> None:
        assert self.process.poll() is None, "it was through before it could be hit"
        os.killpg(self.process.pid, number)

    def end(self) -> tuple[int, str]:
        """Wait for the end, its own and its workers'; return the exit code and the complaints."""
        self.follow()
        assert self.process.stderr is not None
        complaints = self.process.stderr.read()
        code = self.process.wait(60)
        for pipe in (self.process.stdin, self.process.stdout, self.process.stderr):
            with contextlib.suppress(BrokenPipeError):
                assert pipe is not None
                pipe.close()
        deadline = time.monotonic() + 60
        while self.processes():
            assert time.monotonic() < deadline, f"orphans: {self.processes()}"
            time.sleep(0.05)
        return code, complaints

    def processes(self) -> list[int]:
        """List it and its workers, where there is /proc."""
        found = []
        for path in Path("/proc").glob("[0-9]*/environ"):
            with contextlib.suppress(OSError):
                if self.mark.encode() in path.read_bytes().split(b"\0"):
                    found.append(int(path.parent.name))
        return found


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "cells.sqlite"


@functools.cache
def numbers(cell: Cell) -> tuple[float, float]:
    outcome = run_cell(cell)
    return outcome.aucroc, outcome.aucpr


def check(path: Path, cells: Sequence[Cell] = CELLS) -> None:
    """Check that all is as an undisturbed run would have left it."""
    results = read_results(path)
    assert {o.cell: (o.aucroc, o.aucpr) for o in results.outcomes} == {
        cell: numbers(cell) for cell in cells
    }
    assert not results.failures
    assert sorted(file.name for file in path.parent.iterdir()) == [path.name]
    with contextlib.closing(sqlite3.connect(path)) as db:
        assert db.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        assert db.execute("SELECT count(*) FROM claims").fetchone() == (0,)


@posix
@pytest.mark.parametrize("n_kills", [pytest.param(n, marks=pytest.mark.slow) for n in (5, 20)])
def test_killed_again_and_again(path: Path, n_kills: int) -> None:
    cells = [
        dataclasses.replace(cell, seed=cell.seed + 50 * i)
        for i in range(n_kills // 5)
        for cell in CELLS
    ]
    moments = random.Random(0)
    finished: list[str] = []
    for i in range(n_kills):
        run = Run(path, cells)
        # In turns: as the processes start, with the first cells claimed, and in full swing.
        run.start()
        if i % 2:
            run.advance(1)
        time.sleep(moments.uniform(0, 0.3))
        run.send(signal.SIGKILL)
        code, complaints = run.end()
        assert (code, complaints) == (-signal.SIGKILL, "")
        finished += run.finished
    assert 0 < len(finished) < len(cells)
    # What was finished was not run again.
    assert len(set(finished)) == len(finished)
    run = Run(path, cells)
    assert run.end() == (0, "")
    assert run.tally["done"] == len(cells)
    assert run.tally["ran"] <= len(cells) - len(finished)
    check(path, cells)


def intact(path: Path, run: Run) -> None:
    """Check that the store holds what was finished, and nothing broken."""
    with contextlib.closing(sqlite3.connect(path)) as db:
        assert db.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    results = read_results(path)
    assert {cell.key for cell in results.records} >= set(run.finished)
    assert not results.failures
    for outcome in results.outcomes:
        assert (outcome.aucroc, outcome.aucpr) == numbers(outcome.cell)


@posix
@pytest.mark.parametrize(
    "largest_file",
    [
        pytest.param(0, marks=pytest.mark.slow),
        20_000,
        pytest.param(150_000, marks=pytest.mark.slow),
    ],
)
def test_no_more_room_in_the_file(path: Path, largest_file: int) -> None:
    cells = CELLS[:40]
    run = Run(path, cells, largest_file=largest_file)
    code, complaints = run.end()
    assert code == 1
    assert complaints.startswith(f"error: the store {str(path)!r}: ")
    assert len(complaints.splitlines()) == 1
    assert len(run.finished) < len(cells)
    if largest_file > 100_000:
        assert run.finished
        intact(path, run)
    assert not list(path.parent.glob("*.lock"))
    run = Run(path, cells)
    assert run.end() == (0, "")
    check(path, cells)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=200k", "tmpfs", str(disk)]
    with contextlib.suppress(OSError):
        if subprocess.run(mount, capture_output=True, check=False).returncode == 0:
            try:
                yield disk
            finally:
                subprocess.run(["umount", str(disk)], check=True)
            return
    pytest.skip("a small disk can't be mounted: only root can, on Linux")


@pytest.mark.slow
def test_no_more_room_on_the_disk(small_disk: Path) -> None:
    path, cells = small_disk / "cells.sqlite", CELLS[:40]
    run = Run(path, cells)
    code, complaints = run.end()
    assert code == 1
    assert complaints.startswith(f"error: the store {str(path)!r}: ")
    assert len(complaints.splitlines()) == 1
    assert 0 < len(run.finished) < len(cells)
    remount = ["mount", "-o", "remount,size=10m", str(small_disk)]
    subprocess.run(remount, check=True)
    intact(path, run)
    run = Run(path, cells)
    assert run.end() == (0, "")
    check(path, cells)


def start_together(path: Path) -> list[Run]:
    runs = [Run(path, wait=True) for _ in range(2)]
    for run in runs:
        # Until the libraries are loaded.
        run.follow(lambda: True)
    for run in runs:
        run.write("go")
    return runs


@posix
@pytest.mark.slow
def test_two_share_a_grid(path: Path) -> None:
    runs = start_together(path)
    for run in runs:
        assert run.end() == (0, "")
        assert run.tally["done"] == len(CELLS)
        assert run.tally["ran"] == len(run.finished) > 0
    assert sum(run.tally["ran"] for run in runs) == len(CELLS)
    check(path)


@posix
@pytest.mark.slow
def test_one_takes_over_from_the_other(path: Path) -> None:
    first, second = start_together(path)
    for run in (first, second):
        run.advance(1)
    first.send(signal.SIGKILL)
    first.end()
    assert second.end() == (0, "")
    assert second.tally["done"] == len(CELLS)
    assert not set(first.finished) & set(second.finished)
    check(path)


@posix
@pytest.mark.slow
def test_interrupted(path: Path) -> None:
    cells = [*CELLS[:4], LONG, *CELLS[4:10]]
    run = Run(path, cells)
    # One process is at the long cell by now.
    run.advance(6)
    run.send(signal.SIGINT)
    code, complaints = run.end()
    assert code == -signal.SIGINT
    assert complaints.splitlines()[-1] == "KeyboardInterrupt"
    assert "Warning" not in complaints
    check(path, [cell for cell in CELLS if cell.key in run.finished])
    run = Run(path, CELLS[:10])
    assert run.end() == (0, "")
    check(path, CELLS[:10])
