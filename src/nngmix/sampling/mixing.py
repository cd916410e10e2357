"""What the mixing samplers share: the weight's distribution, the mixture, the noise."""

from numbers import Real
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.utils._param_validation import Interval, StrOptions

from nngmix.sampling.pool import Pool

Floats = NDArray[np.floating]

#: What ``alpha`` may be, for parameter validation.
ALPHA: list[Any] = [Interval(Real, 0, None, closed="neither"), StrOptions({"uniform"})]
#: What ``sigma`` may be.
SIGMA: list[Any] = [Interval(Real, 0, None, closed="left")]


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
    if isinstance(alpha, str):
        weight = rng.random(n)
    elif 1e-3 <= alpha <= 1:
        weight = _draw_beta(rng, float(alpha), n)
    else:
        weight = rng.beta(float(alpha), float(alpha), n)
    return weight.astype(dtype)[:, None]


def _draw_beta(rng: np.random.Generator, alpha: float, n: int) -> NDArray[np.float64]:
    """Draw from Beta(alpha, alpha) by Jöhnk's method, all at once: many times numpy's pace.

    u ** (1 / alpha) and v ** (1 / alpha), divided by their sum, follow the law where that sum is
    at most 1. Where it is not, numpy draws in their stead.
    """
    log_x = np.log(1 - rng.random(n)) / alpha  # random() may be 0, but never 1
    log_y = np.log(1 - rng.random(n)) / alpha
    beyond = np.exp(log_x) + np.exp(log_y) > 1
    with np.errstate(over="ignore"):  # 1 / infinity is the 0 that is meant
        # x / (x + y), by logarithms: both powers may be too small for a float.
        weight = 1 / (1 + np.exp(log_y - log_x))
    weight[beyond] = rng.beta(alpha, alpha, np.count_nonzero(beyond))
    return weight


def draw_normal(rng: np.random.Generator, shape: tuple[int, ...], dtype: np.dtype[Any]) -> Floats:
    """Draw from the standard normal distribution by Box and Muller's method.

    Its logarithms, sines and cosines are computed many at a time, which takes a third of the time
    of numpy's ``standard_normal``.

    Parameters
    ----------
    rng : numpy.random.Generator
        Random stream.
    shape : tuple of int
        Of the result.
    dtype : dtype
        float32 or float64. The largest values there are: 6.8 (one in 10^11 would be larger), and
        9.5.

    Returns
    -------
    ndarray of the given shape
    """
    out = np.empty(shape, dtype)
    flat = out.reshape(-1)
    half = (flat.size + 1) // 2  # numbers come in pairs; of an odd number the last is left out
    n_bits = 8 * dtype.itemsize
    chance = rng.integers(2**64 - 1, size=half * n_bits // 32, dtype=np.uint64, endpoint=True)
    chance = chance.view(f"u{dtype.itemsize}")
    # A number from 0 to 1, without either, gives the squared length of the pair; an angle from
    # -pi to pi its direction.
    length = chance[:half].astype(dtype)
    length += dtype.type(0.5)
    length *= dtype.type(2.0**-n_bits)
    np.log(length, out=length)
    length *= -2
    np.sqrt(length, out=length)
    angle = chance[half:].view(f"i{dtype.itemsize}").astype(dtype)
    angle *= dtype.type(np.pi * 2.0 ** (1 - n_bits))
    np.cos(angle, out=flat[:half])
    flat[:half] *= length
    rest = flat.size - half
    np.sin(angle[:rest], out=flat[half:])
    flat[half:] *= length[:rest]
    return out


def mix(rows: Floats, partners: Floats, weight: Floats, pool: Pool) -> None:
    """Turn ``rows`` into ``weight * rows + (1 - weight) * partners``, in place.

    A category is that of the parent with the larger weight. A cell is missing where that parent's
    is; where only the other's is missing, it is that parent's value.

    Parameters
    ----------
    rows, partners : ndarray of shape (n, n_features)
        The two parents of each row; ``partners`` is overwritten too.
    weight : ndarray of shape (n, 1)
        Weight of ``rows``.
    pool : Pool
        Tells the categorical columns.
    """
    categorical = pool.scale.categorical
    inherited = None
    if pool.gaps or categorical.any():
        heavier = np.where(weight >= 0.5, rows, partners)
        inherited = np.isnan(rows) | np.isnan(partners) | categorical
    # partner + w (row - partner): parents that agree in a column give that very value.
    rows -= partners
    rows *= weight
    rows += partners
    if inherited is not None:
        np.copyto(rows, heavier, where=inherited)


def add_noise(rows: Floats, sigma: float | Floats, pool: Pool, rng: np.random.Generator) -> None:
    """Add Gaussian noise, in place; none to categories, and none where a cell is missing.

    Parameters
    ----------
    rows : ndarray of shape (n, n_features)
        Changed in place.
    sigma : float or ndarray of shape (n, 1)
        Standard deviation, in scaled units.
    pool : Pool
        Tells the units.
    rng : numpy.random.Generator
        Random stream.
    """
    noise = draw_normal(rng, rows.shape, rows.dtype)
    spread = pool.scale.spread
    noise *= sigma if (spread == 1).all() else sigma * spread.astype(rows.dtype)
    rows += noise


def draw_unlabelled(pool: Pool, n: int, rng: np.random.Generator) -> Floats:
    """Draw unlabelled rows at random, with replacement.

    Parameters
    ----------
    pool : Pool
        Built with ``drawn`` among its needs.
    n : int
        How many.
    rng : numpy.random.Generator
        Random stream.

    Returns
    -------
    ndarray of shape (n, n_features)
    """
    ends = np.cumsum(pool.drawn_times)
    return pool.drawn[np.searchsorted(ends, rng.integers(ends[-1], size=n), side="right")]


def draw_from_all(pool: Pool, anomaly: NDArray[np.intp], rng: np.random.Generator) -> Floats:
    """Draw a partner for each row from all training rows, labelled or not, but not itself.

    Parameters
    ----------
    pool : Pool
        Built with ``drawn`` among its needs.
    anomaly : ndarray of shape (n,)
        The labelled anomaly that each row starts from.
    rng : numpy.random.Generator
        Random stream.

    Returns
    -------
    ndarray of shape (n, n_features)
    """
    n, n_anomalies = len(anomaly), len(pool.anomalies)
    others = n_anomalies - 1
    from_anomalies = rng.random(n) * (others + pool.n_unlabelled) < others
    partners = draw_unlabelled(pool, n, rng)
    chosen = draw_other(anomaly[from_anomalies], n_anomalies, rng)
    partners[from_anomalies] = pool.anomalies[chosen]
    return partners


def draw_other(
    anomaly: NDArray[np.intp], n_anomalies: int, rng: np.random.Generator
) -> NDArray[np.intp]:
    """Draw another labelled anomaly for each; itself only where it is alone.

    Parameters
    ----------
    anomaly : ndarray of shape (n,)
        Places of labelled anomalies.
    n_anomalies : int
        How many there are.
    rng : numpy.random.Generator
        Random stream.

    Returns
    -------
    ndarray of shape (n,)
        Places of other labelled anomalies, each as likely.
    """
    if n_anomalies == 1:
        return np.zeros_like(anomaly)
    other = rng.integers(n_anomalies - 1, size=len(anomaly))
    return other + (other >= anomaly)
