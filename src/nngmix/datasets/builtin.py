"""Three small real tables that come with scikit-learn, so that nothing has to be downloaded."""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numpy.random import RandomState
from sklearn.datasets import load_breast_cancer, load_digits, load_wine
from sklearn.utils import Bunch


class _Recipe(NamedTuple):
    load: Callable[[], Bunch]
    anomaly_class: int
    anomalies: str
    normal: str
    source: str


_RECIPES = {
    "breast_cancer": _Recipe(
        load_breast_cancer,
        anomaly_class=0,
        anomalies="malignant tumours",
        normal="benign tumours",
        source="Breast Cancer Wisconsin (Diagnostic),\nUCI Machine Learning Repository",
    ),
    "digits": _Recipe(
        load_digits,
        anomaly_class=0,
        anomalies="images of the digit 0",
        normal="images of the digits 1 to 9",
        source="Optical Recognition of Handwritten Digits\n"
        "(its test part, 8 x 8 pixels), UCI Machine Learning Repository",
    ),
    "wine": _Recipe(
        load_wine,
        anomaly_class=0,
        anomalies="wines of cultivar class_0",
        normal="wines of the cultivars class_1 and class_2",
        source="Wine recognition data, UCI Machine Learning Repository.\n"
        "The classes play the parts that they play in the wine set of ODDS and ADBench",
    ),
}

BUILTIN_NAMES: tuple[str, ...] = tuple(_RECIPES)
"""The names that `load_builtin` knows."""


def load_builtin(name: str, *, as_frame: bool = False) -> Bunch:
    """Load a small real table for anomaly detection, without a download.

    Parameters
    ----------
    name : {"breast_cancer", "digits", "wine"}
        Which table; `BUILTIN_NAMES` lists them.
    as_frame : bool, default=False
        As in scikit-learn's loaders: if True, `data` is a pandas DataFrame, `target` a pandas
        Series, and `frame` holds both side by side. Needs pandas.

    Returns
    -------
    Bunch
        With these fields:

        data : ndarray of shape (n_rows, n_features), float64
            The rows, in the order and the units of the source.
        target : ndarray of shape (n_rows,), int64
            1 for an anomaly, 0 for a normal row.
        feature_names : list of str
            The names of the columns.
        name : str
            The name that was asked for.
        DESCR : str
            How the table was made, with counts and source.
        frame : DataFrame of shape (n_rows, n_features + 1), or None
            Only with ``as_frame=True``: `data` and a last column ``target``.

    Raises
    ------
    ValueError
        If there is no table called `name`.
    ImportError
        If `as_frame` is True and pandas is not installed.

    Notes
    -----
    One rule makes all three from a classification table of scikit-learn: one class is the anomaly,
    every row of the other classes is normal, and the anomalies are thinned out, without
    replacement and with the fixed seed ``RandomState(0)``, to one tenth of the number of normal
    rows (rounded). The result is the same every time.

    Examples
    --------
    >>> from nngmix.datasets import load_builtin
    >>> wine = load_builtin("wine")
    >>> wine.data.shape, int(wine.target.sum())
    ((131, 13), 12)
    >>> print(wine.DESCR)
    wine: 131 rows, 13 features, 12 anomalies (9.2 %).
    Normal (0): all 119 wines of the cultivars class_1 and class_2.
    Anomaly (1): 12 of the 59 wines of cultivar class_0,
    ...
    """
    if not isinstance(name, str) or name not in _RECIPES:
        raise ValueError(f"name={name!r} is not a built-in table; there are {list(BUILTIN_NAMES)}.")
    recipe = _RECIPES[name]
    source = recipe.load()
    is_anomaly = source.target == recipe.anomaly_class

    candidates = np.flatnonzero(is_anomaly)
    n_normal = int((~is_anomaly).sum())
    kept = RandomState(0).choice(candidates, round(n_normal / 10), replace=False)
    keep = ~is_anomaly
    keep[kept] = True

    data = source.data[keep].astype(np.float64)
    target = is_anomaly[keep].astype(np.int64)
    bunch = Bunch(
        data=data,
        target=target,
        frame=None,
        feature_names=[str(feature) for feature in source.feature_names],
        name=name,
        DESCR=(
            f"{name}: {target.size} rows, {data.shape[1]} features, {kept.size} anomalies "
            f"({100 * kept.size / target.size:.1f} %).\n"
            f"Normal (0): all {n_normal} {recipe.normal}.\n"
            f"Anomaly (1): {kept.size} of the {candidates.size} {recipe.anomalies},\n"
            "one tenth of the number of normal rows, rounded; drawn without replacement with\n"
            "numpy.random.RandomState(0). Rows keep the order of the source.\n"
            f"Source: scikit-learn's copy of {recipe.source}."
        ),
    )
    if as_frame:
        _put_in_frames(bunch)
    return bunch


def _put_in_frames(bunch: Bunch) -> None:
    try:
        import pandas as pd
    except ImportError as error:
        raise ImportError(
            "as_frame=True needs pandas, which is not installed: "
            "install pandas, or leave as_frame=False."
        ) from error
    bunch.data = pd.DataFrame(bunch.data, columns=bunch.feature_names)
    bunch.target = pd.Series(bunch.target, name="target")
    bunch.frame = pd.concat([bunch.data, bunch.target], axis=1)
