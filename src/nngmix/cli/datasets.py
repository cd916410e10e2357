"""``nngmix datasets``: what ADBench has, getting it, and checking what is there."""

import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from nngmix.cli.errors import FAILURE, INTERRUPTED, UsageError, one_line_errors

datasets = typer.Typer(
    name="datasets",
    help="ADBench's 57 datasets: list, fetch, verify, import.",
    no_args_is_help=True,
    rich_markup_mode=None,
)

_NAMES = (
    "Files (45_wine, CV_by_ViT/CIFAR10_0), datasets (wine, CIFAR10), suites (Classical), or all."
)

Home = Annotated[
    Path | None,
    typer.Option(
        "--data",
        metavar="DIR",
        help="Folder of the suites' folders. Default: NNGMIX_DATA, else the user's cache.",
    ),
]
Names = Annotated[list[str] | None, typer.Argument(metavar="NAMES", help=_NAMES)]


@datasets.command("list")
@one_line_errors
def list_(names: Names = None, data: Home = None) -> None:
    """Show the files of ADBench, and which of them are there.

    Rows, columns and anomalies are blank where they are not known.
    """
    from nngmix.datasets import find_data_home, list_adbench

    home = find_data_home(data)
    files = list_adbench(names or "all")
    there = [(home / file.path).is_file() for file in files]
    lines: list[Sequence[object]] = [
        (
            file.name,
            file.suite,
            file.domain,
            *map(_number, (file.n_rows, file.n_features, file.n_anomalies)),
            "yes" if is_there else "no",
        )
        for file, is_there in zip(files, there, strict=True)
    ]
    _print_table(("name", "suite", "domain", "rows", "columns", "anomalies", "there"), lines)
    n_datasets = len({file.dataset for file in files})
    typer.echo(
        f"\n{_count(n_datasets, 'dataset')} in {_count(len(files), 'file')}, "
        f"{sum(there)} of them in {home}"
    )


@datasets.command()
@one_line_errors
def fetch(
    names: Annotated[list[str], typer.Argument(metavar="NAMES", help=_NAMES)],
    data: Home = None,
    url: Annotated[
        str | None,
        typer.Option(
            metavar="URL",
            help="Where the suites' folders are served. Default: NNGMIX_ADBENCH_URL, else "
            "ADBench's public repository.",
        ),
    ] = None,
    timeout: Annotated[
        float, typer.Option(help="Seconds to wait for a server that says nothing.")
    ] = 30.0,
    retries: Annotated[
        int, typer.Option(help="Attempts after one that failed, with growing pauses.")
    ] = 4,
) -> None:
    """Download files that are not there yet, and verify them.

    A file takes its place only when its hash is ADBench's. After an interruption,
    asking again goes on where it stopped.
    """
    from nngmix.datasets import fetch_adbench, find_data_home

    try:
        paths = fetch_adbench(
            names,
            data_home=data,
            base_url=url,
            timeout=timeout,
            retries=retries,
            verbose=sys.stderr.isatty(),
        )
    except KeyboardInterrupt:
        print("nngmix: interrupted; the next fetch goes on from here.", file=sys.stderr)
        raise typer.Exit(INTERRUPTED) from None
    typer.echo(f"{_count(len(paths), 'file')}, verified, in {find_data_home(data)}")


@datasets.command()
@one_line_errors
def verify(names: Names = None, data: Home = None) -> None:
    """Compare the files that are there with ADBench's hashes.

    The exit code is 1 if one of them is another than ADBench's.
    """
    from nngmix.datasets import find_data_home, verify_adbench

    states = verify_adbench(names or "all", data_home=data)
    counts = Counter(states.values())
    # All that ADBench has is a long list of what is missing: that is told when it is asked for.
    shown = {name: state for name, state in states.items() if names or state != "missing"}
    _print_table(("file", "state"), list(shown.items()))
    typer.echo(
        f"\n{counts['ok']} ok, {counts['wrong']} wrong, {counts['missing']} missing in "
        f"{find_data_home(data)}"
    )
    if counts["wrong"]:
        wrong = [name for name, state in states.items() if state == "wrong"]
        print(
            f"nngmix: not as ADBench has them: {', '.join(wrong)}; "
            "`nngmix datasets fetch` replaces them.",
            file=sys.stderr,
        )
        raise typer.Exit(FAILURE)


@datasets.command("import")
@one_line_errors
def import_(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="Where they are, at any depth.")],
    data: Home = None,
) -> None:
    """Take over files that you already have.

    They are known by their hash, so that their folders and names do not matter, and copied.
    The exit code is 1 if a file with a name of ADBench's is another, or none is ADBench's.
    """
    from nngmix.datasets import find_data_home, import_adbench

    if not folder.is_dir():
        raise UsageError(
            f"DIR: {str(folder)!r} is {'no folder' if folder.exists() else 'missing'}."
        )
    states = import_adbench(folder, data_home=data)
    counts = Counter(states.values())
    typer.echo(
        f"{_count(counts['copied'], 'file')} copied to {find_data_home(data)}, {counts['there']} "
        f"there already, {counts['wrong']} wrong, {counts['unknown']} not ADBench's"
    )
    wrong = [str(path) for path, state in states.items() if state == "wrong"]
    problem = ""
    if wrong:
        problem = f"not as ADBench has them, left out: {', '.join(wrong)}"
    elif not counts["copied"] + counts["there"]:
        problem = f"no .npz file of ADBench in {str(folder)!r}"
    if problem:
        print(f"nngmix: {problem}", file=sys.stderr)
        raise typer.Exit(FAILURE)


def _number(value: int | None) -> str:
    return "" if value is None else f"{value:,}"


def _count(n: int, what: str) -> str:
    return f"{n} {what}{'' if n == 1 else 's'}"


def _print_table(head: Sequence[str], lines: Sequence[Sequence[object]]) -> None:
    """Print plain columns: they can be read, piped and cut."""
    cells = [list(map(str, line)) for line in (head, *lines)]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    numeric = {"rows", "columns", "anomalies"}
    for line in cells:
        sides = zip(head, line, widths, strict=True)
        text = (f"{cell:{'>' if name in numeric else '<'}{w}}" for name, cell, w in sides)
        typer.echo("  ".join(text).rstrip())
