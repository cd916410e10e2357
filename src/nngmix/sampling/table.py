"""A table in, whatever its kind; rows of the same kind out."""

from typing import Any

import narwhals.stable.v1 as nw
import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.floating]


class Table:
    """The numbers of a table, and the way back to the table's own kind.

    Parameters
    ----------
    X : array-like, or a pandas, polars or pyarrow table, of shape (n_rows, n_features)
        Numbers, whole numbers and booleans.

    Attributes
    ----------
    values : ndarray of shape (n_rows, n_features), float32 or float64
        float32 where every column is, or holds no more than, single precision.
    names : list of str
        Column names, for messages.

    Raises
    ------
    ValueError
        Names the column that is not numeric, or holds NaN or infinity; or says what is wrong with
        the table's shape.
    """

    def __init__(self, X: Any) -> None:
        self._frame: nw.DataFrame[Any] | None = None
        self._list = isinstance(X, list)
        if isinstance(X, np.ndarray) or self._list or not _is_frame(X):
            self._array = _plain_array(X)
            self.names = [str(i) for i in range(self._array.shape[1])]
            self.values = _as_floats(self._array, "X")
        else:
            self._frame = nw.from_native(X, eager_only=True)
            self.names = [str(name) for name in self._frame.columns]
            self.values = _frame_values(self._frame)
        _check_shape(self.values)
        _check_finite(self.values, self.names, self._frame is not None)
        self._template: Any = None

    def template(self) -> "Table":
        """Forget the rows, keep what :meth:`rebuild` needs."""
        small = object.__new__(Table)
        small.__dict__.update(self.__dict__)
        small.values = self.values[:0]
        if self._frame is not None:
            small._frame = self._frame.head(0)
        else:
            small._array = self._array[:0]
        return small

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
        if self._frame is not None:
            return _frame_like(self._frame, values)
        rows = _as_dtype(values, self._array.dtype)
        return rows.tolist() if self._list else rows

    def extend(self, values: Floats) -> Any:
        """Original rows, untouched and first, then the generated ones."""
        new = self.rebuild(values)
        if self._frame is None:
            if self._list:
                return self._array.tolist() + new
            # dtype: NumPy would bring a foreign byte order home.
            return np.concatenate([self._array, new], dtype=self._array.dtype)
        both = nw.concat([self._frame, nw.from_native(new, eager_only=True)], how="vertical")
        # As imbalanced-learn does: a resampled table has a fresh index.
        return nw.maybe_reset_index(both).to_native()


def _is_frame(X: Any) -> bool:
    return nw.dependencies.is_into_dataframe(X)


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


def _as_floats(array: NDArray[Any], where: str) -> Floats:
    kind = array.dtype.kind
    if kind in "fiub":
        single = array.dtype in (np.float16, np.float32)
        return array.astype(np.float32 if single else np.float64, copy=False)
    if kind == "c":
        raise ValueError(f"{where} holds complex data; it must hold real numbers.")
    if kind == "O":
        try:
            return array.astype(np.float64)
        except (TypeError, ValueError):
            pass
    raise ValueError(
        f"{where} must be numeric; got dtype {array.dtype}. Encode it as numbers first, or leave "
        "it out."
    )


def _frame_values(frame: nw.DataFrame[Any]) -> Floats:
    columns = list(zip(frame.columns, frame.schema.values(), strict=True))
    for name, dtype in columns:
        if not (dtype.is_integer() or dtype.is_float() or dtype == nw.Boolean):
            raise ValueError(
                f"column {str(name)!r} is not numeric (its type is {dtype}). "
                "Encode it as numbers first, or leave it out."
            )
    single = bool(columns) and all(dtype == nw.Float32 for _, dtype in columns)
    values = np.empty((len(frame), len(columns)), dtype=np.float32 if single else np.float64)
    for i, ((_, dtype), column) in enumerate(zip(columns, frame.iter_columns(), strict=True)):
        if not dtype.is_float() and column.is_null().any():
            column = column.cast(nw.Float64)
        values[:, i] = column.to_numpy()
    return values


def _check_shape(values: Floats) -> None:
    n_rows, n_features = values.shape
    if n_rows == 0:
        raise ValueError(f"X has 0 rows (shape {values.shape}); at least 2 are needed.")
    if n_features == 0:
        # The wording is scikit-learn's, which its users and its checks look for.
        raise ValueError(
            f"0 feature(s) (shape={values.shape}) while a minimum of 1 is required: X has no "
            "columns."
        )


def _check_finite(values: Floats, names: list[str], named: bool) -> None:
    # One pass without a copy; only a failure pays for finding the culprit.
    if np.isfinite(np.einsum("ij->", values, dtype=np.float64)) or np.isfinite(values).all():
        return
    bad = int(np.argmin(np.isfinite(values).all(axis=0)))
    column = values[:, bad]
    what = "NaN" if np.isnan(column).any() else "infinite values"
    rows = np.flatnonzero(np.isnan(column) if what == "NaN" else np.isinf(column))
    name = repr(names[bad]) if named else str(bad)
    advice = (
        "Missing values are not supported yet: fill them (scikit-learn's SimpleImputer) or leave "
        "the column out."
        if what == "NaN"
        else "Replace them by numbers, or leave the rows or the column out."
    )
    raise ValueError(
        f"column {name} of X holds {what} in {len(rows)} of {len(column)} rows, "
        f"first in row {rows[0]}. {advice}"
    )


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


def _frame_like(frame: nw.DataFrame[Any], values: Floats) -> Any:
    """Build rows with the frame's columns and native dtypes."""
    backend = frame.implementation
    series = []
    for i, (name, dtype) in enumerate(frame.schema.items()):
        column: NDArray[Any] = values[:, i]
        if dtype.is_integer():
            column = _as_dtype(column, _numpy_dtype(dtype))
        elif dtype == nw.Boolean:
            column = column >= 0.5
        series.append(nw.new_series(name, np.ascontiguousarray(column), dtype, backend=backend))
    new = nw.concat([s.to_frame() for s in series], how="horizontal").to_native()
    if backend.is_pandas():
        # narwhals has one Int64; pandas has three, and a table keeps the one it came with.
        return new.astype(frame.to_native().dtypes)
    if backend.is_pyarrow():
        return new.cast(frame.to_native().schema)
    return new


def _numpy_dtype(dtype: Any) -> np.dtype[Any]:
    return np.dtype(str(dtype).lower())
