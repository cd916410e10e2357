"""The command line's root: it only knows the commands, which load what they need when called."""

from typing import Annotated

import typer

from nngmix.cli.augment import augment
from nngmix.cli.demo import demo

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


def main() -> None:
    """Run the command line; the exit code is 0, 1 (failure), 2 (misuse) or 130 (interrupted)."""
    app()
