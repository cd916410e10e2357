"""The contract that every sampler keeps."""

from abc import abstractmethod
from numbers import Integral
from typing import Any, Self

import numpy as np
from imblearn.over_sampling.base import BaseOverSampler
from numpy.typing import NDArray
from sklearn.utils._param_validation import HasMethods, Interval, StrOptions
from sklearn.utils.validation import check_is_fitted, validate_data

from nngmix.sampling.labels import check_labels, extend_labels
from nngmix.sampling.pool import Pool, build_pool
from nngmix.sampling.scaling import find_scale
from nngmix.sampling.streams import fill, seed_of
from nngmix.sampling.table import Table

Floats = NDArray[np.floating]


class BaseSampler(BaseOverSampler):
    """Base class of the pseudo-anomaly samplers.

    A sampler is an imbalanced-learn sampler that also remembers: ``fit`` reduces the data to a
    small pool, and ``sample`` generates from the pool as often as wanted. A method says how many
    neighbours its pool needs (``_pool_neighbors``) and how a block of rows is drawn from it
    (``_draw``); everything else is here.
    """

    _parameter_constraints: dict[str, Any] = {
        "multiplier": [Interval(Integral, 1, None, closed="left")],
        "scaling": [StrOptions({"minmax"}), HasMethods(["transform", "inverse_transform"]), None],
        "random_state": ["random_state"],
        "n_jobs": [Integral, None],
    }

    multiplier: int
    scaling: Any
    random_state: Any
    n_jobs: int | None

    def _pool_neighbors(self) -> int:
        """Neighbours that the pool keeps for each anomaly; 0 for a method without neighbours."""
        return 0

    @abstractmethod
    def _draw(self, pool: Pool, out: Floats, rng: np.random.Generator, first: int) -> None:
        """Write pseudo-anomalies into ``out``; its first row is number ``first`` of the sample."""

    def fit(self, X: Any, y: Any) -> Self:
        """Reduce the data to the pool that :meth:`sample` generates from.

        Parameters
        ----------
        X : {array-like, dataframe} of shape (n_rows, n_features)
            Numeric and finite.
        y : array-like of shape (n_rows,)
            1 (or True) for a labelled anomaly, 0 (or False) for an unlabelled row.

        Returns
        -------
        self : object
            Fitted: ``pool_`` holds the rows that are kept.

        Raises
        ------
        ValueError
            One message that names the parameter or column, what is wrong and what would be right.
        """
        self._fit(X, y)
        return self

    def fit_resample(self, X: Any, y: Any) -> tuple[Any, Any]:
        """Append ``multiplier`` pseudo-anomalies for each labelled anomaly.

        Parameters
        ----------
        X : {array-like, dataframe} of shape (n_rows, n_features)
            Numeric and finite.
        y : array-like of shape (n_rows,)
            1 (or True) for a labelled anomaly, 0 (or False) for an unlabelled row.

        Returns
        -------
        X_resampled : {array-like, dataframe} of shape (n_rows + n_new, n_features)
            The original rows, untouched and in order, then ``n_new = multiplier * n_anomalies``
            generated ones; the kind, columns and dtypes of X.
        y_resampled : array-like of shape (n_rows + n_new,)
            The labels, 1 for every generated row; the kind and dtype of y.

        Raises
        ------
        ValueError
            One message that names the parameter or column, what is wrong and what would be right.
        """
        table = self._fit(X, y)
        n_new = self.sampling_strategy_[1]
        return table.extend(self._generate(n_new, self.random_state)), extend_labels(y, n_new)

    def sample(self, n: int, *, random_state: Any = None) -> Any:
        """Generate pseudo-anomalies from the pool, without the data.

        Parameters
        ----------
        n : int
            How many rows, at least 1.
        random_state : int, RandomState instance or None, default=None
            None takes the sampler's own ``random_state``. An int gives the same rows every time;
            pass another one for other rows.

        Returns
        -------
        {array-like, dataframe} of shape (n, n_features)
            Rows of the kind, columns and dtypes of the fitted X.

        Raises
        ------
        sklearn.exceptions.NotFittedError
            Before ``fit``.
        ValueError
            If n is not a whole number of at least 1.
        """
        check_is_fitted(self, "pool_")
        if not isinstance(n, Integral) or isinstance(n, bool) or n < 1:
            raise ValueError(f"n must be a whole number of at least 1. Got {n!r} instead.")
        state = self.random_state if random_state is None else random_state
        return self._template.rebuild(self._generate(int(n), state))

    def _fit(self, X: Any, y: Any) -> Table:
        self._validate_params()
        validate_data(self, X, skip_check_array=True)
        table = Table(X)
        anomaly = check_labels(y, len(table.values)) == 1
        values = table.values
        scale = find_scale(self.scaling, values, table.names)
        pool = build_pool(values[anomaly], values[~anomaly], self._pool_neighbors(), scale)
        # Set last: a failure or an interruption leaves no half-fitted sampler.
        self.sampling_strategy_ = {1: self.multiplier * len(pool.anomalies)}
        self.pool_ = pool
        self._template = table.template()
        return table

    def _generate(self, n: int, random_state: Any) -> Floats:
        pool = self.pool_
        out = np.empty((n, pool.anomalies.shape[1]), dtype=pool.anomalies.dtype)

        def draw(block: Floats, rng: np.random.Generator, first: int) -> None:
            self._draw(pool, block, rng, first)

        fill(out, draw, seed_of(random_state), self.n_jobs)
        return out

    # imbalanced-learn's template method; fit_resample above does the work without it, since it
    # keeps DataFrames and their dtypes, which the template turns into arrays.
    def _fit_resample(self, X: Any, y: Any, **params: Any) -> tuple[Any, Any]:
        return self.fit_resample(X, y)
