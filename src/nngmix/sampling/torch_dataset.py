"""Fresh pseudo-anomalies for PyTorch: a network need never see the same one twice."""

from collections.abc import Iterator
from typing import Any

import numpy as np
from sklearn.utils.validation import check_is_fitted

from nngmix.sampling.base import BaseSampler
from nngmix.sampling.streams import seed_of

try:
    import torch
    from torch.utils.data import IterableDataset, get_worker_info
except ImportError:
    raise ImportError("PseudoAnomalyDataset needs torch: pip install 'nngmix[deep]'") from None


class PseudoAnomalyDataset(IterableDataset):  # type: ignore[type-arg]
    """A stream of batches of fresh pseudo-anomalies.

    Give it to a ``DataLoader`` with ``batch_size=None``: the batches are made here. Every pass
    over it brings new rows.

    Parameters
    ----------
    sampler : sampler
        Fitted, on numeric columns.
    batch_size : int, default=256
        Rows in a batch, at least 1.
    n_batches : int or None, default=None
        Batches in a pass, over all workers together; None never ends.
    random_state : int, RandomState instance or None, default=None
        Fixes the stream; None takes the sampler's own. With workers, torch's seed
        (``torch.manual_seed``) takes part as well, since that is how passes differ there.
    dtype : torch.dtype, default=torch.float32
        Of the batches.

    Raises
    ------
    ImportError
        If torch is not installed.
    sklearn.exceptions.NotFittedError
        If the sampler is not fitted.
    ValueError
        If ``batch_size`` or ``n_batches`` is below 1, or a column holds categories.

    See Also
    --------
    NNGMix.iter_samples : The same without torch.

    Examples
    --------
    >>> import numpy as np
    >>> from torch.utils.data import DataLoader
    >>> from nngmix import NNGMix
    >>> from nngmix.sampling.torch_dataset import PseudoAnomalyDataset
    >>> X, y = np.random.default_rng(0).random((100, 4)), np.arange(100) < 5
    >>> data = PseudoAnomalyDataset(NNGMix().fit(X, y), 32, n_batches=3, random_state=0)
    >>> [tuple(batch.shape) for batch in DataLoader(data, batch_size=None)]
    [(32, 4), (32, 4), (32, 4)]
    """

    def __init__(
        self,
        sampler: BaseSampler,
        batch_size: int = 256,
        *,
        n_batches: int | None = None,
        random_state: Any = None,
        dtype: "torch.dtype" = torch.float32,
    ) -> None:
        check_is_fitted(sampler)
        for name, value in (("batch_size", batch_size), ("n_batches", n_batches)):
            if value is not None and value < 1:
                raise ValueError(f"{name} must be at least 1. Got {value!r} instead.")
        if sampler.pool_.scale.categorical.any():
            raise ValueError(
                "PseudoAnomalyDataset: a column holds categories, which are no numbers a network "
                "could take; encode them before the sampler."
            )
        self.sampler = sampler
        self.batch_size = batch_size
        self.n_batches = n_batches
        self.dtype = dtype
        self._seed = seed_of(sampler.random_state if random_state is None else random_state)
        self._pass = 0

    def __iter__(self) -> Iterator["torch.Tensor"]:
        worker = get_worker_info()
        if worker is None:
            turn: tuple[int, ...] = (self._pass,)
            mine = self.n_batches
            self._pass += 1
        else:
            # Workers are copies, made anew each pass: only torch's seed tells passes apart.
            turn = (worker.id, worker.seed % 2**32, self._pass)
            share, rest = divmod(self.n_batches or 0, worker.num_workers)
            mine = None if self.n_batches is None else share + (worker.id < rest)
            self._pass += 1
        return self._batches(np.random.SeedSequence(self._seed.entropy, spawn_key=turn), mine)

    def _batches(
        self, seed: np.random.SeedSequence, n_batches: int | None
    ) -> Iterator["torch.Tensor"]:
        label = self.sampler._check_label(None)
        made = 0
        while n_batches is None or made < n_batches:
            rows = self.sampler._generate(label, self.batch_size, seed.spawn(1)[0])
            yield torch.from_numpy(rows).to(self.dtype)
            made += 1
