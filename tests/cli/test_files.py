import errno
import io
import os
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pytest

from nngmix.cli import files
from nngmix.cli.errors import UsageError
from nngmix.cli.files import TableFile, check_delimiter, check_output, replacing


class TestReplacing:
    def test_nothing_is_there_until_all_is(self, tmp_path: Path) -> None:
        path = tmp_path / "out.csv"
        with replacing(path) as beside:
            beside.write_text("new")
            assert not path.exists()
            assert beside.parent == tmp_path
        assert path.read_text() == "new"
        assert os.listdir(tmp_path) == ["out.csv"]

    @pytest.mark.parametrize("kind", [ValueError, KeyboardInterrupt, SystemExit, MemoryError])
    def test_failure_leaves_the_old_file(self, tmp_path: Path, kind: type) -> None:
        path = tmp_path / "out.csv"
        path.write_text("old")

        def write() -> None:
            with replacing(path) as beside:
                beside.write_text("new")
                raise kind

        with pytest.raises(kind):
            write()
        assert path.read_text() == "old"
        assert os.listdir(tmp_path) == ["out.csv"]

    def test_failure_to_write_tells_the_file(self, tmp_path: Path) -> None:
        path = tmp_path / "out.csv"
        with pytest.raises(OSError, match="No space left on device") as caught, replacing(path):
            raise OSError(errno.ENOSPC, "a library's own words")
        assert caught.value.filename == str(path)
        # Another file's failure keeps that file's name.
        with pytest.raises(FileNotFoundError) as other, replacing(path):
            Path(tmp_path / "else").read_text()
        assert other.value.filename == str(tmp_path / "else")
        assert os.listdir(tmp_path) == []

    def test_long_name(self, tmp_path: Path) -> None:
        path = tmp_path / ("x" * 250 + ".csv")
        with replacing(path) as beside:
            beside.write_text("new")
        assert path.read_text() == "new"


class TestChecks:
    def test_check_writes_nothing(self, tmp_path: Path) -> None:
        check_output(tmp_path / "out.CSV", files.TABLES, "--output", force=False)
        assert os.listdir(tmp_path) == []

    def test_names_the_option_and_the_file(self, tmp_path: Path) -> None:
        with pytest.raises(UsageError, match=r"--plot '.*x\.bmp' has the ending '\.bmp'"):
            check_output(tmp_path / "x.bmp", files.PICTURES, "--plot", force=False)

    @pytest.mark.parametrize("good", [",", ";", "|", " ", "\t", ":"])
    def test_delimiter(self, good: str) -> None:
        assert check_delimiter(good) == good

    def test_delimiter_as_shells_hand_it_on(self) -> None:
        assert check_delimiter(r"\t") == "\t"

    @pytest.mark.parametrize("bad", ["", "ab", '"', "\n", "\r", "0", "e", "-", "+", ".", "§"])
    def test_bad_delimiter(self, bad: str) -> None:
        with pytest.raises(UsageError, match="--delimiter"):
            check_delimiter(bad)


class TestTableFile:
    def test_names_and_kind(self, folder: Path) -> None:
        for kind in ("csv", "parquet"):
            source = TableFile(folder / f"in.{kind}")
            assert source.kind == kind
            assert source.names == ["weight", "visits", "smoker", "fraud"]
            assert source.index == []

    @pytest.mark.parametrize("kind", ["csv", "parquet"])
    def test_read_takes_the_order_asked_for(self, folder: Path, kind: str) -> None:
        source = TableFile(folder / f"in.{kind}")
        assert source.read(["fraud", "weight"]).column_names == ["fraud", "weight"]
        pd.testing.assert_frame_equal(source.read().to_pandas(), pd.read_csv(folder / "in.csv"))

    def test_index(self, tmp_path: Path, frame: pd.DataFrame) -> None:
        path = tmp_path / "in.csv"
        frame.to_csv(path)
        assert TableFile(path).index == [""]
        for index, expected in [
            (frame.index, []),
            (frame.index.rename("row"), []),
            (pd.Index([*range(30, 60), *range(30)]), ["__index_level_0__"]),
            (pd.Index(list(range(60)), name="id").astype("int32"), ["id"]),
            (pd.MultiIndex.from_product([[1, 2], range(30)], names=list("ab")), ["a", "b"]),
        ]:
            path = tmp_path / "in.parquet"
            frame.set_axis(index).to_parquet(path)
            assert TableFile(path).index == expected

    def test_suggestions(self, tmp_path: Path) -> None:
        path = tmp_path / "in.csv"
        path.write_text("label,weight\n1,2\n")
        with pytest.raises(UsageError, match=r"--label: .* 'lable'\. Did you mean 'label'\?"):
            TableFile(path).column("lable", "--label")
        with pytest.raises(UsageError, match=r"It has 'label', 'weight'\."):
            TableFile(path).column("y", "--label")
        path.write_text(",".join(f"c{i}" for i in range(99)) + "\n")
        with pytest.raises(UsageError, match=r"'c9', \.\.\.\.$"):
            TableFile(path).column("y", "--label")
        path.write_text("a\tb\n1\t2\n")
        with pytest.raises(UsageError, match=r"separated by '\\t': see --delimiter"):
            TableFile(path).column("b", "--label")


def test_csv_text_of_every_type() -> None:
    types = [
        pa.null(), pa.bool_(), pa.int8(), pa.uint64(), pa.float16(), pa.float32(), pa.float64(),
        pa.decimal128(5, 2), pa.date32(), pa.time64("us"), pa.timestamp("ms", "UTC"),
        pa.duration("s"), pa.string(), pa.large_string(), pa.dictionary(pa.int8(), pa.string()),
    ]  # fmt: skip
    table = pa.table([pa.nulls(2, kind) for kind in types], [str(kind) for kind in types])
    out = io.BytesIO()
    files._append_csv(out, table, ";", "\r\n")
    assert out.getvalue() == 2 * (b";" * (len(types) - 1) + b"\r\n")


def test_csv_in_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    table = pa.table({"a": range(100), "b": [i / 4 for i in range(100)], "c": ["x,y"] * 100})
    texts = []
    for cells in (7, 1 << 20):
        monkeypatch.setattr(files, "_TEXT_CELLS", cells)
        out = io.BytesIO()
        files._append_csv(out, table, ",", "\n")
        texts.append(out.getvalue())
    assert texts[0] == texts[1]
    assert texts[0].decode().splitlines()[:2] == ['0,0.0,"x,y"', '1,0.25,"x,y"']
    out = io.BytesIO()
    files._append_csv(out, table[:0], ",", "\n")
    assert out.getvalue() == b""
