"""Tables in many files, larger than memory; interruptions and what comes after."""

import os
import random
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from nngmix import NNGMix
from nngmix.cli import augment as augment_module

Run = Callable[..., Any]
READ = {".csv": pd.read_csv, ".parquet": pd.read_parquet}
COMMAND = (sys.executable, "-c", "from nngmix.cli import main; main()")


def make(n: int, *, seed: int = 0, width: int = 3, every: int = 40) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    columns = {f"c{i}": rng.normal(size=n).astype("float32") for i in range(width)}
    columns["visits"] = rng.integers(0, 9, n)
    columns["y"] = (np.arange(n) % every == 3).astype(int)
    return pd.DataFrame(columns)


def write(frame: pd.DataFrame, path: Path, **settings: Any) -> None:
    if path.suffix == ".csv":
        frame.to_csv(path, index=False)
    else:
        frame.to_parquet(path, index=False, **settings)


@pytest.fixture
def parts(tmp_path: Path) -> list[pd.DataFrame]:
    """One table, and the same in ``rows`` in three pieces, as CSV and as Parquet files."""
    frame = make(300)
    pieces = [frame[:100], frame[100:110], frame[110:]]
    for kind in ("csv", "parquet"):
        (tmp_path / kind).mkdir()
        write(frame, tmp_path / f"whole.{kind}")
        for i, piece in enumerate(pieces):
            write(piece, tmp_path / kind / f"part-{i}.{kind}")
    return pieces


class TestManyFiles:
    @pytest.mark.parametrize("kind_out", ["csv", "parquet"])
    @pytest.mark.parametrize("kind", ["csv", "parquet"])
    @pytest.mark.parametrize("only_new", [False, True])
    def test_files_are_one_table(
        self, nngmix: Run, parts, tmp_path: Path, kind: str, kind_out: str, only_new: bool
    ) -> None:
        flags = ("--label", "y", "--only-new") if only_new else ("--label", "y")
        whole = tmp_path / f"expected.{kind_out}"
        assert nngmix("augment", tmp_path / f"whole.{kind}", *flags, "--output", whole).code == 0
        folder = tmp_path / kind
        (folder / f".hidden.{kind}").write_text("no table")
        (folder / f"_hidden.{kind}").write_text("no table")
        for i, inputs in enumerate(
            [
                [folder],
                [folder / f"part-*.{kind}"],
                [folder / f"part-{i}.{kind}" for i in range(3)],
                [folder / f"part-[01].{kind}", folder / f"part-2.{kind}"],
            ]
        ):
            output = tmp_path / f"out{i}.{kind_out}"
            result = nngmix("augment", *inputs, *flags, "--output", output)
            assert (result.code, result.err) == (0, "")
            assert "(3 files): 300 rows, 8 of them labelled anomalies" in result.out
            pd.testing.assert_frame_equal(READ[f".{kind_out}"](output), READ[whole.suffix](whole))
            if kind_out == "csv":
                assert output.read_bytes() == whole.read_bytes()

    def test_the_order_is_that_of_the_arguments(self, nngmix: Run, parts, tmp_path: Path) -> None:
        output = tmp_path / "out.parquet"
        inputs = [tmp_path / "parquet" / f"part-{i}.parquet" for i in (2, 0, 1)]
        assert nngmix("augment", *inputs, "--label", "y", "--output", output).code == 0
        expected = pd.concat([parts[i] for i in (2, 0, 1)], ignore_index=True)
        pd.testing.assert_frame_equal(pd.read_parquet(output)[:300], expected)

    def test_columns_in_another_order(self, nngmix: Run, parts, tmp_path: Path) -> None:
        output = tmp_path / "out.csv"
        turned = pd.read_csv(tmp_path / "csv" / "part-1.csv", dtype=str, keep_default_na=False)
        turned.iloc[:, ::-1].to_csv(tmp_path / "csv" / "part-1.csv", index=False)
        args = ("--label", "y", "--output", output)
        assert nngmix("augment", tmp_path / "csv", *args).code == 0
        old = pd.read_csv(output)[:300]
        expected = pd.concat(parts, ignore_index=True)
        pd.testing.assert_frame_equal(old, expected, check_dtype=False)

    def test_rows_of_csv_files_stay_to_the_byte(self, nngmix: Run, tmp_path: Path) -> None:
        header = b'"a\nname",id,y\n'
        texts = [
            b"\xef\xbb\xbf" + header + b"1.50,007,0\n2e0,008,1",
            header + b'3,"x\ny",0\r\n4,,0\n',
            header,
            header + b"5,,0",
        ]
        for i, text in enumerate(texts):
            (tmp_path / f"{i}.csv").write_bytes(text)
        output = tmp_path / "out.csv"
        inputs = [tmp_path / f"{i}.csv" for i in range(len(texts))]
        result = nngmix(
            "augment", *inputs, "--label", "y", "--exclude", "id", "--output", output,
            "--sampler", "duplicate", "--multiplier", "2",
        )  # fmt: skip
        assert (result.code, result.err) == (0, "")
        assert output.read_bytes() == (texts[0] + b'\n3,"x\ny",0\r\n4,,0\n5,,0\n' + b"2.0,,1\n" * 2)

    def test_index_counts_on_after_all_files(self, nngmix: Run, tmp_path: Path) -> None:
        frame = make(80).sample(frac=1, random_state=0)
        for kind in ("csv", "parquet"):
            for name, piece in (("a", frame[40:]), ("b", frame[:40])):
                if kind == "csv":
                    piece.to_csv(tmp_path / f"{name}.csv")
                else:
                    piece.rename_axis("row").to_parquet(tmp_path / f"{name}.parquet")
            output = tmp_path / f"out-{kind}.parquet"
            inputs = [tmp_path / f"{name}.{kind}" for name in "ab"]
            result = nngmix("augment", *inputs, "--label", "y", "--output", output)
            assert "(counts on in new rows)" in result.out
            after = pd.read_parquet(output)
            numbers = after[""] if kind == "csv" else after.index
            assert list(numbers) == [*frame.index[40:], *frame.index[:40], *range(80, 100)]

    def test_a_range_in_the_metadata_counts_all_rows(self, nngmix: Run, tmp_path: Path) -> None:
        frame = make(90)
        for i in range(3):
            frame[30 * i : 30 * i + 30].reset_index(drop=True).to_parquet(tmp_path / f"{i}.parquet")
        output = tmp_path / "out.parquet"
        result = nngmix("augment", tmp_path / "[0-9].parquet", "--label", "y", "--output", output)
        assert (result.code, result.err) == (0, "")
        after = pd.read_parquet(output)
        pd.testing.assert_frame_equal(after[:90], frame)
        assert list(after.index) == list(range(len(after)))

    def test_categories_of_all_files(self, nngmix: Run, tmp_path: Path) -> None:
        frame = make(80)
        frame["kind"] = np.where(frame.index < 40, "a", "b")
        frame["place"] = np.where(frame.index < 40, "x", "z")
        for i, piece in enumerate([frame[:40], frame[40:]]):
            piece = piece.astype({"kind": "category", "place": "category"})
            piece.to_parquet(tmp_path / f"{i}.parquet", index=False)
        output = tmp_path / "out.parquet"
        result = nngmix(
            "augment", tmp_path / "[01].parquet", "--label", "y", "--output", output,
            "--exclude", "place",
        )  # fmt: skip
        assert (result.code, result.err) == (0, "")
        after = pd.read_parquet(output)
        for name in ("kind", "place"):
            assert after[name].dtype == "category"
            assert list(after[name][:80]) == list(frame[name])
        assert set(after["kind"][80:]) <= {"a", "b"}
        assert after["place"][80:].isna().all()

    def test_type_that_shows_in_a_later_file(self, nngmix: Run, tmp_path: Path) -> None:
        (tmp_path / "a.csv").write_text("n,id,y\n1,,0\n2,,1\n")
        (tmp_path / "b.csv").write_text("n,id,y\n3.5,x,0\n,7,0\n")
        output = tmp_path / "out.parquet"
        inputs = (tmp_path / "a.csv", tmp_path / "b.csv")
        settings = ("--label", "y", "--exclude", "id", "--sampler", "duplicate")
        assert nngmix("augment", *inputs, *settings, "--output", output).code == 0
        schema = pq.read_schema(output)
        assert (schema.field("n").type, schema.field("id").type) == (pa.float64(), pa.string())

    def test_refusals(self, nngmix: Run, parts, tmp_path: Path) -> None:
        folder, output = tmp_path / "csv", tmp_path / "out.csv"
        (tmp_path / "empty").mkdir()
        (tmp_path / "other.csv").write_text("a,y\n1,0\n")
        (tmp_path / "text.csv").write_text((folder / "part-0.csv").read_text() + "x,1,1,1,0\n")
        before = sorted(os.listdir(tmp_path))
        for inputs, place, told in [
            ([folder, tmp_path / "parquet"], output, ["two kinds"]),
            ([folder, folder / "part-0.csv"], output, ["part-0.csv", "2 times"]),
            ([folder, tmp_path / "other.csv"], output, ["other.csv", "no column 'c0'"]),
            ([tmp_path / "none*.csv"], output, ["match", "none*.csv"]),
            ([tmp_path / "none.csv", folder], output, ["no file", "none.csv"]),
            ([tmp_path / "empty"], output, ["empty", "has no files"]),
            ([folder], folder / "part-1.csv", ["--output", "part-1.csv", "is the input"]),
            ([folder, tmp_path / "text.csv"], output, ["'c0'", "text", "--exclude"]),
        ]:
            result = nngmix("augment", *inputs, "--label", "y", "--output", place, "--force")
            assert result.code == 2, told
            assert result.out == ""
            assert result.err.count("\n") == 1
            for words in told:
                assert words in result.err
        assert sorted(os.listdir(tmp_path)) == before
        pd.testing.assert_frame_equal(
            pd.read_csv(folder / "part-1.csv"), parts[1].reset_index(drop=True), check_dtype=False
        )


class TestPieces:
    @pytest.mark.parametrize("ending", [".csv", ".parquet"])
    @pytest.mark.parametrize("sampler", ["NNGMix", "Duplicate", "Cutout+GaussianNoise"])
    def test_pieces_make_no_difference(
        self, nngmix: Run, tmp_path: Path, monkeypatch, ending: str, sampler: str
    ) -> None:
        frame = make(200)
        frame["kind"] = pd.Categorical(np.where(frame.index % 3, "a", "b"))
        frame.loc[::7, "c1"] = np.nan
        frame.rename_axis("row").to_parquet(tmp_path / "in.parquet")
        args = ("augment", tmp_path / "in.parquet", "--label", "y", "--sampler", sampler)
        outputs = [tmp_path / f"{i}{ending}" for i in range(2)]
        assert nngmix(*args, "--output", outputs[0]).code == 0
        monkeypatch.setattr(augment_module, "_PIECE_CELLS", 50)
        assert nngmix(*args, "--output", outputs[1]).code == 0
        one, two = (READ[ending](output) for output in outputs)
        pd.testing.assert_frame_equal(one, two)
        assert len(one) == 200 + 50
        if ending == ".parquet":
            assert pq.ParquetFile(outputs[1]).num_row_groups > 5

    def test_rows_are_those_of_the_library(self, nngmix: Run, tmp_path: Path) -> None:
        frame = make(200)
        write(frame, tmp_path / "in.parquet")
        args = ("augment", tmp_path / "in.parquet", "--label", "y", "--only-new", "--output")
        assert nngmix(*args, tmp_path / "out.parquet", "--random-state", 4).code == 0
        X = frame.drop(columns="y")
        expected = NNGMix(random_state=4).fit_resample(X, frame["y"])[0][200:]
        after = pd.read_parquet(tmp_path / "out.parquet").drop(columns="y")
        pd.testing.assert_frame_equal(after, expected.reset_index(drop=True))

    def test_a_picture_of_many_rows(self, nngmix: Run, tmp_path: Path, monkeypatch) -> None:
        write(make(3000, every=30), tmp_path / "in.parquet")
        monkeypatch.setattr(augment_module, "_DRAWN", 60)
        seen = {}
        drawn = augment_module._coordinates

        def coordinates(X: pa.Table, generated: pa.Table, categorical: Any) -> Any:
            seen["old"], seen["new"] = len(X), len(generated)
            return drawn(X, generated, categorical)

        monkeypatch.setattr(augment_module, "_coordinates", coordinates)
        args = ("augment", tmp_path / "in.parquet", "--label", "y", "--exclude", "c0")
        picture = tmp_path / "p.png"
        result = nngmix(*args, "--output", tmp_path / "out.parquet", "--plot", picture)
        assert (result.code, result.err) == (0, "")
        assert picture.stat().st_size > 0
        assert seen["new"] == 60
        assert 80 < seen["old"] < 160  # 60 of each kind, more or less

    def test_progress_on_a_terminal(self, tmp_path: Path) -> None:
        pty = pytest.importorskip("pty")
        write(make(2000), tmp_path / "in.parquet")
        ours, theirs = pty.openpty()
        process = subprocess.Popen(
            [*COMMAND, "augment", tmp_path / "in.parquet", "--label", "y", "--output", "out.csv"],
            cwd=tmp_path,
            stdout=subprocess.PIPE,
            stderr=theirs,
            env={**os.environ, "COLUMNS": "120", "TERM": "xterm"},
        )
        os.close(theirs)
        shown = b""
        while True:
            try:
                more = os.read(ours, 4096)
            except OSError:  # how Linux tells the end of a terminal
                break
            if not more:
                break
            shown += more
        os.close(ours)
        out, _ = process.communicate(timeout=60)
        assert process.returncode == 0
        assert b"2,000 rows" in out
        text = re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", shown.decode())
        # Which of the steps are seen is a matter of time: a terminal is drawn ten times a second.
        assert re.search(r"(reading|searching|writing) 0\.0 of 0\.0 M rows", text)


class TestKill:
    """Killed at any moment, a run leaves nothing or all; the next one completes."""

    def start(self, folder: Path, output: Path, multiplier: int) -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            [
                *(*COMMAND, "augment", folder / "rows", "--label", "y", "--output", output),
                *("--multiplier", str(multiplier)),
            ],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )

    def check(self, folder: Path, ending: str, *, n_kills: int, size: int, multiplier: int) -> None:
        (folder / "rows").mkdir()
        for i in range(2):
            write(make(size, seed=i, width=12, every=50), folder / "rows" / f"{i}.parquet")
        expected, output = folder / f"expected{ending}", folder / f"out{ending}"
        begun = time.monotonic()
        process = self.start(folder, expected, multiplier)
        assert process.wait(timeout=300) == 0
        took = time.monotonic() - begun
        moments = random.Random(0)
        unfinished = 0
        for turn in range(n_kills):
            process = self.start(folder, output, multiplier)
            if turn % 2:  # half of them while it writes
                while process.poll() is None and not list(folder.glob(".nngmix-*")):
                    time.sleep(0.001)
                time.sleep(moments.random() * 0.1)
            else:
                time.sleep(moments.random() * took)
            process.kill()
            finished = process.wait(timeout=60) != -signal.SIGKILL
            assert output.exists() or not finished
            unfinished += bool(list(folder.glob(".nngmix-*")))
            if output.exists():
                assert output.read_bytes() == expected.read_bytes()
                output.unlink()
        assert unfinished, "no run was killed in the midst of its output"
        process = self.start(folder, output, multiplier)
        assert process.wait(timeout=300) == 0
        assert output.read_bytes() == expected.read_bytes()
        assert sorted(os.listdir(folder)) == sorted(["rows", expected.name, output.name])

    @pytest.mark.slow
    def test_twice(self, tmp_path: Path) -> None:
        self.check(tmp_path, ".parquet", n_kills=2, size=20_000, multiplier=1500)

    @pytest.mark.slow
    @pytest.mark.parametrize(("ending", "multiplier"), [(".csv", 100), (".parquet", 1000)])
    def test_ten_times(self, tmp_path: Path, ending: str, multiplier: int) -> None:
        self.check(tmp_path, ending, n_kills=10, size=100_000, multiplier=multiplier)


MEASURED = """
import atexit, re
from nngmix.cli import main
status = "/proc/self/status"
atexit.register(lambda: print("peak", re.search(r"VmHWM:\\s+(\\d+)", open(status).read())[1]))
main()
"""


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="reads the peak from /proc")
@pytest.mark.parametrize("kind", ["csv", "parquet"])
def test_memory_is_bounded(tmp_path: Path, kind: str) -> None:
    # 4 files, 2.4 million rows of 32 columns, and as many new ones: 600 MB in and out, in
    # single precision. Half of it as CSV, whose text is larger.
    n = 150_000 if kind == "csv" else 600_000
    (tmp_path / "rows").mkdir()
    for i in range(4):
        piece = make(n, seed=i, width=31, every=n // 10)
        if kind == "csv":
            pa.csv.write_csv(pa.Table.from_pandas(piece), tmp_path / "rows" / f"{i}.csv")
        else:
            write(piece, tmp_path / "rows" / f"{i}.parquet", row_group_size=n)
    args = ["augment", tmp_path / "rows", "--label", "y", "--multiplier", str(n // 10)]
    done = subprocess.run(
        [sys.executable, "-c", MEASURED, *args, "--output", tmp_path / f"out.{kind}"],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    peak = int(done.stdout.split()[-1]) * 1024
    assert peak < 9e8
    if kind == "parquet":
        footer = pq.read_metadata(tmp_path / "out.parquet")
        assert footer.num_rows == 8 * n
        assert max(footer.row_group(i).num_rows for i in range(footer.num_row_groups)) < n
