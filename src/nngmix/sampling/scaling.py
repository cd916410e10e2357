"""Scaling inside a sampler: what counts as far, and how large the noise is, in each column."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.utils.validation import check_is_fitted

from nngmix.sampling.table import Table

Floats = NDArray[np.floating]


@dataclass(frozen=True)
class Scale:
    """A linear scaling, column by column: ``scaled = (x - offset) / unit``.

    Attributes
    ----------
    offset : ndarray of shape (n_features,), float64
        What is 0 in scaled units.
    unit : ndarray of shape (n_features,), float64
        What is 1 in scaled units, for distances; positive.
    spread : ndarray of shape (n_features,), float64
        The same for noise: ``unit``, or 0 where there must be none: in constant and in
        categorical columns.
    categorical : ndarray of shape (n_features,), bool
        Columns that hold categories.
    """

    offset: NDArray[np.float64]
    unit: NDArray[np.float64]
    spread: NDArray[np.float64]
    categorical: NDArray[np.bool_]


# Rows whose lowest and highest values are found at a time: a block stays in the cache for both.
_RANGE_CELLS = 1 << 17


def find_scale(scaling: Any, table: Table) -> Scale:
    """Work out a sampler's ``scaling`` for a table.

    Parameters
    ----------
    scaling : "minmax", None or a fitted scikit-learn scaler
        "minmax": the range of the table's column counts as 1. None: every column is scaled
        already. A scaler must be linear, column by column, and offer ``inverse_transform``; it may
        be fitted on all columns or on the numeric ones.
    table : Table
        The table to take ranges from.

    Returns
    -------
    Scale

    Raises
    ------
    ValueError
        If a column's range overflows, or the scaler is not fitted, has another number of columns
        or is not linear.
    """
    low, high = find_ranges(table.values) if isinstance(scaling, str) else (None, None)
    return scale_of_ranges(scaling, table, low, high)


def find_ranges(values: Floats) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Find each column's lowest and highest value.

    Parameters
    ----------
    values : ndarray of shape (n_rows, n_features)
        Numbers; NaN where missing.

    Returns
    -------
    low, high : ndarray of shape (n_features,), float64
        NaN for a column without any value. The ranges of pieces give those of the whole by
        ``np.fmin`` and ``np.fmax``.

    Examples
    --------
    >>> import numpy as np
    >>> find_ranges(np.array([[1.0, np.nan], [3.0, np.nan]]))
    (array([ 1., nan]), array([ 3., nan]))
    """
    width = values.shape[1]
    step = max(1, _RANGE_CELLS // width)
    blocks = [values[start : start + step] for start in range(0, len(values), step)]
    nothing = [np.full(width, np.nan)]
    # fmin and fmax pass over NaN.
    low = np.fmin.reduce(nothing + [np.fmin.reduce(block, axis=0) for block in blocks])
    high = np.fmax.reduce(nothing + [np.fmax.reduce(block, axis=0) for block in blocks])
    return low.astype(np.float64), high.astype(np.float64)


def scale_of_ranges(
    scaling: Any,
    table: Table,
    low: NDArray[np.float64] | None,
    high: NDArray[np.float64] | None,
) -> Scale:
    """Work out a sampler's ``scaling`` where the table's ranges are known.

    Parameters
    ----------
    scaling : "minmax", None or a fitted scikit-learn scaler
        As in :func:`find_scale`.
    table : Table
        Its columns and type are looked at, not its rows.
    low, high : ndarray of shape (n_features,) or None
        As from :func:`find_ranges`; needed for "minmax" only.

    Returns
    -------
    Scale

    Raises
    ------
    ValueError
        As :func:`find_scale`.
    """
    categorical = table.categorical
    numeric = ~categorical
    n_features = len(categorical)
    offset, unit, spread = np.zeros(n_features), np.ones(n_features), np.zeros(n_features)
    if scaling is None:
        spread[numeric] = 1.0
    elif isinstance(scaling, str):
        assert low is not None
        assert high is not None
        with np.errstate(over="ignore"):
            span = high - low
        # A column of nothing but NaN keeps the range 0.
        known = numeric & ~np.isnan(low)
        if not np.isfinite(span[known]).all():
            column = table.columns[np.flatnonzero(known & ~np.isfinite(span))[0]]
            raise ValueError(
                f"column {column.name} of X spans more than a float can hold; rescale it first."
            )
        # Adding 0.0 makes one zero of the two. Below the smallest normal number a division would
        # lose all precision, or overflow.
        offset[known] = low[known] + 0.0
        normal = known & (span >= np.finfo(table.values.dtype).tiny)
        spread[normal] = span[normal]
        unit = np.where(spread > 0, spread, 1.0)
    elif numeric.any():
        offset[numeric], unit[numeric], spread[numeric] = _of_scaler(scaling, numeric)
    return Scale(offset, unit, spread, categorical)


def _of_scaler(scaler: Any, numeric: NDArray[np.bool_]) -> tuple[Any, Any, Any]:
    name = type(scaler).__name__
    check_is_fitted(scaler)
    n_features = len(numeric)
    seen = getattr(scaler, "n_features_in_", n_features)
    if seen not in (n_features, numeric.sum()):
        expected = f"{n_features}" + ("" if numeric.all() else f", {numeric.sum()} of them numeric")
        raise ValueError(f"scaling: this {name} was fitted on {seen} columns; X has {expected}.")
    # Three points on a line tell a linear scaler and give its two numbers.
    points = np.repeat([[0.0], [0.5], [1.0]], seen, axis=1)
    zero, half, one = np.asarray(scaler.inverse_transform(points), dtype=np.float64)
    unit = one - zero
    if not np.allclose(half - zero, unit / 2, rtol=1e-6, atol=0) or (unit <= 0).any():
        raise ValueError(
            f"scaling: {name} does not scale each column linearly. Use MinMaxScaler, "
            "StandardScaler, RobustScaler or MaxAbsScaler here, or put the "
            f"{name} before the sampler in the pipeline and set scaling=None."
        )
    spread = unit.copy()
    # Scalers give a constant column the unit 1; these attributes tell that it was constant.
    for attribute in ("data_range_", "var_", "max_abs_"):
        seen_spread = getattr(scaler, attribute, None)
        if seen_spread is not None:
            spread[np.asarray(seen_spread) == 0] = 0.0
    chosen = numeric if seen == n_features else slice(None)
    return zero[chosen], unit[chosen], spread[chosen]
