"""What several samplers generate from the same rows, side by side on one map."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from nngmix.plotting.pseudo_anomalies import embed
from nngmix.plotting.style import BLUE, GREY, VERMILION, new_figure

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Floats = NDArray[np.floating]


def plot_side_by_side(
    unlabelled: Floats,
    labelled: Floats,
    generated: Mapping[str, Floats],
    *,
    columns: int = 4,
    title: str = "",
    random_state: int = 0,
) -> "Figure":
    """Draw a panel for each sampler: the same rows, and what it generates from them.

    Parameters
    ----------
    unlabelled : ndarray of shape (n_unlabelled, n_features)
        Unlabelled rows.
    labelled : ndarray of shape (n_labelled, n_features)
        Labelled anomalies.
    generated : mapping of str to ndarray of shape (n_generated, n_features)
        Generated rows by the sampler's name; a panel each, in this order.
    columns : int, default=4
        Panels in a line.
    title : str, default=""
        Above all panels.
    random_state : int, default=0
        Fixes the map (t-SNE where there are more than two features).

    Returns
    -------
    matplotlib.figure.Figure
        Save it with its ``savefig``.

    Raises
    ------
    ImportError
        If matplotlib is not installed.

    Examples
    --------
    >>> import numpy as np
    >>> rng = np.random.default_rng(0)
    >>> figure = plot_side_by_side(rng.normal(size=(40, 2)), rng.normal(4, 1, (3, 2)),
    ...     {"one": rng.normal(4, 1, (30, 2)), "two": rng.normal(4, 2, (30, 2))})
    >>> [panel.get_title() for panel in figure.axes]
    ['one', 'two']
    """
    parts = [unlabelled, labelled, *generated.values()]
    ends = np.cumsum([len(part) for part in parts])[:-1]
    u, a, *made = np.split(embed(np.concatenate(parts), random_state=random_state), ends)
    lines = -(-len(generated) // columns)
    width = min(columns, len(generated))
    figure = new_figure(3.1 * width, 3.0 * lines + 0.5)
    panels = figure.subplots(lines, width, sharex=True, sharey=True, squeeze=False).ravel()
    for panel in panels[len(made) :]:
        panel.remove()
    for panel, name, rows in zip(panels, generated, made, strict=False):
        panel.scatter(*u.T, s=5, c=GREY, alpha=0.6, lw=0, label="unlabelled")
        panel.scatter(*rows.T, s=7, c=BLUE, alpha=0.4, lw=0, label="pseudo-anomalies")
        panel.scatter(
            *a.T,
            s=45,
            c=VERMILION,
            marker="*",
            lw=0.4,
            edgecolors="white",
            zorder=3,
            label="labelled anomalies",
        )
        panel.set_title(name, fontsize=10)
        panel.set(xticks=[], yticks=[])
        for side in panel.spines.values():
            side.set_color("#d0d0d0")
    handles, labels = panels[0].get_legend_handles_labels()
    figure.legend(
        handles,
        labels,
        loc="outside lower center",
        ncols=3,
        frameon=False,
        fontsize=9,
        markerscale=1.8,
    )
    if title:
        figure.suptitle(title, fontsize=11)
    return figure
