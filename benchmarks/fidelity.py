"""Detectors beside the paper's numbers, on the ADBench files at hand.

    python benchmarks/fidelity.py ADBENCH_FOLDER PAPER_TABLES_CSV RESULTS_CSV [PICTURE]

DeepSAD(pretrain=False) at 10 % labels and seed 0, with no sampler and with NNG-Mix 10x, beside
Table VII dataset by dataset; DeepSAD with pre-training beside it; MLP and CatBoost at 1 % over five
seeds.
RESULTS_CSV keeps every finished run, so that a second call goes on where the first stopped.
"""

import csv
import sys
import time
from pathlib import Path

import numpy as np
from joblib import Parallel, delayed
from sklearn.metrics import roc_auc_score
from threadpoolctl import threadpool_limits

from nngmix import NNGMix
from nngmix.datasets import load_adbench, make_split
from nngmix.detectors import MLP, CatBoost, DeepSAD
from nngmix.plotting.style import BLUE, GREY, VERMILION, new_figure

MAKERS = {
    "DeepSAD": lambda seed: DeepSAD(pretrain=False, device="cpu", n_jobs=1, random_state=seed),
    "DeepSAD pre-trained": lambda seed: DeepSAD(device="cpu", n_jobs=1, random_state=seed),
    "MLP": lambda seed: MLP(random_state=seed),
    "CatBoost": lambda seed: CatBoost(n_jobs=1, random_state=seed),
}
FIELDS = ["dataset", "detector", "multiplier", "label_ratio", "seed", "aucroc", "seconds"]


def run(folder, dataset, detector, multiplier, label_ratio, seed):
    """Run one cell; the rows are scaled already, so the sampler does not scale."""
    start = time.perf_counter()
    data = load_adbench(dataset, data_home=folder)
    split = make_split(data.data, data.target, label_ratio=label_ratio, seed=seed)
    # The public program's order: a seed stands for the same batches there and here.
    order = np.argsort(split.y_train, kind="stable")
    X, y = split.X_train[order], split.y_train[order]
    with threadpool_limits(1):
        if multiplier:
            sampler = NNGMix(multiplier=multiplier, scaling=None, random_state=seed, n_jobs=1)
            X, y = sampler.fit_resample(X, y)
        scores = MAKERS[detector](seed).fit(X, y).decision_function(split.X_test)
    aucroc = roc_auc_score(split.y_test, scores)
    return dataset, detector, multiplier, label_ratio, seed, aucroc, time.perf_counter() - start


def cells(datasets):
    """List what to run, the quick ones first."""
    for detector in ("DeepSAD", "DeepSAD pre-trained"):
        for multiplier in (0, 10):
            for dataset in datasets:
                yield dataset, detector, multiplier, 0.1, 0
    for detector in ("MLP", "CatBoost"):
        for seed in range(5):
            for dataset in datasets:
                yield dataset, detector, 0, 0.01, seed


def run_all(folder, results):
    """Run what is not in the results yet, and return all."""
    datasets = sorted(path.stem for path in (folder / "Classical").glob("*.npz"))
    done = {}
    if results.exists():
        with results.open(newline="") as file:
            for row in csv.DictReader(file):
                key = row["dataset"], row["detector"], int(row["multiplier"])
                done[(*key, float(row["label_ratio"]), int(row["seed"]))] = float(row["aucroc"])
    todo = [cell for cell in cells(datasets) if cell not in done]
    with results.open("a", newline="") as file:
        writer = csv.writer(file)
        if not done:
            writer.writerow(FIELDS)
        jobs = Parallel(n_jobs=-1, return_as="generator_unordered")
        for i, row in enumerate(jobs(delayed(run)(folder, *cell) for cell in todo), start=1):
            writer.writerow(row)
            file.flush()
            done[row[:5]] = row[5]
            print(f"{i}/{len(todo)} {row[1]} {row[0]} {row[5]:.3f}", file=sys.stderr)
    return datasets, done


def published(tables):
    """Read Table VII's DeepSAD numbers, by dataset name without its number and by multiplier."""
    with tables.open(newline="") as file:
        return {
            (row["dataset"], int(row["multiplier"])): float(row["aucroc"])
            for row in csv.DictReader(file)
            if row["table"] == "VII"
            and row["detector"] == "DeepSAD"
            and (row["sampler"], row["multiplier"]) in {("Baseline", "0"), ("NNG-Mix", "10")}
        }


def draw(datasets, done, paper, path):
    """Draw every dataset's two numbers, the paper's across and ours up."""
    figure = new_figure(8, 4.7)
    panels = figure.subplots(1, 2, sharex=True, sharey=True)
    for panel, multiplier, title in zip(
        panels, (0, 10), ("no pseudo-anomalies", "NNG-Mix 10x"), strict=True
    ):
        theirs = [paper[dataset.split("_", 1)[1], multiplier] for dataset in datasets]
        for detector, colour, label, marker in (
            ("DeepSAD pre-trained", VERMILION, "pretrain=True", "x"),
            ("DeepSAD", BLUE, "pretrain=False", "o"),
        ):
            ours = [done[dataset, detector, multiplier, 0.1, 0] for dataset in datasets]
            panel.scatter(theirs, ours, s=22, color=colour, marker=marker, label=label)
        panel.axline((0.5, 0.5), slope=1, color=GREY, linewidth=1, zorder=0)
        panel.set(title=title, xlabel="AUCROC, paper's Table VII", aspect="equal")
    panels[0].set_ylabel("AUCROC here")
    panels[0].legend(loc="upper left", frameon=False)
    figure.savefig(path)


def report(datasets, done, paper):
    """Print a table and the figures below it."""
    print("| dataset | paper | ours | pre-trained | paper 10x | ours 10x | pre-trained 10x |")
    print("|---|---|---|---|---|---|---|")
    columns = []
    for dataset in datasets:
        name = dataset.split("_", 1)[1]
        row = []
        for multiplier in (0, 10):
            row.append(paper[name, multiplier])
            row.append(done[dataset, "DeepSAD", multiplier, 0.1, 0])
            row.append(done[dataset, "DeepSAD pre-trained", multiplier, 0.1, 0])
        columns.append(row)
        print(f"| {name} | " + " | ".join(f"{value:.3f}" for value in row) + " |")
    values = np.array(columns)
    print("| mean | " + " | ".join(f"{value:.4f}" for value in values.mean(axis=0)) + " |")
    for label, theirs, ours in (("baseline", 0, 1), ("10x", 3, 4)):
        gaps = values[:, ours] - values[:, theirs]
        print(
            f"\nDeepSAD {label}: mean absolute difference {np.abs(gaps).mean():.4f}, "
            f"difference of the means {gaps.mean():+.4f}, largest {np.abs(gaps).max():.3f}"
        )
    for detector in ("MLP", "CatBoost"):
        means = [
            np.mean([done[dataset, detector, 0, 0.01, seed] for dataset in datasets])
            for seed in range(5)
        ]
        print(
            f"\n{detector} at 1 %, mean of {len(datasets)} sets: {np.mean(means):.4f} ± "
            f"{np.std(means, ddof=1):.4f} over five seeds ({', '.join(f'{m:.3f}' for m in means)})"
        )


if __name__ == "__main__":
    folder, tables, results, *picture = map(Path, sys.argv[1:])
    datasets, done = run_all(folder, results)
    report(datasets, done, published(tables))
    if picture:
        draw(datasets, done, published(tables), picture[0])
