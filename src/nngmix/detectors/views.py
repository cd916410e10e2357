"""The views of :class:`AutoDetector`: ways to tell anomalies, each with honest training scores.

A view learns from the labelled anomalies and the unlabelled rows and scores any row. What it says
of a row that it learned from must not show that it did: an unlabelled row is scored as if it had
not been among the unlabelled rows, a labelled anomaly as if it had not been labelled. From such
scores of the labelled anomalies :class:`AutoDetector` reads how much each view is to be trusted.

Every view has

- ``learn(lesson)``, which returns its honest scores of the unlabelled rows, of shape
  (n_unlabelled,), and of the labelled anomalies, of shape (n_anomalies,), NaN where there was no
  other to learn from;
- ``score(table)``, which returns scores of any rows, of shape (n_rows,): the higher, the more
  anomalous, in units of its own;
- ``needs``, the names of the views that must have learned before.

Nothing of this is from the paper. Bags of trees and of support vector machines on positive and
unlabelled rows: Mordelet and Vert, "A bagging SVM to learn from positive and unlabeled examples",
Pattern Recognition Letters 37, 2014. Isolation: Liu, Ting and Zhou, "Isolation Forest", ICDM 2008.
"""

import warnings
from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal
from weakref import WeakKeyDictionary

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator
from sklearn.decomposition import PCA
from sklearn.ensemble import IsolationForest
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from sklearn.metrics.pairwise import rbf_kernel
from sklearn.neighbors import NearestNeighbors
from sklearn.svm import SVC

from nngmix.detectors.bagged_trees import BaggedTrees, Share
from nngmix.neighbors.cells import CellSearch

Floats = NDArray[np.float64]
Splitter = Literal["random", "best"]

# How many standard deviations a value may lie from the mean before distances see no more of it.
_FARTHEST = 8.0
# Unlabelled rows' values of a column that others are ranked among, at most.
_LEVELS = 1000
# Principal axes: no more than these, and none with a smaller share of the variance.
_AXES, _SHARE = 200, 1e-4
# Numbers that are held at a time where distances are worked out: they stay in the cache.
_CELLS = 1 << 16
# Unlabelled rows beyond which distances are to nearly all of the nearest rows: four times as fast.
_MANY_ROWS = 10_000
# Groups in which labelled anomalies are left out, where a view has no such groups of its own.
_GROUPS = 10


@dataclass(frozen=True)
class Surroundings:
    """The unlabelled rows near to other rows.

    Attributes
    ----------
    reaches : dict of int to ndarray of shape (n_rows,)
        Distance to the how manieth nearest.
    places : ndarray of shape (n_rows, 5)
        Which the five nearest are; fewer columns where there are fewer rows.
    """

    reaches: dict[int, Floats]
    places: NDArray[np.intp]


@dataclass
class Table:
    """Rows in the coordinates that the views look at, each of shape (n_rows, n_columns).

    Attributes
    ----------
    raw : ndarray
        As they came in, NaN included.
    standard : ndarray
        Half way between standard deviations from the unlabelled rows' mean and ranks among them,
        without NaN.
    white : ndarray
        On the principal axes of the unlabelled rows, each of unit variance.
    scores : dict of str to ndarray
        What views have said of these rows already, by their names.
    surroundings : dict of (str, bool) to Surroundings
        What was measured already: in which coordinates, weighted or not.
    """

    raw: NDArray[Any]
    standard: Floats
    white: Floats
    scores: dict[str, Floats] = field(default_factory=dict)
    surroundings: dict[tuple[str, bool], Surroundings] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.raw)

    def rows(self, places: Any) -> "Table":
        """Take some of the rows."""
        return Table(self.raw[places], self.standard[places], self.white[places])


@dataclass
class Lesson:
    """What a view learns from.

    Attributes
    ----------
    unlabelled, anomalies : Table
        The rows.
    weights : tuple of two ndarrays
        Weights of the unlabelled rows and of the anomalies, all above zero.
    seed : int
        What the view may draw by.
    n_jobs : int
        Threads that it may use.
    n_trees : int
        Trees of each forest.
    learned : dict of str to view
        The views that were learned before, by name.
    scores : dict of str to tuple of two ndarrays
        Their honest scores of the unlabelled rows and of the anomalies.
    cells : dict of (str, bool) to CellSearch
        Unlabelled rows in cells: in which coordinates, weighted or not.
    """

    unlabelled: Table
    anomalies: Table
    weights: tuple[Floats, Floats]
    seed: int
    n_jobs: int
    n_trees: int
    learned: dict[str, Any]
    scores: dict[str, tuple[Floats, Floats]]
    cells: dict[tuple[str, bool], CellSearch] = field(default_factory=dict)


class Coordinates(BaseEstimator):
    """From rows as they came in to a :class:`Table`; learned from the unlabelled rows.

    A column's coordinate is the mean of two, each of unit variance: its distance from the mean, in
    which the few values far out leave the many hardly any room, and its rank, in which it counts
    for nothing how far out they are.
    """

    def fit(self, X: NDArray[Any]) -> "Coordinates":
        """Learn middles, spreads and principal axes.

        Parameters
        ----------
        X : ndarray of shape (n_rows, n_columns)
            The unlabelled rows; NaN where a value is missing.

        Returns
        -------
        self : Coordinates
        """
        X = X.astype(np.float64, copy=False)
        empty = np.isnan(X).all(axis=0)
        some = np.where(empty, 0.0, X) if empty.any() else X
        self.middle_ = np.nanmedian(some, axis=0)
        # Halved, so that not even the largest numbers overflow.
        half = some / 2
        self.mean_ = np.nanmean(half, axis=0) * 2
        spread = np.nanstd(half / 2, axis=0) * 4
        self.spread_ = np.where(spread > 0, spread, 1.0)
        ordered = np.sort(self._fill(X), axis=0)
        kept = np.linspace(0, len(X) - 1, min(len(X), _LEVELS)).round().astype(np.intp)
        self.levels_ = np.ascontiguousarray(ordered[kept].T)
        standard = self._standard(X)
        n_axes = max(1, min(len(X) - 1, X.shape[1], _AXES))
        solver = "full" if min(X.shape) <= 500 else "randomized"
        with np.errstate(invalid="ignore", divide="ignore"):
            pca = PCA(n_axes, svd_solver=solver, random_state=0).fit(standard)
            long = np.nan_to_num(pca.explained_variance_ratio_) > _SHARE
        long[:2] = True
        deviation = np.sqrt(pca.explained_variance_[long])
        deviation = np.where(deviation > 1e-9, deviation, 1.0)
        self.axes_ = (pca.components_[long] / deviation[:, None]).T
        self.center_ = pca.mean_ @ self.axes_
        return self

    def transform(self, X: NDArray[Any]) -> Table:
        """Give rows their coordinates.

        Parameters
        ----------
        X : ndarray of shape (n_rows, n_columns)
            The rows.

        Returns
        -------
        Table
        """
        standard = self._standard(X)
        white = np.clip(standard @ self.axes_ - self.center_, -_FARTHEST, _FARTHEST)
        # The last digits of a product hang on how many rows it has.
        return Table(X, standard, np.round(white, 9))

    def _fill(self, X: Floats) -> Floats:
        return np.where(np.isnan(X), self.middle_, X)

    def _standard(self, X: NDArray[Any]) -> Floats:
        filled = self._fill(X.astype(np.float64, copy=False))
        with np.errstate(over="ignore"):
            standard = np.clip((filled - self.mean_) / self.spread_, -_FARTHEST, _FARTHEST)
        for column, levels in enumerate(self.levels_):
            values = filled[:, column]
            below = np.searchsorted(levels, values) + np.searchsorted(levels, values, "right")
            # Ranks from -1 to 1 are spread evenly: their variance is a third.
            standard[:, column] += np.sqrt(3) * (below / len(levels) - 1)
        return standard / 2


class Trees(BaseEstimator):
    """:class:`BaggedTrees` on the columns, or on the columns and on how unusual the row is.

    Parameters
    ----------
    splitters : tuple of str, default=("random",)
        As in :class:`BaggedTrees`; the trees are shared out among them.
    fewest : int, default=60
        Its ``min_unlabelled``.
    second : bool, default=False
        Whether to draw the fewer of the unlabelled rows that the first trees find suspicious, and
        to add how unusual each row is as columns.
    """

    # Views whose scores become columns.
    _UNUSUAL: ClassVar[tuple[str, ...]] = (
        *("distance", "white distance", "isolation"),
        *("local distance", "white local distance"),
    )

    @property
    def needs(self) -> tuple[str, ...]:
        """Views that must have learned before."""
        return ("trees", *self._UNUSUAL) if self.second else ()

    def __init__(
        self,
        splitters: tuple[Splitter, ...] = ("random",),
        fewest: int = 60,
        second: bool = False,
    ) -> None:
        self.splitters = splitters
        self.fewest = fewest
        self.second = second

    def learn(self, lesson: Lesson) -> tuple[Floats, Floats]:
        """Learn; return honest scores of the unlabelled rows and of the anomalies."""
        n_unlabelled, n_anomalies = len(lesson.unlabelled), len(lesson.anomalies)
        weights = np.concatenate(lesson.weights)
        y = np.repeat([0, 1], [n_unlabelled, n_anomalies])
        X = np.concatenate([lesson.unlabelled.raw, lesson.anomalies.raw])
        n_trees = lesson.n_trees // len(self.splitters)
        shares: list[Share] | None = None
        if self.second:
            shares = _doubt(lesson, weights)
            n_trees = max(n_trees, len(shares))
            self.unusual_ = {name: lesson.learned[name] for name in self._UNUSUAL}
            self.levels_ = {name: np.sort(lesson.scores[name][0]) for name in self._UNUSUAL}
            columns = [
                _ranks(self.levels_[name], np.concatenate(lesson.scores[name]))
                for name in self._UNUSUAL
            ]
            X = np.column_stack([X, *columns])
        self.forests_ = []
        total = np.zeros(len(X))
        for number, splitter in enumerate(self.splitters):
            forest = BaggedTrees(
                n_estimators=max(2, n_trees),
                min_unlabelled=self.fewest,
                splitter=splitter,
                n_jobs=lesson.n_jobs,
                random_state=lesson.seed + number,
            )
            if shares is not None:
                forest._fit_shares(X, y, shares)
            else:
                forest.fit(X, y, None if (weights == weights[0]).all() else weights)
            total += forest.decision_scores_
            del forest.decision_scores_, forest.labels_
            self.forests_.append(forest)
        total /= len(self.forests_)
        ours, theirs = total[:n_unlabelled], total[n_unlabelled:]
        if n_anomalies == 1:
            return ours, np.full(1, np.nan)
        return ours, self._level(X, ours, theirs)

    def _level(self, X: NDArray[Any], ours: Floats, theirs: Floats) -> Floats:
        """Put the anomalies' scores, each by the trees of a group, on the scale of all trees.

        A few trees err more than all do. So an anomaly is ranked among what the same trees say of
        the unlabelled rows, and takes the score that has this rank by all trees.
        """
        rows, ordered = X[: len(ours)], np.sort(ours)
        leveled = theirs.copy()
        for group, left_out in enumerate(_left_out(self.forests_[0], len(rows), len(theirs))):
            if not len(left_out):
                continue
            votes = [_group_scores(forest, rows, group) for forest in self.forests_]
            same = np.sort(np.mean(votes, axis=0))
            same = same[~np.isnan(same)]
            found = theirs[left_out]
            if len(same):
                rank = np.searchsorted(same, found) + np.searchsorted(same, found, "right")
                scores = np.quantile(ordered, rank / (2 * len(same)))
                leveled[left_out] = np.where(rank == 2 * len(same), np.fmax(scores, found), scores)
        return leveled

    def score(self, table: Table) -> Floats:
        """Score rows: the share of trees that take them for anomalies."""
        X = table.raw
        if self.second:
            columns = [
                _ranks(
                    self.levels_[name],
                    table.scores[name] if name in table.scores else view.score(table),
                )
                for name, view in self.unusual_.items()
            ]
            X = np.column_stack([X, *columns])
        return np.mean([forest.decision_function(X) for forest in self.forests_], axis=0)

    def importances(self) -> Floats:
        """How much each column of the table counts, all together 1."""
        return _importances([tree for f in self.forests_ for tree in f.estimators_])


class Isolation(BaseEstimator):
    """An isolation forest: how few random cuts set a row apart. It uses no labels."""

    needs: ClassVar[tuple[str, ...]] = ()

    def learn(self, lesson: Lesson) -> tuple[Floats, Floats]:
        """Learn; return scores of the unlabelled rows and of the anomalies."""
        rows = lesson.unlabelled.standard
        n_trees = min(100, lesson.n_trees)
        self.forest_ = IsolationForest(n_estimators=n_trees, random_state=lesson.seed).fit(rows)
        return self.score(lesson.unlabelled), self.score(lesson.anomalies)

    def score(self, table: Table) -> Floats:
        """Score rows."""
        return -self.forest_.score_samples(table.standard)


class Distance(BaseEstimator):
    """Distance to the k-th nearest unlabelled row. It uses no labels unless it is weighted.

    Compared with the like distances of the nearest rows themselves it is Schubert, Zimek and
    Kriegel's simplified local outlier factor, "Local outlier detection reconsidered", Data Mining
    and Knowledge Discovery 28, 2014: low where all rows are far apart.

    Parameters
    ----------
    space : "standard" or "white", default="standard"
        Coordinates in which to measure.
    n_neighbors : int, default=10
        k.
    weighted : bool, default=False
        Whether columns count by how much the trees use them.
    nearness : bool, default=False
        Whether to compare it, as a ratio, with the distance to the nearest labelled anomaly.
    local : bool, default=False
        Whether to compare it, as a ratio, with the five nearest rows' own distance to their fifth.
    """

    # All k that are used: they are found in one search.
    _NEIGHBORS = (5, 6, 10, 30)
    # Of so many neighbours it is kept which they are.
    _FEW = 5

    def __init__(
        self,
        space: str = "standard",
        n_neighbors: Literal[5, 10, 30] = 10,
        weighted: bool = False,
        nearness: bool = False,
        local: bool = False,
    ) -> None:
        self.space = space
        self.n_neighbors = n_neighbors
        self.weighted = weighted
        self.nearness = nearness
        self.local = local

    @property
    def needs(self) -> tuple[str, ...]:
        """Views that must have learned before."""
        return ("trees",) if self.weighted else ()

    def learn(self, lesson: Lesson) -> tuple[Floats, Floats]:
        """Learn; return honest scores of the unlabelled rows and of the anomalies."""
        rows = getattr(lesson.unlabelled, self.space)
        anomalies = getattr(lesson.anomalies, self.space)
        self.rows_, self.anomalies_, self.n_jobs_ = rows, anomalies, lesson.n_jobs
        self.weights_ = np.ones(rows.shape[1])
        if not (self.weighted or self.nearness):  # no label has a part in it: nothing to leave out
            groups, of_group = [np.arange(len(anomalies))], [self.weights_]
        elif self.weighted:
            self.weights_, of_group, groups = _column_weights(lesson)
        else:
            groups = _leave_out(len(anomalies), lesson.seed)
            of_group = [self.weights_] * len(groups)
        # Views share what is sorted once.
        where = self.space, self.weighted
        if where in lesson.cells:
            _sorted[self] = lesson.cells[where]
        # Each unlabelled row is its own nearest: pass over it.
        ours = self._compare(lesson.unlabelled, anomalies, own=True)
        if self in _sorted:
            lesson.cells[where] = _sorted[self]
        theirs = np.full(len(anomalies), np.nan)
        for left_out, weights in zip(groups, of_group, strict=True):
            rest = np.delete(anomalies, left_out, axis=0)
            if len(left_out) and (len(rest) or len(groups) == 1):
                some = lesson.anomalies.rows(left_out)
                theirs[left_out] = self._compare(some, rest, weights)
        return ours, theirs

    def score(self, table: Table) -> Floats:
        """Score rows."""
        return self._compare(table, self.anomalies_)

    def _compare(
        self, table: Table, anomalies: Floats, weights: Floats | None = None, own: bool = False
    ) -> Floats:
        if weights is None:
            weights = self.weights_
        floor = 1e-3 * np.sqrt(len(weights))
        # Views share what is measured once.
        near = table.surroundings.get((self.space, self.weighted))
        if near is None:
            near = self._measure(table, weights, own)
            table.surroundings[self.space, self.weighted] = near
        score = np.log(near.reaches[self.n_neighbors] + floor)
        if self.local:
            if own:
                self.usual_ = np.log(near.reaches[self._FEW] + floor)
                usual = self._usual_without(near, floor)
            else:
                usual = self.usual_[near.places]
            if usual.shape[1]:
                score -= usual.mean(axis=1)
        if self.nearness:
            known = anomalies * weights
            points = getattr(table, self.space) * weights
            nearest = self._nearest(1, known).kneighbors(points, return_distance=False)[:, 0]
            # By differences: of equal rows, a product's digits make a distance that is not 0.
            away = np.sqrt(((known[nearest] - points) ** 2).sum(axis=1))
            score -= np.log(away + floor)
        # The last digits hang on how many rows are asked for at a time, and equal scores must be
        # equal: as columns of trees they are ranks.
        return np.round(score, 9)

    def _measure(self, table: Table, weights: Floats, own: bool) -> Surroundings:
        """Measure the distances to the nearest unlabelled rows that any view asks for."""
        rows = self.rows_ * weights
        points = getattr(table, self.space) * weights
        most = min(max(self._NEIGHBORS), len(rows) - own)
        if most < 1:
            none = np.empty((len(points), 0), dtype=np.intp)
            return Surroundings({k: np.zeros(len(points)) for k in self._NEIGHBORS}, none)
        asked = np.hstack([points, np.zeros((len(points), 1))])
        # Other weights are those of a group, for a few anomalies.
        if weights is self.weights_ and len(rows) > _MANY_ROWS and not _suits_tree(asked):
            search = self._cells(rows)
            places = search.nearest_others(most) if own else search.nearest(asked, most)
        else:
            exact = self._nearest(most, _set_apart(rows))
            places = exact.kneighbors(None if own else asked, return_distance=False)
        near = np.empty(places.shape)
        size = max(1, _CELLS // (most * rows.shape[1]))
        for start in range(0, len(points), size):
            some = slice(start, start + size)
            away = rows[places[some]] - points[some, None]
            near[some] = np.sqrt((away**2).sum(axis=2))
        # The nearest first, as they are without that coordinate.
        order = np.argsort(near, axis=1, kind="stable")
        near = np.take_along_axis(near, order, axis=1)
        places = np.take_along_axis(places, order, axis=1)
        reaches = {k: near[:, min(k, most) - 1].copy() for k in self._NEIGHBORS}
        return Surroundings(reaches, places[:, : self._FEW].copy())

    def _usual_without(self, near: Surroundings, floor: float) -> Floats:
        """Find how far the unlabelled rows' neighbours have it to others, had the row not been.

        A row that is among its neighbours' own nearest would else show that it is one of those
        that were learned from.
        """
        beyond = np.log(near.reaches[self._FEW + 1] + floor)
        rows = np.arange(len(near.places))[:, None, None]
        mutual = (near.places[near.places] == rows).any(axis=2)
        return np.where(mutual, beyond[near.places], self.usual_[near.places])

    def _nearest(self, k: int, rows: Floats) -> NearestNeighbors:
        algorithm = "kd_tree" if _suits_tree(rows) else "brute"
        return NearestNeighbors(n_neighbors=k, algorithm=algorithm, n_jobs=self.n_jobs_).fit(rows)

    def _cells(self, rows: Floats) -> CellSearch:
        """Sort the rows into cells, once."""
        search = _sorted.get(self)
        if search is None:
            search = _sorted[self] = CellSearch(_set_apart(rows), n_jobs=self.n_jobs_)
        return search


class _Bag(BaseEstimator, ABC):
    """A bag of machines, each on labelled anomalies and some of the unlabelled rows: a base."""

    needs: ClassVar[tuple[str, ...]] = ()

    _SPACE: ClassVar[str]
    _MACHINES: ClassVar[int]
    # Labelled anomalies that a machine sees, at most.
    _MOST: ClassVar[int]

    def learn(self, lesson: Lesson) -> tuple[Floats, Floats]:
        """Learn; return honest scores of the unlabelled rows and of the anomalies."""
        rng = np.random.default_rng(lesson.seed)
        rows = getattr(lesson.unlabelled, self._SPACE)
        anomalies = getattr(lesson.anomalies, self._SPACE)
        chance = lesson.weights[0] / lesson.weights[0].sum()
        weights = lesson.weights[1] / lesson.weights[1].mean()
        groups = _leave_out(len(anomalies), lesson.seed)
        n_drawn = self._count_drawn(len(rows), len(anomalies))
        self.machines_: list[dict[str, Any]] = []
        ours, theirs = np.zeros((2, len(rows))), np.zeros((2, len(anomalies)))
        for number in range(self._MACHINES):
            left_out = groups[number % len(groups)]
            drawn = rng.choice(len(rows), n_drawn, replace=False, p=chance)
            rest = np.delete(np.arange(len(anomalies)), left_out)
            if not len(rest):
                left_out, rest = rest, np.arange(len(anomalies))
            if len(rest) > self._MOST:
                rest = rng.choice(rest, self._MOST, replace=False)
            machine = self._teach(rows[drawn], anomalies[rest], weights[rest])
            self.machines_.append(machine)
            votes = self._vote(machine, rows)
            votes[drawn] = 0
            ours[0] += votes
            ours[1] += 1
            ours[1, drawn] -= 1
            theirs[0, left_out] += self._vote(machine, anomalies[left_out])
            theirs[1, left_out] += 1
        always = ours[1] == 0
        if always.any():  # so few rows that every machine saw them
            ours[0, always] = self._total(rows[always])
            ours[1, always] = self._MACHINES
        with np.errstate(invalid="ignore"):
            return ours[0] / ours[1], theirs[0] / theirs[1]

    def score(self, table: Table) -> Floats:
        """Score rows: the machines' mean vote."""
        # The last digits of a product hang on how many rows it has.
        return np.round(self._total(getattr(table, self._SPACE)) / len(self.machines_), 9)

    def _total(self, points: Floats) -> Floats:
        return np.sum([self._vote(machine, points) for machine in self.machines_], axis=0)

    @abstractmethod
    def _count_drawn(self, n_rows: int, n_anomalies: int) -> int:
        """Tell how many unlabelled rows a machine sees."""

    @abstractmethod
    def _teach(self, rows: Floats, anomalies: Floats, weights: Floats) -> dict[str, Any]:
        """Return what a machine learns from these rows, as numbers."""

    @abstractmethod
    def _vote(self, machine: dict[str, Any], points: Floats) -> Floats:
        """Score points by what a machine has learned."""


class Kernel(_Bag):
    """A bag of support vector machines, each on labelled anomalies and a few unlabelled rows."""

    # They slow down with the square of the number of rows.
    _SPACE, _MACHINES, _MOST = "white", 20, 500

    def _count_drawn(self, n_rows: int, n_anomalies: int) -> int:
        return min(n_rows, max(100, min(n_anomalies, self._MOST)))

    def _teach(self, rows: Floats, anomalies: Floats, weights: Floats) -> dict[str, Any]:
        X = np.concatenate([anomalies, rows])
        y = np.repeat([1, 0], [len(anomalies), len(rows)])
        machine = SVC(class_weight="balanced").fit(X, y)
        return {
            "vectors": machine.support_vectors_,
            "coefficients": machine.dual_coef_[0],
            "intercept": float(machine.intercept_[0]),
            "gamma": float(machine._gamma),
        }

    def _vote(self, machine: dict[str, Any], points: Floats) -> Floats:
        """Score points by how far they are beyond the machine's boundary."""
        if not len(points):
            return np.zeros(0)
        near = rbf_kernel(points, machine["vectors"], machine["gamma"])
        return near @ machine["coefficients"] + machine["intercept"]


class Linear(_Bag):
    """A bag of logistic regressions, each on labelled anomalies and half of the unlabelled rows.

    Where rows of both kinds mix, a straight boundary errs less than a bent one.
    """

    _SPACE, _MACHINES, _MOST = "standard", 10, 4000

    def _count_drawn(self, n_rows: int, n_anomalies: int) -> int:
        return max(1, min(n_rows // 2, self._MOST))

    def _teach(self, rows: Floats, anomalies: Floats, weights: Floats) -> dict[str, Any]:
        X = np.concatenate([rows, anomalies])
        y = np.repeat([0, 1], [len(rows), len(anomalies)])
        # Both kinds weigh as much as there are labels, beside a penalty that stays: the fewer they
        # are, the less it dares.
        weight = np.concatenate([np.full(len(rows), weights.sum() / len(rows)), weights])
        regression = LogisticRegression(tol=1e-3, max_iter=200)
        with warnings.catch_warnings():
            # What it has found by then does.
            warnings.simplefilter("ignore", ConvergenceWarning)
            regression.fit(X, y, weight)
        return {"slope": regression.coef_[0], "intercept": float(regression.intercept_[0])}

    def _vote(self, machine: dict[str, Any], points: Floats) -> Floats:
        """Score points by their logit."""
        votes: Floats = points @ machine["slope"] + machine["intercept"]
        return votes


def make_views() -> dict[str, Any]:
    """Make every view, unlearned, in the order in which they are learned.

    Returns
    -------
    dict of str to view
        Some use others that stand before them.
    """
    return {
        "trees": Trees(),
        "isolation": Isolation(),
        "distance": Distance(),
        "white distance": Distance("white"),
        "local distance": Distance(n_neighbors=5, local=True),
        "white local distance": Distance("white", n_neighbors=5, local=True),
        "second trees": Trees(("random", "best"), second=True),
        "best trees": Trees(("best",), fewest=30),
        "weighted nearness": Distance(n_neighbors=30, weighted=True, nearness=True),
        "white nearness": Distance("white", nearness=True),
        "weighted distance": Distance(weighted=True),
        "white kernel": Kernel(),
        "linear": Linear(),
    }


# Rows in cells, of the views that search them: soon made anew, and so no part of a model on disk.
_sorted: WeakKeyDictionary[Distance, CellSearch] = WeakKeyDictionary()


def _set_apart(rows: Floats) -> Floats:
    """Let rows stand a little apart, in one more coordinate.

    Which of equally distant rows are found must not hang on threads, nor on what other rows are
    asked for.
    """
    return np.hstack([rows, np.random.default_rng(0).random((len(rows), 1)) * 1e-3])


def _suits_tree(rows: Floats) -> bool:
    # In more than five columns, beside the one of ours, a tree visits most of itself.
    return rows.shape[1] <= 6


def _ranks(levels: Floats, scores: Floats) -> Floats:
    """Turn scores into the share of the unlabelled rows that score less."""
    return np.searchsorted(levels, scores) / len(levels)


def _leave_out(n_anomalies: int, seed: int) -> list[NDArray[np.intp]]:
    """Deal anomalies to groups; some groups are empty where there are few."""
    own = np.random.default_rng(seed).permutation(n_anomalies) % _GROUPS
    return [np.flatnonzero(own == group) for group in range(_GROUPS)]


def _column_weights(lesson: Lesson) -> tuple[Floats, list[Floats], list[NDArray[np.intp]]]:
    """How much columns count by the first trees: by all, and by those of each group.

    The trees of a group have not seen some of the labelled anomalies, which are returned too: so
    what is said of these by the group's weights is honest.
    """
    forest = lesson.learned["trees"].forests_[0]
    groups = _left_out(forest, len(lesson.unlabelled), len(lesson.anomalies))
    n_columns = lesson.unlabelled.standard.shape[1]
    of_group = [
        _importances(forest.estimators_[group :: len(groups)]) * n_columns
        for group in range(len(groups))
    ]
    return _importances(forest.estimators_) * n_columns, of_group, groups


def _doubt(lesson: Lesson, weights: Floats) -> list[Share]:
    """Deal the anomalies as the first trees had them, each with the doubts of trees that had not.

    Trees that know an anomaly are suspicious of rows like it. Were these drawn less where it is
    left out, it would score too high there: as a labelled anomaly, not as if it had not been one.
    """
    forest, rows = lesson.learned["trees"].forests_[0], lesson.unlabelled.raw
    shares = []
    for group, left_out in enumerate(_left_out(forest, len(rows), len(lesson.anomalies))):
        suspicion = _group_scores(forest, rows, group)
        suspicion = np.where(np.isnan(suspicion), lesson.scores["trees"][0], suspicion)
        doubtful = weights.copy()
        doubtful[: len(rows)] *= np.maximum(1 - suspicion, 1e-3) ** 2
        shares.append(Share(left_out + len(rows), doubtful))
    return shares


def _left_out(forest: BaggedTrees, n_unlabelled: int, n_anomalies: int) -> list[NDArray[np.intp]]:
    """Find which anomalies the trees of each group have not seen."""
    groups = []
    for seen in forest.estimators_samples_[: forest.n_groups_]:
        known = seen[seen >= n_unlabelled] - n_unlabelled
        groups.append(np.delete(np.arange(n_anomalies), known))
    return groups


def _group_scores(forest: BaggedTrees, rows: NDArray[Any], group: int) -> Floats:
    """Score the unlabelled rows by trees of a group that have not seen them; NaN if all have."""
    trees = forest.estimators_[group :: forest.n_groups_]
    seen = forest.estimators_samples_[group :: forest.n_groups_]
    times = len(trees) - np.bincount(np.concatenate(seen), minlength=len(rows))[: len(rows)]
    with np.errstate(invalid="ignore"):
        return forest._sum_votes(rows, seen, trees) / times


def _importances(trees: list[Any]) -> Floats:
    total = sum(tree.feature_importances_ for tree in trees)
    return total / total.sum() if total.sum() > 0 else np.full(len(total), 1 / len(total))
