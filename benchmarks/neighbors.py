"""The exact searches beside each other, and beside scikit-learn's, over shapes.

Usage: python benchmarks/neighbors.py [--repeats 3]

Evenly spread rows, the hardest for a tree; k = 10; all cores. The rule in
``nngmix.neighbors.exact`` is read off this table.
"""

import argparse
import statistics
import time
from collections.abc import Callable
from unittest import mock

import numpy as np
from joblib import cpu_count
from sklearn.neighbors import NearestNeighbors

from nngmix.neighbors import exact, k_nearest


def seconds(call: Callable[[], object], repeats: int) -> float:
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        call()
        times.append(time.perf_counter() - start)
    return statistics.median(times)


def forced(engine: str | None, A: np.ndarray, H: np.ndarray) -> Callable[[], object]:
    def call() -> object:
        with mock.patch.object(exact, "_library_engine", return_value=engine):
            return k_nearest(A, H, 10, n_jobs=cpu_count())

    return call


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeats", type=int, default=3)
    repeats = parser.parse_args().repeats
    rng = np.random.default_rng(0)
    print(f"{'columns':>8}{'rows':>9}{'queries':>9}{'tree s':>10}{'blocks s':>11}", end="")
    print(f"{'sklearn s':>11}   chosen, its time, as a share of scikit-learn's")
    for n_features in (2, 4, 8, 10, 12, 16, 32, 64):
        for n_rows in (2_000, 20_000, 200_000):
            for n_queries in (10, 60, 1000):
                A, H = rng.random((n_queries, n_features)), rng.random((n_rows, n_features))
                tree = seconds(forced("kd_tree", A, H), repeats) if n_features <= 16 else np.inf
                product = seconds(forced(None, A, H), repeats)
                peer = seconds(
                    lambda A=A, H=H: NearestNeighbors(n_neighbors=10).fit(H).kneighbors(A), repeats
                )
                chosen = exact._library_engine(n_queries, n_rows, n_features) or "blocks"
                mine = seconds(lambda A=A, H=H: k_nearest(A, H, 10, n_jobs=cpu_count()), repeats)
                print(
                    f"{n_features:>8}{n_rows:>9}{n_queries:>9}{tree:>10.4f}{product:>11.4f}"
                    f"{peer:>11.4f}   {chosen:<8}{mine:>9.4f}{mine / peer:>8.2f}",
                    flush=True,
                )


if __name__ == "__main__":
    main()
