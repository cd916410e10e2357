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
        except KeyboardInterrupt:
            code, line = INTERRUPTED, "interrupted; unfinished output was removed."
        except (UsageError, ValueError) as error:
            # The library's ValueErrors are about what the user gave: parameters, columns, labels.
            code, line = MISUSE, str(error)
        except ImportError as error:
            code, line = FAILURE, str(error)
        except OSError as error:
            where = f"{error.filename}: " if error.filename else ""
            code, line = FAILURE, f"{where}{error.strerror or error}"
        except MemoryError:
            code, line = FAILURE, "out of memory."
        except Exception as error:
            code = FAILURE
            line = f"unexpected {type(error).__name__}: {error} (NNGMIX_DEBUG=1 shows where)"
        if os.environ.get("NNGMIX_DEBUG"):
            raise
        print(f"nngmix: {' '.join(line.split())}", file=sys.stderr)
        raise typer.Exit(code)

    return wrapped
