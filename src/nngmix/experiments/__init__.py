"""Experiments: one cell is a value, a grid is a list of cells, running is a pure function."""

from nngmix.experiments.cells import Cell, Outcome, run_cell
from nngmix.experiments.grid import Tally, run_cells, run_grid
from nngmix.experiments.store import Results, Store, read_results, write_parquet
from nngmix.experiments.worker import Failure

__all__ = [
    "Cell",
    "Failure",
    "Outcome",
    "Results",
    "Store",
    "Tally",
    "read_results",
    "run_cell",
    "run_cells",
    "run_grid",
    "write_parquet",
]
