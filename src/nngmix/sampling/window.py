"""The window of columns that Cutout blanks and CutMix cuts."""

import numpy as np
from numpy.typing import NDArray


def check_shares(low: float, high: float) -> None:
    """Refuse an empty range of widths."""
    if low > high:
        raise ValueError(f"low must not be above high; got low={low!r} and high={high!r}.")


def draw_window(
    rng: np.random.Generator, n: int, width: int, low: float, high: float
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Draw a window of columns for each of ``n`` rows, as the published program does.

    Parameters
    ----------
    rng : numpy.random.Generator
        Random stream.
    n : int
        How many windows.
    width : int
        Columns of the table.
    low, high : float
        Bounds of the window's share of the columns.

    Returns
    -------
    start, stop : ndarray of shape (n,)
        The window holds the columns from ``start`` up to, not including, ``stop``.
    """
    length = np.maximum((rng.uniform(low, high, n) * width).astype(np.int64), 1)
    centre = rng.integers(width, size=n)
    half = length // 2
    return np.clip(centre - half, 0, width), np.clip(centre + half, 0, width)
