"""One cell of an experiment: a dataset, a sampler, a detector, a seed, and what came out."""

import dataclasses
import functools
import hashlib
import inspect
import json
import operator
import os
import time
import warnings
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
from sklearn.metrics import average_precision_score, roc_auc_score
from threadpoolctl import threadpool_limits

from nngmix.datasets import load_adbench, load_builtin, make_split
from nngmix.datasets.split import Protocol, Split
from nngmix.detectors import DETECTORS, LabelsWarning
from nngmix.sampling import SAMPLERS, Chain

#: The name of training without pseudo-anomalies; the paper's tables say Baseline.
BASELINE = "none"

#: A setting's value: what JSON can hold and a hash can be taken of.
Setting = bool | int | float | str | None
Settings = tuple[tuple[str, Setting], ...]


@dataclasses.dataclass(frozen=True)
class Cell:
    """Everything that fixes one number of a table.

    Parameters
    ----------
    dataset : str
        Name of a built-in dataset ("wine"), or of a file of ADBench with its suite in front
        ("Classical/45_wine").
    sampler : str
        Name in ``nngmix.sampling.SAMPLERS``, several joined by "+" for a chain, or "none".
    detector : str
        Name in ``nngmix.detectors.DETECTORS``.
    multiplier : int, default=10
        Pseudo-anomalies for each labelled anomaly; 0 for "none", whatever is given.
    label_ratio : float, default=0.1
        Share of the training anomalies that is labelled.
    pollution_ratio : float, default=1.0
        Share of the other training anomalies that stays, hidden, in the unlabelled rows.
    protocol : {"adbench", "leak-free"}, default="adbench"
        See :func:`nngmix.datasets.make_split`.
    seed : int, default=0
        Fixes the split, the sampler and the detector.
    sampler_settings, detector_settings : mapping or tuple of (name, value) pairs, default=()
        What differs from the sampler's and the detector's defaults. Kept as pairs in order of
        name.

    Examples
    --------
    >>> cell = Cell("wine", "NNGMix", "MLP", sampler_settings={"sigma": 0.1})
    >>> cell.sampler_settings
    (('sigma', 0.1),)
    >>> cell == Cell("wine", "NNGMix", "MLP", sampler_settings=[("sigma", 0.1)])
    True
    >>> Cell("wine", "NNGMix", "MLP").key[:8]
    '6d7e532d'
    """

    dataset: str
    sampler: str
    detector: str
    multiplier: int = 10
    label_ratio: float = 0.1
    pollution_ratio: float = 1.0
    protocol: Protocol = "adbench"
    seed: int = 0
    sampler_settings: Settings = ()
    detector_settings: Settings = ()

    def __post_init__(self) -> None:
        # Cells that are equal must have one key: 1 and 1.0, and numpy's numbers, are one value.
        for name, kind in (
            ("multiplier", operator.index),
            ("label_ratio", float),
            ("pollution_ratio", float),
            ("seed", operator.index),
            ("sampler_settings", _settings),
            ("detector_settings", _settings),
        ):
            object.__setattr__(self, name, kind(getattr(self, name)))
        if self.sampler == BASELINE:
            object.__setattr__(self, "multiplier", 0)

    @property
    def key(self) -> str:
        """Hash of the values: the same cell has the same key on any machine."""
        text = json.dumps(dataclasses.asdict(self), sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:32]

    def __str__(self) -> str:
        settings = "".join(
            f" {name}={value}" for name, value in (*self.sampler_settings, *self.detector_settings)
        )
        return (
            f"{self.dataset} {self.detector} {self.sampler} {self.multiplier}x{settings}, labels "
            f"{self.label_ratio:g}, pollution {self.pollution_ratio:g}, {self.protocol}, "
            f"seed {self.seed}"
        )


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
        Wall time of loading, sampling, training and scoring.
    cpu_seconds : float
        Time of all its threads on the processor.
    peak_bytes : int or None
        Most memory that the process held at a time (its resident set), libraries included; None
        where it wasn't measured.
    """

    cell: Cell
    aucroc: float
    aucpr: float
    seconds: float
    cpu_seconds: float = float("nan")
    peak_bytes: int | None = None


def run_cell(cell: Cell, *, data_home: str | os.PathLike[str] | None = None) -> Outcome:
    """Run one cell: split, add pseudo-anomalies, train, score the test rows.

    Parameters
    ----------
    cell : Cell
        What to run.
    data_home : str or path, default=None
        Where ADBench's files are; see :func:`nngmix.datasets.find_data_home`.

    Returns
    -------
    Outcome
        The same numbers whenever and wherever it is run.

    Raises
    ------
    ValueError
        If there is no dataset, sampler or detector of that name, or a setting is out of range.
    FileNotFoundError
        If the dataset's file is not there.
    ImportError
        If a library is not installed that the detector wraps.

    Notes
    -----
    The sampler does not scale (``scaling=None``): the protocol's rows are scaled already.
    Detectors see the unlabelled rows first, then the labelled anomalies, then the generated ones,
    which is the order of the published program: with it, a seed stands for the same batches.

    Examples
    --------
    >>> outcome = run_cell(Cell("wine", "NNGMix", "MLP", label_ratio=0.5))
    >>> 0.5 < outcome.aucroc <= 1
    True
    """
    sampler, detector = _build_sampler(cell), _build_detector(cell)
    # A process's first import of a library is not the cell's time.
    getattr(detector, "_require", lambda: None)()
    start, cpu_start = time.perf_counter(), time.process_time()
    # Threads of the linear algebra library add numbers up in another order: with one, a cell comes
    # to the same last digit alone, beside others or on a cluster.
    with threadpool_limits(1), warnings.catch_warnings():
        # How good it is, is measured here.
        warnings.simplefilter("ignore", LabelsWarning)
        split = _split(
            cell.dataset,
            None if data_home is None else os.fspath(data_home),
            cell.label_ratio,
            cell.pollution_ratio,
            cell.protocol,
            cell.seed,
        )
        order = np.argsort(split.y_train, kind="stable")
        X, y = split.X_train[order], split.y_train[order]
        if sampler is not None:
            X, y = sampler.fit_resample(X, y)
        scores = np.asarray(detector.fit(X, y).decision_function(split.X_test))
        return Outcome(
            cell,
            float(roc_auc_score(split.y_test, scores)),
            float(average_precision_score(split.y_test, scores)),
            time.perf_counter() - start,
            time.process_time() - cpu_start,
        )


# Cells of one split come one after another, and the larger files take longer to read than some
# detectors to train.
@functools.lru_cache(maxsize=1)
def _split(
    dataset: str,
    data_home: str | None,
    label_ratio: float,
    pollution_ratio: float,
    protocol: Protocol,
    seed: int,
) -> Split:
    # ADBench's names have their suite in front: its wine set and the built-in one are two.
    data = load_adbench(dataset, data_home=data_home) if "/" in dataset else load_builtin(dataset)
    return make_split(
        data.data,
        data.target,
        label_ratio=label_ratio,
        seed=seed,
        pollution_ratio=pollution_ratio,
        protocol=protocol,
    )


def _build_sampler(cell: Cell) -> Any:
    if cell.sampler == BASELINE:
        return None
    names = cell.sampler.split("+")
    for name in names:
        _check_name("sampler", name, [BASELINE, *SAMPLERS])
    # Cells run side by side: each keeps to one core.
    fixed: dict[str, Any] = {
        "multiplier": cell.multiplier,
        "scaling": None,
        "random_state": cell.seed,
        "n_jobs": 1,
    }
    if len(names) > 1:
        _check_settings(cell.sampler, cell.sampler_settings, [])
        return Chain([SAMPLERS[name]() for name in names], **fixed)
    kind: Any = SAMPLERS[cell.sampler]
    known = list(inspect.signature(kind).parameters)
    _check_settings(cell.sampler, cell.sampler_settings, known)
    own = {name: value for name, value in fixed.items() if name in known}
    return kind(**own | dict(cell.sampler_settings))


def _build_detector(cell: Cell) -> Any:
    _check_name("detector", cell.detector, list(DETECTORS))
    kind: Any = DETECTORS[cell.detector]
    known = list(inspect.signature(kind).parameters)
    _check_settings(cell.detector, cell.detector_settings, known)
    fixed = {"random_state": cell.seed, "n_jobs": 1}
    own = {name: value for name, value in fixed.items() if name in known}
    return kind(**own | dict(cell.detector_settings))


def _settings(given: Mapping[str, Any] | Iterable[Iterable[Any]]) -> Settings:
    pairs = given.items() if isinstance(given, Mapping) else [tuple(pair) for pair in given]
    kept = {}
    for name, value in pairs:
        # numpy's numbers are Python's; and 2 and 2.0 must have one key.
        value = value.item() if isinstance(value, np.generic) else value
        if isinstance(value, float) and value.is_integer():
            value = int(value)
        if not isinstance(value, Setting):
            raise TypeError(
                f"the setting {name!r} must be a number, a word, True, False or None; got {value!r}"
            )
        kept[str(name)] = value
    return tuple(sorted(kept.items()))


def _check_name(what: str, name: str, known: list[str]) -> None:
    if name not in known:
        raise ValueError(f"there is no {what} {name!r}; there are {', '.join(known)}.")


def _check_settings(what: str, given: Settings, known: list[str]) -> None:
    for name, _ in given:
        if name not in known:
            raise ValueError(f"{what} has no setting {name!r}; it has {', '.join(known)}.")
