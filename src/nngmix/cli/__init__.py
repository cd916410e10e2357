"""The command ``nngmix``: one file a command, one error line instead of a traceback."""

from nngmix.cli.app import main

__all__ = ["main"]
