"""What the numbers of a table say: NNG-Mix against the others, and ours against the published."""

import dataclasses
import math
from collections.abc import Iterator

import numpy as np

from nngmix.experiments.paper import Column
from nngmix.experiments.statistics import Paired, Ranks, holm, paired, rank_methods
from nngmix.experiments.summary import Block, Summary
from nngmix.experiments.tables import signed

# Fewer datasets than this can't tell methods apart, whatever they come to.
_FEWEST_FOR_RANKS = 5


@dataclasses.dataclass(frozen=True)
class Versus:
    """NNG-Mix against another column, over datasets.

    Attributes
    ----------
    detector, panel, opponent : str
        What is compared.
    result : Paired
        Wins, ties, losses of NNG-Mix, and the test.
    p_value : float
        The test's, corrected by Holm for all comparisons of the table.
    """

    detector: str
    panel: str
    opponent: str
    result: Paired
    p_value: float


@dataclasses.dataclass(frozen=True)
class Ranking:
    """Samplers ranked over datasets.

    Attributes
    ----------
    detector : str
        With which detector, or "All detectors".
    samplers : tuple of str
        What is ranked.
    n_datasets : int
        Over how many.
    ranks : Ranks
        The ranks.
    """

    detector: str
    samplers: tuple[str, ...]
    n_datasets: int
    ranks: Ranks


def find_reference(block: Block, panel: str) -> Column | None:
    """Find NNG-Mix as the paper proposes it, 10×, in a part of a table.

    Parameters
    ----------
    block : Block
        A detector's numbers.
    panel : str
        The part.

    Returns
    -------
    Column or None
    """
    for column in block.columns:
        if (column.series, column.panel, column.multiplier) == ("NNG-Mix", panel, 10):
            return column
    return None


def compare_columns(summary: Summary) -> tuple[Versus, ...]:
    """Hold NNG-Mix 10× against the other samplers of a table, dataset by dataset.

    Parameters
    ----------
    summary : Summary
        A table, filled.

    Returns
    -------
    tuple of Versus
        For each detector, and each part of the table. Empty for figures, and where there are fewer
        than two datasets.
    """
    if not summary.target.name.startswith("table") and summary.target.name != "figure-7":
        return ()
    found: list[tuple[str, str, str, Paired]] = []
    for block in summary.full_blocks:
        for panel in dict.fromkeys(column.panel for column in block.columns):
            reference = find_reference(block, panel)
            if reference is None or len(block.datasets) < 2:
                continue
            ours = block.aucroc[:, block.columns.index(reference)]
            for at, column in enumerate(block.columns):
                if column.panel != panel or column == reference:
                    continue
                if column.multiplier in (0, reference.multiplier):
                    found.append(
                        (
                            block.learner.label,
                            panel,
                            " ".join(part for part in (column.series, column.x) if part),
                            paired(ours, block.aucroc[:, at]),
                        )
                    )
    if not found:
        return ()
    corrected = holm(np.array([result.p_value for *_, result in found]))
    return tuple(
        Versus(*about, p_value=float(p)) for about, p in zip(found, corrected, strict=True)
    )


def rank_columns(summary: Summary) -> list[Ranking]:
    """Rank the samplers that generate ten times as much, over datasets: for each detector, and all.

    Parameters
    ----------
    summary : Summary
        A table, filled.

    Returns
    -------
    list of Ranking
        All detectors together first, by each dataset's mean over them. Empty if there are too few
        datasets or samplers to tell.
    """
    blocks = [b for b in summary.full_blocks if len(b.datasets) >= _FEWEST_FOR_RANKS]
    target = summary.target
    if not target.name.startswith("table") or len({c.panel for c in target.columns}) > 1:
        return []
    ranked = []
    for block in blocks:
        chosen = [c for c in block.columns if c.multiplier in (0, 10)]
        if len(chosen) > 2:
            at = [block.columns.index(c) for c in chosen]
            names = tuple(c.series for c in chosen)
            values = block.aucroc[:, at]
            ranked.append(Ranking(block.learner.label, names, len(values), rank_methods(values)))
    if len(ranked) > 1:
        shared = [c for c in summary.target.columns if all(c in b.columns for b in blocks)]
        shared = [c for c in shared if c.multiplier in (0, 10)]
        common = [d for d in blocks[0].datasets if all(d in b.datasets for b in blocks)]
        if len(shared) > 2 and len(common) >= _FEWEST_FOR_RANKS:
            values = np.mean(
                [
                    b.aucroc[
                        np.ix_(
                            [b.datasets.index(d) for d in common],
                            [b.columns.index(c) for c in shared],
                        )
                    ]
                    for b in blocks
                ],
                axis=0,
            )
            names = tuple(c.series for c in shared)
            ranked.insert(0, Ranking("All detectors", names, len(values), rank_methods(values)))
    return ranked


def make_facts(summary: Summary) -> Iterator[str]:
    """Say in words how near the numbers are to the published ones, and what the control says.

    Parameters
    ----------
    summary : Summary
        A table or figure, filled.

    Yields
    ------
    str
        A sentence.
    """
    pairs = [
        (entry.ours, entry.published)
        for block in summary.full_blocks
        for column in summary.target.columns
        for entry in [summary.entry(block.learner, column)]
        if not math.isnan(entry.difference)
    ]
    if summary.target.by_dataset:
        yield from _facts_by_dataset(summary)
    elif pairs:
        gaps = np.array([ours - theirs for ours, theirs in pairs])
        yield (
            f"{len(pairs)} published means have one of ours beside them: mean absolute difference "
            f"{np.abs(gaps).mean():.3f}, mean difference {signed(float(gaps.mean()))}."
        )
        n = max(len(block.datasets) for block in summary.full_blocks)
        if n < len(summary.datasets):
            yield (
                f"The published means are over {len(summary.datasets)} files, ours over at most "
                f"{n} of them: the differences hold that, too."
            )
    if summary.target.by_dataset or not summary.target.name.startswith("table"):
        return
    for block in summary.full_blocks:
        # Where a table has parts, there would be too much to say.
        reference = find_reference(block, "")
        control = None if reference is None else block.control_of(reference)
        if reference is None or control is None or block.columns[0].series != "Baseline":
            continue
        base, copies, mix = (
            float(block.aucroc[:, block.columns.index(c)].mean())
            for c in (block.columns[0], control, reference)
        )
        yield (
            f"{block.learner.label}: from {base:.3f} without pseudo-anomalies to {mix:.3f} with "
            f"NNG-Mix 10×; plain copies alone come to {copies:.3f}."
        )


def _facts_by_dataset(summary: Summary) -> Iterator[str]:
    [block] = summary.full_blocks
    for column in block.columns:
        gaps = np.array(
            [
                block.dataset_entry(
                    column, d, summary.published(block.learner, column, d)
                ).difference
                for d in block.datasets
            ]
        )
        gaps = gaps[~np.isnan(gaps)]
        if gaps.size:
            yield (
                f"{column.label}: mean absolute difference to the published column "
                f"{np.abs(gaps).mean():.4f} over {gaps.size} datasets (of the means: "
                f"{signed(float(gaps.mean()), 4)}; largest {np.abs(gaps).max():.3f})."
            )
    baseline, ten = block.columns[0], find_reference(block, "")
    if ten is None or baseline.series != "Baseline":
        return
    gain = block.aucroc[:, block.columns.index(ten)] - block.aucroc[:, 0]
    text = (
        f"With NNG-Mix 10×, {int((gain > 0).sum())} of {gain.size} datasets improve on the "
        f"baseline, by {signed(float(gain.mean()))} in the mean"
    )
    theirs = np.array(
        [
            summary.published(block.learner, ten, d) - summary.published(block.learner, baseline, d)
            for d in block.datasets
        ]
    )
    if not np.isnan(theirs).all():
        text += (
            f"; in the paper's column, {int((theirs > 0.0004).sum())} of the same datasets, by "
            f"{signed(float(np.nanmean(theirs)))}"
        )
    yield text + "."
    control = block.control_of(ten)
    if control is not None:
        more = block.gains(ten)
        yield (
            f"The control: plain copies 10× come to "
            f"{block.aucroc[:, block.columns.index(control)].mean():.3f}; NNG-Mix is above them on "
            f"{int((more > 0).sum())} of {more.size} datasets, by {signed(float(more.mean()))} in "
            "the mean."
        )
