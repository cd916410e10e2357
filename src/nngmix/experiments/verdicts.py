"""What the numbers of a table say.

NNG-Mix against the other samplers, ours against the published, a contender against all others.
"""

import csv
import dataclasses
import io
import math
from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from nngmix.experiments.paper import Column
from nngmix.experiments.statistics import Paired, Ranks, holm, paired, rank_methods
from nngmix.experiments.summary import (
    Block,
    Gap,
    Method,
    Summary,
    find_gaps,
    find_gaps_to_best,
)
from nngmix.experiments.tables import chance, count
from nngmix.plotting.style import signed

# Fewer datasets than this can't tell methods apart, whatever they come to.
_FEWEST_FOR_RANKS = 5

# A test's level, and an AUCROC that is lower by more than this is a loss that must be named.
_LEVEL = 0.05
_FAR = 0.1


@dataclasses.dataclass(frozen=True)
class Versus:
    """NNG-Mix, or a contender, against another column, over datasets.

    Attributes
    ----------
    detector, panel, opponent : str
        What is compared.
    result : Paired
        Wins, ties, losses of NNG-Mix or the contender, and the test.
    p_value : float
        The test's, corrected by Holm: for all comparisons of the table; for a contender's, those
        of its part and metric.
    metric : {"AUCROC", "AUCPR"}
        What is compared by.
    """

    detector: str
    panel: str
    opponent: str
    result: Paired
    p_value: float
    metric: str = "AUCROC"


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


def compare_detectors(summary: Summary) -> tuple[Versus, ...]:
    """Hold the contender against each other detector with each sampler, dataset by dataset.

    Parameters
    ----------
    summary : Summary
        A comparison with a contender, filled.

    Returns
    -------
    tuple of Versus
        For each metric and part. What has fewer than five datasets in common with the contender
        is left out: it can't be told apart, and would only weaken the other comparisons.
    """
    found: list[Versus] = []
    for metric in ("AUCROC", "AUCPR"):
        for panel in summary.target.panels:
            contender, *others = summary.methods(panel)
            results: dict[str, Paired] = {}
            for other in others:
                gaps = find_gaps(contender, other, metric.lower())
                if len(gaps) >= _FEWEST_FOR_RANKS:
                    results[other.name] = paired([g.ours for g in gaps], [g.theirs for g in gaps])
            corrected = holm(np.array([result.p_value for result in results.values()]))
            found += [
                Versus(contender.name, panel, name, result, float(p), metric)
                for (name, result), p in zip(results.items(), corrected, strict=True)
            ]
    return tuple(found)


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
    if summary.target.by_dataset:
        for block in summary.full_blocks:
            yield from _facts_by_dataset(summary, block)
        return
    if summary.target.contender is not None:
        yield from _facts_of_contender(summary)
        return
    blocks = summary.full_blocks
    # A detector that was run on a handful of datasets says nothing about means over dozens.
    enough = [b for b in blocks if len(b.datasets) >= _FEWEST_FOR_RANKS] or blocks
    pairs = [
        (entry.ours, entry.published)
        for block in enough
        for column in summary.target.columns
        for entry in [summary.entry(block.learner, column)]
        if not math.isnan(entry.difference)
    ]
    if pairs:
        gaps = np.array([ours - theirs for ours, theirs in pairs])
        have = (
            "mean has one of ours beside it" if len(pairs) == 1 else "means have ours beside them"
        )
        yield (
            f"{len(pairs)} published {have}: mean absolute difference {np.abs(gaps).mean():.3f}, "
            f"mean difference {signed(float(gaps.mean()))}."
        )
        fewest, most = (f([len(b.datasets) for b in enough]) for f in (min, max))
        if fewest < len(summary.datasets):
            over = f"{fewest}" if fewest == most else f"{fewest} to {most}"
            yield (
                f"The published means are over {count(len(summary.datasets), 'dataset')}, ours "
                f"over {over} of them: a part of each difference comes from that."
            )
    for block in blocks:
        if block not in enough:
            yield (
                f"{block.learner.label} was run on {count(len(block.datasets), 'dataset')} only, "
                "and is left out of these differences."
            )
    if not summary.target.name.startswith("table"):
        return
    for block in enough:
        # Where a table has parts, there would be too much to say.
        reference = find_reference(block, "")
        control = None if reference is None else block.control_of(reference)
        if reference is None or control is None or block.columns[0].series != "Baseline":
            continue
        base, copies, mix = (
            block.aucroc[:, block.columns.index(c)] for c in (block.columns[0], control, reference)
        )
        yield (
            f"{block.learner.label}: {base.mean():.3f} without pseudo-anomalies, "
            f"{copies.mean():.3f} with plain copies 10×, {mix.mean():.3f} with NNG-Mix 10×, which "
            f"is {_above_copies(mix, copies)}."
        )


def _facts_of_contender(summary: Summary) -> Iterator[str]:
    yield from _facts_of_missing(summary)
    tests = compare_detectors(summary)
    for panel, part in summary.parts.items():
        about = f"{panel} labelled"
        blocks, datasets = part.shared
        best = [(block, find_best(block, panel, datasets)) for block in blocks]
        ranked = sorted(
            (
                (Method(block.learner, found[0], {}).name, float(found[1].mean()))
                for block, found in best
                if found is not None
            ),
            key=lambda one: -one[1],
        )
        if len(ranked) > 1:
            told = "; ".join(f"{name} {mean:.3f}" for name, mean in ranked)
            yield (
                f"{about}, mean AUCROC over the {count(len(datasets), 'dataset')} that all of "
                f"these have, each with the sampler that serves it best here: {told}."
            )
        for metric in ("AUCROC", "AUCPR"):
            own = [test for test in tests if (test.panel, test.metric) == (panel, metric)]
            if own:
                yield f"{about}, {metric}: {_verdict(own)}"
        gaps = find_gaps_to_best(summary, panel)
        if gaps:
            yield f"{about}: {_beside_best(summary.methods(panel)[0].name, gaps)}"


def find_best(
    block: Block, panel: str, datasets: Sequence[str]
) -> tuple[Column, NDArray[np.float64]] | None:
    """Find the sampler that serves a detector best over some datasets.

    Parameters
    ----------
    block : Block
        The detector's numbers.
    panel : str
        The part of the table.
    datasets : sequence of str
        Some of the block's.

    Returns
    -------
    column : Column
        The sampler's.
    scores : ndarray of shape (n_datasets,)
        Its AUCROC on each. None in place of both where the detector wasn't run in that part.
    """
    rows = [block.datasets.index(dataset) for dataset in datasets]
    scores = {c: block.aucroc[rows, at] for at, c in enumerate(block.columns) if c.panel == panel}
    if not scores or not rows:
        return None
    column = max(scores, key=lambda one: float(scores[one].mean()))
    return column, scores[column]


def _facts_of_missing(summary: Summary) -> Iterator[str]:
    few = _FEWEST_FOR_RANKS
    for fewest, most, told in (
        (0, 0, "Not run"),
        (1, few - 1, f"Run on fewer than {few} datasets, and not tested"),
    ):
        found = []
        for learner in summary.target.learners:
            lacking, whole = [], True
            for panel in summary.target.panels:
                own = [one for one in summary.methods(panel) if one.learner == learner]
                some = [one for one in own if fewest <= len(one.datasets) <= most]
                if len(some) == len(own):
                    lacking.append(panel)
                else:
                    whole = False
                    lacking += [f"{panel} {one.column.series}" for one in some]
            if whole:
                found.append(learner.label)
            elif lacking:
                found.append(f"{learner.label} ({', '.join(lacking)})")
        if found:
            yield f"{told}: {', '.join(found)}."


def _verdict(tests: Sequence[Versus]) -> str:
    ahead, behind = (
        [t for t in tests if t.p_value < _LEVEL and sign * t.result.mean_difference > 0]
        for sign in (1, -1)
    )
    text = (
        f"{tests[0].detector} is told apart from {len(ahead) + len(behind)} of "
        f"{len(tests)} others (p < {_LEVEL:g} after Holm's correction): ahead of {len(ahead)}, "
        f"behind {len(behind)}"
    )
    if behind:
        text += f" ({'; '.join(test.opponent for test in behind)})"
    if len(ahead) + len(behind) < len(tests):
        rest = [test.opponent for test in tests if test not in ahead and test not in behind]
        text += f". Not told apart: {'; '.join(rest)}"
    return f"{text}."


def _beside_best(name: str, gaps: Sequence[Gap]) -> str:
    found = paired([gap.ours for gap in gaps], [gap.theirs for gap in gaps])
    far = sorted((gap for gap in gaps if gap.difference < -_FAR), key=lambda gap: gap.difference)
    text = (
        f"beside the best of all others on each dataset, chosen afterwards, {name} is above it "
        f"in AUCROC on {found.wins} of {count(len(gaps), 'dataset')} and below on {found.losses}; "
        f"by more than {_FAR:.2f}, above on {sum(gap.difference > _FAR for gap in gaps)} and "
        f"below on {len(far)}"
    )
    if far:
        text += ": " + "; ".join(
            f"{gap.dataset.split('/')[-1]} ({gap.ours:.3f}, {gap.opponent} {gap.theirs:.3f}, "
            f"{count(gap.n_seeds, 'seed')})"
            for gap in far
        )
    return f"{text}."


def versus_as_csv(versus: Sequence[Versus]) -> str:
    """Write comparisons for other programs, a line for each.

    Parameters
    ----------
    versus : sequence of Versus
        The comparisons.

    Returns
    -------
    str

    Examples
    --------
    >>> result = paired([0.8, 0.9, 0.7, 0.6, 0.9], [0.7, 0.7, 0.4, 0.6, 0.5])
    >>> print(versus_as_csv([Versus("AutoDetector", "1 %", "XGBOD", result, 0.25)]))
    metric,panel,method,against,wins,ties,losses,mean_difference,median_difference,p_value,p_holm
    AUCROC,1 %,AutoDetector,XGBOD,4,1,0,0.200000,0.200000,0.125,0.25
    """
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    fields = [field.name for field in dataclasses.fields(Paired)]
    writer.writerow(["metric", "panel", "method", "against", *fields, "p_holm"])
    for one in versus:
        r = one.result
        about = [one.metric, one.panel, one.detector, one.opponent]
        gains = [f"{gain:.6f}" for gain in (r.mean_difference, r.median_difference)]
        chances = [f"{p:.6g}" for p in (r.p_value, one.p_value)]
        writer.writerow([*about, r.wins, r.ties, r.losses, *gains, *chances])
    return text.getvalue()


def versus_as_markdown(versus: Sequence[Versus]) -> str:
    """Write a contender's comparisons for a page on a code host, a line for each opponent.

    Parameters
    ----------
    versus : sequence of Versus
        The comparisons.

    Returns
    -------
    str
        Mean gain; datasets won, tied and lost; the corrected p-value.

    Examples
    --------
    >>> result = paired([0.8, 0.9, 0.7, 0.6, 0.9], [0.7, 0.7, 0.4, 0.6, 0.5])
    >>> print(versus_as_markdown([Versus("AutoDetector", "1 %", "XGBOD", result, 0.25)]))
    | AutoDetector against | AUCROC, 1 % |
    | --- | --: |
    | XGBOD | +0.200 (4, 1, 0), p 0.25 |
    """
    parts = dict.fromkeys((one.metric, one.panel) for one in versus)
    cells = {
        (one.opponent, (one.metric, one.panel)): (
            f"{signed(one.result.mean_difference)} "
            f"({one.result.wins}, {one.result.ties}, {one.result.losses}), "
            f"p {chance(one.p_value)}"
        )
        for one in versus
    }
    heads = [f"{versus[0].detector} against"] if versus else []
    rows = [[*heads, *(f"{metric}, {panel}" for metric, panel in parts)]]
    rows.append(["---", *["--:"] * len(parts)])
    for opponent in dict.fromkeys(one.opponent for one in versus):
        rows.append([opponent, *(cells.get((opponent, part), "–") for part in parts)])
    return "\n".join(f"| {' | '.join(row)} |" for row in rows) + "\n"


def _above_copies(mix: NDArray[np.float64], copies: NDArray[np.float64]) -> str:
    found = paired(mix, copies)
    n = count(len(mix), "dataset")
    return f"above the copies on {found.wins} of {n} and below on {found.losses}"


def _facts_by_dataset(summary: Summary, block: Block) -> Iterator[str]:
    for column in block.columns:
        gaps = block.aucroc[:, block.columns.index(column)] - _published(summary, block, column)
        gaps = gaps[~np.isnan(gaps)]
        if gaps.size:
            yield (
                f"{column.label}: mean absolute difference to the published column "
                f"{np.abs(gaps).mean():.4f} over {count(gaps.size, 'dataset')} (largest "
                f"{np.abs(gaps).max():.3f}); mean difference {signed(float(gaps.mean()), 4)}."
            )
    seed = summary.target.seeds[0]
    if seed in block.seeds and len(block.seeds) > 1:
        at = block.seeds.index(seed)
        told = []
        for i, column in enumerate(block.columns):
            gaps = np.abs(block.by_seed[at, :, i] - _published(summary, block, column))
            if not np.isnan(gaps).all():
                told.append(f"{np.nanmean(gaps):.4f} ({column.label})")
        if told:
            yield (
                f"With seed {seed} alone, as published, the mean absolute differences are "
                f"{', '.join(told)}."
            )
    baseline, ten = block.columns[0], find_reference(block, "")
    if ten is None or baseline.series != "Baseline":
        return
    mix, base = block.aucroc[:, block.columns.index(ten)], block.aucroc[:, 0]
    text = f"With NNG-Mix 10×, {_improved(mix, base)}"
    theirs = [_published(summary, block, column) for column in (ten, baseline)]
    known = ~np.isnan(theirs).any(axis=0)
    if known.any():
        text += f"; by the paper's numbers, {_improved(*(column[known] for column in theirs))}"
    yield text + "."
    control = block.control_of(ten)
    if control is not None:
        copies = block.aucroc[:, block.columns.index(control)]
        yield (
            f"The control: plain copies 10× come to {copies.mean():.3f}; NNG-Mix is "
            f"{_above_copies(mix, copies)}, in the mean by {signed(float((mix - copies).mean()))}."
        )


def _published(summary: Summary, block: Block, column: Column) -> NDArray[np.float64]:
    return np.array([summary.published(block.learner, column, d) for d in block.datasets])


def _improved(mix: NDArray[np.float64], base: NDArray[np.float64]) -> str:
    wins = paired(mix, base).wins
    return (
        f"{wins} of {count(len(mix), 'dataset')} improve{'s' if wins == 1 else ''} on the "
        f"baseline, and the mean by {signed(float((mix - base).mean()))}"
    )
