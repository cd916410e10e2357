"""How long cells take: a guess from the size of the data, put right by what was measured."""

import functools
from collections import defaultdict
from collections.abc import Iterable

from nngmix.datasets import AdbenchFile, list_adbench
from nngmix.experiments.cells import Cell, Outcome
from nngmix.experiments.worker import Failure

# The rows that a training set has: see make_split.
_FEWEST, _MOST, _TRAIN_SHARE = 1_000, 10_000, 0.7
# Rows and columns where the catalogue doesn't know them.
_UNKNOWN = {"Classical": (10_000, 50), "CV": (2_000, 512), "NLP": (10_000, 768)}
_BUILTIN = {"breast_cancer": (569, 30), "digits": (1_797, 64), "wine": (178, 13)}

# How many cells of its own a guess is worth beside measured ones.
_WEIGHT = 2.0


class Durations:
    """Estimates the seconds that cells take on one core, and learns from those that ran.

    Parameters
    ----------
    known : iterable of Outcome or Failure, default=()
        Cells that were run.

    Examples
    --------
    >>> durations = Durations()
    >>> small, large = Cell("wine", "none", "MLP"), Cell("Classical/11_donors", "none", "MLP")
    >>> 0 < durations.seconds(small) < durations.seconds(large)
    True
    >>> before = durations.seconds(large)
    >>> for seed in range(5):
    ...     durations.add(Outcome(Cell("digits", "none", "MLP", seed=seed), 1.0, 1.0, 600.0))
    >>> durations.seconds(large) > 10 * before  # all is slower than was thought
    True
    """

    def __init__(self, known: Iterable[Outcome | Failure] = ()) -> None:
        # Measured and guessed seconds: of all cells, of a detector's, of its cells on a dataset,
        # and of those with the same sampler.
        self._measured: dict[tuple[str, ...], float] = defaultdict(float)
        self._guessed: dict[tuple[str, ...], float] = defaultdict(float)
        for result in known:
            self.add(result)

    def add(self, result: Outcome | Failure) -> None:
        """Learn from a cell that was run; a failed one counts with the time that it took."""
        guess = _guess(result.cell)
        for group in _groups(result.cell):
            self._measured[group] += result.seconds
            self._guessed[group] += guess

    def seconds(self, cell: Cell) -> float:
        """Estimate the seconds of a cell."""
        guess = _guess(cell)
        # From the widest group to the narrowest, each starts from what the one before came to.
        ratio = 1.0
        for group in _groups(cell):
            prior = _WEIGHT * guess
            ratio = (self._measured.get(group, 0.0) + ratio * prior) / (
                self._guessed.get(group, 0.0) + prior
            )
        return ratio * guess

    def left(self, cells: Iterable[Cell], n_jobs: int) -> float:
        """Estimate the seconds until all of some cells are done by so many processes."""
        each = [self.seconds(cell) for cell in cells]
        return max(sum(each) / max(n_jobs, 1), max(each, default=0.0))


def _groups(cell: Cell) -> list[tuple[str, ...]]:
    detector = f"{cell.detector} {cell.detector_settings}"
    return [
        (),
        (detector,),
        (detector, cell.dataset),
        (detector, cell.dataset, cell.sampler),
    ]


def _guess(cell: Cell) -> float:
    rows, columns = _size(cell.dataset)
    n_train = _TRAIN_SHARE * min(max(rows, _FEWEST), _MOST)
    # Seconds on one core of 2020's, from runs on ADBench's files.
    seconds = {
        "DeepSAD": 0.1 + 1.8e-4 * n_train * (1 + columns / 300),
        "XGBOD": 0.2 + 5e-4 * n_train * (1 + columns / 500),
        "MLP": 0.1 + 2e-4 * n_train * (1 + columns / 150),
        "CatBoost": 0.3 + 0.1 * columns**0.8 + 3e-4 * n_train,
        "BaggedTrees": 0.2 + 2e-5 * n_train * (1 + columns / 500),
        "AutoDetector": 2.0 + 3e-4 * n_train * (1 + columns / 300),
        "FTTransformer": 1.0 + 1.2e-2 * n_train * (columns + 1) * (1 + columns / 500),
    }.get(cell.detector, 1.0)
    if ("pretrain", False) not in cell.detector_settings and cell.detector == "DeepSAD":
        seconds *= 4
    if cell.sampler == "NPOS":
        # For each row that it generates it searches all unlabelled ones.
        n_labelled = n_train * _anomalies(cell.dataset) * cell.label_ratio
        seconds += 4e-5 * n_train * max(n_labelled, 1) * cell.multiplier
    return seconds + 2e-8 * rows * columns


def _size(dataset: str) -> tuple[int, int]:
    if dataset in _BUILTIN:
        return _BUILTIN[dataset]
    file = _files().get(dataset)
    if file is not None and file.n_rows and file.n_features:
        return file.n_rows, file.n_features
    return _UNKNOWN.get(dataset.split("_")[0].split("/")[0], _UNKNOWN["Classical"])


def _anomalies(dataset: str) -> float:
    file = _files().get(dataset)
    return file.n_anomalies / file.n_rows if file and file.n_rows and file.n_anomalies else 0.1


@functools.cache
def _files() -> dict[str, AdbenchFile]:
    return {file.full_name: file for file in list_adbench()}
