"""Tables for readers: a summary laid out in lines and columns, as CSV, Markdown or LaTeX."""

import csv
import dataclasses
import io
import math
from typing import Any

from nngmix.experiments.summary import Entry, Summary


@dataclasses.dataclass(frozen=True)
class Line:
    """A line of a table.

    Attributes
    ----------
    panel, series, x : str
        What it is about: part of the table, sampler, multiplier; or the dataset in `series`.
    entries : tuple of Entry
        A number for each head.
    is_mean : bool
        Whether it sums up the lines before it.
    """

    panel: str
    series: str
    x: str
    entries: tuple[Entry, ...]
    is_mean: bool = False

    @property
    def label(self) -> str:
        """All of what it is about."""
        return " ".join(part for part in (self.panel, self.series, self.x) if part)

    @property
    def is_control(self) -> bool:
        """Whether these are plain copies."""
        return self.series == "Duplicate"


@dataclasses.dataclass(frozen=True)
class Head:
    """The head of a column.

    Attributes
    ----------
    label : str
        A detector, or a sampler.
    behind : str
        What is behind its numbers: datasets and seeds.
    """

    label: str
    behind: str = ""


@dataclasses.dataclass(frozen=True)
class Layout:
    """A table, ready to be written.

    Attributes
    ----------
    corner : str
        What the lines are.
    heads : tuple of Head
        The columns.
    lines : tuple of Line
        From top to bottom.
    """

    corner: str
    heads: tuple[Head, ...]
    lines: tuple[Line, ...]


def lay_out(summary: Summary) -> Layout:
    """Lay a summary out: a line for each sampler, or for each dataset.

    Parameters
    ----------
    summary : Summary
        A table or figure, filled.

    Returns
    -------
    Layout
        The paper has samplers across and detectors down; the other way round it is narrow enough
        for a page and a phone, and the control stands right above what it is the control of.
    """
    if summary.target.by_dataset and summary.full_blocks:
        return _by_dataset(summary)
    blocks, averaged = summary.full_blocks, summary.averaged
    heads = [Head(b.learner.label, _behind(len(b.datasets), b.seeds)) for b in blocks]
    lines = []
    for column in summary.target.columns:
        entries = [summary.entry(block.learner, column) for block in blocks]
        if len(averaged) > 1:
            entries.append(summary.average(column))
        lines.append(Line(column.panel, column.series, column.x, tuple(entries)))
    if len(averaged) > 1:
        heads.append(Head("Average", f"of {', '.join(b.learner.label for b in averaged)}"))
    return Layout("sampler", tuple(heads), tuple(lines))


def _by_dataset(summary: Summary) -> Layout:
    [block] = summary.full_blocks
    columns = summary.target.columns
    heads = tuple(Head(" ".join(p for p in (c.series, c.x) if p)) for c in columns)
    lines = []
    for dataset in summary.datasets:
        entries = (
            block.dataset_entry(c, dataset, summary.published(block.learner, c, dataset))
            for c in columns
        )
        lines.append(Line("", dataset.split("/")[-1], "", tuple(entries)))
    means = tuple(summary.entry(block.learner, column) for column in columns)
    behind = _behind(len(block.datasets), block.seeds)
    lines.append(Line("", f"mean of {behind}", "", means, is_mean=True))
    return Layout("dataset", heads, tuple(lines))


def _behind(n_datasets: int, seeds: tuple[int, ...]) -> str:
    sets = f"{n_datasets} dataset{'' if n_datasets == 1 else 's'}"
    return f"{sets}, {name_seeds(seeds)}" if seeds else f"{sets}, seeds differ"


def name_seeds(seeds: tuple[int, ...]) -> str:
    """Write seeds in words: "seed 0", "seeds 0 to 4"."""
    if len(seeds) == 1:
        return f"seed {seeds[0]}"
    if len(seeds) > 2 and seeds == tuple(range(seeds[0], seeds[-1] + 1)):
        return f"seeds {seeds[0]} to {seeds[-1]}"
    return f"seeds {', '.join(map(str, seeds))}"


def number(value: float, digits: int = 3) -> str:
    """Write a number; a dash where there is none."""
    return "–" if math.isnan(value) else f"{value:.{digits}f}"


def signed(value: float, digits: int = 3) -> str:
    """Write a difference with its sign; nothing where there is none."""
    if math.isnan(value):
        return ""
    text = f"{value:+.{digits}f}"
    return text.replace("-", "−")


def as_csv(layout: Layout) -> str:
    """Write a line for each number of a table, with all that is known about it.

    Parameters
    ----------
    layout : Layout
        The table.

    Returns
    -------
    str
        Columns panel, series, x, column, ours, published, difference, spread, aucpr,
        over_control, n_datasets, n_seeds; empty where there is nothing.
    """
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    fields = [field.name for field in dataclasses.fields(Entry)]
    writer.writerow(["panel", layout.corner, "x", "column", "difference", *fields])

    def cell(value: Any) -> Any:
        if isinstance(value, float):
            return "" if math.isnan(value) else f"{value:.6f}"
        return value

    for line in layout.lines:
        for head, entry in zip(layout.heads, line.entries, strict=True):
            values = [entry.difference, *(getattr(entry, name) for name in fields)]
            writer.writerow([line.panel, line.series, line.x, head.label, *map(cell, values)])
    return text.getvalue()


def as_markdown(layout: Layout) -> str:
    """Write a table for a page on a code host: ours, and the published number in brackets.

    Parameters
    ----------
    layout : Layout
        The table.

    Returns
    -------
    str
    """
    heads = [head.label + (f"<br>{head.behind}" if head.behind else "") for head in layout.heads]
    rows = [[layout.corner, *heads], ["---", *["--:"] * len(heads)]]
    for line in layout.lines:
        label = f"*{line.label}*" if line.is_control else line.label
        cells = [_short(entry) for entry in line.entries]
        if line.is_mean:
            label, cells = f"**{label}**", [f"**{cell}**" for cell in cells]
        rows.append([label, *cells])
    return "\n".join(f"| {' | '.join(row)} |" for row in rows) + "\n"


def as_latex(layout: Layout, caption: str, label: str) -> str:
    r"""Write a table for a paper; it needs LaTeX's booktabs package.

    Parameters
    ----------
    layout : Layout
        The table.
    caption, label : str
        For ``\caption`` and ``\label``.

    Returns
    -------
    str
    """
    lines = [
        r"\begin{table}",
        rf"\caption{{{_escaped(caption)} Ours, and the published number in brackets.}}",
        rf"\label{{{label}}}",
        rf"\begin{{tabular}}{{l{'r' * len(layout.heads)}}}",
        r"\toprule",
        " & ".join(_escaped(head) for head in (layout.corner, *(h.label for h in layout.heads)))
        + r" \\",
        r"\midrule",
    ]
    for line in layout.lines:
        if line.is_mean:
            lines.append(r"\midrule")
        cells = (_escaped(_short(entry)) for entry in line.entries)
        lines.append(f"{_escaped(line.label)} & {' & '.join(cells)} \\\\")
    return "\n".join([*lines, r"\bottomrule", r"\end{tabular}", r"\end{table}", ""])


def _short(entry: Entry) -> str:
    text = number(entry.ours)
    if not math.isnan(entry.spread):
        text += f" ± {entry.spread:.3f}"
    return text if math.isnan(entry.published) else f"{text} ({number(entry.published)})"


_LATEX = {
    "\\": r"\textbackslash{}",
    "&": r"\&",
    "%": r"\%",
    "$": r"\$",
    "#": r"\#",
    "_": r"\_",
    "{": r"\{",
    "}": r"\}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "±": r"$\pm$",
    "×": r"$\times$",
    "–": "--",
    "σ": r"$\sigma$",
    "α": r"$\alpha$",
}


def _escaped(text: str) -> str:
    return "".join(_LATEX.get(letter, letter) for letter in text)
