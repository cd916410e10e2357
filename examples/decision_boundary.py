"""Figs. 1 and 8 of the paper: what each sampler generates, and what a classifier makes of it.

Three clusters of anomalies around one of unlabelled rows; a support vector machine with a Gaussian
kernel, trained without pseudo-anomalies, with Mixup of all rows (b), with Mixup of the labelled
anomalies (c) and with NNG-Mix (d).

    python examples/decision_boundary.py [PICTURE]
"""

import sys

import numpy as np
from sklearn.svm import SVC

from nngmix import Mixup, NNGMix
from nngmix.plotting import new_figure, plot_decision_boundary


def make() -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(3)
    unlabelled = rng.normal(0, 0.55, (300, 2))
    centres = 2.2 * np.array([[np.cos(t), np.sin(t)] for t in np.radians([90, 210, 330])])
    anomalies = np.concatenate([rng.normal(centre, 0.18, (7, 2)) for centre in centres])
    X = np.concatenate([unlabelled, anomalies])
    return X, np.repeat([0, 1], [len(unlabelled), len(anomalies)])


def main(path: str) -> None:
    X, y = make()
    panels = {
        "(a) no pseudo-anomalies": None,
        "(b) Mixup, all rows": Mixup(partner="all", random_state=0),
        "(c) Mixup, labelled anomalies": Mixup(random_state=0),
        "(d) NNG-Mix": NNGMix(random_state=0),
    }
    figure = new_figure(13, 3.7)
    axes = figure.subplots(1, len(panels), sharex=True, sharey=True)
    for panel, (title, sampler) in zip(axes, panels.items(), strict=True):
        X_train, y_train = (X, y) if sampler is None else sampler.fit_resample(X, y)
        machine = SVC(kernel="rbf", gamma=1.0, C=10.0).fit(X_train, y_train)
        inside = (machine.predict(X[y == 0]) == 1).mean()
        plot_decision_boundary(
            panel,
            machine.decision_function,
            X[y == 0],
            X[y == 1],
            None if sampler is None else X_train[len(X) :],
            title=f"{title}\n{inside:.1%} of the unlabelled rows called anomalies",
        )
        print(f"{title}: {inside:.1%} of the unlabelled rows called anomalies")
    figure.savefig(path)
    print(f"written: {path}")


if __name__ == "__main__":
    main(sys.argv[1] if len(sys.argv) > 1 else "decision_boundary.png")
