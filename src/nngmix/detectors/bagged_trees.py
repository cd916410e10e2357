"""Bagged trees: many small trees, each on the labelled anomalies and a few unlabelled rows."""

import copy
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from numbers import Integral, Real
from typing import Any, ClassVar, Literal

import numpy as np
from numpy.random import Generator, RandomState
from numpy.typing import NDArray
from sklearn.base import clone
from sklearn.tree import DecisionTreeClassifier, ExtraTreeClassifier
from sklearn.utils._param_validation import HasMethods, Interval, RealNotInt, StrOptions

from nngmix.detectors.base import N_JOBS, BaseDetector, seed_from
from nngmix.detectors.progress import progress
from nngmix.sampling import GaussianNoise

# Groups of trees that leave out the same labelled anomalies.
_GROUPS = 10
# Distinct values of a column, at most, for them to be levels.
_LEVELS = 20
# Cells that the trees take at a time: they stay in the cache until the last tree has seen them. But
# of too few rows a tree would not stay there.
_BLOCK_CELLS, _BLOCK_ROWS = 1 << 19, 1 << 10

_TREES = {"random": ExtraTreeClassifier, "best": DecisionTreeClassifier}


@dataclass(frozen=True)
class Share:
    """What the trees of a group are to leave out, and how they draw.

    Attributes
    ----------
    left_out : ndarray of shape (n_left_out,)
        Places of labelled anomalies among the training rows.
    weights : ndarray of shape (n_samples,)
        Weights of the training rows, above zero.
    """

    left_out: NDArray[np.intp]
    weights: NDArray[np.float64]


class BaggedTrees(BaseDetector):
    """Randomised trees, each on the labelled anomalies and a few unlabelled rows.

    Bagging for positive and unlabelled rows [1]_, of extremely randomised trees [2]_. A tree sees
    the labelled anomalies, as many pseudo-anomalies, and a few unlabelled rows, drawn afresh: it
    learns few hidden anomalies as unlabelled, other trees learn others, and the classes are in
    balance whatever the table. It needs no scaling, and nothing beyond the core installation.

    Parameters
    ----------
    n_estimators : int, default=200
        Number of trees.
    sampler : "noise", sampler or None, default="noise"
        What makes as many pseudo-anomalies for a tree as it sees labelled anomalies: "noise" is
        ``GaussianNoise(multiplier=1, sigma=0.1)``, None makes none, and any sampler of nngmix will
        do. Copies of it are fitted; its ``multiplier``, ``random_state`` and ``n_jobs`` do not
        count. In columns of at most 20 distinct values, pseudo-anomalies take the nearest of these.
    min_unlabelled : int, default=60
        Unlabelled rows that a tree sees, at least: as many as it sees labelled anomalies, where
        these are more.
    max_features : int, float, "sqrt", "log2" or None, default="sqrt"
        Columns that are tried for each split, as in scikit-learn.
    min_samples_leaf : int or float, default=1
        Rows of a leaf, at least, or their share of the tree's rows, as in scikit-learn.
    splitter : "random" or "best", default="random"
        "random" tries one random threshold a column (scikit-learn's ExtraTreeClassifier), "best"
        all of them (DecisionTreeClassifier).
    shrinkage : float, default=8.0
        How much a leaf leans on the nodes above it: the shares of anomalies in all of them count,
        the more the fewer rows there are below. 0 takes the leaf's own share. See Notes.
    class_weight : dict, "balanced" or None, default=None
        Weight of an unlabelled row and of an anomaly in each tree, such as ``{0: 1, 1: 10}``, a
        missing one being 1. None weighs all rows of a tree alike. "balanced" goes by the numbers
        of all training rows; those of a tree are in balance without it.
    contamination : float, default=0.1
        Expected share of anomalies among the unlabelled rows, in (0, 0.5]. Sets ``threshold_``
        alone: the (1 - contamination) quantile of ``decision_scores_`` over the rows with
        ``y == 0``.
    n_jobs : int or None, default=None
        Number of threads; the results do not depend on it. None takes all cores (in scikit-learn
        None often means one); negative values count back from all cores as in joblib. In a grid
        that runs in parallel already, give 1.
    random_state : int, RandomState instance or None, default=None
        Seeds the draws, the pseudo-anomalies and the trees. None differs from run to run.
    verbose : bool, default=False
        Whether to show a progress bar over the trees.

    Attributes
    ----------
    estimators_ : list of ExtraTreeClassifier or DecisionTreeClassifier
        The trees. They take rows in single precision. Their leaves' shares of anomalies are
        shrunk already.
    estimators_samples_ : list of ndarray
        The training rows that each tree saw, by their places in ascending order.
    n_groups_ : int
        Groups of trees: those whose places differ by a multiple of it saw the same anomalies.
    oob_ : ndarray of shape (n_samples,), bool
        Which of ``decision_scores_`` are out of bag: from trees that did not see the row. False
        for a lone labelled anomaly, and for rows that every tree saw.
    feature_importances_ : ndarray of shape (n_features_in_,)
        How much each column's splits lower the Gini impurity, as the mean of the trees; the sum
        is 1.
    classes_ : ndarray of shape (2,)
        Always ``[0, 1]``: unlabelled, anomaly.
    n_features_in_ : int
        Number of columns seen by `fit`.
    feature_names_in_ : ndarray of shape (n_features_in_,)
        Names of the columns, when `fit` saw a data frame whose column names are all strings.
    decision_scores_ : ndarray of shape (n_samples,)
        Scores of the training rows, out of bag where ``oob_`` says so: what the detector would
        say of such a row if it were new. Not those of ``decision_function``.
    threshold_ : float
        Rows that score above it are called anomalies.
    labels_ : ndarray of shape (n_samples,)
        1 where ``decision_scores_ > threshold_``, else 0.

    Raises
    ------
    ValueError
        When `X` holds a number that single precision cannot (beyond 3.4e38), which the trees work
        in; and as :class:`~nngmix.detectors.base.BaseDetector` says.

    See Also
    --------
    CatBoost : Boosted trees, on all unlabelled rows.

    Notes
    -----
    The score is the mean over the trees of the share of anomalies in the row's leaf, in [0, 1].

    Few unlabelled rows matter, though less where scores are shrunk: on 30 Classical files of
    ADBench with 1 % of the anomalies labelled, 300 for each tree in place of 60 cost 0.2 points of
    AUCROC and 2 of AUCPR; with ``shrinkage=0``, 4 and 7 (three seeds).

    The score is shrunk as Agarwal and others [3]_ shrink it: along the row's path from the root,
    each change in the share of anomalies counts 1 / (1 + shrinkage / rows of the upper node). So
    a leaf in which one labelled anomaly was left over when all others had gone elsewhere does not
    score as one that holds nothing but anomalies from early on.

    The labelled anomalies are dealt to ten groups of trees, and the trees of a group see those of
    the nine others. Nor do they see pseudo-anomalies made from the group's own: each group has a
    sampler of its own.

    Of `sample_weight`, that of an unlabelled row is how likely it is drawn, relative to others;
    that of an anomaly its weight in the trees, relative to the mean unlabelled row. A row of
    weight 0 is never used. Pseudo-anomalies have the mean weight of the anomalies.

    NaN is allowed: each split learns on which side it belongs. Where no NaN was seen in training
    it goes with most of the tree's rows.

    References
    ----------
    .. [1] F. Mordelet, J.-P. Vert, "A bagging SVM to learn from positive and unlabeled examples",
       Pattern Recognition Letters 37, 2014.
    .. [2] P. Geurts, D. Ernst, L. Wehenkel, "Extremely randomized trees", Machine Learning 63,
       2006.
    .. [3] A. Agarwal, Y. S. Tan, O. Ronen, C. Singh, B. Yu, "Hierarchical shrinkage: improving the
       accuracy and interpretability of tree-based models", ICML 2022.

    Examples
    --------
    >>> import numpy as np
    >>> from nngmix.detectors import BaggedTrees
    >>> rng = np.random.default_rng(0)
    >>> X = np.vstack([rng.normal(0.3, 0.1, (200, 2)), rng.normal(0.8, 0.1, (20, 2))])
    >>> y = np.repeat([0, 1], [200, 20])
    >>> detector = BaggedTrees(random_state=0).fit(X, y)
    >>> detector.decision_function([[0.3, 0.3], [0.8, 0.8]]).round(1)
    array([0. , 0.9])
    >>> detector.predict([[0.3, 0.3], [0.8, 0.8]])
    array([0, 1])
    """

    makes_pseudo_anomalies = True

    _parameter_constraints: ClassVar[dict[str, Any]] = {
        **BaseDetector._parameter_constraints,
        "n_estimators": [Interval(Integral, 1, None, closed="left")],
        "sampler": [StrOptions({"noise"}), HasMethods(["fit", "sample"]), None],
        "min_unlabelled": [Interval(Integral, 1, None, closed="left")],
        "max_features": [
            Interval(Integral, 1, None, closed="left"),
            Interval(RealNotInt, 0.0, 1.0, closed="right"),
            StrOptions({"sqrt", "log2"}),
            None,
        ],
        "min_samples_leaf": [
            Interval(Integral, 1, None, closed="left"),
            Interval(RealNotInt, 0.0, 1.0, closed="neither"),
        ],
        "splitter": [StrOptions({"random", "best"})],
        "shrinkage": [Interval(Real, 0.0, None, closed="left")],
        "n_jobs": N_JOBS,
    }

    def __init__(
        self,
        *,
        n_estimators: int = 200,
        sampler: Any = "noise",
        min_unlabelled: int = 60,
        max_features: int | float | Literal["sqrt", "log2"] | None = "sqrt",
        min_samples_leaf: int | float = 1,
        splitter: Literal["random", "best"] = "random",
        shrinkage: float = 8.0,
        class_weight: dict[int, float] | Literal["balanced"] | None = None,
        contamination: float = 0.1,
        n_jobs: int | None = None,
        random_state: int | RandomState | None = None,
        verbose: bool = False,
    ) -> None:
        self.n_estimators = n_estimators
        self.sampler = sampler
        self.min_unlabelled = min_unlabelled
        self.max_features = max_features
        self.min_samples_leaf = min_samples_leaf
        self.splitter = splitter
        self.shrinkage = shrinkage
        self.class_weight = class_weight
        self.contamination = contamination
        self.n_jobs = n_jobs
        self.random_state = random_state
        self.verbose = verbose

    def __sklearn_tags__(self) -> Any:
        """Let missing values in, which the trees have their own way with."""
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = True
        return tags

    # What AutoDetector has dealt already; None deals anomalies to groups that share their weights.
    _shares: list[Share] | None = None

    def _fit_shares(self, X: NDArray[Any], y: NDArray[np.intp], shares: list[Share]) -> None:
        """Fit where anomalies are dealt already: no more shares than trees."""
        self._shares = shares
        try:
            self.fit(X, y)
        finally:
            del self._shares

    def _fit(
        self, X: NDArray[Any], y: NDArray[np.intp], sample_weight: NDArray[Any] | None
    ) -> None:
        self._refuse_beyond_single_precision(X)
        # A seed for the groups and one for each tree, so that threads may take them in any order.
        deal, *seeds = np.random.SeedSequence(seed_from(self.random_state)).spawn(
            1 + self.n_estimators
        )
        groups = self._groups(_Rows(X, y, sample_weight), np.random.default_rng(deal))
        self.n_groups_ = len(groups)

        def grow(number: int) -> tuple[Any, NDArray[np.intp]]:
            rng = np.random.default_rng(seeds[number])
            return self._grow(groups[number % len(groups)], rng)

        self.estimators_: list[Any] = []
        self.estimators_samples_: list[NDArray[np.intp]] = []
        with (
            progress("BaggedTrees", self.n_estimators, self.verbose) as advance,
            ThreadPoolExecutor(self._threads()) as pool,
        ):
            for tree, seen in pool.map(grow, range(self.n_estimators)):
                self.estimators_.append(tree)
                self.estimators_samples_.append(seen)
                advance()
        total = sum(tree.feature_importances_ for tree in self.estimators_)
        self.feature_importances_ = total / (total.sum() or 1.0)

    def _groups(self, rows: "_Rows", rng: Generator) -> list["_Group"]:
        """Deal the labelled anomalies to groups, and prepare what the trees of each need."""
        if self._shares is not None:
            return [
                self._group(
                    rows.weighed(share.weights), np.setdiff1d(rows.anomalies, share.left_out)
                )
                for share in self._shares
            ]
        n_anomalies = len(rows.anomalies)
        n_groups = min(_GROUPS, self.n_estimators)
        if n_groups == 1 or n_anomalies == 1:
            return [self._group(rows, rows.anomalies)]
        own = rng.permutation(n_anomalies) % n_groups
        return [self._group(rows, rows.anomalies[own != group]) for group in range(n_groups)]

    def _group(self, rows: "_Rows", anomalies: NDArray[np.intp]) -> "_Group":
        if self.sampler is None:
            return _Group(rows, anomalies)
        noise = isinstance(self.sampler, str)
        sampler = GaussianNoise(multiplier=1, sigma=0.1) if noise else clone(self.sampler)
        X = np.concatenate([rows.X[rows.unlabelled], rows.X[anomalies]])
        threaded = "n_jobs" in sampler.get_params(deep=False)
        if threaded:
            sampler.set_params(n_jobs=self._threads())
        sampler.fit(X, np.repeat([0, 1], [len(rows.unlabelled), len(anomalies)]))
        if threaded:  # from here on the trees have the threads
            sampler.set_params(n_jobs=1)
        return _Group(rows, anomalies, sampler, _join_levels(rows.levels, rows.X[anomalies]))

    def _grow(self, group: "_Group", rng: Generator) -> tuple[Any, NDArray[np.intp]]:
        """Grow a tree; return it and the places of the training rows that it saw."""
        rows, anomalies = group.rows, group.anomalies
        drawn = rows.draw(max(self.min_unlabelled, len(anomalies)), rng)
        tree = _TREES[self.splitter](
            max_features=self.max_features,
            min_samples_leaf=self.min_samples_leaf,
            random_state=int(rng.integers(2**31)),
        )
        parts = [rows.X[drawn], rows.X[anomalies]]
        if group.sampler is not None:
            parts.append(group.sample(int(rng.integers(2**31))))
        X = np.concatenate(parts, dtype=np.float32)
        y = np.repeat([0, 1], [len(drawn), len(X) - len(drawn)])
        weight = rows.tree_weights(len(drawn), anomalies, len(X))
        # Only its checks notice NaN; it is quicker without them.
        tree.fit(X, y, sample_weight=weight, check_input=bool(np.isnan(X).any()))
        if self.shrinkage:  # else shares stay as they are to the last digit
            _shrink(tree.tree_, self.shrinkage)
        return tree, np.sort(np.concatenate([drawn, anomalies]))

    def _scores(self, X: NDArray[Any]) -> NDArray[Any]:
        self._refuse_beyond_single_precision(X)
        return self._sum_votes(X) / len(self.estimators_)

    def _training_scores(self, X: NDArray[Any]) -> NDArray[Any]:
        seen = np.bincount(np.concatenate(self.estimators_samples_), minlength=len(X))
        self.oob_ = seen < len(self.estimators_)
        scores = self._sum_votes(X, self.estimators_samples_)
        scores /= np.maximum(len(self.estimators_) - seen, 1)
        if not self.oob_.all():
            scores[~self.oob_] = self._scores(X[~self.oob_])
        return scores

    def _probability(self, X: NDArray[Any]) -> NDArray[Any]:
        scores = self._scores(X)
        return np.column_stack([1 - scores, scores])

    def _sum_votes(
        self,
        X: NDArray[Any],
        seen: list[NDArray[np.intp]] | None = None,
        estimators: list[Any] | None = None,
    ) -> NDArray[np.float64]:
        """Sum the trees' shares of anomalies; those in `seen` have no vote on the rows they saw."""
        trees = [tree.tree_ for tree in (estimators or self.estimators_)]
        shares = [np.ascontiguousarray(tree.value[:, 0, 1]) for tree in trees]
        total = np.zeros(len(X))
        size = max(_BLOCK_ROWS, _BLOCK_CELLS // X.shape[1])

        def run(start: int) -> None:
            block = np.ascontiguousarray(X[start : start + size], dtype=np.float32)
            sums = total[start : start + size]
            for number, (tree, share) in enumerate(zip(trees, shares, strict=True)):
                votes = share[tree.apply(block)]
                if seen is not None:
                    places = seen[number]
                    first, last = np.searchsorted(places, (start, start + len(block)))
                    votes[places[first:last] - start] = 0
                sums += votes

        with ThreadPoolExecutor(self._threads()) as pool:
            list(pool.map(run, range(0, len(X), size)))
        return total


class _Rows:
    """The training rows that have a weight, and how they are drawn and weighed."""

    def __init__(
        self, X: NDArray[Any], y: NDArray[np.intp], sample_weight: NDArray[Any] | None
    ) -> None:
        self.X = X
        used = np.ones(len(X), dtype=bool) if sample_weight is None else sample_weight > 0
        self.anomalies = np.flatnonzero(used & (y == 1))
        self.unlabelled = np.flatnonzero(used & (y == 0))
        self.levels = _find_levels(X, self.unlabelled)
        self._chance: NDArray[np.float64] | None = None
        self._weight: NDArray[np.float64] | None = None
        if sample_weight is not None:
            self._weigh(sample_weight.astype(np.float64))

    def _weigh(self, weight: NDArray[np.float64]) -> None:
        chance = weight[self.unlabelled]
        if (chance != chance[0]).any():
            self._chance = chance / chance.max()
        # By chances alone a weight of all unlabelled rows, such as that of their class, would
        # be without effect: so the anomalies are weighed against them.
        # Rounded, since ties between splits are broken by the last digits, which hang on the unit.
        share, exponent = np.frexp(weight / chance.mean())
        self._weight = np.ldexp(np.round(share, 12), exponent)

    def weighed(self, weight: NDArray[np.float64]) -> "_Rows":
        """Take the same rows with other weights."""
        rows = copy.copy(self)
        rows._weigh(weight)
        return rows

    def draw(self, n: int, rng: Generator) -> NDArray[np.intp]:
        """Draw unlabelled rows without replacement: their places."""
        n = min(n, len(self.unlabelled))
        if self._chance is None:
            return self.unlabelled[rng.choice(len(self.unlabelled), n, False, shuffle=False)]
        # The first of clocks that run at these rates: as if drawn one after the other.
        with np.errstate(over="ignore"):
            ring = rng.standard_exponential(len(self._chance)) / self._chance
        return self.unlabelled[np.argpartition(ring, n - 1)[:n]]

    def tree_weights(
        self, n_drawn: int, anomalies: NDArray[np.intp], n_rows: int
    ) -> NDArray[np.float64] | None:
        """Weigh a tree's rows: the unlabelled ones, the labelled anomalies, pseudo-anomalies."""
        if self._weight is None:
            return None
        weight = np.full(n_rows, self._weight[self.anomalies].mean())
        weight[:n_drawn] = 1.0
        weight[n_drawn : n_drawn + len(anomalies)] = self._weight[anomalies]
        return weight


@dataclass
class _Group:
    """What trees that see the same labelled anomalies have in common."""

    rows: "_Rows"
    anomalies: NDArray[np.intp]
    sampler: Any = None
    levels: dict[int, NDArray[Any]] = field(default_factory=dict)

    def sample(self, seed: int) -> NDArray[Any]:
        """Make as many pseudo-anomalies as there are labelled anomalies."""
        with np.errstate(over="ignore"):
            made = self.sampler.sample(len(self.anomalies), label=1, random_state=seed)
        # A tree would tell 0.03 from a column's 0 and 1 at once, and learn nothing from the row.
        for column, levels in self.levels.items():
            _snap(made[:, column], levels)
        largest = np.finfo(np.float32).max
        return np.clip(made, -largest, largest)


def _shrink(tree: Any, shrinkage: float) -> None:
    """Shrink the shares of anomalies in a tree's nodes towards those of the nodes above."""
    share = tree.value[:, 0, 1]
    step = shrinkage / tree.weighted_n_node_samples + 1.0
    shrunk, level = share.copy(), np.zeros(1, dtype=np.intp)
    while len(level):
        level = level[tree.children_left[level] >= 0]
        below = tree.children_left[level], tree.children_right[level]
        for children in below:
            shrunk[children] = shrunk[level] + (share[children] - share[level]) / step[level]
        level = np.concatenate(below)
    tree.value[:, 0, 0], tree.value[:, 0, 1] = 1.0 - shrunk, shrunk


def _find_levels(X: NDArray[Any], places: NDArray[np.intp]) -> dict[int, NDArray[Any]]:
    """Find the columns that have few distinct values in some rows, and these."""
    levels = {}
    for column in range(X.shape[1]):
        # A few rows show of most columns that they have many.
        for some in (places[:1000], places):
            found = _distinct(X[some, column])
            if len(found) > _LEVELS:
                break
        else:
            levels[column] = found
    return levels


def _join_levels(levels: dict[int, NDArray[Any]], X: NDArray[Any]) -> dict[int, NDArray[Any]]:
    """Add the values in more rows, and leave out the columns that have too many then."""
    joined = {
        column: _distinct(np.concatenate([known, X[:, column]])) for column, known in levels.items()
    }
    return {column: found for column, found in joined.items() if 0 < len(found) <= _LEVELS}


def _distinct(values: NDArray[Any]) -> NDArray[Any]:
    """Find the distinct values in ascending order, but for NaN; one too many, if there are more."""
    found: list[Any] = []
    # Quicker than sorting, where they are few.
    left = values[~np.isnan(values)]
    while len(left) and len(found) <= _LEVELS:
        found.append(left[0])
        left = left[left != left[0]]
    return np.sort(np.array(found, dtype=values.dtype))


def _snap(values: NDArray[Any], levels: NDArray[Any]) -> None:
    """Move values to the nearest level, in place; NaN stays."""
    known = ~np.isnan(values)
    middle = levels[:-1] / 2 + levels[1:] / 2
    values[known] = levels[np.searchsorted(middle, values[known])]
