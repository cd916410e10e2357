"""``nngmix compare``: which sampler and detector serve a table best."""

import contextlib
import dataclasses
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from nngmix.cli import options
from nngmix.cli.errors import UsageError, one_line_errors

if TYPE_CHECKING:
    from nngmix.experiments.compare import Comparison


@one_line_errors
def compare(
    input: options.Input,
    label: Annotated[
        str, typer.Option(help="Column that is 1 for a labelled anomaly and 0 elsewhere.")
    ],
    samplers: Annotated[
        str | None,
        typer.Option(
            help="Names joined by commas, as train's --sampler takes them. Default: none, "
            "Duplicate (the control), NNGMix, Mixup."
        ),
    ] = None,
    detectors: Annotated[
        str | None,
        typer.Option(
            help="Names joined by commas, as train's --detector takes them. Default: MLP and "
            "CatBoost, of those installed."
        ),
    ] = None,
    repeats: Annotated[
        int, typer.Option(min=1, help="Times that the rows are shuffled and cut into folds.")
    ] = 5,
    folds: Annotated[
        int,
        typer.Option(min=2, help="At most the number of labelled anomalies; fewer are cut to it."),
    ] = 5,
    multiplier: Annotated[
        int, typer.Option(min=1, help="Pseudo-anomalies for each labelled anomaly.")
    ] = 10,
    max_unlabelled: Annotated[
        int, typer.Option(min=2, help="Of more unlabelled rows than this, as many are drawn.")
    ] = 5_000,
    categorical: Annotated[
        list[str] | None,
        typer.Option(
            help="Column that holds categories, or 'infer' for all columns of text. May be "
            "repeated. Parquet's dictionary columns are categories unless columns are named here."
        ),
    ] = None,
    exclude: Annotated[
        list[str] | None,
        typer.Option(help="Column to leave out (an identifier, a date). May be repeated."),
    ] = None,
    plot: Annotated[
        Path | None, typer.Option(help="Draw means and intervals (png, svg, pdf).")
    ] = None,
    csv: Annotated[
        Path | None,
        typer.Option(help="Write every single score, as CSV or Parquet by its ending."),
    ] = None,
    random_state: Annotated[int, typer.Option(help="Seed: the same seed, the same result.")] = 0,
    n_jobs: Annotated[int, typer.Option(help="Processes; -1 is one a core.")] = -1,
    delimiter: Annotated[
        str, typer.Option(help=r"Between the cells of CSV files; \t is a tab.")
    ] = ",",
    force: Annotated[bool, typer.Option("--force", help="Replace existing output.")] = False,
) -> None:
    """Find out which sampler and detector serve a table best, and whether its labels can tell.

    Repeated stratified cross-validation: each pair is trained on the same folds and scores the
    same held-out rows. Unlabelled rows count as negatives there: anomalies hidden among them
    lower the figures of all pairs.
    Differences come with corrected resampled t intervals (Nadeau and Bengio),
    levelled by Holm for the number of comparisons.
    """
    from nngmix.cli import files

    delimiter = files.check_delimiter(delimiter)
    if n_jobs == 0:
        raise UsageError("--n-jobs must be a number of processes, or -1 for one a core; got 0.")
    if plot is not None:
        files.check_output(plot, files.PICTURES, "--plot", force)
        options.need_matplotlib()
    if csv is not None:
        files.check_output(csv, files.TABLES, "--csv", force)
    methods, learners = _candidates(samplers, detectors, multiplier)
    source = files.open_first(input, delimiter)
    roles = options.find_roles(source, label, exclude)
    categories = options.find_categories(categorical, roles.features, source)
    table = files.open_tables(input, delimiter)
    for path in table.paths:
        for option, output in (("--csv", csv), ("--plot", plot)):
            if output is not None:
                files.check_not_input(output, option, path)
    rows = options.read_rows(table, roles, categories, max_unlabelled, random_state)
    from nngmix.experiments.compare import compare as run
    from nngmix.experiments.compare import note_draw

    try:
        with _bar() as progress:
            found = run(
                rows.X,
                rows.y,
                samplers=methods,
                detectors=learners,
                n_repeats=repeats,
                n_folds=folds,
                max_unlabelled=max_unlabelled,
                categorical_features=[n for n, kind in rows.kinds.items() if kind == "category"],
                random_state=random_state,
                n_jobs=n_jobs,
                progress=progress,
            )
    except ValueError as error:
        message = str(error).replace(" of X ", " ")
        if message.startswith("y "):
            message = f"label column {label!r} {message[2:]}"
        raise UsageError(f"{str(table.paths[0])!r}: {message}") from None
    n_unlabelled = rows.n_read - found.n_anomalies
    if n_unlabelled > found.n_unlabelled:
        note = note_draw(found.n_unlabelled, n_unlabelled)
        found = dataclasses.replace(found, notes=(note, *found.notes))
    name = options.say_where([Path(path.name) for path in input], len(table.paths))
    with contextlib.ExitStack() as both:
        # Neither file is there without the other.
        if plot is not None:
            _draw(found, name).savefig(both.enter_context(files.replacing(plot)))
        if csv is not None:
            write = both.enter_context(files.writing(csv, found.scores.schema, delimiter))
            write(found.scores)
    _print(found, name)
    written = [("picture", plot), ("scores", csv)]
    options.print_lines([(what, str(path)) for what, path in written if path is not None])


def _candidates(
    samplers: str | None, detectors: str | None, multiplier: int
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Build what is named, or the defaults."""
    from nngmix.detectors import DETECTORS
    from nngmix.experiments.compare import DEFAULT_DETECTORS, DEFAULT_SAMPLERS

    methods: dict[str, Any] = {}
    for name in _names(samplers, DEFAULT_SAMPLERS, "--samplers"):
        if name.lower() == "none":
            methods["none"] = None
        else:
            sampler = options.build_sampler(name, {"multiplier": multiplier}, [], "--samplers")
            methods[options.name_of(sampler)] = sampler
    kinds = [
        options.find_kind(name, DETECTORS, "--detectors")
        for name in _names(detectors, DEFAULT_DETECTORS, "--detectors")
    ]
    return methods, {kind.__name__: kind() for kind in kinds}


def _names(given: str | None, default: tuple[str, ...], option: str) -> tuple[str, ...]:
    if given is None:
        return default
    names = tuple(name.strip() for name in given.split(","))
    if not all(names):
        raise UsageError(f"{option} takes names joined by commas; got {given!r}.")
    return names


@contextlib.contextmanager
def _bar() -> Iterator[Callable[[int, int], None] | None]:
    """Show on a terminal how many fits are done."""
    if not sys.stderr.isatty():
        yield None
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TimeRemainingColumn

    columns = ("comparing", BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True)) as bar:
        task = bar.add_task("comparing", total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)


def _draw(found: "Comparison", name: str) -> Any:
    from nngmix.plotting import plot_comparison

    return plot_comparison(
        [s.name for s in found.standings],
        [s.average_precision for s in found.standings],
        [(s.low, s.high) for s in found.standings],
        [False, *(d.told_apart for d in found.differences)],
        chance=found.n_anomalies / (found.n_anomalies + found.n_unlabelled),
        title=f"{name}: {found.n_anomalies} labelled anomalies, "
        f"{found.n_repeats} x {found.n_folds} folds",
    )


def _print(found: "Comparison", name: str) -> None:
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    rows = f"{found.n_anomalies:,} labelled anomalies, {found.n_unlabelled:,} unlabelled rows"
    table = Table(
        title=f"{escape(name)}: {rows}; {found.n_repeats} x {found.n_folds} folds",
        caption="Intervals are of 95 %. Behind the best: in average precision (AP) on the same "
        "folds, corrected for the number of comparisons.",
    )
    table.add_column("detector")
    table.add_column("sampler")
    for heading in ("AP", "interval", "behind", "interval", "AUCROC", "s a fit"):
        table.add_column(heading, justify="right", no_wrap=True)
    behind = [None, *found.differences]
    for s, d in zip(found.standings, behind, strict=True):
        table.add_row(
            s.detector,
            s.sampler,
            f"{s.average_precision:.3f}",
            f"{s.low:.2f} to {s.high:.2f}",
            "" if d is None else f"{d.mean:.3f}",
            "" if d is None else f"{d.low:.2f} to {d.high:.2f}",
            f"{s.aucroc:.3f}",
            f"{s.seconds:.2f}",
        )
    console = Console()
    # A pipe has no width: no reason to break lines.
    (console if console.is_terminal else Console(width=110)).print(table)
    for note in found.notes:
        typer.echo(f"Note: {note}")
    typer.echo(found.conclusion)
    typer.echo(
        "Unlabelled rows count as negatives here: anomalies hidden among them lower the figures "
        "of all methods."
    )
