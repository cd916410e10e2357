"""The report: what was run beside what was published, on one page and in files for further use."""

import dataclasses
import math
from base64 import b64encode
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from itertools import groupby
from pathlib import Path
from statistics import median
from typing import Any

from nngmix.datasets import find_data_home, list_adbench
from nngmix.datasets.split import Protocol
from nngmix.experiments.cells import Outcome
from nngmix.experiments.figures import Picture, draw, slug
from nngmix.experiments.paper import BEYOND, TARGETS, Target
from nngmix.experiments.store import Results, write_parquet
from nngmix.experiments.summary import Summary, summarise
from nngmix.experiments.tables import (
    Layout,
    as_csv,
    as_latex,
    as_markdown,
    chance,
    count,
    describe_seeds,
    lay_out,
    lay_out_datasets,
    number,
)
from nngmix.experiments.verdicts import (
    Versus,
    compare_columns,
    compare_detectors,
    find_reference,
    make_facts,
    rank_columns,
    versus_as_csv,
    versus_as_markdown,
)
from nngmix.plotting.style import signed
from nngmix.replacing import replacing


@dataclasses.dataclass(frozen=True)
class Section:
    """What the report says of one table or figure.

    Attributes
    ----------
    target : Target
        Which.
    summary : Summary
        Its numbers.
    layout : Layout or None
        Its table; None for a picture without numbers.
    versus : tuple of Versus
        NNG-Mix against the others.
    pictures : tuple of Picture
        The figures.
    missing : tuple of str
        Datasets that the paper used and that have no file here.
    not_run : tuple of str
        Other datasets without numbers.
    facts : tuple of str
        Sentences on what agrees and what not.
    by_dataset : dict of str to Layout
        For a comparison with a contender: the dataset by dataset table of each part.
    """

    target: Target
    summary: Summary
    layout: Layout | None
    versus: tuple[Versus, ...]
    pictures: tuple[Picture, ...]
    missing: tuple[str, ...]
    not_run: tuple[str, ...]
    facts: tuple[str, ...]
    by_dataset: dict[str, Layout]

    @property
    def versus_groups(self) -> list[tuple[str, list[Versus]]]:
        """The comparisons under the heads that they stand below on the page."""

        def head(one: Versus) -> str:
            if self.target.contender is None:
                return one.detector
            return f"{one.metric}, {one.panel} labelled"

        return [(name, list(group)) for name, group in groupby(self.versus, head)]


def write_report(
    results: Results,
    folder: Path,
    *,
    targets: Iterable[str] = (),
    data_home: str | None = None,
    protocol: Protocol = "adbench",
) -> Path:
    """Write the page, and each table and picture as files beside it.

    Parameters
    ----------
    results : Results
        What was run.
    folder : pathlib.Path
        Where to; made if it isn't there. ``report.html`` holds all and loads nothing from
        elsewhere; ``tables`` has CSV, Markdown and LaTeX, ``figures`` the pictures, and
        ``cells.parquet`` every cell.
    targets : iterable of str, default=()
        Names in :data:`nngmix.experiments.paper.TARGETS` or ``BEYOND`` that the page shall have
        even without a number. What else has numbers is there anyway, but not on the built-in
        datasets, which are every suite's; nor a comparison beyond the paper of which only the
        paper's detectors were run.
    data_home : str, default=None
        Where ADBench's files are: to tell a dataset without a file from one that was not run.
    protocol : {"adbench", "leak-free"}, default="adbench"
        Which cells count.

    Returns
    -------
    pathlib.Path
        The page.

    Raises
    ------
    ImportError
        If matplotlib or jinja2 is not installed.
    """
    wanted = set(targets)

    def is_shown(target: Target) -> bool:
        if target.name in wanted:
            return True
        summary = summarise(target, results, protocol=protocol)
        own = [block for block in summary.blocks if block.learner.alone and block.outcomes]
        if target.contender is not None and not own:
            return False
        return summary.has_numbers and not (summary.builtin and wanted)

    sections = [
        make_section(target, results, data_home=data_home, protocol=protocol)
        for target in (*TARGETS.values(), *BEYOND.values())
        if is_shown(target)
    ]
    tables, figures = folder / "tables", folder / "figures"
    for place in (tables, figures):
        place.mkdir(parents=True, exist_ok=True)
    drawn: dict[str, bytes] = {}
    for section in sections:
        name = section.target.name
        title = f"{section.target.number}: {section.target.title}."
        layouts = {} if section.layout is None else {name: section.layout}
        layouts |= {f"{name}-{slug(part)}": table for part, table in section.by_dataset.items()}
        for file, layout in layouts.items():
            for ending, text in (
                ("csv", as_csv(layout)),
                ("md", as_markdown(layout)),
                ("tex", as_latex(layout, title, f"tab:{file}")),
            ):
                _write(tables / f"{file}.{ending}", text.encode())
        if section.target.contender is not None and section.versus:
            _write(tables / f"{name}-tests.csv", versus_as_csv(section.versus).encode())
            _write(tables / f"{name}-tests.md", versus_as_markdown(section.versus).encode())
        for picture in section.pictures:
            drawn[picture.name] = picture.render()
            _write(figures / f"{picture.name}.{picture.kind}", drawn[picture.name])
    write_parquet(results, folder / "cells.parquet")
    page = folder / "report.html"
    counted = {c: r for c, r in results.records.items() if c.protocol == protocol}
    _write(page, render_page(sections, Results(counted, results.runs), drawn).encode())
    return page


def make_section(
    target: Target,
    results: Results,
    *,
    data_home: str | None = None,
    protocol: Protocol = "adbench",
) -> Section:
    """Work out what the report says of one table or figure.

    Parameters
    ----------
    target : Target
        Which.
    results : Results
        What was run.
    data_home : str, default=None
        Where ADBench's files are.
    protocol : {"adbench", "leak-free"}, default="adbench"
        Which cells count.

    Returns
    -------
    Section
    """
    summary = summarise(target, results, protocol=protocol)
    home = find_data_home(data_home)
    absent = {
        file.full_name for file in list_adbench(target.suite) if not (home / file.path).is_file()
    }
    has_numbers = bool(target.columns) and summary.has_numbers
    compare = compare_columns if target.contender is None else compare_detectors
    versus = compare(summary) if has_numbers else ()
    return Section(
        target,
        summary,
        lay_out(summary, absent) if has_numbers else None,
        versus,
        tuple(draw(summary, rank_columns(summary), home))
        if has_numbers or not target.columns
        else (),
        tuple(name for name in summary.not_run if name in absent),
        tuple(name for name in summary.not_run if name not in absent),
        tuple(make_facts(summary)) if has_numbers else (),
        lay_out_datasets(summary) if target.contender is not None else {},
    )


def render_page(sections: Sequence[Section], results: Results, drawn: dict[str, bytes]) -> str:
    """Render the page.

    Parameters
    ----------
    sections : sequence of Section
        In order.
    results : Results
        What was run.
    drawn : dict of str to bytes
        The pictures, by name.

    Returns
    -------
    str
        HTML that loads nothing from elsewhere.
    """
    try:
        import jinja2
    except ImportError:
        raise ImportError("the report needs jinja2: pip install 'nngmix[plot]'") from None

    def source(picture: Picture) -> str:
        kind = {"svg": "image/svg+xml", "png": "image/png"}[picture.kind]
        return f"data:{kind};base64,{b64encode(drawn[picture.name]).decode()}"

    failures = Counter((f.reason, f.cell.detector) for f in results.failures)
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("nngmix.experiments"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "chance": chance,
        "count": count,
        "isnan": math.isnan,
        "number": number,
        "short": lambda dataset: dataset.split("/")[-1],
        "signed": signed,
    }
    return environment.get_template("report.html.jinja").render(
        sections=sections,
        shown=[s for s in sections if s.layout is not None or s.pictures],
        source=source,
        overview=_overview(sections),
        machines=describe_runs(results),
        costs=describe_costs(results),
        failures=sorted(failures.items(), key=lambda item: (-item[1], item[0])),
        n_outcomes=len(results.outcomes),
        n_failures=len(results.failures),
        any_builtin=any(s.summary.builtin for s in sections if s.layout is not None),
    )


def _overview(sections: Sequence[Section]) -> list[tuple[Target, str, list[dict[str, Any]]]]:
    """Sum the tables up for the head of the page: a line for each detector and label ratio."""
    seen = set()
    groups: dict[tuple[Target, str], list[dict[str, Any]]] = defaultdict(list)
    for section in sections:
        summary = section.summary
        if section.layout is None or not section.target.name.startswith("table"):
            continue
        for block in summary.full_blocks:
            for panel in dict.fromkeys(column.panel for column in block.columns):
                column = find_reference(block, panel)
                if column is None:
                    continue
                control = block.control_of(column)
                baseline = next(
                    (c for c in block.columns if (c.series, c.panel) == ("Baseline", panel)), None
                )
                # Tables I, IV, VI and VIII share these cells, and the first is enough.
                same = (
                    section.target.suite,
                    block.learner,
                    column.label_ratio,
                    section.target.by_dataset,
                )
                if same in seen:
                    continue
                seen.add(same)
                about = f"{section.target.suite}, {100 * column.label_ratio:g} % labelled"
                groups[section.target, about].append(
                    {
                        "detector": block.learner.label,
                        "n_datasets": len(block.datasets),
                        "n_files": len(summary.datasets),
                        "seeds": describe_seeds(block),
                        "entries": [
                            None if c is None else summary.entry(block.learner, c)
                            for c in (baseline, control, column)
                        ],
                    }
                )
    return [(target, about, lines) for (target, about), lines in groups.items()]


def describe_runs(results: Results) -> list[dict[str, Any]]:
    """Tell on which machines, and with which versions, the cells were run.

    Parameters
    ----------
    results : Results
        What was run.

    Returns
    -------
    list of dict
        ``machine`` and ``versions`` in words, ``first`` and ``last`` day, ``cells``, ``hours`` of
        computing.
    """
    groups: dict[tuple[str, str], list[Any]] = defaultdict(list)
    for record in results.records.values():
        about = results.runs.get(record.run, {})
        groups[_machine(about), _versions(about)].append(record)
    return [
        {
            "machine": machine,
            "versions": versions,
            "first": _day(min(r.finished for r in records)),
            "last": _day(max(r.finished for r in records)),
            "cells": len(records),
            "hours": sum(r.result.seconds for r in records) / 3600,
        }
        for (machine, versions), records in sorted(groups.items())
    ]


def _machine(about: dict[str, Any]) -> str:
    if not about:
        return "unknown machine"
    memory = f", {about['memory'] / 2**30:.0f} GiB" if about.get("memory") else ""
    return f"{about['processor']}, {count(about['cores'], 'core')}{memory}, {about['system']}"


def _versions(about: dict[str, Any]) -> str:
    if not about:
        return "unknown versions"
    packages = ", ".join(f"{name} {version}" for name, version in about["packages"].items())
    return f"nngmix {about['nngmix']}, Python {about['python']}, {packages}"


def _day(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d")


def describe_costs(results: Results) -> list[dict[str, Any]]:
    """Tell what the cells of each detector took.

    Parameters
    ----------
    results : Results
        What was run.

    Returns
    -------
    list of dict
        ``detector``, ``cells``, ``median`` seconds, ``longest`` seconds, ``hours`` in all and
        ``peak`` memory in bytes (None where it wasn't measured).
    """
    by_detector: dict[str, list[Outcome]] = defaultdict(list)
    for outcome in results.outcomes:
        by_detector[outcome.cell.detector].append(outcome)
    return [
        {
            "detector": detector,
            "cells": len(outcomes),
            "median": median(o.seconds for o in outcomes),
            "longest": max(o.seconds for o in outcomes),
            "hours": sum(o.seconds for o in outcomes) / 3600,
            "peak": max((o.peak_bytes or 0 for o in outcomes), default=0) or None,
        }
        for detector, outcomes in sorted(by_detector.items())
    ]


def _write(path: Path, content: bytes) -> None:
    with replacing(path) as beside:
        beside.write_bytes(content)
