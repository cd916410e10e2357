"""BaggedTrees beside scikit-learn's extra trees and CatBoost: time to fit and to score; quality.

Usage: python benchmarks/bagged_trees.py [--rows 7000] [--columns 36] [--anomalies 70]
       [--scored 1000000] [--repeats 3] [--threads 2] [--auto]
       [--quality --data FOLDER [--seeds 0] [--ratio 0.01] [--catboost]]

All are fitted on the same random rows, in turns; medians. ExtraTreesClassifier has as many trees,
200, each on all rows. CatBoost, where it is installed, has its default settings; it is fitted and
scores as often, with as many threads. Seconds of the processor say how much of the threads' time
was work: on a machine that is busy otherwise, less than the clock's times the threads. ``--auto``
has AutoDetector in it, which takes minutes for a million rows.

``--quality`` prints AUCROC and AUCPR on the test rows of ADBench's Classical files in FOLDER, and
AUCROC out of bag of the labelled anomalies against the unlabelled rows; ``--catboost`` puts
CatBoost's beside them, which takes long.
"""

import argparse
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from sklearn.ensemble import ExtraTreesClassifier
from sklearn.metrics import average_precision_score, roc_auc_score

from nngmix.datasets import load_adbench, make_split
from nngmix.detectors import AutoDetector, BaggedTrees, CatBoost


def timed(call: Callable[[], Any]) -> tuple[float, float]:
    """Seconds by the clock, and of the processor."""
    wall, processor = time.perf_counter(), time.process_time()
    call()
    return time.perf_counter() - wall, time.process_time() - processor


def makers(threads: int, auto: bool) -> dict[str, Callable[[], Any]]:
    found: dict[str, Callable[[], Any]] = {
        "BaggedTrees": lambda: BaggedTrees(n_jobs=threads, random_state=0),
        "ExtraTreesClassifier": lambda: ExtraTreesClassifier(200, n_jobs=threads, random_state=0),
    }
    if auto:
        found["AutoDetector"] = lambda: AutoDetector(n_jobs=threads, random_state=0)
    try:
        CatBoost()._require()
    except ImportError as error:
        print(error)
    else:
        found["CatBoost"] = lambda: CatBoost(n_jobs=threads, random_state=0)
    return found


def speed(options: argparse.Namespace) -> None:
    rng = np.random.default_rng(0)
    X = rng.normal(size=(options.rows, options.columns))
    y = (np.arange(options.rows) < options.anomalies).astype(int)
    X[y == 1, :6] += 2
    more = rng.normal(size=(options.scored, options.columns))
    made = makers(options.threads, options.auto)
    fit: dict[str, list[tuple[float, float]]] = {name: [] for name in made}
    score: dict[str, list[tuple[float, float]]] = {name: [] for name in made}
    for turn in range(options.repeats + 1):
        for name, make in made.items():
            model = make()
            times = [timed(lambda m=model: m.fit(X, y))]
            method = getattr(model, "decision_function", None) or model.predict_proba
            rows = more if turn else more[:1000]  # the first turn warms up
            times.append(timed(lambda m=method, r=rows: m(r)))
            if turn:
                fit[name].append(times[0])
                score[name].append(times[1])
    print(
        f"{options.rows} x {options.columns} rows, {options.anomalies} labelled anomalies;", end=" "
    )
    print(f"{options.scored} rows scored; {options.threads} threads, {options.repeats} turns\n")
    print("| | fit, s | of the processor | scoring, rows a second | a second of the processor |")
    print("|---|---|---|---|---|")
    for name in made:
        a, b = (statistics.median(t) for t in zip(*fit[name], strict=True))
        c, d = (options.scored / statistics.median(t) for t in zip(*score[name], strict=True))
        print(f"| {name} | {a:.2f} | {b:.2f} | {c:,.0f} | {d:,.0f} |")


def quality(options: argparse.Namespace) -> None:
    kinds: list[Any] = [BaggedTrees, CatBoost] if options.catboost else [BaggedTrees]
    found: dict[str, list[tuple[float, float]]] = {kind.__name__: [] for kind in kinds}
    out_of_bag = []
    files = sorted((options.data / "Classical").glob("*.npz"))
    for seed in options.seeds:
        for file in files:
            data = load_adbench(file.stem, data_home=options.data)
            split = make_split(data.data, data.target, label_ratio=options.ratio, seed=seed)
            line = []
            for kind in kinds:
                model = kind(n_jobs=options.threads, random_state=seed)
                scores = model.fit(split.X_train, split.y_train).decision_function(split.X_test)
                pair = (
                    float(roc_auc_score(split.y_test, scores)),
                    float(average_precision_score(split.y_test, scores)),
                )
                found[kind.__name__].append(pair)
                line.append(f"{kind.__name__} {pair[0]:.4f} {pair[1]:.4f}")
                if kind is BaggedTrees and model.oob_.all():
                    out_of_bag.append(roc_auc_score(split.y_train, model.decision_scores_))
            print(f"{file.stem} seed {seed}: {', '.join(line)}", flush=True)
    for name, pairs in found.items():
        roc, pr = np.mean(pairs, axis=0)
        print(f"{name}: mean AUCROC {roc:.4f}, AUCPR {pr:.4f} of {len(pairs)} files and seeds")
    print(f"BaggedTrees out of bag: mean AUCROC {np.mean(out_of_bag):.4f} of {len(out_of_bag)}")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--rows", type=int, default=7000)
    parser.add_argument("--columns", type=int, default=36)
    parser.add_argument("--anomalies", type=int, default=70)
    parser.add_argument("--scored", type=int, default=1_000_000)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--auto", action="store_true", help="AutoDetector, too")
    parser.add_argument("--quality", action="store_true", help="instead of the times")
    parser.add_argument("--data", type=Path, help="ADBench's folder, for --quality")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--ratio", type=float, default=0.01)
    parser.add_argument("--catboost", action="store_true", help="CatBoost's quality, too")
    options = parser.parse_args()
    if options.quality:
        if options.data is None:
            parser.error("--quality needs --data FOLDER")
        quality(options)
    else:
        speed(options)


if __name__ == "__main__":
    main()
