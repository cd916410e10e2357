"""NNG-Mix beside a row-by-row version and imbalanced-learn's SMOTE: time, one run, same rows out.

Usage: python benchmarks/nng_mix.py [--repeats 5]

The row-by-row version is the published program's manner: for every generated row a KD-tree query,
two noise draws and a ``vstack``. At these sizes it takes minutes, so a few rows are timed and the
rest is reckoned at the same pace (its true cost is higher still: ``vstack`` grows with the rows).
SMOTE looks for neighbours among the labelled anomalies alone; NNG-Mix also searches all unlabelled
rows. The times are medians; what to trust is the ratios.
"""

import argparse
import statistics
import time
from collections.abc import Callable

import numpy as np
from imblearn.over_sampling import SMOTE
from scipy.spatial import KDTree

from nngmix import NNGMix

N_ROWS, N_FEATURES, MULTIPLIER, K, SIGMA, ALPHA = 100_000, 64, 10, 10, 0.01, 0.2
NAIVE_ROWS = 100


def make(n_anomalies: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    X = rng.normal(size=(N_ROWS, N_FEATURES))
    X[:n_anomalies] += rng.normal(1, 1, size=(n_anomalies, N_FEATURES))
    return (X - X.min(axis=0)) / np.ptp(X, axis=0), (np.arange(N_ROWS) < n_anomalies).astype(int)


def naive(X: np.ndarray, y: np.ndarray, n: int) -> np.ndarray:
    """Row by row; returns the generated rows."""
    rng = np.random.default_rng(0)
    anomalies, unlabelled = X[y == 1], X[y == 0]
    tree, own_tree = KDTree(unlabelled), KDTree(anomalies)
    out = np.empty((0, X.shape[1]))
    for _ in range(n):
        i = rng.integers(len(anomalies))
        if rng.random() > 0.5:
            _, near = tree.query(anomalies[i], k=K)
            partner = unlabelled[rng.choice(near)]
        else:
            _, near = own_tree.query(anomalies[i], k=K)
            j = i
            while j == i:
                j = rng.choice(near)
            partner = anomalies[j]
        weight = rng.beta(ALPHA, ALPHA)
        first = anomalies[i] + rng.normal(0, SIGMA, X.shape[1])
        second = partner + rng.normal(0, SIGMA, X.shape[1])
        out = np.vstack([out, weight * first + (1 - weight) * second])
    return out


def median_time(call: Callable[[], object], repeats: int) -> float:
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        call()
        times.append(time.perf_counter() - start)
    return statistics.median(times)


def compare(n_anomalies: int, repeats: int) -> None:
    X, y = make(n_anomalies)
    n_new = MULTIPLIER * n_anomalies
    sampler = NNGMix(multiplier=MULTIPLIER, scaling=None, random_state=0).fit(X, y)
    smote = SMOTE(sampling_strategy={1: n_anomalies + n_new}, k_neighbors=K, random_state=0)
    fit = median_time(lambda: sampler.fit(X, y), repeats)
    sample = median_time(lambda: sampler.sample(n_new), repeats)
    both = median_time(lambda: sampler.fit_resample(X, y), repeats)
    peer = median_time(lambda: smote.fit_resample(X, y), repeats)
    trees = median_time(lambda: naive(X, y, 0), repeats)
    some = median_time(lambda: naive(X, y, NAIVE_ROWS), repeats)
    slow = trees + (some - trees) * n_new / NAIVE_ROWS
    print(
        f"\n{n_anomalies} anomalies in {N_ROWS} x {N_FEATURES}, {n_new} rows out, "
        f"medians of {repeats}"
    )
    print(f"  NNGMix fit           {fit:10.4f} s")
    print(f"  NNGMix sample        {sample:10.4f} s")
    print(f"  NNGMix fit_resample  {both:10.4f} s")
    print(f"  SMOTE fit_resample   {peer:10.4f} s   {peer / both:7.2f} x NNGMix's time")
    print(
        f"  row by row           {slow:10.1f} s   {slow / both:7.0f} x NNGMix's time"
        f" (from {NAIVE_ROWS} rows)"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeats", type=int, default=5)
    repeats = parser.parse_args().repeats
    for n_anomalies in (100, 1000):
        compare(n_anomalies, repeats)


if __name__ == "__main__":
    main()
