"""Nearly all of the nearest rows, for a fraction of the work: an inverted file by faiss."""

from numbers import Integral
from typing import Any, Self

import numpy as np
from joblib import cpu_count
from numpy.typing import NDArray
from sklearn.base import BaseEstimator
from sklearn.utils._param_validation import Interval
from sklearn.utils.validation import check_is_fitted, validate_data

# Rows a list that faiss asks for, at the least and at the most, to find a list's centre.
_FEWEST, _MOST = 39, 256


class ApproximateNeighbors(BaseEstimator):
    """Search a few lists of rows instead of all rows.

    Rows are sorted into lists by the nearest of ``n_lists`` centres; a query looks into the
    ``n_probes`` lists whose centres are nearest. Sorting the rows costs about as much as an exact
    search for ``n_lists`` queries, so this pays where there are many times more labelled anomalies
    than that: tens of thousands. For fewer, the exact search is as fast, and exact.

    Give it to a sampler: ``NNGMix(n_neighbors=ApproximateNeighbors(10))``. It searches numeric
    columns without gaps. In a stream each piece is sorted on its own.

    Parameters
    ----------
    n_neighbors : int, default=10
        Rows to find for each query, at least 1.
    n_lists : int or None, default=None
        Lists, at least 1; None is the square root of the number of rows, and no more than leaves
        each list its 39 rows.
    n_probes : int, default=16
        Lists that a query looks into, at least 1; all of them make the search exact, up to single
        precision.
    random_state : int, default=0
        Fixes the centres.
    n_jobs : int or None, default=-1
        Threads; -1 means all cores, None means 1. What is found does not depend on it.

    Raises
    ------
    ImportError
        From ``fit``, if faiss is not installed.

    Notes
    -----
    faiss [1]_ works in single precision. Columns should be centred near 0, as scaled ones are;
    samplers measure what is found again, in double precision, so that only who is found is
    approximate. docs/scale.md tells how many of the true neighbours are found, and how fast.

    References
    ----------
    .. [1] M. Douze et al., "The Faiss library", arXiv:2401.08281, 2024.

    Examples
    --------
    >>> import numpy as np
    >>> from nngmix.neighbors import ApproximateNeighbors
    >>> rows = np.random.default_rng(0).random((2000, 4))
    >>> near = ApproximateNeighbors(n_neighbors=1).fit(rows)
    >>> near.kneighbors(rows[:3], return_distance=False).ravel()
    array([0, 1, 2])
    """

    _parameter_constraints: dict[str, Any] = {
        "n_neighbors": [Interval(Integral, 1, None, closed="left")],
        "n_lists": [Interval(Integral, 1, None, closed="left"), None],
        "n_probes": [Interval(Integral, 1, None, closed="left")],
        "random_state": [Interval(Integral, 0, 2**31 - 1, closed="both")],
        "n_jobs": [Integral, None],
    }

    def __init__(
        self,
        n_neighbors: int = 10,
        *,
        n_lists: int | None = None,
        n_probes: int = 16,
        random_state: int = 0,
        n_jobs: int | None = -1,
    ) -> None:
        self.n_neighbors = n_neighbors
        self.n_lists = n_lists
        self.n_probes = n_probes
        self.random_state = random_state
        self.n_jobs = n_jobs

    def fit(self, X: Any, y: Any = None) -> Self:
        """Sort rows into lists.

        Parameters
        ----------
        X : array-like of shape (n_rows, n_features)
            Numbers without gaps.
        y : None
            Not used.

        Returns
        -------
        self : object

        Raises
        ------
        ImportError
            If faiss is not installed.
        ValueError
            If X holds anything else than finite numbers, or a setting is out of its range.
        """
        self._validate_params()
        faiss = _load()
        rows = validate_data(self, X, dtype=np.float32, order="C")
        n_rows, n_features = rows.shape
        lists = int(np.sqrt(n_rows)) if self.n_lists is None else int(self.n_lists)
        lists = max(1, min(lists, n_rows // _FEWEST))
        self._threads(faiss)
        index = faiss.IndexIVFFlat(faiss.IndexFlatL2(n_features), n_features, lists)
        index.cp.seed = int(self.random_state)
        index.cp.max_points_per_centroid = _MOST
        # faiss warns on its own error stream where lists have few rows; for tiny tables they may.
        index.cp.min_points_per_centroid = 1
        rng = np.random.default_rng(self.random_state)
        sample = rows
        if n_rows > lists * _MOST:
            sample = rows[np.sort(rng.choice(n_rows, lists * _MOST, replace=False))]
        index.train(sample)
        index.add(rows)
        index.nprobe = min(int(self.n_probes), lists)
        self.index_, self.n_lists_ = index, lists
        return self

    def kneighbors(
        self, X: Any, n_neighbors: int | None = None, return_distance: bool = True
    ) -> Any:
        """Find rows near to each query, nearest first.

        Parameters
        ----------
        X : array-like of shape (n_queries, n_features)
            Queries.
        n_neighbors : int or None, default=None
            How many for each; None is the estimator's own. Cut to how many rows there are.
        return_distance : bool, default=True
            Whether to return distances as well.

        Returns
        -------
        distance : ndarray of shape (n_queries, n_neighbors), float32
            Euclidean distances; only if ``return_distance``.
        index : ndarray of shape (n_queries, n_neighbors), int64
            Places of rows in what was fitted.

        Raises
        ------
        sklearn.exceptions.NotFittedError
            Before ``fit``.
        """
        check_is_fitted(self)
        faiss = _load()
        queries = validate_data(self, X, dtype=np.float32, order="C", reset=False)
        k = min(self.n_neighbors if n_neighbors is None else n_neighbors, self.index_.ntotal)
        self._threads(faiss)
        square, index = self.index_.search(queries, k)
        # Lists that hold fewer than k rows between them leave places empty: those queries look
        # into all lists.
        short = np.flatnonzero(index[:, -1] < 0)
        if len(short):
            everywhere = faiss.SearchParametersIVF(nprobe=self.n_lists_)
            square[short], index[short] = self.index_.search(queries[short], k, params=everywhere)
        found: NDArray[np.int64] = index
        return (np.sqrt(np.maximum(square, 0)), found) if return_distance else found

    def _threads(self, faiss: Any) -> None:
        jobs = 1 if self.n_jobs is None else int(self.n_jobs)
        faiss.omp_set_num_threads(jobs if jobs > 0 else max(1, cpu_count() + 1 + jobs))


def _load() -> Any:
    try:
        import faiss
    except ImportError:
        raise ImportError("ApproximateNeighbors needs faiss: pip install 'nngmix[ann]'") from None
    return faiss
