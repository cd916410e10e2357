"""One cell of an experiment: a dataset, a sampler, a detector, a seed, and what came out."""

import dataclasses
import hashlib
import json
import operator
import time
from collections.abc import Iterable, Iterator

import numpy as np
from joblib import Parallel, delayed
from sklearn.metrics import average_precision_score, roc_auc_score
from threadpoolctl import threadpool_limits

from nngmix.datasets import load_builtin, make_split
from nngmix.datasets.split import Protocol
from nngmix.detectors import DETECTORS
from nngmix.sampling import SAMPLERS

#: The name of training without pseudo-anomalies; the paper's tables say Baseline.
BASELINE = "none"


@dataclasses.dataclass(frozen=True)
class Cell:
    """Everything that fixes one number of a table.

    Parameters
    ----------
    dataset : str
        Name of a built-in dataset.
    sampler : str
        Name in ``nngmix.sampling.SAMPLERS``, or "none".
    detector : str
        Name in ``nngmix.detectors.DETECTORS``.
    multiplier : int, default=10
        Pseudo-anomalies for each labelled anomaly; without meaning for "none".
    label_ratio : float, default=0.1
        Share of the training anomalies that is labelled.
    pollution_ratio : float, default=1.0
        Share of the other training anomalies that stays, hidden, in the unlabelled rows.
    protocol : {"adbench", "leak-free"}, default="adbench"
        See :func:`nngmix.datasets.make_split`.
    seed : int, default=0
        Fixes the split, the sampler and the detector.

    Examples
    --------
    >>> Cell("wine", "NNGMix", "MLP").key[:8]
    '67daa3d3'
    """

    dataset: str
    sampler: str
    detector: str
    multiplier: int = 10
    label_ratio: float = 0.1
    pollution_ratio: float = 1.0
    protocol: Protocol = "adbench"
    seed: int = 0

    def __post_init__(self) -> None:
        # Cells that are equal must have one key: 1 and 1.0, and numpy's numbers, are one value.
        for name, kind in (
            ("multiplier", operator.index),
            ("label_ratio", float),
            ("pollution_ratio", float),
            ("seed", operator.index),
        ):
            object.__setattr__(self, name, kind(getattr(self, name)))

    @property
    def key(self) -> str:
        """Hash of the values: the same cell has the same key on any machine."""
        text = json.dumps(dataclasses.asdict(self), sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:32]


@dataclasses.dataclass(frozen=True)
class Outcome:
    """What a cell came to.

    Attributes
    ----------
    cell : Cell
        What was run.
    aucroc, aucpr : float
        Area under the ROC curve, and average precision, on the test rows.
    seconds : float
        Wall time of sampling, training and scoring.
    """

    cell: Cell
    aucroc: float
    aucpr: float
    seconds: float


def run_cell(cell: Cell) -> Outcome:
    """Run one cell: split, add pseudo-anomalies, train, score the test rows.

    Parameters
    ----------
    cell : Cell
        What to run.

    Returns
    -------
    Outcome
        The same numbers whenever and wherever it is run.

    Raises
    ------
    ValueError
        If there is no dataset, sampler or detector of that name, or a setting is out of range.

    Notes
    -----
    The sampler does not scale (``scaling=None``): the protocol's rows are scaled already.

    Examples
    --------
    >>> outcome = run_cell(Cell("wine", "NNGMix", "MLP", label_ratio=0.5))
    >>> 0.5 < outcome.aucroc <= 1
    True
    """
    _check_name("sampler", cell.sampler, [BASELINE, *SAMPLERS])
    _check_name("detector", cell.detector, list(DETECTORS))
    # Threads of the linear algebra library add numbers up in another order: with one, a cell comes
    # to the same last digit alone, beside others or on a cluster.
    with threadpool_limits(1):
        return _run(cell)


def _run(cell: Cell) -> Outcome:
    start = time.perf_counter()
    data = load_builtin(cell.dataset)
    split = make_split(
        data.data,
        data.target,
        label_ratio=cell.label_ratio,
        seed=cell.seed,
        pollution_ratio=cell.pollution_ratio,
        protocol=cell.protocol,
    )
    X, y = split.X_train, split.y_train
    if cell.sampler != BASELINE:
        sampler = SAMPLERS[cell.sampler](multiplier=cell.multiplier)
        # Cells run side by side: each keeps to one core.
        chance = {"scaling": None, "random_state": cell.seed, "n_jobs": 1}
        known = sampler.get_params()
        sampler.set_params(**{name: value for name, value in chance.items() if name in known})
        X, y = sampler.fit_resample(X, y)
    detector = DETECTORS[cell.detector](random_state=cell.seed)
    if "n_jobs" in detector.get_params():
        detector.set_params(n_jobs=1)
    scores = np.asarray(detector.fit(X, y).decision_function(split.X_test))
    return Outcome(
        cell,
        float(roc_auc_score(split.y_test, scores)),
        float(average_precision_score(split.y_test, scores)),
        time.perf_counter() - start,
    )


def _check_name(what: str, name: str, known: list[str]) -> None:
    if name not in known:
        raise ValueError(f"there is no {what} {name!r}; there are {', '.join(known)}.")


def run_cells(cells: Iterable[Cell], *, n_jobs: int | None = -1) -> Iterator[Outcome]:
    """Run cells side by side and hand over each as it is finished.

    Parameters
    ----------
    cells : iterable of Cell
        What to run.
    n_jobs : int or None, default=-1
        Processes, in joblib's way of counting; -1 is one a core. The numbers do not depend on it.
        Under ``joblib.parallel_config(backend="dask")`` the cells go to a cluster.

    Yields
    ------
    Outcome
        In the order of finishing.
    """
    yield from Parallel(n_jobs=n_jobs, return_as="generator_unordered")(
        delayed(run_cell)(cell) for cell in cells
    )
