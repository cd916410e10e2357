"""One table in one or many files, read in parts that fit in memory."""

import contextlib
import copy
import csv
import difflib
import glob
import itertools
import os
import re
import threading
from collections import Counter
from collections.abc import Callable, Collection, Generator, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from queue import SimpleQueue
from typing import Any, NamedTuple, TypeVar

import pyarrow as pa
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq

T = TypeVar("T")
Source = str | os.PathLike[str] | Iterable[str | os.PathLike[str]]
Done = Callable[[int, int], object]

KINDS = {".csv": "csv", ".parquet": "parquet", ".pq": "parquet"}

# Cells of a part: 16 MB in single precision. Memory of more than 32 MB the allocator would fetch
# anew for every part. Whole row groups are no quicker to read, and may be of any size.
_PART_CELLS = 1 << 22
# A part of few columns has no more rows than one of so many.
_PART_COLUMNS = 8
# pyarrow reads up to 32 blocks of a CSV file ahead. A row must fit in one: where there are many
# columns, a block is at least so many times the line that names them.
_BLOCK_BYTES = 1 << 22
_BLOCK_LINES = 16
# What pyarrow takes a CSV file's column for, in the order of its trials.
_CSV_TYPES = [
    pa.null(),
    pa.int64(),
    pa.bool_(),
    pa.date32(),
    pa.time32("s"),
    pa.timestamp("s"),
    pa.timestamp("ns"),
    pa.float64(),
    pa.string(),
]


class Group(NamedTuple):
    """What is read in one go: a row group of a Parquet file, or a CSV file."""

    path: Path
    number: int
    first_row: int
    n_rows: int
    n_bytes: int


class Bounds(NamedTuple):
    """What a Parquet file says of a column in a row group; no numbers where all are missing."""

    low: float | None
    high: float | None
    n_missing: int | None


@dataclass
class Part:
    """Some rows of a table in files.

    Attributes
    ----------
    table : pyarrow.Table
        The rows.
    path : pathlib.Path
        Their file.
    first_row : int
        Where the first of them stands in that file, counted from 0.
    groups : list of int
        Their places in :attr:`TableFiles.groups`.
    """

    table: Any
    path: Path
    first_row: int
    groups: list[int]

    def take(self) -> Any:
        """Take the rows, so that they go when whoever takes them lets go."""
        table, self.table = self.table, None
        return table


class TypesWidened(Exception):  # noqa: N818  (no error: a pass is to begin again)
    """A CSV file's cell did not fit its column's type, which is now wider: begin the pass again."""


class TableFiles:
    r"""One table in one or many Parquet or CSV files.

    Parameters
    ----------
    source : path, or list of paths
        A file; a folder, with all files below it whose ending is .parquet, .pq or .csv, in
        alphabetical order (names that begin with "." or "_" are passed over); a pattern such as
        "rows/\*.parquet"; or a list of these, in its order.
    delimiter : str, default=","
        Between the cells of CSV files.

    Attributes
    ----------
    paths : list of pathlib.Path
        The files, in the order of their rows.
    kind : {"parquet", "csv"}
        Their kind.
    schema : pyarrow.Schema
        Columns and types. The types of CSV files are what the first 4 MB look like, until
        :meth:`settle_types`.
    names : list of str
        Column names.
    index : list of str
        Columns that number or name the rows: of Parquet files the columns of a pandas index, of
        CSV files the first column where it has no name, as pandas and R write it.
    groups : list of Group
        What is read in one go.
    n_rows : int or None
        Rows in all; None for CSV files, which don't say.
    n_bytes : int
        Size on disk.

    Raises
    ------
    FileNotFoundError
        If a file is not there, or a folder or pattern has none.
    ValueError
        If a file is empty, damaged or of an unknown kind, has two columns of one name, or differs
        from the first file in its kind, columns or types. The message names it.

    Examples
    --------
    >>> from pathlib import Path
    >>> from tempfile import TemporaryDirectory
    >>> import pyarrow as pa, pyarrow.parquet as pq
    >>> with TemporaryDirectory() as folder:
    ...     for i in range(3):
    ...         pq.write_table(pa.table({"a": [i, i], "b": [0.5, i]}), f"{folder}/{i}.parquet")
    ...     files = TableFiles(folder)
    ...     files.names, files.n_rows, [part["b"].to_pylist() for part in files.parts(["b"])]
    (['a', 'b'], 6, [[0.5, 0.0], [0.5, 1.0], [0.5, 2.0]])
    """

    def __init__(self, source: Source, *, delimiter: str = ",") -> None:
        self.delimiter = delimiter
        self.paths = find_files(source)
        self.kind = KINDS[self.paths[0].suffix.lower()]
        for path in self.paths:
            if KINDS[path.suffix.lower()] != self.kind:
                raise ValueError(
                    f"{str(self.paths[0])!r} and {str(path)!r} are of two kinds; a table's files "
                    "must be all Parquet or all CSV."
                )
            if path.stat().st_size == 0:
                raise ValueError(f"{str(path)!r} is empty.")
        self.n_bytes = sum(path.stat().st_size for path in self.paths)
        self.n_rows: int | None = None
        self.schema: Any
        self.groups: list[Group] = []
        # Names of the columns whose types no cell can change any more.
        self._settled: set[str] = set()
        if self.kind == "parquet":
            self._open_parquet()
        else:
            self._open_csv()
        self.names: list[str] = self.schema.names
        self.index = self._find_index()

    # Looking at the files --------------------------------------------------------------------

    def _open_parquet(self) -> None:
        self._footers: dict[Path, Any] = {}
        n_rows = 0
        schema: Any = None
        for path in self.paths:
            with _reading(path, "Parquet"), pq.ParquetFile(path) as file:
                footer, mine = file.metadata, file.schema_arrow
            _check_names(path, mine.names)
            schema = mine if schema is None else _join_schemas(schema, mine, path, self.paths[0])
            self._footers[path] = footer
            first = 0
            # What is not in row groups, the footer and padding, counts with the last of them.
            rest = path.stat().st_size
            for number in range(footer.num_row_groups):
                group = footer.row_group(number)
                columns = (group.column(i) for i in range(group.num_columns))
                size = min(rest, sum(column.total_compressed_size for column in columns))
                size = rest if number == footer.num_row_groups - 1 else size
                self.groups.append(Group(path, number, first, group.num_rows, size))
                first += group.num_rows
                rest -= size
            n_rows += footer.num_rows
        self.schema, self.n_rows = schema, n_rows
        self._settled.update(schema.names)

    def _open_csv(self) -> None:
        names: list[str] = []
        for path in self.paths:
            mine = self.csv_names(path)
            names = self._header = names or mine
            _check_columns(path, mine, self.paths[0], names)
            self.groups.append(Group(path, 0, 0, 0, path.stat().st_size))
        path = self.paths[0]
        with (
            _reading(path, "CSV"),
            pa_csv.open_csv(path, self._blocks, self._parsing, _converting()) as reader,
        ):
            self.schema = reader.schema
        _check_names(path, self.schema.names)
        for field in self.schema:
            # Other types (a time with fractions) have no place in the order: text holds them.
            if field.type not in _CSV_TYPES:
                self._set_type(field.name, pa.string())

    def csv_names(self, path: Path) -> list[str]:
        """Read the column names of one of the CSV files, in its own order."""
        with _reading(path, "CSV"):
            with path.open("rb") as start:
                if start.read(2) in (b"\xff\xfe", b"\xfe\xff"):
                    raise ValueError(f"{str(path)!r} is UTF-16 text; save it as UTF-8.")
            # Escaped: only the names must be right here, and what follows is decoded with them.
            with path.open(encoding="utf-8-sig", errors="surrogateescape", newline="") as text:
                names = next(csv.reader(text, delimiter=self.delimiter), None)
        if not names:
            raise ValueError(f"{str(path)!r} begins with an empty line; it must name the columns.")
        if any("\ud800" <= letter <= "\udfff" for name in names for letter in name):
            raise ValueError(
                f"{str(path)!r}: the column names are not UTF-8 text; save it as UTF-8."
            )
        return names

    @property
    def _blocks(self) -> pa_csv.ReadOptions:
        line = sum(len(name) + 1 for name in self._header)
        return pa_csv.ReadOptions(block_size=max(_BLOCK_BYTES, _BLOCK_LINES * line))

    @property
    def _parsing(self) -> pa_csv.ParseOptions:
        return pa_csv.ParseOptions(delimiter=self.delimiter, newlines_in_values=True)

    def _find_index(self) -> list[str]:
        if self.kind == "csv":
            return self.names[:1] if self.names[0] == "" else []
        metadata = self.schema.pandas_metadata or {}
        # A plain range is no column: it is described in the metadata only.
        columns = metadata.get("index_columns", [])
        return [name for name in columns if isinstance(name, str) and name in self.names]

    def of_groups(self, groups: Collection[int]) -> "TableFiles":
        """Take some of what is read in one go for the whole table.

        Parameters
        ----------
        groups : collection of int
            Which of :attr:`groups`.

        Returns
        -------
        TableFiles
            With these alone, in the order they had.
        """
        some = copy.copy(self)
        some._settled = set(self._settled)
        some.groups = [group for i, group in enumerate(self.groups) if i in groups]
        some.n_bytes = sum(group.n_bytes for group in some.groups)
        if self.n_rows is not None:
            some.n_rows = sum(group.n_rows for group in some.groups)
        return some

    def keep_text(self, columns: Iterable[str]) -> None:
        """Let CSV files' columns be text, as it stands there: names such as 007 look like numbers.

        Parameters
        ----------
        columns : iterable of str
            Which; in Parquet files, where each column has its type, nothing changes.
        """
        if self.kind == "csv":
            for name in columns:
                self._set_type(name, pa.string())

    def check_column(self, name: str) -> None:
        """Make sure that there is a column of this name.

        Parameters
        ----------
        name : str
            The column.

        Raises
        ------
        ValueError
            Names the file, and a column that may have been meant.
        """
        if name in self.names:
            return
        near = difflib.get_close_matches(name, self.names, n=1)
        shown = ", ".join(map(repr, self.names[:10])) + (", ..." if len(self.names) > 10 else "")
        hint = f"Did you mean {near[0]!r}?" if near else f"It has {shown}."
        raise ValueError(f"{str(self.paths[0])!r} has no column {name!r}. {hint}")

    def statistics(self, name: str) -> list[Bounds | None]:
        """Look up what Parquet files say of a column of numbers or booleans, without reading it.

        Parameters
        ----------
        name : str
            The column.

        Returns
        -------
        list of Bounds or None
            One a row group, as in :attr:`groups`. None where nothing reliable is said: for CSV
            files, other types, and columns of floats that hold infinity or nothing but NaN.

        Examples
        --------
        >>> from tempfile import TemporaryDirectory
        >>> import pyarrow as pa, pyarrow.parquet as pq
        >>> with TemporaryDirectory() as folder:
        ...     pq.write_table(pa.table({"a": [3, 1, None]}), f"{folder}/a.parquet")
        ...     TableFiles(folder).statistics("a")
        [Bounds(low=1, high=3, n_missing=1)]
        """
        kind = self.schema.field(name).type
        # float16 is left out: its order in statistics depends on the writer.
        plain = pa.types.is_integer(kind) or pa.types.is_boolean(kind)
        if not (plain or kind in (pa.float32(), pa.float64())) or self.kind == "csv":
            return [None] * len(self.groups)
        places: dict[Path, int | None] = {}
        for path, footer in self._footers.items():
            leaves = [footer.schema.column(i).path for i in range(footer.num_columns)]
            places[path] = leaves.index(name) if leaves.count(name) == 1 else None
        return [
            None if place is None else _bounds(self._footers[g.path].row_group(g.number), place)
            for g in self.groups
            for place in [places[g.path]]
        ]

    # Reading ---------------------------------------------------------------------------------

    def parts(
        self, columns: list[str], *, ahead: int = 1, done: Done | None = None
    ) -> Generator[pa.Table, None, None]:
        """Read some columns, part by part.

        Memory holds the part that was yielded and those ahead of it: some 2**24 cells each, 64 MB
        in single precision. Types of CSV files that are not settled yet are settled first.

        Parameters
        ----------
        columns : list of str
            Which to read, at least one.
        ahead : int, default=1
            Parts to read in the background while the last one is worked on.
        done : callable or None, default=None
            Called as ``done(n_rows, n_bytes)`` with each part: how many rows, and bytes of the
            files, are behind.

        Yields
        ------
        pyarrow.Table
            Some rows; of the columns in the order asked for.

        Raises
        ------
        ValueError
            If a file is damaged.
        """
        if not self._settled.issuperset(columns):
            self.settle_types(columns)
        with contextlib.closing(self.walk(columns, ahead=ahead, done=done)) as parts:
            for part in parts:
                yield part.take()

    def settle_types(self, columns: list[str] | None = None, *, done: Done | None = None) -> None:
        """Read CSV files once to find each column's type.

        A column's type is the first of these that all its cells fit, as pyarrow finds it where it
        reads a whole file: whole number, boolean, date, time, float, text. An empty cell, or NA,
        is missing. Parquet files have types already.

        Parameters
        ----------
        columns : list of str or None, default=None
            Which columns; None means all.
        done : callable or None, default=None
            As in :meth:`parts`; begins again where a cell did not fit.

        Raises
        ------
        ValueError
            If a file is damaged, or text is not UTF-8.
        """
        columns = self.names if columns is None else columns
        while not self._settled.issuperset(columns):
            with contextlib.suppress(TypesWidened):
                for _ in self.walk(columns, done=done):
                    pass

    def walk(
        self,
        columns: list[str],
        *,
        groups: Collection[int] | None = None,
        ahead: int = 1,
        done: Done | None = None,
    ) -> Generator[Part, None, None]:
        """Read as :meth:`parts` does, and tell where each part comes from.

        Parameters
        ----------
        columns : list of str
            Which to read, at least one.
        groups : collection of int or None, default=None
            Which of :attr:`groups` to read; None means all.
        ahead, done
            As in :meth:`parts`.

        Yields
        ------
        Part
            With its rows and its place: consecutive rows of a file. :meth:`Part.take` its rows,
            or they stay until the next part comes.

        Raises
        ------
        TypesWidened
            If a CSV file's cell did not fit the type of its column: forget what was read, and
            begin again. Once all was read, the types are settled and this can't happen.
        ValueError
            If a file is damaged.
        """
        for name in columns:
            self.check_column(name)
        read = self._read_parquet if self.kind == "parquet" else self._read_csv
        chosen = [i for i in range(len(self.groups)) if groups is None or i in groups]
        with contextlib.closing(_ahead(read(columns, chosen), ahead)) as pieces:
            n_rows = 0
            for part, n_bytes in pieces:
                n_rows += part.table.num_rows
                if done is not None:
                    done(n_rows, n_bytes)
                yield part
        if groups is None:
            self._settled.update(columns)

    def _read_parquet(
        self, columns: list[str], chosen: list[int]
    ) -> Generator[tuple[Part, int], None, None]:
        rows = self._part_rows(columns)
        n_bytes = 0
        for joined in self._runs(chosen):
            first = self.groups[joined[0]]
            numbers = [self.groups[i].number for i in joined]
            all_rows = sum(self.groups[i].n_rows for i in joined)
            size = sum(self.groups[i].n_bytes for i in joined)
            # Without pre_buffer and a memory map what was read is not kept; buffered, a column of
            # a row group is not read whole before it is decoded.
            with (
                _reading(first.path, "Parquet"),
                pq.ParquetFile(
                    first.path,
                    metadata=self._footers[first.path],
                    pre_buffer=False,
                    buffer_size=1 << 20,
                ) as file,
            ):
                seen = 0
                for whole in regroup(file.iter_batches(rows, numbers, columns), rows):
                    # Asked for "a", it brings a column "a.b" as well.
                    table = whole.select(columns)
                    part = Part(table, first.path, first.first_row + seen, joined)
                    seen += len(whole)
                    del whole, table
                    yield part, n_bytes + size * seen // all_rows
            n_bytes += size

    def _part_rows(self, columns: list[str]) -> int:
        return max(1, _PART_CELLS // max(len(columns), _PART_COLUMNS))

    def _runs(self, chosen: list[int]) -> Iterator[list[int]]:
        """Join row groups that follow each other in a file."""
        run: list[int] = []
        for i in chosen:
            if run and (i != run[-1] + 1 or self.groups[i].path != self.groups[run[0]].path):
                yield run
                run = []
            run.append(i)
        if run:
            yield run

    def _read_csv(
        self, columns: list[str], chosen: list[int]
    ) -> Generator[tuple[Part, int], None, None]:
        rows = self._part_rows(columns)
        types = {name: self.schema.field(name).type for name in columns}
        n_bytes = 0
        for i in chosen:
            path, size = self.groups[i].path, self.groups[i].n_bytes
            # Not a file of Python's: Arrow reads ahead in threads of its own, and one that still
            # wants the interpreter when that ends takes the process down.
            with _reading(path, "CSV"), pa.OSFile(str(path)) as text:
                first, blocks = 0, _Counted()
                try:
                    with pa_csv.open_csv(
                        text, self._blocks, self._parsing, _converting(types)
                    ) as reader:
                        for table in regroup(blocks(reader), rows):
                            part = Part(table, path, first, [i])
                            first += table.num_rows
                            del table
                            # Where the file is read is far ahead of this.
                            behind = min(size, blocks.n * self._blocks.block_size)
                            yield part, n_bytes + behind
                except pa.ArrowInvalid as error:
                    self._widen(error, path)  # raises, unless this was something else
                    # A line of names without an end: no rows.
                    if "Empty CSV file" not in str(error):
                        raise
            n_bytes += size

    def _widen(self, error: Exception, path: Path) -> None:
        """Give the column that an error is about the next type that holds the cell."""
        found = re.search(
            r"CSV column #(\d+):.*?CSV conversion error to ([^:]+): (.*)", str(error), re.DOTALL
        )
        if found is None:
            return
        # Another file's columns may stand in another order.
        name, told = self.csv_names(path)[int(found[1])], found[3]
        kind = self.schema.field(name).type
        if kind == pa.string():
            raise ValueError(
                f"{str(path)!r}: column {name!r} is not UTF-8 text; save the file as UTF-8."
            ) from None
        cell = re.fullmatch(r"invalid value '(.*)'", told, re.DOTALL)
        wider = _CSV_TYPES[_CSV_TYPES.index(kind) + 1 :]
        fits = [kind for kind in wider if cell is None or _fits(cell[1], kind)]
        self._set_type(name, [*fits, pa.string()][0])
        raise TypesWidened from None

    def _set_type(self, name: str, kind: Any) -> None:
        place = self.schema.get_field_index(name)
        self.schema = self.schema.set(place, pa.field(name, kind))


def find_files(source: Any) -> list[Path]:
    """List the files that a source names, in their order.

    Parameters
    ----------
    source : path, or list of paths
        As in :class:`TableFiles`.

    Returns
    -------
    list of pathlib.Path

    Raises
    ------
    FileNotFoundError
        If a file is not there, or a folder or pattern has none.
    ValueError
        If a file is of an unknown kind, or there twice.

    Examples
    --------
    >>> from pathlib import Path
    >>> from tempfile import TemporaryDirectory
    >>> with TemporaryDirectory() as folder:
    ...     Path(folder, "rows.csv").touch()
    ...     [path.name for path in find_files(folder)]
    ['rows.csv']
    """
    many = not isinstance(source, (str, os.PathLike))
    paths = [path for item in source for path in _expand(item)] if many else _expand(source)
    if not paths:
        raise ValueError("source: an empty list; give at least one file.")
    path, times = Counter(path.resolve() for path in paths).most_common(1)[0]
    if times > 1:
        raise ValueError(f"{str(path)!r} is given {times} times.")
    return paths


def _expand(item: str | os.PathLike[str]) -> list[Path]:
    path = Path(item)
    if path.is_dir():
        if found := _below(path):
            return found
        raise FileNotFoundError(f"folder {str(path)!r} has no files {', '.join(KINDS)}.")
    if path.exists():
        if path.suffix.lower() not in KINDS:
            has = f"has the ending {path.suffix!r}" if path.suffix else "has no ending"
            raise ValueError(f"file {str(path)!r} {has}; it must be one of {', '.join(KINDS)}.")
        return [path]
    if not glob.has_magic(str(path)):
        raise FileNotFoundError(f"there is no file {str(path)!r}.")
    plain = list(itertools.takewhile(lambda part: not glob.has_magic(part), path.parts))
    # A pattern may ask for hidden names by their first letter.
    wanted = any(_is_hidden(part) for part in path.parts[len(plain) :])
    matches = [Path(match) for match in sorted(glob.glob(str(path), recursive=True))]
    found = [
        file
        for match in matches
        if wanted or not any(map(_is_hidden, match.parts[len(plain) :]))
        for file in (_below(match) if match.is_dir() else [match])
        if file.suffix.lower() in KINDS
    ]
    if not found:
        raise FileNotFoundError(f"no files {', '.join(KINDS)} match {str(path)!r}.")
    return list(dict.fromkeys(found))  # "**" may find a folder and what is in it


def _below(folder: Path) -> list[Path]:
    return sorted(
        path
        for path in folder.rglob("*")
        if path.suffix.lower() in KINDS
        and path.is_file()
        and not any(map(_is_hidden, path.relative_to(folder).parts))
    )


def _is_hidden(name: str) -> bool:
    return name.startswith(("_", "."))


@contextlib.contextmanager
def _reading(path: Path, kind: str) -> Iterator[None]:
    try:
        yield
    except MemoryError:  # Arrow's is an ArrowException too
        raise
    except (pa.ArrowException, OSError, csv.Error) as error:
        raise ValueError(f"{str(path)!r} cannot be read as {kind}: {error}") from None


def _check_names(path: Path, names: list[str]) -> None:
    if not names:
        raise ValueError(f"{str(path)!r} has no columns.")
    name, times = Counter(names).most_common(1)[0]
    if times > 1:
        raise ValueError(f"{str(path)!r} has {times} columns named {name!r}.")


def _check_columns(path: Path, mine: list[str], first: Path, theirs: list[str]) -> None:
    for one, names, other, others in ((path, mine, first, theirs), (first, theirs, path, mine)):
        if missing := [name for name in others if name not in names]:
            raise ValueError(
                f"{str(one)!r} has no column {missing[0]!r}, which {str(other)!r} has; the files "
                "of a table must have the same columns."
            )


def _join_schemas(schema: pa.Schema, mine: pa.Schema, path: Path, first: Path) -> pa.Schema:
    _check_columns(path, mine.names, first, schema.names)
    for i, field in enumerate(schema):
        kind, other = field.type, mine.field(field.name).type
        if kind == other:
            continue
        both = (kind, other)
        if (
            all(pa.types.is_dictionary(kind) for kind in both)
            and kind.value_type == other.value_type
        ):
            # How categories are numbered is a matter of how many a file has.
            wide = max(both, key=lambda kind: kind.index_type.bit_width).index_type
            ordered = kind.ordered and other.ordered
            schema = schema.set(i, field.with_type(pa.dictionary(wide, kind.value_type, ordered)))
            continue
        raise ValueError(
            f"column {field.name!r} is {kind} in {str(first)!r} and {other} in {str(path)!r}; the "
            "files of a table must have the same types."
        )
    return schema


def _bounds(group: Any, place: int) -> Bounds | None:
    column = group.column(place)
    told = column.statistics
    if told is None:
        return None
    missing = told.null_count if told.has_null_count else None
    if missing == group.num_rows:
        return Bounds(None, None, missing)
    if not told.has_min_max:
        return None
    low, high = told.min, told.max
    # Infinity is for the reader to complain about; NaN has no place in statistics.
    return (
        Bounds(low, high, missing)
        if float(low) - float(low) == float(high) - float(high) == 0
        else None
    )


def _converting(types: dict[str, Any] | None = None) -> pa_csv.ConvertOptions:
    return pa_csv.ConvertOptions(
        include_columns=types and list(types), column_types=types, strings_can_be_null=True
    )


def _fits(cell: str, kind: Any) -> bool:
    # As the only cell of a file, quoted: it may hold the delimiter.
    text = '"c"\n"' + cell.replace('"', '""') + '"\n'
    try:
        pa_csv.read_csv(
            pa.BufferReader(text.encode()),
            parse_options=pa_csv.ParseOptions(newlines_in_values=True),
            convert_options=_converting({"c": kind}),
        )
    except pa.ArrowException:
        return False
    return True


def regroup(batches: Iterable[pa.RecordBatch], rows: int) -> Iterator[pa.Table]:
    """Cut and join batches to so many rows a table; the last may have fewer."""
    kept: list[pa.RecordBatch] = []
    n = 0
    for batch in batches:
        rest = batch
        while n + len(rest) >= rows:
            kept.append(rest.slice(0, rows - n))
            rest = rest.slice(rows - n)
            table = pa.Table.from_batches(kept)
            kept, n = [], 0
            yield table
            del table
        if len(rest):
            kept.append(rest)
            n += len(rest)
        del batch, rest
    if n:
        yield pa.Table.from_batches(kept)


class _Counted:
    """Counts what passes by."""

    n = 0

    def __call__(self, items: Iterable[T]) -> Iterator[T]:
        for item in items:
            self.n += 1
            yield item
            del item


def _ahead(source: Generator[T, None, None], n: int) -> Generator[T, None, None]:
    """Take items from a source in a thread, so many ahead of their use."""
    if n < 1:
        with contextlib.closing(source):
            yield from source
        return
    # One more than are ahead: the one in use. A permit is needed before an item is made, so that
    # no more are held.
    permits = threading.Semaphore(n + 1)
    items: SimpleQueue[tuple[list[T], BaseException | None]] = SimpleQueue()
    stop = threading.Event()

    def work() -> None:
        try:
            while permits.acquire() and not stop.is_set():
                items.put(([next(source)], None))
        except StopIteration:
            items.put(([], None))
        except BaseException as error:  # the consumer raises it
            items.put(([], error))
        finally:
            source.close()

    thread = threading.Thread(target=work, name="nngmix-read", daemon=True)
    try:
        # An interruption may come while the thread starts; then, too, it must stop.
        thread.start()
        while True:
            item, error = items.get()
            if error is not None:
                try:
                    raise error
                finally:
                    # The error holds this frame, and so would hold itself: with it the reader,
                    # whose threads must not be there when the interpreter ends.
                    del error
            if not item:
                return
            yield item.pop()
            permits.release()
    finally:
        stop.set()
        permits.release()
        with contextlib.suppress(RuntimeError):  # it did not start
            thread.join()
