"""``nngmix demo``: what labelled anomalies plus pseudo-anomalies buy, on real data, in minutes."""

import csv
import io
from collections import defaultdict
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from nngmix.cli.errors import UsageError, one_line_errors

if TYPE_CHECKING:
    from nngmix.experiments import Outcome

_SAMPLERS = ("none", "Duplicate", "NNGMix")
_DETECTORS = ("MLP", "CatBoost")
_LABEL_RATIO = 0.1
_MULTIPLIER = 10
# Rows drawn again must not stand on both sides of a demonstration's split.
_PROTOCOL: Literal["leak-free"] = "leak-free"


@one_line_errors
def demo(
    output: Annotated[
        Path, typer.Option(help="Folder for the pictures, the numbers and index.html.")
    ] = Path("nngmix-demo"),
    seeds: Annotated[int, typer.Option(min=1, help="Random splits of each set.")] = 5,
    n_jobs: Annotated[int, typer.Option(help="Processes; -1 is one a core.")] = -1,
    force: Annotated[
        bool, typer.Option("--force", help="Write into the folder though it has content.")
    ] = False,
) -> None:
    """Compare no sampler, plain copies and NNG-Mix, for two detectors, on three built-in sets.

    A tenth of the training anomalies carry a label. Prints a table and writes a page of pictures.
    """
    _check(output, n_jobs, force)
    outcomes = _run(seeds, n_jobs)
    summary = _summarise(outcomes)
    _print(summary, seeds)
    typer.echo("drawing the pictures ...", err=True)
    page = _write(output, outcomes, summary, seeds)
    typer.echo(f"pictures and numbers: {page}")


def _check(output: Path, n_jobs: int, force: bool) -> None:
    """Find out what would fail, before minutes are spent."""
    if n_jobs == 0:
        raise UsageError("--n-jobs must be a number of processes, or -1 for one a core; got 0.")
    missing = []
    for module in ("catboost", "jinja2", "matplotlib"):
        try:
            __import__(module)
        except ImportError:
            missing.append(module)
    if missing:
        raise ImportError(
            f"the demonstration needs {', '.join(missing)}: pip install 'nngmix[boost,plot]'"
        )
    if output.exists() and not output.is_dir():
        raise UsageError(f"--output {str(output)!r} is not a folder.")
    if output.is_dir() and any(output.iterdir()) and not force:
        raise UsageError(f"--output {str(output)!r} has content already; --force writes into it.")
    try:
        output.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UsageError(f"--output {str(output)!r} cannot be made: {error.strerror}.") from None
    from nngmix.cli.files import check_writable

    check_writable(output, f"--output {str(output)!r}")


def _run(seeds: int, n_jobs: int) -> list["Outcome"]:
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeRemainingColumn,
    )

    from nngmix.datasets import BUILTIN_NAMES
    from nngmix.experiments import Cell, Failure, run_cells

    cells = [
        Cell(dataset, sampler, detector, _MULTIPLIER, _LABEL_RATIO, protocol=_PROTOCOL, seed=seed)
        # The slow detector first: the last cells to finish are then short ones.
        for detector, dataset, sampler, seed in product(
            reversed(_DETECTORS), BUILTIN_NAMES, _SAMPLERS, range(seeds)
        )
    ]
    columns = (TextColumn("training"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    outcomes = []
    with Progress(*columns, console=Console(stderr=True)) as progress:
        bar = progress.add_task("training", total=len(cells))
        for outcome in run_cells(cells, n_jobs=n_jobs):
            if isinstance(outcome, Failure):
                raise RuntimeError(f"{outcome.cell}: {outcome.reason}")
            outcomes.append(outcome)
            progress.advance(bar)
    return sorted(outcomes, key=lambda outcome: cells.index(outcome.cell))


def _summarise(outcomes: list["Outcome"]) -> dict[str, dict[tuple[str, str], dict[str, Any]]]:
    """Mean and standard deviation over seeds: {set: {(detector, sampler): numbers}}."""
    import numpy as np

    from nngmix.datasets import BUILTIN_NAMES

    by_seed: dict[Any, list[tuple[float, float]]] = defaultdict(list)
    for o in outcomes:
        by_seed[o.cell.dataset, o.cell.detector, o.cell.sampler].append((o.aucroc, o.aucpr))
    summary: dict[str, dict[tuple[str, str], dict[str, Any]]] = {}
    for dataset in (*BUILTIN_NAMES, "mean of sets"):
        summary[dataset] = {}
        for pair in product(_DETECTORS, _SAMPLERS):
            if dataset in BUILTIN_NAMES:
                values = np.array(by_seed[(dataset, *pair)])
            else:
                # Average over sets first, so that the spread is that of the mean between seeds.
                values = np.mean([by_seed[(name, *pair)] for name in BUILTIN_NAMES], axis=0)
            spread = values.std(axis=0, ddof=1) if len(values) > 1 else np.full(2, np.nan)
            summary[dataset][pair] = {
                "aucroc": values[:, 0].mean(),
                "aucroc_sd": spread[0],
                "aucpr": values[:, 1].mean(),
                "aucpr_sd": spread[1],
            }
    return summary


def _cell_text(numbers: dict[str, Any], metric: str) -> str:
    spread = numbers[f"{metric}_sd"]
    return f"{numbers[metric]:.3f}" + ("" if spread != spread else f" ± {spread:.3f}")


def _print(summary: dict[str, Any], seeds: int) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table(
        title=f"A tenth of the anomalies labelled; mean ± standard deviation over {seeds} seed"
        f"{'s' if seeds > 1 else ''}",
        caption="Duplicate copies the labelled anomalies: what NNGMix adds beyond it is the worth "
        "of its generated rows.",
    )
    for heading in ("set", "detector", "sampler"):
        table.add_column(heading)
    for heading in ("AUCROC", "AUCPR"):
        table.add_column(heading, justify="right")
    for dataset, rows in summary.items():
        for i, ((detector, sampler), numbers) in enumerate(rows.items()):
            table.add_row(
                dataset if i == 0 else "",
                detector if sampler == _SAMPLERS[0] else "",
                f"{sampler} {_MULTIPLIER}x" if sampler != "none" else "none",
                _cell_text(numbers, "aucroc"),
                _cell_text(numbers, "aucpr"),
                end_section=i == len(rows) - 1,
            )
    Console().print(table)


def _write(output: Path, outcomes: list["Outcome"], summary: dict[str, Any], seeds: int) -> Path:
    import jinja2

    from nngmix import __version__
    from nngmix.cli.files import replacing
    from nngmix.datasets import BUILTIN_NAMES, load_builtin

    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("nngmix.cli"), autoescape=True, undefined=jinja2.StrictUndefined
    )
    pictures = []
    for name in BUILTIN_NAMES:
        figure, told = _picture(name)
        with replacing(output / f"{name}.png") as beside:
            figure.savefig(beside)
        pictures.append((name, told, load_builtin(name).DESCR))
    text = io.StringIO()
    rows = csv.writer(text, lineterminator="\n")
    rows.writerow(["dataset", "detector", "sampler", "seed", "aucroc", "aucpr", "seconds"])
    for o in outcomes:
        rows.writerow(
            [
                o.cell.dataset,
                o.cell.detector,
                o.cell.sampler,
                o.cell.seed,
                o.aucroc,
                o.aucpr,
                f"{o.seconds:.3f}",
            ]
        )
    with replacing(output / "results.csv") as beside:
        beside.write_text(text.getvalue(), encoding="utf-8", newline="\n")
    page = environment.get_template("demo.html.jinja").render(
        version=__version__,
        seeds=seeds,
        summary=summary,
        pictures=pictures,
        samplers=_SAMPLERS,
        detectors=_DETECTORS,
        multiplier=_MULTIPLIER,
        cell_text=_cell_text,
    )
    with replacing(output / "index.html") as beside:
        beside.write_text(page, encoding="utf-8")
    return output / "index.html"


def _picture(name: str) -> tuple[Any, str]:
    from nngmix.datasets import load_builtin, make_split
    from nngmix.plotting import plot_pseudo_anomalies
    from nngmix.sampling import NNGMix

    data = load_builtin(name)
    split = make_split(data.data, data.target, label_ratio=_LABEL_RATIO, seed=0, protocol=_PROTOCOL)
    X, y = split.X_train, split.y_train
    sampler = NNGMix(multiplier=_MULTIPLIER, scaling=None, random_state=0).fit(X, y)
    pseudo = sampler.sample(sampler.sampling_strategy_[1])
    told = (
        f"{int((y == 0).sum()):,} unlabelled rows, {int(split.hidden.sum()):,} of them hidden "
        f"anomalies; {int(y.sum()):,} labelled anomalies; {len(pseudo):,} pseudo-anomalies (seed 0)"
    )
    figure = plot_pseudo_anomalies(
        X[y == 0], X[y == 1], pseudo, hidden=split.hidden[y == 0], name="NNG-Mix", title=name
    )
    return figure, told
