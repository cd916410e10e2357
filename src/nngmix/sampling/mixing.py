"""What the mixing samplers share: the weight's distribution and the mixture itself."""

from numbers import Real
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.utils._param_validation import Interval, StrOptions

Floats = NDArray[np.floating]

#: What ``alpha`` may be, for parameter validation.
ALPHA: list[Any] = [Interval(Real, 0, None, closed="neither"), StrOptions({"uniform"})]


def draw_weights(
    rng: np.random.Generator, alpha: float | str, n: int, dtype: np.dtype[Any]
) -> Floats:
    """Draw the weight (the paper's lambda) of the first parent of each row.

    Parameters
    ----------
    rng : numpy.random.Generator
        Random stream.
    alpha : float or "uniform"
        Beta(alpha, alpha), or evenly from 0 to 1.
    n : int
        How many.
    dtype : dtype
        Of the result.

    Returns
    -------
    ndarray of shape (n, 1)
        A column, ready to multiply rows.
    """
    weight = rng.random(n) if isinstance(alpha, str) else rng.beta(float(alpha), float(alpha), n)
    return weight.astype(dtype)[:, None]


def mix(first: Floats, second: Floats, weight: Floats, out: Floats) -> None:
    """Write ``weight * first + (1 - weight) * second`` into ``out``.

    Parameters
    ----------
    first, second : ndarray of shape (n, n_features)
        The two parents of each row.
    weight : ndarray of shape (n, 1)
        Weight of ``first``.
    out : ndarray of shape (n, n_features)
        Written in place; may not share memory with the parents.
    """
    # second + w (first - second): parents that agree in a column give that very value.
    np.subtract(first, second, out=out)
    out *= weight
    out += second
