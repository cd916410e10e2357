"""Tables to try things on, and the split that turns a table into an experiment."""

from nngmix.datasets.adbench import load_adbench
from nngmix.datasets.builtin import BUILTIN_NAMES, load_builtin
from nngmix.datasets.catalogue import AdbenchFile, find_data_home, list_adbench
from nngmix.datasets.fetch import fetch_adbench, import_adbench, verify_adbench
from nngmix.datasets.split import Split, make_split

__all__ = [
    "BUILTIN_NAMES",
    "AdbenchFile",
    "Split",
    "fetch_adbench",
    "find_data_home",
    "import_adbench",
    "list_adbench",
    "load_adbench",
    "load_builtin",
    "make_split",
    "verify_adbench",
]
