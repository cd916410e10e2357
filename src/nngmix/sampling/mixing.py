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
    weight = rng.random(n) if isinstance(alpha, str) else rng.beta(float(alpha), float(alpha), n)
    return weight.astype(dtype)[:, None]


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
    noise = rng.standard_normal(rows.shape, dtype=rows.dtype.type)
    noise *= sigma
    spread = pool.scale.spread
    if (spread != 1).any():
        noise *= spread.astype(rows.dtype)
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
