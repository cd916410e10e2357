"""Lines over a few settings, in small panels, with the published values beside them."""

import dataclasses
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from nngmix.plotting.style import (
    BLUE,
    DARK_GREY,
    GREEN,
    ORANGE,
    PURPLE,
    SKY_BLUE,
    VERMILION,
    add_title,
    new_figure,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Numbers = Sequence[float] | NDArray[np.floating]

Look = tuple[str, str, str]

# Colour, mark and stroke. Each colour has a mark of its own: the lines are told apart without
# colours, too.
_COLOURS = (
    (VERMILION, "o"),
    (BLUE, "s"),
    (GREEN, "^"),
    (PURPLE, "D"),
    (ORANGE, "v"),
    (SKY_BLUE, "P"),
)
_LOOKS: tuple[Look, ...] = tuple(
    (colour, mark, stroke) for stroke in ("-", "-.") for colour, mark in _COLOURS
)
_CONTROL: Look = (DARK_GREY, "x", "--")


@dataclasses.dataclass(frozen=True, eq=False)
class Series:
    """A line of a panel.

    Attributes
    ----------
    label : str
        Its name in the legend. Lines of one name look alike in all panels.
    values : sequence of float
        One for each place on the panel's axis; NaN where there is none.
    spread : sequence of float, default=None
        How far the bar at each value reaches up and down; NaN for no bar.
    published : sequence of float, default=None
        The published values, drawn hollow; NaN where there is none.
    control : bool, default=False
        Whether it is only there to compare with: dashed and grey.
    """

    label: str
    values: Numbers
    spread: Numbers | None = None
    published: Numbers | None = None
    control: bool = False


@dataclasses.dataclass(frozen=True, eq=False)
class Panel:
    """A part of the picture.

    Attributes
    ----------
    title : str
        Above it.
    x : sequence of str
        The settings along its axis, evenly spaced.
    series : sequence of Series
        Its lines.
    xlabel : str, default=""
        What the settings are.
    """

    title: str
    x: Sequence[str]
    series: Sequence[Series]
    xlabel: str = ""


def plot_lines(
    panels: Sequence[Panel],
    *,
    quantity: str = "mean AUCROC",
    spread: str = "standard deviation",
    columns: int = 2,
    same_scale: bool = True,
    title: str = "",
) -> "Figure":
    """Draw lines over a few settings, a panel for each part.

    Parameters
    ----------
    panels : sequence of Panel
        At least one.
    quantity : str, default="mean AUCROC"
        What the values are, in a few words.
    spread : str, default="standard deviation"
        What the bars are, if there are any.
    columns : int, default=2
        Panels in a row.
    same_scale : bool, default=True
        Whether all panels have the same vertical axis. Otherwise each begins where its own lines
        do, and still a step is as high in one as in another.
    title : str, default=""
        Above all panels.

    Returns
    -------
    matplotlib.figure.Figure
        Save it with its ``savefig``.

    Raises
    ------
    ImportError
        If matplotlib is not installed.
    ValueError
        If there is no panel or no place in one, or a series has not one number for each place.

    Examples
    --------
    >>> figure = plot_lines([
    ...     Panel("MLP", ["1×", "5×", "10×"], [
    ...         Series("NNG-Mix", [0.71, 0.74, 0.76], published=[0.7, 0.75, 0.764]),
    ...         Series("Duplicate", [0.7, 0.72, float("nan")], control=True)])])
    >>> [text.get_text() for text in figure.legends[0].get_texts()]
    ['NNG-Mix', 'Duplicate', 'published']
    """
    if not panels:
        raise ValueError("panels must hold at least one panel.")
    for panel in panels:
        _check(panel)
    looks = _looks(panels)
    across = min(columns, len(panels))
    down = -(-len(panels) // across)
    some = [series for panel in panels for series in panel.series]
    bars = any(_any(series.spread) for series in some)
    figure = new_figure(7 if across > 1 else 5, 2.5 * down + 0.6)
    axes = list(figure.subplots(down, across, sharey=same_scale, squeeze=False).flat)
    for axis in axes[len(panels) :]:
        axis.remove()
    for place, (axis, panel) in enumerate(zip(axes, panels, strict=False)):
        _draw(axis, panel, looks)
        if place % across == 0:
            axis.set_ylabel(quantity, fontsize=10)
    if not same_scale:
        _stretch([axis for axis in axes[: len(panels)] if axis.has_data()])
    _add_legend(figure, looks, any(_any(s.published) for s in some), spread if bars else "")
    add_title(figure, title)
    return figure


def _draw(axis: "Axes", panel: Panel, looks: dict[str, Look]) -> None:
    middle = (len(panel.series) - 1) / 2
    # Bars on top of each other can't be seen, so the lines move aside a little.
    aside = 0.07 if any(_any(series.spread) for series in panel.series) else 0.0
    for place, series in enumerate(panel.series):
        if not (_any(series.values) or _any(series.published)):
            continue
        colour, mark, stroke = looks[series.label]
        x = np.arange(len(panel.x)) + aside * (place - middle)
        values = np.asarray(series.values, dtype=np.float64)
        # Above the others: where a method does no better than the control, both show.
        order = 3.0 if series.control else 2.0
        if series.spread is not None:
            low, high = (values + sign * np.asarray(series.spread) for sign in (-1, 1))
            axis.vlines(x, low, high, color=colour, lw=1, alpha=0.7, zorder=order)
        axis.plot(x, values, color=colour, ls=stroke, marker=mark, ms=5, lw=1.6, zorder=order)
        if series.published is not None:
            axis.scatter(
                x, series.published, s=75, marker="o", facecolors="none", edgecolors=colour, lw=1.2
            )
    if not axis.has_data():
        axis.text(0.5, 0.5, "no results", ha="center", transform=axis.transAxes, fontsize=10)
    axis.set_xlim(-0.4, len(panel.x) - 0.6)
    crowded = sum(len(text) + 2 for text in panel.x) > 40
    axis.set_xticks(
        range(len(panel.x)),
        panel.x,
        rotation=35 if crowded else 0,
        ha="right" if crowded else "center",
        rotation_mode="anchor",
    )
    axis.tick_params(labelsize=9)
    axis.tick_params(axis="y", labelleft=True)
    axis.set_xlabel(panel.xlabel, fontsize=10)
    axis.set_title(panel.title, fontsize=10)
    axis.grid(axis="y", color="#e8e8e8")
    axis.set_axisbelow(True)
    for side in ("top", "right"):
        axis.spines[side].set_visible(False)


def _stretch(axes: Sequence["Axes"]) -> None:
    """Make all axes span as much as the one that spans most, around their own middles."""
    limits = [axis.get_ylim() for axis in axes]
    half = max((high - low for low, high in limits), default=0.0) / 2
    for axis, (low, high) in zip(axes, limits, strict=True):
        axis.set_ylim((low + high) / 2 - half, (low + high) / 2 + half)


def _add_legend(figure: "Figure", looks: dict[str, Look], published: bool, spread: str) -> None:
    from matplotlib.lines import Line2D

    entries: dict[str, Line2D] = {
        label: Line2D([], [], color=colour, marker=mark, ms=5, ls=stroke)
        for label, (colour, mark, stroke) in looks.items()
    }
    if published:
        entries["published"] = Line2D(
            [], [], color=DARK_GREY, marker="o", ms=8, mfc="none", ls="none"
        )
    if spread:
        entries[f"± {spread}"] = Line2D(
            [], [], color=DARK_GREY, marker="|", ms=11, mew=1.2, ls="none"
        )
    # About fourteen letters fit on an inch; a line's sample takes the room of seven.
    width, height = figure.get_size_inches()
    across = max(1, int(14 * width // (7 + max(map(len, entries)))))
    down = -(-len(entries) // across)
    figure.set_size_inches(width, height + 0.2 * down)
    figure.legend(
        list(entries.values()),
        list(entries),
        loc="outside lower center",
        ncols=-(-len(entries) // down),
        frameon=False,
        fontsize=9,
    )


def _looks(panels: Sequence[Panel]) -> dict[str, Look]:
    series = [series for panel in panels for series in panel.series]
    lines = dict.fromkeys(one.label for one in series if not one.control)
    own = {label: _LOOKS[place % len(_LOOKS)] for place, label in enumerate(lines)}
    return {one.label: own.get(one.label, _CONTROL) for one in series}


def _check(panel: Panel) -> None:
    if not len(panel.x):
        raise ValueError(f"x of panel {panel.title!r} must have at least one place.")
    for series in panel.series:
        for name in ("values", "spread", "published"):
            given = getattr(series, name)
            if given is not None and len(given) != len(panel.x):
                raise ValueError(
                    f"{name} of {series.label!r} in panel {panel.title!r} must be one for each "
                    f"of {len(panel.x)} places; got {len(given)}."
                )


def _any(numbers: Numbers | None) -> bool:
    return numbers is not None and bool(np.isfinite(numbers).any())
