"""Gaussian noise around labelled anomalies, equation (4) of the paper."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from nngmix.sampling.base import BaseSampler, Floats
from nngmix.sampling.mixing import SIGMA, add_noise
from nngmix.sampling.pool import Pool


class GaussianNoise(BaseSampler):
    r"""Add Gaussian noise to labelled anomalies.

    .. math::
        d = a_1 + \epsilon, \qquad \epsilon \sim \mathcal{N}(0, \sigma^2 I)

    Parameters
    ----------
    multiplier : int, default=10
        Pseudo-anomalies for each labelled anomaly (the paper's M), at least 1.
    sigma : float, default=0.01
        Standard deviation of the noise, in scaled units: with ``scaling="minmax"`` a share of the
        column's range. 0 copies.
    sampling_strategy : float, str, dict, callable or None, default=None
        None: ``multiplier`` counts, and y is 1 for a labelled anomaly and 0 elsewhere. Else as in
        imbalanced-learn: which classes to fill up, and how far; each in turn is taken for the
        anomalies, and all other rows for the unlabelled ones.
    scaling : "minmax", None or fitted scaler, default="minmax"
        What the noise is measured in. "minmax": each column's range counts as 1, as
        if the table had gone through a MinMaxScaler; a constant column stays constant. None: the
        columns are scaled already. Or a fitted scikit-learn scaler that is linear by column.
        Rows always come back in the units that came in.
    categorical_features : "dtype", "infer" or list of str or int, default="dtype"
        Columns that hold categories. "dtype": those whose type says so (pandas category, polars
        Categorical and Enum, Arrow dictionary). "infer": those and columns of text. Or a list, by
        name or position. A generated row keeps its
        anomaly's categories.
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
    NNGMix : The paper's own sampler.
    Duplicate : The control that any gain must be held against.

    Notes
    -----
    A missing cell stays missing. Whole-number columns are rounded to the nearest whole number,
    booleans to the nearer value.

    References
    ----------
    .. [1] H. Dong, G. Frusque, Y. Zhao, E. Chatzi, O. Fink, "NNG-Mix: Improving Semi-supervised
       Anomaly Detection with Pseudo-anomaly Generation", Section III-B, equation (4); settings from
       Section IV-A.

    Examples
    --------
    >>> import numpy as np
    >>> from nngmix import GaussianNoise
    >>> rng = np.random.default_rng(0)
    >>> X = np.vstack([rng.normal(size=(100, 3)), rng.normal(4, 1, size=(5, 3))])
    >>> y = np.repeat([0, 1], [100, 5])
    >>> X_new, y_new = GaussianNoise(random_state=0).fit_resample(X, y)
    >>> X_new.shape, int(y_new.sum())
    ((155, 3), 55)
    """

    _parameter_constraints: dict[str, Any] = {
        **BaseSampler._parameter_constraints,
        "sigma": SIGMA,
    }

    def __init__(
        self,
        *,
        multiplier: int = 10,
        sigma: float = 0.01,
        sampling_strategy: Any = None,
        scaling: Any = "minmax",
        categorical_features: Any = "dtype",
        random_state: Any = None,
        n_jobs: int | None = -1,
    ) -> None:
        self.multiplier = multiplier
        self.sigma = sigma
        self.sampling_strategy = sampling_strategy
        self.scaling = scaling
        self.categorical_features = categorical_features
        self.random_state = random_state
        self.n_jobs = n_jobs

    def _transform(
        self, pool: Pool, anomaly: NDArray[np.intp], rows: Floats, rng: np.random.Generator
    ) -> None:
        if self.sigma > 0:
            add_noise(rows, self.sigma, pool, rng)
