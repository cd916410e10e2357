"""NPOS as a sampler: Gaussian candidates around boundary rows."""

from numbers import Integral
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.utils._param_validation import Interval

from nngmix.sampling.base import BaseSampler, Floats
from nngmix.sampling.mixing import SIGMA, add_noise
from nngmix.sampling.pool import Needs, Pool


class NPOS(BaseSampler):
    r"""Step out from the boundary of the unlabelled rows.

    Boundary rows are the unlabelled rows with the largest distance to their k-th nearest neighbour
    (as in NPOS's own code, a row is its own first neighbour).
    Around a random one, Gaussian candidates are drawn, and the few that are farthest from the
    unlabelled rows (by the same k-th distance) become pseudo-anomalies. Distances are between rows
    scaled to unit length. The labelled anomalies only say how many rows to generate.

    Parameters
    ----------
    multiplier : int, default=10
        Pseudo-anomalies for each labelled anomaly (the paper's M), at least 1.
    n_neighbors : int, default=300
        The k of the k-th nearest neighbour, at least 1; cut to how many rows there are.
    n_boundary : int, default=200
        Boundary rows, at least 1; cut to how many rows there are.
    n_candidates : int, default=1000
        Candidates drawn around a boundary row each time, at least 1.
    n_kept : int, default=2
        The farthest candidates that are kept of these, at least 1.
    sigma : float, default=0.1
        Standard deviation of the candidates around their boundary row, in scaled units.
    sampling_strategy : float, str, dict, callable or None, default=None
        None: ``multiplier`` counts, and y is 1 for a labelled anomaly and 0 elsewhere. Else as in
        imbalanced-learn: which classes to fill up, and how far; each in turn is taken for the
        anomalies, and all other rows for the unlabelled ones.
    scaling : "minmax", None or fitted scaler, default="minmax"
        What the candidates' noise and all distances are measured in. "minmax": each column's range
        counts as 1, as if the table had gone through a MinMaxScaler; a constant column stays
        constant. None: the columns are scaled already. Or a fitted scikit-learn scaler that is
        linear by column. Rows always come back in the units that came in.
    categorical_features : "dtype", "infer" or list of str or int, default="dtype"
        Columns that hold categories. "dtype": those whose type says so (pandas category, polars
        Categorical and Enum, Arrow dictionary). "infer": those and columns of text. Or a list, by
        name or position. A generated row keeps
        its boundary row's categories and gaps; distances leave them out.
    random_state : int, RandomState instance or None, default=None
        An int fixes every generated row.
    n_jobs : int or None, default=-1
        Threads; -1 means all cores, None means 1. The rows do not depend on it.

    Attributes
    ----------
    pool_ : Pool
        Unlabelled rows, and in ``extra`` the boundary rows among them.
    sampling_strategy_ : dict
        How many rows ``fit_resample`` generates of each class.
    n_features_in_ : int
        Columns of X.
    feature_names_in_ : ndarray of shape (n_features_in_,)
        Column names of X, where it has them and all are strings.

    See Also
    --------
    NNGMix : The paper's own sampler.
    Duplicate : The control that any gain must be held against.

    Notes
    -----
    NPOS [2]_ was made for out-of-distribution training; as a sampler it is the paper's comparison.
    Each k-th distance is measured to all unlabelled rows, or to an even draw of 10 000 of the
    distinct ones where there are more, so each pair of generated rows costs ``n_candidates`` times
    that many distances: this is by far the slowest sampler.

    Missing values count as the column's 0 in distances. Whole-number columns are rounded to the
    nearest whole number, booleans to the nearer value.

    References
    ----------
    .. [1] H. Dong, G. Frusque, Y. Zhao, E. Chatzi, O. Fink, "NNG-Mix: Improving Semi-supervised
       Anomaly Detection with Pseudo-anomaly Generation", Section IV-A.
    .. [2] L. Tao, X. Du, J. Zhu, Y. Li, "Non-parametric Outlier Synthesis", ICLR 2023.

    Examples
    --------
    >>> import numpy as np
    >>> from nngmix import NPOS
    >>> rng = np.random.default_rng(0)
    >>> X = np.vstack([rng.normal(size=(100, 3)), rng.normal(4, 1, size=(5, 3))])
    >>> y = np.repeat([0, 1], [100, 5])
    >>> X_new, y_new = NPOS(n_candidates=50, random_state=0).fit_resample(X, y)
    >>> X_new.shape, int(y_new.sum())
    ((155, 3), 55)
    """

    _parameter_constraints: dict[str, Any] = {
        **BaseSampler._parameter_constraints,
        "n_neighbors": [Interval(Integral, 1, None, closed="left")],
        "n_boundary": [Interval(Integral, 1, None, closed="left")],
        "n_candidates": [Interval(Integral, 1, None, closed="left")],
        "n_kept": [Interval(Integral, 1, None, closed="left")],
        "sigma": SIGMA,
    }

    def __init__(
        self,
        *,
        multiplier: int = 10,
        n_neighbors: int = 300,
        n_boundary: int = 200,
        n_candidates: int = 1000,
        n_kept: int = 2,
        sigma: float = 0.1,
        sampling_strategy: Any = None,
        scaling: Any = "minmax",
        categorical_features: Any = "dtype",
        random_state: Any = None,
        n_jobs: int | None = -1,
    ) -> None:
        self.multiplier = multiplier
        self.n_neighbors = n_neighbors
        self.n_boundary = n_boundary
        self.n_candidates = n_candidates
        self.n_kept = n_kept
        self.sigma = sigma
        self.sampling_strategy = sampling_strategy
        self.scaling = scaling
        self.categorical_features = categorical_features
        self.random_state = random_state
        self.n_jobs = n_jobs

    def _needs(self) -> Needs:
        return Needs(drawn=True)

    def _prepare(self, pool: Pool) -> tuple[Floats, Floats, NDArray[np.int64]]:
        """Find the boundary rows; also keep the rows at unit length, and how often they occur."""
        unit = _unit_length(pool.drawn, pool)
        # NPOS's own code searches the rows among themselves: a row is its own first neighbour.
        distance = _kth_distance(unit, unit, pool.drawn_times, self.n_neighbors)
        order = np.lexsort((np.arange(len(distance)), -distance))
        # Copies of a row stand on the boundary as often as they occur.
        boundary = np.repeat(order, pool.drawn_times[order])[: self.n_boundary]
        return pool.drawn[boundary], unit, pool.drawn_times

    def _block_rows(self) -> int:
        # Whole groups, and few of them: each takes long, and a thread or a slice needs some only.
        kept = min(self.n_kept, self.n_candidates)
        return kept * max(1, 64 // kept)

    def _transform(
        self, pool: Pool, anomaly: NDArray[np.intp], rows: Floats, rng: np.random.Generator
    ) -> None:
        boundary, unit, times = pool.extra
        kept = min(self.n_kept, self.n_candidates)
        for start in range(0, len(rows), kept):
            centre = boundary[rng.integers(len(boundary))]
            candidates = np.repeat(centre[None], self.n_candidates, axis=0)
            add_noise(candidates, self.sigma, pool, rng)
            distance = _kth_distance(_unit_length(candidates, pool), unit, times, self.n_neighbors)
            farthest = np.argsort(-distance, kind="stable")[:kept]
            part = rows[start : start + kept]
            part[:] = candidates[farthest[: len(part)]]


def _unit_length(rows: Floats, pool: Pool) -> Floats:
    """Numeric columns in scaled units, each row at length 1 (a row of zeros stays)."""
    scale = pool.scale
    numeric = ~scale.categorical
    scaled = (rows[:, numeric] - scale.offset[numeric]) / scale.unit[numeric]
    scaled = np.nan_to_num(scaled.astype(rows.dtype, copy=False))
    length = np.sqrt(np.einsum("ij,ij->i", scaled, scaled))[:, None]
    return np.divide(scaled, length, out=scaled, where=length > 0)


def _kth_distance(
    queries: Floats, rows: Floats, times: NDArray[np.int64], k: int
) -> NDArray[np.float64]:
    """Squared distances to the k-th nearest row; a row counts as often as it occurs."""
    k = int(min(k, times.sum()))
    norms = np.einsum("ij,ij->i", rows, rows)
    out = np.empty(len(queries))
    step = max(1, (1 << 21) // len(rows))
    single = (times == 1).all()
    for start in range(0, len(queries), step):
        q = queries[start : start + step]
        distance = norms - 2 * (q @ rows.T)
        distance += np.einsum("ij,ij->i", q, q)[:, None]
        if single:
            distance.partition(k - 1, axis=1)
            out[start : start + step] = distance[:, k - 1]
        else:
            order = np.argsort(distance, axis=1, kind="stable")
            place = (np.cumsum(times[order], axis=1) < k).sum(axis=1)
            nearest = np.take_along_axis(order, place[:, None], axis=1)
            out[start : start + step] = np.take_along_axis(distance, nearest, axis=1)[:, 0]
    return out
