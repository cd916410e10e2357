"""Errors as people want to read them: one line, and an exit code that scripts can act on."""

import functools
import os
import sys
from collections.abc import Callable
from typing import ParamSpec, TypeVar

import typer

P = ParamSpec("P")
R = TypeVar("R")

#: Exit codes.
FAILURE, MISUSE, INTERRUPTED = 1, 2, 130


class UsageError(Exception):
    """The command was asked for something that it can't do; nothing was written."""


def one_line_errors(command: Callable[P, R]) -> Callable[P, R]:
    """Turn what a command raises into one line on standard error and an exit code.

    ``NNGMIX_DEBUG=1`` in the environment shows the traceback instead.

    Parameters
    ----------
    command : callable
        A command's function.

    Returns
    -------
    callable
        The same function, which raises ``typer.Exit`` with code 2 for misuse (bad options, bad
        data), 1 for failure, 130 when interrupted.
    """

    @functools.wraps(command)
    def wrapped(*args: P.args, **kwargs: P.kwargs) -> R:
        try:
            return command(*args, **kwargs)
        except (typer.Exit, typer.Abort):
            raise
        except (Exception, KeyboardInterrupt) as error:
            if os.environ.get("NNGMIX_DEBUG"):
                raise
            code, line = _explain(error)
        print(f"nngmix: {' '.join(line.split())}", file=sys.stderr)
        raise typer.Exit(code)

    return wrapped


def _explain(error: BaseException) -> tuple[int, str]:
    if isinstance(error, KeyboardInterrupt):
        return INTERRUPTED, "interrupted; unfinished output was removed."
    # The library's ValueErrors are about what the user gave: parameters, columns, labels.
    if isinstance(error, (UsageError, ValueError)):
        return MISUSE, str(error)
    if isinstance(error, ImportError):
        return FAILURE, str(error)
    if isinstance(error, OSError):
        where = f"{error.filename}: " if error.filename else ""
        return FAILURE, f"{where}{error.strerror or error}"
    if isinstance(error, MemoryError):
        return FAILURE, f"out of memory. {error}"
    return FAILURE, f"unexpected {type(error).__name__}: {error} (NNGMIX_DEBUG=1 shows where)"
