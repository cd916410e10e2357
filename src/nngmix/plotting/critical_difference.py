"""Average ranks of methods, and which of them can't be told apart: Demšar's diagram."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from nngmix.plotting.style import BLUE, DARK_GREY, VERMILION, add_title, new_figure

if TYPE_CHECKING:
    from matplotlib.figure import Figure

# Heights, in inches: a name, a bar, and what is above the axis (its numbers, the distance).
_NAME, _BAR, _ABOVE = 0.27, 0.12, 0.62


def plot_critical_difference(
    names: Sequence[str],
    average_ranks: Sequence[float] | NDArray[np.floating],
    critical_difference: float,
    *,
    title: str = "",
) -> "Figure":
    """Draw methods along an axis of average ranks, the best at the left.

    Bars join methods whose ranks are nearer to each other than the critical difference.

    Parameters
    ----------
    names : sequence of str
        Two methods or more.
    average_ranks : sequence of float
        Of each; 1 is best.
    critical_difference : float
        As :func:`nngmix.experiments.statistics.rank_methods` gives it.
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
        If there are fewer than two methods, or not one rank for each.

    References
    ----------
    J. Demšar, "Statistical Comparisons of Classifiers over Multiple Data Sets", Journal of Machine
    Learning Research 7, 2006.

    Examples
    --------
    >>> figure = plot_critical_difference(["Mixup", "NNG-Mix", "none"], [1.9, 1.4, 2.7], 0.7)
    >>> [text.get_text() for text in figure.axes[0].texts if "  " in text.get_text()]
    ['NNG-Mix  1.40', 'Mixup  1.90', '2.70  none']
    """
    ranks = np.asarray(average_ranks, dtype=np.float64)
    k = len(names)
    if k < 2 or ranks.shape != (k,):
        raise ValueError(
            "names and average_ranks must be of one length, two or more; got "
            f"{k} name(s) and ranks of shape {ranks.shape}."
        )
    if not (np.isfinite(ranks).all() and 0 < critical_difference < np.inf):
        raise ValueError("average_ranks must be finite, and critical_difference above zero.")
    order = np.argsort(ranks, kind="stable")
    ranks = ranks[order]
    bars = _bars(ranks, critical_difference)
    n_levels = max((level + 1 for _, _, level in bars), default=0)
    n_left = (k + 1) // 2
    names_top = _BAR * (n_levels + 1) + 0.1
    bottom = names_top + _NAME * (n_left - 0.5)
    figure = new_figure(7, 0.35 + _ABOVE + bottom)
    panel = figure.subplots()
    # The scale of the distance may be longer than the axis itself, with a handful of datasets.
    right = max(k, 1 + critical_difference)
    panel.set(xlim=(1, right), ylim=(bottom, -_ABOVE))
    panel.axis("off")

    panel.hlines(0, 1, k, color="black", lw=1.2, clip_on=False)
    for tick in range(1, k + 1):
        panel.vlines(tick, -0.07, 0, color="black", lw=1, clip_on=False)
        panel.text(tick, -0.1, str(tick), ha="center", va="bottom", fontsize=9)
    panel.hlines(-0.47, 1, 1 + critical_difference, color=BLUE, lw=1.5, clip_on=False)
    panel.vlines([1, 1 + critical_difference], -0.51, -0.43, color=BLUE, lw=1.5, clip_on=False)
    panel.text(1, -0.54, f"critical difference {critical_difference:.2f}", color=BLUE, fontsize=10)

    margin = 0.02 * (right - 1)
    for place, (rank, i) in enumerate(zip(ranks, order, strict=True)):
        at_left = place < n_left
        row = names_top + _NAME * (place if at_left else k - 1 - place)
        end = 1 - margin if at_left else right + margin
        panel.plot([rank, rank, end], [0, row, row], color=DARK_GREY, lw=0.9, clip_on=False)
        text = f"{names[i]}  {rank:.2f}" if at_left else f"{rank:.2f}  {names[i]}"
        panel.text(
            end + (-margin if at_left else margin) / 2,
            row,
            text,
            ha="right" if at_left else "left",
            va="center",
            fontsize=10,
        )
    for low, high, level in bars:
        # A little longer than from rank to rank, so that equal ranks are joined visibly too.
        panel.plot(
            [low - margin / 2, high + margin / 2],
            [_BAR * (level + 1)] * 2,
            color=VERMILION,
            lw=3.5,
            solid_capstyle="butt",
            clip_on=False,
        )
    panel.text(
        (1 + right) / 2,
        bottom,
        "average rank, 1 = best" + ("; a bar joins what can't be told apart" if bars else ""),
        ha="center",
        va="top",
        fontsize=10,
        color=DARK_GREY,
    )
    add_title(figure, title)
    return figure


def _bars(ranks: NDArray[np.float64], distance: float) -> list[tuple[float, float, int]]:
    """Find where bars begin and end, and how far below the axis they are, side by side if able."""
    bars: list[tuple[float, float, int]] = []
    taken: list[float] = []
    reached = 0
    for start, end in enumerate(np.searchsorted(ranks, ranks + distance)):
        # A run of methods that goes no further than the one before lies within it.
        if end > reached and end - start > 1:
            low, high = float(ranks[start]), float(ranks[end - 1])
            gap = 0.1 * (ranks[-1] - ranks[0])
            level = next((i for i, until in enumerate(taken) if low > until + gap), len(taken))
            taken[level : level + 1] = [high]
            bars.append((low, high, level))
        reached = max(reached, int(end))
    return bars
