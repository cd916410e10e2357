"""The report's pictures: the paper's figures, and what shows how a table agrees with it."""

import dataclasses
import io
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from nngmix.datasets import verify_adbench
from nngmix.experiments.paper import Column
from nngmix.experiments.pictures import (
    VERTEBRAL,
    draw_boundaries,
    draw_generated,
    draw_vertebral,
)
from nngmix.experiments.summary import Block, Summary, find_gaps_to_best
from nngmix.experiments.tables import chance, count, name_seeds
from nngmix.experiments.verdicts import Ranking, find_best
from nngmix.plotting import (
    Panel,
    Series,
    plot_agreement,
    plot_critical_difference,
    plot_differences,
    plot_lines,
    plot_seeds,
)

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@dataclasses.dataclass(frozen=True)
class Picture:
    """A picture of the report.

    Attributes
    ----------
    name : str
        Of its file, without ending.
    caption : str
        Below it, and what is read out in its place.
    figure : matplotlib.figure.Figure
        The picture.
    kind : {"svg", "png"}
        Points by the thousand make an SVG large and slow.
    folded : bool
        Whether the page hides it until it is asked for.
    """

    name: str
    caption: str
    figure: "Figure"
    kind: str = "svg"
    folded: bool = False

    def render(self) -> bytes:
        """Draw it; the same figure gives the same bytes."""
        import matplotlib as mpl

        buffer = io.BytesIO()
        # Names in an SVG hang on a salt, which is random unless it is given.
        with mpl.rc_context({"svg.hashsalt": self.name}):
            about: dict[str, Any] = {"Date": None} if self.kind == "svg" else {"Software": None}
            self.figure.savefig(buffer, format=self.kind, metadata=about)
        return buffer.getvalue()


def draw(summary: Summary, rankings: Sequence[Ranking], home: Path) -> Iterator[Picture]:
    """Draw what belongs to a table or figure.

    Parameters
    ----------
    summary : Summary
        Its numbers, if it has any.
    rankings : sequence of Ranking
        For the diagrams of critical differences.
    home : pathlib.Path
        Where ADBench's files are.

    Yields
    ------
    Picture

    Raises
    ------
    ImportError
        If matplotlib is not installed.
    """
    name = summary.target.name
    special = {
        "figure-1": _figure_1,
        "figure-3": _figure_3,
        "figure-4": _figure_4,
        "figure-5": _figure_5,
        "figure-7": _figure_7,
        "figure-8": _figure_8,
    }
    if name in special:
        yield from special[name](summary)
    elif name == "figure-6":
        if verify_adbench(VERTEBRAL, data_home=home)[VERTEBRAL] == "ok":
            yield Picture(
                name,
                "t-SNE of the training rows of vertebral with 10 % of its anomalies labelled, and "
                "of what three samplers generate; one map for all.",
                draw_vertebral(home),
                kind="png",
            )
    elif summary.target.by_dataset and summary.full_blocks:
        yield from _by_dataset(summary)
    elif summary.target.contender is not None:
        yield from _of_contender(summary)
    for place, r in enumerate(rankings):
        yield Picture(
            f"{name}-ranks-{r.detector.lower().replace(' ', '-')}",
            f"{r.detector}: average rank of each sampler over {r.n_datasets} datasets, 1 is best. "
            "A bar joins samplers that Nemenyi's test can't tell apart (5 %); Friedman's test of "
            f"all being alike has p {_equals(r.ranks.p_value)}.",
            plot_critical_difference(
                r.samplers, r.ranks.average_ranks, r.ranks.critical_difference
            ),
            folded=place > 0,
        )


def _equals(p_value: float) -> str:
    text = chance(p_value)
    return text if text.startswith("<") else f"= {text}"


def _figure_1(summary: Summary) -> Iterator[Picture]:
    yield Picture(
        "figure-1",
        "Labelled anomalies (stars), unlabelled rows (grey), and 200 pseudo-anomalies (blue).",
        draw_generated(),
        kind="png",
    )


def _figure_8(summary: Summary) -> Iterator[Picture]:
    yield Picture(
        "figure-8",
        "Where a support vector machine calls a row an anomaly (shaded), trained without and with "
        "pseudo-anomalies. Labelled anomalies (stars), unlabelled rows (grey), pseudo-anomalies "
        "(blue).",
        draw_boundaries()[0],
        kind="png",
    )


def _line(summary: Summary, block: Block, columns: Sequence[Column], label: str) -> Series:
    entries = [block.entry(column, summary.published(block.learner, column)) for column in columns]
    return Series(
        label,
        [entry.ours for entry in entries],
        spread=[entry.spread for entry in entries],
        published=[entry.published for entry in entries],
        control=columns[0].series == "Duplicate",
    )


def _of(summary: Summary, panel: str, series: str) -> list[Column]:
    return [c for c in summary.target.columns if (c.panel, c.series) == (panel, series)]


_FIGURE_3 = (
    ("(a)", "pseudo-anomalies per labelled one"),
    ("(b)", "labelled anomalies"),
)


def _figure_3(summary: Summary) -> Iterator[Picture]:
    panels = []
    for panel, xlabel in _FIGURE_3:
        columns = _of(summary, panel, "NNG-Mix")
        lines = [
            _line(summary, block, columns, block.learner.label) for block in summary.full_blocks
        ]
        panels.append(Panel(panel, [c.x for c in columns], lines, xlabel))
    yield Picture(
        "figure-3",
        "NNG-Mix with (a) more pseudo-anomalies, 1 % labelled, and (b) more labelled anomalies, "
        "10×. Hollow: published in the tables.",
        plot_lines(panels),
    )
    for panel, xlabel in _FIGURE_3:
        names = ("Baseline", "NNG-Mix", "Duplicate")
        yield Picture(
            f"figure-3-{panel.strip('()')}-control",
            f"{panel} beside the control, plain copies.",
            _by_detector(summary, panel, names, xlabel),
            folded=True,
        )


def _figure_4(summary: Summary) -> Iterator[Picture]:
    xlabel = "share of the hidden anomalies that stay"
    names = ("Baseline", "NNG-Mix", "Duplicate")
    yield Picture(
        "figure-4",
        "Fewer hidden anomalies among the unlabelled rows, 1 % labelled, 10×. Hollow: published "
        "in the tables.",
        _by_detector(summary, "", names, xlabel),
    )


def _by_detector(summary: Summary, part: str, names: Sequence[str], xlabel: str) -> "Figure":
    panels = []
    for block in summary.full_blocks:
        lines = []
        for name in names:
            columns = _of(summary, part, name)
            if columns:
                lines.append(_line(summary, block, columns, name))
        x = [column.x for column in _of(summary, part, "NNG-Mix")]
        panels.append(Panel(block.learner.label, x, lines, xlabel))
    return plot_lines(panels, same_scale=False)


def _figure_5(summary: Summary) -> Iterator[Picture]:
    panels = []
    for part in dict.fromkeys(column.panel for column in summary.target.columns):
        columns = _of(summary, part, "NNG-Mix")
        lines = [
            _line(summary, block, columns, block.learner.label) for block in summary.full_blocks
        ]
        panels.append(Panel(part, [c.x for c in columns], lines))
    yield Picture(
        "figure-5",
        "NNG-Mix's number of neighbours k, noise σ and mixing α (λ ~ Beta(α, α), or uniform); the "
        "other two stay at 10, 0.01 and 0.2.",
        plot_lines(panels),
    )


def _figure_7(summary: Summary) -> Iterator[Picture]:
    for block in summary.full_blocks:
        # Where the datasets have no seed in common, there are no means of seeds.
        if not block.seeds:
            continue
        over = f"mean AUCROC over {count(len(block.datasets), 'dataset')}"
        yield Picture(
            "figure-7",
            f"{block.learner.label}: {over}, of each seed (faint), and the mean of "
            f"{name_seeds(block.seeds)} (bold)."
            if len(block.seeds) > 1
            else f"{block.learner.label}: {over}, {name_seeds(block.seeds)} alone.",
            plot_seeds([c.series for c in block.columns], block.by_seed.mean(axis=1).T),
        )


def _of_contender(summary: Summary) -> Iterator[Picture]:
    target, contender = summary.target, summary.target.contender
    assert contender is not None
    blocks, datasets = summary.shared
    if datasets:
        # The contender first: it has the first colour, whoever else was run.
        ordered = sorted(blocks, key=lambda block: block.learner != contender)
        lines = []
        for block in ordered:
            best = [find_best(block, panel, datasets) for panel in target.panels]
            means = [float("nan") if one is None else float(one[1].mean()) for one in best]
            lines.append(Series(block.learner.label, means))
        figure = plot_lines([Panel("", target.panels, lines, "anomalies that are labelled")])
        if ordered[0].learner == contender:
            for line in (figure.axes[0].get_lines()[0], figure.legends[0].get_lines()[0]):
                line.set(linewidth=4, markersize=9, zorder=4)
        seeds = [n for block in blocks for n in block.n_seeds]
        each = count(max(seeds), "seed")
        if min(seeds) < max(seeds):
            each = f"{min(seeds)} to {each}"
        shown = [block.learner for block in blocks]
        others = [one.label for one in target.learners if one not in shown]
        yield Picture(
            target.name,
            f"Mean AUCROC over the {count(len(datasets), 'dataset')} that all of these have, "
            f"{each} each. The paper's detectors are shown with the sampler (none, Duplicate, "
            "NNG-Mix) that turned out best for each at each share of labels."
            + (f" Not run, or on too few datasets: {', '.join(others)}." if others else ""),
            figure,
        )
    for place, panel in enumerate(target.panels):
        gaps = find_gaps_to_best(summary, panel)
        if gaps:
            yield Picture(
                f"{target.name}-gaps-{slug(panel)}",
                f"{panel} labelled: {contender.label}'s AUCROC minus that of whatever else did "
                "best on the dataset, which was chosen dataset by dataset, knowing the results.",
                plot_differences(
                    [gap.dataset.split("/")[-1] for gap in gaps],
                    [gap.difference for gap in gaps],
                ),
                folded=place > 0,
            )


def slug(panel: str) -> str:
    """Make a part's label fit for the name of a file.

    Examples
    --------
    >>> slug("10 %")
    '10-percent'
    """
    return panel.replace("%", "percent").replace(" ", "-")


def _by_dataset(summary: Summary) -> Iterator[Picture]:
    [block] = summary.full_blocks
    names = [dataset.split("/")[-1].split("_", 1)[-1] for dataset in block.datasets]
    name, number = summary.target.name, summary.target.number
    chosen = [c for c in block.columns if c.multiplier in (0, 10) and c.series != "Duplicate"]
    for column in chosen:
        theirs = [summary.published(block.learner, column, d) for d in block.datasets]
        if not np.isnan(theirs).all():
            yield Picture(
                f"{name}-agreement-{column.series.lower().replace(' ', '-')}",
                f"{column.label}: each dataset's AUCROC in {number} and here.",
                plot_agreement(theirs, block.aucroc[:, block.columns.index(column)], names),
            )
    ten = next((c for c in reversed(block.columns) if c.series == "NNG-Mix"), None)
    if ten is None:
        return
    ours = block.aucroc[:, block.columns.index(ten)]
    for series in ("Baseline", "Duplicate"):
        others = [c for c in block.columns if c.series == series]
        others = [c for c in others if c.multiplier in (0, ten.multiplier)]
        if others:
            gain = ours - block.aucroc[:, block.columns.index(others[0])]
            yield Picture(
                f"{name}-gain-over-{series.lower()}",
                f"What {ten.label} gains in AUCROC over {others[0].label}, dataset by dataset.",
                plot_differences(names, gain),
            )
