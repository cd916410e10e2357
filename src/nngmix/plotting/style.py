"""What all pictures share."""

import math
import textwrap
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from matplotlib.figure import Figure

# Okabe and Ito's colours, told apart by colour-blind readers and on grey paper.
GREY, BLUE, VERMILION = "#b0b0b0", "#0072b2", "#d55e00"
GREEN, PURPLE, ORANGE, SKY_BLUE = "#009e73", "#cc79a7", "#e69f00", "#56b4e9"
# For lines and letters, where the grey of dots would be too faint.
DARK_GREY = "#606060"


def add_title(figure: "Figure", title: str) -> None:
    """Write a title above all panels, in several lines if need be; the figure grows by them.

    Parameters
    ----------
    figure : matplotlib.figure.Figure
        As :func:`new_figure` makes it.
    title : str
        Nothing is done where it is empty.

    Examples
    --------
    >>> figure = new_figure(3, 2)
    >>> add_title(figure, "a title that is longer than three inches")
    >>> figure.get_suptitle().splitlines()
    ['a title that is longer than three', 'inches']
    """
    width, height = figure.get_size_inches()
    # About eleven of its letters fit on an inch.
    lines = textwrap.wrap(title, max(1, int(11 * width)))
    figure.set_size_inches(width, height + 0.22 * len(lines))
    if lines:
        figure.suptitle("\n".join(lines), fontsize=11)


def signed(value: float, digits: int = 3) -> str:
    """Write a difference: always with a sign, but for what rounds to zero.

    Parameters
    ----------
    value : float
        NaN becomes a dash.
    digits : int, default=3
        After the point.

    Returns
    -------
    str

    Examples
    --------
    >>> signed(0.0123), signed(-0.0123), signed(-0.0001), signed(float("nan"))
    ('+0.012', '−0.012', '0.000', '–')
    """
    if math.isnan(value):
        return "–"
    text = f"{value:+.{digits}f}"
    return text.replace("-", "−") if float(text) else text[1:]


def new_figure(width: float, height: float) -> "Figure":
    """Make an empty figure of its own, not pyplot's: no global state, no display needed.

    Parameters
    ----------
    width, height : float
        In inches.

    Returns
    -------
    matplotlib.figure.Figure

    Raises
    ------
    ImportError
        If matplotlib is not installed.

    Examples
    --------
    >>> new_figure(4, 3).get_size_inches()
    array([4., 3.])
    """
    try:
        from matplotlib.figure import Figure
    except ImportError:
        raise ImportError("pictures need matplotlib: pip install 'nngmix[plot]'") from None
    return Figure(figsize=(width, height), layout="constrained", dpi=130)
