"""NNG-Mix: nearest neighbour Gaussian mixup, equation (5) and Algorithm 1 of the paper."""

from numbers import Integral, Real
from typing import Any

import numpy as np
from sklearn.utils._param_validation import Interval

from nngmix.sampling.base import BaseSampler, Floats
from nngmix.sampling.mixing import ALPHA, draw_weights, mix
from nngmix.sampling.pool import Pool


class NNGMix(BaseSampler):
    r"""Mix labelled anomalies with their nearest neighbours and a little noise.

    Each pseudo-anomaly mixes a random labelled anomaly :math:`a_1` with a partner :math:`a_2`:
    with probability 1/2 one of its nearest labelled anomalies, else one of its nearest unlabelled
    rows. Near partners keep the mixture out of the bulk of the unlabelled rows.

    .. math::
        d = \lambda (a_1 + \epsilon_1) + (1 - \lambda)(a_2 + \epsilon_2), \qquad
        \lambda \sim \mathrm{Beta}(\alpha, \alpha), \quad
        \epsilon_1, \epsilon_2 \sim \mathcal{N}(0, \sigma^2 I)

    Parameters
    ----------
    multiplier : int, default=10
        Pseudo-anomalies for each labelled anomaly (the paper's M), at least 1.
    n_neighbors : int, default=10
        The paper's k, at least 1; cut to how many rows there are.
    sigma : float, default=0.01
        Standard deviation of the noise, in scaled units: with ``scaling="minmax"`` a share of the
        column's range. 0 switches the noise off.
    alpha : float or "uniform", default=0.2
        Parameter of the Beta distribution of :math:`\lambda`, above 0; "uniform" draws
        :math:`\lambda` evenly from 0 to 1.
    scaling : "minmax", None or fitted scaler, default="minmax"
        What distances and noise are measured in. "minmax": each column's range counts as 1, as if
        the table had gone through a MinMaxScaler; a constant column stays constant. None: the
        columns are scaled already. Or a fitted scikit-learn scaler that is linear by column.
        Rows always come back in the units that came in.
    random_state : int, RandomState instance or None, default=None
        An int fixes every generated row.
    n_jobs : int or None, default=None
        Threads that generate rows; None means 1, -1 all cores. The rows do not depend on it.

    Attributes
    ----------
    pool_ : Pool
        The labelled anomalies, the unlabelled rows near them, and who is near whom.
    sampling_strategy_ : dict
        ``{1: n_new}``, how many rows ``fit_resample`` generates.
    n_features_in_ : int
        Columns of X.
    feature_names_in_ : ndarray of shape (n_features_in_,)
        Column names of X, where it has them and all are strings.

    See Also
    --------
    Duplicate : The control that any gain must be held against.

    Notes
    -----
    As in the published program, the k nearest anomalies of an anomaly count the row itself, which
    is then left out: k - 1 others (at least one), and the row itself only where it is alone.

    The sum of the two noises is drawn at once:
    :math:`\lambda \epsilon_1 + (1 - \lambda) \epsilon_2` is Gaussian with standard deviation
    :math:`\sigma \sqrt{\lambda^2 + (1 - \lambda)^2}`.

    Whole-number columns are rounded to the nearest whole number, booleans to the nearer value.

    References
    ----------
    .. [1] H. Dong, G. Frusque, Y. Zhao, E. Chatzi, O. Fink, "NNG-Mix: Improving Semi-supervised
       Anomaly Detection with Pseudo-anomaly Generation", Section III-C, equation (5),
       Algorithm 1; settings from Section IV-A.

    Examples
    --------
    >>> import numpy as np
    >>> from nngmix import NNGMix
    >>> rng = np.random.default_rng(0)
    >>> X = np.vstack([rng.normal(size=(100, 3)), rng.normal(4, 1, size=(5, 3))])
    >>> y = np.repeat([0, 1], [100, 5])
    >>> X_new, y_new = NNGMix(multiplier=10, random_state=0).fit_resample(X, y)
    >>> X_new.shape, int(y_new.sum())
    ((155, 3), 55)

    The data are needed once; from then on the pool is enough:

    >>> sampler = NNGMix(random_state=0).fit(X, y)
    >>> sampler.sample(1000).shape
    (1000, 3)
    """

    _parameter_constraints: dict[str, Any] = {
        **BaseSampler._parameter_constraints,
        "n_neighbors": [Interval(Integral, 1, None, closed="left")],
        "sigma": [Interval(Real, 0, None, closed="left")],
        "alpha": ALPHA,
    }

    def __init__(
        self,
        *,
        multiplier: int = 10,
        n_neighbors: int = 10,
        sigma: float = 0.01,
        alpha: float | str = 0.2,
        scaling: Any = "minmax",
        random_state: Any = None,
        n_jobs: int | None = None,
    ) -> None:
        self.multiplier = multiplier
        self.n_neighbors = n_neighbors
        self.sigma = sigma
        self.alpha = alpha
        self.scaling = scaling
        self.random_state = random_state
        self.n_jobs = n_jobs

    def _pool_neighbors(self) -> int:
        return int(self.n_neighbors)

    def _draw(self, pool: Pool, out: Floats, rng: np.random.Generator, first: int) -> None:
        n = len(out)
        a = rng.integers(len(pool.anomalies), size=n)
        # One table of partners: the near anomalies' columns, then the near unlabelled ones'.
        n_own, n_other = pool.near_anomalies.shape[1], pool.near_unlabelled.shape[1]
        partners = np.hstack([pool.near_anomalies, pool.near_unlabelled + len(pool.anomalies)])
        rows = np.concatenate([pool.anomalies, pool.unlabelled])
        coin = rng.random(n) < 0.5
        column = np.where(coin, rng.integers(n_own, size=n), n_own + rng.integers(n_other, size=n))
        weight = draw_weights(rng, self.alpha, n, out.dtype)
        mix(pool.anomalies[a], rows[partners[a, column]], weight, out)
        if self.sigma > 0:
            noise = rng.standard_normal(out.shape, dtype=out.dtype)
            noise *= self.sigma * np.sqrt(weight**2 + (1 - weight) ** 2)
            noise *= pool.scale.spread.astype(out.dtype)
            out += noise
