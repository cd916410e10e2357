"""What to run for a table or figure, and in an order that tells most however early it ends."""

import dataclasses
import os
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Sequence
from functools import partial

from nngmix.datasets import BUILTIN_NAMES, list_adbench, verify_adbench
from nngmix.datasets.split import Protocol
from nngmix.experiments.cells import Cell
from nngmix.experiments.durations import Durations
from nngmix.experiments.paper import Column, Learner, Target, list_cells

# The quick look: at most so many datasets, and so many seconds of one core for each detector,
# but one dataset at least.
_QUICK_DATASETS = 3
_QUICK_SECONDS = 150.0


@dataclasses.dataclass(frozen=True)
class Plan:
    """What is to be run for a table or figure.

    Attributes
    ----------
    target : Target
        Which.
    cells : tuple of Cell
        What can be run, in the order of the table.
    every_cell : tuple of Cell
        Those without a file, too.
    absent, wrong : tuple of str
        Datasets whose files are not there, or are others than ADBench's.
    too_slow : tuple of str
        Detectors that a quick look leaves out.
    """

    target: Target
    cells: tuple[Cell, ...]
    every_cell: tuple[Cell, ...]
    absent: tuple[str, ...] = ()
    wrong: tuple[str, ...] = ()
    too_slow: tuple[str, ...] = ()


def make_plan(
    target: Target,
    *,
    data_home: str | os.PathLike[str] | None = None,
    datasets: Collection[str] | None = None,
    learners: Sequence[Learner] | None = None,
    columns: Sequence[Column] | None = None,
    seeds: Sequence[int] | None = None,
    quick: bool = False,
    protocol: Protocol = "adbench",
) -> Plan:
    """List what can be run of a table or figure with the files that are there.

    Parameters
    ----------
    target : Target
        Which.
    data_home : str or path, default=None
        Where ADBench's files are; each is checked by its hash.
    datasets : collection of str, default=None
        Files by their full names, or built-in datasets; None: all of the target's suite. Those of
        other suites are left out.
    learners, columns, seeds : sequence, default=None
        None: the target's own.
    quick : bool, default=False
        The smallest three datasets and one seed; the built-in ones if no file is there. For a slow
        detector fewer datasets, or one with nothing but the baseline, the control and NNG-Mix; or
        none at all.
    protocol : {"adbench", "leak-free"}, default="adbench"
        See :func:`nngmix.datasets.make_split`.

    Returns
    -------
    Plan

    Examples
    --------
    >>> from nngmix.experiments.paper import TARGETS
    >>> plan = make_plan(TARGETS["table-8"], data_home="a folder that is not there", quick=True)
    >>> sorted({cell.dataset for cell in plan.cells}), len(plan.absent)
    (['breast_cancer', 'digits', 'wine'], 47)
    """
    if not target.columns:
        return Plan(target, (), ())
    learners = target.learners if learners is None else learners
    columns = target.columns if columns is None else columns
    if seeds is None:
        seeds = target.seeds[:1] if quick else target.seeds
    files = [file.full_name for file in list_adbench(target.suite)]
    builtin: list[str] = []
    if datasets is not None:
        builtin = [name for name in BUILTIN_NAMES if name in datasets]
        files = [name for name in files if name in datasets]
    states = verify_adbench(files, data_home=data_home) if files else {}
    there = [name for name in files if states[name] == "ok"]
    if quick and not there and not builtin and datasets is None:
        builtin = list(BUILTIN_NAMES)
    usable = [*builtin, *there]

    def cells(
        learner: Learner, names: Iterable[str], columns: Sequence[Column] = columns
    ) -> list[Cell]:
        return list_cells(
            target, names, seeds, learners=[learner], columns=columns, protocol=protocol
        )

    chosen: list[Cell] = []
    every: list[Cell] = []
    too_slow: list[str] = []
    for learner in learners:
        if not quick:
            chosen += cells(learner, usable)
            every += cells(learner, [*builtin, *files])
            continue
        few = _quick(usable, partial(cells, learner), columns) if usable else []
        chosen += few
        if usable and not few:
            too_slow.append(learner.label)
    return Plan(
        target,
        tuple(dict.fromkeys(chosen)),
        tuple(dict.fromkeys(every or chosen)),
        tuple(name for name in files if states[name] == "missing"),
        tuple(name for name in files if states[name] == "wrong"),
        tuple(too_slow),
    )


def _quick(
    datasets: Sequence[str], cells: Callable[..., list[Cell]], columns: Sequence[Column]
) -> list[Cell]:
    durations = Durations()

    def cost(names: list[str]) -> float:
        return sum(durations.seconds(cell) for cell in cells(names))

    chosen: list[str] = []
    for name in sorted(datasets, key=lambda name: cost([name]))[:_QUICK_DATASETS]:
        if not chosen or cost([*chosen, name]) <= _QUICK_SECONDS:
            chosen.append(name)
    if cost(chosen) <= _QUICK_SECONDS:
        return cells(chosen)
    # A detector that is slow on the smallest dataset, too.
    few = [column for column in columns if column.series in ("Baseline", "Duplicate", "NNG-Mix")]
    left = cells(chosen, few)
    return left if sum(map(durations.seconds, left)) <= 2 * _QUICK_SECONDS else []


def order_cells(cells: Iterable[Cell], durations: Durations) -> list[Cell]:
    """Put the cells first that tell most for their time.

    Cells that are compared with one another (one dataset, detector and split; all samplers) stay
    together, since one without the others says little. Of such blocks the quick ones come first;
    and a further seed counts for less than the first: the n-th as 2 / (n (n + 1)), which is about
    how much less it takes off the variance of a mean of seeds.

    Parameters
    ----------
    cells : iterable of Cell
        The grid; the order of its seeds is kept.
    durations : Durations
        What cells take.

    Returns
    -------
    list of Cell
        Each once.

    Examples
    --------
    >>> cells = [Cell(dataset, sampler, "MLP", seed=seed) for seed in (0, 1)
    ...          for dataset in ("digits", "wine") for sampler in ("none", "NNGMix")]
    >>> for cell in order_cells(cells, Durations())[:5]:
    ...     print(cell.seed, cell.dataset, cell.sampler)
    0 wine none
    0 wine NNGMix
    0 digits none
    0 digits NNGMix
    1 wine none
    """
    blocks: dict[tuple[object, ...], list[Cell]] = defaultdict(list)
    rank_of_seed: dict[int, int] = {}
    for cell in dict.fromkeys(cells):
        rank_of_seed.setdefault(cell.seed, len(rank_of_seed))
        block = (
            cell.seed,
            cell.detector,
            cell.detector_settings,
            cell.dataset,
            cell.label_ratio,
            cell.pollution_ratio,
            cell.protocol,
        )
        blocks[block].append(cell)

    def cost(block: list[Cell]) -> float:
        n = rank_of_seed[block[0].seed] + 1
        seconds = sum(durations.seconds(cell) for cell in block) / len(block)
        return seconds * n * (n + 1) / 2

    return [cell for block in sorted(blocks.values(), key=cost) for cell in block]
