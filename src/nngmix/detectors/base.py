"""What every detector shares: the checks on what comes in, the threshold, the fitted attributes."""

from collections.abc import Callable, Hashable, Iterable
from copy import copy
from numbers import Integral, Real
from typing import Any, ClassVar, Literal, Self

import narwhals as nw
import numpy as np
from joblib import effective_n_jobs
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.utils import (
    check_array,
    check_consistent_length,
    check_random_state,
    column_or_1d,
    get_tags,
)
from sklearn.utils._param_validation import Interval, StrOptions
from sklearn.utils.class_weight import compute_sample_weight
from sklearn.utils.metaestimators import available_if
from sklearn.utils.validation import check_is_fitted, validate_data

#: What `n_jobs` may be, in the detectors that have one.
N_JOBS = [
    Interval(Integral, 1, None, closed="left"),
    Interval(Integral, None, -1, closed="right"),
    None,
]

#: Rows and weights stay in the precision they came in, when it is one of these two.
_FLOATS = (np.float64, np.float32)


class BaseDetector(ClassifierMixin, BaseEstimator):
    """The contract of every detector, and the template that a new one fills in.

    A subclass writes a keyword-only constructor with at least ``class_weight``,
    ``contamination``, ``random_state`` and ``verbose``, extends ``_parameter_constraints`` with
    the rest of its parameters, and implements

    - ``_fit(X, y, sample_weight)``: train, and set the attributes of its own (names end in "_");
    - ``_scores(X)``: one score a row, higher = more anomalous;
    - ``_probability(X)``: two columns, unlabelled and anomaly. Optional: without it there is no
      ``predict_proba``;
    - ``_training_scores(X)``: scores of the training rows, where they are to be others than
      ``_scores(X)`` of the same rows, such as out-of-bag scores. Called once, after ``_fit``, with
      the same `X`. Optional;
    - ``_share()``: the share of the unlabelled rows that ``threshold_`` leaves above it, where it
      is not simply `contamination`. Called after ``_fit``. Optional;
    - ``_require()``: raise an ImportError that names the missing extra. Optional;
    - ``_formats``: which fitted attributes :func:`nngmix.save` keeps in a format of their own,
      by name: "cbm" (CatBoost), "ubj" (XGBoost) or "safetensors" (a network, for which the
      detector also has ``_build_network()``: a module of the fitted one's shape). Optional.

    These get a checked table: 2-D, float64 or float32, finite but for NaN where the tag
    ``input_tags.allow_nan`` is set; `y` of integers 0 and 1; `sample_weight` None or one
    non-negative number a row.

    Attributes
    ----------
    classes_ : ndarray of shape (2,)
        Always ``[0, 1]``: unlabelled, anomaly.
    n_features_in_ : int
        Number of columns seen by `fit`.
    feature_names_in_ : ndarray of shape (n_features_in_,)
        Names of the columns, when `fit` saw a data frame whose column names are all strings.
    decision_scores_ : ndarray of shape (n_samples,)
        Scores of the training rows, in their order.
    threshold_ : float
        Rows that score above it are called anomalies.
    labels_ : ndarray of shape (n_samples,)
        1 where ``decision_scores_ > threshold_``, else 0.

    Notes
    -----
    `contamination`, ``threshold_`` and ``labels_`` mean what they mean in PyOD, with one
    difference: the quantile is taken over the unlabelled rows only. Labelled anomalies and the
    pseudo-anomalies that a sampler adds are no sample of the rows to be scored, and counting them
    would make the threshold depend on how many were added. The unlabelled rows are training rows
    all the same: a detector that fits them closely sets a low threshold, and where it matters the
    threshold is better chosen on rows held out.

    A fit that does not finish, for whatever reason, leaves the detector unfitted, even where it
    was fitted before.
    """

    _parameter_constraints: ClassVar[dict[str, Any]] = {
        "class_weight": [dict, StrOptions({"balanced"}), None],
        "contamination": [Interval(Real, 0, 0.5, closed="right")],
        "random_state": ["random_state"],
        "verbose": ["boolean"],
    }

    _formats: ClassVar[dict[str, str]] = {}

    #: Whether it makes pseudo-anomalies of its own, and is better off without a sampler's in front.
    makes_pseudo_anomalies: ClassVar[bool] = False

    #: Unlabelled rows that it learns from, at most, however many there are; None sets no limit.
    most_unlabelled: ClassVar[int | None] = None

    class_weight: dict[int, float] | Literal["balanced"] | None
    contamination: float | Literal["auto"]
    n_jobs: int | None
    # Only declared: `predict_proba` exists where a subclass defines it.
    _probability: Callable[[NDArray[Any]], NDArray[Any]]

    def fit(self, X: ArrayLike, y: ArrayLike, sample_weight: ArrayLike | None = None) -> Self:
        """Train on labelled anomalies and unlabelled rows.

        Parameters
        ----------
        X : array-like or data frame (pandas, polars, pyarrow) of shape (n_samples, n_features)
            The training rows: numeric and finite. A detector with the tag
            ``input_tags.allow_nan`` (CatBoost, BaggedTrees) also takes NaN.
        y : array-like of shape (n_samples,)
            1 (or True) for a labelled anomaly or a pseudo-anomaly, 0 (or False) for an unlabelled
            row. Both must occur.
        sample_weight : array-like of shape (n_samples,), default=None
            Non-negative weight of each row in training, on top of `class_weight`. None weighs all
            rows alike.

        Returns
        -------
        self : BaseDetector
            The fitted detector.

        Raises
        ------
        ImportError
            If the package that the detector wraps is not installed.
        ValueError
            If a parameter, `X`, `y` or `sample_weight` is not as described above.
        """
        self._require()
        # Train a copy, then take over its attributes in one step: whatever stops the training,
        # Ctrl-C included, there is never half a fit, nor a mix of an old one and a new one.
        self.__dict__ = {
            name: value for name, value in self.__dict__.items() if not name.endswith("_")
        }
        trained = copy(self)
        trained._train(X, y, sample_weight)
        self.__dict__.update(trained.__dict__)
        return self

    def decision_function(self, X: ArrayLike) -> NDArray[np.float64]:
        """Score rows: the higher, the more anomalous.

        Parameters
        ----------
        X : array-like or data frame of shape (n_samples, n_features)
            Rows with the columns that `fit` saw, in the same order.

        Returns
        -------
        scores : ndarray of shape (n_samples,)
            One score a row.

        Raises
        ------
        sklearn.exceptions.NotFittedError
            If the detector is not fitted.
        ValueError
            If the columns are not those of `fit`, or a value is not one that `fit` takes.
        """
        check_is_fitted(self)
        return np.asarray(self._scores(self._check_table(X, reset=False)), dtype=np.float64)

    @available_if(lambda self: hasattr(self, "_probability"))
    def predict_proba(self, X: ArrayLike) -> NDArray[Any]:
        """Probability of being unlabelled and of being an anomaly, by the wrapped method's account.

        Parameters
        ----------
        X : array-like or data frame of shape (n_samples, n_features)
            Rows with the columns that `fit` saw, in the same order.

        Returns
        -------
        probability : ndarray of shape (n_samples, 2)
            Columns in the order of ``classes_``: unlabelled, anomaly. The model learned to tell
            labelled rows from unlabelled ones, in the proportion it was shown: as a probability
            of being anomalous it is not calibrated.

        Raises
        ------
        sklearn.exceptions.NotFittedError
            If the detector is not fitted.
        ValueError
            If the columns are not those of `fit`, or a value is not one that `fit` takes.
        """
        check_is_fitted(self)
        return self._probability(self._check_table(X, reset=False))

    def predict(self, X: ArrayLike) -> NDArray[np.intp]:
        """Call rows anomalies where they score above ``threshold_``.

        Parameters
        ----------
        X : array-like or data frame of shape (n_samples, n_features)
            Rows with the columns that `fit` saw, in the same order.

        Returns
        -------
        labels : ndarray of shape (n_samples,)
            1 where ``decision_function(X) > threshold_``, else 0. The threshold follows from
            `contamination`, so this need not agree with ``predict_proba(X)[:, 1] > 0.5``.

        Raises
        ------
        sklearn.exceptions.NotFittedError
            If the detector is not fitted.
        ValueError
            If the columns are not those of `fit`, or a value is not one that `fit` takes.
        """
        scores = self.decision_function(X)
        return (scores > self.threshold_).astype(np.intp)

    def __sklearn_tags__(self) -> Any:
        """Two classes, no more: anomaly and unlabelled."""
        tags = super().__sklearn_tags__()
        tags.classifier_tags.multi_class = False
        return tags

    def _threads(self) -> int:
        """Count the threads that `n_jobs` asks for; None asks for all cores."""
        return effective_n_jobs(-1 if self.n_jobs is None else self.n_jobs)

    def _require(self) -> None:
        """Raise ImportError where a package that the detector wraps is missing."""

    def _fit(
        self, X: NDArray[Any], y: NDArray[np.intp], sample_weight: NDArray[Any] | None
    ) -> None:
        raise NotImplementedError

    def _scores(self, X: NDArray[Any]) -> NDArray[Any]:
        raise NotImplementedError

    def _training_scores(self, X: NDArray[Any]) -> NDArray[Any]:
        """Score the rows that the detector was just trained on."""
        return self._scores(X)

    def _share(self) -> float:
        """Tell the share of the unlabelled rows that are to be called anomalies."""
        return float(self.contamination)

    def _train(self, X: ArrayLike, y: ArrayLike, sample_weight: ArrayLike | None) -> None:
        """Check everything, train, and set every fitted attribute."""
        self._validate_params()
        X = self._check_table(X, reset=True)
        y = _check_labels(y, type(self).__name__)
        check_consistent_length(X, y)
        unlabelled = y == 0
        if unlabelled.all() or not unlabelled.any():
            absent = "labelled anomaly (no 1)" if unlabelled.all() else "unlabelled row (no 0)"
            raise ValueError(
                f"y holds no {absent}: training needs rows of both kinds, and this y has one "
                "class only."
            )
        if sample_weight is not None:
            sample_weight = _check_weights(sample_weight, y)
        if self.class_weight is not None:
            of_class = _class_weights(self.class_weight, y)
            sample_weight = of_class if sample_weight is None else of_class * sample_weight
        self._fit(X, y, sample_weight)
        self.classes_ = np.array([0, 1])
        self.decision_scores_ = np.asarray(self._training_scores(X), dtype=np.float64)
        self.threshold_ = float(np.quantile(self.decision_scores_[unlabelled], 1 - self._share()))
        self.labels_ = (self.decision_scores_ > self.threshold_).astype(np.intp)

    def _check_table(self, X: ArrayLike, *, reset: bool) -> NDArray[Any]:
        """Return X as a checked array; `reset` sets the columns' number and names, else checks."""
        _refuse_text_columns(X)
        try:
            table = validate_data(self, X, dtype="numeric", ensure_all_finite=False, reset=reset)
            if table.dtype.kind == "O":  # lists that hold None, columns that are all null
                table = table.astype(np.float64)
        except (TypeError, ValueError) as error:
            # NumPy names the value that it cannot read, not the column that holds it.
            column = _unreadable_column(X)
            if column is None:
                raise
            kind = TypeError if isinstance(error, TypeError) else ValueError
            raise kind(f"Column {column!r} of X is not numeric: {error}") from error
        if table.dtype.kind not in "biuf":
            raise ValueError(f"X is not numeric: its dtype is {table.dtype}.")
        if table.dtype not in _FLOATS:
            table = table.astype(np.float64)
        self._refuse_infinite_and_missing(table)
        return table

    def _refuse_infinite_and_missing(self, X: NDArray[Any]) -> None:
        with np.errstate(all="ignore"):
            # One pass without a mask as large as X: a finite sum has only finite terms.
            if np.isfinite(X.sum()):
                return
        name = type(self).__name__
        columns = getattr(self, "feature_names_in_", range(X.shape[1]))
        infinite = np.isinf(X).any(axis=0)
        if infinite.any():
            raise ValueError(
                f"X holds an infinite value in column {_listed(columns, infinite)}: {name} takes "
                "finite values only. Correct the value or leave out the row."
            )
        missing = np.isnan(X).any(axis=0)
        if missing.any() and not get_tags(self).input_tags.allow_nan:
            raise ValueError(
                f"X holds NaN in column {_listed(columns, missing)}: {name} takes no missing "
                "values. Fill them in first, for example with sklearn.impute.SimpleImputer in the "
                "pipeline, or use AutoDetector or CatBoost, which take them as they are."
            )

    def _refuse_beyond_single_precision(self, X: NDArray[Any]) -> None:
        """For detectors that compute in single precision."""
        largest = np.finfo(np.float32).max
        if X.dtype == np.float32 or len(X) == 0:
            return
        # These pass over NaN.
        high, low = np.fmax.reduce(X, axis=None), np.fmin.reduce(X, axis=None)
        if not (high > largest or low < -largest):
            return
        columns = getattr(self, "feature_names_in_", range(X.shape[1]))
        raise ValueError(
            f"X holds a value beyond {largest:.2g} in column "
            f"{_listed(columns, (np.abs(X) > largest).any(axis=0))}: {type(self).__name__} "
            "computes in single precision. Correct the value, or scale the columns first, for "
            "example with sklearn.preprocessing.MinMaxScaler."
        )


def seed_from(random_state: Any) -> int:
    """Turn scikit-learn's ``random_state`` into one seed for another library.

    Parameters
    ----------
    random_state : int, RandomState instance or None
        An int is the seed; from anything else one is drawn.

    Returns
    -------
    int
        At least 0.

    Examples
    --------
    >>> seed_from(7)
    7
    """
    if isinstance(random_state, Integral):
        return int(random_state)
    return int(check_random_state(random_state).randint(np.iinfo(np.int32).max))


def _listed(columns: Iterable[Any], mask: NDArray[np.bool_]) -> str:
    """Name the first three of the columns that the mask marks."""
    marked = [column for column, hit in zip(columns, mask, strict=True) if hit]
    more = f" and {len(marked) - 3} more" if len(marked) > 3 else ""
    return ", ".join(map(repr, marked[:3])) + more


def _refuse_text_columns(X: Any) -> None:
    """Refuse data frames with text, category or date columns, some of which NumPy would parse."""
    if not nw.dependencies.is_into_dataframe(X):
        return
    try:
        schema = nw.from_native(X, eager_only=True).schema
    except nw.exceptions.DuplicateError as error:
        raise ValueError(f"X has two columns of one name. {error}") from error
    for column, dtype in schema.items():
        # Object and Unknown columns may well hold numbers: their values decide, later.
        if not (dtype.is_numeric() or dtype in (nw.Boolean, nw.Object, nw.Unknown)):
            raise ValueError(
                f"Column {column!r} of X is not numeric but {dtype}: leave it out or encode it "
                "as numbers."
            )


def _unreadable_column(X: Any) -> Hashable | None:
    """Name the first column that does not convert to float, None when that is not the trouble."""
    columns: Iterable[tuple[Hashable, Any]]
    if nw.dependencies.is_into_dataframe(X):
        frame = nw.from_native(X, eager_only=True)
        columns = ((series.name, series.to_numpy()) for series in frame.iter_columns())
    else:
        try:
            values = np.asarray(X) if hasattr(X, "dtype") else np.asarray(X, dtype=object)
        except (TypeError, ValueError):
            return None
        if values.ndim != 2 or values.dtype.kind != "O":
            return None
        columns = enumerate(values.T)
    for column, content in columns:
        try:
            np.asarray(content).astype(np.float64)
        except (TypeError, ValueError):
            return column
    return None


def _check_labels(y: Any, name: str) -> NDArray[np.intp]:
    if y is None:
        raise ValueError(f"{name} requires y to be passed, but the target y is None.")
    y = column_or_1d(y, warn=True)
    if y.dtype.kind in "biuf":
        known = (y == 0) | (y == 1)
    else:
        # Value by value, for NumPy would find the number 1 equal to the text "1" here and there.
        known = np.array([isinstance(v, (Real, np.bool_)) and v in (0, 1) for v in y], dtype=bool)
    if not known.all():
        strange = list(dict.fromkeys(map(repr, y[~known].tolist())))
        more = ", ..." if len(strange) > 3 else ""
        # The first and the last words are those that scikit-learn's own classifiers use.
        raise ValueError(
            f"Unknown label type: y holds {', '.join(strange[:3])}{more}. y must be 1 for a "
            "labelled anomaly and 0 for an unlabelled row. Only binary classification is supported."
        )
    return y.astype(np.intp)


def _class_weights(
    class_weight: dict[int, float] | Literal["balanced"], y: NDArray[np.intp]
) -> NDArray[np.float64]:
    if isinstance(class_weight, dict):
        for label, weight in class_weight.items():
            # scikit-learn would take NaN and negative numbers as they are.
            if label not in (0, 1) or not (isinstance(weight, Real) and 0 < weight < np.inf):
                raise ValueError(
                    "class_weight must give 0 (unlabelled) and 1 (anomaly) weights above zero, "
                    f"such as {{0: 1, 1: 10}}; it holds {label!r}: {weight!r}."
                )
    return compute_sample_weight(class_weight, y)


def _check_weights(sample_weight: ArrayLike, y: NDArray[np.intp]) -> NDArray[Any]:
    weights = check_array(
        np.atleast_1d(np.asarray(sample_weight)),
        ensure_2d=False,
        dtype=_FLOATS,
        input_name="sample_weight",
    )
    if weights.shape != y.shape:
        raise ValueError(
            f"sample_weight has shape {weights.shape}, expected {y.shape}: one weight a row of X."
        )
    if (weights < 0).any():
        raise ValueError(f"sample_weight holds a negative value: {weights.min()}.")
    for label, kind in ((1, "labelled anomaly"), (0, "unlabelled row")):
        if not weights[y == label].any():
            raise ValueError(
                f"sample_weight is zero on every {kind}: training needs a weight above zero in "
                "each class."
            )
    return weights
