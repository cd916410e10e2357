"""Experiments: one cell is a value, a grid is a list of cells, running is a pure function."""

from nngmix.experiments.cells import Cell, Outcome, run_cell, run_cells

__all__ = ["Cell", "Outcome", "run_cell", "run_cells"]
