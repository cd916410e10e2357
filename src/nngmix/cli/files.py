"""Tables on disk: CSV and Parquet by file ending, checked before work, written all or nothing."""

import contextlib
import csv
import difflib
import io
import json
import os
import re
import shutil
import tempfile
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from glob import has_magic
from pathlib import Path
from typing import IO, Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq

from nngmix.cli.errors import UsageError
from nngmix.replacing import replacing as replacing  # the commands take it from here
from nngmix.sampling.files import TableFiles, TypesWidened, find_files, regroup

TABLES = {".csv": "csv", ".parquet": "parquet", ".pq": "parquet"}
PICTURES = {".png": "png", ".svg": "svg", ".pdf": "pdf"}

# A row of a CSV file must fit in one block, and very wide tables have rows above the usual 1 MB.
_BLOCK_BYTES = 1 << 24
# A row of a CSV file, and what ends it: a line may also end inside a cell.
_FIRST_ROW = re.compile(rb'(?:"[^"]*"|[^"\r\n]+)*+(?:\r\n|\n|\r|$)')
# Cells turned into text at a time: some ten MB.
_TEXT_CELLS = 1 << 19


def check_ending(path: Path, kinds: dict[str, str], what: str) -> str:
    """Tell a file's kind by its ending, or say which endings there are."""
    try:
        return kinds[path.suffix.lower()]
    except KeyError:
        has = f"has the ending {path.suffix!r}" if path.suffix else "has no ending"
        raise UsageError(
            f"{what} {str(path)!r} {has}; it must be one of {', '.join(kinds)}."
        ) from None


def check_not_input(path: Path, what: str, source: Path) -> None:
    """Make sure that an output does not take the place of what is read."""
    if path.exists() and source.exists() and path.samefile(source):
        raise UsageError(f"{what} {str(path)!r} is the input; give another name.")


def check_output(path: Path, kinds: dict[str, str], what: str, force: bool) -> None:
    """Make sure, before any work, that a file of some kind can be written."""
    check_ending(path, kinds, what)
    check_output_place(path, what, force)


def check_output_place(path: Path, what: str, force: bool) -> None:
    """Make sure, before any work, that a file can be written."""
    if path.is_dir():
        raise UsageError(f"{what} {str(path)!r} is a folder; give a file name.")
    if path.exists() and not force:
        raise UsageError(f"{what} {str(path)!r} exists already; --force replaces it.")
    folder = path.resolve().parent
    if not folder.is_dir():
        raise UsageError(f"{what} {str(path)!r}: there is no folder {str(path.parent)!r}.")
    check_writable(folder, f"{what} {str(path)!r}")


def check_writable(folder: Path, what: str) -> None:
    """Make sure that files can be made in a folder."""
    try:
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise UsageError(f"{what} cannot be written: {error.strerror}.") from None


def check_delimiter(text: str) -> str:
    r"""Check what stands between a CSV file's cells; ``\t``, as shells hand it on, is a tab."""
    text = "\t" if text == r"\t" else text
    # One that numbers are written with would make "1.5" two cells.
    if len(text) != 1 or not text.isascii() or text.isalnum() or text in '"+-.\r\n':
        raise UsageError(
            rf"--delimiter must be a single character, such as ; or \t (a tab); got {text!r}."
        )
    return text


class TableFile:
    """A CSV or Parquet file: its columns now, its rows when asked.

    Parameters
    ----------
    path : pathlib.Path
        The file; its ending tells its kind.
    delimiter : str, default=","
        Between the cells of a CSV file.

    Attributes
    ----------
    kind : {"csv", "parquet"}
        The kind of file.
    schema : pyarrow.Schema
        Columns, types and metadata. A CSV file's types are known only when it is read; they are
        null here.
    names : list of str
        Column names, in order.
    index : list of str
        Columns that number or name the rows: in a CSV file the first column where it has no name,
        as pandas and R write it; in a Parquet file the columns of a pandas index.

    Raises
    ------
    UsageError
        If the file is missing, empty, damaged, of an unknown kind, or repeats a column name.
    """

    def __init__(self, path: Path, delimiter: str = ",") -> None:
        self.path = path
        self.kind = check_ending(path, TABLES, "input")
        self.delimiter = delimiter
        if not path.exists():
            raise UsageError(f"there is no file {str(path)!r}.")
        if path.is_dir():
            raise UsageError(f"{str(path)!r} is a folder; give a file.")
        if not path.is_file():
            raise UsageError(f"{str(path)!r} is not a file.")
        if path.stat().st_size == 0:
            raise UsageError(f"{str(path)!r} is empty.")
        with self._reading():
            self.schema = self._read_schema()
            self.names: list[str] = self.schema.names
        name, times = Counter(self.names).most_common(1)[0] if self.names else ("", 0)
        if times > 1:
            raise UsageError(f"{str(path)!r} has {times} columns named {name!r}.")
        self.index = self._find_index()

    def _read_schema(self) -> pa.Schema:
        if self.kind == "parquet":
            with pq.ParquetFile(self.path) as file:
                return file.schema_arrow
        with self.path.open("rb") as text:
            if text.read(2) in (b"\xff\xfe", b"\xfe\xff"):
                raise UsageError(f"{str(self.path)!r} is UTF-16 text; save it as UTF-8.")
        with pa_csv.open_csv(self.path, self._blocks, self._parsing) as reader:
            return pa.schema([(name, pa.null()) for name in reader.schema.names])

    @property
    def _blocks(self) -> pa_csv.ReadOptions:
        return pa_csv.ReadOptions(block_size=_BLOCK_BYTES)

    @property
    def _parsing(self) -> pa_csv.ParseOptions:
        return pa_csv.ParseOptions(delimiter=self.delimiter, newlines_in_values=True)

    @contextlib.contextmanager
    def _reading(self) -> Iterator[None]:
        what = "CSV" if self.kind == "csv" else "Parquet"
        try:
            yield
        except UnicodeDecodeError:
            raise UsageError(
                f"{str(self.path)!r}: the column names are not UTF-8 text; save it as UTF-8."
            ) from None
        except (pa.ArrowException, OSError) as error:
            if "Empty CSV file" in str(error):
                raise UsageError(f"{str(self.path)!r} has no rows.") from None
            raise UsageError(f"{str(self.path)!r} cannot be read as {what}: {error}") from None

    def _find_index(self) -> list[str]:
        if self.kind == "csv":
            return self.names[:1] if self.names[0] == "" else []
        metadata = self.schema.pandas_metadata or {}
        # A plain range is no column: it is described in the metadata only.
        return [name for name in metadata.get("index_columns", []) if name in self.names]

    def column(self, name: str, option: str) -> str:
        """Check that a column exists, and suggest what may have been meant."""
        if name in self.names:
            return name
        near = difflib.get_close_matches(name, self.names, n=1)
        other = [c for c in ",;\t|" if self.kind == "csv" and c in self.names[0]]
        if near:
            hint = f"Did you mean {near[0]!r}?"
        elif len(self.names) == 1 and other:
            hint = f"Its cells seem to be separated by {other[0]!r}: see --delimiter."
        else:
            shown = ", ".join(map(repr, self.names[:10])) or "no columns at all"
            hint = f"It has {shown}{', ...' if len(self.names) > 10 else ''}."
        raise UsageError(f"{option}: {str(self.path)!r} has no column {name!r}. {hint}")

    def read(
        self, names: list[str] | None = None, types: Mapping[str, pa.DataType] | None = None
    ) -> pa.Table:
        """Read some columns, or all, into memory; `types` settles how a CSV file's are read."""
        with self._reading():
            if self.kind == "parquet":
                with pq.ParquetFile(self.path) as file:
                    # Asked for "a", it brings a column "a.b" as well.
                    table = file.read(columns=names)
                return table if names is None else table.select(names)
            wanted = pa_csv.ConvertOptions(
                include_columns=names, column_types=types, strings_can_be_null=True
            )
            table = pa_csv.read_csv(self.path, self._blocks, self._parsing, wanted)
        for field in table.schema:
            if pa.types.is_binary(field.type):
                raise UsageError(
                    f"{str(self.path)!r}: column {field.name!r} is not UTF-8 text; save the file "
                    "as UTF-8."
                )
        return table

    def batches(
        self,
        types: Mapping[str, pa.DataType],
        as_text: Iterable[str],
        rows: int,
        done: Callable[[float], None] = lambda share: None,
    ) -> Iterator[pa.Table]:
        """Read some columns in pieces, so that the file may be larger than memory.

        Parameters
        ----------
        types : mapping of str to pyarrow.DataType
            Columns to read, and their types in a CSV file, where no piece can know what the next
            one holds. A Parquet file's columns come with the types that they have.
        as_text : iterable of str
            More columns to read, from a CSV file as the text that stands there.
        rows : int
            Rows in a piece; the last one may have fewer.
        done : callable, default=does nothing
            Told, with each piece, which share of the file is read.

        Yields
        ------
        pyarrow.Table
            None where there are no rows.

        Raises
        ------
        UsageError
            If the file is damaged, or a CSV file's cell is not of its column's type.
        """
        names = list(dict.fromkeys([*types, *as_text]))
        if self.kind == "parquet":
            with self._reading(), pq.ParquetFile(self.path, pre_buffer=False) as file:
                n_read = 0
                for table in regroup(file.iter_batches(batch_size=rows, columns=names), rows):
                    n_read += len(table)
                    done(n_read / file.metadata.num_rows)
                    yield table.select(names)
            return
        wanted = pa_csv.ConvertOptions(
            include_columns=names, column_types={**dict.fromkeys(as_text, pa.string()), **types}
        )
        # Without threads, the reader knows in which row a bad cell stands.
        reading = pa_csv.ReadOptions(block_size=_BLOCK_BYTES, use_threads=False)
        size = self.path.stat().st_size
        # Not a file of Python's: Arrow reads ahead in threads of its own, and one that still wants
        # the interpreter when that ends takes the process down.
        with self._reading(), pa.OSFile(str(self.path)) as text:
            try:
                with pa_csv.open_csv(text, reading, self._parsing, wanted) as reader:
                    for table in regroup(reader, rows):
                        done(text.tell() / size)
                        yield _with_gaps(table, [n for n in types if types[n] == pa.string()])
            except pa.ArrowInvalid as error:
                raise self._bad_cell(error) from None

    def _bad_cell(self, error: Exception) -> Exception:
        """Say in this file's words which cell is not of its column's type."""
        found = re.search(
            r"CSV column #(\d+): Row #(\d+): CSV conversion error to (\w+): invalid value (.*)",
            str(error),
            re.DOTALL,
        )
        if found is None:
            return error
        column, row, kind, cell = found.groups()
        wanted = {"double": "a number", "bool": "true or false"}.get(kind, kind)
        # The reader counts the header, and from 1.
        return UsageError(
            f"{str(self.path)!r}: column {self.names[int(column)]!r} holds {cell} in row "
            f"{int(row) - 2} (counted from 0); it must be {wanted} there, or empty."
        )


def _with_gaps(table: pa.Table, names: list[str]) -> pa.Table:
    """Make text that stands for a missing cell one, as when a whole file is read."""
    gaps = pa.array(pa_csv.ConvertOptions().null_values)
    for name in names:
        column = table[name]
        there = pc.if_else(pc.is_in(column, gaps), pa.scalar(None, pa.string()), column)
        table = table.set_column(table.schema.get_field_index(name), name, there)
    return table


def check_crossing(source: TableFile, output: Path, names: list[str] | None = None) -> None:
    """Make sure, before any work, that a CSV file can hold the columns of a Parquet file."""
    if source.kind == "csv" or check_ending(output, TABLES, "output") == "parquet":
        return
    for field in source.schema if names is None else map(source.schema.field, names):
        try:
            _as_text(pa.nulls(0, field.type), source.delimiter)
        except pa.ArrowNotImplementedError:
            raise UsageError(
                f"{str(source.path)!r}: CSV cannot hold column {field.name!r} ({field.type}); "
                "write Parquet."
            ) from None


def open_tables(inputs: list[Path], delimiter: str) -> TableFiles:
    """Take files, folders and patterns for one table, or say why they are none."""
    try:
        return TableFiles(inputs, delimiter=delimiter)
    except (ValueError, FileNotFoundError) as error:
        raise UsageError(str(error)) from None


def open_first(inputs: list[Path], delimiter: str) -> TableFile:
    """Open the first of the files that are meant: its columns are those of all."""
    return TableFile(_paths_of(inputs)[0], delimiter)


def open_each(inputs: list[Path], delimiter: str) -> list[TableFile]:
    """Open the files that are meant, all of one kind; their columns need not be the same."""
    sources = [TableFile(path, delimiter) for path in _paths_of(inputs)]
    for source in sources:
        if source.kind != sources[0].kind:
            raise UsageError(
                f"{str(sources[0].path)!r} and {str(source.path)!r} are of two kinds; a table's "
                "files must be all Parquet or all CSV."
            )
    return sources


def _paths_of(inputs: list[Path]) -> list[Path]:
    """List the files that are meant; what is wrong with a single one, opening it tells."""
    if _is_one_file(inputs):
        return inputs
    try:
        return find_files(inputs)
    except (ValueError, FileNotFoundError) as error:
        raise UsageError(str(error)) from None


def _is_one_file(inputs: list[Path]) -> bool:
    """Whether a single file is meant, and no folder, pattern or several."""
    path = inputs[0]
    return len(inputs) == 1 and not path.is_dir() and (path.exists() or not has_magic(str(path)))


def peek(table: TableFiles, names: list[str]) -> pa.Table | None:
    """Read the first rows of a table; None where there are none."""
    while True:
        # A cell that is not of its column's type widens the type: then once more.
        with (
            contextlib.suppress(TypesWidened),
            contextlib.closing(table.walk(names, ahead=0)) as parts,
        ):
            return next((part.take() for part in parts), None)


def write_rows(
    table: TableFiles,
    n_rows: int,
    schema: pa.Schema,
    new: Iterable[pa.Table],
    path: Path,
    *,
    only_new: bool,
    done: Callable[[int], object] = lambda rows: None,
) -> None:
    """Write a table's rows and then new ones, or the new ones alone, in little memory.

    Parameters
    ----------
    table : TableFiles
        Where the original rows are.
    n_rows : int
        How many these are.
    schema : pyarrow.Schema
        Columns and types of the output.
    new : iterable of pyarrow.Table
        Generated rows, piece by piece, with the columns of the table.
    path : pathlib.Path
        Where to write; its ending tells the kind. Nothing is there until all is.
    only_new : bool
        Leave the original rows out.
    done : callable, default=does nothing
        Told how many more rows are written, now and then.
    """
    with replacing(path) as beside:
        if check_ending(path, TABLES, "output") == "parquet":
            with _parquet_writer(beside, schema) as writer:
                for piece in [new] if only_new else [table.parts(table.names), new]:
                    for rows in piece:
                        writer.write_table(rows.cast(schema))
                        done(len(rows))
            return
        with beside.open("wb") as out:
            end = _line_end(table.paths[0]) if table.kind == "csv" else "\n"
            if table.kind == "csv" and not only_new:
                # The original text, byte for byte: dates, leading zeros, number formats survive.
                for i, source in enumerate(table.paths):
                    if table.csv_names(source) == table.names:
                        _copy(source, out, end, header=i == 0)
                        continue
                    # Its columns stand in another order.
                    for rows in table.of_groups({i}).parts(table.names):
                        _append_csv(out, rows, table.delimiter, end)
                done(n_rows)
            else:
                out.write(_header(schema.names, table.delimiter, end))
                for rows in [] if only_new else table.parts(table.names):
                    _append_csv(out, rows, table.delimiter, end)
                    done(len(rows))
            for rows in new:
                _append_csv(out, rows, table.delimiter, end)
                done(len(rows))


@contextlib.contextmanager
def writing(
    path: Path, schema: pa.Schema, delimiter: str = ","
) -> Iterator[Callable[[pa.Table], None]]:
    """Write a table piece by piece; nothing is there until all is.

    Parameters
    ----------
    path : pathlib.Path
        Where to write; its ending tells the kind.
    schema : pyarrow.Schema
        Columns and types.
    delimiter : str, default=","
        Between the cells of a CSV file.

    Yields
    ------
    callable
        Writes one more piece.
    """
    with replacing(path) as beside:
        if check_ending(path, TABLES, "output") == "parquet":
            with _parquet_writer(beside, schema) as writer:
                yield writer.write_table
            return
        with beside.open("wb") as out:
            out.write(_header(schema.names, delimiter, "\n"))
            yield lambda table: _append_csv(out, table, delimiter, "\n")


def _parquet_writer(path: Path, schema: pa.Schema) -> Any:
    # Numbers with decimals seldom repeat: a dictionary of them takes six times as long to write,
    # and half as much more room.
    repeated = [field.name for field in schema if not pa.types.is_floating(field.type)]
    return pq.ParquetWriter(path, schema, use_dictionary=repeated or False)


def _header(names: list[str], delimiter: str, end: str) -> bytes:
    text = io.StringIO()
    csv.writer(text, delimiter=delimiter, lineterminator=end).writerow(names)
    return text.getvalue().encode()


def grow_range(schema: pa.Schema, n_rows: int, n_new: int, only_new: bool) -> pa.Schema:
    """Let the row numbers that pandas keeps as a range, in the metadata, count the new rows.

    Parameters
    ----------
    schema : pyarrow.Schema
        Of the original rows.
    n_rows, n_new : int
        How many original and new rows there are.
    only_new : bool
        Whether the new rows stand alone.

    Returns
    -------
    pyarrow.Schema
    """
    pandas = schema.pandas_metadata
    if not pandas:
        return schema
    for index in pandas["index_columns"]:
        if isinstance(index, dict) and index["kind"] == "range":
            end = index["start"] + n_rows * index["step"]
            index["start"] = end if only_new else index["start"]
            index["stop"] = end + n_new * index["step"]
    return schema.with_metadata({**schema.metadata, b"pandas": json.dumps(pandas).encode()})


def _line_end(path: Path) -> str:
    with path.open("rb") as text:
        found = re.search(rb"\r\n|\n|\r", text.read(_BLOCK_BYTES))
    return found[0].decode() if found else "\n"


def _copy(path: Path, out: IO[bytes], end: str, *, header: bool) -> None:
    """Copy a text file, with or without its header, and make sure that its last line ends."""
    with path.open("rb") as text:
        if not header:
            found = _FIRST_ROW.match(text.read(_BLOCK_BYTES))
            text.seek(found.end() if found else 0)
        begin = text.tell()
        shutil.copyfileobj(text, out, length=1 << 20)
        if text.tell() > begin:
            text.seek(-1, os.SEEK_END)
            if text.read(1) not in b"\r\n":
                out.write(end.encode())


def _append_csv(out: IO[bytes], table: pa.Table, delimiter: str, end: str) -> None:
    """Append rows as text, in pieces that keep memory small.

    pyarrow's own writer quotes every cell of a table that has any text, and writes 1.0 as 1.
    """
    for batch in table.to_batches(max_chunksize=max(1, _TEXT_CELLS // table.num_columns)):
        cells = [_as_text(column, delimiter) for column in batch.columns]
        rows = pc.binary_join_element_wise(
            *cells, _text(delimiter), null_handling="replace", null_replacement=""
        )
        lines = pc.binary_join(pa.LargeListArray.from_arrays([0, len(rows)], rows), _text(end))
        out.write(lines[0].as_buffer())
        out.write(end.encode())


def _as_text(column: Any, delimiter: str) -> Any:
    """Write cells so that their type can be read back: 1.0 for a float, True for a boolean."""
    kind = column.type
    if pa.types.is_boolean(kind):
        return pc.if_else(column, _text("True"), _text("False"))
    if pa.types.is_floating(kind):
        text = pc.if_else(pc.is_nan(column), pa.scalar(None, kind), column).cast(pa.large_string())
        whole = pc.match_substring_regex(text, r"^-?\d+$")
        return pc.if_else(whole, pc.binary_join_element_wise(text, _text(".0"), _text("")), text)
    text = column.cast(pa.large_string())
    if pa.types.is_integer(kind):
        return text
    if pa.types.is_timestamp(kind):
        text = pc.replace_substring_regex(text, r"\.0+(Z?)$", r"\1")
    quote = _text('"')
    quoted = pc.binary_join_element_wise(
        quote, pc.replace_substring(text, '"', '""'), quote, _text("")
    )
    special = [pc.match_substring(text, sign) for sign in ('"', "\n", "\r", delimiter)]
    return pc.if_else(pc.or_(pc.or_(*special[:2]), pc.or_(*special[2:])), quoted, text)


def _text(value: str) -> Any:
    # Arrow joins text of one type only, and the large one has room for long cells.
    return pa.scalar(value, pa.large_string())
