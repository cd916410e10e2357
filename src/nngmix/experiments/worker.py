"""A process of its own for cells: what ends it (memory, a crash, a time limit) ends one cell.

The parent's end is :class:`Worker`, the process itself is :func:`main`; they exchange lines of
JSON.
"""

import contextlib
import dataclasses
import functools
import json
import os
import queue
import signal
import subprocess
import sys
import tempfile
import threading
import time
import traceback
from typing import IO, Any

import numpy as np
import scipy.linalg.blas

from nngmix.experiments.cells import Cell, Outcome, run_cell

# One cell, one core: set before a library loads, for some read it only then.
_ONE_THREAD = dict.fromkeys(
    (
        "OMP_NUM_THREADS",
        "OPENBLAS_NUM_THREADS",
        "MKL_NUM_THREADS",
        "VECLIB_MAXIMUM_THREADS",
        "NUMEXPR_NUM_THREADS",
    ),
    "1",
)

# Seconds before each try to start a process: a machine may be short of memory for a moment.
_TRIES = (0.0, 1.0, 5.0)

_OUT_OF_MEMORY = "out of memory"
# How others than Python tell it: C++, the system, torch, the loader of libraries.
_SIGNS_OF_MEMORY = (
    "MemoryError",
    "bad_alloc",
    "annot allocate memory",
    "not enough memory",
    "failed to map segment",
    "memory allocation",
    "Memory allocation",
    "can't start new thread",
)


@dataclasses.dataclass(frozen=True)
class Failure:
    """A cell that came to nothing.

    Attributes
    ----------
    cell : Cell
        What was run.
    reason : str
        Why there is no number, in a line.
    seconds : float
        Wall time until then.
    """

    cell: Cell
    reason: str
    seconds: float


class Worker:
    """Runs cells in a process of its own, one after another.

    Parameters
    ----------
    data_home : str, default=None
        Where ADBench's files are.
    time_limit : float, default=None
        Seconds that a cell may take.
    memory_limit : int, default=None
        Bytes that the process may allocate for a cell, libraries included (where the system can
        limit that; Linux can).
    idle_limit : float, default=300.0
        Seconds without a cell after which the process is ended; the next cell starts another.

    Raises
    ------
    ValueError
        If a limit is not above 0.

    Examples
    --------
    >>> worker = Worker()
    >>> worker.run(Cell("wine", "none", "MLP", label_ratio=0.5)).aucroc > 0.5
    True
    >>> worker.run(Cell("wine", "none", "SVM")).reason
    "ValueError: there is no detector 'SVM'; there are DeepSAD, XGBOD, ..."
    >>> worker.close()
    """

    def __init__(
        self,
        data_home: str | None = None,
        *,
        time_limit: float | None = None,
        memory_limit: int | None = None,
        idle_limit: float = 300.0,
    ) -> None:
        for name, limit in (
            ("time_limit", time_limit),
            ("memory_limit", memory_limit),
            ("idle_limit", idle_limit),
        ):
            if limit is not None and not limit > 0:
                raise ValueError(f"{name} must be above 0; got {limit!r}")
        self.data_home = None if data_home is None else os.fspath(data_home)
        self.time_limit = time_limit
        self.memory_limit = memory_limit
        self.idle_limit = idle_limit
        # Held while a cell runs, and to end a process that runs none.
        self._running = threading.Lock()
        # Guards what follows: close() may come at any moment.
        self._state = threading.Lock()
        self._closed = threading.Event()
        self._process: subprocess.Popen[str] | None = None
        self._complaints: IO[bytes] | None = None
        self._fresh = True
        self._timer: threading.Timer | None = None

    def run(self, cell: Cell) -> Outcome | Failure:
        """Run a cell; whatever it does to the process, there is an answer.

        Raises
        ------
        ChildProcessError
            If no process can be started: no cell is to blame for that.
        """
        with self._running:
            self._idle(False)
            try:
                result, fresh = self._attempt(cell)
                if _is_out_of_memory(result):
                    # A library may be half loaded.
                    self._end()
                    if self.memory_limit is not None and not fresh:
                        # What earlier cells left behind counted too; alone it may do.
                        result, _ = self._attempt(cell)
                        if _is_out_of_memory(result):
                            self._end()
                return result
            except BaseException:
                # An answer that is still to come must not become the next cell's.
                self._end()
                raise
            finally:
                self._idle(True)

    def close(self) -> None:
        """End the process, at once; a cell that it is running fails."""
        with self._state:
            self._closed.set()
            if self._process is not None:
                self._process.kill()
        with self._running:
            self._idle(False)
            self._end()

    def _attempt(self, cell: Cell) -> tuple[Outcome | Failure, bool]:
        """Run a cell once; tell as well whether it had a process that had run none before."""
        process = self._started()
        fresh, self._fresh = self._fresh, False
        start = time.perf_counter()
        if process is None:
            return Failure(cell, "the worker was closed", 0.0), fresh
        request = {
            "cell": dataclasses.asdict(cell),
            "data_home": self.data_home,
            "memory_limit": self.memory_limit,
        }
        late = threading.Event()

        def stop() -> None:
            late.set()
            process.kill()

        timer = None
        if self.time_limit is not None:
            timer = threading.Timer(self.time_limit, stop)
            timer.daemon = True
            timer.start()
        try:
            answer = _ask(process, request)
        finally:
            if timer:
                timer.cancel()
        if timer:
            # From here on it is certain whether it came.
            timer.join()
        seconds = time.perf_counter() - start
        if answer is None:
            died = self._died()
            reason = f"time limit of {self.time_limit:g} s" if late.is_set() else died
            return Failure(cell, reason, seconds), fresh
        if late.is_set():
            # It answered at the last moment; the next cell needs another process all the same.
            self._end()
        if "reason" in answer:
            return Failure(cell, answer["reason"], seconds), fresh
        return Outcome(cell, **answer), fresh

    def _started(self) -> "subprocess.Popen[str] | None":
        """Return the process, ready for a cell; None if the worker was closed."""
        # An idle process may have died, or be about to: only an answer tells.
        if self._process is not None and _ask(self._process, None) is not None:
            # What it complained about so far is not this cell's.
            with contextlib.suppress(OSError):
                if self._complaints is not None:
                    self._complaints.seek(0)
                    self._complaints.truncate()
            return self._process
        why = ""
        for pause in _TRIES:
            self._end()
            if self._closed.wait(pause):
                return None
            try:
                process = self._launch()
            except OSError as error:
                why = str(error)
                continue
            # Loading the libraries is neither the cell's time nor its fault.
            if process is None or _ask(process, None) is not None:
                return process
            why = self._died()
        if self._closed.is_set():
            return None
        raise ChildProcessError(f"no process could be started for the cells: {why}")

    def _launch(self) -> "subprocess.Popen[str] | None":
        with self._state:
            if self._closed.is_set():
                return None
            self._fresh = True
            self._complaints = tempfile.TemporaryFile()  # noqa: SIM115 - closed by _end
            self._process = subprocess.Popen(
                # As multiprocessing does: the same interpreter, the same path. -P: a file that
                # happens to lie in the current folder must not pass for a library.
                [sys.executable, "-P", "-c", "from nngmix.experiments.worker import main; main()"],
                env=os.environ | _ONE_THREAD | {"PYTHONPATH": os.pathsep.join(sys.path)},
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=self._complaints,
                text=True,
                encoding="utf-8",
                errors="replace",
                # Ctrl-C is for the parent to act on; Windows has a flag for that.
                start_new_session=True,
                creationflags=getattr(subprocess, "CREATE_NEW_PROCESS_GROUP", 0),
            )
            return self._process

    def _died(self) -> str:
        """Tell what the process died of, and clear up after it."""
        process, complaints = self._process, self._complaints
        assert process is not None
        assert complaints is not None
        try:
            code = process.wait(timeout=10)
        except subprocess.TimeoutExpired:  # It only stopped listening.
            process.kill()
            code = process.wait()
        complaints.seek(max(complaints.seek(0, os.SEEK_END) - 10_000, 0))
        lines = complaints.read().decode(errors="replace").split("\n")
        self._end()
        short = [line for line in lines if any(sign in line for sign in _SIGNS_OF_MEMORY)]
        last = next(
            (f": {line.strip()[:300]}" for line in reversed(short or lines) if line.strip()), ""
        )
        if code == -getattr(signal, "SIGKILL", 9):
            return "killed by signal 9, most likely by the system for want of memory"
        if code < 0:
            told = f"the process died of signal {-code} ({signal.strsignal(-code)}){last}"
        else:
            told = f"the process ended with exit code {code}{last}"
        if short:
            return f"{_OUT_OF_MEMORY}: {told}"
        if self.memory_limit is not None:
            told += f" (its memory was limited to {self.memory_limit} bytes)"
        return told

    def _end(self) -> None:
        with self._state:
            process, self._process = self._process, None
            complaints, self._complaints = self._complaints, None
        if process is not None:
            process.kill()
            process.wait()
            for pipe in (process.stdin, process.stdout):
                # Closing writes what is left, to nobody.
                with contextlib.suppress(OSError):
                    if pipe is not None:
                        pipe.close()
        if complaints is not None:
            complaints.close()

    def _idle(self, begins: bool) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if begins and self._process is not None:
            self._timer = threading.Timer(self.idle_limit, self._retire)
            self._timer.daemon = True
            self._timer.start()

    def _retire(self) -> None:
        # A cell that has just come keeps the process.
        if self._running.acquire(blocking=False):
            try:
                self._end()
            finally:
                self._running.release()


def _ask(process: "subprocess.Popen[str]", request: dict[str, Any] | None) -> dict[str, Any] | None:
    """Hand over a request and wait for the answer; None if the process is gone."""
    assert process.stdin is not None
    assert process.stdout is not None
    with contextlib.suppress(OSError):
        process.stdin.write(json.dumps(request) + "\n")
        process.stdin.flush()
        for line in iter(process.stdout.readline, ""):
            # What an interpreter prints as it starts is no answer.
            with contextlib.suppress(ValueError):
                answer = json.loads(line)
                if isinstance(answer, dict):
                    return answer
    return None


def _is_out_of_memory(result: Outcome | Failure) -> bool:
    return isinstance(result, Failure) and result.reason.startswith(_OUT_OF_MEMORY)


def main() -> None:
    """Be the process: read a request a line, write an answer a line, end with the parent."""
    # What libraries print must not get among the answers.
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    requests: queue.SimpleQueue[str] = queue.SimpleQueue()

    def listen() -> None:
        try:
            for line in sys.stdin:
                requests.put(line)
        finally:
            # The parent is gone, or wants no more: nobody waits for the cell at hand.
            os._exit(0)

    threading.Thread(target=listen, daemon=True).start()
    try:
        while True:
            request = json.loads(requests.get())
            # None only asks whether all is well.
            answer = {"ready": True} if request is None else _answer(request)
            answers.write(json.dumps(answer) + "\n")
            answers.flush()
    except BaseException:
        traceback.print_exc()
    finally:
        # The usual way out would wait for the thread that reads.
        os._exit(1)


def _answer(request: dict[str, Any]) -> dict[str, Any]:
    limit = request["memory_limit"]
    if limit is not None:
        _feed_blas()
    _reset_peak()
    try:
        if limit is not None:
            _limit_memory(limit)
        try:
            outcome = run_cell(Cell(**request["cell"]), data_home=request["data_home"])
        finally:
            if limit is not None:
                # To tell what happened takes memory too.
                _limit_memory(None)
    except Exception as error:
        return {"reason": _reason(error)}
    return {
        "aucroc": outcome.aucroc,
        "aucpr": outcome.aucpr,
        "seconds": outcome.seconds,
        "cpu_seconds": outcome.cpu_seconds,
        "peak_bytes": _peak(),
    }


def _reason(error: BaseException) -> str:
    told = f"{type(error).__name__}: {error}"
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, MemoryError):
            told = f"{_OUT_OF_MEMORY}: {cause}"
        elif any(sign in str(cause) for sign in _SIGNS_OF_MEMORY):
            told = f"{_OUT_OF_MEMORY}: {type(cause).__name__}: {cause}"
        cause = cause.__cause__ or cause.__context__
    # One line, and no half characters: neither a terminal nor SQLite takes those.
    return " ".join(told.split()).encode(errors="replace").decode().removesuffix(":")[:1000]


@functools.cache
def _feed_blas() -> None:
    # OpenBLAS takes its working memory at the first product and keeps it. Where it can't have it,
    # it tries again for ever; NumPy and SciPy have one each.
    a = np.ones((512, 512))
    scipy.linalg.blas.dgemm(1.0, a, a @ a)


def _limit_memory(limit: int | None) -> None:
    with contextlib.suppress(ImportError, AttributeError, ValueError, OSError):
        import resource

        # The data segment, not the address space: libraries reserve far more than they use.
        _, hard = resource.getrlimit(resource.RLIMIT_DATA)
        if limit is None or (hard != resource.RLIM_INFINITY and limit > hard):
            limit = hard
        resource.setrlimit(resource.RLIMIT_DATA, (limit, hard))


def _reset_peak() -> None:
    # Linux only; elsewhere the peak is that of all cells of the process so far.
    with contextlib.suppress(OSError), open("/proc/self/clear_refs", "w") as file:
        file.write("5")


def _peak() -> int | None:
    with contextlib.suppress(OSError), open("/proc/self/status") as file:
        for line in file:
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    with contextlib.suppress(ImportError):
        import resource

        most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return most if sys.platform == "darwin" else most * 1024
    return None
