"""The store: what is claimed, what is kept, and what is no store."""

import contextlib
import dataclasses
import math
import os
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from nngmix.experiments import Cell, Failure, Outcome, Results, Store, read_results, write_parquet
from nngmix.experiments.store import StoreError

CELLS = [Cell("wine", "none", "MLP", seed=seed) for seed in range(20)]
CELL, OTHER, *_ = CELLS


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "cells.sqlite"


@pytest.fixture
def store(path: Path) -> Iterator[Store]:
    with Store(path) as store:
        yield store


def outcome(cell: Cell, aucroc: float = 0.75) -> Outcome:
    return Outcome(cell, aucroc, 0.5, 1.5, 1.25, 10**10)


def files(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


class TestClaims:
    def test_each_cell_is_for_one_run(self, store: Store, path: Path) -> None:
        with Store(path) as other:
            assert store.claim(CELL) == "ours"
            assert other.claim(CELL) == "busy"
            assert other.claim(OTHER) == "ours"
            assert store.claim(OTHER) == "busy"
            # Its own, it may have again: it was interrupted, perhaps.
            assert store.claim(CELL) == "ours"

    def test_what_is_finished_is_not_run_again(self, store: Store, path: Path) -> None:
        store.record(outcome(CELL))
        store.record(Failure(OTHER, "no luck", 1.0))
        with Store(path) as other:
            assert other.claim(CELL) == "done"
            assert other.claim(CELL, retry_failed=True) == "done"
            assert other.claim(OTHER) == "failed"
            assert other.claim(OTHER, retry_failed=True) == "ours"
            assert store.claim(OTHER, retry_failed=True) == "busy"

    def test_a_failure_is_retried_once(self, store: Store) -> None:
        store.record(Failure(CELL, "no luck", 1.0))
        known = store.results().records[CELL]
        assert store.claim(CELL, retry_failed=True, known=known) == "ours"
        store.record(Failure(CELL, "no luck again", 1.0))
        assert store.claim(CELL, retry_failed=True, known=known) == "failed"

    def test_given_back(self, store: Store, path: Path) -> None:
        with Store(path) as other:
            store.claim(CELL)
            store.release(CELL)
            assert other.claim(CELL) == "ours"
            # It is another's by now.
            store.release(CELL)
            assert store.claim(CELL) == "busy"

    def test_closing_gives_back_whichever_thread_claimed(self, path: Path) -> None:
        with Store(path) as store, Store(path) as other:
            thread = threading.Thread(target=store.claim, args=(CELL,))
            thread.start()
            thread.join()
            assert other.claim(CELL) == "busy"
            store.close()
            assert other.claim(CELL) == "ours"
        assert files(path.parent) == [path.name]

    def test_by_way_of_a_link(self, store: Store, path: Path, tmp_path: Path) -> None:
        folder = tmp_path / "elsewhere"
        folder.mkdir()
        link = folder / "link.sqlite"
        link.symlink_to(path)
        store.claim(CELL)
        with Store(link) as other:
            assert other.claim(CELL) == "busy"

    def test_from_another_folder(
        self, path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.chdir(tmp_path)
        with Store(path.name) as store, Store(path) as other:
            (tmp_path / "elsewhere").mkdir()
            monkeypatch.chdir(tmp_path / "elsewhere")
            store.claim(CELL)
            assert other.claim(CELL) == "busy"
            assert files(tmp_path / "elsewhere") == []

    def test_the_dead_leave_nothing(self, path: Path) -> None:
        script = (
            "import sys\n"
            "from nngmix.experiments import Cell, Store\n"
            "store = Store(sys.argv[1])\n"
            "for seed in map(int, sys.argv[2:]):\n"
            "    store.claim(Cell('wine', 'none', 'MLP', seed=seed))\n"
            "print('ready', flush=True)\n"
            "input()\n"
        )
        claims, nothing = (
            subprocess.Popen(
                [sys.executable, "-c", script, str(path), *seeds],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
            )
            for seeds in (("0", "1"), ("2",))
        )
        with claims, nothing, Store(path) as store:
            for process in (claims, nothing):
                assert process.stdout is not None
                assert process.stdout.readline() == b"ready\n"
            assert [store.claim(cell) for cell in CELLS[:4]] == ["busy"] * 3 + ["ours"]
            claims.kill()
            claims.wait()
            assert [store.claim(cell) for cell in CELLS[:4]] == ["ours", "ours", "busy", "ours"]
            nothing.kill()
            nothing.wait()
        # Nobody asked for its cell; what it left is cleared up all the same.
        assert files(path.parent) == [path.name]
        with contextlib.closing(sqlite3.connect(path)) as db:
            assert db.execute("SELECT count(*) FROM claims").fetchone() == (0,)

    def test_threads_may_share_it(self, store: Store, path: Path) -> None:
        def work(own: Store) -> int:
            won = [cell for cell in CELLS if own.claim(cell) == "ours"]
            for cell in won:
                own.record(outcome(cell))
            return len(won)

        with contextlib.ExitStack() as stack, ThreadPoolExecutor(8) as pool:
            stores = [stack.enter_context(Store(path)) for _ in range(8)]
            assert sum(pool.map(work, stores)) == len(CELLS)
        assert len(store.results().outcomes) == len(CELLS)

    def test_made_by_many_at_once(self, tmp_path: Path) -> None:
        barrier = threading.Barrier(8)

        def make(path: Path) -> str:
            barrier.wait()
            with Store(path) as store:
                return store.claim(CELL)

        with ThreadPoolExecutor(8) as pool:
            for i in range(10):
                claims = list(pool.map(make, [tmp_path / f"{i}.sqlite"] * 8))
                assert claims.count("ours") + claims.count("busy") == 8
        assert len(files(tmp_path)) == 10


class TestResults:
    SETTINGS = dataclasses.replace(
        CELL,
        sampler="NNGMix",
        multiplier=5,
        sampler_settings={"sigma": 0.1, "n_neighbors": None},
        detector_settings={"class_weight": "bälanced", "early_stopping": True, "alpha": 1e-300},
    )

    @pytest.fixture
    def results(self, store: Store) -> Results:
        store.record(outcome(CELL, 1 / 3))
        store.record(outcome(self.SETTINGS))
        store.record(Failure(OTHER, "ValueError: «no» luck", 0.125))
        # From elsewhere: without all there is to measure.
        store.record(Outcome(CELLS[2], 0.5, math.nan, 1.0))
        return store.results()

    def test_all_is_kept(self, results: Results) -> None:
        assert results.outcome(CELL) == outcome(CELL, 1 / 3)
        assert results.outcome(self.SETTINGS) == outcome(self.SETTINGS)
        assert results.failure(OTHER) == Failure(OTHER, "ValueError: «no» luck", 0.125)
        assert results.outcome(OTHER) is results.failure(CELL) is results.outcome(CELLS[3]) is None
        assert {o.cell for o in results.outcomes} == {CELL, self.SETTINGS, CELLS[2]}
        assert [f.cell for f in results.failures] == [OTHER]
        partial = results.outcome(CELLS[2])
        assert partial is not None
        assert math.isnan(partial.aucpr)
        assert math.isnan(partial.cpu_seconds)
        assert partial.peak_bytes is None
        (run,) = {record.run for record in results.records.values()}
        about = results.runs[run]
        assert about["cores"] >= 1
        assert "scikit-learn" in about["packages"]
        finished = [record.finished for record in results.records.values()]
        assert about["started"] <= min(finished)

    def test_through_parquet(self, results: Results, path: Path, tmp_path: Path) -> None:
        write_parquet(results, tmp_path / "cells.parquet")
        assert read_results(tmp_path / "cells.parquet") == results == read_results(path)

    def test_the_file_does_not_depend_on_the_order(self, results: Results, tmp_path: Path) -> None:
        turned = Results(dict(reversed(results.records.items())), results.runs)
        write_parquet(results, tmp_path / "one.parquet")
        write_parquet(turned, tmp_path / "two.parquet")
        one, two = ((tmp_path / f"{name}.parquet").read_bytes() for name in ("one", "two"))
        assert one == two

    def test_merged(self, results: Results, tmp_path: Path) -> None:
        with Store(tmp_path / "other.sqlite") as other:
            other.record(outcome(CELL, 0.1))
            other.record(outcome(CELLS[5]))
            assert other.add(results) == len(results.records) - 1
            assert other.add(results) == 0
            merged = other.results()
            assert merged.outcome(CELL) == outcome(CELL, 0.1)
            assert other.claim(self.SETTINGS) == "done"
        assert {r.run for r in merged.records.values()} == set(merged.runs)
        assert merged.records == results.records | {
            cell: merged.records[cell] for cell in (CELL, CELLS[5])
        }

    def test_empty(self, store: Store, tmp_path: Path) -> None:
        write_parquet(store.results(), tmp_path / "cells.parquet")
        assert read_results(tmp_path / "cells.parquet") == Results({}, {}) == store.results()

    def test_read_while_it_is_written(self, path: Path) -> None:
        with Store(path):
            pass
        ended = threading.Event()

        def write() -> None:
            with Store(path) as store:
                for seed in range(300):
                    store.record(outcome(Cell("wine", "none", "MLP", seed=seed)))
            ended.set()

        thread = threading.Thread(target=write)
        thread.start()
        counts = []
        while not ended.is_set():
            results = read_results(path)
            counts.append(len(results.records))
            assert {record.run for record in results.records.values()} <= set(results.runs)
        thread.join()
        assert counts == sorted(counts)
        assert len(read_results(path).records) == 300

    def test_reading_leaves_no_trace(self, path: Path) -> None:
        with Store(path) as store:
            store.record(outcome(CELL))
        before = path.read_bytes()
        read_results(path)
        assert path.read_bytes() == before
        assert files(path.parent) == [path.name]

    def test_the_last_words_of_a_killed_run_are_read(self, path: Path, tmp_path: Path) -> None:
        with Store(path) as store:
            store.record(outcome(CELL))
            # As the files lie there when it is killed at this moment.
            for name in files(path.parent):
                (tmp_path / f"copy-{name}").write_bytes((path.parent / name).read_bytes())
        assert read_results(tmp_path / f"copy-{path.name}").outcome(CELL) == outcome(CELL)


class TestNoStore:
    @pytest.mark.parametrize("content", [b"dataset,aucroc\nwine,0.9\n" * 100, b"SQLite format 3\0"])
    def test_another_file(self, content: bytes, path: Path) -> None:
        path.write_bytes(content)
        for read in (Store, read_results):
            with pytest.raises(ValueError, match=r"cells\.sqlite' is no store of nngmix"):
                read(path)
        assert path.read_bytes() == content

    def test_an_empty_file_is_a_store_that_was_not_finished(self, path: Path) -> None:
        path.touch()
        assert read_results(path) == Results({}, {})
        assert path.read_bytes() == b""
        with Store(path) as store:
            assert store.results() == Results({}, {})

    def test_another_database(self, path: Path) -> None:
        with contextlib.closing(sqlite3.connect(path)) as db:
            db.execute("CREATE TABLE cells (a)")
        for read in (Store, read_results):
            with pytest.raises(ValueError, match="an SQLite file, but no store of nngmix"):
                read(path)

    def test_a_newer_store(self, path: Path) -> None:
        with Store(path):
            pass
        with contextlib.closing(sqlite3.connect(path)) as db:
            db.execute("PRAGMA user_version = 2")
        for read in (Store, read_results):
            with pytest.raises(ValueError, match=r"a newer nngmix: its layout is 2, .* knows 1"):
                read(path)

    def test_another_parquet_file(self, tmp_path: Path) -> None:
        path = tmp_path / "table.parquet"
        pq.write_table(pa.table({"aucroc": [0.9]}), path)
        with pytest.raises(ValueError, match="a Parquet file, but not one of nngmix's cells"):
            read_results(path)

    def test_half_a_parquet_file(self, store: Store, tmp_path: Path) -> None:
        path = tmp_path / "table.parquet"
        write_parquet(store.results(), path)
        path.write_bytes(path.read_bytes()[:-100])
        with pytest.raises(ValueError, match="can't be read as Parquet"):
            read_results(path)

    def test_a_newer_parquet_file(self, store: Store, tmp_path: Path) -> None:
        path = tmp_path / "table.parquet"
        write_parquet(store.results(), path)
        table = pq.read_table(path)
        metadata = table.schema.metadata | {b"nngmix_layout": b"2"}
        pq.write_table(table.replace_schema_metadata(metadata), path)
        with pytest.raises(ValueError, match=r"a newer nngmix: its layout is 2, .* knows 1"):
            read_results(path)

    def test_nowhere(self, tmp_path: Path) -> None:
        with pytest.raises(StoreError, match=r"nowhere.cells.*there is no folder '.*nowhere'"):
            Store(tmp_path / "nowhere" / "cells.sqlite")
        with pytest.raises(FileNotFoundError, match="nowhere"):
            read_results(tmp_path / "nowhere")
        assert files(tmp_path) == []

    def test_a_folder(self, tmp_path: Path) -> None:
        with pytest.raises(StoreError, match="is a folder; it must be a file"):
            Store(tmp_path)
        with pytest.raises(IsADirectoryError, match=tmp_path.name):
            read_results(tmp_path)

    def test_damaged(self, path: Path) -> None:
        with Store(path) as store:
            for cell in CELLS:
                store.record(outcome(cell))
        content = path.read_bytes()
        path.write_bytes(content[:4096] + b"\xff" * (len(content) - 4096))
        with pytest.raises(StoreError, match=r"cells\.sqlite' is damaged: .* malformed"):
            read_results(path)

    def test_locked_for_good(self, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        with Store(path) as store, contextlib.closing(sqlite3.connect(path)) as other:
            store.record(outcome(CELL))
            store._db.execute("PRAGMA busy_timeout = 10")  # not the minute that it would wait
            other.execute("BEGIN IMMEDIATE")
            with pytest.raises(StoreError, match=r"cells\.sqlite': database is locked"):
                store.record(outcome(OTHER))
            other.rollback()
            store.record(outcome(OTHER))
            assert len(store.results().outcomes) == 2
