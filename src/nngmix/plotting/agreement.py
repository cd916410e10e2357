"""Published values beside those measured here."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from nngmix.plotting.style import BLUE, DARK_GREY, VERMILION, add_title, new_figure, signed

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Numbers = Sequence[float] | NDArray[np.floating]

# Points that are named, and how far off they must be: published values have three digits.
_NAMED, _OFF = 5, 0.0015


def plot_agreement(
    published: Numbers,
    ours: Numbers,
    labels: Sequence[str] | None = None,
    *,
    quantity: str = "mean AUCROC",
    title: str = "",
) -> "Figure":
    """Draw published values across, those measured here up, and where both would be the same.

    Parameters
    ----------
    published, ours : sequence of float
        Values in the same order. Pairs of which one is NaN are left out.
    labels : sequence of str, default=None
        What each pair is. The five farthest from agreement are numbered, and named below.
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
        If the sequences are not of one length, or no pair is complete.

    Examples
    --------
    >>> figure = plot_agreement([0.766, 0.791], [0.77, 0.79], ["Baseline", "NNG-Mix"])
    >>> figure.axes[0].get_title()
    '2 values, mean absolute difference 0.0025, mean difference +0.0015'
    >>> [text.get_text() for text in figure.legends[0].get_texts()]
    ['Baseline: 0.766 → 0.770']
    """
    x, y = np.asarray(published, dtype=np.float64), np.asarray(ours, dtype=np.float64)
    lengths = {len(x), len(y), len(x if labels is None else labels)}
    if len(lengths) > 1:
        raise ValueError(
            "published, ours and labels must be of one length; got "
            f"{', '.join(map(str, sorted(lengths)))}."
        )
    both = np.flatnonzero(np.isfinite(x) & np.isfinite(y))
    if not len(both):
        raise ValueError("published and ours must have at least one pair without NaN; got none.")
    x, y = x[both], y[both]
    off = np.abs(y - x)
    farthest = [i for i in np.argsort(-off, kind="stable")[:_NAMED] if off[i] >= _OFF]
    if labels is None:
        farthest = []

    figure = new_figure(6.2, 5.4 + 0.22 * len(farthest))
    panel = figure.subplots()
    low, high = min(x.min(), y.min()), max(x.max(), y.max())
    margin = max(0.06 * (high - low), 0.005)
    ends = [low - margin, high + margin]
    panel.plot(ends, ends, color=DARK_GREY, lw=1, ls="--", zorder=1)
    panel.scatter(x, y, s=28, c=BLUE, alpha=0.5, lw=0, zorder=2)
    for number, i in reversed(list(enumerate(farthest, 1))):
        # The first on top where they overlap.
        order = 3 + len(farthest) - number
        panel.scatter(x[i], y[i], s=130, c=VERMILION, edgecolors="white", lw=0.8, zorder=order)
        panel.text(
            x[i],
            y[i],
            str(number),
            color="white",
            weight="bold",
            ha="center",
            va="center_baseline",
            fontsize=8,
            zorder=order,
        )
    panel.set(xlim=ends, ylim=ends, aspect="equal")
    panel.set_xlabel(f"published {quantity}", fontsize=10)
    panel.set_ylabel(f"{quantity} here", fontsize=10)
    panel.tick_params(labelsize=9)
    panel.grid(color="#e8e8e8")
    panel.set_axisbelow(True)
    for side in ("top", "right"):
        panel.spines[side].set_visible(False)
    panel.set_title(
        f"{len(x)} value{'s' if len(x) > 1 else ''}, mean absolute difference {off.mean():.4f}, "
        f"mean difference {signed((y - x).mean(), 4)}",
        fontsize=9,
    )
    if farthest and labels is not None:
        _name(
            figure,
            [f"{labels[both[i]]}: {x[i]:.3f} → {y[i]:.3f}" for i in farthest],
        )
    add_title(figure, title)
    return figure


def _name(figure: "Figure", texts: list[str]) -> None:
    from matplotlib.lines import Line2D

    marks = [
        Line2D([], [], color=VERMILION, marker=f"${number}$", ms=7, ls="none")
        for number in range(1, len(texts) + 1)
    ]
    figure.legend(marks, texts, loc="outside lower center", frameon=False, fontsize=9)
