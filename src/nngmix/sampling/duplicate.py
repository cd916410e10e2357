"""Duplicate: the control without which no gain of a sampler means anything."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from nngmix.sampling.base import BaseSampler, Floats
from nngmix.sampling.pool import Pool

_SHARED = BaseSampler._parameter_constraints


class Duplicate(BaseSampler):
    """Copy the labelled anomalies, with no new rows at all.

    What a sampler adds beyond this is what its generated rows are worth; what this adds beyond no
    sampler is class weight. The paper does not run this control.

    Parameters
    ----------
    multiplier : int, default=10
        Copies of each labelled anomaly, at least 1, beside the original.
    sampling_strategy : float, str, dict, callable or None, default=None
        None: ``multiplier`` counts, and y is 1 for a labelled anomaly and 0 elsewhere. Else as in
        imbalanced-learn: which classes to fill up, and how far.
    categorical_features : "dtype", "infer" or list of str or int, default="dtype"
        Columns that hold categories. "dtype": those whose type says so (pandas category, polars
        Categorical and Enum, Arrow dictionary). "infer": those and columns of text. Or a list, by
        name or position.

    Attributes
    ----------
    pool_ : Pool
        The labelled anomalies.
    sampling_strategy_ : dict
        How many rows ``fit_resample`` appends of each class.
    n_features_in_ : int
        Columns of X.
    feature_names_in_ : ndarray of shape (n_features_in_,)
        Column names of X, where it has them and all are strings.

    See Also
    --------
    NNGMix : The paper's own sampler.

    Notes
    -----
    Nothing is random: ``sample(n)`` goes round the anomalies, so that each is copied ``n /
    n_anomalies`` times, up to one.

    Examples
    --------
    >>> import numpy as np
    >>> from nngmix import Duplicate
    >>> X, y = np.array([[0.0], [1.0], [9.0]]), np.array([0, 0, 1])
    >>> Duplicate(multiplier=2).fit_resample(X, y)
    (array([[0.], [1.], [9.], [9.], [9.]]), array([0, 0, 1, 1, 1]))
    """

    _parameter_constraints: dict[str, Any] = {
        name: _SHARED[name] for name in ("multiplier", "sampling_strategy", "categorical_features")
    }

    # Copies need no units, no chance and no threads.
    scaling = None

    def __init__(
        self,
        *,
        multiplier: int = 10,
        sampling_strategy: Any = None,
        categorical_features: Any = "dtype",
    ) -> None:
        self.multiplier = multiplier
        self.sampling_strategy = sampling_strategy
        self.categorical_features = categorical_features

    def _pick(self, pool: Pool, n: int, first: int, rng: np.random.Generator) -> NDArray[np.intp]:
        return np.arange(first, first + n) % len(pool.anomalies)

    def _transform(
        self, pool: Pool, anomaly: NDArray[np.intp], rows: Floats, rng: np.random.Generator
    ) -> None:
        pass
