"""The command line's root: it only knows the commands, which load what they need when called."""

import atexit
import contextlib
import os
import signal
import sys
from typing import Annotated, Any

import typer

from nngmix.cli.augment import augment
from nngmix.cli.compare import compare
from nngmix.cli.datasets import datasets
from nngmix.cli.demo import demo
from nngmix.cli.report import report
from nngmix.cli.reproduce import reproduce
from nngmix.cli.score import score
from nngmix.cli.train import train

app = typer.Typer(
    name="nngmix",
    help="A handful of labelled anomalies plus a sea of unlabelled rows: a better detector.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _version(asked: bool) -> None:
    if asked:
        from nngmix import __version__

        typer.echo(f"nngmix {__version__}")
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version.")
    ] = False,
) -> None:
    pass


app.command()(demo)
app.command()(augment)
app.command()(train)
app.command()(score)
app.command()(compare)
app.add_typer(datasets)
app.command()(reproduce)
app.command()(report)


def _stop(number: int, frame: Any) -> None:
    sys.exit(128 + number)


def main() -> None:
    """Run the command line; the exit code is 0, 1 (failure), 2 (misuse) or 130 (interrupted)."""
    # Ended by a scheduler, or by a closed terminal, a command cleans up as it does on Ctrl-C.
    for name in ("SIGTERM", "SIGHUP"):
        number = getattr(signal, name, None)
        # nohup ignores SIGHUP, and shall have its way.
        if number is not None and signal.getsignal(number) == signal.SIG_DFL:
            signal.signal(number, _stop)
    try:
        app(prog_name="nngmix")
    except SystemExit as ended:
        if not isinstance(ended.code, int) or ended.code == 0:
            raise
        # What ended early has cleaned up, but libraries may have threads at work still. One that
        # wants the interpreter while that ends would take the process down (SIGABRT): leave first.
        atexit._run_exitfuncs()
        for stream in (sys.stdout, sys.stderr):
            with contextlib.suppress(OSError, ValueError):  # nobody reads it any more
                stream.flush()
        os._exit(ended.code)
