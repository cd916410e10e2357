"""The store: one row a cell, in one SQLite file, that runs can share and that survives them."""

import contextlib
import dataclasses
import json
import math
import os
import sqlite3
import threading
import time
import uuid
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, Literal

import pyarrow as pa
import pyarrow.parquet as pq
from filelock import FileLock, Timeout

from nngmix.experiments.cells import Cell, Outcome
from nngmix.experiments.machine import describe_machine
from nngmix.experiments.worker import Failure
from nngmix.replacing import replacing

Claim = Literal["ours", "done", "failed", "busy"]

_APPLICATION = 0x6E6E676D  # "nngm": tells a store from any other SQLite file
_CELL_COLUMNS = {
    "dataset": "TEXT NOT NULL",
    "sampler": "TEXT NOT NULL",
    "sampler_settings": "TEXT NOT NULL",
    "detector": "TEXT NOT NULL",
    "detector_settings": "TEXT NOT NULL",
    "multiplier": "INTEGER NOT NULL",
    "label_ratio": "REAL NOT NULL",
    "pollution_ratio": "REAL NOT NULL",
    "protocol": "TEXT NOT NULL",
    "seed": "INTEGER NOT NULL",
}
_RESULT_COLUMNS = {
    "aucroc": "REAL",
    "aucpr": "REAL",
    "seconds": "REAL NOT NULL",
    "cpu_seconds": "REAL",
    "peak_bytes": "INTEGER",
    # Why there is no number; NULL where there is one.
    "reason": "TEXT",
    "run": "TEXT NOT NULL",
    "finished": "REAL NOT NULL",
}
_COLUMNS = _CELL_COLUMNS | _RESULT_COLUMNS
_SCHEMA = f"""
CREATE TABLE IF NOT EXISTS cells (
    key TEXT PRIMARY KEY, {", ".join(f"{name} {kind}" for name, kind in _COLUMNS.items())}
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS claims (key TEXT PRIMARY KEY, run TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS runs (
    run TEXT PRIMARY KEY, started REAL NOT NULL, machine TEXT NOT NULL
) WITHOUT ROWID;
"""
_VERSION = 1


class StoreError(OSError):
    """The store can't be read or written."""


@dataclasses.dataclass(frozen=True)
class Record:
    """A finished cell, as the store has it.

    Attributes
    ----------
    result : Outcome or Failure
        What it came to.
    run : str
        Which run of a program it was part of; a key of :attr:`Results.runs`.
    finished : float
        When, in seconds since 1970.
    """

    result: Outcome | Failure
    run: str
    finished: float


@dataclasses.dataclass(frozen=True)
class Results:
    """All that a store holds.

    Attributes
    ----------
    records : dict of Cell to Record
        Finished cells, the failed ones too.
    runs : dict of str to dict
        For each run the time of its start, the machine, and the versions it ran with.
    """

    records: dict[Cell, Record]
    runs: dict[str, dict[str, Any]]

    def outcome(self, cell: Cell) -> Outcome | None:
        """Return what a cell came to; None if it isn't there or failed."""
        record = self.records.get(cell)
        if record is None or not isinstance(record.result, Outcome):
            return None
        return record.result

    def failure(self, cell: Cell) -> Failure | None:
        """Return how a cell failed; None if it isn't there or has numbers."""
        record = self.records.get(cell)
        if record is None or not isinstance(record.result, Failure):
            return None
        return record.result

    @property
    def outcomes(self) -> list[Outcome]:
        """What has numbers."""
        return [r.result for r in self.records.values() if isinstance(r.result, Outcome)]

    @property
    def failures(self) -> list[Failure]:
        """What has none."""
        return [r.result for r in self.records.values() if isinstance(r.result, Failure)]


class Store:
    """Finished cells in an SQLite file; open it with ``with``.

    Several processes of a machine may have one store open: a cell that one of them has claimed is
    left alone by the others until it is finished, or its process is gone, by whatever death. What
    was recorded stays: each record is a transaction.

    Parameters
    ----------
    path : str or path
        The file.
    create : bool, default=True
        Whether to make it if it isn't there.

    Raises
    ------
    ValueError
        If the file is something else than a store.
    StoreError
        If it can't be read or written: no such folder, no permission, a full disk.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> cell = Cell("wine", "none", "MLP")
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     with Store(Path(folder, "cells.sqlite")) as store:
    ...         store.claim(cell)
    ...         store.record(Outcome(cell, 0.9, 0.8, 1.5))
    ...         store.claim(cell)
    ...         store.results().outcome(cell).aucroc
    'ours'
    'done'
    0.9
    """

    def __init__(self, path: str | os.PathLike[str], *, create: bool = True) -> None:
        self.path = Path(path)
        # By its real name: whoever comes by way of a link must find the same locks.
        self._place = self.path.resolve()
        self._run = uuid.uuid4().hex[:12]
        self._lock = threading.RLock()
        self._alive: FileLock | None = None
        if self._place.is_dir():
            raise StoreError(f"the store {str(path)!r} is a folder; it must be a file.")
        if not self._place.parent.is_dir():
            raise StoreError(
                f"the store {str(path)!r} can't be made: there is no folder "
                f"{str(self.path.parent)!r}."
            )
        with self._told():
            self._db = sqlite3.connect(
                f"{self._place.as_uri()}?mode={'rwc' if create else 'rw'}",
                uri=True,
                timeout=60,
                isolation_level=None,
                # Cells are claimed in the threads that hand them out.
                check_same_thread=False,
            )
        try:
            self._check(create)
        except BaseException:
            self._db.close()
            raise

    def __enter__(self) -> "Store":
        return self

    def __exit__(self, *about: object) -> None:
        self.close()

    def close(self) -> None:
        """Give back what was claimed and not finished, and close the file."""
        with self._lock:
            if self._alive is None:
                self._db.close()
                return
            # Whatever fails here: the lock is released below, and with it all claims.
            with contextlib.suppress(StoreError, ValueError), self._writing():
                self._db.execute("DELETE FROM claims WHERE run = ?", (self._run,))
                self._clear_up()
            # The last one to close leaves a plain file, without a log beside it.
            with contextlib.suppress(sqlite3.Error):
                self._db.execute("PRAGMA busy_timeout = 0")
                self._db.execute("PRAGMA journal_mode = DELETE")
            self._db.close()
            self._alive.release()
            _remove(self._lock_path(self._run))
            self._alive = None

    def claim(
        self, cell: Cell, *, retry_failed: bool = False, known: Record | None = None
    ) -> Claim:
        """Reserve a cell for this run.

        Parameters
        ----------
        cell : Cell
            Which.
        retry_failed : bool, default=False
            Whether a cell that failed may be run again.
        known : Record, default=None
            The failure that `retry_failed` is about; a later one stays. None is any.

        Returns
        -------
        {"ours", "done", "failed", "busy"}
            "ours": run it; "done", "failed": it was run; "busy": another run has it in hand.
        """
        key = cell.key
        with self._lock:
            self._register()
            with self._writing():
                found = self._db.execute(
                    "SELECT reason, run, finished FROM cells WHERE key = ?", (key,)
                ).fetchone()
                if found is not None and found[0] is None:
                    return "done"
                if found is not None and not (
                    retry_failed and (known is None or (known.run, known.finished) == found[1:])
                ):
                    return "failed"
                owner = self._db.execute("SELECT run FROM claims WHERE key = ?", (key,)).fetchone()
                if owner is not None and owner[0] != self._run and self._is_alive(owner[0]):
                    return "busy"
                self._db.execute("INSERT OR REPLACE INTO claims VALUES (?, ?)", (key, self._run))
                return "ours"

    def release(self, cell: Cell) -> None:
        """Give back a cell that was claimed and will not be run."""
        with self._lock, self._writing():
            self._db.execute("DELETE FROM claims WHERE key = ? AND run = ?", (cell.key, self._run))

    def record(self, result: Outcome | Failure) -> None:
        """Write what a cell came to."""
        with self._lock:
            self._register()
            with self._writing():
                self._insert("INSERT OR REPLACE", Record(result, self._run, time.time()))
                self._db.execute("DELETE FROM claims WHERE key = ?", (result.cell.key,))

    def add(self, results: Results) -> int:
        """Take over cells that were run elsewhere; those that are here already stay as they are.

        Parameters
        ----------
        results : Results
            Such as :func:`read_results` gives.

        Returns
        -------
        int
            How many were new.
        """
        with self._lock, self._writing():
            before = self._db.total_changes
            for record in results.records.values():
                self._insert("INSERT OR IGNORE", record)
            n_new = self._db.total_changes - before
            for run, about in results.runs.items():
                told = {name: value for name, value in about.items() if name != "started"}
                self._db.execute(
                    "INSERT OR IGNORE INTO runs VALUES (?, ?, ?)",
                    (run, about["started"], json.dumps(told)),
                )
            return n_new

    def results(self) -> Results:
        """Read everything."""
        names = ", ".join(_COLUMNS)
        # One transaction: each cell's run is among the runs.
        with self._lock, self._transaction("DEFERRED"):
            rows = self._db.execute(f"SELECT {names} FROM cells ORDER BY key").fetchall()
            runs = self._db.execute("SELECT run, started, machine FROM runs").fetchall()
        return _as_results(
            (dict(zip(_COLUMNS, row, strict=True)) for row in rows),
            {run: {"started": started, **json.loads(told)} for run, started, told in runs},
        )

    def _insert(self, how: str, record: Record) -> None:
        row = _as_row(record)
        marks = ", ".join("?" * (len(row) + 1))
        key = record.result.cell.key
        self._db.execute(
            f"{how} INTO cells (key, {', '.join(row)}) VALUES ({marks})", (key, *row.values())
        )

    def _check(self, create: bool) -> None:
        # One transaction: another process may be making it at this moment.
        with self._transaction("DEFERRED"):
            (application,) = self._db.execute("PRAGMA application_id").fetchone()
            (version,) = self._db.execute("PRAGMA user_version").fetchone()
            (n_tables,) = self._db.execute("SELECT count(*) FROM sqlite_master").fetchone()
        if application == _APPLICATION:
            _check_layout(self.path, version)
            return
        if application or n_tables or not create:
            raise ValueError(f"{str(self.path)!r} is an SQLite file, but no store of nngmix.")
        with self._writing():
            for statement in _SCHEMA.split(";"):
                self._db.execute(statement)
            self._db.execute(f"PRAGMA application_id = {_APPLICATION}")
            self._db.execute(f"PRAGMA user_version = {_VERSION}")

    def _register(self) -> None:
        """Make this run known, and hold a lock for as long as the process lives."""
        if self._alive is not None:
            return
        machine = json.dumps(describe_machine())
        # Not of the thread that happens to claim first: another one closes.
        alive = FileLock(self._lock_path(self._run), thread_local=False)
        try:
            with self._told():
                self._set_pace()
            # Others look at locks in transactions only: they see both this one's or neither.
            with self._writing():
                alive.acquire(timeout=0)
                self._clear_up()
                self._db.execute(
                    "INSERT OR IGNORE INTO runs VALUES (?, ?, ?)", (self._run, time.time(), machine)
                )
        except BaseException:
            alive.release()
            _remove(self._lock_path(self._run))
            raise
        self._alive = alive

    def _set_pace(self) -> None:
        """Write a log, where the file system allows that: it needs no wait for the disk.

        A process that dies loses nothing by it; a machine that does may lose its last cells.
        """
        with contextlib.suppress(sqlite3.OperationalError):
            (mode,) = self._db.execute("PRAGMA journal_mode = WAL").fetchone()
            if mode == "wal":
                self._db.execute("PRAGMA synchronous = NORMAL")

    def _clear_up(self) -> None:
        """Forget what dead runs have left."""
        prefix, suffix = self._lock_path("*").name.split("*")
        left = {run for (run,) in self._db.execute("SELECT DISTINCT run FROM claims")}
        for path in self._place.parent.iterdir():
            if path.name.startswith(prefix) and path.name.endswith(suffix):
                left.add(path.name[len(prefix) : -len(suffix)])
        for run in left - {self._run}:
            if not self._is_alive(run):
                self._db.execute("DELETE FROM claims WHERE run = ?", (run,))

    def _lock_path(self, run: str) -> Path:
        return self._place.with_name(f"{self._place.name}-run-{run}.lock")

    def _is_alive(self, run: str) -> bool:
        path = self._lock_path(run)
        if not path.exists():
            return False
        # The system takes the lock from a process that dies, however it does.
        lock = FileLock(path)
        try:
            lock.acquire(timeout=0)
        except Timeout:
            return True
        lock.release()
        _remove(path)
        return False

    def _writing(self) -> contextlib.AbstractContextManager[None]:
        return self._transaction("IMMEDIATE")

    @contextlib.contextmanager
    def _transaction(self, kind: str) -> Iterator[None]:
        """Make what happens inside one transaction."""
        with self._told():
            self._db.execute(f"BEGIN {kind}")
            try:
                yield
                self._db.execute("COMMIT")
            except BaseException:
                # A full disk may have rolled back already.
                if self._db.in_transaction:
                    with contextlib.suppress(sqlite3.Error):
                        self._db.execute("ROLLBACK")
                raise

    @contextlib.contextmanager
    def _told(self) -> Iterator[None]:
        try:
            yield
        except (sqlite3.Error, OSError) as error:
            text = str(error)
            if "not a database" in text:
                raise ValueError(f"{str(self.path)!r} is no store of nngmix: {text}.") from error
            if "malformed" in text:
                raise StoreError(f"the store {str(self.path)!r} is damaged: {text}.") from error
            # A limit on the size of files comes back as an error of the disk.
            hint = " (is the disk full?)" if "I/O" in text else ""
            raise StoreError(
                f"the store {str(self.path)!r}: {text}{hint}. What it holds is intact; the next "
                "start goes on from there."
            ) from error


def _check_layout(path: Path, version: int) -> None:
    if version > _VERSION:
        raise ValueError(
            f"{str(path)!r} was written by a newer nngmix: its layout is {version}, and this one "
            f"knows {_VERSION}."
        )


def _remove(path: Path) -> None:
    # Where others look at it right now, Windows keeps it: the next run takes it away.
    with contextlib.suppress(OSError):
        path.unlink()


def read_results(path: str | os.PathLike[str]) -> Results:
    """Read the cells of a store, or of a Parquet file made from one.

    A store may be in use: what is finished so far is read.

    Parameters
    ----------
    path : str or path
        The file.

    Returns
    -------
    Results

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ValueError
        If it is neither.
    StoreError
        If the store can't be read.
    """
    path = Path(path)
    with path.open("rb") as file:
        start = file.read(4)
    if start == b"PAR1":
        return _read_parquet(path)
    if not start:
        # A run that was killed as it made the store.
        return Results({}, {})
    with Store(path, create=False) as store:
        return store.results()


def write_parquet(results: Results, path: str | os.PathLike[str]) -> None:
    """Write the cells as a compact Parquet file, in an order that doesn't hang on the run's.

    Parameters
    ----------
    results : Results
        What to write.
    path : str or path
        Where; the file is replaced only when it is complete.
    """
    rows = sorted(map(_as_row, results.records.values()), key=lambda row: list(row.values())[:10])
    types = {"TEXT": pa.string(), "INTEGER": pa.int64(), "REAL": pa.float64()}
    schema = pa.schema([(name, types[kind.split()[0]]) for name, kind in _COLUMNS.items()])
    used = {row["run"] for row in rows}
    runs = {run: about for run, about in sorted(results.runs.items()) if run in used}
    metadata = {"nngmix_layout": str(_VERSION), "nngmix_runs": json.dumps(runs)}
    table = pa.Table.from_pylist(rows, schema.with_metadata(metadata))
    with replacing(Path(path)) as beside:
        pq.write_table(table, beside, compression="zstd", compression_level=19)


def _read_parquet(path: Path) -> Results:
    try:
        table = pq.read_table(path)
    except (pa.ArrowException, OSError) as error:
        raise ValueError(f"{str(path)!r} can't be read as Parquet: {error}") from None
    metadata = table.schema.metadata or {}
    if b"nngmix_runs" not in metadata or not set(_COLUMNS) <= set(table.column_names):
        raise ValueError(f"{str(path)!r} is a Parquet file, but not one of nngmix's cells.")
    _check_layout(path, int(metadata.get(b"nngmix_layout", 1)))
    return _as_results(table.to_pylist(), json.loads(metadata[b"nngmix_runs"]))


def _as_row(record: Record) -> dict[str, Any]:
    result = record.result
    row = dataclasses.asdict(result.cell)
    for name in ("sampler_settings", "detector_settings"):
        row[name] = json.dumps(dict(row[name]))
    row |= dict.fromkeys(_RESULT_COLUMNS)
    if isinstance(result, Outcome):
        row |= {
            "aucroc": result.aucroc,
            "aucpr": result.aucpr,
            "cpu_seconds": result.cpu_seconds,
            "peak_bytes": result.peak_bytes,
        }
    else:
        row["reason"] = result.reason
    row |= {"seconds": result.seconds, "run": record.run, "finished": record.finished}
    # SQLite has no NaN.
    return {name: None if row[name] != row[name] else row[name] for name in _COLUMNS}


def _as_results(rows: Iterable[dict[str, Any]], runs: dict[str, dict[str, Any]]) -> Results:
    records = {}
    for row in rows:
        fields = {name: row[name] for name in _CELL_COLUMNS}
        for name in ("sampler_settings", "detector_settings"):
            fields[name] = json.loads(fields[name])
        cell = Cell(**fields)
        result: Outcome | Failure
        if row["reason"] is None:
            aucroc, aucpr, cpu_seconds = (
                math.nan if row[name] is None else row[name]
                for name in ("aucroc", "aucpr", "cpu_seconds")
            )
            result = Outcome(cell, aucroc, aucpr, row["seconds"], cpu_seconds, row["peak_bytes"])
        else:
            result = Failure(cell, row["reason"], row["seconds"])
        records[cell] = Record(result, row["run"], row["finished"])
    return Results(records, runs)
