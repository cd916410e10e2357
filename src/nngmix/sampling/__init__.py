"""Pseudo-anomaly samplers: one method a file, one contract in ``base``."""

from nngmix.sampling.duplicate import Duplicate
from nngmix.sampling.nng_mix import NNGMix

#: Samplers by the name that the command line and the experiments use.
SAMPLERS = {sampler.__name__: sampler for sampler in (Duplicate, NNGMix)}

__all__ = ["SAMPLERS", "Duplicate", "NNGMix"]
