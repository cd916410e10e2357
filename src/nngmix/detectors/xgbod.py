"""XGBOD: boosted trees over a table and its unsupervised outlier scores."""

from numbers import Integral, Real
from typing import Any, ClassVar, Literal

import numpy as np
from numpy.random import RandomState
from numpy.typing import NDArray
from sklearn.utils._param_validation import Interval

from nngmix.detectors.base import N_JOBS, BaseDetector, seed_from
from nngmix.detectors.outlier_scores import N_STAGES, OutlierScores
from nngmix.detectors.progress import Advance, progress

# Rows whose scores are held at a time.
_BLOCK = 1 << 15


class XGBOD(BaseDetector):
    """XGBoost on the columns and on 41 unsupervised outlier scores made from them.

    PyOD's XGBOD with its default detectors and settings; with the defaults below it is the
    "XGBOD" of the paper's Section IV-A ([26] there) and tables. The scores are those of neighbour
    distances, local outlier factors, histograms, one-class SVMs and isolation forests. PyOD fits
    41 separate models to get them; here the work that they share is done once. Needs
    ``pip install 'nngmix[boost]'``.

    Parameters
    ----------
    n_estimators : int, default=100
        Number of boosted trees.
    max_depth : int, default=3
        Depth of each tree, at most.
    learning_rate : float, default=0.1
        Shrinkage of each tree, in (0, 1].
    class_weight : dict, "balanced" or None, default=None
        Weight of the unlabelled rows and of the anomalies in the boosting, such as
        ``{0: 1, 1: 10}``, a missing one being 1. "balanced" gives both classes the same total.
        None weighs all rows alike, as the paper does. The unsupervised scores know no weights.
    contamination : float, default=0.1
        Expected share of anomalies among the unlabelled rows, in (0, 0.5]. Sets ``threshold_``
        alone: the (1 - contamination) quantile of ``decision_scores_`` over the rows with
        ``y == 0``. PyOD's XGBOD has no threshold: its labels are XGBoost's classes.
    n_jobs : int or None, default=None
        Number of threads; the results do not depend on it. None takes all cores (in scikit-learn
        None often means one); negative values count back from all cores as in joblib. In a grid
        that runs in parallel already, give 1.
    random_state : int, RandomState instance or None, default=None
        Seeds the isolation forests. An int gives the results of PyOD's
        ``XGBOD(random_state=...)``; otherwise a seed is drawn, so None differs from run to run.
    verbose : bool, default=False
        Whether to show a progress bar over the stages of the scores and the boosted trees.

    Attributes
    ----------
    outlier_scores_ : OutlierScores
        What makes the unsupervised scores: plain arrays and scikit-learn objects.
    model_ : xgboost.XGBClassifier
        The boosted trees, on the columns of `X` and then the scores.
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
        From `fit`, when xgboost is not installed.
    ValueError
        When `X` holds a number that single precision cannot (beyond 3.4e38), which XGBoost works
        in; and as :class:`~nngmix.detectors.base.BaseDetector` says.

    See Also
    --------
    CatBoost : Boosted trees on the columns alone; takes missing values.

    Notes
    -----
    The score is the probability of the anomaly column, as PyOD's is and as in the published
    AUCROC.

    As in PyOD, no row is a neighbour of itself in training, but a training row that is scored
    later is. ``decision_scores_`` are scores of that later kind, as with every detector here:
    ``decision_function`` of the training rows. (PyOD's are of the first kind.)

    The unsupervised scores equal PyOD's to 1e-6, but for local outlier factors that rounding or
    the order of equally near neighbours decides there: rows on a grid, duplicates in more than 15
    columns. Equal rows are at distance 0 here.

    The one-class SVMs take time by the square of the number of training rows; up to 8192 rows they
    share one kernel matrix of at most 512 MB. Scoring takes some tens of megabytes, whatever the
    number of rows.

    Examples
    --------
    >>> import numpy as np
    >>> from nngmix.detectors import XGBOD
    >>> rng = np.random.default_rng(0)
    >>> X = np.vstack([rng.normal(0.3, 0.1, (200, 2)), rng.normal(0.8, 0.1, (20, 2))])
    >>> y = np.repeat([0, 1], [200, 20])
    >>> detector = XGBOD(random_state=0).fit(X, y)
    >>> detector.decision_function([[0.3, 0.3], [0.8, 0.8]]).round(1)
    array([0., 1.])
    >>> detector.predict([[0.3, 0.3], [0.8, 0.8]])
    array([0, 1])
    """

    #: How attributes that skops cannot hold are kept on disk.
    _formats: ClassVar[dict[str, str]] = {"model_": "ubj"}

    _parameter_constraints: ClassVar[dict[str, Any]] = {
        **BaseDetector._parameter_constraints,
        "n_estimators": [Interval(Integral, 1, None, closed="left")],
        "max_depth": [Interval(Integral, 1, None, closed="left")],
        "learning_rate": [Interval(Real, 0, 1, closed="right")],
        "n_jobs": N_JOBS,
    }

    def __init__(
        self,
        *,
        n_estimators: int = 100,
        max_depth: int = 3,
        learning_rate: float = 0.1,
        class_weight: dict[int, float] | Literal["balanced"] | None = None,
        contamination: float = 0.1,
        n_jobs: int | None = None,
        random_state: int | RandomState | None = None,
        verbose: bool = False,
    ) -> None:
        self.n_estimators = n_estimators
        self.max_depth = max_depth
        self.learning_rate = learning_rate
        self.class_weight = class_weight
        self.contamination = contamination
        self.n_jobs = n_jobs
        self.random_state = random_state
        self.verbose = verbose

    def _require(self) -> None:
        try:
            import xgboost  # noqa: F401
        except ImportError as error:
            raise ImportError(
                "XGBOD needs the xgboost package: pip install 'nngmix[boost]'"
            ) from error

    def _fit(
        self, X: NDArray[Any], y: NDArray[np.intp], sample_weight: NDArray[Any] | None
    ) -> None:
        from xgboost import XGBClassifier

        self._refuse_beyond_single_precision(X)
        seed = seed_from(self.random_state)
        self.outlier_scores_ = OutlierScores(n_jobs=self._threads(), random_state=seed)
        model = XGBClassifier(
            n_estimators=self.n_estimators,
            max_depth=self.max_depth,
            learning_rate=self.learning_rate,
            base_score=0.5,  # XGBoost's own default is the share of anomalies; PyOD's is this
            n_jobs=1,  # trees this small take longer to share than to grow, far longer on busy CPUs
            random_state=seed,
        )
        with progress("XGBOD", N_STAGES + self.n_estimators, self.verbose) as advance:
            scores = self.outlier_scores_.fit_transform(X, advance=advance)
            if self.verbose:
                model.set_params(callbacks=[_watcher(advance)])
            model.fit(np.hstack([X, scores]), y, sample_weight=sample_weight)
            model.set_params(callbacks=None)
        self.model_ = model

    def _scores(self, X: NDArray[Any]) -> NDArray[Any]:
        return self._probability(X)[:, 1]

    def _probability(self, X: NDArray[Any]) -> NDArray[Any]:
        self._refuse_beyond_single_precision(X)
        self.outlier_scores_.n_jobs = self._threads()
        probability = np.empty((len(X), 2), dtype=np.float32)
        for start in range(0, len(X), _BLOCK):
            block = X[start : start + _BLOCK]
            both = np.hstack([block, self.outlier_scores_.transform(block)])
            probability[start : start + _BLOCK] = self.model_.predict_proba(both)
        return probability


def _watcher(advance: Advance) -> Any:
    """Make a callback that XGBoost calls after each tree."""
    from xgboost.callback import TrainingCallback

    class Watcher(TrainingCallback):
        def after_iteration(self, model: Any, epoch: int, evals_log: Any) -> bool:
            advance()
            return False  # True would stop

    return Watcher()
