"""Tables on disk: CSV and Parquet by file ending, checked before work, written all or nothing."""

import contextlib
import difflib
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq

from nngmix.cli.errors import UsageError

TABLES = {".csv": "csv", ".parquet": "parquet", ".pq": "parquet"}
PICTURES = {".png": "png", ".svg": "svg", ".pdf": "pdf"}


def check_ending(path: Path, kinds: dict[str, str], what: str) -> str:
    """Tell a file's kind by its ending, or say which endings there are."""
    try:
        return kinds[path.suffix.lower()]
    except KeyError:
        raise UsageError(
            f"{what} {str(path)!r} has the ending {path.suffix!r}; "
            f"it must be one of {', '.join(kinds)}."
        ) from None


def check_output(path: Path, kinds: dict[str, str], what: str, force: bool) -> None:
    """Make sure, before any work, that a file can be written."""
    check_ending(path, kinds, what)
    if path.is_dir():
        raise UsageError(f"{what} {str(path)!r} is a folder; give a file name.")
    if path.exists() and not force:
        raise UsageError(f"{what} {str(path)!r} exists already; --force replaces it.")
    if not path.parent.is_dir():
        raise UsageError(f"{what} {str(path)!r}: there is no folder {str(path.parent)!r}.")
    try:
        with tempfile.TemporaryFile(dir=path.parent):
            pass
    except OSError as error:
        raise UsageError(f"{what} {str(path)!r} cannot be written: {error.strerror}.") from None


@contextlib.contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Write a file beside its place, and move it there when it is complete.

    Yields
    ------
    pathlib.Path
        Where to write. Whatever goes wrong, an interruption too, it is removed again and ``path``
        is left as it was.
    """
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.stem}-", suffix=path.suffix)
    os.close(handle)
    beside = Path(name)
    try:
        yield beside
        # mkstemp's files are private; the finished one gets the usual permissions.
        mask = os.umask(0)
        os.umask(mask)
        beside.chmod(path.stat().st_mode & 0o777 if path.exists() else 0o666 & ~mask)
        beside.replace(path)
    except BaseException:
        beside.unlink(missing_ok=True)
        raise


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
    names : list of str
        Column names, in order.
    index : str or None
        The column that is a table's row numbers, as pandas writes them: a CSV file's first column
        where it has no name and counts 0, 1, 2, ..., or the index column of a Parquet file.

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
        if not path.is_file():
            raise UsageError(f"{str(path)!r} is not a file.")
        if path.stat().st_size == 0:
            raise UsageError(f"{str(path)!r} is empty.")
        self.schema = self._read_schema()
        self.names = self.schema.names
        repeated = sorted({name for name in self.names if self.names.count(name) > 1})
        if repeated:
            raise UsageError(f"{str(path)!r} has more than one column named {repeated[0]!r}.")
        self.index = self._find_index()

    def _read_schema(self) -> pa.Schema:
        try:
            if self.kind == "parquet":
                return pq.read_schema(self.path)
            with pa_csv.open_csv(self.path, parse_options=self._parsing) as reader:
                return reader.schema
        except (pa.ArrowInvalid, OSError) as error:
            raise UsageError(self._damaged(error)) from None

    @property
    def _parsing(self) -> pa_csv.ParseOptions:
        return pa_csv.ParseOptions(delimiter=self.delimiter, newlines_in_values=True)

    def _damaged(self, error: Exception) -> str:
        kind = "CSV" if self.kind == "csv" else "Parquet"
        return f"{str(self.path)!r} cannot be read as {kind}: {error}"

    def _find_index(self) -> str | None:
        if self.kind == "parquet":
            metadata = self.schema.pandas_metadata or {}
            stored = [c for c in metadata.get("index_columns", []) if isinstance(c, str)]
            return stored[0] if len(stored) == 1 and stored[0] in self.names else None
        if self.names[0] != "" or not pa.types.is_integer(self.schema.types[0]):
            return None
        counted = self.read([""])[""]
        return "" if counted.equals(pa.chunked_array([range(len(counted))], counted.type)) else None

    def column(self, name: str, option: str) -> str:
        """Check that a column exists, and suggest what may have been meant."""
        if name not in self.names:
            near = difflib.get_close_matches(name, self.names, n=1)
            other = next((c for c in ";\t|" if c in self.names[0]), None)
            if near:
                hint = f" Did you mean {near[0]!r}?"
            elif self.kind == "csv" and len(self.names) == 1 and other:
                hint = f" Its cells seem to be separated by {other!r}: see --delimiter."
            else:
                shown = ", ".join(map(repr, self.names[:10]))
                hint = f" It has {shown}{', ...' if len(self.names) > 10 else ''}."
            raise UsageError(f"{option}: {str(self.path)!r} has no column {name!r}.{hint}")
        return name

    def read(self, names: list[str] | None = None) -> pa.Table:
        """Read some columns, or all, into memory."""
        try:
            if self.kind == "parquet":
                return pq.read_table(self.path, columns=names)
            wanted = pa_csv.ConvertOptions(include_columns=names, strings_can_be_null=True)
            return pa_csv.read_csv(self.path, parse_options=self._parsing, convert_options=wanted)
        except (pa.ArrowInvalid, OSError) as error:
            raise UsageError(self._damaged(error)) from None

    def batches(self) -> Iterator[pa.Table]:
        """All columns, a Parquet row group (or the whole CSV file) at a time."""
        if self.kind == "parquet":
            with pq.ParquetFile(self.path) as file:
                for group in range(file.num_row_groups):
                    yield file.read_row_group(group)
        else:
            yield self.read()


def write_table(
    source: TableFile, new: pa.Table, path: Path, *, only_new: bool, delimiter: str
) -> None:
    """Write the source's rows and then the new ones, or the new ones alone.

    Parameters
    ----------
    source : TableFile
        Where the original rows are.
    new : pyarrow.Table
        Generated rows, with the columns and types of the source.
    path : pathlib.Path
        Where to write; its ending tells the kind. Nothing is there until all is.
    only_new : bool
        Leave the original rows out.
    delimiter : str
        Between the cells of a CSV file.
    """
    kind = check_ending(path, TABLES, "output")
    with replacing(path) as beside:
        if kind == "parquet":
            with pq.ParquetWriter(beside, new.schema) as writer:
                for batch in [] if only_new else source.batches():
                    writer.write_table(batch.cast(new.schema))
                writer.write_table(new)
        elif source.kind == "csv" and not only_new and source.delimiter == delimiter:
            # The original text, byte for byte: dates, leading zeros and number formats survive.
            with beside.open("wb") as out:
                end = _copy(source.path, out)
                _append_csv(out, new, delimiter, end, header=False)
        else:
            with beside.open("wb") as out:
                header = True
                for batch in [] if only_new else source.batches():
                    _append_csv(out, batch, delimiter, b"\n", header=header)
                    header = False
                _append_csv(out, new, delimiter, b"\n", header=header)


def _copy(path: Path, out: IO[bytes]) -> bytes:
    """Copy a text file, make sure that its last line ends, and tell how lines end."""
    with path.open("rb") as text:
        end = b"\r\n" if text.readline().endswith(b"\r\n") else b"\n"
        text.seek(-1, os.SEEK_END)
        ended = text.read(1) in b"\r\n"
        text.seek(0)
        shutil.copyfileobj(text, out, length=1 << 20)
    if not ended:
        out.write(end)
    return end


def _append_csv(out: IO[bytes], table: pa.Table, delimiter: str, end: bytes, header: bool) -> None:
    """Append rows as text, in pieces that keep memory small."""
    for batch in table.to_batches(max_chunksize=1 << 15) or [table.schema.empty_table()]:
        columns = [_as_text(column) for column in batch.columns]
        piece = pa.table(dict(zip(table.column_names, columns, strict=True)))
        text = pa.BufferOutputStream()
        plain = not any(pa.types.is_string(field.type) for field in table.schema)
        options = pa_csv.WriteOptions(
            include_header=header, delimiter=delimiter, quoting_style="none" if plain else "needed"
        )
        pa_csv.write_csv(piece, text, options)
        written = text.getvalue().to_pybytes()
        out.write(written if end == b"\n" else written.replace(b"\n", end))
        header = False


def _as_text(column: Any) -> Any:
    """Format numbers so that their type can be read back: 1.0 for a float, True for a boolean."""
    if pa.types.is_boolean(column.type):
        return pc.if_else(column, "True", "False")
    if pa.types.is_floating(column.type):
        text = column.cast(pa.string())
        whole = pc.match_substring_regex(text, r"^-?\d+$")
        return pc.if_else(whole, pc.binary_join_element_wise(text, ".0", ""), text)
    if pa.types.is_integer(column.type) or pa.types.is_null(column.type):
        return column.cast(pa.string())
    return column
