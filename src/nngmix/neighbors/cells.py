"""Nearly all of the nearest rows for any number of queries: an inverted file in NumPy.

Where as many rows are asked for as are searched, and both are tens of thousands, an exact search is
one of all pairs. Here rows are sorted into cells by the nearest of some centres, and a query looks
into the cells whose centres are nearest to it, until it has seen a few thousand rows. Unlike
:class:`~nngmix.neighbors.ApproximateNeighbors` it needs nothing beyond the core installation, works
in double precision, and finds the same for a query whatever other queries come with it, but where
rows are equally far away.
"""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.distance import cdist

from nngmix.shared_context import one_blas_thread

Floats = NDArray[np.float64]

# Queries worked on together: many, for each cell is visited once for all of them.
_QUERIES = 4096
# Distances held at a time.
_CELLS = 1 << 18
# Rows that a query sees first, at least: they set the limit for others.
_FIRST = 400
# Rounds of moving the centres to the middle of their rows. More make cells more alike in size, and
# find hardly more.
_ROUNDS = 1


class CellSearch:
    """Search the rows around a query.

    Parameters
    ----------
    rows : ndarray of shape (n_rows, n_columns), float64
        Finite numbers.
    n_seen : int, default=2000
        Rows that a query sees, at least: benchmarks/cells.py tells how much farther away than the
        true neighbours are those that are found.
    n_jobs : int, default=1
        Threads. What is found does not depend on them.

    Examples
    --------
    >>> import numpy as np
    >>> rows = np.random.default_rng(0).random((10_000, 3))
    >>> search = CellSearch(rows)
    >>> search.nearest(rows[:2] + 1e-6, 1).ravel()
    array([0, 1])
    >>> (search.nearest_others(1).ravel() == np.arange(10_000)).any()
    np.False_
    """

    def __init__(self, rows: Floats, n_seen: int = 2000, n_jobs: int = 1) -> None:
        self.n_seen, self.n_jobs = min(n_seen, len(rows)), n_jobs
        # Equal rows would be equal centres, of which the first has all rows.
        distinct = np.unique(rows, axis=0)
        rng = np.random.default_rng(0)
        n_cells = min(int(np.sqrt(len(rows))), len(distinct))
        self.centers = distinct[rng.choice(len(distinct), n_cells, replace=False)]
        owner = self._assign(rows)
        for _ in range(_ROUNDS):
            sizes = np.maximum(np.bincount(owner, minlength=n_cells), 1)
            sums = [np.bincount(owner, column, minlength=n_cells) for column in rows.T]
            self.centers = np.stack(sums, axis=1) / sizes[:, None]
            owner = self._assign(rows)
        # Rows of a cell side by side.
        self.places = np.argsort(owner, kind="stable")
        self.rows = rows[self.places]
        self.squares = np.einsum("ij,ij->i", self.rows, self.rows)
        self.sizes = np.bincount(owner, minlength=n_cells)
        self.starts = np.cumsum(self.sizes) - self.sizes

    def nearest(self, queries: Floats, k: int) -> NDArray[np.intp]:
        """Find rows near to each query.

        Parameters
        ----------
        queries : ndarray of shape (n_queries, n_columns), float64
            Finite numbers.
        k : int
            How many for each, at most as many as there are rows.

        Returns
        -------
        ndarray of shape (n_queries, k)
            Their places, in no order.
        """
        return self._search(queries, k, None)

    def nearest_others(self, k: int) -> NDArray[np.intp]:
        """Find, for each of the rows themselves, others near to it.

        Parameters
        ----------
        k : int
            How many for each, less than there are rows.

        Returns
        -------
        ndarray of shape (n_rows, k)
            Their places, in no order.
        """
        found = np.empty((len(self.rows), k), dtype=np.intp)
        found[self.places] = self._search(self.rows, k, np.arange(len(self.rows)))
        return found

    def _assign(self, rows: Floats) -> NDArray[np.intp]:
        nearest = [self._away(rows[part]).argmin(axis=1) for part in _blocks(len(rows))]
        return np.concatenate(nearest)

    def _away(self, queries: Floats) -> Floats:
        # By plain differences, for the last digits of a product hang on how many queries there are.
        return cdist(queries, self.centers, "sqeuclidean")

    def _search(self, queries: Floats, k: int, own: NDArray[np.intp] | None) -> NDArray[np.intp]:
        found = np.empty((len(queries), k), dtype=np.intp)

        def work(part: slice) -> None:
            mine = None if own is None else own[part]
            found[part] = self.places[self._search_block(queries[part], k, mine)]

        with one_blas_thread, ThreadPoolExecutor(self.n_jobs) as pool:
            list(pool.map(work, _blocks(len(queries))))
        return found

    def _search_block(
        self, queries: Floats, k: int, own: NDArray[np.intp] | None
    ) -> NDArray[np.intp]:
        """Find rows near to some queries, by their places among the sorted rows."""
        least = k + (own is not None)
        query, cell, before = self._choose_cells(queries, max(self.n_seen, least))
        first = before < max(least, _FIRST)
        found = self._visit(queries, query[first], cell[first], own, k, None)
        # Few rows of the other cells are nearer than the k-th of the first.
        limit = _lowest(*found, k)[1].reshape(-1, k)[:, -1]
        more = self._visit(queries, query[~first], cell[~first], own, k, limit)
        asked, away, near = (np.concatenate(both) for both in zip(found, more, strict=True))
        return _lowest(asked, away, near, k)[2].reshape(-1, k)

    def _visit(
        self,
        queries: Floats,
        query: NDArray[np.intp],
        cell: NDArray[np.intp],
        own: NDArray[np.intp] | None,
        k: int,
        limit: Floats | None,
    ) -> tuple[NDArray[np.intp], Floats, NDArray[np.intp]]:
        """Measure distances in pairs of queries and cells; keep k a pair, but none beyond a limit.

        Returns queries, distances and places of rows. Distances are squared, less the square of the
        query, which is the same for all rows.
        """
        asked, away, near = [np.empty(0, dtype=np.intp)], [np.empty(0)], [np.empty(0, np.intp)]
        order = np.argsort(cell, kind="stable")
        ends = np.searchsorted(cell[order], np.arange(len(self.sizes) + 1))
        for number in np.flatnonzero(self.sizes):
            first, size = self.starts[number], self.sizes[number]
            asking = query[order[ends[number] : ends[number + 1]]]
            step = max(1, _CELLS // size)
            for start in range(0, len(asking), step):
                some = asking[start : start + step]
                there = queries[some] @ self.rows[first : first + size].T
                there *= -2
                there += self.squares[first : first + size]
                if own is not None:
                    inside = np.flatnonzero((own[some] >= first) & (own[some] < first + size))
                    there[inside, own[some[inside]] - first] = np.inf
                n = min(k, size)
                if limit is not None:
                    below = there < limit[some, None]
                    # A limit that was found far away rules out nothing of a dense cell.
                    many = np.flatnonzero(below.sum(axis=1) > n)
                    if len(many):
                        beyond = np.argpartition(there[many], n - 1, axis=1)[:, n:]
                        below[many[:, None], beyond] = False
                    who, what = np.divmod(np.flatnonzero(below), size)
                else:
                    who = np.repeat(np.arange(len(some)), n)
                    what = np.argpartition(there, n - 1, axis=1)[:, :n].ravel()
                asked.append(some[who])
                away.append(there[who, what])
                near.append(what + first)
        return np.concatenate(asked), np.concatenate(away), np.concatenate(near)

    def _choose_cells(
        self, queries: Floats, n_seen: int
    ) -> tuple[NDArray[np.intp], NDArray[np.intp], NDArray[np.intp]]:
        """Pair queries with the cells nearest to them that hold so many rows together.

        Returns queries, cells, and how many rows the query's nearer cells hold.
        """
        order = np.argsort(self._away(queries), axis=1, kind="stable")
        before = np.cumsum(self.sizes[order], axis=1) - self.sizes[order]
        query, rank = np.nonzero(before < n_seen)
        return query, order[query, rank], before[query, rank]


def _lowest(
    query: NDArray[np.intp], away: Floats, near: NDArray[np.intp], k: int
) -> tuple[NDArray[np.intp], Floats, NDArray[np.intp]]:
    """Keep the k lowest of each query, all of which have as many, in the queries' order."""
    order = np.argsort(away)
    # Numbers of two bytes are sorted by their digits.
    order = order[np.argsort(query[order].astype(np.uint16), kind="stable")]
    starts = np.flatnonzero(np.diff(query[order], prepend=-1))
    kept = order[(starts[:, None] + np.arange(k)).ravel()]
    return query[kept], away[kept], near[kept]


def _blocks(n: int) -> list[slice]:
    return [slice(start, start + _QUERIES) for start in range(0, n, _QUERIES)]
