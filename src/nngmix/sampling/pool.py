"""The small pool that a sampler keeps instead of the data."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from nngmix.neighbors import k_nearest, row_keys
from nngmix.sampling.scaling import Scale

Floats = NDArray[np.floating]


@dataclass(frozen=True)
class Pool:
    """All that generation needs: the labelled anomalies and the rows near them.

    The order is given by the rows' content, so that equal data give equal pools however they came.

    Attributes
    ----------
    anomalies : ndarray of shape (n_anomalies, n_features)
        The labelled anomalies, in the units that came in.
    unlabelled : ndarray of shape (n_kept, n_features)
        Every unlabelled row that is near some anomaly, once.
    near_anomalies : ndarray of shape (n_anomalies, n_near), int64
        For each anomaly, the places in ``anomalies`` of its nearest others, nearest first. An
        anomaly that is alone is its own.
    near_unlabelled : ndarray of shape (n_anomalies, n_near), int64
        For each anomaly, the places in ``unlabelled`` of its nearest, nearest first.
    scale : Scale
        The units in which nearness is measured and noise is drawn.
    """

    anomalies: Floats
    unlabelled: Floats
    near_anomalies: NDArray[np.int64]
    near_unlabelled: NDArray[np.int64]
    scale: Scale


def build_pool(anomalies: Floats, unlabelled: Floats, n_neighbors: int, scale: Scale) -> Pool:
    """Find each anomaly's neighbours and keep just those rows.

    Parameters
    ----------
    anomalies : ndarray of shape (n_anomalies, n_features)
        At least one.
    unlabelled : ndarray of shape (n_unlabelled, n_features)
        At least one.
    n_neighbors : int
        k. From the unlabelled rows the k nearest; from the anomalies the k nearest counting the
        row itself, which is then left out, as the published program does. 0 keeps the anomalies
        alone.
    scale : Scale
        Units for distances.

    Returns
    -------
    Pool
    """
    anomalies = anomalies[np.argsort(row_keys(anomalies), kind="stable")]
    nothing = np.empty((len(anomalies), 0), dtype=np.int64)
    if n_neighbors == 0:
        return Pool(anomalies, unlabelled[:0].copy(), nothing, nothing, scale)
    near_anomalies = _near_others(anomalies, n_neighbors, scale)
    found = k_nearest(anomalies, unlabelled, n_neighbors, scale=scale.unit)
    # Equal rows have equal keys: one of each is kept, in the order of the keys.
    _, first, place = np.unique(found.key, return_index=True, return_inverse=True)
    kept = unlabelled[found.index.ravel()[first]]
    near_unlabelled = place.reshape(found.key.shape).astype(np.int64)
    return Pool(anomalies, kept, near_anomalies, near_unlabelled, scale)


def _near_others(anomalies: Floats, n_neighbors: int, scale: Scale) -> NDArray[np.int64]:
    n = len(anomalies)
    if n == 1:
        return np.zeros((1, 1), dtype=np.int64)
    # At least two, so that something is left when the row itself is taken out.
    index = k_nearest(anomalies, anomalies, min(max(n_neighbors, 2), n), scale=scale.unit).index
    itself = index == np.arange(n)[:, None]
    # Among many exact copies the row may miss itself: then the last goes.
    itself[~itself.any(axis=1), -1] = True
    return index[~itself].reshape(n, -1)
