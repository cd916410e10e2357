"""Exact nearest neighbours: a blocked matrix product finds candidates, exact distances decide.

A few queries against many rows is the shape of the problem, so the cost is one matrix product.
The product is subject to rounding (and may be in single precision), so it only nominates: every
row whose distance could, within the rounding bound, be among the k smallest is measured again by
plain differences in double precision. Ties are broken by the content of the rows, never by their
place, so that the answer does not depend on how the rows were cut or ordered.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.floating]

# Distances held at a time: (queries of a chunk) x (rows of a block). 4 MB in double precision
# stays near the cache and still gives the matrix product blocks worth its while.
_CELLS = 1 << 19
_QUERIES = 256


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
        different keys.

    Examples
    --------
    >>> import numpy as np
    >>> keys = row_keys(np.array([[1.0, 2.0], [2.0, 1.0], [1.0, 2.0]]))
    >>> bool(keys[0] == keys[2]), bool(keys[0] == keys[1])
    (True, False)
    """
    # Adding 0.0 turns -0.0 into 0.0: the two are equal, so their bits must be.
    bits = np.ascontiguousarray(rows + 0.0, dtype=np.float64).view(np.uint64)
    weights = np.random.Generator(np.random.PCG64(0)).integers(
        0, 2**63, size=rows.shape[1], dtype=np.uint64
    )
    # Multiply and fold, so that high bits (a float's exponent) reach the low ones and back.
    mixed = (bits ^ (bits >> np.uint64(32))) * (weights * np.uint64(2) + np.uint64(1))
    mixed ^= mixed >> np.uint64(29)
    key = mixed.sum(axis=1, dtype=np.uint64)
    key *= np.uint64(0x9E3779B97F4A7C15)
    return key ^ (key >> np.uint64(32))


def _measure(queries: Floats, rows: Floats, scale: NDArray[np.float64]) -> NDArray[np.float64]:
    """Squared distances of paired rows by plain differences, in double precision."""
    out = np.empty(len(queries))
    step = max(1, (1 << 20) // queries.shape[1])
    for start in range(0, len(out), step):
        part = slice(start, start + step)
        difference = queries[part].astype(np.float64)
        difference -= rows[part]
        difference /= scale
        out[part] = np.einsum("ij,ij->i", difference, difference)
    return out


def _first_k(
    query: NDArray[np.intp],
    distance: NDArray[np.float64],
    key: NDArray[np.uint64],
    index: NDArray[np.int64],
    n_queries: int,
    k: int,
) -> Nearest:
    """Keep each query's k smallest by (distance, key); every query must have k candidates."""
    order = np.lexsort((key, distance, query))
    starts = np.searchsorted(query[order], np.arange(n_queries))
    take = order[starts[:, None] + np.arange(k)]
    return Nearest(distance[take], key[take], index[take])


def k_nearest(
    queries: Floats, rows: Floats, k: int, *, scale: NDArray[np.float64] | None = None
) -> Nearest:
    """Find the k rows nearest to each query, exactly.

    Parameters
    ----------
    queries : ndarray of shape (n_queries, n_features), float32 or float64
        Finite numbers.
    rows : ndarray of shape (n_rows, n_features), same dtype
        Finite numbers.
    k : int
        Neighbours a query; cut to ``n_rows``.
    scale : ndarray of shape (n_features,), default=None
        Positive length that counts as 1 in each column; None means 1 everywhere.

    Returns
    -------
    Nearest
        With ``min(k, n_rows)`` columns.

    Notes
    -----
    Memory beyond the input is a few megabytes, whatever the number of rows. Among rows at exactly
    the same distance those with the smaller :func:`row_keys` come first.

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
    length = np.ones(n_features) if scale is None else np.asarray(scale, dtype=np.float64)
    parts = [
        _chunk_nearest(queries[start : start + _QUERIES], rows, k, length)
        for start in range(0, n_queries, _QUERIES)
    ]
    return Nearest(
        np.concatenate([part.distance for part in parts]),
        np.concatenate([part.key for part in parts]),
        np.concatenate([part.index for part in parts]),
    )


def _chunk_nearest(queries: Floats, rows: Floats, k: int, scale: NDArray[np.float64]) -> Nearest:
    """Search all rows, a block at a time, for a chunk of queries."""
    n_queries, n_features = queries.shape
    work = np.result_type(queries.dtype, rows.dtype)
    # Only differences matter, so any origin will do. One near the queries keeps the numbers, and
    # with them the rounding errors of |r|^2 - 2 q.r, small even where a column is a time stamp.
    # A single subtraction and division of the given numbers have a relative error, which the
    # bound below can cover; subtracting twice would have an absolute one.
    origin = queries.mean(axis=0, dtype=np.float64).astype(work)
    unit = scale.astype(work)
    q = (queries - origin) / unit
    q_norm = np.einsum("ij,ij->i", q, q, dtype=np.float64)
    # |computed - true| <= slack * (|q|^2 + |r|^2): a dot product of n terms is off by at most
    # n eps |q||r|; the norms, the subtraction and the division add a few eps more.
    slack = 4.0 * (n_features + 16) * np.finfo(work).eps
    block_rows = max(k, _CELLS // n_queries)
    minus_two_q = -2.0 * q
    best: Nearest | None = None
    for start in range(0, len(rows), block_rows):
        block = rows[start : start + block_rows]
        r = (block - origin) / unit
        r_norm = np.einsum("ij,ij->i", r, r)
        # A lower bound of |q - r|^2 - (1 - slack) |q|^2.
        low = minus_two_q @ r.T
        low += r_norm * work.type(1.0 - slack)
        reach = None if best is None else best.distance[:, -1] - (1.0 - slack) * q_norm
        if reach is None:
            candidate, place = _nominate(low, k, queries, block, scale, q_norm, slack)
        else:
            # nextafter: the limit is rounded to the work type and must not be rounded down.
            limit = np.nextafter(reach.astype(work), work.type(np.inf))
            hit = low <= limit[:, None]
            if np.count_nonzero(hit) > 4 * n_queries * k and len(block) > k:
                candidate, place = _nominate(low, k, queries, block, scale, q_norm, slack, hit)
            else:
                candidate, place = np.nonzero(hit)
        distance = _measure(queries[candidate], block[place], scale)
        key = row_keys(block[place])
        index = (place + start).astype(np.int64)
        if best is not None:
            candidate = np.concatenate([np.repeat(np.arange(n_queries), k), candidate])
            distance = np.concatenate([best.distance.ravel(), distance])
            key = np.concatenate([best.key.ravel(), key])
            index = np.concatenate([best.index.ravel(), index])
        best = _first_k(candidate, distance, key, index, n_queries, k)
    assert best is not None  # k_nearest is called with at least one row
    return best


def _nominate(
    low: Floats,
    k: int,
    queries: Floats,
    block: Floats,
    scale: NDArray[np.float64],
    q_norm: NDArray[np.float64],
    slack: float,
    allowed: NDArray[np.bool_] | None = None,
) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Candidates of one block on its own merits: all that its k-th best row cannot rule out."""
    n_queries = len(low)
    some = np.argpartition(low, min(k, low.shape[1]) - 1, axis=1)[:, :k]
    measured = _measure(np.repeat(queries, some.shape[1], axis=0), block[some.ravel()], scale)
    reach = measured.reshape(n_queries, -1).max(axis=1) - (1.0 - slack) * q_norm
    limit = np.nextafter(reach.astype(low.dtype), low.dtype.type(np.inf))
    hit = low <= limit[:, None]
    # The rows that set the limit are candidates whatever rounding says, so k are always there.
    np.put_along_axis(hit, some, True, axis=1)
    if allowed is not None:
        hit &= allowed
    candidate, place = np.nonzero(hit)
    return candidate, place


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
