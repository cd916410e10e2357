"""Tables in many files: which files, which columns, in which parts, and what may be wrong."""

import contextlib
import threading
import time

import numpy as np
import pyarrow as pa
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nngmix.sampling import TableFiles
from nngmix.sampling import files as module

A = pa.table({"a": [1, 2, 3], "b": [0.5, None, 2.5]})


def write(path, table=A, **options):
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix == ".csv":
        pa_csv.write_csv(table, path)
    else:
        pq.write_table(table, path, **options)
    return path


def read(files, columns=None, **options):
    return pa.concat_tables(files.parts(columns or files.names, **options))


def no_threads():
    return "nngmix-read" not in [thread.name for thread in threading.enumerate()]


class TestWhichFiles:
    @pytest.fixture
    def folder(self, tmp_path):
        for name in ("b.parquet", "a.pq", "in/side/c.PARQUET", "_d.parquet", ".e.parquet"):
            write(tmp_path / name)
        write(tmp_path / "_log" / "f.parquet")
        write(tmp_path / ".hidden" / "g.parquet")
        (tmp_path / "_SUCCESS").touch()
        (tmp_path / "notes.txt").write_text("no table")
        return tmp_path

    def names(self, source):
        return [path.name for path in TableFiles(source).paths]

    def test_a_folder(self, folder):
        assert self.names(folder) == self.names(str(folder)) == ["a.pq", "b.parquet", "c.PARQUET"]
        files = TableFiles(folder)
        assert (files.kind, files.names, files.n_rows) == ("parquet", ["a", "b"], 9)
        assert files.n_bytes == sum(path.stat().st_size for path in files.paths)

    def test_a_pattern(self, folder):
        assert self.names(folder / "*") == ["a.pq", "b.parquet", "c.PARQUET"]
        assert self.names(folder / "*.p*") == ["a.pq", "b.parquet"]
        assert self.names(folder / "**" / "*.PARQUET") == ["c.PARQUET"]
        assert self.names(folder / "_*.parquet") == ["_d.parquet"]
        with pytest.raises(FileNotFoundError, match=r"no files .csv, .parquet, .pq match '.*\*.cs"):
            TableFiles(folder / "*.csv")

    def test_a_list_keeps_its_order(self, folder):
        assert self.names([folder / "b.parquet", folder / "a.pq"]) == ["b.parquet", "a.pq"]
        assert self.names([folder / "in", str(folder / "a.*")]) == ["c.PARQUET", "a.pq"]
        # What is named is taken, whatever its name.
        assert self.names([folder / "_d.parquet"]) == ["_d.parquet"]

    def test_a_name_like_a_pattern(self, folder):
        write(folder / "x[1].parquet")
        assert self.names(folder / "x[1].parquet") == ["x[1].parquet"]

    def test_wrong_sources(self, folder):
        (folder / "empty").mkdir()
        for source, error, message in (
            (folder / "z.csv", FileNotFoundError, "there is no file '.*z.csv'"),
            (folder / "empty", FileNotFoundError, "folder '.*empty' has no files .csv, .parquet"),
            (folder / "notes.txt", ValueError, "'.*notes.txt' has the ending '.txt'; it must be"),
            (folder / "_SUCCESS", ValueError, "'.*_SUCCESS' has no ending; it must be one of"),
            ([], ValueError, "source: an empty list"),
            ([folder / "a.pq", folder / "a.*"], ValueError, "'.*a.pq' is given 2 times"),
        ):
            with pytest.raises(error, match=message):
                TableFiles(source)


class TestWrongFiles:
    def refuse(self, message, *paths, **options):
        with pytest.raises(ValueError, match=message):
            TableFiles(list(paths), **options)

    def test_two_kinds(self, tmp_path):
        paths = write(tmp_path / "a.parquet"), write(tmp_path / "b.csv")
        self.refuse("a.parquet' and '.*b.csv' are of two kinds; a table's files must be", *paths)

    @pytest.mark.parametrize("ending", ["csv", "parquet"])
    def test_columns_that_differ(self, tmp_path, ending):
        a = write(tmp_path / f"a.{ending}")
        fewer = write(tmp_path / f"b.{ending}", A.select(["a"]))
        more = write(tmp_path / f"c.{ending}", A.append_column("x", [[1, 2, 3]]))
        self.refuse(f"b.{ending}' has no column 'b', which '.*a.{ending}' has; the files", a, fewer)
        self.refuse(f"a.{ending}' has no column 'x', which '.*c.{ending}' has", a, more)
        # The order is that of the first.
        other = write(tmp_path / f"d.{ending}", A.select(["b", "a"]))
        files = TableFiles([a, other])
        assert read(files, ["b", "a"]) == read(files).select(["b", "a"])
        assert read(files)["a"].to_pylist() == [1, 2, 3, 1, 2, 3]

    def test_types_that_differ(self, tmp_path):
        paths = write(tmp_path / "a.pq"), write(tmp_path / "b.pq", A.set_column(0, "a", A["b"]))
        self.refuse("column 'a' is int64 in '.*a.pq' and double in '.*b.pq'; the files of", *paths)

    def test_empty_and_damaged(self, tmp_path):
        a = write(tmp_path / "a.parquet")
        for name, data, message in (
            ("b.parquet", b"", "b.parquet' is empty"),
            ("b.parquet", b"PAR1 and no more", "b.parquet' cannot be read as Parquet"),
            ("b.parquet", a.read_bytes()[:-20], "b.parquet' cannot be read as Parquet"),
            ("b.csv", b"", "b.csv' is empty"),
            ("b.csv", b"\xff\xfea\0,\0b\0", "b.csv' is UTF-16 text; save it as UTF-8"),
            ("b.csv", b"a\xe4,b\n1,2\n", "b.csv': the column names are not UTF-8 text"),
            ("b.csv", b"\n1,2\n", "b.csv' begins with an empty line; it must name the columns"),
            ("b.csv", b"a,a\n1,2\n", "b.csv' has 2 columns named 'a'"),
        ):
            (tmp_path / name).write_bytes(data)
            self.refuse(message, tmp_path / name)

    def test_two_columns_of_one_name(self, tmp_path):
        path = write(tmp_path / "a.parquet", pa.table([[1], [2]], ["a", "a"]))
        self.refuse("a.parquet' has 2 columns named 'a'", path)

    def test_unknown_column(self, tmp_path):
        files = TableFiles(write(tmp_path / "a.parquet", A.rename_columns(["amount", "b"])))
        with pytest.raises(ValueError, match=r"no column 'amout'. Did you mean 'amount'\?"):
            next(files.parts(["amout"]))
        with pytest.raises(ValueError, match=r"no column 'zzz'\. It has 'amount', 'b'."):
            next(files.parts(["zzz"]))

    def test_csv_rows_of_different_lengths(self, tmp_path):
        good = write(tmp_path / "a.csv")
        (tmp_path / "b.csv").write_text("a,b\n1,2\n1,2,3\n")
        files = TableFiles([good, tmp_path / "b.csv"])
        with pytest.raises(ValueError, match=r"b.csv' cannot be read as CSV: .*Expected 2 columns"):
            read(files)
        assert no_threads()

    def test_csv_text_in_another_encoding(self, tmp_path):
        (tmp_path / "a.csv").write_bytes(b"a,b\n1,x\n2,\xe4\n")
        files = TableFiles(tmp_path)
        assert read(files, ["a"])["a"].to_pylist() == [1, 2]
        with pytest.raises(
            ValueError, match=r"a.csv': column 'b' is not UTF-8 text; save the file"
        ):
            read(files)


class TestParts:
    @settings(max_examples=25, deadline=None)
    @given(
        sizes=st.lists(st.integers(0, 60), min_size=1, max_size=4),
        group=st.integers(1, 40),
        cells=st.integers(1, 400),
        ahead=st.integers(0, 3),
        columns=st.permutations(["a", "b", "c"]).flatmap(
            lambda names: st.integers(1, 3).map(lambda n: names[:n])
        ),
    )
    def test_all_rows_in_order(self, tmp_path_factory, sizes, group, cells, ahead, columns):
        folder = tmp_path_factory.mktemp("files")
        tables = []
        for i, n in enumerate(sizes):
            numbers = np.arange(n) + 1000 * i
            tables.append(pa.table({"a": numbers, "b": numbers / 3, "c": numbers.astype(str)}))
            write(folder / f"{i}.parquet", tables[-1], row_group_size=group)
        files = TableFiles(folder)
        told = []
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(module, "_PART_CELLS", cells)
            parts = list(
                files.parts(columns, ahead=ahead, done=lambda *numbers: told.append(numbers))
            )
        whole = pa.concat_tables(tables).select(columns)
        assert pa.concat_tables([*parts, whole[:0]]) == whole
        # Parts are small, and no smaller than they must be.
        largest = max(1, cells // 8)
        assert len(parts) == sum(-(-n // largest) for n in sizes)
        assert [n for n, _ in told] == np.cumsum([len(part) for part in parts]).tolist()
        assert all(b <= files.n_bytes for _, b in told)

    def test_some_groups(self, tmp_path):
        table = pa.table({"a": range(100)})
        for i in range(2):
            write(tmp_path / f"{i}.parquet", table, row_group_size=10)
        files = TableFiles(tmp_path)
        found = [
            (part.path.name, part.first_row, part.groups, part.table["a"].to_pylist()[::10])
            for part in files.walk(["a"], groups=[1, 2, 9, 10, 15])
        ]
        assert found == [
            ("0.parquet", 10, [1, 2], [10, 20]),
            ("0.parquet", 90, [9], [90]),
            ("1.parquet", 0, [10], [0]),
            ("1.parquet", 50, [15], [50]),
        ]

    def test_bytes_add_up(self, tmp_path):
        for ending in ("parquet", "csv"):
            for i in range(3):
                write(tmp_path / ending / f"{i}.{ending}")
            files = TableFiles(tmp_path / ending)
            told = []
            read(files, done=lambda *numbers, told=told: told.append(numbers))
            assert told[-1] == (9, files.n_bytes)

    def test_columns_that_begin_alike(self, tmp_path):
        table = pa.table({"a.b": [1], "a": [2], "c": [{"d": 3}]})
        files = TableFiles(write(tmp_path / "a.parquet", table))
        for columns in (["a"], ["a.b"], ["a", "a.b"], ["c"]):
            assert read(files, columns) == table.select(columns)

    def test_dictionaries(self, tmp_path):
        few = pa.array(["u", "v", None]).dictionary_encode()
        few = few.cast(pa.dictionary(pa.int8(), pa.string()))
        many = pa.array([f"{i}" for i in range(300)]).dictionary_encode()
        a = write(tmp_path / "a.pq", pa.table({"k": few}))
        b = write(tmp_path / "b.pq", pa.table({"k": many}), row_group_size=70)
        for order in ([a, b], [b, a]):
            files = TableFiles(order)
            # Wide enough for the categories of either.
            assert files.schema.field("k").type.index_type == pa.int32()
            rows = [value for part in files.parts(["k"]) for value in part["k"].to_pylist()]
            assert sorted(map(str, rows)) == sorted([*map(str, range(300)), "u", "v", "None"])

    def test_an_index_of_pandas(self, tmp_path):
        pd = pytest.importorskip("pandas")
        frame = pd.DataFrame({"a": [1, 2]})
        assert TableFiles(self.save(frame, tmp_path / "a.pq")).index == []
        frame.index = pd.Index(["x", "y"], name="id")
        assert TableFiles(self.save(frame, tmp_path / "b.pq")).index == ["id"]
        frame.to_csv(tmp_path / "a.csv", index_label="")
        assert TableFiles(tmp_path / "a.csv").index == [""]

    def save(self, frame, path):
        return write(path, pa.Table.from_pandas(frame))

    def test_a_consumer_that_stops(self, tmp_path):
        for i in range(20):
            write(tmp_path / f"{i}.parquet")
        parts = TableFiles(tmp_path).parts(["a"])
        next(parts)
        assert not no_threads()
        parts.close()
        assert no_threads()

        def fail():
            with contextlib.closing(TableFiles(tmp_path).parts(["a"])) as parts:
                for _ in parts:
                    raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            fail()
        assert no_threads()

    @pytest.mark.parametrize("ahead", [0, 1, 3])
    def test_no_more_parts_at_once_than_asked_for(self, tmp_path, ahead):
        for i in range(12):
            write(tmp_path / f"{i:02}.parquet")
        files = TableFiles(tmp_path)
        made = []
        opened = pq.ParquetFile

        def count(path, **options):
            made.append(path)
            return opened(path, **options)

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(pq, "ParquetFile", count)
            for used, _ in enumerate(files.parts(["a"], ahead=ahead), 1):
                deadline = time.monotonic() + 10
                while len(made) < min(12, used + ahead) and time.monotonic() < deadline:
                    time.sleep(0.001)  # the thread reads ahead
                time.sleep(0.01)
                assert len(made) == min(12, used + ahead)

    def test_an_error_while_reading(self, tmp_path):
        for i in range(3):
            write(tmp_path / f"{i}.parquet")
        files = TableFiles(tmp_path)
        (tmp_path / "1.parquet").unlink()
        seen = []

        def go():
            for part in files.parts(["a"]):
                seen.append(part.num_rows)

        with pytest.raises(ValueError, match=r"1.parquet' cannot be read as Parquet: "):
            go()
        assert seen == [3]
        assert no_threads()


class TestStatistics:
    def of(self, tmp_path, values, kind=None, **options):
        array = pa.array(values, kind) if not isinstance(values, pa.Array) else values
        path = write(tmp_path / "a.parquet", pa.table({"a": array}), **options)
        return [b if b is None else tuple(b) for b in TableFiles(path).statistics("a")]

    def test_numbers(self, tmp_path):
        assert self.of(tmp_path, [3, 1, None, 7, 7], row_group_size=3) == [(1, 3, 1), (7, 7, 0)]
        assert self.of(tmp_path, [True, False]) == [(False, True, 0)]
        assert self.of(tmp_path, [0.5, None, 2], pa.float32()) == [(0.5, 2, 1)]
        assert self.of(tmp_path, [2**64 - 1, 5], pa.uint64()) == [(5, 2**64 - 1, 0)]
        assert self.of(tmp_path, [None, None], pa.float64()) == [(None, None, 2)]

    def test_what_tells_nothing(self, tmp_path):
        assert self.of(tmp_path, [1, 2], write_statistics=False) == [None]
        assert self.of(tmp_path, ["a", "b"]) == [None]
        assert self.of(tmp_path, pa.array(["a"]).dictionary_encode()) == [None]
        nan = np.array([np.nan, np.nan])
        assert self.of(tmp_path, pa.array(nan)) == [None]
        assert self.of(tmp_path, pa.array([1.0, np.inf])) == [None]
        # NaN is passed over by those who write statistics.
        assert self.of(tmp_path, pa.array(np.array([1.0, np.nan, 2.0]))) == [(1, 2, 0)]
        assert TableFiles(write(tmp_path / "a.csv")).statistics("a") == [None]


class TestCsv:
    def make(self, tmp_path, text, name="a.csv"):
        (tmp_path / name).write_text(text)
        return TableFiles(tmp_path)

    @settings(max_examples=60, deadline=None)
    @given(
        cells=st.lists(
            st.sampled_from(
                [
                    "",
                    "NA",
                    "nan",
                    "1",
                    "0",
                    "-7",
                    "2.5",
                    "1e3",
                    "true",
                    "False",
                    "x",
                    "x,y",
                    "2020-01-01",
                    "12:30:00",
                    "2020-01-01 12:30:00",
                    "9999999999999999999",
                    '"q"',
                ]
            ),
            min_size=1,
            max_size=12,
        ),
        block=st.integers(40, 200),
        cut=st.integers(0, 12),
    )
    def test_types_are_those_of_a_whole_file(self, tmp_path_factory, cells, block, cut):
        folder = tmp_path_factory.mktemp("csv")
        rows = ['{},"{}"'.format(i, cell.replace('"', '""')) for i, cell in enumerate(cells)]
        (folder / "_whole.csv").write_text("\n".join(["i,c", *rows]) + "\n")
        for name, some in (("1", rows[:cut]), ("2", rows[cut:])):
            (folder / f"{name}.csv").write_text("\n".join(["i,c", *some]) + "\n")
        whole = pa_csv.read_csv(
            folder / "_whole.csv", convert_options=pa_csv.ConvertOptions(strings_can_be_null=True)
        )
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(module, "_BLOCK_BYTES", block)
            files = TableFiles(folder)
            assert read(files) == whole
            assert files.schema == whole.schema
            assert read(files, ["c"]) == whole.select(["c"])

    def test_settle_types(self, tmp_path):
        files = self.make(tmp_path, "a,b\n1,\n", "1.csv")
        (tmp_path / "2.csv").write_text("a,b\n0.5,x\n")
        files = TableFiles(tmp_path)
        assert files.schema.types == [pa.int64(), pa.null()]
        files.settle_types(["a"])
        assert files.schema.types == [pa.float64(), pa.null()]
        files.settle_types()
        assert files.schema.types == [pa.float64(), pa.string()]
        assert read(files).to_pydict() == {"a": [1.0, 0.5], "b": [None, "x"]}

    def test_delimiter_and_quotes(self, tmp_path):
        (tmp_path / "a.csv").write_text('a;"b;c"\n1;"x\ny"\n')
        files = TableFiles(tmp_path, delimiter=";")
        assert read(files).to_pydict() == {"a": [1], "b;c": ["x\ny"]}

    def test_a_mark_of_byte_order(self, tmp_path):
        for i in range(2):
            (tmp_path / f"{i}.csv").write_bytes(b"\xef\xbb\xbfa,b\r\n1,2\r\n")
        assert read(TableFiles(tmp_path)).to_pydict() == {"a": [1, 1], "b": [2, 2]}

    def test_a_file_without_rows(self, tmp_path):
        self.make(tmp_path, "a,b\n", "1.csv")
        files = self.make(tmp_path, "a,b\n1,2\n", "2.csv")
        assert read(files).to_pydict() == {"a": [1], "b": [2]}
