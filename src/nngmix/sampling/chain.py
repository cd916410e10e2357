"""Chain: one sampler after another, as in Table VIII of the paper."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nngmix.sampling.base import BaseSampler, Floats
from nngmix.sampling.pool import Needs, Pool
from nngmix.sampling.streams import thread_count


class Chain(BaseSampler):
    """Let several samplers work on each row in turn.

    What the first makes of a labelled anomaly goes to the second in that anomaly's place, and so
    on; the paper's combinations are Cutout, then Gaussian noise, and CutMix, then Gaussian noise.

    Parameters
    ----------
    samplers : list of samplers
        At least one, in order. Only what makes up the method is theirs (sigma, alpha, neighbours,
        windows); the settings below are the chain's, and theirs don't count.
    multiplier : int, default=10
        Pseudo-anomalies for each labelled anomaly (the paper's M), at least 1.
    sampling_strategy : float, str, dict, callable or None, default=None
        None: ``multiplier`` counts, and y is 1 for a labelled anomaly and 0 elsewhere. Else as in
        imbalanced-learn.
    scaling : "minmax", None or fitted scaler, default="minmax"
        As in :class:`NNGMix`.
    categorical_features : "dtype", "infer" or list of str or int, default="dtype"
        As in :class:`NNGMix`.
    random_state : int, RandomState instance or None, default=None
        An int fixes every generated row.
    n_jobs : int or None, default=-1
        Threads; -1 means all cores, None means 1. The rows do not depend on it.

    Attributes
    ----------
    pool_ : Pool
        What the samplers need between them.
    sampling_strategy_ : dict
        How many rows ``fit_resample`` generates of each class.
    n_features_in_ : int
        Columns of X.
    feature_names_in_ : ndarray of shape (n_features_in_,)
        Column names of X, where it has them and all are strings.

    See Also
    --------
    Cutout, CutMix, GaussianNoise : What the paper combines.

    Notes
    -----
    NPOS does not start from a labelled anomaly: it belongs first.

    References
    ----------
    .. [1] H. Dong, G. Frusque, Y. Zhao, E. Chatzi, O. Fink, "NNG-Mix: Improving Semi-supervised
       Anomaly Detection with Pseudo-anomaly Generation", Section IV-C.5, Table VIII.

    Examples
    --------
    >>> import numpy as np
    >>> from nngmix import Chain, Cutout, GaussianNoise
    >>> rng = np.random.default_rng(0)
    >>> X = np.vstack([rng.normal(size=(100, 3)), rng.normal(4, 1, size=(5, 3))])
    >>> y = np.repeat([0, 1], [100, 5])
    >>> chain = Chain([Cutout(), GaussianNoise(sigma=0.1)], random_state=0)
    >>> chain.fit_resample(X, y)[0].shape
    (155, 3)
    """

    _parameter_constraints: dict[str, Any] = {
        "samplers": [list, tuple],
        **BaseSampler._parameter_constraints,
    }

    def __init__(
        self,
        samplers: Sequence[BaseSampler],
        *,
        multiplier: int = 10,
        sampling_strategy: Any = None,
        scaling: Any = "minmax",
        categorical_features: Any = "dtype",
        random_state: Any = None,
        n_jobs: int | None = -1,
    ) -> None:
        self.samplers = samplers
        self.multiplier = multiplier
        self.sampling_strategy = sampling_strategy
        self.scaling = scaling
        self.categorical_features = categorical_features
        self.random_state = random_state
        self.n_jobs = n_jobs

    def _validate_params(self) -> None:
        super()._validate_params()
        if not self.samplers or not all(isinstance(s, BaseSampler) for s in self.samplers):
            raise ValueError(
                "samplers must be a list of at least one sampler, such as [Cutout(), "
                f"GaussianNoise()]; got {self.samplers!r}."
            )
        for sampler in self.samplers:
            sampler._validate_params()

    def _needs(self) -> Needs:
        needs = [sampler._needs() for sampler in self.samplers]
        return Needs(
            neighbors=max(need.neighbors for need in needs),
            drawn=any(need.drawn for need in needs),
            engine=next((need.engine for need in needs if need.engine is not None), None),
            n_jobs=thread_count(self.n_jobs),
            device=next((need.device for need in needs if need.device is not None), None),
        )

    def _prepare(self, pool: Pool) -> list[Any]:
        return [sampler._prepare(pool) for sampler in self.samplers]

    def _pick(self, pool: Pool, n: int, first: int, rng: np.random.Generator) -> NDArray[np.intp]:
        return self.samplers[0]._pick(pool, n, first, rng)

    def _block_rows(self) -> int | None:
        return next((size for s in self.samplers if (size := s._block_rows())), None)

    def _transform(
        self, pool: Pool, anomaly: NDArray[np.intp], rows: Floats, rng: np.random.Generator
    ) -> None:
        for sampler, extra in zip(self.samplers, pool.extra, strict=True):
            sampler._transform(replace(pool, extra=extra), anomaly, rows, rng)
