"""DeepSAD: a network that draws unlabelled rows to a centre and pushes labelled anomalies off."""

import math
from collections.abc import Callable
from itertools import pairwise
from numbers import Integral, Real
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import numpy as np
from numpy.random import RandomState
from numpy.typing import NDArray
from sklearn.utils._param_validation import Interval

from nngmix.detectors.base import seed_from
from nngmix.detectors.layer_stack import SLOPE, LayerStack
from nngmix.detectors.network import NetworkDetector, TrainingRows
from nngmix.detectors.progress import Advance, progress

if TYPE_CHECKING:
    import torch

# Keeps the inverse of a distance finite.
_EPS = 1e-6


class DeepSAD(NetworkDetector):
    """Deep semi-supervised anomaly detection: distance to a centre in a learned space.

    A network without biases maps a row to a short code. It is trained so that unlabelled rows
    come to lie near a fixed centre and labelled anomalies far from it; a row's score is its
    squared distance to the centre. "DeepSAD" of the paper's Section IV-A ([21] there) and
    tables. Needs ``pip install 'nngmix[deep]'``.

    Parameters
    ----------
    pretrain : bool, default=True
        Whether to train an auto-encoder first and start from the weights of its encoder.
        **The published numbers are those of False**: the public program runs a pre-training,
        but none of its weights reach the detector, which starts from random ones. True is DeepSAD
        as its authors describe it, and another detector, not one of the paper's tables.
    hidden_dims : int or tuple of int, default=(100, 20)
        Units of the hidden layers, first to last.
    rep_dim : int, default=10
        Length of the code.
    epochs : int, default=50
        Passes over the training rows.
    pretrain_epochs : int, default=100
        Passes of the auto-encoder before.
    batch_size : int, default=128
        Rows in a training step, at least 2; all rows where there are fewer. The last batch of an
        epoch is left out where it is not full.
    learning_rate : float, default=1e-4
        Step size of Adam, in both trainings. The public program says 1e-3, but its schedule
        divides that by ten before the first step.
    weight_decay : float, default=1e-6
        Strength of the L2 penalty on the weights.
    eta : float, default=1.0
        Weight of labelled anomalies against unlabelled rows in the loss.
    sampler : sampler or None, default=None
        Makes fresh pseudo-anomalies each epoch, such as ``NNGMix()``: as many as its
        `multiplier` says, in place of those of the epoch before. A clone of it is fitted on the
        training rows. In a pipeline put the scaler before, and no other sampler.
    class_weight : dict, "balanced" or None, default=None
        Weight of the unlabelled rows and of the anomalies in training, such as ``{0: 1, 1: 10}``,
        a missing one being 1. "balanced" gives both classes the same total. None weighs all rows
        alike, as the paper does.
    contamination : float, default=0.1
        Expected share of anomalies among the unlabelled rows, in (0, 0.5]. Sets ``threshold_``
        alone: the (1 - contamination) quantile of ``decision_scores_`` over the rows with
        ``y == 0``. PyOD's meaning, on unlabelled rows only, so that labelled anomalies and the
        pseudo-anomalies of a sampler do not move the threshold.
    device : str, default="auto"
        Where to train and score: "auto" (the first GPU that torch finds, else the CPU), or torch's
        name of a device, such as "cpu" or "cuda:1".
    n_jobs : int or None, default=None
        Threads that score, on the CPU; the results do not depend on it. None is all cores.
        Training takes one thread: the network is too small for more to help.
    random_state : int, RandomState instance or None, default=None
        Seeds the initial weights, the order of rows and the pseudo-anomalies. With
        ``pretrain=False``, an int and the rows in the public program's order (unlabelled,
        labelled, generated), training starts from the weights that the public program starts from
        with that seed, and takes the rows in the same order. A GPU adds up in another order.
    verbose : bool, default=False
        Whether to show a progress bar with the loss of the last epoch.

    Attributes
    ----------
    network_ : torch.nn.Module
        The trained network, on the CPU.
    center_ : ndarray of shape (rep_dim,)
        The centre c.
    loss_curve_ : list of float
        Mean training loss of each epoch.
    pretrain_loss_curve_ : list of float
        The same of the auto-encoder; empty without.
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
        From `fit`, when torch is not installed.
    ValueError
        From `fit`, when there is no such `device`, or the training diverges because columns are
        not scaled; and as :class:`~nngmix.detectors.base.BaseDetector` says.

    See Also
    --------
    FTTransformer : A larger network, trained to tell anomalies from unlabelled rows.

    Notes
    -----
    The loss of a row with code z is the squared distance d² = ||z - c||² for an unlabelled row
    and eta / (d² + 1e-6) for an anomaly [1]_. The centre is the mean code of the training rows
    before the training proper, but for a random few that fill no batch; components within 0.1 of
    zero are moved to 0.1 or -0.1.

    `predict_proba` gives the anomaly column score / (score + threshold_): one half at the
    threshold, monotone in the score, and no more than that.

    Scale the columns to [0, 1] first, as the paper does: the auto-encoder's output lies there.

    References
    ----------
    .. [1] L. Ruff et al., "Deep Semi-Supervised Anomaly Detection", ICLR 2020.

    Examples
    --------
    >>> import numpy as np
    >>> from nngmix.detectors import DeepSAD
    >>> rng = np.random.default_rng(0)
    >>> X = np.vstack([rng.normal(0.3, 0.1, (200, 2)), rng.normal(0.8, 0.1, (20, 2))])
    >>> y = np.repeat([0, 1], [200, 20])
    >>> detector = DeepSAD(batch_size=32, random_state=0).fit(X, y)
    >>> detector.predict([[0.3, 0.3], [0.8, 0.8]])
    array([0, 1])
    """

    _precision = np.float64
    _parameter_constraints: ClassVar[dict[str, Any]] = {
        **NetworkDetector._parameter_constraints,
        "pretrain": ["boolean"],
        "hidden_dims": ["array-like", Interval(Integral, 1, None, closed="left")],
        "rep_dim": [Interval(Integral, 1, None, closed="left")],
        "pretrain_epochs": [Interval(Integral, 1, None, closed="left")],
        "eta": [Interval(Real, 0, None, closed="neither")],
    }

    def __init__(
        self,
        *,
        pretrain: bool = True,
        hidden_dims: int | tuple[int, ...] = (100, 20),
        rep_dim: int = 10,
        epochs: int = 50,
        pretrain_epochs: int = 100,
        batch_size: int = 128,
        learning_rate: float = 1e-4,
        weight_decay: float = 1e-6,
        eta: float = 1.0,
        sampler: Any = None,
        class_weight: dict[int, float] | Literal["balanced"] | None = None,
        contamination: float = 0.1,
        device: str = "auto",
        n_jobs: int | None = None,
        random_state: int | RandomState | None = None,
        verbose: bool = False,
    ) -> None:
        self.pretrain = pretrain
        self.hidden_dims = hidden_dims
        self.rep_dim = rep_dim
        self.epochs = epochs
        self.pretrain_epochs = pretrain_epochs
        self.batch_size = batch_size
        self.learning_rate = learning_rate
        self.weight_decay = weight_decay
        self.eta = eta
        self.sampler = sampler
        self.class_weight = class_weight
        self.contamination = contamination
        self.device = device
        self.n_jobs = n_jobs
        self.random_state = random_state
        self.verbose = verbose

    def _train_network(
        self,
        X: NDArray[Any],
        y: NDArray[np.intp],
        sample_weight: NDArray[Any] | None,
        rng: RandomState,
        device: "torch.device",
    ) -> None:
        import torch

        stream = torch.Generator().manual_seed(seed_from(self.random_state))
        # The numbers are drawn in the public program's order, so that a seed means the same there
        # and here: the network, the auto-encoder (a network of its own), its epochs and one pass
        # more, the pass for the centre, the epochs of the training proper.
        self._dims_ = [X.shape[1], *_widths(self.hidden_dims), int(self.rep_dim)]
        encoder = _layers(self._dims_, stream)
        before = _layers(self._dims_, stream)
        decoder = _layers(self._dims_[::-1], stream)
        balanced = self.class_weight == "balanced"
        rows = TrainingRows(X, y, sample_weight, self.sampler, balanced, rng, stream, device)
        total = self.epochs + (self.pretrain_epochs if self.pretrain else 0)
        self.pretrain_loss_curve_: list[float] = []
        with progress("DeepSAD", total, self.verbose) as advance:
            if self.pretrain:
                encoder = before.to(device)
                layers = LayerStack(encoder, decoder.to(device))
                self.pretrain_loss_curve_ = self._descend(
                    layers, _reconstruction, rows, self.pretrain_epochs, advance
                )
            else:
                for _ in range(self.pretrain_epochs):
                    rows.shuffle()
            rows.shuffle()
            encoder = encoder.to(device)
            center = self._center(encoder, rows, len(X))
            layers = LayerStack(encoder)

            def badness(
                code: "torch.Tensor", x: "torch.Tensor", y: "torch.Tensor", weight: "torch.Tensor"
            ) -> tuple["torch.Tensor", "torch.Tensor"]:
                return _badness(code - center, y, weight, self.eta)

            self.loss_curve_ = self._descend(layers, badness, rows, self.epochs, advance)
        self.network_ = encoder
        self.center_ = center.cpu().numpy()

    def _center(
        self, encoder: "torch.nn.Module", rows: TrainingRows, n_rows: int
    ) -> "torch.Tensor":
        """Average the codes of the given rows, less those beyond the last full batch."""
        import torch

        order = rows.shuffle()
        order = order[: len(order) - len(order) % min(self.batch_size, len(order))]
        # Fresh pseudo-anomalies are not there yet.
        order = order[order < n_rows].to(rows.X.device)
        with torch.no_grad():
            return _off_zero(encoder.eval()(rows.X[order]).mean(dim=0))

    def _descend(
        self,
        layers: LayerStack,
        loss_of: Callable[..., tuple["torch.Tensor", "torch.Tensor"]],
        rows: TrainingRows,
        epochs: int,
        advance: Advance,
    ) -> list[float]:
        """Train for some epochs; return the mean loss of each."""
        import torch

        optimiser = torch.optim.Adam(
            [layers.weights], lr=self.learning_rate, weight_decay=self.weight_decay, fused=True
        )
        curve = []
        for epoch in range(epochs):
            losses = []
            with torch.no_grad():
                for x, y, weight in rows.epoch(self.batch_size, drop_last=True):
                    loss, gradient = loss_of(layers.forward(x), x, y, weight)
                    layers.backward(gradient)
                    optimiser.step()
                    losses.append(loss)
            mean = float(torch.stack(losses).mean())
            self._check_loss(mean, epoch)
            curve.append(mean)
            advance(f"loss {mean:.4g}")
        layers.release()
        return curve

    def _build_network(self) -> "torch.nn.Module":
        """Make a network of the fitted one's shape, for weights that come from a file."""
        return _layers(self._dims_)

    def _score_block(self, network: "torch.nn.Module", rows: "torch.Tensor") -> "torch.Tensor":
        return ((network(rows) - rows.new_tensor(self.center_)) ** 2).sum(dim=1)

    def _probability(self, X: NDArray[Any]) -> NDArray[Any]:
        score = self._scores(X)
        # At most one half where nothing lies off the centre: 0 / (0 + 0) is no anomaly.
        total = score + self.threshold_
        anomaly = np.divide(score, total, out=np.zeros_like(score), where=total > 0)
        return np.column_stack([1 - anomaly, anomaly])


def _badness(
    offset: "torch.Tensor", y: "torch.Tensor", weight: "torch.Tensor", eta: float
) -> tuple["torch.Tensor", "torch.Tensor"]:
    """Compute the mean loss of codes, given by their offset from the centre, and its gradient."""
    import torch

    distance = (offset * offset).sum(dim=1)
    unlabelled = y == 0
    inverse = 1 / (distance + _EPS)
    loss = weight * torch.where(unlabelled, distance, eta * inverse)
    by_distance = weight * torch.where(unlabelled, 1.0, -eta * inverse * inverse)
    return loss.mean(), offset * (by_distance * (2 / len(y)))[:, None]


def _reconstruction(
    output: "torch.Tensor", x: "torch.Tensor", _: "torch.Tensor", weight: "torch.Tensor"
) -> tuple["torch.Tensor", "torch.Tensor"]:
    """Compute the mean squared error of rows after a sigmoid, and its gradient before it."""
    guess = output.sigmoid()
    error = guess - x
    weighted = weight[:, None] * error
    gradient = weighted * guess * (1 - guess) * (2 / x.numel())
    return (weighted * error).mean(), gradient


def _widths(hidden_dims: Any) -> list[int]:
    widths = list(np.atleast_1d(np.asarray(hidden_dims, dtype=object)))
    if not all(isinstance(width, (int, np.integer)) and width > 0 for width in widths):
        raise ValueError(
            f"hidden_dims must hold whole numbers above zero, such as (100, 20); got {hidden_dims}."
        )
    return [int(width) for width in widths]


def _layers(dims: list[int], stream: "torch.Generator | None" = None) -> "torch.nn.Sequential":
    """Stack linear layers without biases: with them, all rows could be mapped onto the centre.

    The weights are drawn from `stream` as torch would draw them from its own; without one they
    are still to be filled in.
    """
    from torch import nn

    parts: list[nn.Module] = []
    for i, (before, after) in enumerate(pairwise(dims)):
        linear = nn.utils.skip_init(  # type: ignore[no-untyped-call]
            nn.Linear, before, after, bias=False
        )
        if stream is not None:
            nn.init.kaiming_uniform_(linear.weight, a=math.sqrt(5), generator=stream)
        parts.append(linear)
        if i < len(dims) - 2:
            parts += [nn.BatchNorm1d(after, eps=1e-4, affine=False), nn.LeakyReLU(SLOPE)]
    return nn.Sequential(*parts)


def _off_zero(center: "torch.Tensor", margin: float = 0.1) -> "torch.Tensor":
    """Move components away from zero, where a unit could be matched by zero weights."""
    import torch

    sign = torch.where(center < 0, -1.0, 1.0)
    return torch.where(center.abs() < margin, sign * margin, center)
