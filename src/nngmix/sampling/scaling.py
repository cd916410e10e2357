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
    categorical = table.categorical
    numeric = ~categorical
    n_features = len(categorical)
    offset, unit, spread = np.zeros(n_features), np.ones(n_features), np.zeros(n_features)
    if scaling is None:
        spread[numeric] = 1.0
    elif isinstance(scaling, str):
        _ranges(table, numeric, offset, spread)
        unit = np.where(spread > 0, spread, 1.0)
    elif numeric.any():
        offset[numeric], unit[numeric], spread[numeric] = _of_scaler(scaling, numeric)
    return Scale(offset, unit, spread, categorical)


def _ranges(
    table: Table,
    numeric: NDArray[np.bool_],
    offset: NDArray[np.float64],
    spread: NDArray[np.float64],
) -> None:
    values = table.values
    for i in np.flatnonzero(numeric):
        # fmin and fmax pass over NaN; a column of nothing but NaN keeps the range 0.
        low, high = np.fmin.reduce(values[:, i]), np.fmax.reduce(values[:, i])
        if np.isnan(low):
            continue
        with np.errstate(over="ignore"):
            span = float(high) - float(low)
        if not np.isfinite(span):
            raise ValueError(
                f"column {table.columns[i].name} of X spans more than a float can hold; rescale "
                "it first."
            )
        # Below the smallest normal number a division would lose all precision, or overflow.
        offset[i], spread[i] = low, span if span >= np.finfo(values.dtype).tiny else 0.0


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
