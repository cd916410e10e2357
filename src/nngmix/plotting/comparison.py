"""Methods compared: their means, with intervals, in order."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from nngmix.plotting.style import BLUE, GREY, VERMILION, new_figure

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def plot_comparison(
    names: Sequence[str],
    means: Sequence[float],
    intervals: Sequence[tuple[float, float]],
    worse: Sequence[bool],
    *,
    chance: float | None = None,
    quantity: str = "average precision",
    title: str = "",
) -> "Figure":
    """Draw a line for each method: its mean and interval, the best on top.

    Parameters
    ----------
    names : sequence of str
        The methods.
    means : sequence of float
        What each came to; higher is better.
    intervals : sequence of (low, high)
        Of each mean.
    worse : sequence of bool
        Which methods are known to be worse than the best one.
    chance : float, default=None
        What guessing comes to; a dotted line.
    quantity : str, default="average precision"
        Below the axis.
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

    Examples
    --------
    >>> figure = plot_comparison(
    ...     ["MLP", "CatBoost"], [0.5, 0.7], [(0.4, 0.6), (0.6, 0.8)], [True, False])
    >>> [text.get_text() for text in figure.axes[0].get_yticklabels()]
    ['CatBoost', 'MLP']
    """
    order = sorted(range(len(names)), key=lambda i: -means[i])
    figure = new_figure(7.5, 1.7 + 0.3 * len(names))
    panel = figure.subplots()
    kinds = {
        "best": (VERMILION, order[:1]),
        "cannot be told apart from the best": (BLUE, [i for i in order[1:] if not worse[i]]),
        "worse than the best": (GREY, [i for i in order[1:] if worse[i]]),
    }
    for label, (colour, members) in kinds.items():
        if members:
            places = [order.index(i) for i in members]
            lows, highs = zip(*(intervals[i] for i in members), strict=True)
            panel.hlines(places, lows, highs, color=colour, lw=2)
            panel.scatter([means[i] for i in members], places, s=40, c=colour, label=label)
    if chance is not None:
        panel.axvline(chance, color="black", lw=1, ls=":", label="guessing")
    panel.set_yticks(range(len(order)), [names[i] for i in order], fontsize=9)
    panel.invert_yaxis()
    panel.set_xlabel(f"{quantity} (mean over folds, 95 % interval)", fontsize=9)
    panel.grid(axis="x", color="#e8e8e8")
    panel.set_axisbelow(True)
    for side in ("top", "right", "left"):
        panel.spines[side].set_visible(False)
    panel.tick_params(axis="y", length=0)
    figure.legend(loc="outside lower center", ncols=4, frameon=False, fontsize=8)
    if title:
        figure.suptitle(title, fontsize=11)
    return figure
