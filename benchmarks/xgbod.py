"""XGBOD beside PyOD's: time to fit and to score, equality, memory, and where the time goes.

Usage: python benchmarks/xgbod.py [--rows 5000] [--columns 36] [--repeats 3] [--threads 2]
       [--scored 0]

PyOD's has its default settings, one thread among them: it hands them to XGBoost alone. Runs
alternate; medians. ``--scored 1000000`` also scores so many rows of 32 columns (memory: Linux).
"""

import argparse
import statistics
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from pyod.models import xgbod as pyod
from sklearn.datasets import make_classification
from sklearn.metrics import roc_auc_score
from threadpoolctl import threadpool_limits

from nngmix.detectors.outlier_scores import OutlierScores
from nngmix.detectors.xgbod import XGBOD


def seconds(call: Callable[[], Any]) -> float:
    start = time.perf_counter()
    call()
    return time.perf_counter() - start


def rows(n_rows: int, n_columns: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Clustered rows, 5 % of them anomalies; labels of a fifth of these; the truth."""
    rng = np.random.default_rng(0)
    X, _ = make_classification(n_rows, n_columns, n_informative=10, random_state=0)
    truth = (rng.random(n_rows) < 0.05).astype(int)
    X[truth == 1] += rng.normal(0, 1.0, (truth.sum(), n_columns))
    return X, truth * (rng.random(n_rows) < 0.2), truth


def beside_pyod(n_rows: int, n_columns: int, repeats: int, threads: int) -> None:
    X, y, truth = rows(2 * n_rows, n_columns)
    X, new, y, truth = X[:n_rows], X[n_rows:], y[:n_rows], truth[n_rows:]
    print(f"{n_rows} x {n_columns} rows to fit, as many to score, {threads} threads")

    def make() -> dict[str, Any]:
        return {
            "nngmix": XGBOD(n_jobs=threads, random_state=0),
            "PyOD": pyod.XGBOD(random_state=0),
        }

    for detector in make().values():  # compiles and loads what either loads on first use
        detector.fit(X[:200], np.arange(200) % 2).decision_function(new[:20])
    fit: dict[str, list[float]] = {"nngmix": [], "PyOD": []}
    score: dict[str, list[float]] = {"nngmix": [], "PyOD": []}
    for _ in range(repeats):
        detectors = make()
        for name, detector in detectors.items():
            fit[name].append(seconds(lambda d=detector: d.fit(X, y)))
            score[name].append(seconds(lambda d=detector: d.decision_function(new)))
    mine, theirs = detectors["nngmix"], detectors["PyOD"]
    for what, times in (("fit", fit), ("score", score)):
        a, b = statistics.median(times["nngmix"]), statistics.median(times["PyOD"])
        runs = {name: " ".join(f"{t:.2f}" for t in values) for name, values in times.items()}
        print(f"{what:<6} nngmix {a:.2f} s, PyOD {b:.2f} s: {b / a:.1f} x   {runs}")
    scores = [d.decision_function(new) for d in (mine, theirs)]
    auc = [roc_auc_score(truth, s) for s in scores]
    apart = np.abs(mine.outlier_scores_.transform(new) - theirs._generate_new_features(new))
    print(f"AUCROC nngmix {auc[0]:.6f}, PyOD {auc[1]:.6f}", end="")
    print(f"; scores differ by {np.abs(scores[0] - scores[1]).max():.1e} at most", end="")
    print(f", the 41 unsupervised ones by {apart.max():.1e}")
    where(X, y, mine)


def where(X: np.ndarray, y: np.ndarray, fitted: XGBOD) -> None:
    marks = [time.perf_counter()]
    scores = OutlierScores(n_jobs=fitted._threads(), random_state=0).fit_transform(
        X, advance=lambda: marks.append(time.perf_counter())
    )
    boosting = seconds(lambda: fitted.model_.__class__(
        max_depth=3, learning_rate=0.1, base_score=0.5, n_jobs=1
    ).fit(np.hstack([X, scores]), y))  # fmt: skip
    again = seconds(lambda: fitted.decision_function(X))
    parts = {
        "neighbours": marks[1] - marks[0],
        "histograms": marks[2] - marks[1],
        "one-class SVMs": marks[-2] - marks[2],
        "forest, and scores but neighbours": marks[-1] - marks[-2],
        "boosting": boosting,
        "scoring the training rows": again,
    }
    total = sum(parts.values())
    print("fit:  ", ", ".join(f"{name} {t / total:.0%}" for name, t in parts.items()))
    made, block = fitted.outlier_scores_, X[:512]
    standardised = made._standardised(block)
    search = made._search()
    calls: dict[str, Callable[[], Any]] = {
        "neighbours": lambda: made._neighbour_scores(*made._neighbours(search, standardised, 50)),
        "histograms": lambda: made._histogram_scores(block),
        "one-class SVMs": lambda: made._svm_scores(standardised),
        "forests": lambda: made._forest_scores(block),
    }
    with threadpool_limits(1):
        parts = {name: statistics.median(seconds(call) for _ in range(9))
                 for name, call in calls.items()}  # fmt: skip
    total = sum(parts.values())
    print("score:", ", ".join(f"{name} {t / total:.0%}" for name, t in parts.items()))


def memory(kind: str) -> float:
    """Megabytes in use, or at most in use, by Linux's account."""
    line = next(x for x in Path("/proc/self/status").read_text().splitlines() if kind in x)
    return int(line.split()[1]) / 1024


def many_rows(n_rows: int, n_scored: int, threads: int) -> None:
    X, y, _ = rows(n_rows, 32)
    detector = XGBOD(n_jobs=threads, random_state=0).fit(X, y)
    more = np.random.default_rng(1).normal(size=(n_scored, 32))
    detector.decision_function(more[:1000])
    # Linux: forget the peak of the fit.
    Path("/proc/self/clear_refs").write_text("5")
    before = memory("VmHWM")
    took = seconds(lambda: detector.decision_function(more))
    print(
        f"{n_scored} x 32 rows scored against {n_rows}: {took:.1f} s, {n_scored / took:.0f} rows/s,"
        f" {memory('VmHWM') - before:.0f} MB beyond the rows, the model and the libraries "
        f"({before:.0f} MB)"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=5000)
    parser.add_argument("--columns", type=int, default=36)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--scored", type=int, default=0)
    options = parser.parse_args()
    warnings.simplefilter("ignore")  # PyOD warns of labels, XGBoost of a setting that PyOD passes
    if options.scored:
        many_rows(options.rows, options.scored, options.threads)
    beside_pyod(options.rows, options.columns, options.repeats, options.threads)


if __name__ == "__main__":
    main()
