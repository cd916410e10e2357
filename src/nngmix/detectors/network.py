"""What the two networks share: devices, seeds, batches, fresh pseudo-anomalies, scoring in blocks.

torch loads when a network is fitted or scores, not when this file does.
"""

import contextlib
import copy
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from numbers import Integral, Real
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from numpy.random import RandomState
from numpy.typing import NDArray
from sklearn.base import clone
from sklearn.utils import check_random_state
from sklearn.utils._param_validation import HasMethods, Interval

from nngmix.detectors.base import N_JOBS, BaseDetector, seed_from
from nngmix.sampling.streams import thread_count
from nngmix.shared_context import one_torch_thread

if TYPE_CHECKING:
    import torch

_seeds_lock = threading.Lock()


class NetworkDetector(BaseDetector):
    """A detector whose network is trained here, on rows that stay in tensors on the device.

    A subclass implements ``_train_network(X, y, sample_weight, rng)``, which sets ``network_``,
    and ``_score_block(network, rows)``, on top of `BaseDetector`'s ``_probability``.
    """

    #: How attributes that skops cannot hold are kept on disk.
    _formats: ClassVar[dict[str, str]] = {"network_": "safetensors"}
    #: Precision of scoring. In double a row's score does not depend on the rows beside it.
    _precision: ClassVar[type] = np.float32

    _parameter_constraints: ClassVar[dict[str, Any]] = {
        **BaseDetector._parameter_constraints,
        "epochs": [Interval(Integral, 1, None, closed="left")],
        "batch_size": [Interval(Integral, 2, None, closed="left")],
        "learning_rate": [Interval(Real, 0, None, closed="neither")],
        "weight_decay": [Interval(Real, 0, None, closed="left")],
        "sampler": [HasMethods(["fit", "sample"]), None],
        "device": [str],
        "n_jobs": N_JOBS,
    }

    epochs: int
    batch_size: int
    sampler: Any
    device: str
    n_jobs: int | None
    random_state: int | RandomState | None
    verbose: bool
    network_: "torch.nn.Module"

    def _require(self) -> None:
        try:
            import torch  # noqa: F401
        except ImportError as error:
            raise ImportError(
                f"{type(self).__name__} needs torch: pip install 'nngmix[deep]'"
            ) from error

    def _fit(
        self, X: NDArray[Any], y: NDArray[np.intp], sample_weight: NDArray[Any] | None
    ) -> None:
        device = find_device(self.device)
        rng = check_random_state(self.random_state)
        self._refuse_beyond_single_precision(X)
        with one_torch_thread():
            self._train_network(X, y, sample_weight, rng, device)
        self.network_ = self.network_.to("cpu").eval()

    def _train_network(
        self,
        X: NDArray[Any],
        y: NDArray[np.intp],
        sample_weight: NDArray[Any] | None,
        rng: RandomState,
        device: "torch.device",
    ) -> None:
        raise NotImplementedError

    def _score_block(self, network: "torch.nn.Module", rows: "torch.Tensor") -> "torch.Tensor":
        raise NotImplementedError

    def _rows_a_block(self) -> int:
        """How many rows to score at a time: they keep a core busy and stay small in memory."""
        return 1024

    def _scores(self, X: NDArray[Any]) -> NDArray[Any]:
        import torch

        self._refuse_beyond_single_precision(X)
        device = find_device(self.device)
        # Apple's GPUs have no double precision.
        precision = np.float32 if device.type == "mps" else self._precision
        # A copy on the device: what is fitted stays on the CPU, where any machine can load it.
        example = _tensor(np.empty(0), device, precision)
        network = copy.deepcopy(self.network_).to(example)
        size = self._rows_a_block()
        starts = range(0, len(X), size)
        scores = np.empty(len(X))

        def score(start: int) -> None:
            block = X[start : start + size]
            with torch.inference_mode():
                out = self._score_block(network, _tensor(block, device, precision))
            scores[start : start + len(block)] = out.cpu().numpy()

        # Blocks are the same whatever the number of threads, so the scores are too.
        run_in_threads(score, starts, threads_on(device, self.n_jobs))
        return scores

    def _check_loss(self, loss: float, epoch: int) -> None:
        if not np.isfinite(loss):
            raise ValueError(
                f"{type(self).__name__}'s training diverged in epoch {epoch + 1} (loss {loss}): "
                "scale the columns first, for example with sklearn.preprocessing.MinMaxScaler, or "
                "lower learning_rate."
            )


class TrainingRows:
    """The rows of one training, in tensors on the device, shuffled anew each epoch.

    Parameters
    ----------
    X : ndarray of shape (n_samples, n_features)
        Training rows.
    y : ndarray of shape (n_samples,)
        1 for anomalies, else 0.
    sample_weight : ndarray of shape (n_samples,) or None
        Weight of each row.
    sampler : sampler or None
        Makes fresh pseudo-anomalies each epoch; a clone of it is fitted here.
    balanced : bool
        Whether fresh pseudo-anomalies share the weight of the anomalies in `X`, so that the
        classes keep their total weights.
    rng : RandomState
        Seeds the pseudo-anomalies.
    stream : torch.Generator
        Seeds the shuffles, on the CPU: they are the same on every device.
    device : torch.device
        Where the rows go.

    Attributes
    ----------
    X, y, weight : torch.Tensor
        All rows, float32; the last ``n_fresh`` are the epoch's pseudo-anomalies.
    """

    def __init__(
        self,
        X: NDArray[Any],
        y: NDArray[np.intp],
        sample_weight: NDArray[Any] | None,
        sampler: Any,
        balanced: bool,
        rng: RandomState,
        stream: "torch.Generator",
        device: "torch.device",
    ) -> None:
        self.sampler: Any = None
        self.n_fresh = 0
        weight = np.ones(len(y)) if sample_weight is None else sample_weight
        if sampler is not None:
            self.sampler = clone(sampler).fit(X, y)
            self.n_fresh = self.sampler.sampling_strategy_.get(1, 0)
            fresh = np.zeros((self.n_fresh, X.shape[1]), dtype=X.dtype)
            X = np.concatenate([X, fresh])
            # A pseudo-anomaly weighs what a labelled anomaly weighs on average.
            usual = weight[y == 1].mean()
            weight = np.concatenate([weight, np.full(self.n_fresh, usual)])
            y = np.concatenate([y, np.ones(self.n_fresh, dtype=y.dtype)])
            if balanced:
                n_anomalies = int((y == 1).sum())
                share = (n_anomalies - self.n_fresh) / n_anomalies
                weight = np.where(y == 1, weight * share, weight)
        self.X = _tensor(X, device)
        self.y = _tensor(y, device)
        self.weight = _tensor(weight, device)
        self._rng = rng
        self._stream = stream

    def __len__(self) -> int:
        return len(self.y)

    def shuffle(self) -> "torch.Tensor":
        """Draw an order of all rows as torch's DataLoader does, from the same numbers.

        Returns
        -------
        torch.Tensor of shape (n_rows,)
        """
        import torch

        torch.empty((), dtype=torch.int64).random_(generator=self._stream)  # seeds its workers
        drawn = torch.empty((), dtype=torch.int64).random_(generator=self._stream)
        own = torch.Generator().manual_seed(int(drawn))
        return torch.randperm(len(self), generator=own)

    def epoch(
        self, batch_size: int, *, drop_last: bool
    ) -> Iterator[tuple["torch.Tensor", "torch.Tensor", "torch.Tensor"]]:
        """Draw fresh pseudo-anomalies, shuffle, and hand out rows, labels and weights.

        Parameters
        ----------
        batch_size : int
            Rows in a batch; all rows where there are fewer.
        drop_last : bool
            Leave out the last batch where it is not full.

        Yields
        ------
        X, y, weight : torch.Tensor
            Of one batch.
        """
        if self.n_fresh:
            fresh = self.sampler.sample(self.n_fresh, random_state=seed_from(self._rng))
            self.X[-self.n_fresh :] = _tensor(np.asarray(fresh), self.X.device)
        order = self.shuffle().to(self.X.device)
        X, y, weight = self.X[order], self.y[order], self.weight[order]
        size = min(batch_size, len(self))
        stop = len(self) - size + 1 if drop_last else len(self)
        for start in range(0, stop, size):
            rows = slice(start, start + size)
            yield X[rows], y[rows], weight[rows]


def find_device(name: str) -> "torch.device":
    """Turn a name into a device that is there.

    Parameters
    ----------
    name : str
        "auto" for the first GPU, else the CPU; or torch's name, such as "cpu", "cuda:1", "mps".

    Returns
    -------
    torch.device

    Raises
    ------
    ValueError
        If torch knows no such device, or it is not on this machine.

    Examples
    --------
    >>> find_device("cpu")
    device(type='cpu')
    """
    import torch

    found = [f"cuda:{i}" for i in range(torch.cuda.device_count())]
    if torch.backends.mps.is_available():
        found.append("mps")
    found.append("cpu")
    if name == "auto":
        return torch.device(found[0])
    try:
        device = torch.device(name)
    except RuntimeError:
        device = None
    plain = {"cuda": "cuda:0"}.get(name, name)
    if device is None or plain not in found:
        raise ValueError(f"device must be 'auto' or one of {', '.join(found)}; got {name!r}.")
    return device


@contextlib.contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Seed what torch draws while a network is built, and leave torch's own stream as it was.

    Parameters
    ----------
    seed : int
        At least 0.
    """
    import torch

    # Building takes its numbers from the one stream of the process: one network at a time.
    with _seeds_lock, torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)
        yield


def threads_on(device: "torch.device", n_jobs: int | None) -> int:
    """Tell how many threads should work on a device.

    Parameters
    ----------
    device : torch.device
        A GPU gets its work from one.
    n_jobs : int or None
        None is all cores.

    Returns
    -------
    int
        At least 1.
    """
    return 1 if device.type != "cpu" else thread_count(-1 if n_jobs is None else n_jobs)


def run_in_threads(task: Callable[[Any], Any], items: Any, threads: int) -> list[Any]:
    """Run a task for each item, each run in one thread of torch's, and keep the order.

    Parameters
    ----------
    task : callable
        Takes an item.
    items : iterable
        What to work on.
    threads : int
        How many tasks at a time.

    Returns
    -------
    list
        What the tasks returned.
    """
    with one_torch_thread():
        if threads == 1:
            return [task(item) for item in items]
        with task_pool(threads) as pool:
            return list(pool.map(task, items))


def task_pool(threads: int) -> ThreadPoolExecutor:
    """Open a pool of threads in each of which torch uses one thread.

    Parameters
    ----------
    threads : int
        How many.

    Returns
    -------
    concurrent.futures.ThreadPoolExecutor
    """
    import torch

    return ThreadPoolExecutor(threads, initializer=torch.set_num_threads, initargs=(1,))


def _tensor(
    values: NDArray[Any], device: "torch.device", precision: type = np.float32
) -> "torch.Tensor":
    import torch

    values = np.ascontiguousarray(values, dtype=precision)
    # torch warns of arrays that can't be written to, such as a data frame's.
    return torch.from_numpy(values if values.flags.writeable else values.copy()).to(device)
