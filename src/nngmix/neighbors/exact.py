"""Exact nearest neighbours: a blocked matrix product nominates, exact distances decide.

A few queries against many rows is the shape of the problem, so the cost is one matrix product,
and the rest must not be felt beside it. Each row and each query become vectors whose inner product
is a lower bound of their distance, less the distance that the row would have to beat:

    (r, |r|^2, 1) . (-2 q, 1, |q|^2 - limit)  =  |q - r|^2 - limit

so that a candidate is a negative number in the product: one comparison a cell, and candidates are
few. The product is subject to rounding and in single precision, so it only nominates: whatever
could, within the rounding bound, be among the k nearest is measured again by plain differences in
double precision. Ties are broken by the content of the rows, never by their place, so that the
answer depends neither on how the rows were cut or ordered, nor on threads.

With few columns and very many queries a KD-tree nominates instead.
"""

import contextlib
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from nngmix.shared_context import one_blas_thread, one_torch_thread

Floats = NDArray[np.floating]
# Rows of a block and queries, paired.
Candidates = tuple[NDArray[np.intp], NDArray[np.intp]]

# Queries and cells of a tile of the product: 4 MB in single precision. It comes back from the
# cache for the comparison, and is large enough for the product to run at full speed.
_QUERIES = 1024
_TILE_CELLS = 1 << 20
# Cells of a block of rows made ready for the product: half of what a core's cache holds.
_BLOCK_CELLS = 1 << 18
# Rows that the first limits come from, and those whose limits are still poor.
_FIRST_ROWS, _EARLY_ROWS = 1 << 10, 1 << 14
# Multiplications below which starting threads costs more than it saves.
_WORTH_THREADS = 1 << 26
# Categories told apart in the product; those beyond share a place and are told apart afterwards.
_PLACES = 16
# Multiplications in this process after which loading torch, some seconds, is worth its products.
_WORTH_TORCH = 3 * 10**11
_work_so_far = 0
# Cells between two looks at how many candidates were none; how many cells cost as much as one does.
_WINDOW = 1 << 26
_WASTE = 1000
_NO_KEY = np.uint64(2**64 - 1)


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
        The rows' places in the table that was searched. A negative number ``-1 - j`` is the j-th
        of the neighbours that were known before.
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
    weights = _key_weights(rows.shape[1])
    keys = np.empty(len(rows), dtype=np.uint64)
    step = max(1, (1 << 17) // max(rows.shape[1], 1))
    for start in range(0, len(rows), step):
        # Adding 0.0 turns -0.0 into 0.0: the two are equal, so their bits must be. NaN has many
        # bit patterns; here it has one.
        block = np.ascontiguousarray(rows[start : start + step] + 0.0, dtype=np.float64)
        np.copyto(block, np.nan, where=np.isnan(block))
        bits = block.view(np.uint64)
        # Multiply and fold, so that high bits (a float's exponent) reach the low ones and back.
        mixed = (bits ^ (bits >> np.uint64(32))) * weights
        mixed ^= mixed >> np.uint64(29)
        key = mixed.sum(axis=1, dtype=np.uint64)
        key ^= key >> np.uint64(32)
        key *= np.uint64(0x9E3779B97F4A7C15)
        key ^= key >> np.uint64(32)
        key *= np.uint64(0xD6E8FEB86659FD93)
        keys[start : start + step] = key
    return keys


@lru_cache(maxsize=16)
def _key_weights(n_features: int) -> NDArray[np.uint64]:
    rng = np.random.Generator(np.random.PCG64(0))
    weights = rng.integers(0, 2**63, size=n_features, dtype=np.uint64)
    return weights * np.uint64(2) + np.uint64(1)


def k_nearest(
    queries: Floats,
    rows: Floats,
    k: int,
    *,
    metric: Metric | NDArray[np.float64] | None = None,
    n_jobs: int = 1,
    skip: NDArray[np.bool_] | None = None,
    known: Nearest | None = None,
    device: str | None = None,
) -> Nearest:
    """Find the k rows nearest to each query, exactly.

    Parameters
    ----------
    queries : ndarray of shape (n_queries, n_features), float32 or float64
        Numbers; NaN where missing, no infinity.
    rows : ndarray of shape (n_rows, n_features), same dtype
        Numbers; NaN where missing, no infinity.
    k : int
        Neighbours a query; cut to how many rows there are.
    metric : Metric, ndarray of shape (n_features,) or None, default=None
        What counts as far. An array is the length that counts as 1 in each column; None means 1.
    n_jobs : int, default=1
        Threads. With 1, or for little work, matrix products use the threads of the linear algebra
        library. The answer does not depend on either.
    skip : ndarray of shape (n_rows,), bool, default=None
        Rows to pass over.
    known : Nearest, default=None
        The nearest rows of the same queries in other tables. Only rows that beat them are looked
        at, and the result is that of all tables together: see ``Nearest.index``.
    device : str, default=None
        Where torch is to take the products, such as "cuda"; None takes them here, without torch.
        The answer does not depend on it.

    Returns
    -------
    Nearest
        With k columns, or as many as there are rows that are not skipped, and known ones.

    Notes
    -----
    Memory beyond the input is a few megabytes a thread. Among rows at exactly the same distance
    those with the smaller :func:`row_keys` come first.

    Examples
    --------
    >>> import numpy as np
    >>> rows = np.array([[0.0], [1.0], [5.0]])
    >>> k_nearest(np.array([[0.9], [4.0]]), rows, k=2).index
    array([[1, 0],
           [2, 1]])

    In pieces:

    >>> first = k_nearest(np.array([[0.9], [4.0]]), rows[:2], k=2)
    >>> k_nearest(np.array([[0.9], [4.0]]), rows[2:], k=2, known=first).index
    array([[-1, -2],
           [ 0, -1]])
    """
    n_rows = len(rows) if skip is None else int(len(rows) - np.count_nonzero(skip))
    k = min(k, n_rows + (0 if known is None else known.index.shape[1]))
    metric = Metric.of(metric, queries.shape[1])
    search: Search
    if device is not None:
        from nngmix.neighbors.on_device import DeviceSearch

        search = DeviceSearch(queries, rows, k, metric, skip, known, device=device)
        search.nominate(n_jobs)
        return Nearest(search.distance, search.key, search.index)
    search = Search(queries, rows, k, metric, skip, known)
    if known is None and _tree_is_faster(len(queries), *rows.shape):
        search.nominate_by_tree(n_jobs)
    else:
        search.nominate(n_jobs)
    return Nearest(search.distance, search.key, search.index)


def _tree_is_faster(n_queries: int, n_rows: int, n_features: int) -> bool:
    """Choose who nominates, by what benchmarks/neighbors.py measures.

    In up to eight columns a tree answers a query in some 10 to 150 microseconds, the product in 50
    and one for each thousand rows; but the tree must be built first, in a third of a microsecond
    a row. Evenly spread rows, with which this was measured, are the hardest for a tree; in more
    columns it visits too much of itself for every query.
    """
    if n_features > 8 or n_rows < 1000:
        return False
    return n_queries * (50 + n_rows / 1000) > n_rows / 3


class Scratch(threading.local):
    """Arrays that a thread writes over and over: fresh ones cost a page fault every few cells."""

    def __init__(self) -> None:
        self.kept: dict[tuple[str, Any], NDArray[Any]] = {}

    def array(self, name: str, shape: tuple[int, int], dtype: Any) -> NDArray[Any]:
        """Hand out the array of this name, cut to shape; what it holds is left from last time."""
        kept = self.kept.get((name, dtype))
        if kept is None or kept.size < shape[0] * shape[1]:
            kept = self.kept[name, dtype] = np.empty(shape[0] * shape[1], dtype=dtype)
        return kept[: shape[0] * shape[1]].reshape(shape)

    def rows(self, name: str, like: Floats, width: int, dtype: Any) -> NDArray[Any]:
        """Hand out an array of so many columns for a block's rows, in the order of its numbers.

        So whole lines are worked on, one by one or all at once, whichever way they run.
        """
        if is_turned(like):
            return self.array(name, (width, len(like)), dtype).T
        return self.array(name, (len(like), width), dtype)


def is_turned(block: Floats) -> bool:
    """Tell whether the numbers of a column, not those of a row, stand side by side."""
    # A single row is taken for a row whatever its strides: torch, too, can't tell.
    return len(block) > 1 and block.strides[0] < block.strides[1]


class _Product:
    """Vectors of queries and rows whose inner product tells the candidates: it is negative there.

    Attributes
    ----------
    vectors : ndarray of shape (n_queries, width)
        The queries' side; the limits are part of it.
    fits : bool
        Whether the queries' numbers can be squared in this dtype.
    """

    vectors: Floats
    fits: bool
    #: What the dtype's own precision does not tell of the rounding error.
    coarseness = 0.0
    #: Whether it can't be made before each query has a distance to beat.
    needs_limits = False

    def __init__(self, queries: Floats, metric: Metric, dtype: type[np.floating]) -> None:
        self.metric, self.dtype = metric, dtype
        # Only differences matter, so any origin will do. One near the queries keeps the numbers,
        # and with them the rounding errors of |r|^2 - 2 q.r, small even where a column is a time
        # stamp. It is subtracted in the wider of the two precisions: once, and so with a relative
        # error, which the bound covers.
        work = np.result_type(queries.dtype, dtype)
        some = queries[:: -(-len(queries) // 1000)]
        some = np.where(np.isnan(some).all(axis=0), 0.0, some)
        # The median: a single query far out must not take the origin with it.
        self.origin = np.nanmedian(some, axis=0).astype(work)
        self.per_unit = (1.0 / metric.scale).astype(work)
        info = np.finfo(dtype)
        # |computed - true| <= slack * (|q|^2 + |r|^2 + limit): a dot product of n terms is off by
        # at most n eps |q||r|; the norms, the subtraction and the scaling add a few eps more.
        # What underflows is covered by the smallest limit.
        self.slack = 8.0 * (queries.shape[1] + 16) * float(info.eps) + self.coarseness
        self.least = 1e-30 if dtype is np.float32 else 1e-280
        self.most = 1e15 if dtype is np.float32 else 1e140

    def multiply(self, vectors: Any, first: int, last: int, scratch: "Scratch") -> NDArray[Any]:
        """Multiply rows by some queries: below 0 are the candidates."""
        tile = scratch.array("tile", (len(vectors), last - first), self.dtype)
        return np.matmul(vectors, self.vectors[first:last].T, out=tile)

    def candidates(self, vectors: Any, first: int, last: int, scratch: "Scratch") -> Candidates:
        """Find the candidates among a block's rows, for some queries."""
        tile = self.multiply(vectors, first, last, scratch)
        hit = np.less(tile, 0, out=scratch.array("hit", tile.shape, np.bool_))
        row, query = np.divmod(places_of(hit), last - first)
        return row, query + first

    def _center(self, values: Floats) -> Floats:
        centered = values - self.origin
        centered *= self.per_unit
        return centered.astype(self.dtype, copy=False)

    def _loosen(self, limit: NDArray[np.float64]) -> NDArray[np.float64]:
        # No limit yet: then all rows are candidates whatever the product says, and without a
        # large number in it the product tells which ones are near.
        finite = np.where(np.isinf(limit), 0.0, np.minimum(limit, self.most))
        return finite * (1.0 + self.slack) + self.least


class PlainProduct(_Product):
    """All columns numeric, nothing missing: (r, |r|^2, 1) . (-2 q, 1, |q|^2 - limit)."""

    def __init__(self, queries: Floats, metric: Metric, dtype: type[np.floating]) -> None:
        super().__init__(queries, metric, dtype)
        n_features = queries.shape[1]
        q = self._center(queries)
        self.norm = np.einsum("ij,ij->i", q, q, dtype=np.float64) * (1.0 - self.slack)
        self.vectors = np.empty((len(q), n_features + 2), dtype=dtype)
        np.multiply(q, -2.0, out=self.vectors[:, :n_features])
        self.vectors[:, n_features] = 1.0
        self.fits = bool(self.norm.max() < self.most)

    def set_limits(self, query: Any, limit: NDArray[np.float64]) -> None:
        """Set the distance to beat for some queries."""
        self.vectors[query, -1] = self.norm[query] - self._loosen(limit)

    def row_vectors(self, block: Floats, scratch: "Scratch") -> Any:
        """Make a block of rows ready; None if it has gaps or numbers too large for the dtype."""
        ready = self._center_rows(block, scratch)
        if ready is None:
            return None
        r, norm = ready
        n_features = block.shape[1]
        vectors = scratch.rows("vectors", block, n_features + 2, self.dtype)
        vectors[:, :n_features] = r
        vectors[:, n_features] = norm
        vectors[:, n_features + 1] = 1.0
        return vectors

    def _center_rows(self, block: Floats, scratch: "Scratch") -> tuple[Floats, Floats] | None:
        """Center and scale rows, and find their squared norms, less the slack."""
        n, n_features = block.shape
        # Several rows to a line, so that loops over a line are long enough to be worth starting.
        several = 8 if n % 8 == 0 and not is_turned(block) else 1
        line = (n // several, n_features * several)
        lines = block.reshape(line)
        r = scratch.rows("centred", lines, line[1], self.origin.dtype)
        np.subtract(lines, np.tile(self.origin, several), out=r)
        # Numbers too large for the dtype overflow, which their norms tell.
        with np.errstate(over="ignore", invalid="ignore"):
            r *= np.tile(self.per_unit, several)
            r = r.reshape(block.shape).astype(self.dtype, copy=False)
            norm = np.einsum("ij,ij->i", r, r)
            fits = norm.max() < self.most  # not so if it is NaN
        return (r, norm * self.dtype(1.0 - self.slack)) if fits else None


class _MixedProduct(_Product):
    """Missing values and categories: one product still, of vectors some three times as long.

    With n columns in all, c of them present on both sides, and s the sum over these, a row is a
    candidate if s n / c < limit, that is n s - limit c < 0. Both s and c are inner products: of
    squares with what is present, of the centred values, of marks of categories.
    """

    def __init__(self, queries: Floats, metric: Metric, dtype: type[np.floating]) -> None:
        super().__init__(queries, metric, dtype)
        self.numeric = np.flatnonzero(~metric.categorical)
        self.codes = [
            (column, np.unique(queries[~np.isnan(queries[:, column]), column]))
            for column in np.flatnonzero(metric.categorical)
        ]
        n_features, n_numeric = queries.shape[1], len(self.numeric)
        q, self.has = self._split(queries)
        squares = q.astype(np.float64) ** 2
        self.fits = bool(squares.sum(axis=1).max() < self.most)
        self.vectors = np.zeros((len(queries), self._width()), dtype=dtype)
        weight = n_features * (1.0 - self.slack)
        #: What belongs to the marks of presence, without the limit.
        self.fixed = np.where(self.has, weight * metric.mismatch, 0.0)
        self.fixed[:, self.numeric] = weight * squares
        at = n_features
        self.vectors[:, at : at + n_numeric] = weight * self.has[:, self.numeric]
        self.vectors[:, at + n_numeric : at + 2 * n_numeric] = -2.0 * n_features * q
        self._mark(queries, self.vectors, -n_features * metric.mismatch)

    def _width(self) -> int:
        places = sum(min(len(codes), _PLACES) for _, codes in self.codes)
        return len(self.metric.scale) + 2 * len(self.numeric) + places

    def _split(self, values: Floats) -> tuple[Floats, NDArray[np.bool_]]:
        centered = self._center(values)[:, self.numeric]
        has = ~np.isnan(values)
        centered[~has[:, self.numeric]] = 0.0
        return centered, has

    def _mark(self, values: Floats, vectors: Floats, mark: float) -> None:
        """Mark, in the last columns, which of the queries' categories a row has."""
        at = len(self.metric.scale) + 2 * len(self.numeric)
        for column, codes in self.codes:
            if len(codes) == 0:
                continue
            place = np.minimum(np.searchsorted(codes, values[:, column]), len(codes) - 1)
            row = np.flatnonzero(codes[place] == values[:, column])
            vectors[row, at + place[row] % _PLACES] = mark
            at += min(len(codes), _PLACES)

    def set_limits(self, query: Any, limit: NDArray[np.float64]) -> None:
        """Set the distance to beat for some queries."""
        n_features = len(self.metric.scale)
        loose = self._loosen(limit)[:, None]
        self.vectors[query, :n_features] = self.fixed[query] - loose * self.has[query]

    def row_vectors(self, block: Floats, scratch: "Scratch") -> Floats | None:
        """Make a block of rows ready; None if it has numbers too large for the dtype."""
        n_features, n_numeric = block.shape[1], len(self.numeric)
        vectors = scratch.array("vectors", (len(block), self._width()), self.dtype)
        with np.errstate(over="ignore", invalid="ignore"):
            r, has = self._split(block)
            squares = np.square(r)
        if n_numeric and not squares.sum(axis=1).max() < self.most:
            return None
        vectors[:, :n_features] = has
        vectors[:, n_features : n_features + n_numeric] = squares
        vectors[:, n_features + n_numeric : n_features + 2 * n_numeric] = r
        vectors[:, n_features + 2 * n_numeric :] = 0.0
        self._mark(block, vectors, 1.0)
        return vectors


def blocks_of(n_rows: int, n_queries: int, n_features: int) -> Iterator[tuple[int, int]]:
    """Cut rows into blocks whose vectors and whose tile of the product suit the cache."""
    most = min(_TILE_CELLS // min(n_queries, _QUERIES), _BLOCK_CELLS // (n_features + 2))
    most = max(most // 8 * 8, 64)
    # Finding the first limits costs a hundred times a comparison with known ones, and limits
    # from some rows let few candidates pass among three times as many.
    start, stop = 0, min(_FIRST_ROWS, most, n_rows)
    while start < n_rows:
        yield start, stop
        start, stop = stop, min(stop + min(most, 3 * stop), n_rows)


Kind = tuple[type[_Product], type[np.floating]]


def _exact_kinds(plain: bool) -> list[Kind]:
    """Tell which products there are, the cheapest first."""
    kinds: list[type[_Product]] = [PlainProduct, _MixedProduct] if plain else [_MixedProduct]
    return [(kind, dtype) for dtype in (np.float32, np.float64) for kind in kinds]


def expect_work(work: int) -> None:
    """Tell of searches to come, so that what pays for all of them together is loaded for the first.

    Parameters
    ----------
    work : int
        Queries times rows times columns.

    Examples
    --------
    >>> expect_work(500 * 1_000_000 * 32)
    """
    # Here and not in the first search: what is quicker is measured while nothing else runs.
    _coarse_kinds(work)


def _coarse_kinds(work: int) -> list[Kind]:
    """Offer products of few digits, where torch is loaded or this process has work worth it."""
    global _work_so_far
    _work_so_far += work
    if "torch" not in sys.modules and _work_so_far < _WORTH_TORCH:
        return []
    try:
        from nngmix.neighbors import bfloat16, int8
    except ImportError:
        return []
    kinds: list[Kind] = [(int8.ByteProduct, np.float32)] if int8.pays() else []
    return [*kinds, (bfloat16.HalfProduct, np.float32)] if bfloat16.pays() else kinds


class Search:
    """The neighbours so far, and who may still become one."""

    def __init__(
        self,
        queries: Floats,
        rows: Floats,
        k: int,
        metric: Metric,
        skip: NDArray[np.bool_] | None,
        known: Nearest | None,
    ) -> None:
        self.queries, self.rows, self.k, self.metric, self.skip = queries, rows, k, metric, skip
        n = len(queries)
        # Places that no row has taken yet are infinitely far, and come last among those.
        self.distance = np.full((n, k), np.inf)
        self.key = np.full((n, k), _NO_KEY)
        self.index = np.full((n, k), np.iinfo(np.int64).max)
        self.continued = known is not None
        if known is not None:
            there = min(k, known.index.shape[1])
            self.distance[:, :there] = known.distance[:, :there]
            self.key[:, :there] = known.key[:, :there]
            self.index[:, :there] = -1 - np.arange(there)
        self.endless = np.flatnonzero(np.isinf(self.distance[:, -1]))
        self.plain = not metric.categorical.any() and not np.isnan(queries).any()
        coarse = _coarse_kinds(queries.size * len(rows)) if self.plain else []
        self.kinds = coarse + _exact_kinds(self.plain)
        self.products: dict[Kind, Any] = {}
        self.waiting: list[tuple[NDArray[np.intp], NDArray[np.intp]]] = []
        self.n_waiting = 0
        self.n_settled = self.n_scanned = self.n_distrusted = 0
        self.n_cells = self.n_near = self.n_wasted = 0
        self.lock = threading.RLock()
        self.scratch = Scratch()

    # Measuring -------------------------------------------------------------------------------

    def wait(self, query: NDArray[np.intp], row: NDArray[np.intp]) -> None:
        """Put candidates on the list; a long enough list is worked off."""
        if len(query) == 0:
            return
        with self.lock:
            self.waiting.append((query, row))
            self.n_waiting += len(query)
            # Work waits for company, but limits must not grow stale.
            if 2 * self.n_waiting < self.k * len(self.queries):
                return
        self.settle()

    def settle(self) -> None:
        """Measure the waiting candidates and keep the nearest."""
        with self.lock:
            if not self.waiting:
                return
            query, row = (np.concatenate(part) for part in zip(*self.waiting, strict=True))
            self.waiting, self.n_waiting = [], 0
            self.n_settled += 1
        # Others may nominate meanwhile.
        distance = np.empty(len(query))
        step = max(1, (1 << 20) // self.queries.shape[1])
        for start in range(0, len(query), step):
            part = slice(start, start + step)
            distance[part] = self.metric.measure(self.queries[query[part]], self.rows[row[part]])
        with self.lock:
            near = distance <= self.distance[query, -1]
            self.n_near += int(np.count_nonzero(near))
            self.n_wasted += len(near) - int(np.count_nonzero(near))
            self._keep(query[near], row[near], distance[near])

    def _keep(
        self, query: NDArray[np.intp], row: NDArray[np.intp], distance: NDArray[np.float64]
    ) -> None:
        if len(query) == 0:
            return
        changed, place = np.unique(query, return_inverse=True)
        k, n = self.k, len(changed)
        owner = np.concatenate([np.repeat(np.arange(n), k), place])
        d = np.concatenate([self.distance[changed].ravel(), distance])
        key = np.concatenate([self.key[changed].ravel(), row_keys(self.rows[row])])
        index = np.concatenate([self.index[changed].ravel(), row])
        order = np.lexsort((d, owner))
        if (d[order[1:]] == d[order[:-1]]).any():
            order = np.lexsort((index, key, d, owner))
        take = order[np.searchsorted(owner[order], np.arange(n))[:, None] + np.arange(k)]
        self.distance[changed], self.key[changed] = d[take], key[take]
        self.index[changed] = index[take]
        for product in filter(None, self.products.values()):
            product.set_limits(changed, self.distance[changed, -1])
        self.endless = np.flatnonzero(np.isinf(self.distance[:, -1]))

    # Nominating by a product -----------------------------------------------------------------

    def product(self, kind: type[_Product], dtype: type[np.floating]) -> Any:
        """Make the queries ready, once; None if their numbers are too large for the dtype."""
        with self.lock:
            if kind.needs_limits and len(self.endless):
                return None
            if (kind, dtype) not in self.products:
                with np.errstate(over="ignore", invalid="ignore"):  # then it does not fit
                    made: Any = kind(self.queries, self.metric, dtype)
                if made.fits:
                    made.set_limits(slice(None), self.distance[:, -1])
                self.products[kind, dtype] = made if made.fits else None
            return self.products[kind, dtype]

    def _choose(self, block: Floats, kinds: list[Kind]) -> tuple[Any, Any]:
        """Find the cheapest product that this block allows."""
        for kind, dtype in kinds:
            product = self.product(kind, dtype)
            vectors = None if product is None else product.row_vectors(block, self.scratch)
            if vectors is not None:
                return product, vectors
        raise ValueError("rows hold numbers too large to square in double precision; rescale them.")

    def nominate(self, n_jobs: int) -> None:
        """Go through the rows, a block at a time."""
        blocks = blocks_of(len(self.rows), len(self.queries), self.rows.shape[1])
        coarse = self.kinds[0] not in _exact_kinds(self.plain)
        # torch counts its threads for each thread that calls it.
        one_thread = one_torch_thread if coarse else contextlib.nullcontext
        if len(self.queries) * self.rows.size < _WORTH_THREADS or n_jobs < 2:
            with one_thread():
                for start, stop in blocks:
                    self.scan(start, stop)
            self.settle()
            return
        turn = threading.Lock()

        def work(_: int) -> None:
            with one_thread():
                while True:
                    with turn:
                        block = next(blocks, None)
                    if block is None:
                        return
                    self.scan(*block)

        # A block a thread beats a product on all threads: all the rest runs side by side too.
        with one_blas_thread, one_thread():
            # The first block sets limits that rule out most of the others.
            self.scan(*next(blocks))
            with ThreadPoolExecutor(n_jobs) as pool:
                list(pool.map(work, range(n_jobs)))
        self.settle()

    def scan(self, start: int, stop: int) -> None:
        """Nominate from one block of rows."""
        block = self.rows[start:stop]
        # As long as limits are poor, few digits nominate several times as many.
        early = start < _EARLY_ROWS and not self.continued
        kinds = _exact_kinds(self.plain) if early else self.kinds
        product, vectors = self._choose(block, kinds)
        for first in range(0, len(self.queries), _QUERIES):
            self.n_scanned += 1
            last = min(first + _QUERIES, len(self.queries))
            kind = type(product), product.dtype
            row, query = product.candidates(vectors, first, last, self.scratch)
            if self.skip is not None:
                kept = ~self.skip[start:stop][row]
                row, query = row[kept], query[kept]
            if len(self.endless) or self._too_many(len(row), last - first):
                hit = self._fewer(kind, start, stop, first, last)
                row, query = np.divmod(places_of(hit), last - first)
                query += first
                # Other vectors may have taken the place of these.
                product, vectors = self._choose(block, kinds)
            self.wait(query, row + start)
        self._look_at_waste((stop - start) * len(self.queries))

    def _look_at_waste(self, n_cells: int) -> None:
        """Give up few digits where they nominate many more rows than are near."""
        with self.lock:
            self.n_cells += n_cells
            if self.n_cells < _WINDOW:
                return
            wasteful = self.n_wasted > max(self.n_cells / _WASTE, 8 * self.n_near)
            if wasteful and self.kinds[0] not in _exact_kinds(self.plain):
                self.kinds = self.kinds[1:]
            self.n_cells = self.n_near = self.n_wasted = 0

    def _hits(self, tile: NDArray[Any], start: int, first: int) -> NDArray[np.bool_]:
        hit = np.less(tile, 0, out=self.scratch.array("hit", tile.shape, np.bool_))
        endless = self.endless
        if len(endless):  # no limit: any row will do
            last = first + tile.shape[1]
            hit[:, endless[(first <= endless) & (endless < last)] - first] = True
        if self.skip is not None:
            skipped = self.skip[start : start + len(tile)]
            if skipped.any():
                hit[skipped] = False
        return hit

    def _too_many(self, n_hits: int, n_queries: int) -> bool:
        return n_hits > 4 * self.k * n_queries

    def _fewer(self, kind: Kind, start: int, stop: int, first: int, last: int) -> NDArray[np.bool_]:
        """Look closer at a block in which a product of this kind found many candidates.

        Either its precision can't tell these rows apart: a higher one may. Or the limits are poor,
        as at first, or where rows come nearer and nearer: then the block's own best improve them.
        Or rows occur many times: k copies will do.
        """
        k, block = self.k, self.rows[start:stop]
        exact = _exact_kinds(self.plain)
        finer = [np.float32, np.float64] if kind not in exact else [np.float64]
        for dtype in finer[:1] if len(self.endless) else finer:
            product, vectors = self._choose(
                block, [other for other in exact if other[1] is dtype or other[1] is np.float64]
            )
            hit = self._hits(product.multiply(vectors, first, last, self.scratch), start, first)
            if not self._too_many(int(np.count_nonzero(hit)), last - first):
                self._distrust(kind)
                return hit
        if len(block) > k:
            with self.lock:
                # Once more, for others may have changed the limits, and what is settled below
                # must not come a second time.
                tile = product.multiply(vectors, first, last, self.scratch)
                hit = self._hits(tile, start, first)
                best, query = _lowest(tile, k, hit)
                self.waiting.append((query + first, best + start))
                self.settle()
                tile = product.multiply(vectors, first, last, self.scratch)
                hit = self._hits(tile, start, first)
                hit[best, query] = False
        if self._too_many(int(np.count_nonzero(hit)), last - first):
            row = np.flatnonzero(hit.any(axis=1))
            key = row_keys(block[row])
            order = np.argsort(key, kind="stable")
            copies = np.arange(len(row)) - np.searchsorted(key[order], key[order])
            hit[row[order[copies >= k]]] = False
        return hit

    def _distrust(self, kind: Kind) -> None:
        """Give up a precision that can't tell this table's rows apart."""
        self.n_distrusted += 1
        if self.n_distrusted > max(3, self.n_scanned // 4) and kind == self.kinds[0]:
            exact = _exact_kinds(self.plain)
            finer = [other for other in exact if other[1] is np.float64]
            self.kinds = finer if kind in exact else self.kinds[1:]
            self.n_distrusted = self.n_scanned = 0

    # Nominating by a tree --------------------------------------------------------------------

    def nominate_by_tree(self, n_jobs: int) -> None:
        """Let a KD-tree nominate a few more than k, and check that none is missing."""
        queries, rows, k = self.queries, self.rows, self.k
        if not self.plain or not np.isfinite(np.einsum("ij->", rows, dtype=np.float64)):
            self.nominate(n_jobs)
            return
        origin = queries.mean(axis=0, dtype=np.float64)
        q, r = (queries - origin) / self.metric.scale, (rows - origin) / self.metric.scale
        where = None if self.skip is None else np.flatnonzero(~self.skip)
        r = r if where is None else r[where]
        wanted = min(k + 4, len(r))
        # Plain splits build fastest and bear duplicates.
        tree = cKDTree(r, balanced_tree=False, compact_nodes=False)
        reach, near = tree.query(q, k=wanted, workers=n_jobs)
        place = np.asarray(near).reshape(-1).astype(np.intp)
        place = place if where is None else where[place]
        self.waiting = [(np.repeat(np.arange(len(queries)), wanted), place)]
        self.settle()
        # Complete, unless a row that was not returned could be as near as the k-th: the tree's
        # distances are off by no more than this.
        slack = 8.0 * (queries.shape[1] + 16) * np.finfo(np.float64).eps
        norms = np.einsum("ij,ij->i", q, q) + np.einsum("ij,ij->i", r, r).max()
        farthest = np.asarray(reach).reshape(len(queries), wanted)[:, -1] ** 2 - slack * norms
        unsure = np.flatnonzero((self.distance[:, -1] >= farthest) & (wanted < len(r)))
        if len(unsure):
            again = Search(queries[unsure], rows, k, self.metric, self.skip, None)
            again.nominate(n_jobs)
            for name in ("distance", "key", "index"):
                getattr(self, name)[unsure] = getattr(again, name)


def _lowest(
    tile: NDArray[Any], k: int, hit: NDArray[np.bool_]
) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Find the hits among the k lowest of each column, and what ties with them, if few do."""
    # Along rows of a copy, partition is ten times as fast as along columns.
    turned = np.ascontiguousarray(tile.T)
    turned.partition(k - 1, axis=1)
    low = (tile <= turned[:, k - 1]) & hit
    places = places_of(low)
    if len(places) > 4 * k * tile.shape[1]:
        row = np.argpartition(tile, k - 1, axis=0)[:k]
        low[:] = False
        np.put_along_axis(low, row, np.take_along_axis(hit, row, axis=0), axis=0)
        places = places_of(low)
    row, query = np.divmod(places, tile.shape[1])
    return row, query


def places_of(hit: NDArray[np.bool_]) -> NDArray[np.intp]:
    """Find the few True: flatnonzero in a third of the time, since it looks at eight at a time."""
    flat = hit.reshape(-1)
    if len(flat) % 8:
        return np.flatnonzero(flat)
    words = np.flatnonzero(flat.view(np.uint64) != 0)
    word, place = np.nonzero(flat.reshape(-1, 8)[words])
    return words[word] * 8 + place


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
