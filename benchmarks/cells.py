"""The search of cells beside scikit-learn's exact one: how much faster, and how much is lost.

Usage: python benchmarks/cells.py [--rows 50000] [--seen 2000] [--repeats 3]

Rows are twenty Gaussian clusters, each with covariances of its own, and some evenly spread ones
among the queries, as anomalies are. Both searches take 30 neighbours, on all cores, in turns;
medians of the repeats. "Farther" is by how much the 5th, 10th and 30th of what the cells show are
farther away than the true ones, on the mean.
"""

import argparse
import statistics
import time

import numpy as np
from joblib import cpu_count
from sklearn.neighbors import NearestNeighbors

from nngmix.neighbors.cells import CellSearch

N_QUERIES, K = 20_000, 30


def make(n_rows: int, n_columns: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    n = n_rows + N_QUERIES
    rows, cluster = rng.normal(size=(n, n_columns)), rng.integers(20, size=n)
    for number in range(20):
        mine = cluster == number
        rows[mine] = rows[mine] @ rng.normal(size=(n_columns, n_columns)) / np.sqrt(n_columns)
        rows[mine] += rng.normal(0, 3, n_columns)
    rows[n_rows : n_rows + N_QUERIES // 20] = rng.uniform(-8, 8, (N_QUERIES // 20, n_columns))
    return rows[:n_rows], rows[n_rows:]


def main(n_rows: int, n_seen: int, repeats: int) -> None:
    print(f"{n_rows:,} rows, {N_QUERIES:,} queries, {n_seen:,} rows seen by each\n")
    print("| columns | sorting | cells | exact | exact / cells | farther: 5th, 10th, 30th |")
    print("|--:|--:|--:|--:|--:|--:|")
    for n_columns in (6, 10, 30, 100):
        rows, queries = make(n_rows, n_columns)
        exact = NearestNeighbors(n_neighbors=K, algorithm="brute", n_jobs=-1).fit(rows)
        sorting, cells, whole = [], [], []
        for _ in range(repeats):
            start = time.perf_counter()
            search = CellSearch(rows, n_seen, n_jobs=cpu_count())
            sorting.append(time.perf_counter() - start)
            found = search.nearest(queries, K)
            cells.append(time.perf_counter() - start - sorting[-1])
            start = time.perf_counter()
            true, _ = exact.kneighbors(queries)
            whole.append(time.perf_counter() - start)
        away = np.stack(
            [np.linalg.norm(rows[some] - query, axis=1)
             for some, query in zip(found, queries, strict=True)]
        )  # fmt: skip
        farther = (np.sort(away, axis=1) / true - 1).mean(axis=0)[[4, 9, 29]]
        ours, theirs = statistics.median(cells), statistics.median(whole)
        print(
            f"| {n_columns} | {statistics.median(sorting):.2f} s | {ours:.2f} s | {theirs:.2f} s "
            f"| {theirs / ours:.1f} | {', '.join(f'{part:.2%}' for part in farther)} |",
            flush=True,
        )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=50_000)
    parser.add_argument("--seen", type=int, default=2000)
    parser.add_argument("--repeats", type=int, default=3)
    given = parser.parse_args()
    main(given.rows, given.seen, given.repeats)
