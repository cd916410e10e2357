"""Reading y: 1 for a labelled anomaly, 0 for an unlabelled row."""

from typing import Any

import narwhals.stable.v1 as nw
import numpy as np
from numpy.typing import NDArray


def check_labels(y: Any, n_rows: int) -> NDArray[Any]:
    """Check labels before any work is done.

    Parameters
    ----------
    y : array-like of shape (n_rows,) or (n_rows, 1)
        1 or True: labelled anomaly; 0 or False: unlabelled.
    n_rows : int
        Rows of X.

    Returns
    -------
    ndarray of shape (n_rows,)
        The labels as they came, flat.

    Raises
    ------
    ValueError
        If y has another length, holds anything but 0 and 1, or only one of the two.
    """
    if y is None:
        raise ValueError("y is needed: 1 for a labelled anomaly, 0 for an unlabelled row.")
    flat = np.asarray(y)
    if flat.ndim == 2 and flat.shape[1] == 1:
        flat = flat[:, 0]
    if flat.ndim != 1:
        raise ValueError(
            f"y must be one column of labels; got shape {flat.shape}. Multilabel and multioutput "
            "targets are not supported."
        )
    if len(flat) != n_rows:
        raise ValueError(f"X has {n_rows} rows and y has {len(flat)}; they must have as many.")
    known = np.isin(flat, [0, 1]) if flat.dtype.kind in "biuf" else _known(flat)
    if not known.all():
        odd = flat[~known]
        # By their text: NaN is not equal to itself, and would be shown again and again.
        shown = ", ".join(dict.fromkeys(repr(value) for value in odd[:1000].tolist()))
        shown = shown if len(shown) < 60 else shown[:57] + "..."
        raise ValueError(
            "y must hold only 0 (unlabelled) and 1 (labelled anomaly), or False and True. "
            f"Unknown label type: {len(odd)} of {n_rows} rows hold something else ({shown})."
        )
    n_anomalies = np.count_nonzero(flat == 1)
    if n_anomalies == 0:
        raise ValueError(
            "y holds no labelled anomaly (class 1): at least one is needed to generate from."
        )
    if n_anomalies == n_rows:
        raise ValueError(
            "y holds no unlabelled row (class 0): anomalies are told from them, so at least one "
            "is needed."
        )
    return flat


def _known(flat: NDArray[Any]) -> NDArray[np.bool_]:
    # Objects: strings and None are not labels, True and 1.0 are.
    return np.array(
        [isinstance(v, (bool, int, float, np.generic)) and v in (0, 1) for v in flat], dtype=bool
    )


def extend_labels(y: Any, n_new: int) -> Any:
    """Append ``n_new`` labels 1 to y, keeping its kind, name and dtype.

    Parameters
    ----------
    y : array-like of shape (n_rows,)
        Checked labels.
    n_new : int
        How many to append.

    Returns
    -------
    array, list, Series or one-column DataFrame of shape (n_rows + n_new,)
        The kind of y. A pandas index is made anew, as imbalanced-learn does.
    """
    if isinstance(y, list):
        return y + [type(y[0])(1)] * n_new
    if nw.dependencies.is_into_series(y) or nw.dependencies.is_into_dataframe(y):
        old: Any = nw.from_native(y, allow_series=True, eager_only=True)
        frame = old if isinstance(old, nw.DataFrame) else old.to_frame()
        name, dtype = next(iter(frame.schema.items()))
        ones = np.ones(n_new, dtype=bool if dtype == nw.Boolean else np.int64)
        new: Any = nw.new_series(name, ones, backend=frame.implementation).cast(dtype).to_frame()
        if frame.implementation.is_pandas():
            new = nw.from_native(new.to_native().astype(frame.to_native().dtypes))
        both: Any = nw.maybe_reset_index(nw.concat([frame, new], how="vertical"))
        return (both if isinstance(old, nw.DataFrame) else both[name]).to_native()
    old = np.asarray(y)
    return np.concatenate([old, np.ones((n_new, *old.shape[1:]), dtype=old.dtype)])
