"""Reading y: 1 for a labelled anomaly, 0 for an unlabelled row; or classes to be balanced."""

from collections.abc import Mapping
from typing import Any

import narwhals.stable.v1 as nw
import numpy as np
from numpy.typing import NDArray

from nngmix.sampling.tensors import device_of, to_array, to_tensor


def check_labels(y: Any, n_rows: int, *, both: bool = True) -> NDArray[Any]:
    """Check labels before any work is done.

    Parameters
    ----------
    y : array-like of shape (n_rows,) or (n_rows, 1)
        1 or True: labelled anomaly; 0 or False: unlabelled.
    n_rows : int
        Rows of X.
    both : bool, default=True
        Whether both kinds must occur.

    Returns
    -------
    ndarray of shape (n_rows,)
        The labels as they came, flat.

    Raises
    ------
    ValueError
        If y has another length, holds anything but 0 and 1, or only one of the two.
    """
    flat = flatten(y, n_rows)
    known = np.isin(flat, [0, 1]) if flat.dtype.kind in "biuf" else _known(flat)
    if not known.all():
        odd = flat[~known]
        # By their text: NaN is not equal to itself, and would be shown again and again.
        shown = ", ".join(dict.fromkeys(repr(value) for value in odd[:1000].tolist()))
        shown = shown if len(shown) < 60 else shown[:57] + "..."
        raise ValueError(
            "y must hold only 0 (unlabelled) and 1 (labelled anomaly), or False and True. "
            f"Unknown label type: {len(odd)} of {n_rows} rows hold something else ({shown}). To "
            "balance other classes, set sampling_strategy."
        )
    n_anomalies = np.count_nonzero(flat == 1)
    if both and n_anomalies == 0:
        raise ValueError(
            "y holds no labelled anomaly (class 1): at least one is needed to generate from."
        )
    if both and n_anomalies == n_rows:
        raise ValueError(
            "y holds no unlabelled row (class 0): anomalies are told from them, so at least one "
            "is needed."
        )
    return flat


def flatten(y: Any, n_rows: int) -> NDArray[Any]:
    """Turn y into one column of ``n_rows`` labels."""
    if y is None:
        raise ValueError("y is needed: 1 for a labelled anomaly, 0 for an unlabelled row.")
    flat = np.asarray(to_array(y))
    if flat.ndim == 2 and flat.shape[1] == 1:
        flat = flat[:, 0]
    if flat.ndim != 1:
        raise ValueError(
            f"y must be one column of labels; got shape {flat.shape}. Multilabel and multioutput "
            "targets are not supported."
        )
    if len(flat) != n_rows:
        raise ValueError(f"X has {n_rows} rows and y has {len(flat)}; they must have as many.")
    return flat


def _known(flat: NDArray[Any]) -> NDArray[np.bool_]:
    # Objects: strings and None are not labels, True and 1.0 are.
    return np.array(
        [isinstance(v, (bool, int, float, np.generic)) and v in (0, 1) for v in flat], dtype=bool
    )


def extend_labels(y: Any, added: Mapping[Any, int]) -> Any:
    """Append labels to y, keeping its kind, name and dtype.

    Parameters
    ----------
    y : array-like of shape (n_rows,), or (n_rows, n_classes) with a single 1 a row
        Checked labels.
    added : mapping of label to int
        How many to append of each, in this order.

    Returns
    -------
    array, tensor, list, Series or DataFrame
        The kind of y, longer. A pandas index is made anew, as imbalanced-learn does.
    """
    if device_of(y) is not None:
        return to_tensor(extend_labels(to_array(y), added), device_of(y))
    labels, counts = list(added), list(added.values())
    if isinstance(y, list):
        pairs = zip(labels, counts, strict=True)
        return y + [type(y[0])(label) for label, n in pairs for _ in range(n)]
    if isinstance(y, np.ndarray) and y.ndim == 1 and y.dtype.kind in "iufb" and y.dtype.isnative:
        out = np.empty(len(y) + sum(counts), dtype=y.dtype)
        out[: len(y)] = y
        start = len(y)
        for label, n in added.items():
            out[start : start + n] = label
            start += n
        return out
    # A single label, the rule, is quicker written than repeated.
    new = np.full(counts[0], labels[0]) if len(labels) == 1 else np.repeat(labels, counts)
    if nw.dependencies.is_into_series(y) or nw.dependencies.is_into_dataframe(y):
        return _extend_native(y, new)
    old = np.asarray(y)
    if old.ndim == 2 and old.shape[1] > 1:
        unit = np.eye(old.shape[1], dtype=old.dtype)
        return np.concatenate([old, unit[new.astype(int)]])
    return np.concatenate([old, new.astype(old.dtype, copy=False).reshape(-1, *old.shape[1:])])


def _extend_native(y: Any, new: NDArray[Any]) -> Any:
    old: Any = nw.from_native(y, allow_series=True, eager_only=True)
    frame = old if isinstance(old, nw.DataFrame) else old.to_frame()
    name = frame.columns[0]
    if frame.implementation.is_pandas():
        import pandas as pd

        tail = pd.DataFrame({name: pd.Series(new, dtype=frame.to_native().dtypes.iloc[0])})
        added: Any = nw.from_native(tail, eager_only=True)
    else:
        dtype = frame.schema[name]
        column = nw.new_series(name, new, backend=frame.implementation).cast(dtype)
        added = column.to_frame()
    both: Any = nw.maybe_reset_index(nw.concat([frame, added], how="vertical"))
    return (both if isinstance(old, nw.DataFrame) else both[name]).to_native()
