"""``nngmix report``: a store of cells as a page, tables and pictures."""

from pathlib import Path
from typing import Annotated

import typer

from nngmix.cli.errors import UsageError, one_line_errors
from nngmix.cli.options import print_lines
from nngmix.cli.reproduce import OUTPUT, STORE


@one_line_errors
def report(
    store: Annotated[
        Path,
        typer.Argument(help="A store of `nngmix reproduce`, or a Parquet file made from one."),
    ] = OUTPUT / STORE,
    output: Annotated[Path, typer.Option(metavar="DIR", help="Folder to write to.")] = OUTPUT,
    data: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR",
            help="Folder of ADBench's suites, to tell a missing file from a cell not run, and "
            "for Fig. 6.",
        ),
    ] = None,
    leak_free: Annotated[
        bool, typer.Option("--leak-free", help="Show the cells that were run so.")
    ] = False,
) -> None:
    """Write what was run as a page, and each table and picture as files.

    report.html holds everything and loads nothing from elsewhere. Beside it lie tables/ (CSV,
    Markdown, LaTeX), figures/ and cells.parquet. A store may be in use meanwhile. What goes beyond
    the paper is there where our own detectors were run: nngmix reproduce beyond.
    """
    from nngmix.experiments import read_results
    from nngmix.experiments.paper import TARGETS
    from nngmix.experiments.report import write_report

    if not store.is_file():
        raise UsageError(
            f"there is no store {str(store)!r}: `nngmix reproduce` makes one, or name another."
        )
    results = read_results(store)
    try:
        output.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UsageError(f"--output {str(output)!r} cannot be made: {error.strerror}.") from None
    page = write_report(
        results,
        output,
        targets=TARGETS,
        data_home=None if data is None else str(data),
        protocol="leak-free" if leak_free else "adbench",
    )
    print_lines([("report", str(page)), ("cells", f"{len(results.outcomes):,} with a number")])
