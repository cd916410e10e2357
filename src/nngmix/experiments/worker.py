"""A process of its own for cells: what ends it (memory, a crash, a time limit) ends one cell.

The parent's end is :class:`Worker`, the process itself is :func:`main`; they exchange lines of
JSON.
"""

import contextlib
import dataclasses
import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from typing import Any

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
        Bytes that a cell may allocate (where the system can limit that; Linux can).

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
    ) -> None:
        self.data_home = data_home
        self.time_limit = time_limit
        self.memory_limit = memory_limit
        self._process: subprocess.Popen[str] | None = None
        self._complaints: Any = None
        self._closed = False
        self._lock = threading.Lock()

    def run(self, cell: Cell) -> Outcome | Failure:
        """Run a cell; whatever happens to the process, there is an answer."""
        start = time.perf_counter()
        try:
            process = self._start()
        except OSError as error:
            return Failure(cell, f"no process could be started: {error}", 0.0)
        request = {
            "cell": dataclasses.asdict(cell),
            "data_home": self.data_home,
            "memory_limit": self.memory_limit,
        }
        late = threading.Event()

        def stop() -> None:
            late.set()
            process.kill()

        timer = threading.Timer(self.time_limit, stop) if self.time_limit else None
        line = ""
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            if timer:
                timer.start()
            # A process that is gone shows as an empty answer below.
            with contextlib.suppress(OSError, ValueError):
                process.stdin.write(json.dumps(request) + "\n")
                process.stdin.flush()
                line = process.stdout.readline()
        finally:
            if timer:
                timer.cancel()
        seconds = time.perf_counter() - start
        if not line.endswith("\n"):
            code = process.wait()
            reason = f"time limit of {self.time_limit:g} s" if late.is_set() else self._died(code)
            self._end()
            return Failure(cell, reason, seconds)
        answer = json.loads(line)
        if "reason" in answer:
            return Failure(cell, answer["reason"], seconds)
        return Outcome(cell, **answer)

    def close(self) -> None:
        """End the process, at once; a cell that it is running fails."""
        with self._lock:
            self._closed = True
            process = self._process
        if process is not None:
            process.kill()
            process.wait()
        self._end()

    def _start(self) -> "subprocess.Popen[str]":
        with self._lock:
            if self._closed:
                raise OSError("the worker was closed")
            if self._process is None:
                self._complaints = tempfile.TemporaryFile(  # noqa: SIM115 - closed by _end
                    "w+", errors="replace"
                )
                self._process = subprocess.Popen(
                    # As multiprocessing does: the same interpreter, the same path.
                    [sys.executable, "-c", "from nngmix.experiments.worker import main; main()"],
                    env=os.environ | _ONE_THREAD | {"PYTHONPATH": os.pathsep.join(sys.path)},
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    stderr=self._complaints,
                    text=True,
                    encoding="utf-8",
                    # Ctrl-C is for the parent to act on.
                    start_new_session=True,
                )
            return self._process

    def _end(self) -> None:
        with self._lock:
            process, self._process = self._process, None
            complaints, self._complaints = self._complaints, None
        if process is not None:
            for pipe in (process.stdin, process.stdout):
                with contextlib.suppress(OSError):
                    if pipe is not None:
                        pipe.close()
        if complaints is not None:
            complaints.close()

    def _died(self, code: int) -> str:
        if code == -getattr(signal, "SIGKILL", 9):
            return "killed by the system (signal 9), most likely for want of memory"
        last = ""
        if self._complaints is not None and not self._complaints.closed:
            self._complaints.seek(0)
            lines = [line.strip() for line in self._complaints if line.strip()]
            last = f": {lines[-1][:300]}" if lines else ""
        if code < 0:
            return f"the process died of signal {-code} ({signal.strsignal(-code)}){last}"
        return f"the process ended with exit code {code}{last}"


def main() -> None:
    """Be the process: read a request a line, write an answer a line, end with the parent."""
    # What libraries print must not get among the answers.
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    requests: list[str] = []
    arrived = threading.Condition()

    def listen() -> None:
        for line in sys.stdin:
            with arrived:
                requests.append(line)
                arrived.notify()
        # The parent is gone, or wants no more: nobody waits for the cell at hand.
        os._exit(0)

    threading.Thread(target=listen, daemon=True).start()
    while True:
        with arrived:
            while not requests:
                arrived.wait()
            request = json.loads(requests.pop(0))
        answers.write(json.dumps(_answer(request)) + "\n")
        answers.flush()


def _answer(request: dict[str, Any]) -> dict[str, Any]:
    _limit_memory(request["memory_limit"])
    _reset_peak()
    try:
        outcome = run_cell(Cell(**request["cell"]), data_home=request["data_home"])
    except MemoryError as error:
        return {"reason": " ".join(f"out of memory: {error}".split()).removesuffix(":")}
    except Exception as error:
        text = " ".join(str(error).split())
        # torch and others have errors of their own for memory.
        told = "out of memory: " if "not enough memory" in text or "bad_alloc" in text else ""
        return {"reason": f"{told}{type(error).__name__}: {text}"[:1000]}
    return {
        "aucroc": outcome.aucroc,
        "aucpr": outcome.aucpr,
        "seconds": outcome.seconds,
        "cpu_seconds": outcome.cpu_seconds,
        "peak_bytes": _peak(),
    }


def _limit_memory(limit: int | None) -> None:
    if limit is None:
        return
    with contextlib.suppress(ImportError, AttributeError, ValueError, OSError):
        import resource

        # The data segment, not the address space: libraries reserve far more than they use.
        hard = resource.getrlimit(resource.RLIMIT_DATA)[1]
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
