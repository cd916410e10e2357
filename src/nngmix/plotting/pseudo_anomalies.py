"""What was generated, and where: one map of all rows, before and after."""

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from sklearn.decomposition import PCA
from sklearn.manifold import TSNE
from threadpoolctl import threadpool_limits

from nngmix.plotting.style import BLUE, GREY, VERMILION, new_figure

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Floats = NDArray[np.floating]

# Rows drawn of each kind: more would neither be seen nor be embedded in reasonable time.
_SHOWN = 1500


def embed(rows: Floats, *, random_state: int = 0) -> Floats:
    """Place rows on a plane so that near rows stay near.

    Parameters
    ----------
    rows : ndarray of shape (n_rows, n_features)
        At least two rows; NaN where a value is missing. Columns are scaled to [0, 1] first, and
        gaps take the column's median.
    random_state : int, default=0
        Fixes the map.

    Returns
    -------
    ndarray of shape (n_rows, 2)
        Constant columns are left out. One or two features are shown as they are; more go through
        t-SNE, started from the principal components.

    Examples
    --------
    >>> import numpy as np
    >>> embed(np.random.default_rng(0).normal(size=(50, 5))).shape
    (50, 2)
    """
    rows = np.asarray(rows, dtype=np.float64)
    low, high = np.fmin.reduce(rows), np.fmax.reduce(rows)
    varied = high > low
    scaled = (rows[:, varied] - low[varied]) / (high - low)[varied]
    scaled = np.where(np.isnan(scaled), np.nanmedian(scaled, axis=0), scaled)
    if scaled.shape[1] <= 2:
        plane = np.zeros((len(rows), 2))
        plane[:, : scaled.shape[1]] = scaled
        return plane
    # Copies belong in one place; t-SNE would push them apart.
    distinct, place = np.unique(scaled, axis=0, return_inverse=True)
    if len(distinct) < 5:
        return PCA(2).fit_transform(scaled)
    perplexity = min(30.0, (len(distinct) - 1) / 3)
    map_of = TSNE(2, perplexity=perplexity, init="pca", random_state=random_state)
    # Threads add numbers up in another order, and the map would hang on how many there are. On
    # a busy machine they also wait for each other, many times as long as one thread takes.
    with threadpool_limits(1):
        return map_of.fit_transform(distinct)[np.ravel(place)]


def plot_pseudo_anomalies(
    unlabelled: Floats,
    labelled: Floats,
    pseudo: Floats,
    *,
    hidden: NDArray[np.bool_] | None = None,
    name: str = "pseudo-anomalies",
    title: str = "",
    random_state: int = 0,
) -> "Figure":
    """Draw the training rows before and after pseudo-anomalies are added, on one map.

    Parameters
    ----------
    unlabelled : ndarray of shape (n_unlabelled, n_features)
        Unlabelled rows.
    labelled : ndarray of shape (n_labelled, n_features)
        Labelled anomalies.
    pseudo : ndarray of shape (n_pseudo, n_features)
        Generated rows.
    hidden : ndarray of shape (n_unlabelled,), bool, default=None
        Which unlabelled rows are anomalies in truth, where that is known.
    name : str, default="pseudo-anomalies"
        What generated the rows, for the right panel's title.
    title : str, default=""
        Above both panels.
    random_state : int, default=0
        Fixes the map, and which rows are shown: at most 1500 of a kind.

    Returns
    -------
    matplotlib.figure.Figure
        Two panels; save it with its ``savefig``.

    Raises
    ------
    ImportError
        If matplotlib is not installed.

    Examples
    --------
    >>> import numpy as np
    >>> rng = np.random.default_rng(0)
    >>> figure = plot_pseudo_anomalies(
    ...     rng.normal(size=(40, 2)), rng.normal(4, 1, (3, 2)), rng.normal(4, 1, (30, 2)))
    >>> len(figure.axes)
    2
    """
    rng = np.random.default_rng(random_state)

    def some(n: int) -> NDArray[np.intp]:
        chosen = rng.choice(n, _SHOWN, replace=False) if n > _SHOWN else np.arange(n)
        return np.sort(chosen)

    kept = [some(len(unlabelled)), some(len(labelled)), some(len(pseudo))]
    parts = [unlabelled[kept[0]], labelled[kept[1]], pseudo[kept[2]]]
    plane = embed(np.concatenate(parts), random_state=random_state)
    u, a, p = np.split(plane, np.cumsum([len(part) for part in parts])[:2])
    figure = new_figure(11, 5.2)
    panels = figure.subplots(1, 2, sharex=True, sharey=True)
    for panel in panels:
        panel.scatter(*u.T, s=9, c=GREY, alpha=0.6, lw=0, label=f"unlabelled ({len(unlabelled):,})")
        if hidden is not None and hidden.any():
            veiled = u[hidden[kept[0]]]
            panel.scatter(
                *veiled.T,
                s=30,
                facecolors="none",
                edgecolors="black",
                lw=0.7,
                label=f"of these, hidden anomalies ({int(hidden.sum()):,})",
            )
        panel.set(xticks=[], yticks=[])
        for side in panel.spines.values():
            side.set_color("#d0d0d0")
    panels[0].set_title("before", fontsize=11)
    panels[1].set_title(f"after {name}", fontsize=11)
    panels[1].scatter(
        *p.T, s=14, c=BLUE, alpha=0.45, lw=0, label=f"pseudo-anomalies ({len(pseudo):,})"
    )
    for panel in panels:
        panel.scatter(
            *a.T,
            s=90,
            c=VERMILION,
            marker="*",
            lw=0.6,
            edgecolors="white",
            zorder=3,
            label=f"labelled anomalies ({len(labelled):,})",
        )
    handles, labels = panels[1].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=4, frameon=False, fontsize=9)
    if title:
        figure.suptitle(title, fontsize=12)
    return figure
