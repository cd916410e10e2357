"""The 41 unsupervised outlier scores that XGBOD adds to a table, with the shared work done once."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Self

import numpy as np
from numpy.random import RandomState
from numpy.typing import NDArray
from sklearn import config_context
from sklearn.base import BaseEstimator
from sklearn.ensemble import IsolationForest
from sklearn.neighbors import NearestNeighbors
from sklearn.preprocessing import StandardScaler
from sklearn.svm import OneClassSVM
from threadpoolctl import threadpool_limits

from nngmix.shared_context import one_blas_thread

Floats = NDArray[np.float64]

# PyOD's default detectors, in its order.
N_NEIGHBORS = (1, 3, 5, 10, 20, 30, 40, 50)
N_BINS = (5, 10, 15, 20, 25, 30, 50)
NU = (0.01, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.99)
N_TREES = (10, 20, 50, 70, 100, 150, 200)

#: Calls of `advance` in a fit: neighbours, histograms, each one-class SVM, forest.
N_STAGES = 3 + len(NU)

# Rows scored at a time, always: a shorter block is padded. A matrix product may round differently
# for another shape, so this is what makes the score of a row independent of the rows beside it.
_BLOCK = 512
# Training rows against which a block's kernel is held at a time: 2 MB, which stays in the cache.
_KERNEL_COLUMNS = 512
# Largest kernel matrix (8 bytes a pair of training rows) that is held in memory: 8192 rows.
_KERNEL_BYTES = 1 << 29
# Measured pairs whose differences are held at a time, in numbers.
_DIFFERENCES = 1 << 20
# Squares and products of standardised values stay finite below it.
_FAR = 1e100


class OutlierScores(BaseEstimator):
    """What PyOD's XGBOD asks of its default detectors, in one fitted object.

    The columns, in PyOD's order: for each k of 1, 3, 5, 10, 20, 30, 40, 50 that is below the
    number of training rows, the distance to the k-th neighbour (KNN) and the local outlier factor
    (LOF); histogram scores (HBOS) with 5, 10, 15, 20, 25, 30, 50 bins; one-class SVMs with an RBF
    kernel and nu = 0.01, 0.1, 0.2, ... 0.9, 0.99; isolation forests of 10, 20, 50, 70, 100, 150,
    200 trees. Higher = more anomalous.

    Parameters
    ----------
    n_jobs : int, default=1
        Number of threads, 1 or more. The results do not depend on it.
    random_state : int, RandomState instance or None, default=None
        Seeds the forest.

    Attributes
    ----------
    n_neighbors_ : tuple of int
        The k of the KNN and LOF columns.
    n_columns_ : int
        Number of scores a row.
    scaler_ : StandardScaler
        The scaling under which neighbours and SVMs work.
    rows_ : ndarray of shape (n_samples, n_features)
        The training rows, standardised.
    k_distance_, density_ : ndarray of shape (len(n_neighbors_), n_samples)
        Distance to the k-th neighbour and local reachability density of each training row.
    edges_ : ndarray of shape (n_features, n_edges)
        Where the histogram scores of a column change.
    heights_ : ndarray of shape (n_features, n_edges + 1, 7)
        The 7 histogram scores between one edge and the next.
    dual_coef_ : ndarray of shape (n_samples, 11)
        Weight of each training row in each SVM.
    intercept_ : ndarray of shape (11,)
        Intercepts of the SVMs.
    trees_ : list of sklearn.tree._tree.Tree
        The 200 trees of the largest forest.
    path_length_ : list of ndarray
        Expected path length of the rows that end in each node of each tree.
    usual_length_ : float
        Mean path length by which the forests measure depth.
    forest_offset_ : ndarray of shape (7,)
        The 10 % quantile of the training rows' scores in each forest.

    Notes
    -----
    Equal to PyOD's scores to 1e-6, where these are determined by the method. They are not

    - for LOF between neighbours at exactly the same distance, one inside the k and one outside;
    - for LOF of rows with k or more duplicates, in tables of more than 15 columns or fewer than 2k
      rows: there PyOD's distance of equal rows is not 0 but a rounding error, which LOF divides by.
      Here it is 0.

    Where PyOD stops (a column whose range is too narrow for its bins in floating point), the
    column adds nothing to the histogram score. Scores too large for single precision, which
    XGBoost works in, are cut to its largest number.

    Shared: one search with the largest k serves every KNN and LOF; one table look-up a column
    serves all histograms; one kernel matrix serves all SVMs in training, as long as it takes at
    most 512 MB (8192 rows), and one kernel block in scoring; the first n trees of the largest
    forest are the forest of n trees.

    Examples
    --------
    >>> import numpy as np
    >>> rng = np.random.default_rng(0)
    >>> X = rng.normal(size=(100, 2))
    >>> scores = OutlierScores(random_state=0)
    >>> scores.fit_transform(X).shape
    (100, 41)
    >>> usual, strange = scores.transform(np.array([[0.0, 0.0], [5.0, 5.0]]))
    >>> bool((strange > usual).all())
    True
    """

    def __init__(self, *, n_jobs: int = 1, random_state: int | RandomState | None = None) -> None:
        self.n_jobs = n_jobs
        self.random_state = random_state

    def fit_transform(
        self, X: NDArray[Any], y: None = None, *, advance: Callable[[], None] = lambda: None
    ) -> Floats:
        """Fit, and score the training rows: none is a neighbour of itself.

        Parameters
        ----------
        X : ndarray of shape (n_samples, n_features), float64 or float32
            Two rows or more, finite.
        y : None
            Ignored.
        advance : callable, optional
            Called ``N_STAGES`` times, after each stage.

        Returns
        -------
        ndarray of shape (n_samples, n_columns_)
            The scores; other than ``transform(X)`` in the KNN and LOF columns.
        """
        self.n_neighbors_ = tuple(k for k in N_NEIGHBORS if k < len(X))
        self.n_columns_ = 2 * len(self.n_neighbors_) + len(N_BINS) + len(NU) + len(N_TREES)
        self.scaler_ = StandardScaler().fit(X)
        self.rows_ = self._standardised(X)
        neighbours = self._fit_neighbours()
        advance()
        self.edges_, self.heights_ = _fit_histograms(X)
        advance()
        self._fit_svms(advance)
        self._fit_forest(X)
        scores = np.empty((len(X), self.n_columns_))
        scores[:, : neighbours.shape[1]] = neighbours
        self._in_blocks(
            lambda block: self._scores_but_neighbours(block, self._standardised(block)),
            X,
            scores[:, neighbours.shape[1] :],
        )
        # score_samples is the negative; the offset is its quantile. PyOD's contamination is 0.1.
        forests = scores[:, -len(N_TREES) :]
        self.forest_offset_ = np.percentile(-forests, 10.0, axis=0)
        forests += self.forest_offset_
        advance()
        return _in_single_precision(scores)

    def fit(self, X: NDArray[Any], y: None = None) -> Self:
        """Fit, without the training rows' scores.

        Parameters
        ----------
        X : ndarray of shape (n_samples, n_features), float64 or float32
            Two rows or more, finite.
        y : None
            Ignored.

        Returns
        -------
        self : OutlierScores
            The fitted object.
        """
        self.fit_transform(X)
        return self

    def transform(self, X: NDArray[Any]) -> Floats:
        """Score rows against the training rows.

        Parameters
        ----------
        X : ndarray of shape (n_rows, n_features), float64 or float32
            Finite rows.

        Returns
        -------
        ndarray of shape (n_rows, n_columns_)
            The scores. Beyond them, memory is a few megabytes a thread.
        """
        search = self._search()

        def score(block: NDArray[Any]) -> Floats:
            standardised = self._standardised(block)
            k = max(self.n_neighbors_)
            distance, index = self._neighbours(search, standardised, k)
            others = self._scores_but_neighbours(block, standardised)
            others[:, -len(N_TREES) :] += self.forest_offset_
            return np.hstack([self._neighbour_scores(distance, index), others])

        scores = np.empty((len(X), self.n_columns_))
        self._in_blocks(score, X, scores)
        return _in_single_precision(scores)

    def _in_blocks(
        self, score: Callable[[NDArray[Any]], NDArray[Any]], X: NDArray[Any], out: NDArray[Any]
    ) -> None:
        """Write the scores of one full block of rows after another to `out`."""

        def run(start: int) -> None:
            block = X[start : start + _BLOCK]
            n_rows = len(block)
            if n_rows < _BLOCK:
                block = np.concatenate([block, np.zeros((_BLOCK - n_rows, X.shape[1]), X.dtype)])
            out[start : start + n_rows] = score(block)[:n_rows]

        self._in_threads(run, range(0, len(X), _BLOCK))

    def _in_threads(self, run: Callable[[int], Any], tasks: range) -> list[Any]:
        # Blocks side by side beat a product on all threads. OpenMP counts its threads for each
        # thread that calls it, so that limit is set inside; BLAS has one count for all.
        with (
            one_blas_thread,
            ThreadPoolExecutor(
                self.n_jobs, initializer=threadpool_limits, initargs=(1, "openmp")
            ) as pool,
        ):
            return list(pool.map(run, tasks))

    def _standardised(self, X: NDArray[Any]) -> Floats:
        # In the precision of X, as PyOD does, then exactly as double.
        with np.errstate(over="ignore"):
            scaled = self.scaler_.transform(X).astype(np.float64, copy=False)
        return np.clip(scaled, -_FAR, _FAR, out=scaled)

    def _scores_but_neighbours(self, X: NDArray[Any], standardised: Floats) -> Floats:
        return np.hstack(
            [self._histogram_scores(X), self._svm_scores(standardised), self._forest_scores(X)]
        )

    # Neighbours

    def _fit_neighbours(self) -> Floats:
        k = max(self.n_neighbors_)
        search = self._search()
        n_rows = len(self.rows_)
        found = np.empty((n_rows, 2, k + 1))

        def find(block: Floats) -> Floats:
            return np.stack(self._neighbours(search, block, k + 1), axis=1)

        self._in_blocks(find, self.rows_, found)
        distance, index = found[:, 0], found[:, 1].astype(np.intp)
        # A row is its own nearest neighbour; where so many duplicates are as near that it is not
        # among those found, any of them may go.
        itself = index == np.arange(n_rows)[:, None]
        itself[~itself.any(axis=1), k] = True
        distance, index = distance[~itself].reshape(n_rows, k), index[~itself].reshape(n_rows, k)
        self.k_distance_ = np.ascontiguousarray(distance[:, np.array(self.n_neighbors_) - 1].T)
        self.density_ = np.empty_like(self.k_distance_)
        for i, k in enumerate(self.n_neighbors_):
            self.density_[i] = self._density(i, distance[:, :k], index[:, :k])
        scores = np.empty((n_rows, 2 * len(self.n_neighbors_)))
        for start in range(0, n_rows, _BLOCK):
            part = slice(start, start + _BLOCK)
            scores[part] = self._neighbour_scores(distance[part], index[part])
        return scores

    def _search(self) -> tuple[NearestNeighbors, Floats]:
        """Make what finds the nearest training rows, and those rows' squared norms."""
        squares = np.einsum("ij,ij->i", self.rows_, self.rows_)
        return NearestNeighbors(algorithm="brute").fit(self.rows_), squares

    def _neighbours(
        self, search: tuple[NearestNeighbors, Floats], queries: Floats, k: int
    ) -> tuple[Floats, NDArray[np.intp]]:
        """Distances and places of the k nearest training rows, nearest first."""
        engine, norms = search
        distance, index = engine.kneighbors(queries, k)
        # The search takes |q|^2 - 2 q.r + |r|^2, in which small distances drown. Between equal
        # rows LOF divides by the distance, so there it has to be right: exactly 0.
        magnitude = norms[index]
        magnitude += np.einsum("ij,ij->i", queries, queries)[:, None]
        query, place = np.nonzero(distance**2 <= 1e-7 * magnitude)
        step = max(1, _DIFFERENCES // queries.shape[1])
        for start in range(0, len(query), step):
            q, p = query[start : start + step], place[start : start + step]
            difference = queries[q] - self.rows_[index[q, p]]
            distance[q, p] = np.sqrt(np.einsum("ij,ij->i", difference, difference))
        changed = np.unique(query)
        order = np.argsort(distance[changed], axis=1, kind="stable")
        distance[changed] = np.take_along_axis(distance[changed], order, axis=1)
        index[changed] = np.take_along_axis(index[changed], order, axis=1)
        return distance, index

    def _density(self, i: int, distance: Floats, index: NDArray[np.intp]) -> Floats:
        """Local reachability density, one over the mean reachability distance."""
        reach = np.maximum(distance, self.k_distance_[i][index])
        return 1.0 / (reach.mean(axis=1) + 1e-10)  # scikit-learn's guard for duplicates

    def _neighbour_scores(self, distance: Floats, index: NDArray[np.intp]) -> Floats:
        scores = np.empty((len(distance), 2 * len(self.n_neighbors_)))
        for i, k in enumerate(self.n_neighbors_):
            near = index[:, :k]
            density = self._density(i, distance[:, :k], near)
            scores[:, 2 * i] = distance[:, k - 1]
            scores[:, 2 * i + 1] = (self.density_[i][near] / density[:, None]).mean(axis=1)
        return scores

    # Histograms

    def _histogram_scores(self, X: NDArray[Any]) -> Floats:
        scores = np.zeros((len(X), len(N_BINS)))
        for values, edges, heights in zip(
            np.ascontiguousarray(X.T, dtype=np.float64), self.edges_, self.heights_, strict=True
        ):
            scores -= heights[np.searchsorted(edges, values)]
        return scores

    # One-class SVMs

    def _fit_svms(self, advance: Callable[[], None]) -> None:
        n_rows = len(self.rows_)
        self.dual_coef_ = np.zeros((n_rows, len(NU)))
        self.intercept_ = np.zeros(len(NU))
        if 8 * n_rows**2 <= _KERNEL_BYTES:
            X = np.empty((n_rows, n_rows))
            self._in_blocks(lambda block: self._kernel(block, self.rows_), self.rows_, X)
            np.fill_diagonal(X, 1.0)
            # Rows of a kernel at hand are quickly read again, from a cache that fits the CPU's.
            settings = {"kernel": "precomputed", "cache_size": 5}
        else:
            X = self.rows_
            settings = {"kernel": "rbf", "gamma": "auto"}

        def train(i: int) -> None:
            with config_context(assume_finite=True):
                svm = OneClassSVM(nu=NU[i], **settings).fit(X)
            self.dual_coef_[svm.support_, i] = svm.dual_coef_[0]
            self.intercept_[i] = svm.intercept_[0]
            advance()

        # The time grows with nu: the longest first, so that no thread is left with it at the end.
        self._in_threads(train, range(len(NU) - 1, -1, -1))

    def _kernel(self, queries: Floats, rows: Floats) -> Floats:
        gamma = 1.0 / queries.shape[1]

        def extended(X: Floats) -> tuple[Floats, Floats]:
            return -gamma * np.einsum("ij,ij->i", X, X)[:, None], np.ones((len(X), 1))

        squares, ones = extended(queries)
        left = np.hstack([(2.0 * gamma) * queries, squares, ones])
        squares, ones = extended(rows)
        right = np.hstack([rows, ones, squares])
        # One product gives 2 gamma q.r - gamma |q|^2 - gamma |r|^2, ready for exp.
        kernel = left @ right.T
        return np.exp(kernel, out=kernel)

    def _svm_scores(self, standardised: Floats) -> Floats:
        scores = np.tile(-self.intercept_, (len(standardised), 1))
        for start in range(0, len(self.rows_), _KERNEL_COLUMNS):
            part = slice(start, start + _KERNEL_COLUMNS)
            scores -= self._kernel(standardised, self.rows_[part]) @ self.dual_coef_[part]
        return scores

    # Isolation forests

    def _fit_forest(self, X: NDArray[Any]) -> None:
        forest = IsolationForest(n_estimators=max(N_TREES), random_state=self.random_state).fit(X)
        self.usual_length_ = float(_mean_path_length(np.array(forest.max_samples_)))
        self.trees_ = [estimator.tree_ for estimator in forest.estimators_]
        self.path_length_ = [
            tree.compute_node_depths() - 1.0 + _mean_path_length(tree.n_node_samples)
            for tree in self.trees_
        ]

    def _forest_scores(self, X: NDArray[Any]) -> Floats:
        """Scores before the offset."""
        X = np.ascontiguousarray(X, dtype=np.float32)
        scores = np.empty((len(X), len(N_TREES)))
        depth = np.zeros(len(X))
        for i, (tree, length) in enumerate(zip(self.trees_, self.path_length_, strict=True), 1):
            depth += length[tree.apply(X)]
            if i in N_TREES:
                scores[:, N_TREES.index(i)] = 2.0 ** (-depth / (i * self.usual_length_))
        return scores


def _in_single_precision(scores: Floats) -> Floats:
    """Cut what single precision cannot hold; a ratio of two densities can be as large."""
    largest = float(np.finfo(np.float32).max)
    return np.nan_to_num(scores, copy=False, nan=largest, posinf=largest, neginf=-largest).clip(
        -largest, largest, out=scores
    )


def _fit_histograms(X: NDArray[Any]) -> tuple[Floats, Floats]:
    """Where the scores of each column change, and what they are between one edge and the next.

    A score depends only on where a value lies among the edges of the bins and the two limits up
    to which a value outside counts as in the outermost bin. So the edges of all histograms of a
    column make one sorted list, and one search in it finds all scores.
    """
    edges = np.empty((X.shape[1], sum(N_BINS) + 3 * len(N_BINS)))
    heights = np.empty((X.shape[1], edges.shape[1] + 1, len(N_BINS)))
    for j, column in enumerate(X.T):
        histograms = [_histogram(column, n_bins) for n_bins in N_BINS]
        edges[j] = np.sort(np.concatenate([own for own, _ in histograms]))
        # Intervals are closed on the right: their right end has the score of all of them.
        ends = np.append(edges[j], np.inf)
        for i, (own, score) in enumerate(histograms):
            heights[j, :, i] = score[np.searchsorted(own, ends)]
    return edges, heights


def _histogram(values: NDArray[Any], n_bins: int) -> tuple[Floats, Floats]:
    """One histogram's edges, and its scores below, between and above them (lower = rarer)."""
    try:
        with np.errstate(all="ignore"):
            density, edges = np.histogram(values, bins=n_bins, density=True)
    except ValueError:  # the range is too narrow, in floating point, for so many bins
        return np.zeros(n_bins + 3), np.zeros(n_bins + 4)
    edges = edges.astype(np.float64)
    score = np.log2(density + 0.1)  # PyOD's alpha
    lower = np.nextafter(_limit(edges[0], edges[1]), -np.inf)
    upper = _limit(edges[-1], edges[-2])
    rare = score.min()
    return (
        np.concatenate([[lower], edges, [upper]]),
        np.concatenate([[rare, score[0]], score, [score[-1], rare]]),
    )


def _limit(edge: float, inner: float) -> float:
    """Return the farthest value outside that counts as in the outermost bin: half its width off."""
    reach = abs(edge - inner) * 0.5  # PyOD's tol
    outside = np.copysign(np.inf, edge - inner)
    limit = edge + np.copysign(reach, outside)
    # PyOD compares differences; rounding can make that another limit by a step or two.
    while abs(limit - edge) > reach:
        limit = np.nextafter(limit, edge)
    for _ in range(3):
        if abs(np.nextafter(limit, outside) - edge) <= reach:
            limit = np.nextafter(limit, outside)
    return float(limit)


def _mean_path_length(n_rows: NDArray[Any]) -> Floats:
    """Mean path length of an unsuccessful search in a tree of so many rows (iForest's c(n))."""
    n = np.maximum(n_rows, 2).astype(np.float64)
    long = 2.0 * (np.log(n - 1.0) + np.euler_gamma) - 2.0 * (n - 1.0) / n
    return np.where(n_rows > 2, long, np.where(n_rows == 2, 1.0, 0.0))
