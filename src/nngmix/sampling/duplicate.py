"""Duplicate: the control without which no gain of a sampler means anything."""

from typing import Any

import numpy as np

from nngmix.sampling.base import BaseSampler, Floats
from nngmix.sampling.pool import Pool


class Duplicate(BaseSampler):
    """Copy the labelled anomalies, with no new rows at all.

    What a sampler adds beyond this is what its generated rows are worth; what this adds beyond no
    sampler is class weight. The paper does not run this control.

    Parameters
    ----------
    multiplier : int, default=10
        Copies of each labelled anomaly, at least 1, beside the original.

    Attributes
    ----------
    pool_ : Pool
        The labelled anomalies.
    sampling_strategy_ : dict
        ``{1: n_new}``, how many rows ``fit_resample`` appends.
    n_features_in_ : int
        Columns of X.
    feature_names_in_ : ndarray of shape (n_features_in_,)
        Column names of X, where it has them and all are strings.

    See Also
    --------
    NNGMix : The paper's sampler.

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
        "multiplier": BaseSampler._parameter_constraints["multiplier"]
    }

    # Copies need no units, no chance and no threads.
    scaling = None
    random_state = None
    n_jobs = None

    def __init__(self, *, multiplier: int = 10) -> None:
        self.multiplier = multiplier

    def _draw(self, pool: Pool, out: Floats, rng: np.random.Generator, first: int) -> None:
        np.take(pool.anomalies, np.arange(first, first + len(out)), axis=0, mode="wrap", out=out)
