"""All labelled anomalies of a table in files, and of its unlabelled rows as many as are wanted."""

import contextlib
from collections.abc import Sequence
from dataclasses import dataclass
from numbers import Integral
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from nngmix.sampling.files import KINDS, Done, Source, TableFiles, TypesWidened
from nngmix.sampling.labels import check_labels
from nngmix.sampling.parts import choose_columns

# What labels look like in a CSV file's column that is text for the sake of another cell.
_WORDS = {"0": 0, "1": 1, "0.0": 0, "1.0": 1, "false": 0, "true": 1}


@dataclass(frozen=True, eq=False)
class DrawnRows:
    """Rows to learn from.

    Attributes
    ----------
    X : pyarrow.Table
        The columns, in the order of the files' rows. Categories of Parquet files' dictionary
        columns are as text, or whatever the dictionary holds.
    y : ndarray of shape (n_kept,), int
        1 for a labelled anomaly, 0 for an unlabelled row.
    n_rows : int
        Rows of the files.
    """

    X: pa.Table
    y: NDArray[np.intp]
    n_rows: int


def draw_rows(
    source: Source | TableFiles,
    label: str,
    *,
    columns: Sequence[str] | None = None,
    exclude: Sequence[str] | None = None,
    max_unlabelled: int | None = 50_000,
    delimiter: str = ",",
    random_state: int = 0,
    done: Done | None = None,
) -> DrawnRows:
    """Read what a detector learns from: all labelled anomalies, and an even draw of the other rows.

    Files are read once, part by part, so that they may be larger than memory. Not from the paper.

    Parameters
    ----------
    source : path, list of paths or TableFiles
        Parquet or CSV files: one, a folder of them, a pattern such as "rows/*.parquet", or a list;
        see :class:`TableFiles`.
    label : str
        The column that is 1 (or true) for a labelled anomaly and 0 (or false) elsewhere.
    columns : list of str or None, default=None
        The columns of X, in this order. None means all but the label and the index of the table
        (that of pandas, or in CSV files a first column without a name).
    exclude : list of str or None, default=None
        Columns to leave out.
    max_unlabelled : int or None, default=50000
        Of more unlabelled rows than this, as many are drawn, each with the same chance:
        AutoDetector learns from no more. None takes all.
    delimiter : str, default=","
        Between the cells of CSV files.
    random_state : int, default=0
        Fixes the draw. It depends on the order of the rows alone, not on how files cut them.
    done : callable or None, default=None
        Called as ``done(n_rows, n_bytes)`` with each part: how many rows, and bytes of the files,
        are behind.

    Returns
    -------
    DrawnRows

    Raises
    ------
    FileNotFoundError
        If a file is not there.
    ValueError
        If a file is damaged, a column not there, a label none, or a setting out of its range. The
        message names it.

    Notes
    -----
    Memory holds some 2**24 cells, and the rows that are kept, at times three times as many.

    Examples
    --------
    >>> from tempfile import TemporaryDirectory
    >>> import numpy as np
    >>> import pyarrow as pa, pyarrow.parquet as pq
    >>> from nngmix.detectors import AutoDetector
    >>> from nngmix.sampling import draw_rows
    >>> rng = np.random.default_rng(0)
    >>> with TemporaryDirectory() as folder:
    ...     for i in range(3):
    ...         rows = {"a": rng.random(9000), "b": rng.random(9000), "y": np.arange(9000) < 2}
    ...         pq.write_table(pa.table(rows), f"{folder}/{i}.parquet")
    ...     rows = draw_rows(folder, "y", max_unlabelled=500)
    >>> rows.X.shape, int(rows.y.sum()), rows.n_rows
    ((506, 2), 6, 27000)
    >>> detector = AutoDetector(random_state=0).fit(rows.X, rows.y)
    """
    if max_unlabelled is not None and not (
        isinstance(max_unlabelled, Integral)
        and not isinstance(max_unlabelled, bool)
        and max_unlabelled >= 1
    ):
        raise ValueError(f"max_unlabelled must be at least 1, or None; got {max_unlabelled!r}.")
    if not isinstance(random_state, Integral) or random_state < 0:
        raise ValueError(
            f"random_state must be a whole number, not negative; got {random_state!r}."
        )
    files = source if isinstance(source, TableFiles) else TableFiles(source, delimiter=delimiter)
    files.check_column(label)
    features = choose_columns(files, label, columns, exclude)
    while True:
        draw = _Draw(features, label, max_unlabelled, random_state)
        # A cell that is not of its column's type widens the type: then once more.
        with (
            contextlib.suppress(TypesWidened),
            contextlib.closing(files.walk([*features, label], done=done)) as parts,
        ):
            for part in parts:
                where = part.path, part.first_row
                draw.add(part.take(), *where)
            return draw.finish(files.paths[0])


class _Draw:
    """Keeps all labelled anomalies, and an even draw of the unlabelled rows, as they pass by."""

    def __init__(self, features: list[str], label: str, most: int | None, seed: int) -> None:
        self._features, self._label, self._most = features, label, most
        self._rng = np.random.default_rng(seed)
        self._tables: list[pa.Table] = []
        # Of each row that is kept: its label, and its lot. Those with the lowest lots stay.
        self._labels: list[NDArray[np.intp]] = []
        self._lots: list[NDArray[np.float64]] = []
        self._limit = 1.0
        self._n_unlabelled = self._n_rows = 0

    def add(self, rows: pa.Table, path: Path, first: int) -> None:
        """Take some rows, consecutive ones of a file."""
        y = _read_labels(rows[self._label], self._label, path, first)
        # One for every row: a draw does not hang on how rows come in parts.
        lots = self._rng.random(len(rows))
        lots[y == 1] = -1
        self._n_rows += len(rows)
        X = rows.select(self._features)
        for place, field in enumerate(X.schema):
            if pa.types.is_dictionary(field.type):
                # Each file has a dictionary of its own.
                X = X.set_column(place, field.name, X[field.name].cast(field.type.value_type))
        if self._most is not None:
            kept = np.flatnonzero(lots < self._limit)
            X, y, lots = X.take(pa.array(kept)), y[kept], lots[kept]
        self._tables.append(X)
        self._labels.append(y)
        self._lots.append(lots)
        self._n_unlabelled += int((y == 0).sum())
        if self._most is not None and self._n_unlabelled > 2 * self._most:
            self._discard(self._most)

    def _discard(self, most: int) -> None:
        X, y, lots = self._join()
        self._limit = float(np.partition(lots[y == 0], most)[most])
        kept = np.flatnonzero(lots < self._limit)
        self._tables, self._labels, self._lots = [X.take(pa.array(kept))], [y[kept]], [lots[kept]]
        self._n_unlabelled = most

    def _join(self) -> tuple[pa.Table, NDArray[np.intp], NDArray[np.float64]]:
        return (
            pa.concat_tables(self._tables),
            np.concatenate(self._labels),
            np.concatenate(self._lots),
        )

    def finish(self, path: Path) -> DrawnRows:
        """Return what is kept."""
        if not self._n_rows:
            raise ValueError(f"{str(path)!r} has no rows.")
        if self._most is not None and self._n_unlabelled > self._most:
            self._discard(self._most)
        X, y, _ = self._join()
        for value, what in ((1, "labelled anomaly"), (0, "unlabelled row")):
            if not (y == value).any():
                raise ValueError(
                    f"label column {self._label!r} of {str(path)!r} holds no {what} (no {value}): "
                    "rows of both kinds are needed."
                )
        return DrawnRows(X, y, self._n_rows)


def _read_labels(column: Any, label: str, path: Path, first: int) -> NDArray[np.intp]:
    """Read the labels of a file's rows from `first` on."""
    what = f"label column {label!r} of {str(path)!r}"
    where = "(counted from 0); each must be 0 (unlabelled) or 1 (labelled anomaly)."
    if column.null_count:
        row = first + int(np.flatnonzero(column.is_null().to_numpy())[0])
        raise ValueError(f"{what} is empty in row {row} {where}")
    if pa.types.is_string(column.type) and KINDS[path.suffix.lower()] == "csv":
        # Text for the sake of some cell, which may be in another part.
        labels = np.array([_WORDS.get(cell.lower(), -1) for cell in column.to_pylist()])
        odd = np.flatnonzero(labels < 0)
        if len(odd):
            cell = column[int(odd[0])].as_py()
            raise ValueError(f"{what} holds {cell!r} in row {first + odd[0]} {where}")
        return labels
    values = column.to_numpy()
    if values.dtype.kind in "iuf":
        odd = np.flatnonzero((values != 0) & (values != 1))
        if len(odd):
            raise ValueError(f"{what} holds {values[odd[0]]} in row {first + odd[0]} {where}")
    try:
        found = check_labels(values, len(column), both=False)
    except ValueError as error:
        # The library calls it y: "y must hold only 0 ..."
        raise ValueError(f"{what} {str(error).removeprefix('y ')}") from None
    return found.astype(np.intp)
