"""Tables to try things on, and the split that turns a table into an experiment."""

from nngmix.datasets.adbench import load_adbench
from nngmix.datasets.builtin import BUILTIN_NAMES, load_builtin
from nngmix.datasets.split import Split, make_split

__all__ = ["BUILTIN_NAMES", "Split", "load_adbench", "load_builtin", "make_split"]
