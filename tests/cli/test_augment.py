import importlib.metadata
import os
import resource
import signal
import struct
import subprocess
import sys
import tempfile
import textwrap
import time
import xml.etree.ElementTree as ET
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nngmix.cli import augment as augment_module
from nngmix.cli import files
from nngmix.sampling import SAMPLERS

Run = Callable[..., Any]
READ = {".csv": pd.read_csv, ".parquet": pd.read_parquet}
COMMAND = (sys.executable, "-c", "from nngmix.cli import main; main()")


def read(path: Path) -> pd.DataFrame:
    return READ[path.suffix](path)


def listing(folder: Path) -> dict[str, bytes | None]:
    return {path.name: path.read_bytes() if path.is_file() else None for path in folder.iterdir()}


class TestRoundTrip:
    @pytest.mark.parametrize("ending_out", [".csv", ".parquet"])
    @pytest.mark.parametrize("ending_in", [".csv", ".parquet"])
    def test_originals_first_then_new_rows(
        self, nngmix: Run, folder: Path, ending_in: str, ending_out: str
    ) -> None:
        source, output = folder / f"in{ending_in}", folder / f"out{ending_out}"
        result = nngmix("augment", source, "--label", "fraud", "--output", output)
        assert (result.code, result.err) == (0, "")
        before, after = read(source), read(output)
        assert len(before) == 60
        assert len(after) == 60 + 5 * 10
        pd.testing.assert_frame_equal(after[:60], before)
        assert (after["fraud"][60:] == 1).all()
        # New rows are new, and near what was there.
        assert after["weight"][60:].nunique() > 40
        assert after["weight"][60:].between(30, 110).all()

    def test_cells_of_many_lines(
        self, nngmix: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        # However the file falls into blocks, no line inside a cell is taken for a row.
        monkeypatch.setattr(files, "_BLOCK_BYTES", 1 << 10)
        rows = [f'{i},"first line\n1,2,3\nlast line",{i % 50 == 7:d}\n' for i in range(500)]
        source, output = tmp_path / "in.csv", tmp_path / "out.parquet"
        source.write_text("".join(["a,note,y\n", *rows]))
        args = ("augment", source, "--label", "y", "--output", output, "--exclude", "note")
        assert nngmix(*args).code == 0
        assert (pd.read_parquet(output)["note"][:500] == "first line\n1,2,3\nlast line").all()

    @pytest.mark.parametrize("ending", [".csv", ".parquet"])
    def test_real_command(self, folder: Path, ending: str) -> None:
        source, output = folder / f"in{ending}", folder / f"out{ending}"
        done = subprocess.run(
            [*COMMAND, "augment", source, "--label", "fraud", "--output", output],
            capture_output=True,
            text=True,
        )
        assert (done.returncode, done.stderr) == (0, "")
        assert done.stdout.splitlines() == [
            f"in        {source}: 60 rows, 5 of them labelled anomalies",
            "features  3: weight, visits, smoker",
            "new       50 pseudo-anomalies by NNGMix",
            f"out       {output}: 110 rows",
        ]
        assert len(read(output)) == 110

    def test_csv_text_stays_to_the_byte(self, nngmix: Run, tmp_path: Path) -> None:
        text = (
            "id,day,a,b,flag,y,note\n"
            '007,2020-01-01,1.0,1e3,TRUE,0,"two\nlines, one cell"\n'
            '008,01.02.2020,1.50,  2 ,FALSE,0,"say ""hi"""\n'
            "009,,0.10,-3.000,TRUE,1,\n"
        )
        source, output = tmp_path / "in.csv", tmp_path / "out.csv"
        source.write_text(text)
        left_out = ("--exclude", "id", "--exclude", "day", "--exclude", "note")
        result = nngmix("augment", source, "--label", "y", "--output", output, *left_out)
        assert (result.code, result.err) == (0, "")
        assert "left out  id, day, note (empty in new rows)" in result.out
        written = output.read_text()
        assert written.startswith(text)
        new = pd.read_csv(output)[3:]
        assert new[["id", "day", "note"]].isna().all(axis=None)
        assert (new["y"] == 1).all()
        assert pd.read_csv(output)["flag"].dtype == bool
        assert len(written[len(text) :].splitlines()) == 10

    @pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
    @pytest.mark.parametrize("final", [True, False])
    def test_line_ends(self, nngmix: Run, tmp_path: Path, end: str, final: bool) -> None:
        text = end.join(["a,y", "1.5,0", "2.5,1"]) + (end if final else "")
        source = tmp_path / "in.csv"
        source.write_bytes(text.encode())
        for only_new in ((), ("--only-new",)):
            output = tmp_path / f"out{len(only_new)}.csv"
            nngmix("augment", source, "--label", "y", "--output", output, *only_new)
            written = output.read_bytes().decode()
            assert written.startswith("a,y" + end if only_new else text)
            lines = written.split(end)
            assert lines[-1] == ""
            assert len(lines) == 1 + (1 if only_new else 3) + 10
            assert not any("\r" in line or "\n" in line for line in lines)

    def test_byte_order_mark(self, nngmix: Run, tmp_path: Path) -> None:
        source, output = tmp_path / "in.csv", tmp_path / "out.csv"
        text = b"\xef\xbb\xbfy,a\n0,1.5\n1,2.5\n"
        source.write_bytes(text)
        assert nngmix("augment", source, "--label", "y", "--output", output).code == 0
        assert output.read_bytes().startswith(text)
        assert list(pd.read_csv(output).columns) == ["y", "a"]

    def test_numbers_are_written_as_their_type(self, nngmix: Run, tmp_path: Path) -> None:
        # Copies of a whole-valued float, a boolean label and small and large numbers.
        source, output = tmp_path / "in.csv", tmp_path / "out.csv"
        source.write_text("a,b,y\n0.5,1,False\n3.0,1e300,True\n")
        settings = ("--sampler", "Duplicate", "--multiplier", "2", "--only-new")
        nngmix("augment", source, "--label", "y", "--output", output, *settings)
        assert output.read_text() == "a,b,y\n3.0,1e+300,True\n3.0,1e+300,True\n"

    def test_float_label(self, nngmix: Run, tmp_path: Path) -> None:
        source, output = tmp_path / "in.csv", tmp_path / "out.csv"
        source.write_text("a,y\n1,0.0\n2,1.0\n")
        nngmix("augment", source, "--label", "y", "--output", output)
        assert output.read_text().splitlines()[-1].endswith(",1.0")

    def test_type_that_shows_late_in_the_file(
        self, nngmix: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        # Types come from all rows: no first block of the file looks like the last one.
        monkeypatch.setattr(files, "_BLOCK_BYTES", 1 << 10)
        lines = ["1,7,0"] * 2000
        lines[-1] = "1.5,x,1"
        source, output = tmp_path / "in.csv", tmp_path / "out.parquet"
        source.write_text("\n".join(["a,id,y", *lines]))
        exclude = ("--exclude", "id", "--sampler", "duplicate")
        assert nngmix("augment", source, "--label", "y", "--output", output, *exclude).code == 0
        schema = pq.read_schema(output)
        assert (schema.field("a").type, schema.field("id").type) == (pa.float64(), pa.string())

    @pytest.mark.parametrize("only_new", [False, True])
    def test_parquet_keeps_its_schema(self, nngmix: Run, tmp_path: Path, only_new: bool) -> None:
        rng = np.random.default_rng(0)
        n = 40
        before = pd.DataFrame(
            {
                "f4": rng.normal(size=n).astype("float32"),
                "i2": rng.integers(-99, 99, n).astype("int16"),
                "u8": rng.integers(0, 2**60, n).astype("uint64"),
                "flag": rng.random(n) < 0.5,
                "maybe": pd.array(rng.integers(0, 9, n), dtype="Int32"),
                "day": pd.date_range("2020-01-01", periods=n, tz="UTC"),
                "kind": pd.Categorical(rng.choice(list("ab"), n)),
                "text": [f"row {i}" for i in range(n)],
                "y": (np.arange(n) < 4).astype("int8"),
            },
            index=pd.RangeIndex(5, 5 + 2 * n, 2),
        )
        source, output = tmp_path / "in.parquet", tmp_path / "out.parquet"
        before.to_parquet(source, row_group_size=7)
        excluded = [arg for name in ("day", "kind", "text") for arg in ("--exclude", name)]
        flag = ["--only-new"] if only_new else []
        args = ("augment", source, "--label", "y", "--output", output, *excluded, *flag)
        assert nngmix(*args).code == 0
        after = pd.read_parquet(output)
        assert dict(after.dtypes) == dict(before.dtypes)
        old, new = pq.read_schema(source), pq.read_schema(output)
        assert new.equals(old)
        assert new.pandas_metadata["columns"] == old.pandas_metadata["columns"]
        if only_new:
            assert list(after.index) == list(range(5 + 2 * n, 5 + 2 * n + 80, 2))
        else:
            pd.testing.assert_frame_equal(after[:n], before)
            assert list(after.index) == list(range(5, 5 + 2 * (n + 40), 2))
        assert after[["day", "kind", "text"]][-40:].isna().all(axis=None)

    def test_categorical_label(self, nngmix: Run, folder: Path, frame: pd.DataFrame) -> None:
        frame["fraud"] = frame["fraud"].astype("category")
        frame.to_parquet(folder / "in.parquet")
        output = folder / "out.parquet"
        nngmix("augment", folder / "in.parquet", "--label", "fraud", "--output", output)
        after = pd.read_parquet(output)
        assert after["fraud"].dtype == pd.read_parquet(folder / "in.parquet")["fraud"].dtype
        assert (after["fraud"][60:] == 1).all()

    def test_required_columns_may_be_left_out(self, nngmix: Run, tmp_path: Path) -> None:
        # A column that may not be null has to become one that may, and only that one.
        schema = pa.schema(
            [pa.field(name, pa.int64(), nullable=False) for name in ("id", "a", "y")]
        )
        table = pa.table({"id": [1, 2, 3], "a": [4, 5, 6], "y": [0, 0, 1]}, schema=schema)
        source, output = tmp_path / "in.parquet", tmp_path / "out.parquet"
        pq.write_table(table, source)
        exclude = ("--exclude", "id")
        assert nngmix("augment", source, "--label", "y", "--output", output, *exclude).code == 0
        fields = pq.read_schema(output)
        assert [field.nullable for field in fields] == [True, False, False]

    def test_folder_named_like_a_partition(self, nngmix: Run, tmp_path: Path) -> None:
        # A dataset reader would take year=2020 for a column.
        inside = tmp_path / "year=2020"
        inside.mkdir()
        table = pa.table({"a": [1.0, 2.0], "a.b": [3, 4], "y": [0, 1]})
        pq.write_table(table, inside / "in.parquet")
        output = tmp_path / "out.parquet"
        assert nngmix(
            "augment", inside / "in.parquet", "--label", "y", "--output", output,
            "--exclude", "a.b",
        ).code == 0  # fmt: skip
        assert pq.ParquetFile(output).schema_arrow.names == ["a", "a.b", "y"]

    def test_text_from_parquet_to_csv(self, nngmix: Run, tmp_path: Path) -> None:
        text = ["plain", "a,b", 'say "hi"', "two\nlines", None]
        table = pa.table(
            {
                "a": [1.0, 2.5, 3.0, 4.0, 5.0],
                "large": pa.array(text, pa.large_string()),
                "kind": pa.array(text).dictionary_encode(),
                "when": pa.array([0, 1, 2, 3, None], pa.timestamp("s", "UTC")),
                "gap": [0.5, None, float("nan"), 1.0, 2.0],
                "odd, name": [True, False, True, None, True],
                "y": [0, 0, 0, 0, 1],
            }
        )
        source, output = tmp_path / "in.parquet", tmp_path / "out.csv"
        pq.write_table(table, source)
        names = ("large", "kind", "when", "gap", "odd, name")
        exclude = [arg for name in names for arg in ("--exclude", name)]
        result = nngmix("augment", source, "--label", "y", "--output", output, *exclude)
        assert (result.code, result.err) == (0, "")
        # Numbers stand unquoted beside text.
        assert output.read_text().splitlines()[:3] == [
            'a,large,kind,when,gap,"odd, name",y',
            "1.0,plain,plain,1970-01-01 00:00:00Z,0.5,True,0",
            '2.5,"a,b","a,b",1970-01-01 00:00:01Z,,False,0',
        ]
        after = pd.read_csv(output)
        assert list(after.columns) == table.column_names
        assert after["large"][:4].tolist() == text[:4]
        assert after["kind"][:4].tolist() == text[:4]
        assert after["gap"][:5].isna().tolist() == [False, True, True, False, False]

    def test_wide_rows(self, nngmix: Run, tmp_path: Path) -> None:
        # A row of more than a megabyte: gene tables have such.
        n = 4000
        source, output = tmp_path / "in.csv", tmp_path / "out.csv"
        header = ",".join(["y", *(f"gene_{i:0300d}" for i in range(n))])
        rows = [",".join([label, *["1.23456789012345678"] * n]) for label in "01"]
        source.write_text("\n".join([header, *rows]))
        settings = ("--sampler", "duplicate", "--multiplier", "1")
        result = nngmix("augment", source, "--label", "y", "--output", output, *settings)
        assert (result.code, result.err) == (0, "")
        assert len(output.read_text().splitlines()) == 4

    @pytest.mark.skipif(not hasattr(os, "symlink"), reason="no links here")
    def test_link_stays_a_link(self, nngmix: Run, folder: Path) -> None:
        (folder / "real.csv").write_text("old")
        (folder / "link.csv").symlink_to("real.csv")
        args = ("augment", folder / "in.csv", "--label", "fraud", "--force")
        assert nngmix(*args, "--output", folder / "link.csv").code == 0
        assert (folder / "link.csv").is_symlink()
        assert len(pd.read_csv(folder / "real.csv")) == 110

    def test_usual_permissions(self, nngmix: Run, folder: Path) -> None:
        output = folder / "out.csv"
        nngmix("augment", folder / "in.csv", "--label", "fraud", "--output", output)
        plain = folder / "plain"
        plain.touch()
        assert output.stat().st_mode == plain.stat().st_mode
        output.chmod(0o640)
        nngmix("augment", folder / "in.csv", "--label", "fraud", "--output", output, "--force")
        assert output.stat().st_mode & 0o777 == 0o640


FLOATS = st.floats(-1e6, 1e6, allow_nan=False).map(lambda x: x + 0.0)
COLUMNS = {
    "float64": FLOATS,
    "float32": st.floats(-1e6, 1e6, width=32, allow_nan=False).map(lambda x: x + 0.0),
    "int64": st.integers(-(2**62), 2**62),
    "int16": st.integers(-(2**15), 2**15 - 1),
    "uint8": st.integers(0, 255),
    "bool": st.booleans(),
}
NAMES = st.text(
    st.characters(codec="utf-8", exclude_categories=("C", "Z")), min_size=1, max_size=6
).filter(lambda name: name != "y")
# pandas writes a lone \r unquoted, and reads it as the end of a row.
TEXT = st.text(st.characters(codec="utf-8", exclude_characters="\0\r"), max_size=6)


@st.composite
def frames(draw: st.DrawFn) -> pd.DataFrame:
    n = draw(st.integers(2, 12))
    names = draw(st.lists(NAMES, min_size=2, max_size=5, unique=True))
    columns: dict[str, object] = {}
    for name in names[1:]:
        dtype = draw(st.sampled_from(sorted(COLUMNS)))
        values = draw(st.lists(COLUMNS[dtype], min_size=n, max_size=n))
        columns[name] = np.array(values, dtype=dtype)
    columns[names[0]] = draw(st.lists(TEXT, min_size=n, max_size=n))
    labels = draw(st.lists(st.booleans(), min_size=n - 2, max_size=n - 2))
    columns["y"] = np.array([False, True, *labels], dtype=draw(st.sampled_from(["int8", "bool"])))
    return pd.DataFrame(columns)


@settings(max_examples=40, deadline=None)
@given(
    frame=frames(),
    ending_in=st.sampled_from([".csv", ".parquet"]),
    ending_out=st.sampled_from([".csv", ".parquet"]),
)
def test_any_table_goes_round(
    nngmix: Run, frame: pd.DataFrame, ending_in: str, ending_out: str
) -> None:
    text = frame.columns[-2]
    with tempfile.TemporaryDirectory() as folder:
        source, output = Path(folder, f"in{ending_in}"), Path(folder, f"out{ending_out}")
        if ending_in == ".csv":
            frame.to_csv(source, index=False)
        else:
            frame.to_parquet(source, index=False)
        # --name=value, for a name may begin with a dash.
        result = nngmix(
            "augment", source, "--label", "y", "--output", output,
            f"--exclude={text}", "--multiplier", "2",
        )  # fmt: skip
        assert (result.code, result.err) == (0, "")
        n = len(frame)
        before, after = read(source), read(output)
        assert len(after) == n + 2 * int(frame["y"].sum())
        assert list(after.columns) == list(before.columns)
        numbers = before.drop(columns=text)
        if ending_out == ".csv" and ending_in == ".parquet":
            # CSV knows no float32: the shortest text of one is another float64.
            assert [t.kind.replace("u", "i") for t in numbers.dtypes] == [
                t.kind for t in after[numbers.columns].dtypes
            ]
            after = after.astype(dict(numbers.dtypes))
        assert dict(after[numbers.columns].dtypes) == dict(numbers.dtypes)
        pd.testing.assert_frame_equal(after[numbers.columns][:n], numbers)
        if ending_in == ending_out == ".csv":
            assert output.read_bytes().startswith(source.read_bytes())
        if ending_in == ending_out == ".parquet":
            pd.testing.assert_frame_equal(after[:n], before)
            assert pq.read_schema(output).equals(pq.read_schema(source))
        assert sorted(os.listdir(folder)) == sorted([source.name, output.name])


def test_large_whole_numbers(nngmix: Run, tmp_path: Path) -> None:
    source, output = tmp_path / "in.csv", tmp_path / "out.csv"
    source.write_text(f"a,y\n{2**60 + 1},0\n{2**61},1\n")
    assert nngmix("augment", source, "--label", "y", "--output", output).code == 0


class TestIndex:
    def test_pandas_csv_with_its_index(self, nngmix: Run, folder: Path, frame) -> None:
        # Shuffled, as a training split is: numbers all the same, and no feature.
        shuffled = frame.sample(frac=1, random_state=0)
        source, output = folder / "in.csv", folder / "out.csv"
        shuffled.to_csv(source)
        result = nngmix("augment", source, "--label", "fraud", "--output", output)
        assert "features  3: weight, visits, smoker" in result.out
        assert "index     the first column, which has no name (counts on in new rows)" in result.out
        after = pd.read_csv(output, index_col=0)
        pd.testing.assert_frame_equal(after[:60], shuffled)
        assert list(after.index[60:]) == list(range(60, 110))

    def test_csv_with_row_names(self, nngmix: Run, folder: Path, frame) -> None:
        frame.index = [f"r{i}" for i in frame.index]
        frame.to_csv(folder / "in.csv")
        output = folder / "out.csv"
        result = nngmix("augment", folder / "in.csv", "--label", "fraud", "--output", output)
        assert "which has no name (empty in new rows)" in result.out
        assert pd.read_csv(output, index_col=0).index[60:].isna().all()

    def test_parquet_with_an_index(self, nngmix: Run, folder: Path, frame) -> None:
        frame = frame[frame["weight"] > 60].rename_axis("patient")
        frame.to_parquet(folder / "in.parquet")
        output = folder / "out.parquet"
        result = nngmix("augment", folder / "in.parquet", "--label", "fraud", "--output", output)
        assert "index     patient (counts on in new rows)" in result.out
        after = pd.read_parquet(output)
        pd.testing.assert_frame_equal(after[: len(frame)], frame)
        assert after.index.dtype == frame.index.dtype
        first = frame.index.max() + 1
        assert list(after.index[len(frame) :]) == list(
            range(first, first + len(after) - len(frame))
        )

    def test_parquet_with_dates_or_two_levels(self, nngmix: Run, folder: Path, frame) -> None:
        days = pd.date_range("2020-01-01", periods=len(frame), name="day")
        pairs = pd.MultiIndex.from_product([["a", "b"], range(30)], names=["site", "visit"])
        for index in (days, pairs):
            frame.index = index
            frame.to_parquet(folder / "in.parquet")
            output = folder / "out.parquet"
            args = ("augment", folder / "in.parquet", "--label", "fraud", "--output", output)
            result = nngmix(*args, "--force")
            assert "features  3: weight, visits, smoker" in result.out
            assert f"index     {', '.join(index.names)} (empty in new rows)" in result.out
            after = pd.read_parquet(output)
            assert after.index.names == index.names
            assert list(after.index[:60]) == list(index)

    def test_full_index_type(self, nngmix: Run, folder: Path, frame) -> None:
        frame.index = pd.Index(np.arange(68, 128), dtype="int8")
        frame.to_parquet(folder / "in.parquet")
        output = folder / "out.parquet"
        result = nngmix("augment", folder / "in.parquet", "--label", "fraud", "--output", output)
        assert "(empty in new rows)" in result.out
        assert pd.read_parquet(output).index[60:].isna().all()


class TestOptions:
    @pytest.fixture
    def new(self, nngmix: Run, folder: Path):
        def run(*options: object) -> pd.DataFrame:
            output = folder / "new.csv"
            result = nngmix(
                "augment", folder / "in.csv", "--label", "fraud", "--output", output,
                "--only-new", "--force", *options,
            )  # fmt: skip
            assert (result.code, result.err) == (0, "")
            return pd.read_csv(output)

        return run

    def test_only_new(self, nngmix: Run, folder: Path) -> None:
        for ending in (".csv", ".parquet"):
            output = folder / f"new{ending}"
            args = ("augment", folder / "in.csv", "--label", "fraud", "--output", output)
            assert f"{output}: 50 rows, only the new ones" in nngmix(*args, "--only-new").out
            after = read(output)
            assert len(after) == 50
            assert dict(after.dtypes) == dict(pd.read_csv(folder / "in.csv").dtypes)
        both = folder / "both.csv"
        nngmix("augment", folder / "in.csv", "--label", "fraud", "--output", both)
        pd.testing.assert_frame_equal(
            pd.read_csv(both)[60:].reset_index(drop=True), pd.read_csv(folder / "new.csv")
        )

    def test_seed(self, new, folder: Path) -> None:
        texts = []
        for seed in (0, 0, 1):
            new("--random-state", seed)
            texts.append((folder / "new.csv").read_bytes())
        assert texts[0] == texts[1] != texts[2]
        new()
        assert (folder / "new.csv").read_bytes() == texts[0]

    def test_multiplier(self, new) -> None:
        assert len(new("--multiplier", 3)) == 15

    def test_duplicate(self, new, frame) -> None:
        rows = new("--sampler", "Duplicate", "--multiplier", 2)
        assert (rows.groupby("weight").size() == 2).all()
        pd.testing.assert_frame_equal(
            rows.drop_duplicates().sort_values("weight", ignore_index=True),
            frame[frame["fraud"] == 1].sort_values("weight", ignore_index=True),
        )

    @pytest.mark.parametrize("name", SAMPLERS)
    def test_every_sampler(self, new, frame, name: str) -> None:
        rows = new("--sampler", name)
        assert len(rows) == 50
        assert dict(rows.dtypes) == dict(frame.dtypes)

    @pytest.mark.parametrize("ending", [".csv", ".parquet"])
    def test_gaps(self, nngmix: Run, folder: Path, frame, ending: str) -> None:
        frame["visits"] = frame["visits"].astype("Int64")
        frame["smoker"] = frame["smoker"].astype("boolean")
        for i, name in enumerate(("weight", "visits", "smoker")):
            frame.loc[frame.index % 6 == i, name] = None
        source, output = folder / f"gaps{ending}", folder / f"out{ending}"
        frame.to_csv(source, index=False) if ending == ".csv" else frame.to_parquet(source)
        args = ("augment", source, "--label", "fraud", "--output", output)
        result = nngmix(*args, "--plot", folder / "p.png")
        assert (result.code, result.err) == (0, "")
        before, after = read(source), read(output)
        assert dict(after.dtypes) == dict(before.dtypes)
        pd.testing.assert_frame_equal(after[:60], before)
        visits = after["visits"][60:].dropna().astype(float)
        assert (visits == visits.round()).all()

    def test_sampler_by_any_spelling(self, new) -> None:
        first = new("--sampler", "NNGMix")
        for name in ("nngmix", "NNG-Mix", "nng-mix"):
            pd.testing.assert_frame_equal(new("--sampler", name), first)

    def test_sigma(self, new) -> None:
        calm, wild = new("--sigma", 0), new("--sigma", 2)
        assert wild["weight"].std() > 4 * calm["weight"].std()

    def test_alpha(self, new) -> None:
        # A weight near 1/2, near 0 or 1, and any.
        found = [new("--alpha", a, "--sigma", 0)["weight"] for a in ("1e6", "1e-6", "uniform")]
        assert not any(found[0].equals(other) or found[1].equals(other) for other in found[2:])
        assert found[1].nunique() < found[0].nunique()

    def test_n_neighbors(self, new) -> None:
        assert not new("--n-neighbors", 1).equals(new("--n-neighbors", 30))

    @pytest.mark.parametrize("given", [";", "\t", r"\t", "|"])
    def test_delimiter(self, nngmix: Run, folder: Path, frame, given: str) -> None:
        sign = "\t" if given == r"\t" else given
        source, output = folder / "other.csv", folder / "out.csv"
        frame.to_csv(source, index=False, sep=sign)
        args = ("augment", source, "--label", "fraud", "--delimiter", given)
        assert nngmix(*args, "--output", output).code == 0
        after = pd.read_csv(output, sep=sign)
        assert dict(after.dtypes) == dict(frame.dtypes)
        # Parquet to CSV takes it too.
        again = ("augment", folder / "in.parquet", *args[2:], "--output", output, "--force")
        assert nngmix(*again).code == 0
        pd.testing.assert_frame_equal(pd.read_csv(output, sep=sign), after)

    @pytest.mark.parametrize("ending", ["png", "svg", "pdf"])
    def test_plot(self, nngmix: Run, folder: Path, ending: str) -> None:
        picture = folder / f"picture.{ending}"
        args = ("augment", folder / "in.csv", "--label", "fraud", "--output", folder / "out.csv")
        # Two features are drawn as they are, three on a map.
        exclude = () if ending == "png" else ("--exclude", "smoker")
        result = nngmix(*args, "--plot", picture, *exclude)
        assert (result.code, result.err) == (0, "")
        assert f"picture   {picture}" in result.out
        content = picture.read_bytes()
        if ending == "png":
            assert content.startswith(b"\x89PNG\r\n\x1a\n")
            assert min(struct.unpack(">II", content[16:24])) > 300
        elif ending == "svg":
            assert ET.fromstring(content).tag.endswith("svg")
        else:
            assert content.startswith(b"%PDF-")
            assert b"%%EOF" in content[-20:]
        assert len(pd.read_csv(folder / "out.csv")) == 110

    def test_force(self, nngmix: Run, folder: Path) -> None:
        output = folder / "out.csv"
        output.write_text("mine")
        args = ("augment", folder / "in.csv", "--label", "fraud", "--output", output)
        assert nngmix(*args).code == 2
        assert output.read_text() == "mine"
        assert nngmix(*args, "--force").code == 0
        assert len(pd.read_csv(output)) == 110

    @pytest.mark.parametrize("ending", [".csv", ".parquet"])
    def test_output_over_input(self, nngmix: Run, folder: Path, ending: str) -> None:
        path = folder / f"in{ending}"
        before = read(path)
        args = ("augment", path, "--label", "fraud", "--output", path)
        refused = nngmix(*args)
        assert refused.code == 2
        assert "--force" in refused.err
        assert nngmix(*args, "--force").code == 0
        pd.testing.assert_frame_equal(read(path)[:60], before)
        assert len(read(path)) == 110

    def test_names_with_brackets(self, nngmix: Run, folder: Path, frame) -> None:
        # Nothing in a name is markup.
        frame.rename(columns={"weight": "[/red]"}).to_csv(folder / "in.csv", index=False)
        output = folder / "[red]data[1].csv"
        args = ("augment", folder / "in.csv", "--label", "fraud", "--output", output)
        result = nngmix(*args)
        assert (result.code, result.err) == (0, "")
        assert f"{output}: 110 rows" in result.out
        assert "3: [/red], visits, smoker" in result.out


def csv_of(*lines: str) -> bytes:
    return "\n".join([*lines, ""]).encode()


GOOD = csv_of("a,b,y", "1,2,0", "3,4,0", "5,6,1")

BAD_FILES = {
    "missing label": (csv_of("a,b,z", "1,2,0", "3,4,1"), ["--label", "'y'", "in.csv"]),
    "label 2": (csv_of("a,y", "1,0", "2,1", "3,2"), ["label column 'y'", "in.csv", "(2)"]),
    "label text": (csv_of("a,y", "1,no", "2,yes"), ["label column 'y'", "'no', 'yes'"]),
    "label empty": (csv_of("a,y", "1,0", "2,1", "3,"), ["label column 'y'", "1 of 3", "empty"]),
    "label all empty": (csv_of("a,y", "1,", "2,"), ["label column 'y'", "2 of 2"]),
    "no anomaly": (csv_of("a,y", "1,0", "2,0"), ["label column 'y'", "no labelled anomaly"]),
    "no unlabelled row": (csv_of("a,y", "1,1", "2,1"), ["label column 'y'", "no unlabelled row"]),
    "text column": (csv_of("a,town,y", "1,5,0", "2,Bern,1"), ["'town'", "'Bern'", "--exclude"]),
    "dates": (csv_of("a,day,y", "1,2020-01-01,0", "2,2020-01-02,1"), ["'day'", "date"]),
    "empty column": (csv_of("a,gap,y", "1,,0", "2,,1"), ["'gap'", "empty", "--exclude"]),
    "infinite": (csv_of("a,b,y", "1,2,0", "inf,3,1"), ["in.csv", "'a'", "infinite", "--exclude"]),
    "overflow": (csv_of("a,y", "1e308,0", "-1e308,1"), ["'a'", "rescale"]),
    "only the label": (csv_of("y", "0", "1"), ["no column left", "'y'"]),
    "empty": (b"", ["in.csv", "is empty"]),
    "blank lines": (b"\n\n\n", ["in.csv", "has no rows"]),
    "header only": (b"a,b,y\n", ["in.csv", "has no rows"]),
    "header, no newline": (b"a,b,y", ["in.csv", "has no rows"]),
    "ragged": (csv_of("a,b,y", "1,2,0", "3,1"), ["in.csv", "CSV", "Expected 3 columns, got 2"]),
    "ragged late": (GOOD + b"1,2,3,4\n", ["in.csv", "Expected 3 columns, got 4"]),
    "twice the same name": (csv_of("a,a,y", "1,2,0", "3,4,1"), ["in.csv", "2 columns named 'a'"]),
    "other separator": (csv_of("a;b;y", "1;2;0", "3;4;1"), ["no column 'y'", "';'", "--delimiter"]),
    "typo": (csv_of("a,Y", "1,0", "3,1"), ["no column 'y'", "It has 'a', 'Y'"]),
    "utf-16": ("a,y\n1,0\n2,1\n".encode("utf-16"), ["in.csv", "UTF-16", "UTF-8"]),
    "latin-1 header": ("é,y\n1,0\n2,1\n".encode("latin-1"), ["in.csv", "UTF-8"]),
    "latin-1 cells": ("a,b,y\né,1,0\n2,2,1\n".encode("latin-1"), ["in.csv", "'a'", "UTF-8"]),
    "a picture": (b"\x89PNG\r\n\x1a\n\0\0\0", ["in.csv"]),
}

BAD_OPTIONS = {
    "n_neighbors 0": (["--n-neighbors", "0"], ["n_neighbors", "got 0"]),
    "multiplier 0": (["--multiplier", "0"], ["multiplier", "got 0"]),
    "sigma -1": (["--sigma", "-1"], ["sigma", "got -1"]),
    "sigma nan": (["--sigma", "nan"], ["sigma", "got nan"]),
    "multiplier huge": (["--multiplier", f"1{'0' * 22}"], ["--multiplier", "memory"]),
    "alpha 0": (["--alpha", "0"], ["alpha", "got 0"]),
    "alpha word": (["--alpha", "beta"], ["alpha", "got 'beta'"]),
    "seed -1": (["--random-state", "-1"], ["random_state", "got -1"]),
    "sampler": (["--sampler", "SMOTE"], ["--sampler", "'SMOTE'", "NNGMix", "Duplicate"]),
    "setting of another": (["--sampler", "Duplicate", "--sigma", "1"], ["--sigma", "Duplicate"]),
    "delimiter": (["--delimiter", "ab"], ["--delimiter", "'ab'"]),
    "delimiter quote": (["--delimiter", '"'], ["--delimiter"]),
    "delimiter point": (["--delimiter", "."], ["--delimiter"]),
    "delimiter far": (["--delimiter", "§"], ["--delimiter", "§"]),
    "exclude unknown": (["--exclude", "bb"], ["--exclude", "'bb'", "Did you mean 'b'?"]),
    "exclude label": (["--exclude", "y"], ["--exclude", "'y'", "label"]),
    "exclude all": (["--exclude", "a", "--exclude", "b"], ["no column left"]),
    "plot ending": (["--plot", "{}/p.jpg"], ["--plot", "p.jpg", ".png, .svg, .pdf"]),
    "plot is output": (["--plot", "{}/out.csv"], ["--plot", "out.csv", ".png"]),
    "plot exists": (["--plot", "{}/old.png"], ["--plot", "old.png", "--force"]),
    "plot folder": (["--plot", "{}/none/p.png"], ["--plot", "there is no folder", "none"]),
    "output ending": (["--output", "{}/out.xlsx"], ["--output", "'.xlsx'", ".csv"]),
    "output no ending": (["--output", "{}/out"], ["--output", "no ending", ".csv"]),
    "output exists": (["--output", "{}/old.csv"], ["--output", "old.csv", "--force"]),
    "output folder": (["--output", "{}/none/out.csv"], ["there is no folder", "none"]),
    "output below a file": (["--output", "{}/in.csv/out.csv"], ["there is no folder", "in.csv"]),
    "output is a folder": (["--output", "{}/dir.csv", "--force"], ["dir.csv", "is a folder"]),
}


def assert_refused(result, *told: str) -> None:
    assert result.code == 2
    assert result.out == ""
    assert result.err.startswith("nngmix: ")
    assert result.err.count("\n") == 1
    assert "Traceback" not in result.err
    for part in told:
        assert part.lower() in result.err.lower(), result.err


class TestBadInput:
    @pytest.mark.parametrize("ending_out", [".csv", ".parquet"])
    @pytest.mark.parametrize("case", BAD_FILES)
    def test_bad_file(self, nngmix: Run, tmp_path: Path, case: str, ending_out: str) -> None:
        content, told = BAD_FILES[case]
        source = tmp_path / "in.csv"
        source.write_bytes(content)
        args = ("augment", source, "--label", "y", "--output", tmp_path / f"out{ending_out}")
        assert_refused(nngmix(*args), *told)
        assert os.listdir(tmp_path) == ["in.csv"]

    @pytest.mark.parametrize("case", BAD_OPTIONS)
    def test_bad_option(self, nngmix: Run, tmp_path: Path, case: str) -> None:
        options, told = BAD_OPTIONS[case]
        (tmp_path / "in.csv").write_bytes(GOOD)
        (tmp_path / "old.csv").write_text("old")
        (tmp_path / "old.png").write_text("old")
        (tmp_path / "dir.csv").mkdir()
        before = listing(tmp_path)
        args = ["augment", tmp_path / "in.csv", "--label", "y"]
        if "--output" not in options:
            args += ["--output", tmp_path / "out.csv"]
        result = nngmix(*args, *(option.replace("{}", str(tmp_path)) for option in options))
        assert_refused(result, *told)
        assert listing(tmp_path) == before

    def test_bad_parquet(self, nngmix: Run, folder: Path, frame: pd.DataFrame) -> None:
        good = (folder / "in.parquet").read_bytes()
        bad = folder / "bad.parquet"
        output = folder / "out.parquet"
        for content, told in [
            (b"", "is empty"),
            (b"PAR1", "cannot be read as Parquet"),
            (good[:-100], "cannot be read as Parquet"),
            (good[:8] + bytes(len(good) - 1008) + good[-1000:], "cannot be read as Parquet"),
            ((folder / "in.csv").read_bytes(), "cannot be read as Parquet"),
        ]:
            bad.write_bytes(content)
            before = listing(folder)
            result = nngmix("augment", bad, "--label", "fraud", "--output", output)
            assert_refused(result, "bad.parquet", told)
            assert listing(folder) == before

    def test_parquet_without_rows_or_columns(self, nngmix: Run, folder: Path, frame) -> None:
        bad, output = folder / "bad.parquet", folder / "out.parquet"
        frame[:0].to_parquet(bad)
        args = ("augment", bad, "--label", "fraud", "--output", output)
        assert_refused(nngmix(*args), "bad.parquet", "has no rows")
        pq.write_table(pa.table({}), bad)
        assert_refused(nngmix(*args), "bad.parquet", "no column 'fraud'", "no columns at all")
        assert not output.exists()

    def test_damage_found_while_writing(self, nngmix: Run, folder: Path) -> None:
        # The column left out is not read before its rows are copied.
        n = 2000
        rng = np.random.default_rng(0)
        columns = {"a": rng.normal(size=n), "y": np.arange(n) < 5, "text": rng.bytes(n * 40).hex()}
        columns["text"] = [columns["text"][i * 80 : i * 80 + 80] for i in range(n)]
        source, output = folder / "bad.parquet", folder / "out.parquet"
        pq.write_table(pa.table(columns), source, compression="zstd", use_dictionary=False)
        start = pq.ParquetFile(source).metadata.row_group(0).column(2).data_page_offset
        content = bytearray(source.read_bytes())
        content[start : start + 3000] = bytes(3000)
        source.write_bytes(content)
        before = listing(folder)
        args = ("augment", source, "--label", "y", "--output", output, "--exclude", "text")
        assert_refused(nngmix(*args), "bad.parquet", "cannot be read as Parquet")
        assert listing(folder) == before

    def test_csv_cannot_hold_lists(self, nngmix: Run, tmp_path: Path) -> None:
        table = pa.table({"a": [1, 2], "words": [["x"], []], "y": [0, 1]})
        source = tmp_path / "in.parquet"
        pq.write_table(table, source)
        args = ("augment", source, "--label", "y", "--exclude", "words", "--output")
        assert_refused(nngmix(*args, tmp_path / "out.csv"), "'words'", "list", "Parquet")
        assert os.listdir(tmp_path) == ["in.parquet"]
        assert nngmix(*args, tmp_path / "out.parquet").code == 0

    def test_missing_input(self, nngmix: Run, tmp_path: Path) -> None:
        args = ("--label", "y", "--output", tmp_path / "out.csv")
        assert_refused(nngmix("augment", tmp_path / "in.csv", *args), "no file", "in.csv")
        assert_refused(nngmix("augment", tmp_path / "in.txt", *args), "in.txt", "'.txt'")
        (tmp_path / "dir.csv").mkdir()
        assert_refused(nngmix("augment", tmp_path / "dir.csv", *args), "dir.csv", "has no files")
        assert os.listdir(tmp_path) == ["dir.csv"]

    @pytest.mark.skipif(not Path("/proc/self").is_dir(), reason="needs a folder nobody writes to")
    def test_folder_not_writable(self, nngmix: Run, folder: Path) -> None:
        for option in ("--output", "--plot"):
            path = "/proc/out.csv" if option == "--output" else "/proc/out.png"
            args = ["augment", folder / "in.csv", "--label", "fraud", option, path]
            args += [] if option == "--output" else ["--output", folder / "out.csv"]
            assert_refused(nngmix(*args), option, path, "cannot be written")
        assert sorted(os.listdir(folder)) == ["in.csv", "in.parquet"]

    def test_missing_options(self, nngmix: Run, folder: Path) -> None:
        result = nngmix("augment", folder / "in.csv", "--output", folder / "out.csv")
        assert result.code == 2
        assert "--label" in result.err
        result = nngmix("augment", folder / "in.csv", "--label", "y", "--sigma", "x")
        assert result.code == 2

    def test_plot_without_matplotlib(self, nngmix: Run, folder: Path, monkeypatch) -> None:
        monkeypatch.setitem(sys.modules, "matplotlib", None)
        args = ("augment", folder / "in.csv", "--label", "fraud", "--output", folder / "out.csv")
        result = nngmix(*args, "--plot", folder / "p.png")
        assert result.code == 1
        assert result.err == "nngmix: --plot needs matplotlib: pip install 'nngmix[plot]'\n"
        assert sorted(os.listdir(folder)) == ["in.csv", "in.parquet"]

    def test_real_command_says_one_line(self, folder: Path) -> None:
        done = subprocess.run(
            [*COMMAND, "augment", folder / "in.csv", "--label", "frau", "--output", "out.csv"],
            capture_output=True,
            text=True,
            cwd=folder,
        )
        assert (done.returncode, done.stdout) == (2, "")
        path = str(folder / "in.csv")
        assert done.stderr == (
            f"nngmix: --label: {path!r} has no column 'frau'. Did you mean 'fraud'?\n"
        )

    def test_unexpected_failure(self, nngmix: Run, folder: Path, monkeypatch) -> None:
        def broken(*args: object) -> None:
            raise RuntimeError("no\nidea")

        monkeypatch.setattr(augment_module, "_complete", broken)
        args = ("augment", folder / "in.csv", "--label", "fraud", "--output", folder / "out.csv")
        result = nngmix(*args)
        assert result.code == 1
        assert result.err == (
            "nngmix: unexpected RuntimeError: no idea (NNGMIX_DEBUG=1 shows where)\n"
        )
        monkeypatch.setenv("NNGMIX_DEBUG", "1")
        with pytest.raises(RuntimeError, match="idea"):
            augment_module.augment([folder / "in.csv"], "fraud", folder / "out.csv")


LARGE = ("--multiplier", "3000000", "--sigma", "0")


class TestInterruption:
    @pytest.mark.parametrize("old", [None, "old"])
    @pytest.mark.parametrize("ending", [".csv", ".parquet"])
    def test_inside_the_writer(
        self, nngmix: Run, folder: Path, monkeypatch, ending: str, old: str | None
    ) -> None:
        output, picture = folder / f"out{ending}", folder / "out.png"
        if old is not None:
            output.write_text(old)
            picture.write_text(old)
        before = listing(folder)

        def interrupted(*args: object, **kwargs: object) -> None:
            assert len(listing(folder)) == len(before) + 2  # the table and the picture
            raise KeyboardInterrupt

        monkeypatch.setattr(files, "_append_csv", interrupted)
        monkeypatch.setattr(files.pq.ParquetWriter, "write_table", interrupted)
        args = ("augment", folder / "in.csv", "--label", "fraud", "--output", output)
        # Two features are drawn as they are, at once.
        result = nngmix(*args, "--force", "--plot", picture, "--exclude", "smoker")
        assert result.code == 130
        assert result.err == "nngmix: interrupted; unfinished output was removed.\n"
        assert listing(folder) == before

    @pytest.mark.parametrize("ending", [".csv", ".parquet"])
    @pytest.mark.parametrize("name", ["SIGINT", "SIGTERM", "SIGKILL"])
    def test_signal_in_mid_write(self, tmp_path: Path, name: str, ending: str) -> None:
        source, output = tmp_path / "in.csv", tmp_path / f"out{ending}"
        source.write_bytes(GOOD)
        output.write_text("old")
        before = listing(tmp_path)
        process = subprocess.Popen(
            [*COMMAND, "augment", source, "--label", "y", "--output", output, "--force", *LARGE],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        unfinished = wait_for_unfinished(tmp_path, process)
        process.send_signal(getattr(signal, name))
        out, err = process.communicate(timeout=60)
        assert out == ""
        after = listing(tmp_path)
        if name == "SIGKILL":
            # Nothing can clean up after this; the output is whole all the same.
            after.pop(unfinished.name)
            assert process.returncode == -signal.SIGKILL
        elif name == "SIGTERM":
            assert (process.returncode, err) == (128 + signal.SIGTERM, "")
        else:
            told = "nngmix: interrupted; unfinished output was removed.\n"
            assert (process.returncode, err) == (130, told)
        assert after == before

    def test_threads_of_a_library_go_on(self, folder: Path) -> None:
        # Each thread of Arrow's that reads these wants the interpreter again and again.
        script = """
            import io, time
            import pyarrow as pa, pyarrow.csv as pa_csv
            from nngmix.cli import files, main

            class Endless(io.RawIOBase):
                def readable(self):
                    return True

                def read(self, size=-1):
                    time.sleep(0.002)
                    return b"a,b\\n1,2\\n"[:size]

            def interrupted(*args):
                for _ in range(8):
                    text = pa.PythonFile(Endless(), "r")
                    readers.append(pa_csv.open_csv(text, pa_csv.ReadOptions(block_size=64)))
                raise KeyboardInterrupt

            readers = []
            files.peek = interrupted
            main()
        """
        args = ("augment", "in.csv", "--label", "fraud", "--output", "out.csv")
        done = subprocess.run(
            [sys.executable, "-c", textwrap.dedent(script), *args],
            cwd=folder,
            capture_output=True,
            text=True,
            timeout=60,
        )
        told = "nngmix: interrupted; unfinished output was removed.\n"
        assert (done.returncode, done.stderr) == (130, told)

    def test_signal_before_the_write(self, folder: Path) -> None:
        script = (
            "import time; from nngmix.cli import files, main; "
            "files.peek = lambda *a: [print('reading', flush=True), time.sleep(60)]; "
            "main()"
        )
        process = subprocess.Popen(
            [
                *(sys.executable, "-c", script),
                *("augment", "in.csv", "--label", "fraud", "--output", "out.csv"),
            ],
            cwd=folder,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        assert process.stdout is not None
        assert process.stdout.readline() == "reading\n"
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=60)
        assert process.returncode == 130
        assert err == "nngmix: interrupted; unfinished output was removed.\n"
        assert sorted(os.listdir(folder)) == ["in.csv", "in.parquet"]

    @pytest.mark.parametrize("old", [None, "old"])
    @pytest.mark.parametrize("ending", [".csv", ".parquet"])
    def test_full_disk(self, folder: Path, ending: str, old: str | None) -> None:
        output = folder / f"out{ending}"
        if old is not None:
            output.write_text(old)
        before = listing(folder)
        done = subprocess.run(
            [*COMMAND, "augment", folder / "in.csv", "--label", "fraud", "--output", output,
             "--force", "--multiplier", "5000"],
            capture_output=True,
            text=True,
            preexec_fn=limit_file_size,
        )  # fmt: skip
        assert (done.returncode, done.stdout) == (1, "")
        assert done.stderr == f"nngmix: {output}: File too large\n"
        assert listing(folder) == before


def wait_for_unfinished(folder: Path, process: subprocess.Popen) -> Path:
    """Wait until the process has written some of its output."""
    for _ in range(6000):
        for path in folder.glob(".nngmix-*"):
            if path.stat().st_size > 0:
                return path
        assert process.poll() is None, process.communicate()
        time.sleep(0.005)
    raise AssertionError("nothing was written")


def limit_file_size() -> None:
    # As on a full disk, a write fails in its midst.
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))


MEASURED = """
import atexit, re
from nngmix.cli import main
status = "/proc/self/status"
atexit.register(lambda: print("peak", re.search(r"VmHWM:\\s+(\\d+)", open(status).read())[1]))
main()
"""


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="reads the peak from /proc")
def test_memory(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    n = 200_000
    frame = pd.DataFrame(rng.normal(size=(n, 29)), columns=[f"c{i}" for i in range(29)])
    frame["y"] = (np.arange(n) % 2000 == 0).astype(int)
    frame.to_csv(tmp_path / "in.csv", index=False)
    frame.to_parquet(tmp_path / "in.parquet")
    for ending_in in (".csv", ".parquet"):
        for ending_out in (".csv", ".parquet"):
            source, output = tmp_path / f"in{ending_in}", tmp_path / f"out{ending_out}"
            args = ["augment", source, "--label", "y", "--output", output, "--force"]
            done = subprocess.run(
                [sys.executable, "-c", MEASURED, *args], capture_output=True, text=True, check=True
            )
            peak = int(done.stdout.split()[-1]) * 1024
            assert peak < 1e9, (ending_in, ending_out)
            after = read(output)
            pd.testing.assert_frame_equal(after[:n], frame)
            assert len(after) == n + 1000


class TestRoot:
    def test_version(self, nngmix: Run) -> None:
        result = nngmix("--version")
        assert (result.code, result.err) == (0, "")
        assert result.out == f"nngmix {importlib.metadata.version('nngmix')}\n"

    @pytest.mark.parametrize("args", [("--help",), ("-h",), ("augment", "-h"), ("demo", "--help")])
    def test_help(self, nngmix: Run, args: tuple[str, ...]) -> None:
        result = nngmix(*args)
        assert (result.code, result.err) == (0, "")
        for word in ("augment", "demo") if len(args) == 1 else ("Usage", "--output", "--force"):
            assert word in result.out

    def test_no_command_shows_help(self, nngmix: Run) -> None:
        result = nngmix()
        assert "augment" in result.out + result.err

    def test_light(self) -> None:
        script = (
            "import sys, nngmix.cli.app; "
            "print([m for m in ('numpy', 'pyarrow', 'torch', 'sklearn') if m in sys.modules])"
        )
        done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
        assert (done.stdout, done.stderr) == ("[]\n", "")
