"""Products of whole numbers from -127 to 127, by torch: a quarter of the time, where it pays.

Rows and queries are rounded to a grid of 255 places a column. Whole numbers add up exactly, so
that the product tells the distance of the rounded vectors to the last digit, and the triangle
inequality what that says of the true one:

    |q - r| >= |rounded q - rounded r| - |q - rounded q| - |r - rounded r|

The grid spans the queries, and as far around them as neighbours may be. A row beyond it is moved to
its edge, which brings it nearer to every query: it may become a candidate that it need not be, and
no candidate is lost.
"""

from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nngmix.neighbors.bfloat16 import is_quicker
from nngmix.neighbors.exact import (
    Candidates,
    Floats,
    Metric,
    PlainProduct,
    Scratch,
    places_of,
)

try:
    import torch
except ImportError:
    raise ImportError("products in int8 need torch: pip install 'nngmix[deep]'") from None

_MOST = 127
# Rounding moves a number by half a place, and a little more where single precision rounded before.
_HALF = 0.501
# A grid whose rounding blurs the distances to beat by more than this share nominates too many.
_BLUR = 0.25
# Squares of so many numbers up to 127 add up exactly in single precision.
_MOST_FEATURES = 2**24 // _MOST**2


class ByteProduct(PlainProduct):
    """Inner products of rounded vectors, and what they must exceed.

    Everything in places of the grid: a row is a candidate of a query if

        |q|^2 - 2 q.r + |r|^2 <= limit,  that is  q.r + (limit - |q|^2) / 2 >= |r|^2 / 2

    The second term is part of the query's vector, in as many columns of 127 x up to 127 as it
    takes and one of the rest; the right side stays with the row. So the largest product of a row
    tells whether it is a candidate of any query.

    Attributes
    ----------
    bytes : torch.Tensor of shape (n_queries, width), int8
        The queries' side.
    """

    needs_limits = True

    def __init__(self, queries: Floats, metric: Metric, dtype: type[np.floating]) -> None:
        super().__init__(queries, metric, dtype)
        self.n_features = queries.shape[1]
        self.bytes: torch.Tensor | None = None

    def set_limits(self, query: Any, limit: NDArray[np.float64]) -> None:
        """Set the distance to beat for some queries. The first time, all: they make the grid."""
        if self.bytes is None:
            self._make_grid(limit)
        if self.fits:
            self._write(query, self._constant(query, limit))

    def _make_grid(self, limit: NDArray[np.float64]) -> None:
        q = self.vectors[:, : self.n_features].astype(np.float64) / -2.0
        typical = float(np.sqrt(np.median(limit)))
        extent = max(float(np.abs(q).max()), typical)
        self.place = extent / _MOST
        self.row_off = _HALF * np.sqrt(self.n_features)
        with np.errstate(over="ignore", divide="ignore"):
            to_place = self.per_unit.astype(np.float64) / self.place
        self.fits = bool(
            extent > 0
            and to_place.max() < self.most
            and 2 * self.row_off * self.place < _BLUR * typical
            and self.n_features < _MOST_FEATURES
        )
        if not self.fits:
            return
        self.to_place = to_place.astype(self.origin.dtype)
        q /= self.place
        rounded = np.rint(q)
        # That the centred queries were rounded to single precision first is felt in the 6th digit.
        self.off = np.sqrt(np.square(q - rounded).sum(axis=1)) + 1e-3 * self.row_off
        self.squares = np.square(rounded).sum(axis=1)
        # Limits only ever shrink.
        largest = max(float(self.squares.max()) / 2, self._constant(slice(None), limit).max())
        coarse = -(-int(largest) // _MOST**2)
        self.fits = coarse <= self.n_features
        if not self.fits:
            return
        # In whole words of four, which processors multiply at once.
        fine = -(self.n_features + coarse) % 4 or 4
        self.places = np.repeat(np.array([_MOST, 1], dtype=np.int8), [coarse, fine])
        self.bytes = torch.zeros((len(q), self.n_features + coarse + fine), dtype=torch.int8)
        self.bytes[:, : self.n_features] = torch.from_numpy(rounded)

    def _constant(self, query: Any, limit: NDArray[np.float64]) -> NDArray[np.int64]:
        """Work out half of what the limits exceed the queries' squares by, rounded up."""
        reach = np.sqrt(limit) / self.place + self.off[query] + self.row_off
        whole = np.floor(reach * reach * (1 + 1e-9)) + 1
        return np.ceil((whole - self.squares[query]) / 2).astype(np.int64)

    def _write(self, query: Any, constant: NDArray[np.int64]) -> None:
        """Write numbers as multiples of 127 and a rest."""
        assert self.bytes is not None
        digits = np.zeros((len(constant), len(self.places)), dtype=np.int8)
        left = (constant + _MOST // 2) // _MOST
        rest = int(np.count_nonzero(self.places == _MOST))
        digits[:, rest] = constant - left * _MOST
        for column in range(rest):
            digits[:, column] = here = np.clip(left, -_MOST, _MOST)
            left = left - here
        place = query if isinstance(query, slice) else torch.from_numpy(query)
        # Another thread may be in the middle of a product, and must not see half of this.
        changed = self.bytes.clone()
        changed[place, self.n_features :] = torch.from_numpy(digits)
        self.bytes = changed

    def row_vectors(self, block: Floats, scratch: Scratch) -> Any:
        """Make a block of rows ready; None if it has gaps."""
        n_features = block.shape[1]
        r = scratch.rows("grid", block, n_features, self.origin.dtype)
        np.subtract(block, self.origin, out=r)
        with np.errstate(over="ignore", invalid="ignore"):
            r *= self.to_place
            np.clip(r, -_MOST, _MOST, out=r)
        np.rint(r, out=r)
        squares = np.einsum("ij,ij->i", r, r)
        if not squares.max() < np.inf:  # not so if it is NaN
            return None
        vectors = scratch.rows("bytes", block, n_features + len(self.places), np.int8)
        np.copyto(vectors[:, :n_features], r, casting="unsafe")
        vectors[:, n_features:] = self.places
        return torch.from_numpy(vectors), squares.astype(np.int32) >> 1

    def candidates(self, vectors: Any, first: int, last: int, scratch: Scratch) -> Candidates:
        """Find the candidates among a block's rows, for some queries."""
        assert self.bytes is not None
        rows, beat = vectors
        tile = scratch.array("places", (len(beat), last - first), np.int32)
        out = torch.from_numpy(tile)
        torch._int_mm(rows, self.bytes[first:last].T, out=out)
        row = np.flatnonzero(out.amax(dim=1).numpy() >= beat)
        hit = scratch.array("hit", (len(row), last - first), np.bool_)
        np.greater_equal(tile[row], beat[row, None], out=hit)
        some, query = np.divmod(places_of(hit), last - first)
        return row[some], query + first


@lru_cache(maxsize=1)
def pays() -> bool:
    """Measure, once in a process, whether this processor is quicker in whole numbers.

    torch does not promise this product to anybody: where it is missing or wrong it is not used.
    """
    rng = np.random.default_rng(0)
    rows, queries = (rng.integers(-_MOST, _MOST + 1, (n, 40), dtype=np.int8) for n in (1024, 512))
    a, b = torch.from_numpy(rows), torch.from_numpy(queries).T
    out = torch.zeros((1024, 512), dtype=torch.int32)
    try:
        quicker = is_quicker(lambda: torch._int_mm(a, b, out=out), 0.6)
    except (AttributeError, RuntimeError):
        return False
    return quicker and np.array_equal(out.numpy(), rows.astype(float) @ queries.astype(float).T)
