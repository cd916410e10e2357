"""The bar that ``verbose=True`` shows while a detector trains."""

import contextlib
from collections.abc import Iterator
from typing import Protocol


class Advance(Protocol):
    """Report one step more, and perhaps a figure to show beside the bar."""

    def __call__(self, figure: str = "") -> None:
        """Move the bar by one step."""


@contextlib.contextmanager
def progress(what: str, total: int, shown: bool) -> Iterator[Advance]:
    """Show a bar on standard error while the block runs.

    Parameters
    ----------
    what : str
        In front of the bar.
    total : int
        Steps to come.
    shown : bool
        Whether there is a bar at all.

    Yields
    ------
    callable
        ``advance(figure="")`` reports one step more, and perhaps a figure to show beside the bar.

    Examples
    --------
    >>> with progress("MLP", 3, shown=False) as advance:
    ...     for _ in range(3):
    ...         advance("loss 0.1")
    """
    if not shown:
        yield lambda figure="": None
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn
    from rich.progress import TimeElapsedColumn as Elapsed
    from rich.progress import TimeRemainingColumn as Remaining

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        Elapsed(),
        Remaining(),
        TextColumn("{task.fields[figure]}"),
    )
    with Progress(*columns, console=Console(stderr=True)) as bar:
        task = bar.add_task(what, total=total, figure="")

        def advance(figure: str = "") -> None:
            bar.update(task, advance=1, figure=figure)

        yield advance
