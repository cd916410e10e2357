"""Exact nearest neighbours: a blocked matrix product finds candidates, exact distances decide.

A few queries against many rows is the shape of the problem, so the cost is one matrix product.
The product is subject to rounding (and may be in single precision), so it only nominates: every
row whose distance could, within the rounding bound, be among the k smallest is measured again by
plain differences in double precision. Ties are broken by the content of the rows, never by their
place, so that the answer does not depend on how the rows were cut or ordered.

Where they are faster, a KD-tree or scikit-learn's brute force nominates instead.
"""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree
from sklearn.neighbors import NearestNeighbors

from nngmix.shared_context import one_blas_thread

Floats = NDArray[np.floating]

# Distances held at a time: (queries of a chunk) x (rows of a block). 8 MB in double precision
# stays near the cache and still gives the matrix product blocks worth its while.
_CELLS = 1 << 20
_QUERIES = 256
# Cells of a table whose scaled copy, 128 MB, is nothing to worry about.
_SMALL_COPY = 1 << 24
# Multiplications below which starting threads costs more than it saves.
_WORTH_THREADS = 1 << 26


@dataclass(frozen=True)
class Nearest:
    """The k nearest rows of each query, nearest first.

    Attributes
    ----------
    distance : ndarray of shape (n_queries, k), float64
        Squared Euclidean distances, in scaled units.
    key : ndarray of shape (n_queries, k), uint64
        A number made from a row's content: equal rows, equal keys. Breaks ties.
    index : ndarray of shape (n_queries, k), int64
        The rows' places in the table that was searched.
    """

    distance: NDArray[np.float64]
    key: NDArray[np.uint64]
    index: NDArray[np.int64]


@dataclass(frozen=True)
class Metric:
    """What counts as far.

    Attributes
    ----------
    scale : ndarray of shape (n_features,), float64
        Positive length that counts as 1 in each numeric column.
    categorical : ndarray of shape (n_features,), bool
        Columns whose numbers are names: equal or different, nothing in between.
    mismatch : float
        The squared distance of two different categories.
    """

    scale: NDArray[np.float64]
    categorical: NDArray[np.bool_]
    mismatch: float

    @classmethod
    def of(cls, metric: "Metric | NDArray[np.float64] | None", n_features: int) -> "Metric":
        """Complete a metric that was given as nothing, or as the scale alone."""
        if isinstance(metric, Metric):
            return metric
        scale = np.ones(n_features) if metric is None else np.asarray(metric, dtype=np.float64)
        return cls(scale, np.zeros(n_features, dtype=bool), 1.0)

    def measure(self, queries: Floats, rows: Floats) -> NDArray[np.float64]:
        """Squared distances of paired rows by plain differences, in double precision.

        Missing values: the columns that both rows have are measured, and the sum is scaled up to
        all columns; rows with no column in common are infinitely far.
        """
        out = np.empty(len(queries))
        step = max(1, (1 << 18) // queries.shape[1])
        some_categorical = self.categorical.any()
        for start in range(0, len(out), step):
            part = slice(start, start + step)
            difference = queries[part].astype(np.float64)
            difference -= rows[part]
            difference /= self.scale
            if some_categorical:
                codes = difference[:, self.categorical]
                different = np.where(codes == 0, 0.0, np.sqrt(self.mismatch))
                difference[:, self.categorical] = np.where(np.isnan(codes), np.nan, different)
            missing = np.isnan(difference)
            if missing.any():
                difference[missing] = 0.0
                common = difference.shape[1] - missing.sum(axis=1)
                total = np.einsum("ij,ij->i", difference, difference)
                with np.errstate(divide="ignore", invalid="ignore"):
                    total *= difference.shape[1] / common
                total[common == 0] = np.inf
                out[part] = total
            else:
                out[part] = np.einsum("ij,ij->i", difference, difference)
        return out


def row_keys(rows: Floats) -> NDArray[np.uint64]:
    """Give each row a number that depends on its content alone.

    Parameters
    ----------
    rows : ndarray of shape (n_rows, n_features)
        Rows of numbers.

    Returns
    -------
    ndarray of shape (n_rows,), uint64
        Equal rows have equal keys, wherever they stand; different rows almost surely have
        different keys, spread evenly over the 64-bit numbers.

    Examples
    --------
    >>> import numpy as np
    >>> keys = row_keys(np.array([[1.0, 2.0], [2.0, 1.0], [1.0, 2.0]]))
    >>> bool(keys[0] == keys[2]), bool(keys[0] == keys[1])
    (True, False)
    """
    weights = np.random.Generator(np.random.PCG64(0)).integers(
        0, 2**63, size=rows.shape[1], dtype=np.uint64
    )
    keys = np.empty(len(rows), dtype=np.uint64)
    step = max(1, (1 << 17) // max(rows.shape[1], 1))
    for start in range(0, len(rows), step):
        # Adding 0.0 turns -0.0 into 0.0: the two are equal, so their bits must be. NaN has many
        # bit patterns; here it has one.
        block = np.ascontiguousarray(rows[start : start + step] + 0.0, dtype=np.float64)
        np.copyto(block, np.nan, where=np.isnan(block))
        bits = block.view(np.uint64)
        # Multiply and fold, so that high bits (a float's exponent) reach the low ones and back.
        mixed = (bits ^ (bits >> np.uint64(32))) * (weights * np.uint64(2) + np.uint64(1))
        mixed ^= mixed >> np.uint64(29)
        key = mixed.sum(axis=1, dtype=np.uint64)
        key ^= key >> np.uint64(32)
        key *= np.uint64(0x9E3779B97F4A7C15)
        key ^= key >> np.uint64(32)
        key *= np.uint64(0xD6E8FEB86659FD93)
        keys[start : start + step] = key
    return keys


def _first_k(
    query: NDArray[np.intp],
    distance: NDArray[np.float64],
    key: NDArray[np.uint64],
    index: NDArray[np.int64],
    n_queries: int,
    k: int,
) -> Nearest:
    """Keep each query's k smallest by (distance, key); every query must have k candidates."""
    order = np.lexsort((distance, query))
    d, q = distance[order], query[order]
    if ((d[1:] == d[:-1]) & (q[1:] == q[:-1])).any():
        order = np.lexsort((key, distance, query))
    starts = np.searchsorted(query[order], np.arange(n_queries))
    take = order[starts[:, None] + np.arange(k)]
    return Nearest(distance[take], key[take], index[take])


def k_nearest(
    queries: Floats,
    rows: Floats,
    k: int,
    *,
    metric: Metric | NDArray[np.float64] | None = None,
    n_jobs: int = 1,
) -> Nearest:
    """Find the k rows nearest to each query, exactly.

    Parameters
    ----------
    queries : ndarray of shape (n_queries, n_features), float32 or float64
        Numbers; NaN where missing, no infinity.
    rows : ndarray of shape (n_rows, n_features), same dtype
        Numbers; NaN where missing, no infinity.
    k : int
        Neighbours a query; cut to ``n_rows``.
    metric : Metric, ndarray of shape (n_features,) or None, default=None
        What counts as far. An array is the length that counts as 1 in each column; None means 1.
    n_jobs : int, default=1
        Threads, each with a share of the queries. With 1, or for little work, matrix products use
        the threads of the linear algebra library. The answer does not depend on either.

    Returns
    -------
    Nearest
        With ``min(k, n_rows)`` columns.

    Notes
    -----
    Memory beyond the input is a few megabytes, or a scaled copy of a table of few columns or of at
    most 16 million cells. Among rows at exactly the same
    distance those with the smaller :func:`row_keys` come first.

    Examples
    --------
    >>> import numpy as np
    >>> rows = np.array([[0.0], [1.0], [5.0]])
    >>> k_nearest(np.array([[0.9], [4.0]]), rows, k=2).index
    array([[1, 0],
           [2, 1]])
    """
    n_queries, n_features = queries.shape
    k = min(k, len(rows))
    metric = Metric.of(metric, n_features)
    plain = not metric.categorical.any() and not _has_nan(queries) and not _has_nan(rows)
    if plain and (engine := _library_engine(n_queries, len(rows), n_features)):
        return _library_nearest(engine, queries, rows, k, metric, n_jobs)
    return _blocked_nearest(queries, rows, k, metric, n_jobs, plain)


def _blocked_nearest(
    queries: Floats, rows: Floats, k: int, metric: Metric, n_jobs: int, plain: bool
) -> Nearest:
    kind = _PlainSearch if plain else _MixedSearch
    n_queries = len(queries)

    def search(start: int) -> Nearest:
        return kind(queries[start : start + size], metric).search(rows, k)

    threads = n_jobs if n_queries * rows.size >= _WORTH_THREADS else 1
    size = min(_QUERIES, -(-n_queries // threads))
    starts = range(0, n_queries, size)
    if threads > 1:
        # A chunk a thread beats a product on all threads: all the rest runs side by side too.
        with one_blas_thread, ThreadPoolExecutor(threads) as pool:
            parts = list(pool.map(search, starts))
    else:
        parts = [search(start) for start in starts]
    return Nearest(
        np.concatenate([part.distance for part in parts]),
        np.concatenate([part.key for part in parts]),
        np.concatenate([part.index for part in parts]),
    )


def _has_nan(values: Floats) -> bool:
    # A sum is NaN if a term is; sums that overflow are looked at again.
    total = np.einsum("ij->", values, dtype=np.float64)
    return not np.isfinite(total) and bool(np.isnan(values).any())


def _library_engine(n_queries: int, n_rows: int, n_features: int) -> str | None:
    """Choose who nominates: a tree, scikit-learn's brute force, or None for the blocks here.

    Measured by benchmarks/neighbors.py on evenly spread rows, the hardest for a tree: with many
    queries it wins in up to 8 columns, by 2 to 6 times; from 10 on it visits too much of itself.
    scikit-learn's compiled brute force is 1.2 to 4 times as fast as the blocks here, but works on
    a scaled copy of the table in double precision, so it is left to tables where that is small.
    """
    if n_features <= 8 and n_queries >= 100 and n_rows >= 1000:
        return "kd_tree"
    if n_features >= 15 and n_rows * n_features <= _SMALL_COPY:
        return "brute"
    return None


def _library_nearest(
    engine: str, queries: Floats, rows: Floats, k: int, metric: Metric, n_jobs: int
) -> Nearest:
    """Let a library nominate a few more than k, measure them, and check that none is missing."""
    origin = queries.mean(axis=0, dtype=np.float64)  # near the queries, as below
    q, r = (queries - origin) / metric.scale, (rows - origin) / metric.scale
    wanted = min(k + 4, len(rows))
    if engine == "kd_tree":
        # Plain splits build fastest and bear duplicates.
        tree = cKDTree(r, balanced_tree=False, compact_nodes=False)
        near = tree.query(q, k=wanted, workers=n_jobs)[1]
    else:
        brute = NearestNeighbors(algorithm="brute", n_jobs=n_jobs).fit(r)
        near = brute.kneighbors(q, n_neighbors=wanted, return_distance=False)
    near = near.reshape(len(queries), wanted)
    query = np.repeat(np.arange(len(queries)), wanted)
    place = near.ravel().astype(np.int64)
    distance = metric.measure(queries[query], rows[place])
    found = _first_k(query, distance, row_keys(rows[place]), place, len(queries), k)
    # Complete, unless a row that was not returned could be as near as the k-th: the libraries'
    # distances are off by no more than this, as in the blocks below.
    slack = 8.0 * (queries.shape[1] + 16) * np.finfo(np.float64).eps
    norms = np.einsum("ij,ij->i", q, q) + np.einsum("ij,ij->i", r, r).max()
    farthest = distance.reshape(near.shape).max(axis=1) - slack * norms
    unsure = np.flatnonzero((found.distance[:, -1] >= farthest) & (wanted < len(rows)))
    if len(unsure):
        again = _blocked_nearest(queries[unsure], rows, k, metric, n_jobs, plain=True)
        for mine, theirs in (
            (found.distance, again.distance),
            (found.key, again.key),
            (found.index, again.index),
        ):
            mine[unsure] = theirs
    return found


class _PlainSearch:
    """All rows, a block at a time, for a chunk of queries; every value there and numeric.

    Subclasses bound distances from below in another way.
    """

    def __init__(self, queries: Floats, metric: Metric) -> None:
        self.queries, self.metric = queries, metric
        work = self._work_type()
        # Only differences matter, so any origin will do. One near the queries keeps the numbers,
        # and with them the rounding errors of |r|^2 - 2 q.r, small even where a column is a time
        # stamp. A single subtraction and division of the given numbers have a relative error,
        # which the bound below can cover; subtracting twice would have an absolute one.
        self.origin = self._mean().astype(work)
        self.unit = metric.scale.astype(work)
        # |computed - true| <= slack * (|q|^2 + |r|^2): a dot product of n terms is off by at most
        # n eps |q||r|; the norms, the subtraction and the division add a few eps more.
        self.slack = 4.0 * (queries.shape[1] + 16) * float(np.finfo(work).eps)
        self._prepare()

    def _work_type(self) -> Any:
        return self.queries.dtype.type

    def _mean(self) -> NDArray[np.float64]:
        return self.queries.mean(axis=0, dtype=np.float64)

    def _prepare(self) -> None:
        q = (self.queries - self.origin) / self.unit
        self.shift = (1.0 - self.slack) * np.einsum("ij,ij->i", q, q, dtype=np.float64)
        self.minus_two_q = -2.0 * q

    def _lower_bounds(self, block: Floats) -> Floats:
        """Bound each squared distance, less ``shift``, from below."""
        r = (block - self.origin) / self.unit
        low = self.minus_two_q @ r.T
        low += np.einsum("ij,ij->i", r, r) * r.dtype.type(1.0 - self.slack)
        return low

    def _limit(self, reach: NDArray[np.float64], low: Floats) -> Floats:
        # nextafter: the limit is rounded to the work type and must not be rounded down.
        limit = (reach - self.shift).astype(low.dtype)
        return np.nextafter(limit, low.dtype.type(np.inf))[:, None]

    def search(self, rows: Floats, k: int) -> Nearest:
        n_queries = len(self.queries)
        block_rows = max(k, _CELLS // n_queries)
        best: Nearest | None = None
        # The first blocks double the rows seen: then none brings many more candidates than k.
        start, stop = 0, max(k, min(block_rows, 256))
        while start < len(rows):
            block = rows[start:stop]
            low = self._lower_bounds(block)
            if best is None:
                hit = self._nominate(low, block, k)
            else:
                hit = low <= self._limit(best.distance[:, -1], low)
                if np.count_nonzero(hit) > 8 * n_queries * k and len(block) > k:
                    hit &= self._nominate(low, block, k)
            query, place = np.divmod(np.flatnonzero(hit), hit.shape[1])
            distance = self.metric.measure(self.queries[query], block[place])
            key = row_keys(block[place])
            index = (place + start).astype(np.int64)
            if best is not None:
                query = np.concatenate([np.repeat(np.arange(n_queries), k), query])
                distance = np.concatenate([best.distance.ravel(), distance])
                key = np.concatenate([best.key.ravel(), key])
                index = np.concatenate([best.index.ravel(), index])
            best = _first_k(query, distance, key, index, n_queries, k)
            start, stop = stop, stop + min(block_rows, stop)
        assert best is not None  # there is at least one row
        return best

    def _nominate(self, low: Floats, block: Floats, k: int) -> NDArray[np.bool_]:
        """Candidates of one block on its own merits: all that its k-th best can't rule out."""
        k = min(k, low.shape[1])
        some = np.argpartition(low, k - 1, axis=1)[:, :k]
        measured = self.metric.measure(np.repeat(self.queries, k, axis=0), block[some.ravel()])
        hit = low <= self._limit(measured.reshape(-1, k).max(axis=1), low)
        # The rows that set the limit are candidates whatever rounding says: k are always there.
        np.put_along_axis(hit, some, True, axis=1)
        return hit


class _MixedSearch(_PlainSearch):
    """The same with missing values and categories: four products instead of one."""

    def _work_type(self) -> Any:
        return np.float64

    def _mean(self) -> NDArray[np.float64]:
        present = ~np.isnan(self.queries)
        total = np.where(present, self.queries, 0.0).sum(axis=0, dtype=np.float64)
        return total / np.maximum(present.sum(axis=0), 1)

    def _split(self, values: Floats) -> tuple[Floats, Floats]:
        numeric = ~self.metric.categorical
        scaled = (values[:, numeric] - self.origin[numeric]) / self.unit[numeric]
        present = ~np.isnan(scaled)
        scaled[~present] = 0.0
        return scaled, present.astype(np.float64)

    def _prepare(self) -> None:
        self.shift = np.zeros(len(self.queries))
        self.q, self.q_has = self._split(self.queries)
        self.q_squares = self.q**2
        self.q_norm = self.q_squares.sum(axis=1)

    def _lower_bounds(self, block: Floats) -> Floats:
        r, r_has = self._split(block)
        r_squares = r**2
        low = self.q_squares @ r_has.T
        low += self.q_has @ r_squares.T
        low -= 2.0 * (self.q @ r.T)
        low -= self.slack * (self.q_norm[:, None] + r_squares.sum(axis=1))
        np.maximum(low, 0.0, out=low)
        common = self.q_has @ r_has.T
        for column in np.flatnonzero(self.metric.categorical):
            difference = self.queries[:, column, None] - block[:, column]
            missing = np.isnan(difference)
            common += ~missing
            low += self.metric.mismatch * ((difference != 0) & ~missing)
        with np.errstate(divide="ignore", invalid="ignore"):
            # A little less than exact, for the last roundings.
            low *= block.shape[1] * (1 - 1e-12) / common
        low[common == 0] = np.inf
        return low


def merge_nearest(parts: list[Nearest], k: int) -> tuple[Nearest, NDArray[np.int64]]:
    """Join the neighbours that the same queries have in several tables.

    The k nearest of a whole are among the k nearest of each of its parts.

    Parameters
    ----------
    parts : list of Nearest
        One a table, for the same queries in the same order.
    k : int
        Neighbours to keep; cut to how many there are.

    Returns
    -------
    merged : Nearest
        ``index`` still points into the part that the row came from.
    part : ndarray of shape (n_queries, k), int64
        Which part that is.

    Examples
    --------
    >>> import numpy as np
    >>> query = np.array([[0.0]])
    >>> left = k_nearest(query, np.array([[1.0], [4.0]]), k=2)
    >>> right = k_nearest(query, np.array([[2.0], [3.0]]), k=2)
    >>> merged, part = merge_nearest([left, right], k=2)
    >>> merged.distance, part
    (array([[1., 4.]]), array([[0, 1]]))
    """
    distance = np.concatenate([part.distance for part in parts], axis=1)
    key = np.concatenate([part.key for part in parts], axis=1)
    index = np.concatenate([part.index for part in parts], axis=1)
    part = np.repeat(np.arange(len(parts)), [part.index.shape[1] for part in parts])
    order = np.lexsort((key, distance), axis=1)[:, :k]
    rows = np.arange(len(distance))[:, None]
    return Nearest(distance[rows, order], key[rows, order], index[rows, order]), part[order]
