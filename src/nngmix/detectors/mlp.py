"""MLP: scikit-learn's multi-layer perceptron as a detector."""

import contextlib
import io
import re
import warnings
from collections.abc import Iterator
from typing import Any, ClassVar, Literal

import numpy as np
from numpy.random import RandomState
from numpy.typing import NDArray
from sklearn.exceptions import ConvergenceWarning
from sklearn.neural_network import MLPClassifier

from nngmix.detectors.base import BaseDetector
from nngmix.detectors.progress import Advance, progress
from nngmix.shared_context import SharedContext

# What is handed on to MLPClassifier as it is: scikit-learn's names, meanings and bounds.
_HANDED_ON = (
    "hidden_layer_sizes",
    "alpha",
    "batch_size",
    "learning_rate_init",
    "max_iter",
    "early_stopping",
    "random_state",
    "verbose",
)


class MLP(BaseDetector):
    """A multi-layer perceptron that tells labelled anomalies from unlabelled rows.

    scikit-learn's :class:`~sklearn.neural_network.MLPClassifier`; with the defaults below it is
    the "MLP" of the paper's Section IV-A and tables (Table I names it MLP [27]).

    Parameters
    ----------
    hidden_layer_sizes : array-like of int, default=(100,)
        Number of units in each hidden layer.
    alpha : float, default=1e-4
        Strength of the L2 penalty.
    batch_size : int or "auto", default="auto"
        Rows in a training step. "auto" takes 200, or all rows where there are fewer.
    learning_rate_init : float, default=1e-3
        Step size of the Adam optimiser.
    max_iter : int, default=200
        Passes over the training rows, at most. Training stops earlier when the loss no longer
        falls. Reaching the limit is the rule with the paper's settings, so scikit-learn's
        ``ConvergenceWarning`` is suppressed: compare ``n_iter_`` with `max_iter` or look at
        ``loss_curve_`` to see it.
    early_stopping : bool, default=False
        Whether to hold out a stratified tenth of the training rows and stop when the accuracy on
        it no longer rises. Needs two labelled anomalies or more. With few of them accuracy says
        little.
    class_weight : dict, "balanced" or None, default=None
        Weight of the unlabelled rows and of the anomalies in training, such as ``{0: 1, 1: 10}``,
        a missing one being 1. "balanced" gives both classes the same total. None weighs all rows
        alike, as the paper does.
    contamination : float, default=0.1
        Expected share of anomalies among the unlabelled rows, in (0, 0.5]. Sets ``threshold_``
        alone: the (1 - contamination) quantile of ``decision_scores_`` over the rows with
        ``y == 0``. PyOD's meaning, on unlabelled rows only, so that labelled anomalies and the
        pseudo-anomalies of a sampler do not move the threshold.
    random_state : int, RandomState instance or None, default=None
        Seeds the initial weights, the order of rows and the split of `early_stopping`. An int
        gives the results of ``MLPClassifier(random_state=...)``.
    verbose : bool, default=False
        Whether to show a progress bar with the loss of the last pass.

    Attributes
    ----------
    model_ : MLPClassifier
        The trained network.
    n_iter_ : int
        Passes over the training rows made.
    loss_curve_ : list of float
        Training loss after each pass.
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
    ValueError
        As :class:`~nngmix.detectors.base.BaseDetector` says.

    See Also
    --------
    CatBoost : Boosted trees; takes missing values and needs no scaling.

    Notes
    -----
    The score is the probability of the anomaly column, as in the published AUCROC. Far from the
    boundary it rounds to exactly 0 or 1, so such rows tie.

    The network sees columns as they come: scale them first, as the paper does (to [0, 1]).
    float32 rows are trained on and scored in float32.

    Examples
    --------
    >>> import numpy as np
    >>> from nngmix.detectors import MLP
    >>> rng = np.random.default_rng(0)
    >>> X = np.vstack([rng.normal(0.3, 0.1, (200, 2)), rng.normal(0.8, 0.1, (20, 2))])
    >>> y = np.repeat([0, 1], [200, 20])
    >>> detector = MLP(random_state=0).fit(X, y)
    >>> detector.decision_function([[0.3, 0.3], [0.8, 0.8]]).round(1)
    array([0. , 0.7])
    >>> detector.predict([[0.3, 0.3], [0.8, 0.8]])
    array([0, 1])
    """

    _parameter_constraints: ClassVar[dict[str, Any]] = {
        **BaseDetector._parameter_constraints,
        **{name: MLPClassifier._parameter_constraints[name] for name in _HANDED_ON},
        "verbose": ["boolean"],  # MLPClassifier's own constraint takes numbers as well
    }

    def __init__(
        self,
        *,
        hidden_layer_sizes: Any = (100,),
        alpha: float = 1e-4,
        batch_size: int | Literal["auto"] = "auto",
        learning_rate_init: float = 1e-3,
        max_iter: int = 200,
        early_stopping: bool = False,
        class_weight: dict[int, float] | Literal["balanced"] | None = None,
        contamination: float = 0.1,
        random_state: int | RandomState | None = None,
        verbose: bool = False,
    ) -> None:
        self.hidden_layer_sizes = hidden_layer_sizes
        self.alpha = alpha
        self.batch_size = batch_size
        self.learning_rate_init = learning_rate_init
        self.max_iter = max_iter
        self.early_stopping = early_stopping
        self.class_weight = class_weight
        self.contamination = contamination
        self.random_state = random_state
        self.verbose = verbose

    def _fit(
        self, X: NDArray[Any], y: NDArray[np.intp], sample_weight: NDArray[Any] | None
    ) -> None:
        model = MLPClassifier(**{name: getattr(self, name) for name in _HANDED_ON})
        with (
            _warnings_changed,
            progress("MLP", self.max_iter, self.verbose) as advance,
            contextlib.redirect_stdout(_Losses(advance))
            if self.verbose
            else contextlib.nullcontext(),
        ):
            try:
                model.fit(X, y, sample_weight=sample_weight)
            except UserWarning as warning:
                if str(warning).startswith(_INTERRUPTED):
                    raise KeyboardInterrupt(_INTERRUPTED) from None
                raise
        self.model_ = model
        self.n_iter_ = model.n_iter_
        self.loss_curve_ = model.loss_curve_

    def _scores(self, X: NDArray[Any]) -> NDArray[Any]:
        return self._probability(X)[:, 1]

    def _probability(self, X: NDArray[Any]) -> NDArray[Any]:
        return self.model_.predict_proba(X)


# MLPClassifier answers Ctrl-C with this warning and a half-trained network.
_INTERRUPTED = "Training interrupted by user"


@contextlib.contextmanager
def _change_warnings() -> Iterator[None]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        warnings.filterwarnings("error", _INTERRUPTED, UserWarning)
        yield


# Filters of warnings are the process's.
_warnings_changed = SharedContext(_change_warnings)


class _Losses(io.TextIOBase):
    """Standard output while MLPClassifier trains: the losses that it prints move the bar."""

    def __init__(self, advance: Advance) -> None:
        self.advance = advance

    def write(self, text: str) -> int:
        for loss in re.findall(r"loss = (\S+)", text):
            self.advance(f"loss {float(loss):.4f}")
        return len(text)
