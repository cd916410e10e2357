"""Cells a second of a grid with one process and with two, and what a cell costs beside itself.

Usage: python benchmarks/grid.py [--cells 120] [--rounds 5] [--folder DIR]

Three grids on built-in data, each with a store of its own: cells that take some tenths of a second
(an MLP on breast_cancer), cells that take some hundredths (five passes on wine), and cells that
fail at once, which leaves the cost of handing out, claiming and recording. Runs with one and with
two processes take turns; the table has the medians. The time is from the first finished cell to
the last, so that the start of Python, which a grid pays once, is left out; the last column is the
whole run with two processes, start included. The store's folder is the temporary one unless told
otherwise: how long a disk takes to sync matters there.
"""

import argparse
import statistics
import tempfile
import time
from pathlib import Path

from nngmix.experiments import Cell, Store, run_grid

SAMPLERS = ("none", "NNGMix", "GaussianNoise", "Mixup")


def make(kind: str, n: int) -> list[Cell]:
    dataset, detector, settings = {
        "tenths of a second": ("breast_cancer", "MLP", {}),
        "hundredths": ("wine", "MLP", {"max_iter": 5}),
        "nothing": ("wine", "no such detector", {}),
    }[kind]
    return [
        Cell(
            dataset,
            SAMPLERS[i % len(SAMPLERS)],
            detector,
            seed=i // len(SAMPLERS),
            detector_settings=settings,
        )
        for i in range(n)
    ]


def run(cells: list[Cell], n_jobs: int, folder: str | None) -> tuple[float, float]:
    """Run a grid; return cells a second and the seconds of the whole run."""
    finished: list[float] = []
    start = time.perf_counter()
    with (
        tempfile.TemporaryDirectory(dir=folder) as name,
        Store(Path(name, "cells.sqlite")) as store,
    ):
        run_grid(
            cells,
            store,
            n_jobs=n_jobs,
            progress=lambda *_: finished.append(time.perf_counter()),
        )
    # The first call is the one before any cell. With two processes the first two cells end at
    # about the same time, so that as many begin after the first end as are counted.
    first, last = finished[n_jobs], finished[-1]
    return (len(cells) - n_jobs) / (last - first), time.perf_counter() - start


def main(n: int, rounds: int, folder: str | None) -> None:
    print("| cells of | 1 process | 2 processes | ratio | ms a cell beside itself | whole run |")
    print("|---|---|---|---|---|---|", flush=True)
    for kind, n_cells in (("tenths of a second", n), ("hundredths", 4 * n), ("nothing", 8 * n)):
        cells = make(kind, n_cells)
        rates: dict[int, list[float]] = {1: [], 2: []}
        wholes: list[float] = []
        for _ in range(rounds):
            for n_jobs in (1, 2):
                rate, whole = run(cells, n_jobs, folder)
                rates[n_jobs].append(rate)
            wholes.append(whole)
        one, two = (statistics.median(rates[n_jobs]) for n_jobs in (1, 2))
        ratio = statistics.median(b / a for a, b in zip(rates[1], rates[2], strict=True))
        beside = f"{1000 / one:.1f}" if kind == "nothing" else ""
        print(
            f"| {kind} | {one:.1f} cells/s | {two:.1f} cells/s | {ratio:.2f} | {beside} | "
            f"{statistics.median(wholes):.1f} s |",
            flush=True,
        )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--cells", type=int, default=120, help="in the first grid")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--folder", help="where the stores are made")
    asked = parser.parse_args()
    main(asked.cells, asked.rounds, asked.folder)
