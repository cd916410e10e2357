"""Where a detector draws the line, with the rows it was trained on."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from nngmix.plotting.style import BLUE, GREY, VERMILION

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Floats = NDArray[np.floating]


def plot_decision_boundary(
    panel: "Axes",
    score: Callable[[Floats], Any],
    unlabelled: Floats,
    labelled: Floats,
    pseudo: Floats | None = None,
    *,
    threshold: float = 0.0,
    title: str = "",
) -> None:
    """Draw a detector's scores over the plane, its boundary, and its training rows.

    Parameters
    ----------
    panel : matplotlib.axes.Axes
        Where to draw.
    score : callable
        Takes an ndarray of shape (n, 2), returns n scores, higher = more anomalous.
    unlabelled : ndarray of shape (n_unlabelled, 2)
        Unlabelled rows.
    labelled : ndarray of shape (n_labelled, 2)
        Labelled anomalies.
    pseudo : ndarray of shape (n_pseudo, 2), default=None
        Generated rows.
    threshold : float, default=0.0
        The score at the boundary.
    title : str, default=""
        Above the panel.

    Examples
    --------
    >>> import numpy as np
    >>> from matplotlib.figure import Figure
    >>> rng = np.random.default_rng(0)
    >>> panel = Figure().subplots()
    >>> plot_decision_boundary(panel, lambda rows: rows.sum(axis=1) - 4,
    ...     rng.normal(size=(40, 2)), rng.normal(4, 1, (3, 2)), title="a straight line")
    >>> panel.get_title()
    'a straight line'
    """
    rows = np.concatenate([part for part in (unlabelled, labelled, pseudo) if part is not None])
    low, high = rows.min(axis=0), rows.max(axis=0)
    margin = 0.08 * (high - low)
    x, y = (np.linspace(a, b, 250) for a, b in zip(low - margin, high + margin, strict=True))
    grid = np.stack(np.meshgrid(x, y), axis=-1)
    values = np.asarray(score(grid.reshape(-1, 2))).reshape(grid.shape[:2])
    panel.contourf(x, y, values > threshold, levels=[0.5, 1.5], colors=["#f6dccb"])
    panel.contour(x, y, values, levels=[threshold], colors="black", linewidths=1)
    panel.scatter(unlabelled[:, 0], unlabelled[:, 1], s=8, c=GREY, lw=0)
    if pseudo is not None:
        panel.scatter(pseudo[:, 0], pseudo[:, 1], s=8, c=BLUE, alpha=0.5, lw=0)
    x, y = labelled.T
    panel.scatter(x, y, s=50, c=VERMILION, marker="*", lw=0.4, edgecolors="white", zorder=3)
    panel.set(xticks=[], yticks=[])
    panel.set_title(title, fontsize=10)
