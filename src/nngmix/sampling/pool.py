"""The small pool that a sampler keeps instead of the data, and how it grows from pieces."""

from dataclasses import dataclass, field, replace
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from nngmix.neighbors import Metric, Nearest, k_nearest, merge_nearest, row_keys
from nngmix.sampling.scaling import Scale

Floats = NDArray[np.floating]

#: Unlabelled rows kept, at most, for a method that draws from all of them.
MOST_DRAWN = 10_000


@dataclass(frozen=True)
class Needs:
    """What a method wants of its pool.

    Attributes
    ----------
    neighbors : int
        The paper's k: near rows for each anomaly; 0 for none.
    drawn : bool
        Whether the method draws from all unlabelled rows, near or not.
    engine : object or None
        An estimator with ``kneighbors`` that does the searching; None for the built-in search.
    n_jobs : int
        Threads for the search.
    device : str or None
        Where torch takes the search's products; None for here.
    """

    neighbors: int = 0
    drawn: bool = False
    engine: Any = None
    n_jobs: int = 1
    device: str | None = None


@dataclass(frozen=True)
class Pool:
    """All that generation needs: the labelled anomalies and the rows near them.

    The order is given by the rows' content, so that equal data give equal pools however they came.

    Attributes
    ----------
    anomalies : ndarray of shape (n_anomalies, n_features)
        The labelled anomalies, in the units that came in.
    unlabelled : ndarray of shape (n_kept, n_features)
        Every unlabelled row that is near some anomaly, once.
    near_anomalies : ndarray of shape (n_anomalies, n_near), int64
        For each anomaly, the places in ``anomalies`` of its nearest others, nearest first. An
        anomaly that is alone is its own.
    near_unlabelled : ndarray of shape (n_anomalies, n_near), int64
        For each anomaly, the places in ``unlabelled`` of its nearest, nearest first.
    drawn : ndarray of shape (n_drawn, n_features)
        For methods that draw from all unlabelled rows: all of them, each distinct row once, or an
        even draw of 10 000 of them.
    drawn_times : ndarray of shape (n_drawn,), int64
        How often each of these occurs.
    n_unlabelled : int
        Unlabelled rows in all.
    scale : Scale
        The units in which nearness is measured and noise is drawn.
    gaps : bool
        Whether some value is missing.
    extra : object
        What a method worked out from the rest.
    """

    anomalies: Floats
    unlabelled: Floats
    near_anomalies: NDArray[np.int64]
    near_unlabelled: NDArray[np.int64]
    drawn: Floats
    drawn_times: NDArray[np.int64]
    n_unlabelled: int
    scale: Scale
    gaps: bool
    extra: Any = None


@dataclass
class Draw:
    """An even draw of distinct rows, which pieces can be added to in any order.

    Rows are drawn by their keys: the smallest are kept. Keys are as good as random and belong to
    the content, so the draw does not depend on how the rows came.
    """

    rows: Floats
    keys: NDArray[np.uint64]
    times: NDArray[np.int64]

    @classmethod
    def of(
        cls, rows: Floats, skip: NDArray[np.bool_] | None = None, so_far: "Draw | None" = None
    ) -> Self:
        """Draw from one piece, passing over some rows, and those that can't be drawn any more."""
        keys = row_keys(rows)
        possible = np.ones(len(rows), dtype=bool) if skip is None else ~skip
        if so_far is not None and len(so_far.keys) == MOST_DRAWN:
            possible &= keys <= so_far.keys[-1]
        return cls(rows[possible], keys[possible], np.ones(possible.sum(), dtype=np.int64))._trim()

    def join(self, other: "Draw") -> "Draw":
        """Draw from two pieces together."""
        return type(self)(
            np.concatenate([self.rows, other.rows]),
            np.concatenate([self.keys, other.keys]),
            np.concatenate([self.times, other.times]),
        )._trim()

    def _trim(self) -> Self:
        keys, first, place = np.unique(self.keys, return_index=True, return_inverse=True)
        times = np.bincount(place, weights=self.times, minlength=len(keys)).astype(np.int64)
        kept = slice(0, MOST_DRAWN)
        return type(self)(self.rows[first[kept]], keys[kept], times[kept])


@dataclass
class PoolBuilder:
    """Rows in, in any number of pieces and any order; the same pool out.

    Either the anomalies are known from the start: then a piece is searched when it comes, and what
    is not near is forgotten. Or they come with the pieces: then all rows are kept until the pool
    is asked for, since a later anomaly may be near an earlier row.

    Attributes
    ----------
    needs : Needs
        What the method wants.
    scale : Scale
        The units of distances.
    anomalies : ndarray of shape (n_anomalies, n_features) or None
        In the order of their keys, once they are known.
    """

    needs: Needs
    scale: Scale
    anomalies: Floats | None = None
    n_unlabelled: int = 0
    nearest: Nearest | None = None
    near_rows: Floats | None = None
    draw: Draw | None = None
    pieces: list[tuple[Floats, Floats]] = field(default_factory=list)

    def know(self, anomalies: Floats) -> Self:
        """Fix the anomalies, all there will be."""
        self.anomalies = anomalies[np.argsort(row_keys(anomalies), kind="stable")]
        return self

    def add(self, rows: Floats, anomaly: NDArray[np.bool_]) -> None:
        """Take in a piece; ``anomaly`` tells which of its rows are labelled."""
        if self.anomalies is None:
            self.pieces.append((rows[anomaly], rows[~anomaly]))
            return
        some = bool(anomaly.any())
        if some:
            strange = ~np.isin(row_keys(rows[anomaly]), row_keys(self.anomalies))
            if strange.any():
                raise ValueError(
                    f"y marks {strange.sum()} labelled anomalies that were not known when the "
                    "pool was begun: earlier rows near them are forgotten. Pass all labelled "
                    "anomalies to the first partial_fit (anomalies=...), or fit everything again."
                )
        n_unlabelled = int(len(rows) - np.count_nonzero(anomaly))
        if n_unlabelled:
            self._search(rows, anomaly if some else None, n_unlabelled)

    def _search(self, rows: Floats, skip: NDArray[np.bool_] | None, n_unlabelled: int) -> None:
        assert self.anomalies is not None
        # The work first, then the changes: an interruption in between leaves the state as it was.
        draw, nearest, near_rows = self.draw, self.nearest, self.near_rows
        if self.needs.drawn:
            new = Draw.of(rows, skip, draw)
            draw = new if draw is None else draw.join(new)
        if self.needs.neighbors and self.needs.engine is None:
            nearest = k_nearest(
                self.anomalies,
                rows,
                self.needs.neighbors,
                metric=self._metric(),
                n_jobs=self.needs.n_jobs,
                skip=skip,
                known=nearest,
                device=self.needs.device,
            )
            near_rows = _gather(nearest, rows, near_rows)
        elif self.needs.neighbors:
            unlabelled = rows if skip is None else rows[~skip]
            found = self._nearest(self.anomalies, unlabelled)
            nearest, near_rows = self._merge(found, unlabelled[found.index])
        self.n_unlabelled += n_unlabelled
        self.draw, self.nearest, self.near_rows = draw, nearest, near_rows

    def _merge(self, found: Nearest, rows: Floats) -> tuple[Nearest, Floats]:
        """Join neighbours to those so far; rows: (n_anomalies, k, n_features)."""
        if self.nearest is None or self.near_rows is None:
            return found, rows
        both = np.concatenate([self.near_rows, rows], axis=1)
        merged, part = merge_nearest(
            [_by_place(self.nearest), _by_place(found)], self.needs.neighbors
        )
        place = merged.index + np.where(part == 1, self.near_rows.shape[1], 0)
        return merged, np.take_along_axis(both, place[:, :, None], axis=1)

    def _nearest(self, queries: Floats, rows: Floats, k: int | None = None) -> Nearest:
        k = self.needs.neighbors if k is None else k
        metric = self._metric()
        if self.needs.engine is None:
            return k_nearest(queries, rows, k, metric=metric, n_jobs=self.needs.n_jobs)
        return _engine_nearest(self.needs.engine, queries, rows, k, metric)

    def _metric(self) -> Metric:
        assert self.anomalies is not None
        categorical = self.scale.categorical
        mismatch = _mismatch(self.anomalies, self.scale) if categorical.any() else 1.0
        return Metric(self.scale.unit, categorical, mismatch)

    def join(self, other: "PoolBuilder") -> "PoolBuilder":
        """Put two parts together."""
        both = PoolBuilder(self.needs, self.scale)
        if self.anomalies is None and other.anomalies is None:
            both.pieces = self.pieces + other.pieces
            return both
        mine, theirs = self.anomalies, other.anomalies
        if mine is None or theirs is None or not np.array_equal(mine, theirs, equal_nan=True):
            raise ValueError(
                "these samplers know different labelled anomalies, and have forgotten rows that "
                "may be near the other's. Fit each part with partial_fit(..., anomalies=ALL)."
            )
        both.anomalies = mine
        for part in (self, other):
            both.n_unlabelled += part.n_unlabelled
            if part.draw is not None:
                both.draw = part.draw if both.draw is None else both.draw.join(part.draw)
            if part.nearest is not None and part.near_rows is not None:
                both.nearest, both.near_rows = both._merge(part.nearest, part.near_rows)
        return both

    def build(self) -> Pool:
        """Make the pool of all rows so far."""
        if self.anomalies is None:
            anomalies, unlabelled = (
                np.concatenate(part) for part in zip(*self.pieces, strict=True)
            )
            _check_some(anomalies, len(unlabelled))
            whole = PoolBuilder(self.needs, self.scale).know(anomalies)
            whole.add(unlabelled, np.zeros(len(unlabelled), dtype=bool))
            return whole.build()
        anomalies = self.anomalies
        _check_some(anomalies, self.n_unlabelled)
        width = anomalies.shape[1]
        nothing = np.empty((len(anomalies), 0), dtype=np.int64)
        near_anomalies: NDArray[np.int64] = nothing
        near_unlabelled: NDArray[np.int64] = nothing
        kept = np.empty((0, width), dtype=anomalies.dtype)
        if self.nearest is not None and self.near_rows is not None:
            near_anomalies = self._near_others()
            # Equal rows have equal keys: one of each is kept, in the order of the keys.
            _, first, place = np.unique(self.nearest.key, return_index=True, return_inverse=True)
            kept = self.near_rows.reshape(-1, width)[first]
            near_unlabelled = np.reshape(place, self.nearest.key.shape).astype(np.int64)
        draw = Draw.of(kept[:0]) if self.draw is None else self.draw
        return Pool(
            anomalies,
            kept,
            near_anomalies,
            near_unlabelled,
            draw.rows,
            draw.times,
            self.n_unlabelled,
            self.scale,
            any(bool(np.isnan(rows).any()) for rows in (anomalies, kept, draw.rows)),
        )

    def _near_others(self) -> NDArray[np.int64]:
        """Each anomaly's nearest others: the k nearest counting itself, and then without itself."""
        anomalies = self.anomalies
        assert anomalies is not None
        n = len(anomalies)
        if n == 1:
            return np.zeros((1, 1), dtype=np.int64)
        # At least two, so that something is left when the row itself is taken out.
        k = min(max(self.needs.neighbors, 2), n)
        index = self._nearest(anomalies, anomalies, k).index
        itself = index == np.arange(n)[:, None]
        # Among many exact copies the row may miss itself: then the last goes.
        itself[~itself.any(axis=1), -1] = True
        return index[~itself].reshape(n, -1)


def _check_some(anomalies: Floats, n_unlabelled: int) -> None:
    if len(anomalies) == 0:
        raise ValueError("no labelled anomaly (class 1) so far: nothing to generate from.")
    if n_unlabelled == 0:
        raise ValueError("no unlabelled row (class 0) so far: at least one is needed.")


def _gather(found: Nearest, rows: Floats, known: Floats | None) -> Floats:
    """Look up found neighbours, in this piece or among those known before."""
    new = found.index >= 0
    if known is None or new.all():
        return rows[found.index]
    out = np.empty((*found.index.shape, rows.shape[1]), dtype=rows.dtype)
    out[new] = rows[found.index[new]]
    out[~new] = known[np.nonzero(~new)[0], -1 - found.index[~new]]
    return out


def _by_place(nearest: Nearest) -> Nearest:
    """Let neighbours point to their own places: their rows are kept beside them."""
    here = np.arange(nearest.index.shape[1])
    return replace(nearest, index=np.broadcast_to(here, nearest.index.shape))


def _mismatch(anomalies: Floats, scale: Scale) -> float:
    """Squared distance of two categories: the median variance of the scaled numeric columns.

    As in SMOTE-NC: a category counts as much as a typical difference in a numeric column among
    the anomalies. With a single anomaly, or none but constant columns, it counts as a whole range.
    """
    numeric = ~scale.categorical
    if len(anomalies) < 2 or not numeric.any():
        return 1.0
    scaled = (anomalies[:, numeric] - scale.offset[numeric]) / scale.unit[numeric]
    present = ~np.isnan(scaled)
    n = np.maximum(present.sum(axis=0), 1)
    filled = np.where(present, scaled, 0.0)
    mean = filled.sum(axis=0) / n
    variance = (np.where(present, scaled - mean, 0.0) ** 2).sum(axis=0) / n
    median = float(np.median(variance))
    return median if median > 0 else 1.0


def _engine_nearest(engine: Any, queries: Floats, rows: Floats, k: int, metric: Metric) -> Nearest:
    """Let an estimator with ``kneighbors`` search, and measure what it found."""
    if metric.categorical.any() or np.isnan(rows).any() or np.isnan(queries).any():
        raise ValueError(
            "n_neighbors: an estimator searches numeric columns without missing values only; "
            "give a number of neighbours for this table."
        )
    from sklearn.base import clone

    # safe=False: an engine need not be scikit-learn's own kind, nor return itself from fit.
    found = clone(engine, safe=False)
    found.fit(rows / metric.scale)
    k = min(k, len(rows))
    scaled = queries / metric.scale
    index = np.asarray(found.kneighbors(scaled, n_neighbors=k, return_distance=False))
    index = index.astype(np.int64)
    distance = metric.measure(
        np.repeat(queries, index.shape[1], axis=0), rows[index.ravel()]
    ).reshape(index.shape)
    return Nearest(distance, row_keys(rows[index.ravel()]).reshape(index.shape), index)
