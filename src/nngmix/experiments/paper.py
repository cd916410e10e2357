"""The paper's experiments, and what goes beyond, as lists of cells; and the published numbers."""

import csv
import dataclasses
import functools
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Literal

from nngmix.datasets.split import Protocol
from nngmix.detectors import DETECTORS
from nngmix.experiments.cells import BASELINE, Cell, Settings

Suite = Literal["Classical", "CV", "NLP"]

_PUBLISHED = Path(__file__).with_name("published.csv")


@dataclasses.dataclass(frozen=True)
class Learner:
    """A detector as the paper's experiments used it, or one that the paper doesn't have.

    Attributes
    ----------
    label : str
        Its name in the paper's tables.
    detector : str
        Its name here.
    settings : tuple of (name, value) pairs
        What differs from the defaults here.
    """

    label: str
    detector: str
    settings: Settings = ()

    @property
    def alone(self) -> bool:
        """Whether it is run without samplers only. None of the paper's is."""
        return DETECTORS[self.detector].makes_pseudo_anomalies

    def takes(self, column: "Column") -> bool:
        """Tell whether it is run with the sampler of a column."""
        return column.sampler == BASELINE or not self.alone


#: The five detectors, in the tables' order. No weight of the published DeepSAD's auto-encoder ever
#: reached its detector, so its numbers are those without pre-training.
LEARNERS = (
    Learner("DeepSAD", "DeepSAD", (("pretrain", False),)),
    Learner("XGBOD", "XGBOD"),
    Learner("MLP", "MLP"),
    Learner("FTTransformer", "FTTransformer"),
    Learner("CatB", "CatBoost"),
)

_BAGGED_TREES = Learner("BaggedTrees", "BaggedTrees")
_AUTO = Learner("AutoDetector", "AutoDetector")

#: The paper's detectors, and then our own.
ALL_LEARNERS = (*LEARNERS, _BAGGED_TREES, _AUTO)


@dataclasses.dataclass(frozen=True)
class Column:
    """A column of a table, or a point of each line of a figure.

    Attributes
    ----------
    series : str
        The sampler as the paper calls it, "Baseline" and "Duplicate" among them.
    x : str
        What it is told apart by within the series: "10×", "1 %".
    sampler : str
        Its name here; "none" for the baseline.
    multiplier : int
        Pseudo-anomalies for each labelled anomaly; 0 for the baseline.
    label_ratio, pollution_ratio : float
        As in :class:`nngmix.experiments.Cell`.
    settings : tuple of (name, value) pairs
        Of the sampler.
    panel : str
        Part of the table or figure that it belongs to.
    """

    series: str
    x: str
    sampler: str
    multiplier: int = 10
    label_ratio: float = 0.01
    pollution_ratio: float = 1.0
    settings: Settings = ()
    panel: str = ""

    @property
    def label(self) -> str:
        """What it is called where there is one line for it."""
        return " ".join(part for part in (self.panel, self.series, self.x) if part)


@dataclasses.dataclass(frozen=True)
class Target:
    """A table or figure of the paper, or a comparison that goes beyond it.

    Attributes
    ----------
    name : str
        "table-1" to "table-8", "figure-1", "figure-3" to "figure-8"; "beyond" and what begins so.
    number : str
        As the paper writes it: "Table VII", "Fig. 3"; or as the page is to call it.
    title : str
        What it is about.
    suite : str
        Whose datasets it is on.
    columns : tuple of Column
        What is compared; empty for a picture that needs no experiment.
    learners : tuple of Learner
        The detectors.
    seeds : tuple of int
        What the paper used, as far as is known; other seeds can be asked for.
    by_dataset : bool
        Whether there is a row for each dataset instead of for each detector.
    contender : Learner or None
        The detector that all others are held against, each with each sampler. None: samplers are
        compared, each detector by itself, as in the paper.
    note : str
        What a reader must know.
    """

    name: str
    number: str
    title: str
    suite: Suite = "Classical"
    columns: tuple[Column, ...] = ()
    learners: tuple[Learner, ...] = LEARNERS
    seeds: tuple[int, ...] = (0,)
    by_dataset: bool = False
    contender: Learner | None = None
    note: str = ""

    @property
    def panels(self) -> tuple[str, ...]:
        """Its parts."""
        return tuple(dict.fromkeys(column.panel for column in self.columns))

    def cell(
        self,
        learner: Learner,
        column: Column,
        dataset: str,
        seed: int,
        protocol: Protocol = "adbench",
    ) -> Cell:
        """Make the cell of a detector, a column, a dataset and a seed."""
        settings = column.settings
        # The published commands for these two suites had it so, for this detector only.
        if self.suite != "Classical" and learner.label == "MLP" and column.series == "NNG-Mix":
            settings = (("sigma", 0.3),)
        return Cell(
            dataset,
            column.sampler,
            learner.detector,
            column.multiplier,
            column.label_ratio,
            column.pollution_ratio,
            protocol,
            seed,
            settings,
            learner.settings,
        )

    def published(self, learner: Learner | None, column: Column, dataset: str = "mean") -> float:
        """Look up what the paper has there; NaN where it has nothing.

        Parameters
        ----------
        learner : Learner or None
            The detector; None for the mean of all five.
        column : Column
            The column.
        dataset : str, default="mean"
            A dataset's name, or "mean" over the suite.

        Returns
        -------
        float
        """
        if column.pollution_ratio != 1:
            return float("nan")
        # Settings that differ from the paper's defaults have rows of their own names.
        if column.settings and column.series == "NNG-Mix":
            return float("nan")
        numbers = _published()
        key = (
            self.suite,
            dataset,
            "Average" if learner is None else learner.label,
            column.series,
            column.label_ratio,
            column.multiplier,
        )
        table = self.number.removeprefix("Table ")
        # A figure's points are partly in the tables.
        return numbers.get((table, *key), numbers.get(("", *key), float("nan")))


def _nng_mix(
    x: str = "",
    multiplier: int = 10,
    label_ratio: float = 0.01,
    *,
    panel: str = "",
    series: str = "NNG-Mix",
    settings: Settings = (),
    pollution_ratio: float = 1.0,
) -> Column:
    return Column(
        series,
        x or f"{multiplier}×",
        "NNGMix",
        multiplier,
        label_ratio,
        pollution_ratio,
        settings,
        panel,
    )


def _control(
    x: str = "",
    multiplier: int = 10,
    label_ratio: float = 0.01,
    *,
    panel: str = "",
    pollution_ratio: float = 1.0,
) -> Column:
    return Column(
        "Duplicate",
        x or f"{multiplier}×",
        "Duplicate",
        multiplier,
        label_ratio,
        pollution_ratio,
        panel=panel,
    )


def _baseline(
    x: str = "", label_ratio: float = 0.01, *, panel: str = "", pollution_ratio: float = 1.0
) -> Column:
    return Column("Baseline", x, BASELINE, 0, label_ratio, pollution_ratio, panel=panel)


def _others(multipliers: Sequence[int], names: Sequence[str]) -> tuple[Column, ...]:
    samplers = {
        "NPOS": "NPOS",
        "RoSAS": "RoSAS",
        "Mixup": "Mixup",
        "Cutout": "Cutout",
        "CutMix": "CutMix",
        "GN": "GaussianNoise",
        "Cutout+GN": "Cutout+GaussianNoise",
        "CutMix+GN": "CutMix+GaussianNoise",
    }
    return tuple(Column(name, f"{m}×", samplers[name], m) for name in names for m in multipliers)


_ALL_OTHERS = ("NPOS", "RoSAS", "Mixup", "Cutout", "CutMix", "GN")
_FIRST = (_baseline(), _control(), *_others([10], _ALL_OTHERS), _nng_mix())
_FEW = (1, 5, 10)
_MANY = (1, 5, 10, 20, 50, 100)
_RATIOS = (0.01, 0.05, 0.1, 0.2, 0.5, 1.0)
_POLLUTIONS = (0.0, 0.2, 0.4, 0.6, 0.8, 1.0)
_SIGMA_NOTE = (
    "NNG-Mix for the MLP has sigma = 0.3 here, as in the published commands for this suite; the "
    "paper's text says 0.01."
)
_ABLATIONS: tuple[tuple[str, Settings], ...] = (
    ("NNG-Mix w/o NN and GN", (("n_neighbors", None), ("sigma", 0))),
    ("NNG-Mix w/o NN", (("n_neighbors", None),)),
    ("NNG-Mix w/o GN", (("sigma", 0),)),
    ("NNG-Mix", ()),
)


def _percent(ratio: float) -> str:
    return f"{100 * ratio:g} %"


_TABLES = (
    Target(
        "table-1",
        "Table I",
        "Classical datasets, 1 % of the anomalies labelled, 10× pseudo-anomalies",
        columns=_FIRST,
    ),
    Target(
        "table-2",
        "Table II",
        "CV datasets, 1 % of the anomalies labelled, 10× pseudo-anomalies",
        suite="CV",
        columns=_FIRST,
        note=_SIGMA_NOTE,
    ),
    Target(
        "table-3",
        "Table III",
        "NLP datasets, 1 % of the anomalies labelled, 10× pseudo-anomalies",
        suite="NLP",
        columns=_FIRST,
        note=_SIGMA_NOTE,
    ),
    Target(
        "table-4",
        "Table IV",
        "Classical datasets, 1 % labelled, 1×, 5× and 10× pseudo-anomalies",
        columns=(
            _baseline(),
            *(_control(multiplier=m) for m in _FEW),
            *_others(_FEW, ("Mixup", "Cutout", "CutMix", "GN")),
            *(_nng_mix(multiplier=m) for m in _FEW),
        ),
    ),
    Target(
        "table-5",
        "Table V",
        "Classical datasets, 1 %, 5 % and 10 % labelled, NNG-Mix",
        columns=tuple(
            column
            for ratio in (0.01, 0.05, 0.1)
            for panel in [_percent(ratio)]
            for column in (
                _baseline(label_ratio=ratio, panel=panel),
                *(_control(multiplier=m, label_ratio=ratio, panel=panel) for m in _FEW),
                *(_nng_mix(multiplier=m, label_ratio=ratio, panel=panel) for m in _FEW),
            )
        ),
    ),
    Target(
        "table-6",
        "Table VI",
        "Ablations of NNG-Mix on Classical datasets, 1 % labelled",
        columns=(
            _baseline(),
            *(_control(multiplier=m) for m in _FEW),
            *(
                _nng_mix(multiplier=m, series=series, settings=settings)
                for series, settings in _ABLATIONS
                for m in _FEW
            ),
        ),
    ),
    Target(
        "table-7",
        "Table VII",
        "DeepSAD on each Classical dataset, 10 % labelled, NNG-Mix",
        columns=(
            _baseline(label_ratio=0.1),
            *(_control(multiplier=m, label_ratio=0.1) for m in _FEW),
            *(_nng_mix(multiplier=m, label_ratio=0.1) for m in _FEW),
        ),
        learners=LEARNERS[:1],
        by_dataset=True,
    ),
    Target(
        "table-8",
        "Table VIII",
        "Combinations of samplers with DeepSAD on Classical datasets, 1 % labelled, 10×",
        columns=(_baseline(), _control(), *_others([10], ("Cutout+GN", "CutMix+GN")), _nng_mix()),
        learners=LEARNERS[:1],
    ),
)

_FIGURES = (
    Target("figure-1", "Fig. 1", "What Mixup and NNG-Mix generate around three clusters"),
    Target(
        "figure-3",
        "Fig. 3",
        "More pseudo-anomalies (a), more labelled anomalies (b); Classical datasets",
        columns=(
            *(
                column
                for m in _MANY
                for column in (
                    _control(multiplier=m, panel="(a)"),
                    _nng_mix(multiplier=m, panel="(a)"),
                )
            ),
            *(
                column
                for ratio in _RATIOS
                for x in [_percent(ratio)]
                for column in (
                    _baseline(x, ratio, panel="(b)"),
                    _control(x, label_ratio=ratio, panel="(b)"),
                    _nng_mix(x, label_ratio=ratio, panel="(b)"),
                )
            ),
        ),
    ),
    Target(
        "figure-4",
        "Fig. 4",
        "Fewer hidden anomalies among the unlabelled rows; Classical datasets, 1 % labelled, 10×",
        columns=tuple(
            column
            for p in _POLLUTIONS
            for x in [_percent(p)]
            for column in (
                _baseline(x, pollution_ratio=p),
                _control(x, pollution_ratio=p),
                _nng_mix(x, pollution_ratio=p),
            )
        ),
    ),
    Target(
        "figure-5",
        "Fig. 5",
        "How much NNG-Mix's parameters matter; Classical datasets, 1 % labelled, 10×",
        columns=(
            *(
                _nng_mix(f"{k}", panel="k", settings=() if k == 10 else (("n_neighbors", k),))
                for k in (3, 5, 10, 20)
            ),
            *(
                _nng_mix(f"{s:g}", panel="σ", settings=() if s == 0.01 else (("sigma", s),))
                for s in (0.01, 0.1, 0.3)
            ),
            _nng_mix("0.2", panel="α"),
            _nng_mix("2", panel="α", settings=(("alpha", 2),)),
            # Beta(1, 1) is the uniform distribution.
            _nng_mix("uniform", panel="α", settings=(("alpha", 1),)),
        ),
    ),
    Target("figure-6", "Fig. 6", "t-SNE of what Mixup and NNG-Mix generate on vertebral"),
    Target(
        "figure-7",
        "Fig. 7",
        "Five seeds; DeepSAD on Classical datasets, 1 % labelled, 10×",
        columns=_FIRST,
        learners=LEARNERS[:1],
        seeds=(0, 1, 2, 3, 4),
    ),
    Target("figure-8", "Fig. 8", "What pseudo-anomalies do to a classifier's boundary"),
)

#: Every table and figure that can be reproduced, by name. Fig. 2 is a drawing of the method.
TARGETS: dict[str, Target] = {target.name: target for target in (*_TABLES, *_FIGURES)}

_BEYOND_NOTE = (
    "BaggedTrees and AutoDetector take no sampler: they stand in the lines called Baseline. The "
    "paper's means are over all files of the suite."
)


def _beyond(suite: Suite, suffix: str = "", note: str = "") -> Target:
    return Target(
        f"beyond{suffix.lower().replace(', ', '-')}",
        f"Beyond the paper{suffix}",
        f"Detectors that the paper doesn't have beside its own; {suite} datasets, 1 %, 5 % and "
        "10 % labelled",
        suite=suite,
        columns=tuple(
            column
            for ratio in (0.01, 0.05, 0.1)
            for panel in [_percent(ratio)]
            for column in (
                _baseline(label_ratio=ratio, panel=panel),
                _control(label_ratio=ratio, panel=panel),
                _nng_mix(label_ratio=ratio, panel=panel),
            )
        ),
        learners=ALL_LEARNERS,
        seeds=(0, 1, 2, 3, 4),
        contender=_AUTO,
        note=f"{_BEYOND_NOTE} {note}".strip(),
    )


#: What goes beyond the paper, by name. The other suites check whether it carries over.
BEYOND: dict[str, Target] = {
    target.name: target
    for target in (
        _beyond("Classical"),
        _beyond("CV", ", CV", _SIGMA_NOTE),
        _beyond("NLP", ", NLP", _SIGMA_NOTE),
    )
}


def list_cells(
    target: Target,
    datasets: Iterable[str],
    seeds: Iterable[int] | None = None,
    *,
    learners: Iterable[Learner] | None = None,
    columns: Iterable[Column] | None = None,
    protocol: Protocol = "adbench",
) -> list[Cell]:
    """List the cells of a table or figure.

    Parameters
    ----------
    target : Target
        One of `TARGETS` or `BEYOND`.
    datasets : iterable of str
        Names as :class:`nngmix.experiments.Cell` has them.
    seeds : iterable of int, default=None
        None: the target's own.
    learners, columns : iterable, default=None
        None: all of the target's.
    protocol : {"adbench", "leak-free"}, default="adbench"
        See :func:`nngmix.datasets.make_split`.

    Returns
    -------
    list of Cell
        Each once: some columns are the same experiment.

    Examples
    --------
    >>> from nngmix.datasets import list_adbench
    >>> names = [file.full_name for file in list_adbench("Classical")]
    >>> len(list_cells(TARGETS["table-7"], names))  # 47 datasets, 7 columns
    329
    """
    own = target.columns if columns is None else tuple(columns)
    return list(
        dict.fromkeys(
            target.cell(learner, column, dataset, seed, protocol)
            for seed in (target.seeds if seeds is None else seeds)
            for learner in (target.learners if learners is None else learners)
            for dataset in datasets
            for column in own
            if learner.takes(column)
        )
    )


@functools.cache
def _published() -> dict[tuple[str, str, str, str, str, float, int], float]:
    """Read the published numbers by table and what was run; with an empty table, the first."""
    found: dict[tuple[str, str, str, str, str, float, int], float] = {}
    with _PUBLISHED.open(newline="", encoding="utf-8") as file:
        for row in csv.DictReader(file):
            key = (
                row["suite"],
                row["dataset"],
                row["detector"],
                row["sampler"],
                float(row["label_ratio"]),
                int(row["multiplier"]),
            )
            value = float(row["aucroc"])
            found[(row["table"], *key)] = value
            found.setdefault(("", *key), value)
    return found
