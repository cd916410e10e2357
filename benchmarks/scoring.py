"""Memory and speed of ``nngmix score`` on a large Parquet file, for every detector.

Usage: python benchmarks/scoring.py [--rows 1000000] [--detectors MLP CatBoost] [--csv]

Writes a file of so many rows of 32 float64 columns to a temporary folder, trains each detector
that is installed on 5000 of its kind by ``nngmix train`` (networks for two epochs: how well they
are trained makes no difference to how fast they score), scores the file by ``nngmix score``, and
prints a table. Memory is the largest resident size of the whole command, Python and libraries
included; rows a second are those of the whole command too, its start included.
"""

import argparse
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq

from nngmix.cli.options import settings_of
from nngmix.detectors import DETECTORS

COMMAND = (sys.executable, "-c", "from nngmix.cli import main; main()")
N_TRAIN, N_ANOMALIES, N_FEATURES, PIECE = 5000, 50, 32, 100_000


def make(n: int, seed: int) -> pa.Table:
    rows = np.random.default_rng(seed).normal(size=(n, N_FEATURES))
    return pa.table({f"c{i}": rows[:, i] for i in range(N_FEATURES)})


def write(folder: Path, n_rows: int, csv: bool) -> Path:
    labels = pa.array((np.arange(N_TRAIN) < N_ANOMALIES).astype(int))
    pq.write_table(make(N_TRAIN, 0).append_column("y", labels), folder / "train.parquet")
    path = folder / ("data.csv" if csv else "data.parquet")
    schema = make(1, 0).schema
    with (pa_csv.CSVWriter if csv else pq.ParquetWriter)(path, schema) as writer:
        for seed, start in enumerate(range(0, n_rows, PIECE), 1):
            writer.write_table(make(min(PIECE, n_rows - start), seed))
    return path


def run(*args: object) -> tuple[float, float]:
    """Run the command; return seconds and MB."""
    start = time.perf_counter()
    process = subprocess.Popen([*COMMAND, *map(str, args)], stdout=subprocess.DEVNULL)
    _, status, used = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        sys.exit(f"nngmix {' '.join(map(str, args))} failed")
    return time.perf_counter() - start, used.ru_maxrss / 1024


def main(n_rows: int, names: list[str], csv: bool) -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        data = write(folder, n_rows, csv)
        print(f"{n_rows:,} x {N_FEATURES} rows, {data.stat().st_size / 1e6:,.0f} MB on disk\n")
        print("| detector | peak memory | rows a second | whole command |")
        print("|---|---|---|---|", flush=True)
        for name in names:
            try:
                DETECTORS[name]()._require()
            except ImportError as error:
                print(f"| {name} | {error} | | |")
                continue
            model = folder / name
            known = settings_of(DETECTORS[name])
            few = [key for key in ("epochs", "pretrain_epochs") if key in known]
            settings = [arg for key in few for arg in ("--set", f"{key}=2")]
            run("train", folder / "train.parquet", "--label", "y", "--detector", name,
                "--output", model, *settings)  # fmt: skip
            seconds, peak = run("score", model, data, "--output", folder / f"{name}.parquet")
            print(
                f"| {name} | {peak:,.0f} MB | {n_rows / seconds:,.0f} | {seconds:.1f} s |",
                flush=True,
            )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--detectors", nargs="+", choices=DETECTORS, default=list(DETECTORS))
    parser.add_argument("--csv", action="store_true", help="a CSV file instead of Parquet")
    asked = parser.parse_args()
    main(asked.rows, asked.detectors, asked.csv)
