"""Who should find the neighbours: a KD-tree or the product; scikit-learn's choice beside them.

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


def forced(tree: bool, A: np.ndarray, H: np.ndarray) -> Callable[[], object]:
    def call() -> object:
        with mock.patch.object(exact, "_tree_is_faster", return_value=tree):
            return k_nearest(A, H, 10, n_jobs=cpu_count())

    return call


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeats", type=int, default=3)
    repeats = parser.parse_args().repeats
    rng = np.random.default_rng(0)
    print(f"{'columns':>8}{'rows':>9}{'queries':>9}{'tree s':>10}{'product s':>11}", end="")
    print(f"{'sklearn s':>11}   chosen, its time as a share of the better's, of scikit-learn's")
    for n_features in (2, 4, 6, 8, 12, 32):
        for n_rows in (2_000, 20_000, 200_000, 1_000_000):
            for n_queries in (10, 100, 1000, 10_000, 50_000):
                if n_queries * n_rows > 2 * 10**10:
                    continue
                A, H = rng.random((n_queries, n_features)), rng.random((n_rows, n_features))
                tree = seconds(forced(True, A, H), repeats) if n_features <= 12 else np.inf
                product = seconds(forced(False, A, H), repeats)
                peer = seconds(
                    lambda A=A, H=H: (
                        NearestNeighbors(n_neighbors=10, n_jobs=-1).fit(H).kneighbors(A)
                    ),
                    1 if n_queries * n_rows > 10**9 else repeats,
                )
                chosen = exact._tree_is_faster(n_queries, n_rows, n_features)
                mine = tree if chosen else product
                print(
                    f"{n_features:>8}{n_rows:>9}{n_queries:>9}{tree:>10.4f}{product:>11.4f}"
                    f"{peer:>11.4f}   {'tree' if chosen else 'product':<8}"
                    f"{mine / min(tree, product):>6.2f}{mine / peer:>8.2f}",
                    flush=True,
                )


if __name__ == "__main__":
    main()
