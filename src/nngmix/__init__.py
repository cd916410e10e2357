"""nngmix: a handful of labelled anomalies plus a sea of unlabelled rows makes a better detector.

The names below load on first use, so that ``import nngmix`` stays light.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

if TYPE_CHECKING:
    from nngmix.encoding import TableEncoder
    from nngmix.persistence import load, save
    from nngmix.sampling import (
        NPOS,
        Chain,
        CutMix,
        Cutout,
        Duplicate,
        GaussianNoise,
        Mixup,
        NNGMix,
        RoSAS,
    )

__all__ = [
    "NPOS",
    "Chain",
    "CutMix",
    "Cutout",
    "Duplicate",
    "GaussianNoise",
    "Mixup",
    "NNGMix",
    "RoSAS",
    "TableEncoder",
    "__version__",
    "load",
    "save",
]

_HOME = {name: "nngmix.sampling" for name in __all__ if name != "__version__"}
_HOME["TableEncoder"] = "nngmix.encoding"
_HOME["load"] = _HOME["save"] = "nngmix.persistence"


def __getattr__(name: str) -> Any:
    if name in _HOME:
        return getattr(import_module(_HOME[name]), name)
    raise AttributeError(f"module 'nngmix' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
