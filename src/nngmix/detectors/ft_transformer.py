"""FTTransformer: a transformer over columns that tells labelled anomalies from unlabelled rows."""

from collections.abc import Callable
from numbers import Integral, Real
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import numpy as np
from numpy.random import RandomState
from numpy.typing import NDArray
from scipy.special import expit
from sklearn.utils._param_validation import Interval

from nngmix.detectors.base import seed_from
from nngmix.detectors.network import (
    NetworkDetector,
    TrainingRows,
    seeded,
    task_pool,
    threads_on,
)
from nngmix.detectors.progress import progress

if TYPE_CHECKING:
    import torch

    Dropout = Callable[["torch.Tensor", float], "torch.Tensor"]

# A batch is trained on in parts, side by side. The parts must not depend on the number of threads,
# or the sums would: at least this many, and more where attention maps of a part would be large.
_PARTS = 4
_MAP_CELLS = 1 << 24
# Tokens scored at a time.
_BLOCK_TOKENS = 1 << 13


class FTTransformer(NetworkDetector):
    """A transformer over columns that tells labelled anomalies from unlabelled rows.

    Each column becomes a token, and attention between tokens finds out which columns matter
    together. The network is that of the rtdl_revisiting_models package in its default size [1]_;
    with the defaults below it is the "FTTransformer" of the paper's Section IV-A and tables
    (Table I names it FTTransformer [28]). Needs ``pip install 'nngmix[deep]'``.

    Parameters
    ----------
    n_blocks : int, default=3
        Layers, 1 to 6; the package's default width and dropout for that depth (three: width 192,
        8 heads).
    epochs : int, default=100
        Passes over the training rows, at most.
    batch_size : int, default=64
        Rows in a training step, at least 2.
    learning_rate : float, default=1e-4
        Step size of AdamW.
    weight_decay : float, default=1e-5
        Decay of AdamW, on all but biases, embeddings and normalisations.
    early_stopping : bool, default=False
        Whether to hold out `validation_fraction` of the unlabelled rows and of the anomalies (at
        least one of each), stop when the loss on them no longer falls, and go back to the best
        epoch's weights. Needs two labelled anomalies or more. The paper trains to the end.
    validation_fraction : float, default=0.1
        Share of rows held out by `early_stopping`, in (0, 1).
    n_iter_no_change : int, default=10
        Epochs without a better loss after which `early_stopping` stops.
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
        name of a device, such as "cpu" or "cuda:1". A GPU is many times faster.
    n_jobs : int or None, default=None
        Threads that train and score, on the CPU; the results do not depend on it. None is all
        cores.
    random_state : int, RandomState instance or None, default=None
        Seeds the initial weights, the order of rows, dropout, the rows held out and the
        pseudo-anomalies. An int gives the initial weights that the package's network has after
        ``torch.manual_seed``. A GPU draws and adds up otherwise than a CPU.
    verbose : bool, default=False
        Whether to show a progress bar with the loss of the last epoch.

    Attributes
    ----------
    network_ : rtdl_revisiting_models.FTTransformer
        The trained network, on the CPU.
    n_iter_ : int
        Epochs trained.
    loss_curve_ : list of float
        Mean training loss of each epoch.
    validation_loss_curve_ : list of float
        Loss on the rows held out after each epoch; empty without `early_stopping`.
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
        From `fit`, when torch or rtdl_revisiting_models is not installed.
    ValueError
        From `fit`, when there is no such `device`, when the training diverges because columns are
        not scaled, or when `early_stopping` has too few rows of a kind; and as
        :class:`~nngmix.detectors.base.BaseDetector` says.

    See Also
    --------
    DeepSAD : A much smaller and faster network.

    Notes
    -----
    The score is the logit of the anomaly class, trained by binary cross-entropy. Scores are
    computed in single precision: those of one row may differ in the seventh digit with the rows
    beside it.

    The network and its answers are the package's. The computation is shorter: the first layer's
    queries, keys and values are linear in a row's values, and the last layer is computed for the
    one token that is read. Time grows with the square of the number of columns.

    References
    ----------
    .. [1] Y. Gorishniy et al., "Revisiting Deep Learning Models for Tabular Data", NeurIPS 2021.

    Examples
    --------
    >>> import numpy as np
    >>> from nngmix.detectors import FTTransformer
    >>> rng = np.random.default_rng(0)
    >>> X = np.vstack([rng.normal(0.3, 0.1, (200, 2)), rng.normal(0.8, 0.1, (20, 2))])
    >>> y = np.repeat([0, 1], [200, 20])
    >>> detector = FTTransformer(n_blocks=1, epochs=20, random_state=0).fit(X, y)
    >>> detector.predict([[0.3, 0.3], [0.8, 0.8]])
    array([0, 1])
    """

    _parameter_constraints: ClassVar[dict[str, Any]] = {
        **NetworkDetector._parameter_constraints,
        "n_blocks": [Interval(Integral, 1, 6, closed="both")],
        "early_stopping": ["boolean"],
        "validation_fraction": [Interval(Real, 0, 1, closed="neither")],
        "n_iter_no_change": [Interval(Integral, 1, None, closed="left")],
    }

    def __init__(
        self,
        *,
        n_blocks: int = 3,
        epochs: int = 100,
        batch_size: int = 64,
        learning_rate: float = 1e-4,
        weight_decay: float = 1e-5,
        early_stopping: bool = False,
        validation_fraction: float = 0.1,
        n_iter_no_change: int = 10,
        sampler: Any = None,
        class_weight: dict[int, float] | Literal["balanced"] | None = None,
        contamination: float = 0.1,
        device: str = "auto",
        n_jobs: int | None = None,
        random_state: int | RandomState | None = None,
        verbose: bool = False,
    ) -> None:
        self.n_blocks = n_blocks
        self.epochs = epochs
        self.batch_size = batch_size
        self.learning_rate = learning_rate
        self.weight_decay = weight_decay
        self.early_stopping = early_stopping
        self.validation_fraction = validation_fraction
        self.n_iter_no_change = n_iter_no_change
        self.sampler = sampler
        self.class_weight = class_weight
        self.contamination = contamination
        self.device = device
        self.n_jobs = n_jobs
        self.random_state = random_state
        self.verbose = verbose

    def _require(self) -> None:
        super()._require()
        try:
            import rtdl_revisiting_models  # noqa: F401
        except ImportError as error:
            raise ImportError(
                "FTTransformer needs rtdl_revisiting_models: pip install 'nngmix[deep]'"
            ) from error

    def _train_network(
        self,
        X: NDArray[Any],
        y: NDArray[np.intp],
        sample_weight: NDArray[Any] | None,
        rng: RandomState,
        device: "torch.device",
    ) -> None:
        import torch

        self._n_blocks_ = int(self.n_blocks)
        with seeded(seed_from(self.random_state)):
            network: Any = self._build_network()
        network.to(device)
        stream = torch.Generator().manual_seed(seed_from(rng))
        dropouts = _Dropouts(seed_from(rng), device)
        weight = np.ones(len(y)) if sample_weight is None else sample_weight
        held_out = None
        if self.early_stopping:
            (X, y, weight), held_out = self._hold_out(X, y, weight, rng, device)
        balanced = self.class_weight == "balanced"
        rows = TrainingRows(X, y, weight, self.sampler, balanced, rng, stream, device)
        optimiser = torch.optim.AdamW(
            network.make_parameter_groups(),
            lr=self.learning_rate,
            weight_decay=self.weight_decay,
            fused=True,
        )
        self.loss_curve_: list[float] = []
        self.validation_loss_curve_: list[float] = []
        best: dict[str, torch.Tensor] = {}
        with (
            progress("FTTransformer", self.epochs, self.verbose) as advance,
            task_pool(threads_on(device, self.n_jobs)) as pool,
        ):
            for epoch in range(self.epochs):
                loss = self._one_epoch(network, optimiser, rows, dropouts, pool.map)
                self._check_loss(loss, epoch)
                self.loss_curve_.append(loss)
                advance(f"loss {loss:.4g}")
                if held_out is None:
                    continue
                self.validation_loss_curve_.append(self._loss_on(network, held_out, pool.map))
                since_best = epoch - int(np.argmin(self.validation_loss_curve_))
                if since_best == 0:
                    best = {name: value.clone() for name, value in network.state_dict().items()}
                elif since_best >= self.n_iter_no_change:
                    break
        if best:
            network.load_state_dict(best)
        self.n_iter_ = len(self.loss_curve_)
        self.network_ = network

    def _one_epoch(
        self,
        network: Any,
        optimiser: "torch.optim.Optimizer",
        rows: TrainingRows,
        dropouts: "_Dropouts",
        run: Callable[..., Any],
    ) -> float:
        """Train on every row once; return the mean loss."""
        import torch

        parameters = list(network.parameters())
        part_rows = self._rows_a_part(rows.X.device)
        total = 0.0
        for X, y, weight in rows.epoch(self.batch_size, drop_last=False):

            def gradients(
                part: tuple["Dropout", "torch.Tensor", "torch.Tensor", "torch.Tensor"],
                n_rows: int = len(y),
            ) -> Any:
                dropout, X, y, weight = part
                loss = _loss(_logits(network, X, dropout), y, weight) / n_rows
                # The last layer's key bias cancels in the softmax: it has no gradient.
                return loss.detach(), torch.autograd.grad(loss, parameters, allow_unused=True)

            pieces = zip(*(torch.split(of, part_rows) for of in (X, y, weight)), strict=True)
            # Here and not in the threads, so that each part has its own stream every time.
            parts = [(dropouts[i], *piece) for i, piece in enumerate(pieces)]
            # Added up in the order of the parts, whichever is ready first.
            losses, found = zip(*run(gradients, parts), strict=True)
            for parameter, *grads in zip(parameters, *found, strict=True):
                parameter.grad = None if grads[0] is None else sum(grads[1:], start=grads[0])
            optimiser.step()
            total += float(sum(losses)) * len(y)
        return total / len(rows)

    def _rows_a_part(self, device: "torch.device") -> int:
        if device.type != "cpu":
            return self.batch_size
        cells_a_row = 8 * (self.n_features_in_ + 1) ** 2
        return max(1, min(-(-self.batch_size // _PARTS), _MAP_CELLS // cells_a_row))

    def _hold_out(
        self,
        X: NDArray[Any],
        y: NDArray[np.intp],
        weight: NDArray[Any],
        rng: RandomState,
        device: "torch.device",
    ) -> tuple[tuple[Any, Any, Any], TrainingRows]:
        import torch

        if np.bincount(y).min() < 2:
            raise ValueError(
                "early_stopping needs at least two labelled anomalies and two unlabelled rows, "
                f"to hold out some of each; y holds {int(y.sum())} and {int((y == 0).sum())}."
            )
        # Some of each kind, however few: a loss on unlabelled rows alone would reward a network
        # that calls nothing an anomaly.
        out = np.zeros(len(y), dtype=bool)
        for label in (0, 1):
            of_kind = np.flatnonzero(y == label)
            size = min(max(1, round(self.validation_fraction * len(of_kind))), len(of_kind) - 1)
            out[rng.choice(of_kind, size, replace=False)] = True
        X_out, y_out, weight_out = X[out], y[out], weight[out]
        X, y, weight = X[~out], y[~out], weight[~out]
        unused = torch.Generator()
        return (X, y, weight), TrainingRows(
            X_out, y_out, weight_out, None, False, rng, unused, device
        )

    def _loss_on(self, network: Any, rows: TrainingRows, run: Callable[..., Any]) -> float:
        import torch

        def one(piece: tuple["torch.Tensor", "torch.Tensor", "torch.Tensor"]) -> float:
            X, y, weight = piece
            with torch.inference_mode():
                return float(_loss(_logits(network, X), y, weight))

        size = self._rows_a_block()
        whole = (rows.X, rows.y, rows.weight)
        pieces = zip(*(torch.split(of, size) for of in whole), strict=True)
        return sum(run(one, pieces)) / len(rows)

    def _build_network(self) -> "torch.nn.Module":
        """Make a network of the fitted one's shape."""
        from rtdl_revisiting_models import FTTransformer as Network

        return Network(
            n_cont_features=self.n_features_in_,
            cat_cardinalities=[],
            d_out=1,
            **Network.get_default_kwargs(self._n_blocks_),
        )

    def _rows_a_block(self) -> int:
        return max(1, _BLOCK_TOKENS // (self.n_features_in_ + 1))

    def _score_block(self, network: "torch.nn.Module", rows: "torch.Tensor") -> "torch.Tensor":
        return _logits(network, rows)

    def _probability(self, X: NDArray[Any]) -> NDArray[Any]:
        logit = self._scores(X)
        return np.column_stack([expit(-logit), expit(logit)])


class _Dropouts:
    """One stream of dropout for each part of a batch, whichever thread works on it."""

    def __init__(self, seed: int, device: "torch.device") -> None:
        self._seeds = np.random.SeedSequence(seed)
        self._device = device
        self._made: list[Dropout] = []

    def __getitem__(self, index: int) -> "Dropout":
        import torch

        while len(self._made) <= index:
            seed = int(self._seeds.spawn(1)[0].generate_state(1, np.uint64)[0] >> 1)
            stream = torch.Generator(self._device).manual_seed(seed)

            def dropout(x: "torch.Tensor", p: float, stream: Any = stream) -> "torch.Tensor":
                if not p:
                    return x
                kept = torch.empty_like(x).bernoulli_(1 - p, generator=stream)
                return x * kept.mul_(1 / (1 - p))

            self._made.append(dropout)
        return self._made[index]


def _loss(logits: "torch.Tensor", y: "torch.Tensor", weight: "torch.Tensor") -> "torch.Tensor":
    """Sum the weighted binary cross-entropy."""
    from torch.nn.functional import binary_cross_entropy_with_logits

    return binary_cross_entropy_with_logits(logits, y, weight, reduction="sum")


def _logits(network: Any, X: "torch.Tensor", dropout: "Dropout | None" = None) -> "torch.Tensor":
    """Compute what ``network(X, None)`` does, with less work; without `dropout` as in eval mode.

    The values of a row enter its tokens linearly, so the first layer's queries, keys and values
    are linear in them too: products with the weights are needed once a column, not once a row.
    Only the first token is read at the end, so that the last layer need not know the others: its
    query is taken through the key and value weights instead of all tokens.
    """
    import torch
    from torch.nn.functional import linear, pad

    cls, cont = network.cls_embedding.weight, network.cont_embeddings
    # As a column of its own whose value does not matter, the first token is like the others.
    slope = torch.cat([torch.zeros_like(cls)[None], cont.weight])
    offset = torch.cat([cls[None], cont.bias])
    values = pad(X, (1, 0))[..., None]
    tokens = torch.addcmul(offset, values, slope)
    blocks = network.backbone.blocks
    for i, block in enumerate(blocks):
        attention, ffn = block["attention"], block["ffn"]
        p_attention = attention.dropout.p if dropout and attention.dropout else 0.0
        normal = tokens
        if "attention_normalization" in block:
            normal = block["attention_normalization"](tokens)
        if i == len(blocks) - 1:
            tokens = tokens[:, :1]
            mixed = _attend_first(attention, normal, dropout, p_attention)
        else:
            if i == 0:
                query, key, value = (
                    torch.addcmul(layer(offset), values, linear(slope, layer.weight))
                    for layer in (attention.W_q, attention.W_k, attention.W_v)
                )
            else:
                query, key, value = (
                    layer(normal) for layer in (attention.W_q, attention.W_k, attention.W_v)
                )
            mixed = _attend(query, key, value, attention._n_heads, dropout, p_attention)
        tokens = tokens + attention.W_out(mixed)
        hidden = ffn.activation(ffn.linear1(block["ffn_normalization"](tokens)))
        if dropout:
            hidden = dropout(hidden, ffn.dropout.p)
        tokens = tokens + ffn.linear2(hidden)
    return network.backbone.output(tokens[:, 0])[:, 0]


def _attend(
    query: "torch.Tensor",
    key: "torch.Tensor",
    value: "torch.Tensor",
    n_heads: int,
    dropout: "Dropout | None",
    p: float,
) -> "torch.Tensor":
    """Let every token attend to every token, head by head."""
    import torch
    from torch.nn.functional import scaled_dot_product_attention

    n_rows, n_tokens, width = query.shape
    query, key, value = (
        of.view(n_rows, n_tokens, n_heads, -1).transpose(1, 2) for of in (query, key, value)
    )
    if dropout:
        scale = query.shape[-1] ** -0.5
        attended = dropout(torch.softmax((query * scale) @ key.mT, dim=-1), p) @ value
    else:
        attended = scaled_dot_product_attention(query, key, value)
    return attended.transpose(1, 2).reshape(n_rows, n_tokens, width)


def _attend_first(
    attention: Any, tokens: "torch.Tensor", dropout: "Dropout | None", p: float
) -> "torch.Tensor":
    """Let the first token alone attend to all."""
    import torch

    n_rows, _, width = tokens.shape
    n_heads = attention._n_heads
    query = attention.W_q(tokens[:, 0]).view(n_rows, n_heads, -1)
    scale = query.shape[-1] ** -0.5
    by_head = attention.W_k.weight.view(n_heads, -1, width)
    # q . (W t + b) = (W' q) . t + a number that is the same for all tokens, which softmax ignores.
    asked = torch.einsum("rhe,hed->rhd", query * scale, by_head)
    shares = torch.softmax(asked @ tokens.mT, dim=-1)
    if dropout:
        shares = dropout(shares, p)
    by_head = attention.W_v.weight.view(n_heads, -1, width)
    bias = attention.W_v.bias.view(n_heads, -1)
    mixed = torch.einsum("rhd,hed->rhe", shares @ tokens, by_head)
    # After dropout the shares need not add up to one.
    mixed = mixed + shares.sum(dim=-1, keepdim=True) * bias
    return mixed.reshape(n_rows, 1, width)
