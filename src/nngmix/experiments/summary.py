"""Cells become the numbers of a table: means over datasets and seeds, beside the published ones."""

import dataclasses
import math
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from nngmix.datasets import list_adbench
from nngmix.datasets.split import Protocol
from nngmix.experiments.cells import Outcome
from nngmix.experiments.paper import Column, Learner, Target
from nngmix.experiments.store import Results

NAN = float("nan")

Outcomes = Mapping[Column, Mapping[tuple[str, int], Outcome]]


@dataclasses.dataclass(frozen=True)
class Entry:
    """One number of a table, never alone.

    Attributes
    ----------
    ours : float
        AUCROC, mean over datasets and seeds; NaN if nothing was run.
    published : float
        The paper's; NaN if it has none.
    spread : float
        Standard deviation of `ours` between seeds; NaN with fewer than two.
    aucpr : float
        Average precision, mean likewise.
    over_control : float
        `ours` minus that of ``Duplicate`` with as many copies, on the same cells; NaN for the
        baseline and the control themselves.
    n_datasets, n_seeds : int
        What is behind `ours`: so many datasets, each with so many seeds or more.
    """

    ours: float = NAN
    published: float = NAN
    spread: float = NAN
    aucpr: float = NAN
    over_control: float = NAN
    n_datasets: int = 0
    n_seeds: int = 0

    @property
    def difference(self) -> float:
        """Ours minus the published one."""
        return self.ours - self.published


@dataclasses.dataclass(frozen=True, eq=False)
class Block:
    """What a detector came to in all columns of a target.

    Attributes
    ----------
    learner : Learner
        The detector.
    columns : tuple of Column
        The target's columns that were run.
    datasets : tuple of str
        Those that have a number in all these columns for one seed at least: only they count.
    seeds : tuple of int
        Those that all these datasets have; a dataset may have more.
    aucroc, aucpr : ndarray of shape (n_datasets, n_columns)
        Mean over a dataset's seeds.
    by_seed : ndarray of shape (n_seeds, n_datasets, n_columns)
        AUCROC with each of `seeds`.
    n_seeds : tuple of int
        How many seeds each dataset has in all columns.
    scarce : tuple of Column
        Columns that were run on less than half of the datasets that others were run on; left out.
    incomplete : tuple of str
        Datasets that were run and do not count, since some column has no number.
    failures : dict of str to int
        Reasons of failed cells, and how many have each.
    outcomes : dict of Column to dict of (dataset, seed) to Outcome
        Everything that was run, complete or not.
    """

    learner: Learner
    columns: tuple[Column, ...]
    datasets: tuple[str, ...]
    seeds: tuple[int, ...]
    aucroc: NDArray[np.float64]
    aucpr: NDArray[np.float64]
    by_seed: NDArray[np.float64]
    n_seeds: tuple[int, ...]
    scarce: tuple[Column, ...] = ()
    incomplete: tuple[str, ...] = ()
    failures: dict[str, int] = dataclasses.field(default_factory=dict)
    outcomes: Outcomes = dataclasses.field(default_factory=dict)

    def entry(self, column: Column, published: float) -> Entry:
        """Average a column over the datasets."""
        if column not in self.columns or not self.datasets:
            return Entry(published=published)
        at = self.columns.index(column)
        return Entry(
            ours=float(self.aucroc[:, at].mean()),
            published=published,
            spread=(
                float(self.by_seed[:, :, at].mean(axis=1).std(ddof=1))
                if len(self.seeds) > 1
                else NAN
            ),
            aucpr=float(self.aucpr[:, at].mean()),
            over_control=float(self.gains(column).mean()),
            n_datasets=len(self.datasets),
            n_seeds=min(self.n_seeds),
        )

    def dataset_entry(self, column: Column, dataset: str, published: float) -> Entry:
        """Take one dataset's number of a column."""
        if column not in self.columns or dataset not in self.datasets:
            return Entry(published=published)
        at, row = self.columns.index(column), self.datasets.index(dataset)
        return Entry(
            ours=float(self.aucroc[row, at]),
            published=published,
            spread=float(self.by_seed[:, row, at].std(ddof=1)) if len(self.seeds) > 1 else NAN,
            aucpr=float(self.aucpr[row, at]),
            over_control=float(self.gains(column)[row]),
            n_datasets=1,
            n_seeds=self.n_seeds[row],
        )

    def gains(self, column: Column) -> NDArray[np.float64]:
        """Subtract the control's AUCROC from a column's, dataset by dataset; NaN without one."""
        control = self.control_of(column)
        if control is None:
            return np.full(len(self.datasets), NAN)
        return (
            self.aucroc[:, self.columns.index(column)] - self.aucroc[:, self.columns.index(control)]
        )

    def control_of(self, column: Column) -> Column | None:
        """Find the column of plain copies, as many as another column generates."""
        if column.series in ("Baseline", "Duplicate"):
            return None
        same = (column.multiplier, column.label_ratio, column.pollution_ratio)
        for other in self.columns:
            if other.series == "Duplicate" and same == (
                other.multiplier,
                other.label_ratio,
                other.pollution_ratio,
            ):
                return other
        return None


@dataclasses.dataclass(frozen=True, eq=False)
class Method:
    """A detector with a sampler, and all that was run of it in a part of a table.

    Attributes
    ----------
    learner : Learner
        The detector.
    column : Column
        The sampler, and the part.
    outcomes : dict of (dataset, seed) to Outcome
        What was run, complete or not.
    """

    learner: Learner
    column: Column
    outcomes: Mapping[tuple[str, int], Outcome]

    @property
    def name(self) -> str:
        """Its name in a sentence; a detector that takes no sampler needs none said."""
        if self.learner.alone:
            return self.learner.label
        sampler = " ".join(part for part in (self.column.series, self.column.x) if part)
        return f"{self.learner.label}, {sampler}"

    @property
    def datasets(self) -> tuple[str, ...]:
        """Those that it has a number for, with any seed."""
        return tuple(dict.fromkeys(dataset for dataset, _ in self.outcomes))

    def entry(self, dataset: str, published: float) -> Entry:
        """Average one dataset's numbers over its seeds."""
        own = [outcome for (name, _), outcome in self.outcomes.items() if name == dataset]
        if not own:
            return Entry(published=published)
        scores = [outcome.aucroc for outcome in own]
        return Entry(
            ours=float(np.mean(scores)),
            published=published,
            spread=float(np.std(scores, ddof=1)) if len(own) > 1 else NAN,
            aucpr=float(np.mean([outcome.aucpr for outcome in own])),
            n_datasets=1,
            n_seeds=len(own),
        )


@dataclasses.dataclass(frozen=True)
class Gap:
    """What a method has more than another one on a dataset, over the seeds that both have.

    Attributes
    ----------
    dataset : str
        The dataset.
    ours, theirs : float
        Means over the seeds.
    n_seeds : int
        How many.
    opponent : str
        The other one's name.
    """

    dataset: str
    ours: float
    theirs: float
    n_seeds: int
    opponent: str

    @property
    def difference(self) -> float:
        """Ours minus theirs."""
        return self.ours - self.theirs


@dataclasses.dataclass(frozen=True, eq=False)
class Summary:
    """A table or figure, filled with what was run.

    Attributes
    ----------
    target : Target
        Which.
    protocol : str
        How the datasets were split.
    blocks : tuple of Block
        One for each detector that was run.
    datasets : tuple of str
        All that the paper used (or the built-in ones, where nothing else was run).
    not_run : tuple of str
        Those of `datasets` without any number.
    builtin : bool
        Whether the numbers come from the built-in datasets, which the paper doesn't have.
    parts : dict of str to Summary
        For a comparison with a contender: each part by itself. A dataset that lacks a number in
        one of them then counts in the others.
    """

    target: Target
    protocol: Protocol
    blocks: tuple[Block, ...]
    datasets: tuple[str, ...]
    not_run: tuple[str, ...]
    builtin: bool
    parts: dict[str, "Summary"] = dataclasses.field(default_factory=dict)

    @property
    def has_numbers(self) -> bool:
        """Whether anything was run."""
        return any(block.datasets for block in self.blocks) or any(
            part.has_numbers for part in self.parts.values()
        )

    def published(self, learner: Learner | None, column: Column, dataset: str = "mean") -> float:
        """Look up a published number; a mean is over the datasets that ours is over, if possible.

        Parameters
        ----------
        learner : Learner or None
            None: the mean over the detectors of `averaged`.
        column : Column
            The column.
        dataset : str, default="mean"
            Name of a file, or "mean".

        Returns
        -------
        float
            NaN where the paper has nothing.
        """
        if self.builtin:
            return NAN
        if learner is None:
            return _mean([self.published(block.learner, column) for block in self.averaged])
        if dataset != "mean":
            return self.target.published(learner, column, _plain(dataset))
        if self.target.by_dataset:
            block = next((b for b in self.blocks if b.learner == learner), None)
            if block is not None and block.datasets:
                return _mean(
                    [self.target.published(learner, column, _plain(d)) for d in block.datasets]
                )
        return self.target.published(learner, column)

    @property
    def full_blocks(self) -> tuple[Block, ...]:
        """The detectors with numbers."""
        return tuple(block for block in self.blocks if block.datasets)

    def entry(self, learner: Learner, column: Column) -> Entry:
        """Give a detector's number in a column."""
        block = next((b for b in self.blocks if b.learner == learner), None)
        published = self.published(learner, column)
        return Entry(published=published) if block is None else block.entry(column, published)

    def methods(self, panel: str) -> tuple[Method, ...]:
        """List each detector with each sampler in a part of the table, whether it was run or not.

        Parameters
        ----------
        panel : str
            The part.

        Returns
        -------
        tuple of Method
            The contender first.
        """
        run = {block.learner: block.outcomes for block in self.blocks}
        found = (
            Method(learner, column, run.get(learner, {}).get(column, {}))
            for learner in self.target.learners
            for column in self.target.columns
            if column.panel == panel and learner.takes(column)
        )
        return tuple(sorted(found, key=lambda one: one.learner != self.target.contender))

    @property
    def shared(self) -> tuple[tuple[Block, ...], tuple[str, ...]]:
        """The detectors whose means can be held against one another, and over which datasets.

        One that was run on less than half as many datasets as the fullest is left out: it would
        leave too few that all of them have.
        """
        most = max((len(block.datasets) for block in self.full_blocks), default=0)
        enough = tuple(block for block in self.full_blocks if 2 * len(block.datasets) >= most)
        names = set.intersection(*(set(block.datasets) for block in enough)) if enough else set()
        return enough, tuple(name for name in self.datasets if name in names)

    @property
    def averaged(self) -> tuple[Block, ...]:
        """The detectors that a mean over detectors is of: those with the most columns.

        One that lacks a column would make the mean of that column another one than its
        neighbours'.
        """
        most = max((len(block.columns) for block in self.full_blocks), default=0)
        return tuple(block for block in self.full_blocks if len(block.columns) == most)

    def average(self, column: Column) -> Entry:
        """Average a column over the detectors of `averaged`."""
        entries = [self.entry(block.learner, column) for block in self.averaged]
        if not entries or any(math.isnan(entry.ours) for entry in entries):
            return Entry()
        return Entry(
            ours=_mean([e.ours for e in entries]),
            published=_mean([e.published for e in entries]),
            aucpr=_mean([e.aucpr for e in entries]),
            over_control=_mean([e.over_control for e in entries]),
            n_datasets=min(e.n_datasets for e in entries),
            n_seeds=min(e.n_seeds for e in entries),
        )


def summarise(target: Target, results: Results, *, protocol: Protocol = "adbench") -> Summary:
    """Fill a table or figure with what was run.

    A mean is over datasets that have a number in every column, so that columns can be compared:
    one that lacks a cell is left out of all. A column that was run on less than half as many
    datasets as the fullest one is left out instead.

    Parameters
    ----------
    target : Target
        Which.
    results : Results
        The cells.
    protocol : {"adbench", "leak-free"}, default="adbench"
        Which cells count.

    Returns
    -------
    Summary
    """
    files = [file.full_name for file in list_adbench(target.suite)]
    has = {cell.dataset for cell in results.records if cell.protocol == protocol}
    # Built-in datasets, which have no suite in front, stand in where there is nothing else.
    builtin = not has & set(files) and any("/" not in name for name in has)
    datasets = sorted(name for name in has if "/" not in name) if builtin else files
    blocks = [_block(target, learner, results, datasets, protocol) for learner in target.learners]
    parts = {}
    if target.contender is not None:
        for panel in target.panels:
            own = tuple(column for column in target.columns if column.panel == panel)
            part = dataclasses.replace(target, columns=own, contender=None)
            parts[panel] = summarise(part, results, protocol=protocol)
    counted = {name for block in blocks for name in (*block.datasets, *block.incomplete)}
    return Summary(
        target,
        protocol,
        tuple(block for block in blocks if block.datasets or block.failures or block.incomplete),
        tuple(datasets),
        tuple(name for name in datasets if name not in counted),
        builtin,
        parts,
    )


def _block(
    target: Target,
    learner: Learner,
    results: Results,
    datasets: Sequence[str],
    protocol: Protocol,
) -> Block:
    # What was run, with any seed.
    found: dict[Column, dict[tuple[str, int], Outcome]] = defaultdict(dict)
    failures: Counter[str] = Counter()
    failed: set[str] = set()
    wanted = set(datasets)
    run = {(cell.dataset, cell.seed) for cell in results.records if cell.dataset in wanted}
    seeds = sorted({seed for _, seed in run})
    for column in filter(learner.takes, target.columns):
        for dataset in datasets:
            for seed in seeds:
                # Most files were not run, and a cell costs more to make than to look for.
                if (dataset, seed) not in run:
                    continue
                cell = target.cell(learner, column, dataset, seed, protocol)
                record = results.records.get(cell)
                if record is None:
                    continue
                if isinstance(record.result, Outcome):
                    found[column][dataset, seed] = record.result
                else:
                    failures[record.result.reason] += 1
                    failed.add(dataset)
    covered = {column: len({d for d, _ in cells}) for column, cells in found.items()}
    most = max(covered.values(), default=0)
    columns = tuple(c for c in target.columns if 2 * covered.get(c, 0) >= most > 0)
    scarce = tuple(c for c in target.columns if 0 < 2 * covered.get(c, 0) < most)
    whole = set.intersection(*(set(found[c]) for c in columns)) if columns else set()
    used = tuple(d for d in datasets if any((d, seed) in whole for seed in seeds))
    common = tuple(s for s in seeds if used and all((d, s) in whole for d in used))

    def means(metric: str) -> NDArray[np.float64]:
        table = np.empty((len(used), len(columns)))
        for i, d in enumerate(used):
            own = [s for s in seeds if (d, s) in whole]
            for j, c in enumerate(columns):
                table[i, j] = np.mean([getattr(found[c][d, s], metric) for s in own])
        return table

    by_seed = np.array([[[found[c][d, s].aucroc for c in columns] for d in used] for s in common])
    touched = failed | {d for cells in found.values() for d, _ in cells}
    return Block(
        learner,
        columns,
        used,
        common,
        means("aucroc"),
        means("aucpr"),
        by_seed.reshape(len(common), len(used), len(columns)),
        tuple(sum((d, s) in whole for s in seeds) for d in used),
        scarce,
        tuple(d for d in datasets if d in touched and d not in used),
        dict(failures),
        dict(found),
    )


def find_gaps(method: Method, opponent: Method, metric: str = "aucroc") -> list[Gap]:
    """Hold a method against another one, dataset by dataset.

    Parameters
    ----------
    method, opponent : Method
        Of one part of a table.
    metric : {"aucroc", "aucpr"}, default="aucroc"
        What to compare.

    Returns
    -------
    list of Gap
        For each dataset that both have with one seed in common at least; only such seeds count,
        for they have the same split.
    """
    seeds: dict[str, list[int]] = defaultdict(list)
    for dataset, seed in method.outcomes:
        if (dataset, seed) in opponent.outcomes:
            seeds[dataset].append(seed)

    def mean(of: Method, dataset: str) -> float:
        return float(np.mean([getattr(of.outcomes[dataset, s], metric) for s in seeds[dataset]]))

    return [
        Gap(d, mean(method, d), mean(opponent, d), len(own), opponent.name)
        for d, own in seeds.items()
    ]


def find_gaps_to_best(summary: Summary, panel: str) -> list[Gap]:
    """Hold the contender against whatever does best on each dataset.

    Parameters
    ----------
    summary : Summary
        A comparison with a contender, filled.
    panel : str
        A part of it.

    Returns
    -------
    list of Gap
        AUCROC, for each dataset that the contender and any other method have.
    """
    contender, *others = summary.methods(panel)
    best: dict[str, Gap] = {}
    for other in others:
        for gap in find_gaps(contender, other):
            if gap.dataset not in best or gap.difference < best[gap.dataset].difference:
                best[gap.dataset] = gap
    return [best[dataset] for dataset in summary.datasets if dataset in best]


def _plain(dataset: str) -> str:
    """Name a file's dataset as the paper does: Classical/45_wine is wine."""
    return dataset.split("/")[-1].split("_", 1)[-1]


def _mean(values: Sequence[float]) -> float:
    known = [value for value in values if not math.isnan(value)]
    return float(np.mean(known)) if known else NAN
