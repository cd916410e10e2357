"""CatBoost: gradient-boosted trees as a detector."""

from numbers import Integral, Real
from typing import Any, ClassVar, Literal

import numpy as np
from numpy.random import RandomState
from numpy.typing import NDArray
from sklearn.utils._param_validation import Interval

from nngmix.detectors.base import N_JOBS, BaseDetector, seed_from
from nngmix.detectors.progress import Advance, progress


class CatBoost(BaseDetector):
    """Boosted trees that tell labelled anomalies from unlabelled rows.

    :class:`catboost.CatBoostClassifier`; with the defaults below it is the "CatB" of the paper's
    Section IV-A and tables (Table I names it CatB [29]). Needs ``pip install 'nngmix[boost]'``.

    Parameters
    ----------
    iterations : int, default=1000
        Number of trees.
    learning_rate : float or None, default=None
        Shrinkage of each tree. None lets CatBoost choose it by the number of rows and trees.
    depth : int, default=6
        Depth of each tree, 1 to 16.
    class_weight : dict, "balanced" or None, default=None
        Weight of the unlabelled rows and of the anomalies in training, such as ``{0: 1, 1: 10}``,
        a missing one being 1. "balanced" gives both classes the same total. None weighs all rows
        alike, as the paper does.
    contamination : float, default=0.1
        Expected share of anomalies among the unlabelled rows, in (0, 0.5]. Sets ``threshold_``
        alone: the (1 - contamination) quantile of ``decision_scores_`` over the rows with
        ``y == 0``. PyOD's meaning, on unlabelled rows only, so that labelled anomalies and the
        pseudo-anomalies of a sampler do not move the threshold.
    n_jobs : int or None, default=None
        Number of threads; the results do not depend on it. None leaves it to CatBoost, which
        takes all cores (in scikit-learn None often means one); negative values count back from
        all cores as in joblib. In a grid that runs in parallel already, give 1.
    random_state : int, RandomState instance or None, default=None
        Seeds the training. An int gives the results of ``CatBoostClassifier(random_seed=...)``;
        otherwise a seed is drawn, so None differs from run to run.
    verbose : bool, default=False
        Whether to show a progress bar with the loss of the last tree.

    Attributes
    ----------
    model_ : catboost.CatBoostClassifier
        The trained trees.
    feature_importances_ : ndarray of shape (n_features_in_,)
        How much the score changes with each column, in percent of all.
    classes_ : ndarray of shape (2,)
        Always ``[0, 1]``: unlabelled, anomaly.
    n_features_in_ : int
        Number of columns seen by `fit`.
    feature_names_in_ : ndarray of shape (n_features_in_,)
        Names of the columns, when `fit` saw a data frame whose column names are all strings.
    decision_scores_ : ndarray of shape (n_samples,)
        Scores of the training rows.
    threshold_ : float
        Rows that score above it are called anomalies.
    labels_ : ndarray of shape (n_samples,)
        1 where ``decision_scores_ > threshold_``, else 0.

    Raises
    ------
    ImportError
        From `fit`, when catboost is not installed.
    ValueError
        From `fit`, when CatBoost cannot train on the rows (all columns are constant, for
        instance); and as :class:`~nngmix.detectors.base.BaseDetector` says.

    See Also
    --------
    MLP : A neural network.

    Notes
    -----
    The score is the raw sum of the trees, the log-odds of the anomaly class.

    NaN is allowed: CatBoost places it below every other value of its column, and can tell it from
    them where the training rows hold NaN in that column too.

    Examples
    --------
    >>> import numpy as np
    >>> from nngmix.detectors import CatBoost
    >>> rng = np.random.default_rng(0)
    >>> X = np.vstack([rng.normal(0.3, 0.1, (200, 2)), rng.normal(0.8, 0.1, (20, 2))])
    >>> y = np.repeat([0, 1], [200, 20])
    >>> detector = CatBoost(iterations=50, random_state=0).fit(X, y)
    >>> detector.predict_proba([[0.3, 0.3], [0.8, 0.8]])[:, 1].round(1)
    array([0. , 0.9])
    >>> detector.predict([[0.3, 0.3], [0.8, 0.8]])
    array([0, 1])
    """

    _formats: ClassVar[dict[str, str]] = {"model_": "cbm"}

    _parameter_constraints: ClassVar[dict[str, Any]] = {
        **BaseDetector._parameter_constraints,
        "iterations": [Interval(Integral, 1, None, closed="left")],
        "learning_rate": [Interval(Real, 0, None, closed="neither"), None],
        "depth": [Interval(Integral, 1, 16, closed="both")],
        "n_jobs": N_JOBS,
    }

    def __init__(
        self,
        *,
        iterations: int = 1000,
        learning_rate: float | None = None,
        depth: int = 6,
        class_weight: dict[int, float] | Literal["balanced"] | None = None,
        contamination: float = 0.1,
        n_jobs: int | None = None,
        random_state: int | RandomState | None = None,
        verbose: bool = False,
    ) -> None:
        self.iterations = iterations
        self.learning_rate = learning_rate
        self.depth = depth
        self.class_weight = class_weight
        self.contamination = contamination
        self.n_jobs = n_jobs
        self.random_state = random_state
        self.verbose = verbose

    def __sklearn_tags__(self) -> Any:
        """CatBoost has its own way with missing values."""
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = True
        return tags

    def _require(self) -> None:
        try:
            import catboost  # noqa: F401
        except ImportError as error:
            raise ImportError(
                "CatBoost needs the catboost package: pip install 'nngmix[boost]'"
            ) from error

    def _fit(
        self, X: NDArray[Any], y: NDArray[np.intp], sample_weight: NDArray[Any] | None
    ) -> None:
        from catboost import CatBoostClassifier, CatBoostError

        seed = seed_from(self.random_state)
        model = CatBoostClassifier(
            iterations=self.iterations,
            learning_rate=self.learning_rate,
            depth=self.depth,
            random_seed=seed,
            thread_count=self._threads(),
            verbose=False,
            allow_writing_files=False,  # otherwise each fit leaves a folder catboost_info behind
        )
        with progress("CatBoost", self.iterations, self.verbose) as advance:
            try:
                watcher = [_Watcher(advance)] if self.verbose else None
                model.fit(X, y, sample_weight=sample_weight, callbacks=watcher)
            except CatBoostError as error:
                raise ValueError(f"CatBoost cannot train: {error}") from error
        self.model_ = model
        self.feature_importances_ = model.get_feature_importance()

    def _scores(self, X: NDArray[Any]) -> NDArray[Any]:
        return self.model_.predict(X, prediction_type="RawFormulaVal", thread_count=self._threads())

    def _probability(self, X: NDArray[Any]) -> NDArray[Any]:
        return self.model_.predict_proba(X, thread_count=self._threads())


class _Watcher:
    """CatBoost calls this after each tree."""

    def __init__(self, advance: Advance) -> None:
        self.advance = advance

    def after_iteration(self, info: Any) -> bool:
        loss = info.metrics["learn"]["Logloss"][-1]
        self.advance(f"loss {loss:.4f}")
        return True
