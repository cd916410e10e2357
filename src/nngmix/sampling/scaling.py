"""Scaling inside a sampler: what counts as far, and how large the noise is, in each column."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.utils.validation import check_is_fitted

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
        The same for noise: ``unit``, or 0 in a column that is constant, so that it stays so.
    """

    offset: NDArray[np.float64]
    unit: NDArray[np.float64]
    spread: NDArray[np.float64]


def find_scale(scaling: Any, values: Floats, names: list[str]) -> Scale:
    """Work out a sampler's ``scaling`` for a table.

    Parameters
    ----------
    scaling : "minmax", None or a fitted scikit-learn scaler
        "minmax": the range of ``values`` counts as 1. None: every column is scaled already.
        A scaler must be linear, column by column, and offer ``inverse_transform``.
    values : ndarray of shape (n_rows, n_features)
        The table to take ranges from.
    names : list of str
        Column names, for messages.

    Returns
    -------
    Scale

    Raises
    ------
    ValueError
        If a column's range overflows, or the scaler is not fitted, has another number of columns
        or is not linear.
    """
    n_features = values.shape[1]
    if scaling is None:
        ones = np.ones(n_features)
        return Scale(np.zeros(n_features), ones, ones)
    if isinstance(scaling, str):
        low = values.min(axis=0).astype(np.float64)
        with np.errstate(over="ignore"):
            spread = values.max(axis=0).astype(np.float64) - low
        if not np.isfinite(spread).all():
            name = names[int(np.argmin(np.isfinite(spread)))]
            raise ValueError(
                f"column {name!r} of X spans more than a float can hold; rescale it first."
            )
        # Below the smallest normal number a division would lose all precision, or overflow.
        spread[spread < np.finfo(values.dtype).tiny] = 0.0
        return Scale(low, np.where(spread > 0, spread, 1.0), spread)
    return _scale_of(scaling, n_features)


def _scale_of(scaler: Any, n_features: int) -> Scale:
    name = type(scaler).__name__
    check_is_fitted(scaler)
    seen = getattr(scaler, "n_features_in_", n_features)
    if seen != n_features:
        raise ValueError(f"scaling: this {name} was fitted on {seen} columns; X has {n_features}.")
    # Three points on a line tell a linear scaler and give its two numbers.
    points = np.repeat([[0.0], [0.5], [1.0]], n_features, axis=1)
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
    return Scale(zero, unit, spread)
