"""A process of its own for cells: whatever happens to it, there is an answer."""

import contextlib
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from nngmix.experiments import Cell, Failure, Outcome, run_cell
from nngmix.experiments import worker as worker_module
from nngmix.experiments.worker import Worker

QUICK = Cell("wine", "none", "MLP", detector_settings={"max_iter": 5})
# Minutes, and nothing that could end it sooner.
LONG = Cell(
    "digits", "none", "MLP", detector_settings={"batch_size": 1, "hidden_layer_sizes": 30_000}
)
# Gigabytes of pseudo-anomalies.
LARGE = Cell("digits", "GaussianNoise", "MLP", multiplier=2_000_000)

needs_proc = pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="there is no /proc")
needs_limit = pytest.mark.skipif(sys.platform != "linux", reason="only Linux limits memory")


def children() -> set[int]:
    """List the processes that this one has started, zombies too."""
    found = set()
    for path in Path("/proc").glob("[0-9]*/stat"):
        # The name, in brackets, may hold anything.
        with contextlib.suppress(OSError):
            if int(path.read_text().rpartition(")")[2].split()[1]) == os.getpid():
                found.add(int(path.parent.name))
    return found


@pytest.fixture
def processes() -> Callable[[], list[int]]:
    """List the processes that this test has started."""
    before = children()
    return lambda: sorted(children() - before)


@pytest.fixture
def new_worker() -> Iterator[Callable[..., Worker]]:
    workers = []

    def make(**settings: object) -> Worker:
        workers.append(Worker(**settings))  # type: ignore[arg-type]
        return workers[-1]

    yield make
    for worker in workers:
        worker.close()


def wait_for(what: Callable[[], object]) -> None:
    deadline = time.monotonic() + 60
    while not what():
        assert time.monotonic() < deadline, "waited for a minute in vain"
        time.sleep(0.02)


def numbers(result: Outcome | Failure) -> tuple[Cell, float, float]:
    assert isinstance(result, Outcome), result
    return result.cell, result.aucroc, result.aucpr


def reason(result: Outcome | Failure) -> str:
    assert isinstance(result, Failure), result
    return result.reason


@needs_proc
def test_one_process_runs_cell_after_cell(
    new_worker: Callable[..., Worker], processes: Callable[[], list[int]]
) -> None:
    worker = new_worker()
    first = worker.run(QUICK)
    assert numbers(first) == numbers(run_cell(QUICK))
    assert isinstance(first, Outcome)
    assert first.peak_bytes is not None
    assert first.peak_bytes > 1_000_000
    (process,) = processes()
    assert reason(worker.run(Cell("wine", "none", "SVM"))).startswith("ValueError: there is no ")
    assert numbers(worker.run(QUICK)) == numbers(first)
    assert processes() == [process]
    worker.close()
    assert processes() == []


@needs_proc
@pytest.mark.slow
def test_a_process_that_dies(
    new_worker: Callable[..., Worker], processes: Callable[[], list[int]]
) -> None:
    worker = new_worker()
    for number, told in (
        (signal.SIGKILL, "killed by signal 9, most likely by the system for want of memory"),
        (signal.SIGSEGV, "the process died of signal 11 (Segmentation fault)"),
        (signal.SIGTERM, "the process died of signal 15 (Terminated)"),
        (signal.SIGINT, "the process ended with exit code 1: KeyboardInterrupt"),
    ):
        assert numbers(worker.run(QUICK)) == numbers(run_cell(QUICK))
        (process,) = processes()
        threading.Timer(0.5, os.kill, (process, number)).start()
        result = worker.run(LONG)
        assert reason(result).startswith(told)
        assert result.cell == LONG
        assert result.seconds > 0


@needs_proc
def test_one_that_dies_between_two_cells_harms_neither(
    new_worker: Callable[..., Worker], processes: Callable[[], list[int]]
) -> None:
    worker = new_worker()
    worker.run(QUICK)
    os.kill(*processes(), signal.SIGKILL)
    assert numbers(worker.run(QUICK)) == numbers(run_cell(QUICK))


@pytest.mark.slow
def test_time_limit(new_worker: Callable[..., Worker]) -> None:
    worker = new_worker(time_limit=4)
    assert reason(worker.run(LONG)) == "time limit of 4 s"
    assert numbers(worker.run(QUICK)) == numbers(run_cell(QUICK))


@needs_limit
def test_memory_limit(new_worker: Callable[..., Worker]) -> None:
    # The time limit is for the test's own sake.
    worker = new_worker(memory_limit=500_000_000, time_limit=60)
    assert numbers(worker.run(QUICK)) == numbers(run_cell(QUICK))
    assert reason(worker.run(LARGE)).startswith("out of memory: Unable to allocate ")
    assert numbers(worker.run(QUICK)) == numbers(run_cell(QUICK))


@needs_limit
@pytest.mark.slow
@pytest.mark.parametrize(
    ("detector", "library", "step"),
    [
        ("MLP", "sklearn", 20),
        ("XGBOD", "xgboost", 50),
        ("CatBoost", "catboost", 50),
        ("DeepSAD", "torch", 50),
    ],
)
def test_wherever_memory_runs_out_it_is_told(
    detector: str, library: str, step: int, new_worker: Callable[..., Worker]
) -> None:
    pytest.importorskip(library, reason=f"{library} is not installed")
    # While Python or a library is loaded, in a library's threads, in C++, in OpenBLAS (which
    # takes 32 MB and would try for ever).
    cell = Cell("digits", "NNGMix", detector)
    told = []
    for limit in (1, *range(100, 700, step)):
        worker = new_worker(memory_limit=limit * 1_000_000, time_limit=120)
        result = worker.run(cell)
        worker.close()
        if isinstance(result, Outcome):
            break
        told.append(result.reason)
    assert told
    assert all(text.startswith("out of memory") for text in told), told


@needs_proc
def test_an_idle_process_ends_by_itself(
    new_worker: Callable[..., Worker], processes: Callable[[], list[int]]
) -> None:
    worker = new_worker(idle_limit=0.05)
    first = worker.run(QUICK)
    wait_for(lambda: not processes())
    assert numbers(worker.run(QUICK)) == numbers(first)


@needs_proc
def test_closing_stops_the_cell_at_hand(
    new_worker: Callable[..., Worker], processes: Callable[[], list[int]]
) -> None:
    worker = new_worker()
    worker.run(QUICK)
    found: list[Outcome | Failure] = []
    thread = threading.Thread(target=lambda: found.append(worker.run(LONG)))
    thread.start()
    time.sleep(0.3)
    worker.close()
    thread.join(60)
    assert processes() == []
    assert isinstance(found[0], Failure)
    assert reason(worker.run(QUICK)) == "the worker was closed"
    worker.close()


@pytest.mark.skipif(not hasattr(signal, "SIGALRM"), reason="the system has no alarms")
def test_an_interrupted_cell_leaves_no_answer_to_the_next(
    new_worker: Callable[..., Worker], monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    worker = new_worker()
    worker.run(QUICK)
    earlier = signal.signal(signal.SIGALRM, interrupt)
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.2)
        with pytest.raises(KeyboardInterrupt):
            worker.run(Cell("digits", "none", "MLP"))
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, earlier)
    assert numbers(worker.run(QUICK)) == numbers(run_cell(QUICK))


def test_what_lies_about_does_not_get_in_the_way(
    new_worker: Callable[..., Worker], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, folder = tmp_path / "path", tmp_path / "here"
    for place in (path, folder):
        place.mkdir()
    (path / "sitecustomize.py").write_text("print(1)\nprint('hello')\n")
    (folder / "queue.py").write_text("raise SystemExit('not the one you want')\n")
    monkeypatch.syspath_prepend(path)
    monkeypatch.chdir(folder)
    assert numbers(new_worker().run(QUICK)) == numbers(run_cell(QUICK))


def test_a_reason_is_one_line_that_can_be_written_anywhere(
    new_worker: Callable[..., Worker],
) -> None:
    worker = new_worker(data_home="no\nwhere\udcff")
    told = reason(worker.run(Cell("Classical/45_wine", "none", "MLP")))
    assert told.startswith("FileNotFoundError")
    assert told.encode().decode().splitlines() == [told]


def test_no_cell_is_to_blame_where_no_process_starts(
    new_worker: Callable[..., Worker], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(worker_module, "_TRIES", (0.0, 0.0))
    (tmp_path / "sitecustomize.py").write_text("import os; os.write(2, b'no way'); os._exit(3)\n")
    worker = new_worker()
    with monkeypatch.context() as patch:
        patch.syspath_prepend(tmp_path)
        with pytest.raises(ChildProcessError, match=r"started for the cells: .*code 3: no way"):
            worker.run(QUICK)
    with monkeypatch.context() as patch:
        patch.setattr(sys, "executable", str(tmp_path / "python"))
        with pytest.raises(ChildProcessError, match=r"started for the cells: .*No such file"):
            worker.run(QUICK)
    assert numbers(worker.run(QUICK)) == numbers(run_cell(QUICK))


@pytest.mark.parametrize("name", ["time_limit", "memory_limit", "idle_limit"])
def test_limits_are_above_zero(name: str) -> None:
    with pytest.raises(ValueError, match=f"{name} must be above 0; got -1"):
        Worker(**{name: -1})
