"""The nearest unlabelled rows of a few anomalies, exactly, in bounded memory."""

from nngmix.neighbors.exact import Metric, Nearest, k_nearest, merge_nearest, row_keys

__all__ = ["Metric", "Nearest", "k_nearest", "merge_nearest", "row_keys"]
