"""``nngmix reproduce``: run the paper's experiments, and what goes beyond, and show the numbers."""

import contextlib
import re
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from nngmix.cli.errors import FAILURE, INTERRUPTED, UsageError, one_line_errors
from nngmix.cli.options import print_lines

if TYPE_CHECKING:
    from nngmix.experiments import Cell, Results, Tally
    from nngmix.experiments.durations import Durations
    from nngmix.experiments.paper import Learner, Target
    from nngmix.experiments.plan import Plan
    from nngmix.experiments.tables import Layout

OUTPUT = Path("nngmix-results")
STORE = "cells.sqlite"

# Seconds between two lines about the progress where there is no terminal.
_LINE_EVERY = 30.0

_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400}


@one_line_errors
def reproduce(
    targets: Annotated[
        list[str],
        typer.Argument(
            metavar="WHAT",
            help="table-1 to table-8, figure-1, figure-3 to figure-8, or all of these. Not in "
            "all: beyond, beyond-cv, beyond-nlp, the paper's detectors beside our own.",
        ),
    ],
    data: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR",
            help="Folder of ADBench's suites. Default: NNGMIX_DATA, else the user's cache.",
        ),
    ] = None,
    output: Annotated[
        Path, typer.Option(metavar="DIR", help="Folder for the report and the store of cells.")
    ] = OUTPUT,
    store: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help=f"The store; several runs may share one. [{STORE}]"),
    ] = None,
    datasets: Annotated[
        str | None,
        typer.Option(help="Files, datasets or suites joined by commas, or 'builtin'."),
    ] = None,
    detectors: Annotated[str | None, typer.Option(help="Names joined by commas.")] = None,
    samplers: Annotated[
        str | None,
        typer.Option(
            help="Names joined by commas; the baseline and Duplicate, the control, stay in."
        ),
    ] = None,
    seeds: Annotated[
        str | None, typer.Option(help="Such as 0,1,2 or 0-4. Default: the paper's; 0-4 for beyond.")
    ] = None,
    quick: Annotated[
        bool, typer.Option("--quick", help="A few small datasets, one seed: minutes.")
    ] = False,
    budget: Annotated[
        str | None,
        typer.Option(metavar="TIME", help="Start no cell that would pass it: 90m, 2h, 1h30m."),
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Count the cells and estimate the time; run nothing.")
    ] = False,
    leak_free: Annotated[
        bool,
        typer.Option(
            "--leak-free", help="Split small datasets before they are filled up, not after."
        ),
    ] = False,
    retry_failed: Annotated[
        bool, typer.Option("--retry-failed", help="Run cells again that failed.")
    ] = False,
    time_limit: Annotated[
        str | None, typer.Option(metavar="TIME", help="For a cell, such as 10m; then it failed.")
    ] = None,
    memory_limit: Annotated[
        str | None, typer.Option(metavar="SIZE", help="For a cell, such as 4GB; then it failed.")
    ] = None,
    known: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", help="Take over cells from another store, or from a Parquet file."
        ),
    ] = None,
    fetch: Annotated[
        bool | None,
        typer.Option(
            "--fetch/--no-fetch",
            help="Whether to download files that are missing. Default: yes, unless --data or "
            "--quick is given.",
        ),
    ] = None,
    n_jobs: Annotated[int, typer.Option(help="Processes; -1 is one a core.")] = -1,
    dask: Annotated[
        str | None,
        typer.Option(metavar="ADDRESS", help="Run on the Dask cluster of this scheduler."),
    ] = None,
) -> None:
    """Run the paper's experiments; show ours beside the published numbers.

    And, asked for by name, what goes beyond: detectors that the paper doesn't have beside its own,
    with tests over datasets.

    Every finished cell is kept: the same command goes on where it stopped, and several may work on
    one store. The report is a page that holds all, with each table and picture beside it.
    """
    from nngmix.datasets import find_data_home
    from nngmix.experiments import Results, Store, read_results
    from nngmix.experiments.durations import Durations
    from nngmix.experiments.plan import make_plan, order_cells
    from nngmix.experiments.report import write_report

    if n_jobs == 0:
        raise UsageError("--n-jobs must be a number of processes, or -1 for one a core; got 0.")
    chosen = find_targets(targets)
    seconds = None if budget is None else _read_time(budget, "--budget")
    limits: dict[str, Any] = {
        "time_limit": None if time_limit is None else _read_time(time_limit, "--time-limit"),
        "memory_limit": None if memory_limit is None else _read_size(memory_limit),
    }
    if data is not None and not data.is_dir():
        raise UsageError(f"--data {str(data)!r} is {'no folder' if data.exists() else 'missing'}.")
    home = find_data_home(data)
    options: dict[str, Any] = {
        "data_home": home,
        "datasets": _read_datasets(datasets),
        "seeds": _read_seeds(seeds),
        "quick": quick,
        "protocol": "leak-free" if leak_free else "adbench",
    }
    learners = _read_learners(detectors, chosen)
    series = _read_samplers(samplers, chosen)
    if known is not None and not known.is_file():
        raise UsageError(f"--known: there is no file {str(known)!r}.")
    place = output / STORE if store is None else store

    absent_learners: dict[str, str] = {}
    if not dry_run:
        _need_plot()
        absent_learners = _find_absent(learners, named=detectors is not None)
        learners = [learner for learner in learners if learner.label not in absent_learners]
        if fetch if fetch is not None else (data is None and not quick):
            _fetch(chosen, options["datasets"], home)

    def make_plans() -> "list[Plan]":
        return [
            make_plan(
                target,
                learners=[learner for learner in target.learners if learner in learners],
                columns=[column for column in target.columns if column.series in series],
                **options,
            )
            for target in chosen
        ]

    plans = make_plans()
    if dry_run:
        results = Results({}, {})
        for path in (place, known):
            if path is not None and path.is_file():
                found = read_results(path)
                results = Results(found.records | results.records, found.runs | results.runs)
        _print_plan(plans, results, _count_cores(n_jobs), quick=quick)
        return
    _make_folder(output)
    cells = [cell for plan in plans for cell in plan.cells]
    _tell_missing([] if quick else plans, home, absent_learners)
    for label in dict.fromkeys(label for plan in plans for label in plan.too_slow):
        typer.echo(f"{label} is left out: too slow for a quick look at these datasets", err=True)
    if not cells and any(plan.target.columns for plan in plans):
        typer.echo(f"Nothing can be run: none of the files needed is in {home}.")
    with Store(place) as opened:
        if known is not None:
            n_new = opened.add(read_results(known))
            typer.echo(f"{n_new:,} cells taken over from {known}", err=True)
        durations = Durations(r.result for r in opened.results().records.values())
        ordered = order_cells(cells, durations)
        tally, outcome = _run(
            ordered,
            opened,
            durations,
            seconds,
            n_jobs,
            dask,
            data_home=str(home),
            retry_failed=retry_failed,
            **limits,
        )
        results = opened.results()
    if outcome != "interrupted":
        _show(chosen, results, options["protocol"])
        page = write_report(
            results,
            output,
            targets=[target.name for target in chosen],
            data_home=str(home),
            protocol=options["protocol"],
        )
        print_lines([("report", str(page)), ("store", str(place))])
    if tally.left:
        stop = {"interrupted": "interrupted", "budget": "the budget is spent"}.get(outcome, "")
        told = f"{tally.done:,} cells are done and kept, {tally.left:,} are left"
        print(f"nngmix: {stop}; {told}. The same command goes on from here.", file=sys.stderr)
    if outcome == "interrupted":
        raise typer.Exit(INTERRUPTED)
    if tally.failed:
        reasons = {
            failure.reason
            for failure in (results.failure(cell) for cell in cells)
            if failure is not None
        }
        why = "; ".join(sorted(reasons))
        print(
            f"nngmix: {tally.failed} of {len(ordered)} cells failed "
            f"({why if len(why) < 300 else why[:297] + '...'}); --retry-failed runs them again.",
            file=sys.stderr,
        )
        raise typer.Exit(FAILURE)


def find_targets(names: Sequence[str]) -> "list[Target]":
    """Find tables and figures by name, each once, in the paper's order if all are asked for."""
    from nngmix.experiments.paper import BEYOND, TARGETS

    known = TARGETS | BEYOND
    found: dict[str, Target] = {}
    for name in names:
        word = name.strip().lower().replace("_", "-").replace(" ", "-")
        if word == "all":
            found |= TARGETS
        elif word in known:
            found[word] = known[word]
        else:
            hint = " Fig. 2 is a drawing of the method." if word == "figure-2" else ""
            raise UsageError(
                f"there is no {name!r}; there are {', '.join(TARGETS)}, and all; and, not in all, "
                f"{', '.join(BEYOND)}.{hint}"
            )
    return list(found.values())


def _read_time(text: str, option: str) -> float:
    parts = re.findall(r"(\d+(?:\.\d+)?)([smhd])", text.lower())
    if not parts or "".join(f"{n}{unit}" for n, unit in parts) != text.lower().replace(" ", ""):
        raise UsageError(f"{option} takes a time such as 90s, 45m, 2h or 1h30m; got {text!r}.")
    seconds = sum(float(n) * _UNITS[unit] for n, unit in parts)
    if seconds <= 0:
        raise UsageError(f"{option} must be longer than no time; got {text!r}.")
    return seconds


def _read_size(text: str) -> int:
    match = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([kmgt]?)i?b?", text.strip().lower())
    if match is None or float(match[1]) <= 0:
        raise UsageError(f"--memory-limit takes a size such as 800MB or 4GB; got {text!r}.")
    return int(float(match[1]) * 1024 ** " kmgt".index(match[2] or " "))


def _read_seeds(text: str | None) -> list[int] | None:
    if text is None:
        return None
    seeds: list[int] = []
    for part in text.split(","):
        match = re.fullmatch(r"(\d+)(?:-(\d+))?", part.strip())
        if match is None or (match[2] and int(match[2]) < int(match[1])):
            raise UsageError(f"--seeds takes whole numbers such as 0,1,2 or 0-4; got {text!r}.")
        seeds += range(int(match[1]), int(match[2] or match[1]) + 1)
    if max(seeds) >= 2**32:
        raise UsageError(f"--seeds must be below 2**32; got {text!r}.")
    return list(dict.fromkeys(seeds))


def _read_datasets(text: str | None) -> set[str] | None:
    if text is None:
        return None
    from nngmix.datasets import BUILTIN_NAMES, list_adbench

    names = _split(text, "--datasets")
    found = set(BUILTIN_NAMES) if "builtin" in names else set()
    try:
        found |= {file.full_name for file in list_adbench([n for n in names if n != "builtin"])}
    except ValueError as error:
        raise UsageError(f"--datasets: {error}") from None
    return found


def _read_learners(text: str | None, targets: "Sequence[Target]") -> "list[Learner]":
    from nngmix.experiments.paper import ALL_LEARNERS

    used = [name for name in ALL_LEARNERS if any(name in target.learners for target in targets)]
    if text is None:
        return used
    by_name = {key.lower(): item for item in ALL_LEARNERS for key in (item.label, item.detector)}
    found = []
    for name in _split(text, "--detectors"):
        learner = by_name.get(name.lower())
        if learner is None:
            known = ", ".join(item.detector for item in ALL_LEARNERS)
            raise UsageError(f"--detectors: there is no {name!r}; there are {known}.")
        found.append(learner)
    if not set(found) & set(used) and any(target.columns for target in targets):
        raise UsageError(
            f"--detectors: {text} has no part in this; {', '.join(u.detector for u in used)} has."
        )
    return found


def _read_samplers(text: str | None, targets: "Sequence[Target]") -> set[str]:
    from nngmix.experiments.paper import TARGETS

    every = {c.series: c for target in TARGETS.values() for c in target.columns}
    if text is None:
        return set(every)
    # By the paper's name, or by the name here of what has no other settings.
    by_name = {column.sampler.lower(): {series} for series, column in every.items()}
    by_name |= {series.lower(): {series} for series in every}
    by_name["nngmix"] = {"NNG-Mix"}
    found = {"Baseline", "Duplicate"}
    for name in _split(text, "--samplers"):
        if name.lower() not in by_name:
            raise UsageError(f"--samplers: there is no {name!r}; there are {', '.join(every)}.")
        found |= by_name[name.lower()]
    return found


def _split(text: str, option: str) -> list[str]:
    names = [name.strip() for name in text.split(",")]
    if not all(names):
        raise UsageError(f"{option} takes names joined by commas; got {text!r}.")
    return names


def _need_plot() -> None:
    """Find out before hours are spent that the report can't be written."""
    for name in ("matplotlib", "jinja2"):
        try:
            __import__(name)
        except ImportError:
            raise ImportError(f"the report needs {name}: pip install 'nngmix[plot]'") from None


def _find_absent(learners: "Sequence[Learner]", *, named: bool) -> dict[str, str]:
    """Find detectors whose libraries are not installed."""
    from nngmix.detectors import DETECTORS

    absent = {}
    for learner in learners:
        try:
            DETECTORS[learner.detector]()._require()
        except ImportError as error:
            if named:
                raise
            absent[learner.label] = str(error)
    return absent


def _fetch(targets: "Sequence[Target]", datasets: set[str] | None, home: Path) -> None:
    """Download what is missing; without a network, go on with what is there."""
    from nngmix.datasets import fetch_adbench, list_adbench

    files = {
        file.full_name: home / file.path
        for target in targets
        for file in list_adbench(target.suite)
        if target.columns or (target.name == "figure-6" and file.dataset == "vertebral")
    }
    wanted = [
        name
        for name, path in files.items()
        if (datasets is None or name in datasets) and not path.is_file()
    ]
    if not wanted:
        return
    files_told = f"{len(wanted)} file{'' if len(wanted) == 1 else 's'}"
    typer.echo(f"fetching {files_told} of ADBench to {home} (--no-fetch doesn't)", err=True)
    try:
        fetch_adbench(wanted, data_home=home, retries=2, verbose=sys.stderr.isatty())
    except OSError as error:
        print(f"nngmix: {error}\nnngmix: going on with the files that are there.", file=sys.stderr)


def _make_folder(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UsageError(f"--output {str(folder)!r} cannot be made: {error.strerror}.") from None


def _tell_missing(plans: "Sequence[Plan]", home: Path, absent_learners: dict[str, str]) -> None:
    """Say what is left out, and why."""
    for label, why in absent_learners.items():
        typer.echo(f"{label} is left out: {why}", err=True)
    for what, why in (("absent", "no file"), ("wrong", "not as ADBench has them")):
        names = list(dict.fromkeys(name for plan in plans for name in getattr(plan, what)))
        if names:
            told = ", ".join(names[:60]) + (f" and {len(names) - 60} more" if names[60:] else "")
            typer.echo(f"Left out, {why} in {home}: {told}", err=True)


def _count_cores(n_jobs: int) -> int:
    from joblib import effective_n_jobs

    return int(effective_n_jobs(n_jobs))


def _print_plan(plans: "Sequence[Plan]", results: "Results", n_jobs: int, *, quick: bool) -> None:
    from rich.console import Console
    from rich.table import Table

    from nngmix.experiments.durations import Durations

    durations = Durations(r.result for r in results.records.values())
    table = Table(
        title=f"What is to be run, on {n_jobs} core{'' if n_jobs == 1 else 's'}",
        caption="Many cells serve several tables: the last line counts each once. Times are "
        "estimates, the better the more was run.",
    )
    table.add_column("")
    for head in ("cells", "no file", "done", "failed", "to run", "about"):
        table.add_column(head, justify="right", no_wrap=True)

    def add(name: str, cells: "Sequence[Cell]", every: "Sequence[Cell]", *, last: bool) -> None:
        done = sum(results.outcome(cell) is not None for cell in cells)
        failed = sum(results.failure(cell) is not None for cell in cells)
        left = [cell for cell in cells if cell not in results.records]
        table.add_row(
            name,
            f"{len(every):,}",
            f"{len(every) - len(cells):,}",
            f"{done:,}",
            f"{failed:,}",
            f"{len(left):,}",
            _spell(durations.left(left, n_jobs)) if left else "–",
            end_section=last,
        )

    for i, plan in enumerate(plans):
        if plan.target.columns:
            add(plan.target.name, plan.cells, plan.every_cell, last=i == len(plans) - 1)
        else:
            table.add_row(
                plan.target.name, *["a picture", *[""] * 5], end_section=i == len(plans) - 1
            )
    if len(plans) > 1:
        once = [
            list(dict.fromkeys(cell for plan in plans for cell in getattr(plan, which)))
            for which in ("cells", "every_cell")
        ]
        add("each once", once[0], once[1], last=True)
    console = Console()
    (console if console.is_terminal else Console(width=100)).print(table)
    absent = dict.fromkeys(name for plan in plans for name in plan.absent)
    if absent and not quick:
        typer.echo(f"No file here: {', '.join(absent)}")


def _spell(seconds: float) -> str:
    """Write a time as people say it."""
    if seconds < 60:
        return f"{max(round(seconds), 1)} s"
    if seconds < 5400:
        return f"{seconds / 60:.0f} min"
    if seconds < 172800:
        return f"{seconds / 3600:.1f} h"
    return f"{seconds / 86400:.1f} days"


def _run(
    cells: "Sequence[Cell]",
    store: Any,
    durations: "Durations",
    budget: float | None,
    n_jobs: int,
    dask: str | None,
    **options: Any,
) -> "tuple[Tally, str]":
    """Run the cells; tell how it ended: "", "budget" or "interrupted"."""
    from nngmix.experiments import Tally, run_grid

    started = time.monotonic()
    last = Tally(left=len(cells))
    ended = ""

    def may_start(cell: "Cell") -> bool:
        nonlocal ended
        if budget is None:
            return True
        if time.monotonic() - started + durations.seconds(cell) > budget:
            ended = "budget"
            return False
        return True

    with _cluster(dask) as n_cluster, _progress(cells, durations) as show:

        def progress(tally: "Tally", result: Any) -> None:
            nonlocal last
            last = tally
            if result is not None:
                durations.add(result)
            show(tally, result, n_cluster or _count_cores(n_jobs))

        try:
            tally = run_grid(
                cells, store, n_jobs=n_jobs, may_start=may_start, progress=progress, **options
            )
        except KeyboardInterrupt:
            return last, "interrupted"
    return tally, ended


@contextlib.contextmanager
def _cluster(address: str | None) -> Iterator[int]:
    """Send the cells to a Dask cluster; give the number of its threads, 0 without one."""
    if address is None:
        yield 0
        return
    try:
        import distributed
    except ImportError:
        raise ImportError("--dask needs distributed: pip install 'nngmix[dask]'") from None
    import joblib

    try:
        client: Any = distributed.Client(address, timeout=20)  # type: ignore[no-untyped-call]
    except (OSError, ValueError) as error:
        raise UsageError(f"--dask: no scheduler at {address!r}: {error}") from None
    with client, joblib.parallel_config(backend="dask"):
        yield sum(client.nthreads().values())


@contextlib.contextmanager
def _progress(
    cells: "Sequence[Cell]", durations: "Durations"
) -> Iterator[Callable[["Tally", Any, int], None]]:
    """Show how far it is and how long it will take: a bar, or lines where there is no terminal."""
    left = dict.fromkeys(cells)
    estimate, next_estimate = "", 0.0
    next_line = time.monotonic() + _LINE_EVERY / 3
    bar: Any = None
    task: Any = None
    if sys.stderr.isatty():
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

        columns = (BarColumn(), MofNCompleteColumn(), TextColumn("{task.description}"))
        bar = Progress(*columns, console=Console(stderr=True))
        task = bar.add_task("starting", total=len(left))
        bar.start()

    def show(tally: "Tally", result: Any, n_jobs: int) -> None:
        nonlocal estimate, next_estimate, next_line
        now = time.monotonic()
        if result is not None:
            left.pop(result.cell, None)
        if now >= next_estimate:
            estimate = _spell(durations.left(left, n_jobs)) if tally.left else ""
            # Of tens of thousands of cells it takes a while, too.
            next_estimate = time.monotonic() + max(1.0, 20 * (time.monotonic() - now))
        failed = f", {tally.failed} failed" if tally.failed else ""
        told = f"about {estimate} to go{failed}" if tally.left else f"done{failed}"
        finished = tally.done + tally.failed
        if bar is not None:
            bar.update(task, completed=finished, description=told)
        elif now >= next_line and tally.left:
            total = finished + tally.left
            print(f"{finished:,} of {total:,} cells, {told}", file=sys.stderr, flush=True)
            next_line = now + _LINE_EVERY

    try:
        yield show
    finally:
        if bar is not None:
            bar.stop()


def _show(targets: "Sequence[Target]", results: "Results", protocol: Any) -> None:
    """Print each table, short enough for a terminal."""
    from nngmix.experiments.summary import summarise
    from nngmix.experiments.tables import lay_out
    from nngmix.experiments.verdicts import make_facts

    for target in targets:
        if not target.columns:
            continue
        summary = summarise(target, results, protocol=protocol)
        if not summary.has_numbers:
            typer.echo(f"{target.number}: nothing was run.")
            continue
        _print_table(target, lay_out(summary))
        for fact in make_facts(summary):
            typer.echo(fact)
        typer.echo("")


def _print_table(target: "Target", layout: "Layout") -> None:
    from rich.console import Console
    from rich.table import Table

    from nngmix.experiments.tables import number

    table = Table(
        title=f"{target.number}: {target.title}",
        caption="AUCROC of ours, and the published one behind it.",
    )
    table.add_column(layout.corner)
    for head in layout.heads:
        table.add_column(f"{head.label}\n{head.behind}".strip(), justify="right")
    for line in layout.lines:
        cells = []
        for entry in line.entries:
            published = number(entry.published)
            cells.append(number(entry.ours) + (f" {published}" if published != "–" else ""))
        table.add_row(line.label, *cells, end_section=line.is_mean)
    console = Console()
    (console if console.is_terminal else Console(width=120)).print(table)
