"""Where one method gains over another, and where it loses: a bar for each dataset."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from nngmix.plotting.style import BLUE, DARK_GREY, VERMILION, add_title, new_figure, signed

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Numbers = Sequence[float] | NDArray[np.floating]


def plot_differences(
    names: Sequence[str],
    differences: Numbers,
    *,
    published: Numbers | None = None,
    quantity: str = "difference in AUCROC",
    title: str = "",
) -> "Figure":
    """Draw a bar for each dataset, the greatest gain on top; gains go right and losses left.

    Parameters
    ----------
    names : sequence of str
        The datasets.
    differences : sequence of float
        What the method has more than the other one on each; NaN where that isn't known. Those are
        at the bottom.
    published : sequence of float, default=None
        Published differences: a hollow mark each, NaN for none.
    quantity : str, default="difference in AUCROC"
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
    ValueError
        If there is no dataset, or the sequences are not of one length.

    Examples
    --------
    >>> figure = plot_differences(["wine", "glass", "yeast"], [-0.02, 0.1, 0.03])
    >>> [text.get_text() for text in figure.axes[0].get_yticklabels()]
    ['glass', 'yeast', 'wine']
    """
    values = np.asarray(differences, dtype=np.float64)
    marks = np.full(len(names), np.nan) if published is None else np.asarray(published, np.float64)
    if not len(names) or values.shape != (len(names),) or marks.shape != (len(names),):
        raise ValueError(
            "names, differences and published must be of one length, one or more; got "
            f"{len(names)}, {len(values)} and {len(marks)}."
        )
    # Sorting puts NaN last.
    order = np.argsort(-values, kind="stable")
    values, marks = values[order], marks[order]
    places = np.arange(len(names))
    figure = new_figure(7, 1.3 + 0.19 * len(names))
    panel = figure.subplots()
    for colour, side in ((BLUE, values > 0), (VERMILION, values < 0)):
        panel.barh(places[side], values[side], height=0.75, color=colour)
    if np.isfinite(marks).any():
        panel.scatter(
            marks,
            places,
            s=32,
            marker="D",
            facecolors="white",
            edgecolors="black",
            lw=1,
            zorder=3,
            label="published",
        )
        figure.legend(loc="outside lower center", frameon=False, fontsize=9)
    panel.axvline(0, color=DARK_GREY, lw=1)
    for place, value in enumerate(values):
        panel.text(
            1.01,
            place,
            signed(value),
            transform=panel.get_yaxis_transform(),
            va="center",
            fontsize=9,
        )
    panel.set_yticks(places, [names[i] for i in order], fontsize=9)
    panel.set_ylim(len(names) - 0.4, -0.6)
    panel.set_xlabel(quantity, fontsize=10)
    panel.tick_params(axis="x", labelsize=9)
    panel.tick_params(axis="y", length=0)
    panel.grid(axis="x", color="#e8e8e8")
    panel.set_axisbelow(True)
    for edge in ("top", "right", "left"):
        panel.spines[edge].set_visible(False)
    add_title(figure, title)
    return figure
