"""Figs. 1, 6 and 8: pictures of what samplers generate, which need no experiment."""

import os
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from sklearn.svm import SVC

from nngmix.datasets import load_adbench, make_split
from nngmix.plotting import new_figure, plot_decision_boundary, plot_side_by_side
from nngmix.sampling import Mixup, NNGMix

if TYPE_CHECKING:
    from matplotlib.figure import Figure

VERTEBRAL = "Classical/39_vertebral"


def make_clusters() -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Make three clusters of labelled anomalies around one of unlabelled rows, as in Fig. 1 (a).

    Returns
    -------
    X : ndarray of shape (321, 2)
    y : ndarray of shape (321,)

    Examples
    --------
    >>> X, y = make_clusters()
    >>> int(y.sum())
    21
    """
    rng = np.random.default_rng(3)
    unlabelled = rng.normal(0, 0.55, (300, 2))
    centres = 2.2 * np.array([[np.cos(t), np.sin(t)] for t in np.radians([90, 210, 330])])
    anomalies = np.concatenate([rng.normal(centre, 0.18, (7, 2)) for centre in centres])
    X = np.concatenate([unlabelled, anomalies])
    return X, np.repeat([0, 1], [len(unlabelled), len(anomalies)])


def draw_generated() -> "Figure":
    """Draw Fig. 1: the clusters, and what Mixup and NNG-Mix generate from them.

    Returns
    -------
    matplotlib.figure.Figure
    """
    X, y = make_clusters()
    generated = {"(a) no pseudo-anomalies": X[:0]}
    for name, sampler in {
        "(b) Mixup, all rows": Mixup(partner="all", random_state=0),
        "(c) Mixup, labelled anomalies": Mixup(random_state=0),
        "(d) NNG-Mix": NNGMix(random_state=0),
    }.items():
        generated[name] = sampler.fit(X, y).sample(200)
    return plot_side_by_side(X[y == 0], X[y == 1], generated, columns=2)


def draw_vertebral(data_home: str | os.PathLike[str] | None) -> "Figure":
    """Draw Fig. 6: t-SNE of what Mixup and NNG-Mix generate on vertebral.

    Parameters
    ----------
    data_home : str or path or None
        Where ADBench's files are.

    Returns
    -------
    matplotlib.figure.Figure

    Raises
    ------
    FileNotFoundError
        If the dataset's file is not there.
    """
    data = load_adbench(VERTEBRAL, data_home=data_home)
    split = make_split(data.data, data.target, label_ratio=0.1, seed=0)
    X, y = split.X_train, split.y_train
    samplers = {
        "Mixup, all rows": Mixup(partner="all", random_state=0),
        "Mixup, labelled anomalies": Mixup(random_state=0),
        "NNG-Mix": NNGMix(scaling=None, random_state=0),
    }
    n = 10 * int(y.sum())
    generated = {name: sampler.fit(X, y).sample(n) for name, sampler in samplers.items()}
    title = f"vertebral: {y.sum()} labelled anomalies, {n} pseudo-anomalies each"
    return plot_side_by_side(X[y == 0], X[y == 1], generated, columns=3, title=title)


def draw_boundaries(
    samplers: Mapping[str, Any] | None = None,
) -> tuple["Figure", dict[str, float]]:
    """Draw Fig. 8: the boundary of a support vector machine with and without pseudo-anomalies.

    Parameters
    ----------
    samplers : mapping of str to sampler or None, default=None
        The panels; None: those of the paper, and Mixup of all rows beside them.

    Returns
    -------
    figure : matplotlib.figure.Figure
    shares : dict of str to float
        For each panel, the share of the unlabelled rows on the anomalies' side.
    """
    X, y = make_clusters()
    if samplers is None:
        samplers = {
            "no pseudo-anomalies": None,
            "Mixup, all rows": Mixup(partner="all", random_state=0),
            "Mixup, labelled anomalies": Mixup(random_state=0),
            "NNG-Mix": NNGMix(random_state=0),
        }
    lines = -(-len(samplers) // 2)
    figure = new_figure(7, 3.4 * lines)
    panels = figure.subplots(lines, 2, sharex=True, sharey=True, squeeze=False).ravel()
    for panel in panels[len(samplers) :]:
        panel.remove()
    # Each boundary is drawn as far as its own rows reach; the panels show what all have.
    low, high = X.min(axis=0), X.max(axis=0)
    margin = 0.08 * (high - low)
    shares = {}
    for panel, (name, sampler) in zip(panels, samplers.items(), strict=False):
        X_train, y_train = (X, y) if sampler is None else sampler.fit_resample(X, y)
        machine = SVC(kernel="rbf", gamma=1.0, C=10.0).fit(X_train, y_train)
        shares[name] = float((machine.predict(X[y == 0]) == 1).mean())
        plot_decision_boundary(
            panel,
            machine.decision_function,
            X[y == 0],
            X[y == 1],
            None if sampler is None else X_train[len(X) :],
            title=f"{name}\n{shares[name]:.1%} of the unlabelled rows called anomalies",
        )
        panel.set(
            xlim=(low[0] - margin[0], high[0] + margin[0]),
            ylim=(low[1] - margin[1], high[1] + margin[1]),
        )
    return figure, shares
