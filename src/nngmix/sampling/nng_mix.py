"""NNG-Mix: nearest neighbour Gaussian mixup, equation (5) and Algorithm 1 of the paper."""

from numbers import Integral
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.utils._param_validation import HasMethods, Interval

from nngmix.sampling.base import BaseSampler, Floats
from nngmix.sampling.mixing import ALPHA, SIGMA, add_noise, draw_from_all, draw_weights, mix
from nngmix.sampling.pool import Needs, Pool
from nngmix.sampling.streams import thread_count


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
    n_neighbors : int, estimator or None, default=10
        The paper's k, at least 1; cut to how many rows there are. Or an unfitted estimator with
        ``kneighbors`` (of faiss, pynndescent, cuML, scikit-learn), whose ``n_neighbors`` is k; it
        sees scaled columns, all numeric and without gaps. None is the paper's ablation without
        neighbours (Table VI): the partner is any other training row, labelled or not.
    sigma : float, default=0.01
        Standard deviation of the noise, in scaled units: with ``scaling="minmax"`` a share of the
        column's range. 0 is the paper's ablation without noise.
    alpha : float or "uniform", default=0.2
        Parameter of the Beta distribution of :math:`\lambda`, above 0; "uniform" draws
        :math:`\lambda` evenly from 0 to 1.
    sampling_strategy : float, str, dict, callable or None, default=None
        None: ``multiplier`` counts, and y is 1 for a labelled anomaly and 0 elsewhere. Else as in
        imbalanced-learn: which classes to fill up, and how far; each in turn is taken for the
        anomalies, and all other rows for the unlabelled ones.
    scaling : "minmax", None or fitted scaler, default="minmax"
        What distances and noise are measured in. "minmax": each column's range counts as 1, as
        if the table had gone through a MinMaxScaler; a constant column stays constant. None: the
        columns are scaled already. Or a fitted scikit-learn scaler that is linear by column.
        Rows always come back in the units that came in.
    categorical_features : "dtype", "infer" or list of str or int, default="dtype"
        Columns that hold categories. "dtype": those whose type says so (pandas category, polars
        Categorical and Enum, Arrow dictionary). "infer": those and columns of text. Or a list, by
        name or position. A generated row takes its
        categories from the parent with the larger weight.
    random_state : int, RandomState instance or None, default=None
        An int fixes every generated row.
    n_jobs : int or None, default=-1
        Threads; -1 means all cores, None means 1. The rows do not depend on it.

    Attributes
    ----------
    pool_ : Pool
        The labelled anomalies, the unlabelled rows near them, and who is near whom.
    sampling_strategy_ : dict
        How many rows ``fit_resample`` generates of each class.
    n_features_in_ : int
        Columns of X.
    feature_names_in_ : ndarray of shape (n_features_in_,)
        Column names of X, where it has them and all are strings.

    See Also
    --------
    Mixup : Without neighbours and noise.
    Duplicate : The control that any gain must be held against.

    Notes
    -----
    As in the published program, the k nearest anomalies of an anomaly count the row itself, which
    is then left out: k - 1 others (at least one), and the row itself only where it is alone.

    The sum of the two noises is drawn at once:
    :math:`\lambda \epsilon_1 + (1 - \lambda) \epsilon_2` is Gaussian with standard deviation
    :math:`\sigma \sqrt{\lambda^2 + (1 - \lambda)^2}`.

    Distances are Euclidean in scaled units. In the spirit of SMOTE-NC, two different categories are
    as far apart as a typical difference in a numeric column: their squared distance is the median
    variance of the scaled numeric columns among the labelled anomalies (1 where that is 0 or there
    is a single anomaly). Where a row has gaps, the columns that both rows have are measured and the
    sum is scaled up to all columns.

    Categories are never interpolated: a row takes them from the parent with the larger weight. A
    cell is missing where that parent's is; where only the other parent's is missing, it is that
    parent's value. Whole-number columns are rounded to the nearest whole number, booleans to the
    nearer value.

    Where neighbours are off, the partners come from all unlabelled rows, or an even draw of 10 000
    of the distinct ones where there are more.

    References
    ----------
    .. [1] H. Dong, G. Frusque, Y. Zhao, E. Chatzi, O. Fink, "NNG-Mix: Improving Semi-supervised
       Anomaly Detection with Pseudo-anomaly Generation", Section III-C, equation (5),
       Algorithm 1; settings from Section IV-A, ablations from Section IV-C.

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

    Another engine for the search:

    >>> from sklearn.neighbors import NearestNeighbors
    >>> NNGMix(n_neighbors=NearestNeighbors(n_neighbors=5)).fit(X, y).sample(2).shape
    (2, 3)
    """

    _parameter_constraints: dict[str, Any] = {
        **BaseSampler._parameter_constraints,
        "n_neighbors": [
            Interval(Integral, 1, None, closed="left"),
            HasMethods(["fit", "kneighbors"]),
            None,
        ],
        "sigma": SIGMA,
        "alpha": ALPHA,
    }

    def __init__(
        self,
        *,
        multiplier: int = 10,
        n_neighbors: Any = 10,
        sigma: float = 0.01,
        alpha: float | str = 0.2,
        sampling_strategy: Any = None,
        scaling: Any = "minmax",
        categorical_features: Any = "dtype",
        random_state: Any = None,
        n_jobs: int | None = -1,
    ) -> None:
        self.multiplier = multiplier
        self.n_neighbors = n_neighbors
        self.sigma = sigma
        self.alpha = alpha
        self.sampling_strategy = sampling_strategy
        self.scaling = scaling
        self.categorical_features = categorical_features
        self.random_state = random_state
        self.n_jobs = n_jobs

    def _needs(self) -> Needs:
        k, threads = self.n_neighbors, thread_count(self.n_jobs)
        if k is None:
            return Needs(drawn=True)
        if isinstance(k, Integral):
            return Needs(neighbors=int(k), n_jobs=threads)
        return Needs(neighbors=int(getattr(k, "n_neighbors", 10)), engine=k, n_jobs=threads)

    def _transform(
        self, pool: Pool, anomaly: NDArray[np.intp], rows: Floats, rng: np.random.Generator
    ) -> None:
        n = len(rows)
        if self.n_neighbors is None:
            partners = draw_from_all(pool, anomaly, rng)
        else:
            partners = self._near_partners(pool, anomaly, rng)
        weight = draw_weights(rng, self.alpha, n, rows.dtype)
        mix(rows, partners, weight, pool)
        if self.sigma > 0:
            add_noise(rows, self.sigma * np.sqrt(weight**2 + (1 - weight) ** 2), pool, rng)

    def _prepare(self, pool: Pool) -> Floats:
        """Stack all partners, so that one look-up finds them."""
        return np.concatenate([pool.anomalies, pool.unlabelled])

    def _near_partners(
        self, pool: Pool, anomaly: NDArray[np.intp], rng: np.random.Generator
    ) -> Floats:
        n = len(anomaly)
        # In a chain the pool may hold more neighbours than this sampler wants.
        k = self._needs().neighbors
        n_own = min(max(k - 1, 1), pool.near_anomalies.shape[1])
        n_other = min(k, pool.near_unlabelled.shape[1])
        own = pool.near_anomalies[anomaly, rng.integers(n_own, size=n)]
        other = pool.near_unlabelled[anomaly, rng.integers(n_other, size=n)]
        coin = rng.random(n) < 0.5
        return pool.extra.take(np.where(coin, own, len(pool.anomalies) + other), axis=0)
