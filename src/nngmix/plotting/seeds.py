"""How far results differ from seed to seed."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from nngmix.plotting.style import BLUE, SKY_BLUE, add_title, new_figure

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def plot_seeds(
    names: Sequence[str],
    values: Sequence[Sequence[float]] | NDArray[np.floating],
    *,
    quantity: str = "mean AUCROC",
    title: str = "",
) -> "Figure":
    """Draw a line for each method: a faint point for each seed, a bold one for their mean.

    The mean and the standard deviation stand at the right.

    Parameters
    ----------
    names : sequence of str
        The methods, from top to bottom.
    values : array-like of shape (n_methods, n_seeds)
        NaN where a seed is missing.
    quantity : str, default="mean AUCROC"
        What the values are.
    title : str, default=""
        Above the picture.

    Returns
    -------
    matplotlib.figure.Figure
        Save it with its ``savefig``.

    Raises
    ------
    ImportError
        If matplotlib is not installed.
    ValueError
        If there is no method, or not one row of values for each.

    Examples
    --------
    >>> figure = plot_seeds(["none", "NNG-Mix"], [[0.76, 0.78], [0.79, 0.8]])
    >>> [text.get_text() for text in figure.axes[0].texts]
    ['0.770 ± 0.014', '0.795 ± 0.007']
    """
    table = np.asarray(values, dtype=np.float64)
    if not len(names) or table.ndim != 2 or len(table) != len(names):
        raise ValueError(
            "values must have a row for each name, one or more; got "
            f"{len(names)} name(s) and values of shape {table.shape}."
        )
    figure = new_figure(7, 1.2 + 0.32 * len(names))
    panel = figure.subplots()
    for place, row in enumerate(table):
        found = row[np.isfinite(row)]
        text = "–"
        if len(found):
            mean = found.mean()
            text = f"{mean:.3f}"
            panel.scatter(found, np.full(len(found), place), s=45, c=SKY_BLUE, alpha=0.5, lw=0)
            panel.scatter(mean, place, s=70, c=BLUE, edgecolors="white", lw=0.8, zorder=3)
            if len(found) > 1:
                text += f" ± {found.std(ddof=1):.3f}"
        panel.text(
            1.02, place, text, transform=panel.get_yaxis_transform(), va="center", fontsize=9
        )
    panel.set_yticks(range(len(names)), names, fontsize=10)
    panel.set_ylim(len(names) - 0.4, -0.6)
    n_seeds = table.shape[1]
    panel.set_xlabel(
        f"{quantity}: {n_seeds} seeds, their mean ± standard deviation"
        if n_seeds > 1
        else f"{quantity}: one seed",
        fontsize=10,
    )
    panel.tick_params(axis="x", labelsize=9)
    panel.tick_params(axis="y", length=0)
    panel.grid(color="#e8e8e8")
    panel.set_axisbelow(True)
    for side in ("top", "right", "left"):
        panel.spines[side].set_visible(False)
    add_title(figure, title)
    return figure
