"""CutMix of labelled anomalies, equation (3) of the paper."""

from numbers import Real
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.utils._param_validation import Interval

from nngmix.sampling.base import BaseSampler, Floats
from nngmix.sampling.mixing import draw_other
from nngmix.sampling.pool import Pool
from nngmix.sampling.window import check_shares, draw_window


class CutMix(BaseSampler):
    r"""Paste a window of columns of one labelled anomaly into another.

    .. math::
        d = m \odot a_1 + (1 - m) \odot a_2

    where the mask :math:`m` is 0 in a window of columns of :math:`a_1` that a window of
    :math:`a_2`, elsewhere in the row, is pasted into.

    Parameters
    ----------
    multiplier : int, default=10
        Pseudo-anomalies for each labelled anomaly (the paper's M), at least 1.
    low, high : float, default=0.1, 0.3
        The window's width as a share of the columns is drawn evenly between these two, each from
        0 to 1.
    sampling_strategy : float, str, dict, callable or None, default=None
        None: ``multiplier`` counts, and y is 1 for a labelled anomaly and 0 elsewhere. Else as in
        imbalanced-learn: which classes to fill up, and how far; each in turn is taken for the
        anomalies, and all other rows for the unlabelled ones.
    scaling : "minmax", None or fitted scaler, default="minmax"
        Columns trade values in scaled units. "minmax": each column's range counts as 1, as
        if the table had gone through a MinMaxScaler; a constant column stays constant. None: the
        columns are scaled already. Or a fitted scikit-learn scaler that is linear by column.
        Rows always come back in the units that came in.
    categorical_features : "dtype", "infer" or list of str or int, default="dtype"
        Columns that hold categories. "dtype": those whose type says so (pandas category, polars
        Categorical and Enum, Arrow dictionary). "infer": those and columns of text. Or a list, by
        name or position. They are not pasted: a row keeps its
        first anomaly's categories.
    random_state : int, RandomState instance or None, default=None
        An int fixes every generated row.
    n_jobs : int or None, default=-1
        Threads; -1 means all cores, None means 1. The rows do not depend on it.

    Attributes
    ----------
    pool_ : Pool
        The labelled anomalies.
    sampling_strategy_ : dict
        How many rows ``fit_resample`` generates of each class.
    n_features_in_ : int
        Columns of X.
    feature_names_in_ : ndarray of shape (n_features_in_,)
        Column names of X, where it has them and all are strings.

    See Also
    --------
    Cutout : Blanks the window.
    Duplicate : The control that any gain must be held against.

    Notes
    -----
    As in the published program, the window of the second anomaly is that of :class:`Cutout` (so a
    width of 1 pastes nothing), and it is pasted at a column drawn evenly from 0 to d - width - 1:
    in general elsewhere than where it was cut. Values change columns in scaled units: half of one
    column's range becomes half of the other's. Windows lie over the numeric columns, in their
    order.

    A single labelled anomaly is pasted into itself. Missing cells are pasted like any other.
    Whole-number columns are rounded to the nearest whole number, booleans to the nearer value.

    References
    ----------
    .. [1] H. Dong, G. Frusque, Y. Zhao, E. Chatzi, O. Fink, "NNG-Mix: Improving Semi-supervised
       Anomaly Detection with Pseudo-anomaly Generation", Section III-B, equation (3); settings from
       Section IV-A.

    Examples
    --------
    >>> import numpy as np
    >>> from nngmix import CutMix
    >>> rng = np.random.default_rng(0)
    >>> X = np.vstack([rng.normal(size=(100, 3)), rng.normal(4, 1, size=(5, 3))])
    >>> y = np.repeat([0, 1], [100, 5])
    >>> X_new, y_new = CutMix(random_state=0).fit_resample(X, y)
    >>> X_new.shape, int(y_new.sum())
    ((155, 3), 55)
    """

    _parameter_constraints: dict[str, Any] = {
        **BaseSampler._parameter_constraints,
        "low": [Interval(Real, 0, 1, closed="both")],
        "high": [Interval(Real, 0, 1, closed="both")],
    }

    def __init__(
        self,
        *,
        multiplier: int = 10,
        low: float = 0.1,
        high: float = 0.3,
        sampling_strategy: Any = None,
        scaling: Any = "minmax",
        categorical_features: Any = "dtype",
        random_state: Any = None,
        n_jobs: int | None = -1,
    ) -> None:
        self.multiplier = multiplier
        self.low = low
        self.high = high
        self.sampling_strategy = sampling_strategy
        self.scaling = scaling
        self.categorical_features = categorical_features
        self.random_state = random_state
        self.n_jobs = n_jobs

    def _prepare(self, pool: Pool) -> None:
        check_shares(self.low, self.high)

    def _transform(
        self, pool: Pool, anomaly: NDArray[np.intp], rows: Floats, rng: np.random.Generator
    ) -> None:
        numeric = np.flatnonzero(~pool.scale.categorical)
        n, width = len(rows), len(numeric)
        if width == 0:
            return
        second = draw_other(anomaly, len(pool.anomalies), rng)
        start, stop = draw_window(rng, n, width, self.low, self.high)
        length = stop - start
        # A window as wide as the row has one place to go.
        place = rng.integers(np.maximum(width - length, 1))
        shift = np.arange(width) - place[:, None]
        row, target = np.nonzero((shift >= 0) & (shift < length[:, None]))
        source = numeric[start[row] + shift[row, target]]
        target = numeric[target]
        scale = pool.scale
        pasted = (pool.anomalies[second[row], source] - scale.offset[source]) / scale.unit[source]
        rows[row, target] = scale.offset[target] + scale.spread[target] * pasted
