"""The nearest unlabelled rows of a few anomalies, in bounded memory."""

from nngmix.neighbors.approximate import ApproximateNeighbors
from nngmix.neighbors.exact import (
    Metric,
    Nearest,
    expect_work,
    k_nearest,
    merge_nearest,
    row_keys,
)

__all__ = [
    "ApproximateNeighbors",
    "Metric",
    "Nearest",
    "expect_work",
    "k_nearest",
    "merge_nearest",
    "row_keys",
]
