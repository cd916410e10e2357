"""A detector that needs no choosing: several views, weighed by what labels there are."""

import time
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from numbers import Integral, Real
from typing import Any, ClassVar, Literal

import numpy as np
from numpy.random import RandomState
from numpy.typing import ArrayLike, NDArray
from sklearn.utils import Bunch
from sklearn.utils._param_validation import Interval, StrOptions
from sklearn.utils.validation import check_is_fitted

from nngmix.detectors.bagged_trees import BaggedTrees
from nngmix.detectors.base import N_JOBS, BaseDetector, seed_from
from nngmix.detectors.evidence import (
    NormalScores,
    Probability,
    Trust,
    find_leaks,
    in_words,
    measure_quality,
    weigh,
    weigh_without,
)
from nngmix.detectors.progress import Advance, progress
from nngmix.detectors.views import Coordinates, Lesson, Table, make_views
from nngmix.shared_context import one_blas_thread

# Cells and rows that are scored at a time, at most.
_BLOCK_CELLS, _BLOCK_ROWS = 1 << 21, 1 << 15

#: How far each view is trusted before any label is seen: its weight, and the mean normal score that
#: it is expected to give anomalies. In round numbers, by 30 tables: docs/auto.md tells how much
#: the result depends on them (little).
TRUST = {
    "trees": Trust(3, 1.5),
    "second trees": Trust(5, 1.6),
    "best trees": Trust(2, 1.5),
    "isolation": Trust(0.25, 1.0),
    "distance": Trust(0.25, 0.8),
    "white distance": Trust(0.25, 0.8),
    "local distance": Trust(0.25, 0.6),
    "white local distance": Trust(0.25, 0.6),
    "weighted distance": Trust(0.5, 0.9),
    "white nearness": Trust(1, 1.4),
    "weighted nearness": Trust(4, 1.5),
    "white kernel": Trust(1, 1.4),
    "linear": Trust(4, 1.5, labels=20),
}

#: What each view does, in the words of `summary_`.
_WORDS = {
    "trees": "random trees on the labelled anomalies and few unlabelled rows",
    "second trees": "such trees on fewer suspicious rows, and on how unusual a row is",
    "best trees": "such trees with the best of all splits",
    "isolation": "how few random cuts set a row apart; without labels",
    "distance": "how far away other rows are; without labels",
    "white distance": "such a distance, correlated columns counting once; without labels",
    "local distance": "farther from its neighbours than they from theirs; without labels",
    "white local distance": "such a local distance, correlated columns once; without labels",
    "weighted distance": "such a distance, in the columns that the trees use",
    "weighted nearness": "nearer to a labelled anomaly than to others, in columns the trees use",
    "white nearness": "such nearness, correlated columns counting once",
    "white kernel": "smooth boundaries, correlated columns counting once",
    "linear": "a straight boundary",
}


class LabelsWarning(UserWarning):
    """The labels do not support what would be read from them, or a column gives them away."""


class AutoDetector(BaseDetector):
    """Several views of the rows, weighed by the labels there are. There is nothing to choose.

    Thirteen views score every row: bagged trees of three kinds, distances to unlabelled rows and
    to labelled anomalies in three metrics, kernels, straight boundaries, an isolation forest. Each
    says how anomalous the labelled anomalies would seem to it, had they not been labelled. What it
    says counts the more, the higher that is: with one label all stand near what was expected of
    them beforehand, with hundreds the labels decide. The score is the weighted mean, in normal
    scores of the unlabelled rows: 0 is a middling row, 3 is a row in a thousand.

    Not from the paper. Needs nothing beyond the core installation, and no sampler in front: the
    trees make their own pseudo-anomalies.

    Parameters
    ----------
    n_estimators : int, default=400
        Trees of each of the three forests: fewer are faster and a little worse. Nothing to tune.
    time_limit : float or None, default=None
        Seconds that `fit` may take. Fewer trees are grown, and views left out, where they would
        take longer; then the model depends on how fast the machine is. None lets it finish: some
        seconds for ten thousand rows.
    class_weight : dict, "balanced" or None, default=None
        Weight of an unlabelled row and of an anomaly in the trees, which have both in balance
        already, such as ``{0: 1, 1: 10}``. None leaves it at that.
    contamination : "auto" or float, default="auto"
        Share of anomalies among the unlabelled rows, in (0, 0.5], where you know it. Sets
        ``threshold_``, and the estimates rest on it. "auto" estimates it, and leans to too much
        where anomalies are rare and hard to tell.
    n_jobs : int or None, default=None
        Number of threads; the results do not depend on it. None takes all cores, negative values
        count back from all cores as in joblib.
    random_state : int, RandomState instance or None, default=None
        Seeds everything; None differs from run to run.
    verbose : bool, default=False
        Whether to show a progress bar.

    Attributes
    ----------
    summary_ : str
        What was done, and what came of it, in plain words.
    weights_ : dict of str to float
        How much each view counts, all together 1.
    evidence_ : dict of str to float
        Mean normal score that each view gives the labelled anomalies, expectation included.
    quality_ : sklearn.utils.Bunch
        How good the scores are as far as the labels tell: ``aucroc`` and ``aucpr`` with
        ``aucroc_interval`` and ``aucpr_interval`` (90 %), ``share`` (of anomalies among the
        unlabelled rows), ``n_labels`` (labelled anomalies that could be held out). NaN where
        nothing can be said.
    leaks_ : ndarray of shape (n_leaks,)
        Places of columns that seem to know the label.
    n_learned_ : tuple of two ints
        Unlabelled rows and labelled anomalies that it learned from.
    feature_importances_ : ndarray of shape (n_features_in_,)
        How much each column counts in the trees, all together 1.
    oob_ : ndarray of shape (n_samples,), bool
        Which of ``decision_scores_`` are as if the row had not been in training: all, but that of
        a single labelled anomaly.
    classes_ : ndarray of shape (2,)
        Always ``[0, 1]``: unlabelled, anomaly.
    n_features_in_ : int
        Number of columns seen by `fit`.
    feature_names_in_ : ndarray of shape (n_features_in_,)
        Names of the columns, when `fit` saw a data frame whose column names are all strings.
    decision_scores_ : ndarray of shape (n_samples,)
        Honest scores of the training rows.
    threshold_ : float
        Rows that score above it are called anomalies.
    labels_ : ndarray of shape (n_samples,)
        1 where ``decision_scores_ > threshold_``, else 0.

    Raises
    ------
    ValueError
        From `fit`, as :class:`~nngmix.detectors.base.BaseDetector` says.

    Warns
    -----
    LabelsWarning
        From `fit`, where the labels are too few or too contradictory to say how good the scores
        are, or where a column seems to know the label.

    See Also
    --------
    BaggedTrees : The most trusted of the views by itself, faster.

    Notes
    -----
    It learns from all labelled anomalies and at most 50 000 unlabelled rows, drawn at random, and
    scores them all. ``sample_weight`` guides which rows the trees and kernels draw, and how much
    an anomaly counts; rows of weight zero are left out.

    ``predict_proba`` is calibrated as far as the labels allow: the density of the labelled
    anomalies' scores times the estimated share, over that of all rows.

    Examples
    --------
    >>> import numpy as np
    >>> from nngmix.detectors import AutoDetector
    >>> rng = np.random.default_rng(0)
    >>> X = np.vstack([rng.normal(0.3, 0.1, (300, 2)), rng.normal(0.8, 0.1, (20, 2))])
    >>> y = np.arange(320) >= 310  # ten of the twenty anomalies are known
    >>> detector = AutoDetector(random_state=0).fit(X, y)
    >>> detector.decision_function([[0.3, 0.3], [0.8, 0.8]]) > 1
    array([False,  True])
    >>> detector.quality_.aucroc > 0.9
    True
    """

    makes_pseudo_anomalies = True
    # The more, the better (docs/auto.md), but each row that is scored is held against them.
    most_unlabelled = 50_000

    _parameter_constraints: ClassVar[dict[str, Any]] = {
        **BaseDetector._parameter_constraints,
        "n_estimators": [Interval(Integral, 2, None, closed="left")],
        "time_limit": [Interval(Real, 0, None, closed="neither"), None],
        "contamination": [StrOptions({"auto"}), Interval(Real, 0, 0.5, closed="right")],
        "n_jobs": N_JOBS,
    }

    def __init__(
        self,
        *,
        n_estimators: int = 400,
        time_limit: float | None = None,
        class_weight: dict[int, float] | Literal["balanced"] | None = None,
        contamination: float | Literal["auto"] = "auto",
        n_jobs: int | None = None,
        random_state: int | RandomState | None = None,
        verbose: bool = False,
    ) -> None:
        self.n_estimators = n_estimators
        self.time_limit = time_limit
        self.class_weight = class_weight
        self.contamination = contamination
        self.n_jobs = n_jobs
        self.random_state = random_state
        self.verbose = verbose

    def __sklearn_tags__(self) -> Any:
        """Let missing values in: trees have their own way with them, distances take the median."""
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = True
        return tags

    def explain(self, X: ArrayLike, *, n_typical: int = 5) -> NDArray[np.float64]:
        """Tell which columns drove the scores.

        A column's part in a row's score is what the score loses, on average, when the row takes
        that column's value from a typical row.

        Parameters
        ----------
        X : array-like or data frame of shape (n_samples, n_features)
            Rows with the columns that `fit` saw: few of them, for each is scored
            ``n_features * n_typical`` times.
        n_typical : int, default=5
            Typical rows to take values from: unlabelled rows with low scores, kept by `fit`, which
            keeps 20.

        Returns
        -------
        parts : ndarray of shape (n_samples, n_features)
            In the units of the score. They need not add up to it.

        Raises
        ------
        sklearn.exceptions.NotFittedError
            If the detector is not fitted.
        ValueError
            If the columns are not those of `fit`, or `n_typical` is not from 1 to 20.

        Examples
        --------
        >>> import numpy as np
        >>> from nngmix.detectors import AutoDetector
        >>> X = np.random.default_rng(0).random((200, 3))
        >>> X[:5, 1] += 3
        >>> detector = AutoDetector(random_state=0).fit(X, np.arange(200) < 5)
        >>> detector.explain(X[:1]).argmax()
        np.int64(1)
        """
        check_is_fitted(self)
        table = self._check_table(X, reset=False)
        if not 1 <= n_typical <= _TYPICAL:
            raise ValueError(f"n_typical must be from 1 to {_TYPICAL}; got {n_typical!r}.")
        typical = self.typical_[:n_typical]
        parts = np.empty(table.shape)
        for place, row in enumerate(table):
            varied = np.repeat(row[None], 1 + table.shape[1] * len(typical), axis=0)
            for column in range(table.shape[1]):
                start = 1 + column * len(typical)
                varied[start : start + len(typical), column] = typical[:, column]
            scores = self._scores(varied)
            parts[place] = scores[0] - scores[1:].reshape(table.shape[1], -1).mean(axis=1)
        return parts

    def _fit(
        self, X: NDArray[Any], y: NDArray[np.intp], sample_weight: NDArray[Any] | None
    ) -> None:
        self._refuse_beyond_single_precision(X)
        # In one order of memory, for sums along another round otherwise.
        X = np.ascontiguousarray(X)
        start = time.perf_counter()
        rng = np.random.default_rng(seed_from(self.random_state))
        weight = np.ones(len(X)) if sample_weight is None else sample_weight.astype(np.float64)
        anomalies = np.flatnonzero((y == 1) & (weight > 0))
        unlabelled = np.flatnonzero((y == 0) & (weight > 0))
        if len(unlabelled) > self.most_unlabelled:
            unlabelled = np.sort(rng.choice(unlabelled, self.most_unlabelled, replace=False))
        rest = np.setdiff1d(np.arange(len(X)), np.concatenate([unlabelled, anomalies]))
        n_trees = self._count_trees(X, y, weight, unlabelled, anomalies, len(rest), start)
        steps = len(TRUST) + len(_blocks(len(rest), X.shape[1]))
        with progress("AutoDetector", steps, self.verbose) as advance:
            with one_blas_thread:
                some = X, weight, unlabelled, anomalies
                lesson = self._learn(*some, n_trees, len(rest), rng, start, advance)
            self._weigh(lesson)
            self._honest = np.empty(len(X))
            ours, theirs = self._combine(lesson)
            self._honest[unlabelled], self._honest[anomalies] = ours, theirs
            for block in _blocks(len(rest), X.shape[1]):
                self._honest[rest[block]] = self._scores(X[rest[block]])
                advance()
        self._judge(X, unlabelled, anomalies)

    def _count_trees(
        self,
        X: NDArray[Any],
        y: NDArray[np.intp],
        weight: NDArray[Any],
        unlabelled: NDArray[np.intp],
        anomalies: NDArray[np.intp],
        n_rest: int,
        start: float,
    ) -> int:
        """Find how many trees a forest may have by the time limit: a few show what they cost."""
        if self.time_limit is None:
            return self.n_estimators
        places = np.concatenate([unlabelled, anomalies])
        few = BaggedTrees(n_estimators=10, n_jobs=self.n_jobs, random_state=0)
        few.fit(X[places], y[places], weight[places])
        fitted = time.perf_counter() - start
        again = time.perf_counter()
        some = places[:2000]
        few.decision_function(X[some])
        per_row = (time.perf_counter() - again) / len(some)
        per_tree = (fitted + per_row * n_rest) / 10
        fewest = min(10, self.n_estimators)
        return int(np.clip(0.25 * self.time_limit / per_tree, fewest, self.n_estimators))

    def _learn(
        self,
        X: NDArray[Any],
        weight: NDArray[np.float64],
        unlabelled: NDArray[np.intp],
        anomalies: NDArray[np.intp],
        n_trees: int,
        n_rest: int,
        rng: np.random.Generator,
        start: float,
        advance: Advance,
    ) -> Lesson:
        """Let each view learn that the time allows."""
        self.coordinates_ = Coordinates().fit(X[unlabelled])
        lesson = Lesson(
            unlabelled=self.coordinates_.transform(X[unlabelled]),
            anomalies=self.coordinates_.transform(X[anomalies]),
            weights=(weight[unlabelled], weight[anomalies]),
            seed=0,
            n_jobs=self._threads(),
            n_trees=n_trees,
            learned={},
            scores={},
        )
        views = make_views()
        seeds = rng.integers(2**31 - 100, size=len(views))
        self.n_trees_ = n_trees
        self.left_out_: list[str] = []
        longest = scoring = 0.0
        some = lesson.unlabelled.rows(slice(2000))
        for (name, view), seed in zip(views.items(), seeds, strict=True):
            begun = time.perf_counter()
            expected = begun - start + 1.5 * longest + scoring
            late = self.time_limit is not None and longest and expected > self.time_limit
            if late or not lesson.learned.keys() >= set(view.needs):
                self.left_out_.append(name)
                advance()
                continue
            lesson.seed = int(seed)
            found = view.learn(lesson)
            longest = max(longest, time.perf_counter() - begun)
            if self.time_limit is not None and n_rest:
                again, measured = time.perf_counter(), dict(some.surroundings)
                some.scores[name] = view.score(some)
                taken = (time.perf_counter() - again) * n_rest / len(some)
                if name != "trees" and expected + taken > self.time_limit:
                    # What it measured is not there for others to share, nor cheap for them.
                    some.surroundings = measured
                    del some.scores[name]
                    self.left_out_.append(name)
                    advance()
                    continue
                scoring += taken
            lesson.learned[name], lesson.scores[name] = view, found
            advance()
        return lesson

    def _weigh(self, lesson: Lesson) -> None:
        """Set what the score is made of: the views, their scales and their weights."""
        self.scales_ = {name: NormalScores().fit(ours) for name, (ours, _) in lesson.scores.items()}
        self.evidence_: dict[str, float] = {}
        weights: dict[str, float] = {}
        for name, (_, theirs) in lesson.scores.items():
            found = self.scales_[name].transform(theirs)
            weights[name], self.evidence_[name] = weigh(TRUST[name], found, lesson.weights[1])
        if not any(weights.values()):  # no view finds them: then all stand as expected
            n_labels = len(lesson.anomalies)
            weights = {name: TRUST[name].expect(n_labels) for name in weights}
        total = sum(weights.values())
        self.weights_ = {name: value / total for name, value in weights.items()}
        self.views_ = {name: lesson.learned[name] for name in weights if weights[name] > 0}
        self.feature_importances_ = lesson.learned["trees"].importances()

    def _combine(self, lesson: Lesson) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Combine the views' honest scores of the unlabelled rows and of the anomalies."""
        ours, theirs, weights = [], [], []
        for name, found in lesson.scores.items():
            normal = [self.scales_[name].transform(scores) for scores in found]
            ours.append(self.weights_[name] * normal[0])
            theirs.append(normal[1])
            weights.append(weigh_without(TRUST[name], normal[1], lesson.weights[1]))
        # The weights, too, are those that there would be without the anomaly.
        without = np.array(weights)
        nothing = ~without.any(axis=0)
        others = len(lesson.anomalies) - 1
        without[:, nothing] = np.array([[TRUST[name].expect(others)] for name in lesson.scores])
        without /= without.sum(axis=0)
        return np.sum(ours, axis=0), np.sum(without * np.array(theirs), axis=0)

    def _judge(
        self,
        X: NDArray[Any],
        unlabelled: NDArray[np.intp],
        anomalies: NDArray[np.intp],
    ) -> None:
        """Say how good it is, as far as the labels tell."""
        ours, theirs = self._honest[unlabelled], self._honest[anomalies]
        known = None if self.contamination == "auto" else float(self.contamination)
        quality = measure_quality(ours, theirs, known)
        self.quality_ = Bunch(**asdict(quality))
        self.probability_ = Probability().fit(ours, theirs, quality.share)
        low = unlabelled[np.argsort(ours, kind="stable")[: max(1, len(unlabelled) // 2)]]
        # Spread over the lower half, from low to middling.
        self.typical_ = X[low[np.linspace(0, len(low) - 1, _TYPICAL).astype(int)]]
        # In an order in which the first few are spread too.
        self.typical_ = self.typical_[np.random.default_rng(0).permutation(_TYPICAL)]
        self.leaks_ = np.array(find_leaks(X[unlabelled], X[anomalies]), dtype=np.intp)
        self.n_learned_ = (len(unlabelled), len(anomalies))
        self.summary_ = self.summarise()
        for doubt in self._doubts(self._names(None)):
            warnings.warn(doubt, LabelsWarning, stacklevel=5)

    def summarise(self, names: Sequence[str] | None = None) -> str:
        """Say what was done, and what came of it, in plain words.

        Parameters
        ----------
        names : sequence of str or None, default=None
            Names of the columns, for a detector that saw none (the last step of a pipeline). None
            takes those that `fit` saw.

        Returns
        -------
        str
            Lines of text: ``summary_``, if no names are given.

        Raises
        ------
        sklearn.exceptions.NotFittedError
            If the detector is not fitted.
        ValueError
            If there are not as many names as columns.

        Examples
        --------
        >>> import numpy as np
        >>> from nngmix.detectors import AutoDetector
        >>> X = np.random.default_rng(0).random((200, 2))
        >>> X[:8, 1] += 1
        >>> detector = AutoDetector(random_state=0).fit(X, np.arange(200) < 6)
        >>> print(detector.summarise(["amount", "age"]).splitlines()[0])
        Learned from 194 unlabelled rows and 6 labelled anomalies, 2 columns.
        """
        check_is_fitted(self)
        given = self._names(names)
        return "\n".join(
            [
                *self._tell_work(),
                *self._tell_importances(given),
                *_tell_quality(self.quality_),
                *(f"Warning: {doubt}" for doubt in self._doubts(given)),
            ]
        )

    def _names(self, names: Sequence[str] | None) -> list[str]:
        if names is None:
            names = getattr(self, "feature_names_in_", None)
        if names is None:
            return [f"column {place}" for place in range(self.n_features_in_)]
        if len(names) != self.n_features_in_:
            raise ValueError(
                f"names must be one for each of {self.n_features_in_} columns; got {len(names)}."
            )
        return [str(name) for name in names]

    def _tell_work(self) -> Iterator[str]:
        n_unlabelled, n_anomalies = self.n_learned_
        labels = (
            "one labelled anomaly" if n_anomalies == 1 else f"{n_anomalies:,} labelled anomalies"
        )
        rows = f"Learned from {n_unlabelled:,} unlabelled rows and {labels}"
        yield f"{rows}, {self.n_features_in_:,} columns."
        order = sorted(self.views_, key=lambda name: -self.weights_[name])
        yield f"The score is the mean of {len(order)} views, weighed by how high they put the"
        yield "labelled anomalies (in normal scores: 3 is as high as one row in a thousand):"
        for name in order:
            mean, weight = self.evidence_[name], self.weights_[name]
            yield f"  {weight:4.0%}  {name} ({mean:.1f}): {_WORDS[name]}"
        nothing = [name for name in self.weights_ if name not in self.views_]
        if nothing:
            yield f"Of no weight: {in_words(nothing, 12)}."
        if self.left_out_:
            yield f"Left out for the time limit: {in_words(self.left_out_, 12)}."
        if self.n_trees_ < self.n_estimators:
            fewer = f"{self.n_trees_} trees instead of {self.n_estimators}"
            yield f"Forests of {fewer}, for the time limit."

    def _tell_importances(self, names: list[str]) -> Iterator[str]:
        order = np.argsort(-self.feature_importances_, kind="stable")[:5]
        top = [f"{names[i]} ({self.feature_importances_[i]:.0%})" for i in order]
        yield f"The trees use most: {in_words(top)}."

    def _doubts(self, names: list[str]) -> Iterator[str]:
        """Say what speaks against believing the scores."""
        quality = self.quality_
        low, high = quality.aucroc_interval
        if quality.n_labels < _FEWEST:
            labels = "a single labelled anomaly" if quality.n_labels == 0 else "so few labels"
            yield (
                f"{labels} cannot show how good the scores are: label more anomalies, or look at "
                "the highest scores yourself."
            )
        elif low < 0.6:
            yield (
                "the labels do not show that the scores are better than chance: seen one by one, "
                f"the labelled anomalies score like other rows (AUCROC from {low:.2f} to "
                f"{high:.2f}). Are they anomalies of one kind, and do the columns show it?"
            )
        if len(self.leaks_):
            leaks = in_words([names[place] for place in self.leaks_])
            yield (
                "likely leak: hardly any unlabelled row has a value like the labelled anomalies' "
                f"in {leaks}. If that is filled in after a case is found, leave it out."
            )

    def _scores(self, X: NDArray[Any]) -> NDArray[Any]:
        self._refuse_beyond_single_precision(X)
        X = np.ascontiguousarray(X)
        scores = np.empty(len(X))
        with one_blas_thread:
            for block in _blocks(*X.shape):
                scores[block] = self._score_table(self.coordinates_.transform(X[block]))
        return scores

    def _score_table(self, table: Table) -> NDArray[np.float64]:
        parts = []
        for name, view in self.views_.items():
            table.scores[name] = view.score(table)
            parts.append(self.weights_[name] * self.scales_[name].transform(table.scores[name]))
        return np.sum(parts, axis=0)

    def _training_scores(self, X: NDArray[Any]) -> NDArray[Any]:
        scores = self._honest
        del self._honest
        self.oob_ = ~np.isnan(scores)
        if not self.oob_.all():
            scores[~self.oob_] = self._scores(X[~self.oob_])
        return scores

    def _probability(self, X: NDArray[Any]) -> NDArray[Any]:
        anomaly = self.probability_.transform(self._scores(X))
        return np.column_stack([1 - anomaly, anomaly])

    def _share(self) -> float:
        return float(self.quality_.share)


def _blocks(n_rows: int, n_columns: int) -> list[slice]:
    """Cut rows into blocks that are scored one at a time."""
    size = max(256, min(_BLOCK_ROWS, _BLOCK_CELLS // n_columns))
    return [slice(start, start + size) for start in range(0, n_rows, size)]


def _tell_quality(quality: Any) -> Iterator[str]:
    yield f"Anomalies among the unlabelled rows: about {quality.share:.2%}."
    if quality.n_labels == 0:
        yield "How good the scores are cannot be told from these labels."
        return
    for what, value, (low, high) in (
        ("AUCROC", quality.aucroc, quality.aucroc_interval),
        ("AUCPR", quality.aucpr, quality.aucpr_interval),
    ):
        yield f"Estimated {what}: {value:.2f}, likely (90 %) from {low:.2f} to {high:.2f}."


# Fewest labels for an estimate to be more than a hint.
_FEWEST = 5
# Typical rows that are kept, for explanations.
_TYPICAL = 20
