"""Detectors: learn from labelled anomalies and unlabelled rows, then score any row.

Every detector is a scikit-learn classifier with an outlier detector's manners: ``fit(X, y)`` with
``y = 1`` for a labelled anomaly and 0 for an unlabelled row, then ``decision_function``, higher =
more anomalous. The libraries that detectors wrap load when a detector is fitted, not here.
"""

from nngmix.detectors.auto import AutoDetector, LabelsWarning
from nngmix.detectors.bagged_trees import BaggedTrees
from nngmix.detectors.base import BaseDetector
from nngmix.detectors.catboost import CatBoost
from nngmix.detectors.deepsad import DeepSAD
from nngmix.detectors.ft_transformer import FTTransformer
from nngmix.detectors.mlp import MLP
from nngmix.detectors.xgbod import XGBOD

__all__ = [
    "DETECTORS",
    "MLP",
    "XGBOD",
    "AutoDetector",
    "BaggedTrees",
    "CatBoost",
    "DeepSAD",
    "FTTransformer",
    "LabelsWarning",
]

#: Every detector by the name that experiments and the command line use.
DETECTORS: dict[str, type[BaseDetector]] = {
    "DeepSAD": DeepSAD,
    "XGBOD": XGBOD,
    "MLP": MLP,
    "FTTransformer": FTTransformer,
    "CatBoost": CatBoost,
    "BaggedTrees": BaggedTrees,
    "AutoDetector": AutoDetector,
}
