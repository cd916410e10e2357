"""What all pictures share."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from matplotlib.figure import Figure

# Okabe and Ito's colours, told apart by colour-blind readers and on grey paper.
GREY, BLUE, VERMILION = "#b0b0b0", "#0072b2", "#d55e00"


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
