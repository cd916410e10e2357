"""The split behind the paper's numbers: which rows train, which test, which have labels."""

import math
import numbers
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.random import RandomState
from numpy.typing import ArrayLike, NDArray
from scipy.sparse import issparse
from sklearn.model_selection import train_test_split
from sklearn.preprocessing import MinMaxScaler

Protocol = Literal["adbench", "leak-free"]

_FEWEST_ROWS = 1_000
_MOST_ROWS = 10_000
_TEST_SHARE = 0.3
# The published program draws 10 % of the anomalies first, whatever smaller ratio is asked for.
_FIRST_LABEL_RATIO = 0.1


# Arrays have no single truth value, so a generated __eq__ could only raise.
@dataclass(frozen=True, eq=False)
class Split:
    """A table split for an experiment; what `make_split` returns.

    Attributes
    ----------
    X_train : ndarray of shape (n_train, n_features)
        Training rows, each column scaled to [0, 1]; labelled and unlabelled rows interleaved.
    y_train : ndarray of shape (n_train,), int64
        1 for a labelled anomaly, 0 for an unlabelled row.
    X_test : ndarray of shape (n_test, n_features)
        Test rows, scaled with the ranges of the training rows.
    y_test : ndarray of shape (n_test,), int64
        True labels: 1 for an anomaly, 0 for a normal row.
    hidden : ndarray of shape (n_train,), bool
        Training rows that are anomalies, but unlabelled. To judge with, never to train with.
    """

    X_train: NDArray[np.floating[Any]]
    y_train: NDArray[np.int64]
    X_test: NDArray[np.floating[Any]]
    y_test: NDArray[np.int64]
    hidden: NDArray[np.bool_]


def make_split(
    X: ArrayLike,
    y: ArrayLike,
    *,
    label_ratio: float = 0.1,
    seed: int = 0,
    pollution_ratio: float = 1.0,
    protocol: Protocol = "adbench",
) -> Split:
    """Split a labelled table into training rows with few labels and test rows with all of them.

    Parameters
    ----------
    X : array-like of shape (n_rows, n_features)
        Numbers without gaps, in any units. float32 stays float32, all else becomes float64.
    y : array-like of shape (n_rows,)
        True labels: 1 or True for an anomaly, 0 or False for a normal row. At least two of each.
    label_ratio : float, default=0.1
        Share of the training anomalies that get a label, in (0, 1], rounded up: at least one.
    seed : int, default=0
        Seed of every draw, in [0, 2**32).
    pollution_ratio : float, default=1.0
        Share of the unlabelled training anomalies that stay among the unlabelled rows, in [0, 1],
        rounded up. The others leave the training rows.
    protocol : {"adbench", "leak-free"}, default="adbench"
        How tables of fewer than 1000 rows are filled up; see Notes. Larger tables are split the
        same way under both.

    Returns
    -------
    Split
        `X_train`, `y_train`, `X_test`, `y_test` and `hidden`.

    Raises
    ------
    ValueError
        If a parameter is not as described above. Also if the rows drawn from the table (see Notes)
        hold fewer than two anomalies or two normal rows, which another seed may cure.

    Notes
    -----
    ``protocol="adbench"`` is the split of Section IV-A of the paper, bit by bit as the published
    program and ADBench's data generator make it, for the label ratios of the paper:

    1. From fewer than 1000 rows, 1000 are drawn with replacement; from more than 10 000 rows,
       10 000 without.
    2. 30 % become test rows, stratified by `y`.
    3. Each column is scaled to [0, 1] on the training rows.
    4. Of the training anomalies, a share of `label_ratio` is labelled; the others are hidden
       among the unlabelled rows. For a `label_ratio` below 0.1, a share of 0.1 is labelled
       first, `label_ratio` / 0.1 of those keep their label, and the rest are **left out of
       training altogether**. The paper says only "1 % labelled"; the program does this.
    5. With `pollution_ratio` below 1, that share of the hidden anomalies is drawn to stay. The
       paper does not say how it drew them.

    In a table of fewer than 1000 rows, the duplicates of step 1 fall on both sides of step 2: a
    detector is then tested partly on rows that it was trained on, and scores too well. The default
    keeps this leak, because it is in the published numbers.

    ``protocol="leak-free"`` splits such a table first, and then draws 700 training rows (70 % of
    1000) with replacement; the test rows stay as they are. No row is on both sides. The draw is
    made within each class, in the proportion of the classes in the training rows, so that it
    can lose neither. Under both protocols, a labelled anomaly may have a hidden duplicate.

    Both sides always hold at least one anomaly and one normal row.

    Examples
    --------
    >>> from nngmix.datasets import load_builtin, make_split
    >>> wine = load_builtin("wine")
    >>> split = make_split(wine.data, wine.target, label_ratio=0.1, seed=0)
    >>> split.X_train.shape, split.X_test.shape
    ((700, 13), (300, 13))
    >>> int(split.y_train.sum()), int(split.hidden.sum()), int(split.y_test.sum())
    (7, 57, 28)

    At 1 %, the anomalies that lose their label again are gone:

    >>> split = make_split(wine.data, wine.target, label_ratio=0.01, seed=0)
    >>> split.X_train.shape, int(split.y_train.sum()), int(split.hidden.sum())
    ((694, 13), 1, 57)
    """
    if protocol not in ("adbench", "leak-free"):
        raise ValueError(f"protocol must be 'adbench' or 'leak-free', not {protocol!r}.")
    if not _is_real(label_ratio) or not 0 < label_ratio <= 1:
        raise ValueError(
            f"label_ratio must be a number above 0 and at most 1, not {label_ratio!r}."
        )
    if not _is_real(pollution_ratio) or not 0 <= pollution_ratio <= 1:
        raise ValueError(f"pollution_ratio must be a number from 0 to 1, not {pollution_ratio!r}.")
    if not isinstance(seed, int | np.integer) or isinstance(seed, bool) or not 0 <= seed < 2**32:
        raise ValueError(f"seed must be an integer from 0 to 2**32 - 1, not {seed!r}.")
    table = _as_table(X)
    labels = _as_labels(y, n_rows=len(table))

    # The published program seeds its one stream at the start and again before the draw of rows.
    # Nothing is drawn in between, so seeding once gives the same stream.
    rng = RandomState(int(seed))
    refill = len(table) < _FEWEST_ROWS
    rows = np.arange(len(table))
    if refill and protocol == "adbench":
        rows = rng.choice(rows, _FEWEST_ROWS, replace=True)
    elif len(table) > _MOST_ROWS:
        rows = rng.choice(rows, _MOST_ROWS, replace=False)
    _check_both_classes(
        labels[rows], f" among the {rows.size} rows drawn with seed={seed}; another seed may do"
    )

    train, test = train_test_split(
        rows, test_size=_TEST_SHARE, shuffle=True, stratify=labels[rows], random_state=rng
    )
    if refill and protocol == "leak-free":
        n_drawn = round(_FEWEST_ROWS * (1 - _TEST_SHARE))
        train = train[_draw_within_classes(labels[train], n_drawn, rng)]

    # On all training rows: the published program scales before it leaves any of them out.
    scaler = MinMaxScaler().fit(table[train])

    # From here on, rows are known by their position in `train`.
    anomalies = np.flatnonzero(labels[train])
    n_first = _share(max(label_ratio, _FIRST_LABEL_RATIO), anomalies.size)
    labelled = np.sort(rng.choice(anomalies, n_first, replace=False))
    hidden = np.setdiff1d(anomalies, labelled)
    left_out = np.empty(0, dtype=np.intp)
    if label_ratio < _FIRST_LABEL_RATIO:
        n_labelled = _share(label_ratio / _FIRST_LABEL_RATIO, labelled.size)
        labelled, left_out = _draw(labelled, n_labelled, rng)
    if pollution_ratio < 1:
        hidden, cleaned = _draw(hidden, _share(pollution_ratio, hidden.size), rng)
        left_out = np.concatenate([left_out, cleaned])

    keep = np.ones(train.size, dtype=bool)
    keep[left_out] = False
    y_train = np.zeros(train.size, dtype=np.int64)
    y_train[labelled] = 1
    is_hidden = np.zeros(train.size, dtype=bool)
    is_hidden[hidden] = True
    return Split(
        X_train=scaler.transform(table[train[keep]]),
        y_train=y_train[keep],
        X_test=scaler.transform(table[test]),
        y_test=labels[test],
        hidden=is_hidden[keep],
    )


def _share(ratio: float, n: int) -> int:
    """Return `ratio` of `n`, rounded up: at least one of them, unless `ratio` is zero."""
    # Rounded first, or 0.55 of 100 would be 56: in floats it comes to 55.00000000000001.
    return max(math.ceil(round(ratio * n, 9)), int(ratio > 0 and n > 0))


def _draw(
    positions: NDArray[np.intp], size: int, rng: RandomState
) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Draw `size` of `positions` without replacement; return the drawn and the others."""
    drawn = rng.choice(positions.size, size, replace=False)
    return positions[drawn], np.delete(positions, drawn)


def _draw_within_classes(
    labels: NDArray[np.int64], size: int, rng: RandomState
) -> NDArray[np.intp]:
    """Draw `size` positions of `labels` with replacement, in the proportion of its classes."""
    # `size` is larger than labels.size, so each class gets at least as many as it had, and
    # rounding cannot empty one.
    n_anomalies = round(size * int(labels.sum()) / labels.size)
    normal = rng.choice(np.flatnonzero(labels == 0), size - n_anomalies, replace=True)
    anomalies = rng.choice(np.flatnonzero(labels == 1), n_anomalies, replace=True)
    # Sorted, so that the classes lie interleaved again, as the split had left them.
    return np.sort(np.concatenate([normal, anomalies]))


def _as_table(X: ArrayLike) -> NDArray[np.floating[Any]]:
    values = _as_numbers(X, "X")
    if values.ndim != 2:
        raise ValueError(
            f"X must be a 2-D table of shape (n_rows, n_features), but it has {values.ndim} "
            f"dimension(s): shape {values.shape}."
        )
    if values.size == 0:
        raise ValueError(
            f"X must have at least one row and one column, but its shape is {values.shape}."
        )
    table = values if values.dtype == np.float32 else values.astype(np.float64, copy=False)
    gaps = ~np.isfinite(table)
    if gaps.any():
        row, column = np.argwhere(gaps)[0]
        raise ValueError(
            f"X must hold finite numbers only, but {int(gaps.sum())} of its values are NaN or "
            f"infinite, the first in row {row}, column {column}: fill or drop them first."
        )
    return table


def _as_labels(y: ArrayLike, n_rows: int) -> NDArray[np.int64]:
    values = _as_numbers(y, "y")
    if values.shape != (n_rows,):
        raise ValueError(
            f"y must hold one label for each of the {n_rows} rows of X, in one dimension, "
            f"but its shape is {values.shape}."
        )
    other = np.unique(values[~np.isin(values, (0, 1))])
    if other.size:
        raise ValueError(
            f"y must hold 0 (normal) and 1 (anomaly) only, but it also holds "
            f"{', '.join(str(value) for value in other[:5])}{', ...' if other.size > 5 else ''}."
        )
    labels = values.astype(np.int64)
    _check_both_classes(labels)
    return labels


def _check_both_classes(labels: NDArray[np.int64], where: str = "") -> None:
    n_anomalies = int(labels.sum())
    n_normal = labels.size - n_anomalies
    if min(n_anomalies, n_normal) < 2:
        raise ValueError(
            "y must hold at least 2 anomalies (1) and 2 normal rows (0), since each side of the "
            f"split needs both, but it holds {n_anomalies} and {n_normal}{where}."
        )


def _as_numbers(values: Any, name: str) -> NDArray[Any]:
    """Return `values` as an array of a real dtype; refuse what numpy would only guess at."""
    if issparse(values):
        raise ValueError(f"{name} must be dense, but it is a sparse matrix: pass {name}.toarray().")
    try:
        array = np.asarray(values)
    except ValueError as error:
        raise ValueError(f"{name} must be an array, but its rows differ in length.") from error
    if array.dtype.kind == "O":
        # Tables with columns of several types arrive as objects. Only numbers may pass: astype
        # alone would also read text such as "1.5", and turn None into NaN.
        for position, value in np.ndenumerate(array):
            if not _is_real(value) and not isinstance(value, bool | np.bool_):
                raise ValueError(
                    f"{name} must hold numbers only, but at position {position} it holds "
                    f"{value!r}: encode or drop such values first."
                )
        return array.astype(np.float64)
    if array.dtype.kind not in "biuf":
        raise ValueError(f"{name} must hold numbers only, but its dtype is {array.dtype}.")
    return array


def _is_real(value: object) -> bool:
    return isinstance(value, numbers.Real) and not isinstance(value, bool)
