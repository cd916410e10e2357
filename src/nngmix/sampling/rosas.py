"""RoSAS as a sampler: labelled anomalies mixed with unlabelled rows."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from nngmix.sampling.base import UNSCALED, BaseSampler, Floats
from nngmix.sampling.mixing import ALPHA, draw_unlabelled, draw_weights, mix
from nngmix.sampling.pool import Needs, Pool


class RoSAS(BaseSampler):
    r"""Mix a labelled anomaly with a random unlabelled row.

    .. math::
        d = \lambda a + (1 - \lambda) u, \qquad \lambda \sim \mathrm{Beta}(\alpha, \alpha)

    Parameters
    ----------
    multiplier : int, default=10
        Pseudo-anomalies for each labelled anomaly (the paper's M), at least 1.
    alpha : float or "uniform", default=0.5
        Parameter of the Beta distribution of :math:`\lambda`, above 0; "uniform" draws
        :math:`\lambda` evenly from 0 to 1.
    sampling_strategy : float, str, dict, callable or None, default=None
        None: ``multiplier`` counts, and y is 1 for a labelled anomaly and 0 elsewhere. Else as in
        imbalanced-learn: which classes to fill up, and how far; each in turn is taken for the
        anomalies, and all other rows for the unlabelled ones.
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
        The labelled anomalies, and unlabelled rows.
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
    In RoSAS itself [2]_ the mixed row carries the mixed, continuous target; here, as in the paper's
    comparison, it counts as an anomaly.

    A cell is missing where the parent with the larger weight has none; where only the other has
    none, it is that parent's value. Whole-number columns are rounded to the nearest whole number,
    booleans to the nearer value. The unlabelled rows are all kept, or an even draw of 10 000 of the
    distinct ones where there are more.

    References
    ----------
    .. [1] H. Dong, G. Frusque, Y. Zhao, E. Chatzi, O. Fink, "NNG-Mix: Improving Semi-supervised
       Anomaly Detection with Pseudo-anomaly Generation", Section IV-A.
    .. [2] H. Xu, Y. Wang, G. Pang, S. Jian, N. Liu, Y. Wang, "RoSAS: Deep semi-supervised anomaly
       detection with contamination-resilient continuous supervision", Information Processing &
       Management 60(5), 2023.

    Examples
    --------
    >>> import numpy as np
    >>> from nngmix import RoSAS
    >>> rng = np.random.default_rng(0)
    >>> X = np.vstack([rng.normal(size=(100, 3)), rng.normal(4, 1, size=(5, 3))])
    >>> y = np.repeat([0, 1], [100, 5])
    >>> X_new, y_new = RoSAS(random_state=0).fit_resample(X, y)
    >>> X_new.shape, int(y_new.sum())
    ((155, 3), 55)
    """

    _parameter_constraints: dict[str, Any] = {
        **UNSCALED,
        "alpha": ALPHA,
    }

    # Mixtures are the same in any units.
    scaling = None

    def __init__(
        self,
        *,
        multiplier: int = 10,
        alpha: float | str = 0.5,
        sampling_strategy: Any = None,
        categorical_features: Any = "dtype",
        random_state: Any = None,
        n_jobs: int | None = -1,
    ) -> None:
        self.multiplier = multiplier
        self.alpha = alpha
        self.sampling_strategy = sampling_strategy
        self.categorical_features = categorical_features
        self.random_state = random_state
        self.n_jobs = n_jobs

    def _needs(self) -> Needs:
        return Needs(drawn=True)

    def _transform(
        self, pool: Pool, anomaly: NDArray[np.intp], rows: Floats, rng: np.random.Generator
    ) -> None:
        partners = draw_unlabelled(pool, len(rows), rng)
        mix(rows, partners, draw_weights(rng, self.alpha, len(rows), rows.dtype), pool)
