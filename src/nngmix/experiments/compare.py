"""Which sampler and detector serve a table best, and whether its labels suffice to tell."""

import dataclasses
import time
import warnings
from collections.abc import Callable, Iterable, Mapping
from itertools import combinations, product
from typing import Any

import narwhals.stable.v1 as nw
import numpy as np
import pyarrow as pa
from joblib import Parallel, delayed
from numpy.typing import NDArray
from scipy import stats
from sklearn.metrics import average_precision_score, roc_auc_score
from sklearn.model_selection import RepeatedStratifiedKFold
from threadpoolctl import threadpool_limits

from nngmix.detectors import DETECTORS, LabelsWarning
from nngmix.encoding import table_pipeline
from nngmix.experiments.cells import BASELINE
from nngmix.sampling import SAMPLERS
from nngmix.sampling.labels import check_labels
from nngmix.sampling.table import Table

#: What is compared unless something else is named: few enough to wait for.
DEFAULT_SAMPLERS = (BASELINE, "Duplicate", "NNGMix", "Mixup")
DEFAULT_DETECTORS = ("AutoDetector", "MLP", "CatBoost")

_CONFIDENCE = 0.95


@dataclasses.dataclass(frozen=True)
class Standing:
    """How one pair of sampler and detector did.

    Attributes
    ----------
    sampler, detector : str
        The pair.
    average_precision : float
        Mean over all held-out folds.
    low, high : float
        Its 95 % interval, for this pair on its own.
    aucroc : float
        Mean area under the ROC curve.
    seconds : float
        Mean time of training and scoring, on one core.
    """

    sampler: str
    detector: str
    average_precision: float
    low: float
    high: float
    aucroc: float
    seconds: float

    @property
    def name(self) -> str:
        """The pair in words."""
        return _name(self.sampler, self.detector)


@dataclasses.dataclass(frozen=True)
class Difference:
    """How far a pair stays behind the best one, in average precision on the same folds.

    Attributes
    ----------
    sampler, detector : str
        The pair.
    mean : float
        The best pair's mean minus this one's.
    low, high : float
        Interval of the difference, corrected for the number of comparisons.
    p_value : float
        Corrected likewise.
    told_apart : bool
        Whether the interval leaves out zero.
    """

    sampler: str
    detector: str
    mean: float
    low: float
    high: float
    p_value: float
    told_apart: bool

    @property
    def name(self) -> str:
        """The pair in words."""
        return _name(self.sampler, self.detector)


@dataclasses.dataclass(frozen=True, eq=False)
class Comparison:
    """What :func:`compare` found.

    Attributes
    ----------
    scores : pyarrow.Table
        Every single result: columns repeat, fold, sampler, detector, average_precision, aucroc,
        seconds.
    standings : tuple of Standing
        The pairs, best first.
    differences : tuple of Difference
        The best pair against each other one, in the order of `standings`.
    n_anomalies, n_unlabelled : int
        Rows that were compared on.
    n_repeats, n_folds : int
        Of the cross-validation.
    notes : tuple of str
        What was done otherwise than asked: rows left out, fewer folds, detectors not installed.
    """

    scores: pa.Table
    standings: tuple[Standing, ...]
    differences: tuple[Difference, ...]
    n_anomalies: int
    n_unlabelled: int
    n_repeats: int
    n_folds: int
    notes: tuple[str, ...]

    @property
    def visible_difference(self) -> float | None:
        """The difference that this table's labels just show: the median half-width of intervals.

        None where nothing was compared, or all did exactly alike.
        """
        widths = [(d.high - d.low) / 2 for d in self.differences if d.high > d.low]
        return float(np.median(widths)) if widths else None

    @property
    def conclusion(self) -> str:
        """What it comes to, in plain words."""
        return " ".join(self._sentences())

    def _sentences(self) -> list[str]:
        best = self.standings[0]
        if not self.differences:
            return [
                f"{best.name}: average precision {_figure(best.average_precision)} "
                f"[{_figure(best.low)}, {_figure(best.high)}]. There was nothing to compare it "
                "with."
            ]
        told = [d for d in self.differences if d.told_apart]
        alike = [d for d in self.differences if not d.told_apart]
        said = [
            f"{best.name} {'does best' if told else 'comes out first'}: average precision "
            f"{_figure(best.average_precision)} [{_figure(best.low)}, {_figure(best.high)}]."
        ]
        if told:
            than = ", ".join(
                f"{d.name} by {_figure(d.mean)} [{_figure(d.low)}, {_figure(d.high)}]" for d in told
            )
            said.append(f"It is better than {than}.")
        if alike:
            names = _listed([d.name for d in alike])
            said.append(f"It cannot be told apart from {names}.")
        visible = self.visible_difference
        if alike and visible is not None:
            said.append(
                f"With {self.n_anomalies} labelled anomalies, differences below about "
                f"{_figure(visible)} cannot be seen on this table"
                + ("." if told else ": they are too few to tell which of these is best.")
            )
        control = next(
            (d for d in alike if d.sampler == "Duplicate" and d.detector == best.detector), None
        )
        if control is not None and best.sampler != BASELINE:
            said.append(
                f"Duplicate, which merely copies labelled anomalies, may do as well: that "
                f"{best.sampler}'s rows are worth more than copies is not shown."
            )
        return said


def compare(
    X: Any,
    y: Any,
    *,
    samplers: Iterable[str] | Mapping[str, Any] = DEFAULT_SAMPLERS,
    detectors: Iterable[str] | Mapping[str, Any] = DEFAULT_DETECTORS,
    multiplier: int = 10,
    n_repeats: int = 5,
    n_folds: int = 5,
    max_unlabelled: int | None = 5_000,
    categorical_features: Any = "dtype",
    random_state: int = 0,
    n_jobs: int | None = -1,
    progress: Callable[[int, int], None] | None = None,
) -> Comparison:
    """Compare pairs of sampler and detector on one table.

    Repeated stratified cross-validation: in each fold every pair is trained on the same rows,
    with only the labels there, and scores the same held-out rows. What counts is average
    precision, with the held-out labelled anomalies as positives.

    Parameters
    ----------
    X : array-like, or a pandas, polars or pyarrow table, of shape (n_rows, n_features)
        Numbers, booleans and categories; NaN or null where missing.
    y : array-like of shape (n_rows,)
        1 for a labelled anomaly, at least two of them; 0 for an unlabelled row.
    samplers : iterable of str, or mapping of str to sampler, default=DEFAULT_SAMPLERS
        Names in ``nngmix.sampling.SAMPLERS``, or "none". Or samplers by a name of your own; None
        in the place of one adds nothing.
    detectors : iterable of str, or mapping of str to detector, default=DEFAULT_DETECTORS
        Names in ``nngmix.detectors.DETECTORS``. Or by a name of your own detectors, or any
        scikit-learn classifiers with a ``decision_function``. A detector whose package is not
        installed is left out, with a note; one that makes its own pseudo-anomalies is compared
        without a sampler.
    multiplier : int, default=10
        Pseudo-anomalies for each labelled anomaly, for samplers given by name.
    n_repeats : int, default=5
        Times that the rows are shuffled and cut into folds.
    n_folds : int, default=5
        At least 2. Cut to the number of labelled anomalies where these are fewer.
    max_unlabelled : int or None, default=5000
        Unlabelled rows beyond it are left out, by chance. None keeps all.
    categorical_features : "dtype", "infer" or list of str or int, default="dtype"
        As in :class:`nngmix.TableEncoder`.
    random_state : int, default=0
        Fixes everything: which rows are left out, folds, samplers and detectors.
    n_jobs : int or None, default=-1
        Processes, in joblib's way of counting. The results (but for seconds) do not depend on it.
    progress : callable, default=None
        Called with the number of fits done and to do, after each.

    Returns
    -------
    Comparison

    Raises
    ------
    ImportError
        If no detector's package is installed.
    ValueError
        If there are fewer than two labelled anomalies or unlabelled rows, no such sampler or
        detector, a parameter is out of range, or a pair can't be trained on the table.

    Notes
    -----
    Unlabelled rows count as negatives, as there is nothing better to be had. Anomalies hidden
    among them lower the figures of all pairs, so a figure tells less than a difference. Rows that
    occur several times stand on both sides of a fold, and flatter whatever learns them by heart:
    drop copies first.

    Folds overlap in their training rows, so results from them are not independent, and the usual
    interval would be too narrow. The intervals are those of the corrected resampled t-test [1]_:
    with J differences from folds whose test rows are a share r of the training rows, the variance
    of their mean is taken to be (1/J + r) times their sample variance, with J - 1 degrees of
    freedom. The best pair is known only from the same results, so all pairs of pairs count as
    comparisons, and levels are corrected by Holm's step-down procedure [2]_.

    References
    ----------
    .. [1] C. Nadeau, Y. Bengio, "Inference for the Generalization Error", Machine Learning 52,
       2003.
    .. [2] S. Holm, "A Simple Sequentially Rejective Multiple Test Procedure", Scandinavian Journal
       of Statistics 6, 1979.

    Examples
    --------
    >>> from nngmix.datasets import load_builtin, make_split
    >>> from nngmix.experiments.compare import compare
    >>> data = load_builtin("wine")
    >>> split = make_split(data.data, data.target, label_ratio=1.0, seed=0)
    >>> found = compare(split.X_train, split.y_train, samplers=["none", "NNGMix"],
    ...     detectors=["MLP"], n_repeats=1, n_folds=2, n_jobs=1)
    >>> len(found.standings), len(found.differences), found.scores.num_rows
    (2, 1, 4)
    """
    n_rows = X.shape[0] if hasattr(X, "shape") else len(X)
    labels = check_labels(y, n_rows) == 1
    _check_count("n_repeats", n_repeats)
    _check_count("n_folds", n_folds, 2)
    _check_count("multiplier", multiplier)
    if max_unlabelled is not None:
        _check_count("max_unlabelled", max_unlabelled, 2)
    notes: list[str] = []
    methods = _samplers(samplers, multiplier)
    learners = _detectors(detectors, notes)
    # Trouble with a cell is told here, where rows have the numbers that the user knows.
    Table(X, categorical_features)
    kept = _keep(labels, max_unlabelled, random_state, notes)
    X, labels = _rows(X, kept), labels[kept]
    folds = _count_folds(labels, n_folds, notes)
    splitter = RepeatedStratifiedKFold(
        n_splits=folds, n_repeats=n_repeats, random_state=random_state
    )
    splits = list(splitter.split(np.zeros(len(labels)), labels))
    seeds = np.random.SeedSequence(random_state).generate_state(len(splits)) >> 1
    pairs = [
        (sampler, name)
        for name, learner in learners.items()
        for sampler in ([BASELINE] if _makes_its_own(learner) else methods)
    ]
    tasks = list(product(range(len(splits)), range(len(pairs))))
    runs = Parallel(n_jobs=n_jobs, return_as="generator")(
        delayed(_run)(
            table_pipeline(
                methods.get(pairs[p][0]),
                learners[pairs[p][1]],
                categorical_features=categorical_features,
            ),
            _name(*pairs[p]),
            X,
            labels,
            *splits[s],
            int(seeds[s]),
        )
        for s, p in tasks
    )
    found = np.empty((len(splits), len(pairs), 3))
    for done, ((s, p), numbers) in enumerate(zip(tasks, runs, strict=True), 1):
        found[s, p] = numbers
        if progress is not None:
            progress(done, len(tasks))
    standings, differences = _judge(pairs, found, 1 / (folds - 1))
    return Comparison(
        _as_table(pairs, found, folds),
        standings,
        differences,
        int(labels.sum()),
        int((~labels).sum()),
        n_repeats,
        folds,
        tuple(notes),
    )


def corrected_t(
    differences: NDArray[np.floating], test_by_train: float, *, level: float = _CONFIDENCE
) -> tuple[float, float, float]:
    """Nadeau and Bengio's corrected resampled t: interval and p-value of a mean over folds.

    Parameters
    ----------
    differences : ndarray of shape (n_folds_in_all,)
        At least two; one a fold.
    test_by_train : float
        Test rows by training rows: 1 / (k - 1) in k-fold cross-validation.
    level : float, default=0.95
        Of the interval.

    Returns
    -------
    low, high : float
        The interval of the mean.
    p_value : float
        Two-sided, of the mean being zero.

    Examples
    --------
    >>> import numpy as np
    >>> corrected_t(np.array([0.1, 0.2, 0.3, 0.2]), 1 / 3)
    (0.00..., 0.39..., 0.04...)
    """
    n = len(differences)
    mean = float(differences.mean())
    error = float(np.sqrt((1 / n + test_by_train) * differences.var(ddof=1)))
    # Methods that come to the very same scores, as copies do, have rounding for a spread.
    if error < 1e-12:
        return mean, mean, 1.0 if abs(mean) < 1e-12 else 0.0
    half = float(stats.t.ppf((1 + level) / 2, n - 1)) * error
    return mean - half, mean + half, float(2 * stats.t.sf(abs(mean) / error, n - 1))


def _run(
    model: Any,
    name: str,
    X: Any,
    labels: NDArray[np.bool_],
    train: NDArray[np.intp],
    test: NDArray[np.intp],
    seed: int,
) -> tuple[float, float, float]:
    start = time.perf_counter()
    known = model.get_params()
    for step in model.named_steps:
        # Fits run side by side: each keeps to one core.
        for key, value in (("random_state", seed), ("n_jobs", 1)):
            if f"{step}__{key}" in known:
                model.set_params(**{f"{step}__{key}": value})
    try:
        # Threads add numbers up in another order: with one, a fit comes to the same last digit
        # alone and beside others.
        with threadpool_limits(1), warnings.catch_warnings():
            # How well it does is measured here.
            warnings.simplefilter("ignore", LabelsWarning)
            model.fit(_rows(X, train), labels[train].astype(int))
            scores = np.asarray(model.decision_function(_rows(X, test)))
    except ValueError as error:
        raise ValueError(f"{name}: {error}") from None
    return (
        float(average_precision_score(labels[test], scores)),
        float(roc_auc_score(labels[test], scores)),
        time.perf_counter() - start,
    )


def _makes_its_own(detector: Any) -> bool:
    return getattr(detector, "makes_pseudo_anomalies", False)


def _rows(X: Any, places: NDArray[np.intp]) -> Any:
    if nw.dependencies.is_into_dataframe(X):
        return nw.from_native(X, eager_only=True)[places].to_native()
    return np.asarray(X)[places]


def _check_count(name: str, value: int, least: int = 1) -> None:
    if not isinstance(value, (int, np.integer)) or isinstance(value, bool) or value < least:
        raise ValueError(f"{name} must be a whole number of at least {least}; got {value!r}.")


def _samplers(given: Iterable[str] | Mapping[str, Any], multiplier: int) -> dict[str, Any]:
    if isinstance(given, Mapping):
        made = dict(given)
    else:
        names = list(dict.fromkeys(given))
        _check_names("samplers", names, [BASELINE, *SAMPLERS])
        made = {
            name: None if name == BASELINE else SAMPLERS[name](multiplier=multiplier)
            for name in names
        }
    if not made:
        raise ValueError("samplers is empty: name at least one, or 'none'.")
    return made


def _detectors(given: Iterable[str] | Mapping[str, Any], notes: list[str]) -> dict[str, Any]:
    if isinstance(given, Mapping):
        made = dict(given)
    else:
        names = list(dict.fromkeys(given))
        _check_names("detectors", names, list(DETECTORS))
        made = {name: DETECTORS[name]() for name in names}
    if not made:
        raise ValueError("detectors is empty: name at least one.")
    absent = []
    for name, detector in list(made.items()):
        try:
            getattr(detector, "_require", lambda: None)()
        except ImportError as error:
            absent.append(str(error))
            notes.append(f"{name} is left out: {error}")
            del made[name]
    if not made:
        raise ImportError("; ".join(absent))
    return made


def _check_names(what: str, names: list[str], known: list[str]) -> None:
    for name in names:
        if name not in known:
            raise ValueError(f"{what}: there is no {name!r}; there are {', '.join(known)}.")


def _keep(
    labels: NDArray[np.bool_], most: int | None, random_state: int, notes: list[str]
) -> NDArray[np.intp]:
    unlabelled = np.flatnonzero(~labels)
    if most is None or len(unlabelled) <= most:
        return np.arange(len(labels))
    rng = np.random.default_rng(random_state)
    chosen = rng.choice(unlabelled, most, replace=False)
    notes.append(note_draw(most, len(unlabelled)))
    return np.sort(np.concatenate([np.flatnonzero(labels), chosen]))


def note_draw(n_kept: int, n_unlabelled: int) -> str:
    """Say what it means that only some of the unlabelled rows were taken.

    Parameters
    ----------
    n_kept, n_unlabelled : int
        Unlabelled rows that were taken, and that there are.

    Returns
    -------
    str

    Examples
    --------
    >>> note_draw(5000, 10**6).partition(":")[0]
    '5,000 of 1,000,000 unlabelled rows were drawn by chance'
    """
    return (
        f"{n_kept:,} of {n_unlabelled:,} unlabelled rows were drawn by chance: anomalies are less "
        "rare among these than in the whole, so average precision is higher than it would be there."
    )


def _count_folds(labels: NDArray[np.bool_], wanted: int, notes: list[str]) -> int:
    n_anomalies, n_unlabelled = int(labels.sum()), int((~labels).sum())
    for n, what in ((n_anomalies, "labelled anomaly"), (n_unlabelled, "unlabelled row")):
        if n < 2:
            raise ValueError(
                f"y holds a single {what}: one is needed to train on and another to test on, so "
                "nothing can be compared."
            )
    folds = min(wanted, n_anomalies, n_unlabelled)
    if folds < wanted:
        fewest = "labelled anomalies" if n_anomalies <= n_unlabelled else "unlabelled rows"
        notes.append(f"{folds} folds instead of {wanted}: there are only {folds} {fewest}.")
    return folds


def _judge(
    pairs: list[tuple[str, str]], found: NDArray[np.float64], ratio: float
) -> tuple[tuple[Standing, ...], tuple[Difference, ...]]:
    """Sort the pairs, and test the best against each other one."""
    means = found.mean(axis=0)
    # Of equals, the one named first: earlier samplers are the simpler ones.
    order = np.argsort(-np.round(means[:, 0], 12), kind="stable")
    precision = found[:, order, 0]
    standings = []
    for place, p in enumerate(order):
        low, high, _ = corrected_t(precision[:, place], ratio)
        ap, aucroc, seconds = means[p].tolist()
        sampler, detector = pairs[p]
        standings.append(
            Standing(sampler, detector, ap, max(low, 0.0), min(high, 1.0), aucroc, seconds)
        )

    def ahead(a: int, b: int) -> NDArray[np.float64]:
        return precision[:, a] - precision[:, b]

    tests = list(combinations(range(len(order)), 2))
    raw = np.array([corrected_t(ahead(a, b), ratio)[2] for a, b in tests])
    adjusted, levels = _holm(raw)
    differences = []
    for (a, b), p_value, level in zip(tests, adjusted, levels, strict=True):
        if a > 0:
            break
        low, high, _ = corrected_t(ahead(a, b), ratio, level=level)
        mean = float(ahead(a, b).mean())
        told = bool(p_value < 1 - _CONFIDENCE)
        sampler, detector = pairs[order[b]]
        differences.append(Difference(sampler, detector, mean, low, high, float(p_value), told))
    return tuple(standings), tuple(differences)


def _holm(p_values: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Correct p-values by Holm's procedure; and give each the level of an interval to match.

    The k-th smallest of m is compared with alpha / (m - k + 1) until the first that is not below.
    From there on nothing is rejected, and intervals stay as wide as at that step.
    """
    m = len(p_values)
    alpha = 1 - _CONFIDENCE
    adjusted, levels = np.empty(m), np.empty(m)
    largest, steps_left, rejecting = 0.0, m, True
    for k, place in enumerate(np.argsort(p_values, kind="stable")):
        largest = max(largest, min(1.0, (m - k) * p_values[place]))
        if rejecting:
            steps_left = m - k
            rejecting = bool(largest < alpha)
        adjusted[place], levels[place] = largest, 1 - alpha / steps_left
    return adjusted, levels


def _as_table(pairs: list[tuple[str, str]], found: NDArray[np.float64], folds: int) -> pa.Table:
    n_splits, n_pairs, _ = found.shape
    split = np.repeat(np.arange(n_splits), n_pairs)
    samplers, detectors = zip(*pairs, strict=True)
    return pa.table(
        {
            "repeat": split // folds,
            "fold": split % folds,
            "sampler": list(samplers) * n_splits,
            "detector": list(detectors) * n_splits,
            **{
                name: np.ascontiguousarray(found[:, :, i]).ravel()
                for i, name in enumerate(("average_precision", "aucroc", "seconds"))
            },
        }
    )


def _name(sampler: str, detector: str) -> str:
    return f"{detector} alone" if sampler == BASELINE else f"{detector} with {sampler}"


def _figure(value: float) -> str:
    return f"{value:.2f}" if abs(value) >= 0.095 or abs(value) < 5e-4 else f"{value:.3f}"


def _listed(names: list[str]) -> str:
    return " or ".join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else names)
