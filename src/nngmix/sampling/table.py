"""A table in, whatever its kind; rows of the same kind out.

Inside a sampler a table is a matrix of numbers. Missing values are NaN. A category is a number
made from its name, the same in every table, so that tables can come in pieces; such a column is
never interpolated, only compared and copied.
"""

import hashlib
from dataclasses import dataclass, field, replace
from typing import Any, Literal

import narwhals.stable.v1 as nw
import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from scipy.sparse import issparse

from nngmix.sampling.tensors import device_of, to_array, to_tensor

Floats = NDArray[np.floating]

# Rows, and columns, that are put into the matrix at a time. Both kinds of order meet here, a column
# after the other in and a row after the other out: a block of both stays in the cache meanwhile,
# and 16 columns are at least a cache line of a row.
_FILL_ROWS = 4096
_FILL_COLUMNS = 16
# Numbers looked at before a whole column is: they tell most columns that are not whole.
_FIRST_LOOK = 1024


@dataclass
class Column:
    """How a column's numbers are to be read.

    Attributes
    ----------
    name : str
        For messages.
    kind : {"float", "whole", "bool", "category"}
        Whole numbers and booleans are generated as numbers and rounded to the nearest.
    names : dict of float to object
        The categories by their numbers.
    whole_with_gaps : tuple of bool
        Whether all present numbers of a float column are whole, and whether some are missing.
        Whole numbers with gaps reach a float column for want of a better (in pandas, from CSV):
        where both hold, numbers are rounded too.
    empty : bool
        Whether the column has no type: all of its cells are missing. Another piece may tell.
    """

    name: str
    kind: str
    names: dict[float, Any] = field(default_factory=dict)
    whole_with_gaps: tuple[bool, bool] = (False, False)
    empty: bool = False

    @property
    def rounds(self) -> bool:
        """Whether generated numbers are rounded."""
        return self.kind in ("whole", "bool") or all(self.whole_with_gaps)

    def join(self, other: "Column") -> "Column":
        """Tell how to read this column in two pieces of a table together."""
        if self.empty or other.empty:
            known = other if self.empty else self
            whole, _ = known.whole_with_gaps
            return replace(known, whole_with_gaps=(whole, True))
        if "category" in (self.kind, other.kind) and self.kind != other.kind:
            raise ValueError(
                f"column {self.name} holds categories in one piece and numbers in another: name "
                "it in categorical_features."
            )
        pairs = [
            # Whole numbers of one piece may meet whole numbers with gaps, as floats, of another.
            column.whole_with_gaps if column.kind == "float" else (True, False)
            for column in (self, other)
        ]
        return Column(
            self.name,
            self.kind if self.kind == other.kind else "float",
            {**other.names, **self.names},
            (all(whole for whole, _ in pairs), any(gaps for _, gaps in pairs)),
        )


class Table:
    """The numbers of a table, and the way back to the table's own kind.

    Parameters
    ----------
    X : array-like, tensor, or a pandas, polars or pyarrow table, of shape (n_rows, n_features)
        Numbers, whole numbers, booleans and categories; NaN, None or null where missing.
    categorical : "dtype", "infer" or list of str or int, default="dtype"
        Which columns hold categories. "dtype": those whose type says so. "infer": those and
        columns of text. A list: these columns, by name or position, and no others.
    allow_empty : bool, default=False
        Take a piece of a table that happens to have no rows.
    first_row : int, default=0
        Where the first row of a piece stands in its table, for messages.
    order : {"C", "F"}, default="C"
        Whether ``values`` holds a DataFrame's numbers row by row, or column by column, which is
        five times as quick to make.

    Attributes
    ----------
    values : ndarray of shape (n_rows, n_features), float32 or float64
        float32 where every column is, or holds no more than, single precision.
    columns : list of Column
        How to read them.
    device : torch.device or None
        Where rows go back to, if X is a tensor.

    Raises
    ------
    ValueError
        Names the column that is neither numeric nor categorical, or holds infinity; or says what
        is wrong with the table's shape.
    """

    def __init__(
        self,
        X: Any,
        categorical: Any = "dtype",
        *,
        allow_empty: bool = False,
        first_row: int = 0,
        order: Literal["C", "F"] = "C",
    ) -> None:
        if issparse(X):
            raise ValueError(
                "X is a sparse matrix. Generated rows are mixtures, which are dense: pass "
                "X.toarray(), or reduce its columns first (scikit-learn's TruncatedSVD)."
            )
        self.is_list = isinstance(X, list)
        self.device = device_of(X)
        X = to_array(X)
        self.values: Floats
        if not self.is_list and nw.dependencies.is_into_dataframe(X):
            self._read_frame(X, categorical, order)
        else:
            self._read_array(X, categorical)
        n_rows, n_features = self.values.shape
        if n_features == 0:
            # The wording is scikit-learn's, which its users and its checks look for.
            raise ValueError(
                f"0 feature(s) (shape={self.values.shape}) while a minimum of 1 is required: "
                "X has no columns."
            )
        if n_rows == 0 and not allow_empty:
            raise ValueError(f"X has 0 rows (shape {self.values.shape}).")
        self._check_finite(first_row)

    @property
    def categorical(self) -> NDArray[np.bool_]:
        """Which columns hold categories: ndarray of shape (n_features,)."""
        return np.array([column.kind == "category" for column in self.columns])

    def _read_array(self, X: Any, categorical: Any) -> None:
        self.native = array = _plain_array(X)
        n_features = array.shape[1]
        chosen = _positions(categorical, [], n_features)
        numeric = {"f": "float", "i": "whole", "u": "whole", "b": "bool"}.get(array.dtype.kind)
        if numeric is None and array.dtype.kind not in "OUS":
            raise ValueError(
                f"X must be numeric; it holds {'complex data' if array.dtype.kind == 'c' else ''}"
                f" (dtype {array.dtype}). Encode it as numbers first, or leave it out."
            )
        self.columns = [Column(str(i), numeric or "float") for i in range(n_features)]
        single = array.dtype in (np.float16, np.float32) and not chosen
        if numeric is not None:
            kind = np.float32 if single else np.float64
            self.values = array.astype(kind, copy=bool(chosen))
        else:
            self.values = np.empty(array.shape)
        for i in range(n_features) if numeric is None else chosen:
            objects = pa.array(array[:, i], from_pandas=True) if numeric else _arrow(array[:, i], i)
            self.values[:, i] = _read(objects, self.columns[i], i in chosen, categorical)

    def _read_frame(self, X: Any, categorical: Any, order: Literal["C", "F"]) -> None:
        self.native = X
        try:
            frame: nw.DataFrame[Any] = nw.from_native(_dense(X), eager_only=True)
        except nw.exceptions.DuplicateError as error:
            raise ValueError(f"X has two columns of one name. {error}") from None
        names, schema = list(frame.columns), list(frame.schema.values())
        chosen = _positions(categorical, names, len(names))
        self.columns = [Column(repr(name), "float") for name in names]
        single = bool(schema) and all(dtype == nw.Float32 for dtype in schema) and not chosen
        kind = np.float32 if single else np.float64
        self.values = np.empty((len(frame), len(names)), kind, order)
        waiting: list[NDArray[Any]] = []
        for i, (dtype, series) in enumerate(zip(schema, frame.iter_columns(), strict=True)):
            column = self.columns[i]
            if dtype.is_float() and i not in chosen:
                numbers = series.to_numpy()
                if numbers.dtype.kind != "f":  # of some types with a mask, objects
                    numbers = numbers.astype(self.values.dtype)
                column.whole_with_gaps = _look_whole(numbers)
            elif (dtype.is_integer() or dtype == nw.Boolean) and i not in chosen:
                column.kind = "whole" if dtype.is_integer() else "bool"
                # Not narwhals' cast: for pyarrow it refuses whole numbers beyond 2**53.
                gaps = series.is_null().any()
                numbers = _floats(series.to_arrow()) if gaps else series.to_numpy()
            else:
                objects = _arrow(series, column.name)
                numbers = _read(objects, column, i in chosen, categorical)
            waiting.append(numbers)
            if len(waiting) == _FILL_COLUMNS or i == len(names) - 1:
                _put_columns(waiting, self.values[:, i + 1 - len(waiting) : i + 1])
                waiting = []

    def _check_finite(self, first_row: int) -> None:
        values = self.values
        # One pass without a copy; only a failure pays for finding the culprit.
        if np.isfinite(np.einsum("ij->", values, dtype=np.float64)) or not np.isinf(values).any():
            return
        bad = int(np.argmax(np.isinf(values).any(axis=0)))
        rows = np.flatnonzero(np.isinf(values[:, bad]))
        raise ValueError(
            f"column {self.columns[bad].name} of X holds infinite values in {len(rows)} of "
            f"{len(values)} rows, first in row {rows[0] + first_row}. Replace them by numbers, or "
            "leave the rows or the column out."
        )

    def template(self) -> "Table":
        """Forget the rows, keep what :meth:`rebuild` needs."""
        small = object.__new__(Table)
        small.__dict__.update(self.__dict__, values=self.values[:0].copy())
        small.native = _without_rows(self.native)
        return small

    def join(self, other: "Table") -> "Table":
        """Make the template of two pieces of a table together.

        Parameters
        ----------
        other : Table
            Another piece: the same kind of table, the same columns in the same order.

        Returns
        -------
        Table
            Without rows; of types that hold the values of both.

        Raises
        ------
        ValueError
            Says in what the two differ.
        """
        mine, theirs = (piece.columns for piece in (self, other))
        if [column.name for column in mine] != [column.name for column in theirs]:
            names = [", ".join(column.name for column in part[:10]) for part in (mine, theirs)]
            raise ValueError(
                f"pieces of a table must have the same columns in the same order; one has "
                f"{names[0]}, another {names[1]}."
            )
        if type(self.native) is not type(other.native) or self.is_list != other.is_list:
            kinds = [type(piece.native).__module__.split(".")[0] for piece in (self, other)]
            raise ValueError(
                f"pieces of a table must be of one kind; got one of {kinds[0]} and one of "
                f"{kinds[1]}."
            )
        joined = object.__new__(Table)
        joined.is_list, joined.device = self.is_list, self.device
        joined.columns = [a.join(b) for a, b in zip(mine, theirs, strict=True)]
        joined.values = np.concatenate([self.values[:0], other.values[:0]])
        joined.native = _join_natives(self.native, other.native)
        return joined

    def rebuild(self, values: Floats) -> Any:
        """Turn generated numbers into rows of the table's kind, columns, order and dtypes.

        Parameters
        ----------
        values : ndarray of shape (n_rows, n_features)
            Generated numbers; those of whole-number columns are rounded to the nearest.

        Returns
        -------
        array, list or DataFrame of shape (n_rows, n_features)
            The same kind as the table that came in.
        """
        if not isinstance(self.native, np.ndarray):
            if self.is_plain:
                import pandas as pd

                # The frame takes the matrix itself: no copy.
                return pd.DataFrame(values, columns=self.native.columns, copy=False)
            return _frame_like(self.native, self.columns, values)
        dtype = self.native.dtype
        if dtype.kind not in "OUS" and not self.categorical.any():
            rows = _as_dtype(values, dtype)
        else:
            rows = np.empty(values.shape, dtype=dtype)
            for i, column in enumerate(self.columns):
                if dtype.kind in "OUS":
                    rows[:, i] = _objects(values[:, i], column)
                elif column.kind == "category":
                    rows[:, i] = _decode(values[:, i], column, missing=np.nan)
                else:
                    rows[:, i] = _as_dtype(values[:, i], dtype)
        return rows.tolist() if self.is_list else to_tensor(rows, self.device)

    def make_room(self, n_new: int) -> tuple[Floats | None, Floats]:
        """Make room for generated rows, behind the original ones where these are plain numbers.

        Parameters
        ----------
        n_new : int
            Rows to come.

        Returns
        -------
        whole : ndarray of shape (n_rows + n_new, n_features) or None
            The original rows and the room, where generated numbers need no conversion: for
            :meth:`dress` when it is filled. Else None, and :meth:`extend` takes the room.
        room : ndarray of shape (n_new, n_features)
            To be filled.
        """
        n_rows, n_features = self.values.shape
        if self.is_list or not self.is_plain:
            return None, np.empty((n_new, n_features), dtype=self.values.dtype)
        whole = np.empty((n_rows + n_new, n_features), dtype=self.values.dtype)
        whole[:n_rows] = self.values
        return whole, whole[n_rows:]

    def dress(self, whole: Floats) -> Any:
        """Turn original and generated rows, together in one matrix, into the table's kind."""
        if isinstance(self.native, np.ndarray):
            return to_tensor(whole, self.device)
        return self.rebuild(whole)

    def check_out(self, out: Any, n_rows: int) -> None:
        """Make sure that an array can take generated rows as they are."""
        native = self.native
        if not isinstance(native, np.ndarray) or self.is_list or native.dtype.kind not in "fiub":
            kind = "list" if self.is_list else type(native).__name__
            kind = f"array of {native.dtype}" if kind == "ndarray" else kind
            raise ValueError(
                f"out: only rows of an array of numbers can be written into one; the fitted X was "
                f"a {kind}. Leave out away."
            )
        shape = n_rows, native.shape[1]
        if not isinstance(out, np.ndarray) or out.shape != shape or out.dtype != native.dtype:
            got = (
                f"one of shape {out.shape} and dtype {out.dtype}"
                if isinstance(out, np.ndarray)
                else f"a {type(out).__name__}"
            )
            raise ValueError(
                f"out must be an array of shape {shape} and dtype {native.dtype}. Got {got} "
                "instead."
            )
        if not out.flags.c_contiguous or not out.flags.writeable:
            raise ValueError(
                "out must be a C-contiguous array that can be written to (such as numpy.empty "
                "makes)."
            )

    @property
    def is_plain(self) -> bool:
        """Whether numbers are the table's own, so that a matrix of them need not be converted."""
        dtype = self.values.dtype
        if isinstance(self.native, np.ndarray):
            return self.native.dtype == dtype and not self.categorical.any()
        if not nw.dependencies.is_pandas_dataframe(self.native):
            return False
        floats = all(column.kind == "float" and not column.rounds for column in self.columns)
        return floats and all(own == dtype for own in self.native.dtypes)

    def extend(self, values: Floats) -> Any:
        """Original rows, untouched and first, then the generated ones."""
        new = self.rebuild(values)
        if isinstance(self.native, np.ndarray):
            if self.is_list:
                return self.native.tolist() + new
            # dtype: NumPy would bring a foreign byte order home.
            whole = np.concatenate([self.native, to_array(new)], dtype=self.native.dtype)
            return to_tensor(whole, self.device)
        frames = [nw.from_native(part, eager_only=True) for part in (self.native, new)]
        # As imbalanced-learn does: a resampled table has a fresh index.
        return nw.maybe_reset_index(nw.concat(frames, how="vertical")).to_native()


def _put_columns(columns: list[NDArray[Any]], out: Floats) -> None:
    """Write columns side by side into a matrix, some rows at a time."""
    for start in range(0, len(out), _FILL_ROWS):
        rows = slice(start, start + _FILL_ROWS)
        block = out[rows]
        for i, column in enumerate(columns):
            block[:, i] = column[rows]


def _without_rows(native: Any) -> Any:
    """Keep a table's kind, columns and types, and nothing of its memory."""
    if isinstance(native, np.ndarray) or nw.dependencies.is_pandas_dataframe(native):
        return native[:0].copy()
    if nw.dependencies.is_polars_dataframe(native):
        return native.clear()
    return native.schema.empty_table()


def _join_natives(mine: Any, theirs: Any) -> Any:
    if isinstance(mine, np.ndarray):
        return np.concatenate([mine[:0], theirs[:0]])
    mine, theirs = _without_rows(mine), _without_rows(theirs)
    if nw.dependencies.is_pandas_dataframe(mine):
        pairs = list(zip(mine.dtypes, theirs.dtypes, strict=True))
        if all(a == b for a, b in pairs):
            return mine
        return mine.astype(
            {
                name: _common_dtype(a, b)
                for name, (a, b) in zip(mine.columns, pairs, strict=True)
                if a != b
            }
        )
    if mine.schema == theirs.schema:
        return mine
    try:
        if nw.dependencies.is_polars_dataframe(mine):
            import polars as pl

            return pl.concat([mine, theirs], how="vertical_relaxed")
        schemas = [mine.schema, theirs.schema]
        return pa.unify_schemas(schemas, promote_options="permissive").empty_table()
    except Exception as error:
        raise ValueError(
            f"pieces of a table must have columns of types that go together: {error}"
        ) from None


def _common_dtype(a: Any, b: Any) -> Any:
    """Find the pandas dtype of a column whose pieces have two."""
    import pandas as pd

    if isinstance(a, pd.CategoricalDtype) and isinstance(b, pd.CategoricalDtype):
        more = [name for name in b.categories if name not in a.categories]
        return pd.CategoricalDtype([*a.categories, *more])
    if not isinstance(a, np.dtype) or not isinstance(b, np.dtype):
        return b if isinstance(a, np.dtype) else a
    numbers = a.kind in "iuf" and b.kind in "iuf"
    return np.result_type(a, b) if numbers else np.dtype(object)


def _plain_array(X: Any) -> NDArray[Any]:
    try:
        array = np.asarray(X)
    except ValueError:
        raise ValueError(
            "X must be a table: rows of equal length. Got rows of different lengths."
        ) from None
    if array.ndim != 2:
        raise ValueError(
            f"X must be a table: a 2-dimensional array (rows, features). Got an array of shape "
            f"{array.shape}. Reshape your data, with .reshape(-1, 1) if it has a single feature."
        )
    return array


def _positions(categorical: Any, names: list[Any], n_features: int) -> list[int]:
    """Columns that were listed, as positions."""
    if isinstance(categorical, str):
        return []
    chosen = []
    for item in categorical:
        if item in names:
            chosen.append(names.index(item))
        elif isinstance(item, (int, np.integer)) and 0 <= item < n_features:
            chosen.append(int(item))
        else:
            raise ValueError(
                f"categorical_features: X has no column {item!r}; it has "
                f"{', '.join(map(repr, names[:10])) if names else f'{n_features} columns'}."
            )
    return chosen


def _arrow(values: Any, name: Any) -> Any:
    """Give a column of objects, text or categories one type."""
    try:
        if isinstance(values, nw.Series) and values.dtype not in (nw.Object, nw.Unknown):
            return values.to_arrow()
        # pandas puts booleans and text with gaps among objects; None and NaN are gaps.
        plain = values.to_list() if isinstance(values, nw.Series) else values.tolist()
        return pa.array([None if v is None or v != v else v for v in plain])
    except (pa.ArrowInvalid, pa.ArrowTypeError, pa.ArrowNotImplementedError):
        raise ValueError(
            f"column {name} of X must be numeric or categorical; it mixes types."
        ) from None


def _read(values: Any, column: Column, chosen: bool, categorical: Any) -> Floats:
    """Turn a column of any type into numbers, and note how they are to be read."""
    kind = values.type
    text = pa.types.is_string(kind) or pa.types.is_large_string(kind) or kind == pa.string_view()
    by_type = isinstance(categorical, str)
    infer = by_type and categorical == "infer"
    if chosen or (by_type and pa.types.is_dictionary(kind)) or (infer and text):
        column.kind = "category"
        return _encode(values, column)
    if pa.types.is_boolean(kind):
        column.kind = "bool"
    elif pa.types.is_integer(kind):
        column.kind = "whole"
    elif pa.types.is_null(kind):
        column.empty = True
    elif not pa.types.is_floating(kind):
        hint = "name it in categorical_features if it holds categories, " if text else ""
        raise ValueError(
            f"column {column.name} is not numeric (its type is {kind}), and X must be numeric "
            f"there: {hint}encode it as numbers, or leave it out."
        )
    return _floats(values)


def _floats(values: Any) -> Floats:
    return values.cast(pa.float64(), safe=False).to_numpy(zero_copy_only=False)


def _look_whole(values: Floats) -> tuple[bool, bool]:
    first = values[:_FIRST_LOOK]
    if not (np.isnan(first) | (first == np.rint(first))).all():
        return False, False  # gaps matter among whole numbers only
    missing = np.isnan(values)
    return bool((missing | (values == np.rint(values))).all()), bool(missing.any())


def _dense(frame: Any) -> Any:
    """Unpack a pandas frame's sparse columns; leave other frames as they are."""
    if nw.dependencies.is_pandas_dataframe(frame):
        import pandas as pd

        if any(isinstance(dtype, pd.SparseDtype) for dtype in frame.dtypes):
            return frame.astype(
                {
                    name: dtype.subtype
                    for name, dtype in frame.dtypes.items()
                    if isinstance(dtype, pd.SparseDtype)
                }
            )
    return frame


def _encode(values: Any, column: Column) -> Floats:
    """Give categories numbers: the same name, the same number everywhere."""
    if isinstance(values, pa.ChunkedArray):
        values = values.combine_chunks()
    if not pa.types.is_dictionary(values.type):
        values = values.dictionary_encode()
    names = values.dictionary.to_pylist()
    numbers = np.array([_number(name) for name in names] + [np.nan])
    places = values.indices.fill_null(len(names)).to_numpy(zero_copy_only=False).astype(np.int64)
    codes = numbers[places]
    used = set(np.unique(places).tolist())
    column.names.update({_number(name): name for i, name in enumerate(names) if i in used})
    return codes


def _number(name: Any) -> float:
    if name is None or name != name:
        return float("nan")
    if isinstance(name, float) and name.is_integer():
        name = int(name)  # whole numbers turn into floats where a piece has gaps
    # 48 bits: exact in a float64, and two of a million names meet with probability 0.002.
    text = f"{type(name).__name__}:{name!r}".encode()
    return float(int.from_bytes(hashlib.blake2b(text, digest_size=6).digest(), "big"))


def _decode(numbers: Floats, column: Column, missing: Any = None) -> NDArray[Any]:
    distinct, place = np.unique(numbers, return_inverse=True)
    names = np.empty(len(distinct), dtype=object)
    names[:] = [column.names.get(float(number), missing) for number in distinct]
    return names[place]


def _as_dtype(values: Floats, dtype: np.dtype[Any]) -> NDArray[Any]:
    """Cast generated numbers; whole numbers and booleans take the nearest value they can hold."""
    if dtype.kind in "iu":
        limits = np.iinfo(dtype)
        # The largest 64-bit integer is no float: step down, so that the cast cannot overflow.
        top = float(limits.max)
        top = top if top <= limits.max else np.nextafter(top, 0)
        return np.clip(np.rint(values), float(limits.min), top).astype(dtype)
    if dtype.kind == "b":
        return values >= 0.5
    return values.astype(dtype, copy=False)


def _objects(numbers: Floats, column: Column) -> NDArray[Any]:
    """Python's own values, None where missing."""
    if column.kind == "category":
        return _decode(numbers, column)
    objects = np.empty(len(numbers), dtype=object)
    cast = bool if column.kind == "bool" else int if column.rounds else float
    objects[:] = [None if v != v else cast(v) for v in _rounded(numbers, column).tolist()]
    return objects


def _rounded(numbers: Floats, column: Column) -> Floats:
    if not column.rounds:
        return numbers
    rounded = np.rint(numbers)
    return np.clip(rounded, 0, 1) if column.kind == "bool" else rounded


def _frame_like(frame: Any, columns: list[Column], values: Floats) -> Any:
    """Build rows with the frame's columns and native dtypes."""
    if nw.dependencies.is_pandas_dataframe(frame):
        return _pandas_like(frame, columns, values)
    polars = nw.dependencies.is_polars_dataframe(frame)
    schema = frame[:0].to_arrow().schema if polars else frame.schema
    arrays = [
        _arrow_like(kind.type, column, np.ascontiguousarray(values[:, i]))
        for i, (kind, column) in enumerate(zip(schema, columns, strict=True))
    ]
    if not polars:
        return pa.table(arrays, schema=schema)
    import polars as pl

    # Name by name: polars' categories and enumerations are cast from text.
    made = zip(frame.schema.items(), arrays, strict=True)
    return pl.DataFrame(
        [pl.Series(name, pl.from_arrow(array)).cast(dtype) for (name, dtype), array in made]
    )


def _arrow_like(kind: Any, column: Column, numbers: Floats) -> Any:
    if column.kind == "category":
        if pa.types.is_dictionary(kind):
            names = pa.array(_decode(numbers, column), type=kind.value_type)
            return names.dictionary_encode().cast(kind)
        return pa.array(_decode(numbers, column), type=kind)
    missing = np.isnan(numbers)
    if pa.types.is_floating(kind):
        # Without a mask, the array takes the numbers themselves.
        mask = missing if missing.any() else None
        return pa.array(_rounded(numbers, column), mask=mask).cast(kind)
    dtype = np.dtype(bool) if pa.types.is_boolean(kind) else np.dtype(kind.to_pandas_dtype())
    return pa.array(_as_dtype(np.where(missing, 0.0, numbers), dtype), mask=missing)


def _pandas_like(frame: Any, columns: list[Column], values: Floats) -> Any:
    import pandas as pd

    made = {}
    for i, (dtype, column) in enumerate(zip(frame.dtypes, columns, strict=True)):
        numbers = np.ascontiguousarray(values[:, i])
        dense = getattr(dtype, "subtype", dtype)  # of a sparse column
        if isinstance(dtype, pd.CategoricalDtype):
            # Other pieces of the table may have brought other categories.
            more = [name for name in column.names.values() if name not in dtype.categories]
            dtype = (
                pd.CategoricalDtype([*dtype.categories, *more], dtype.ordered) if more else dtype
            )
        if column.kind == "category" or dense == np.dtype(object):
            made[i] = pd.Series(_objects(numbers, column), dtype=object)
        elif column.kind == "float":
            made[i] = pd.Series(_rounded(numbers, column))
        elif not isinstance(dense, np.dtype):
            # pandas' nullable types and those of pyarrow.
            missing = np.isnan(numbers)
            unsigned = "uint" in str(dtype).lower()
            kind = np.bool_ if column.kind == "bool" else np.uint64 if unsigned else np.int64
            filled = _as_dtype(np.where(missing, 0.0, numbers), np.dtype(kind))
            masked = pd.arrays.BooleanArray if kind == np.bool_ else pd.arrays.IntegerArray
            made[i] = pd.Series(masked(filled, missing))
        else:
            made[i] = pd.Series(_as_dtype(numbers, dense))
        made[i] = made[i].astype(dtype)
    new = pd.DataFrame(made)
    new.columns = frame.columns
    return new
