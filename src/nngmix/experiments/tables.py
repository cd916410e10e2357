"""Tables for readers: a summary laid out in lines and columns, as CSV, Markdown or LaTeX."""

import csv
import dataclasses
import io
import math
from collections.abc import Collection
from typing import Any

from nngmix.experiments.summary import Block, Entry, Summary


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
    note : str
        Why it has no number of ours, where it stands for a dataset.
    """

    panel: str
    series: str
    x: str
    entries: tuple[Entry, ...]
    is_mean: bool = False
    note: str = ""

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
        From top to bottom; only those that have a number, of ours or published.
    not_run : tuple of str
        Labels of the lines that have none.
    """

    corner: str
    heads: tuple[Head, ...]
    lines: tuple[Line, ...]
    not_run: tuple[str, ...] = ()


def lay_out(summary: Summary, absent: Collection[str] = ()) -> Layout:
    """Lay a summary out: a line for each sampler, or for each dataset.

    Parameters
    ----------
    summary : Summary
        A table or figure, filled.
    absent : collection of str, default=()
        Datasets without a file, to be marked where each has a line.

    Returns
    -------
    Layout
        The paper has samplers across and detectors down; the other way round it is narrow enough
        for a page and a phone, and the control stands right above what it is the control of.

    Examples
    --------
    >>> from nngmix.experiments import Outcome, Results
    >>> from nngmix.experiments.paper import TARGETS, list_cells
    >>> from nngmix.experiments.store import Record
    >>> from nngmix.experiments.summary import summarise
    >>> table = TARGETS["table-8"]
    >>> cells = list_cells(table, ["Classical/45_wine"])
    >>> results = Results({c: Record(Outcome(c, 0.9, 0.8, 1.0), "run", 0.0) for c in cells}, {})
    >>> layout = lay_out(summarise(table, results))
    >>> layout.heads
    (Head(label='DeepSAD', behind='1 dataset, seed 0'),)
    >>> [line.label for line in layout.lines]
    ['Baseline', 'Duplicate 10×', 'Cutout+GN 10×', 'CutMix+GN 10×', 'NNG-Mix 10×']
    """
    if summary.target.by_dataset and summary.full_blocks:
        return _by_dataset(summary, absent)
    if summary.target.contender is not None:
        return _by_detector(summary)
    blocks, averaged = summary.full_blocks, summary.averaged
    heads = [Head(block.learner.label, _behind(block)) for block in blocks]
    lines, not_run = [], []
    for column in summary.target.columns:
        entries = [summary.entry(block.learner, column) for block in blocks]
        if len(averaged) > 1:
            entries.append(summary.average(column))
        line = Line(column.panel, column.series, column.x, tuple(entries))
        if any(not (math.isnan(e.ours) and math.isnan(e.published)) for e in entries):
            lines.append(line)
        else:
            not_run.append(line.label)
    if len(averaged) > 1:
        whole = len(averaged) == len(blocks)
        of = f"these {len(blocks)}" if whole else ", ".join(b.learner.label for b in averaged)
        heads.append(Head("Average", f"of {of}"))
    return Layout("sampler", tuple(heads), tuple(lines), tuple(not_run))


def _by_detector(summary: Summary) -> Layout:
    """Lay out all detectors, those too that were not run; a mean over them would say nothing."""
    learners = summary.target.learners
    heads = []
    for learner in learners:
        behind = {
            panel: _behind(block)
            for panel, part in summary.parts.items()
            for block in part.full_blocks
            if block.learner == learner
        }
        if len(behind) == len(summary.parts) and len(set(behind.values())) == 1:
            heads.append(Head(learner.label, next(iter(behind.values()))))
        else:
            told = "; ".join(f"{panel}: {what}" for panel, what in behind.items())
            heads.append(Head(learner.label, told or "not run"))
    lines = []
    for column in summary.target.columns:
        part = summary.parts[column.panel]
        entries = (part.entry(one, column) if one.takes(column) else Entry() for one in learners)
        lines.append(Line(column.panel, column.series, column.x, tuple(entries)))
    return Layout("sampler", tuple(heads), tuple(lines))


def lay_out_datasets(summary: Summary) -> dict[str, Layout]:
    """Lay out each part of a comparison with a contender, a line for each dataset that it has.

    Parameters
    ----------
    summary : Summary
        A table, filled.

    Returns
    -------
    dict of str to Layout
        By part. Each number is over all seeds that it was run with; what was not run on any
        dataset has no column.
    """
    layouts = {}
    for panel in summary.target.panels:
        methods = [method for method in summary.methods(panel) if method.outcomes]
        lines = tuple(
            Line(
                "",
                dataset.split("/")[-1],
                "",
                tuple(
                    one.entry(dataset, summary.published(one.learner, one.column, dataset))
                    for one in methods
                ),
            )
            for dataset in summary.datasets
            if any(dataset in method.datasets for method in methods)
        )
        if lines:
            layouts[panel] = Layout("dataset", tuple(Head(one.name) for one in methods), lines)
    return layouts


def _by_dataset(summary: Summary, absent: Collection[str]) -> Layout:
    [block] = summary.full_blocks
    columns = summary.target.columns
    heads = tuple(Head(" ".join(p for p in (c.series, c.x) if p)) for c in columns)
    lines = []
    for dataset in summary.datasets:
        entries = (
            block.dataset_entry(c, dataset, summary.published(block.learner, c, dataset))
            for c in columns
        )
        note = ""
        if dataset not in block.datasets:
            note = "no file here" if dataset in absent else "not run"
            note = "incomplete" if dataset in block.incomplete else note
        lines.append(Line("", dataset.split("/")[-1], "", tuple(entries), note=note))
    means = tuple(summary.entry(block.learner, column) for column in columns)
    lines.append(Line("", f"mean of {_behind(block)}", "", means, is_mean=True))
    return Layout("dataset", heads, tuple(lines))


def _behind(block: Block) -> str:
    return f"{count(len(block.datasets), 'dataset')}, {describe_seeds(block)}"


def describe_seeds(block: Block) -> str:
    """Write in words which seeds the datasets of a detector have, or how many.

    Parameters
    ----------
    block : Block
        The detector's numbers.

    Returns
    -------
    str
        "seeds 0 to 4" where all datasets have just these, else "2 to 5 seeds each".
    """
    fewest, most = min(block.n_seeds), max(block.n_seeds)
    if most == len(block.seeds):
        return name_seeds(block.seeds)
    return f"{count(most, 'seed') if fewest == most else f'{fewest} to {most} seeds'} each"


def count(n: int, thing: str) -> str:
    """Write how many there are of something.

    Examples
    --------
    >>> count(1, "dataset"), count(1200, "cell")
    ('1 dataset', '1,200 cells')
    """
    return f"{n:,} {thing}{'' if n == 1 else 's'}"


def name_seeds(seeds: tuple[int, ...]) -> str:
    """Write one or more seeds in words.

    Examples
    --------
    >>> name_seeds((3,)), name_seeds((0, 2)), name_seeds((0, 1, 2))
    ('seed 3', 'seeds 0 and 2', 'seeds 0 to 2')
    """
    if len(seeds) == 1:
        return f"seed {seeds[0]}"
    if len(seeds) > 2 and seeds == tuple(range(seeds[0], seeds[-1] + 1)):
        return f"seeds {seeds[0]} to {seeds[-1]}"
    return f"seeds {', '.join(map(str, seeds[:-1]))} and {seeds[-1]}"


def number(value: float, digits: int = 3) -> str:
    """Write a number; a dash where there is none.

    Examples
    --------
    >>> number(0.87654), number(float("nan"))
    ('0.877', '–')
    """
    return "–" if math.isnan(value) else f"{value:.{digits}f}"


def chance(p_value: float) -> str:
    """Write a p-value, without digits that mean nothing.

    Examples
    --------
    >>> chance(0.0123), chance(0.7), chance(3e-9), chance(1.0)
    ('0.012', '0.7', '< 0.0001', '1')
    """
    return "< 0.0001" if p_value < 0.0001 else f"{p_value:.2g}"


def as_csv(layout: Layout) -> str:
    """Write a line for each number of a table, with all that is known about it.

    Parameters
    ----------
    layout : Layout
        The table.

    Returns
    -------
    str
        Columns panel, sampler or dataset, x, column, difference, and those of
        :class:`nngmix.experiments.summary.Entry`; empty where there is nothing.

    Examples
    --------
    >>> entry = Entry(0.75, 0.764, aucpr=0.5, n_datasets=30, n_seeds=1)
    >>> layout = Layout("sampler", (Head("MLP"),), (Line("", "NNG-Mix", "10×", (entry,)),))
    >>> print(as_csv(layout))
    panel,sampler,x,column,difference,ours,published,spread,aucpr,over_control,n_datasets,n_seeds
    ,NNG-Mix,10×,MLP,-0.014000,0.750000,0.764000,,0.500000,,30,1
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

    Examples
    --------
    >>> head, entry = Head("MLP", "30 datasets, seed 0"), Entry(0.75, 0.764)
    >>> layout = Layout("sampler", (head,), (Line("", "NNG-Mix", "10×", (entry,)),))
    >>> print(as_markdown(layout))
    | sampler | MLP<br>30 datasets, seed 0 |
    | --- | --: |
    | NNG-Mix 10× | 0.750 (0.764) |
    """
    heads = [head.label + (f"<br>{head.behind}" if head.behind else "") for head in layout.heads]
    rows = [[layout.corner, *heads], ["---", *["--:"] * len(heads)]]
    for line in layout.lines:
        label = f"*{line.label}*" if line.is_control else line.label
        cells = [as_text(entry) for entry in line.entries]
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

    Examples
    --------
    >>> head, entry = Head("MLP", "30 datasets, seed 0"), Entry(0.75, 0.764)
    >>> layout = Layout("sampler", (head,), (Line("", "NNG-Mix", "10×", (entry,)),))
    >>> print(as_latex(layout, "Few labels.", "tab:few").splitlines()[-4])
    NNG-Mix 10$\times$ & 0.750 (0.764) \\
    """
    behind = "; ".join(f"{head.label}: {head.behind}" for head in layout.heads if head.behind)
    about = (
        "AUCROC of ours, ± its standard deviation between seeds, and the published one in "
        f"brackets.{behind and f' {behind}.'}"
    )
    lines = [
        r"\begin{table}",
        rf"\caption{{{_escaped(f'{caption} {about}')}}}",
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
        cells = (_escaped(as_text(entry)) for entry in line.entries)
        lines.append(f"{_escaped(line.label)} & {' & '.join(cells)} \\\\")
    return "\n".join([*lines, r"\bottomrule", r"\end{tabular}", r"\end{table}", ""])


def as_text(entry: Entry) -> str:
    """Write a number with its spread, and the published one in brackets.

    Examples
    --------
    >>> as_text(Entry(0.75, 0.764, spread=0.01)), as_text(Entry(0.75))
    ('0.750 ± 0.010 (0.764)', '0.750')
    """
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
