"""Pseudo-anomaly samplers: one method a file, one contract in ``base``."""

from nngmix.sampling.chain import Chain
from nngmix.sampling.cutmix import CutMix
from nngmix.sampling.cutout import Cutout
from nngmix.sampling.draw import DrawnRows, draw_rows
from nngmix.sampling.duplicate import Duplicate
from nngmix.sampling.files import TableFiles
from nngmix.sampling.gaussian_noise import GaussianNoise
from nngmix.sampling.mixup import Mixup
from nngmix.sampling.nng_mix import NNGMix
from nngmix.sampling.npos import NPOS
from nngmix.sampling.parts import Survey, fit_part, survey_part
from nngmix.sampling.rosas import RoSAS

#: Samplers by the name that the command line and the experiments use.
SAMPLERS = {
    sampler.__name__: sampler
    for sampler in (NNGMix, Mixup, Cutout, CutMix, GaussianNoise, NPOS, RoSAS, Duplicate)
}

__all__ = [
    "NPOS",
    "SAMPLERS",
    "Chain",
    "CutMix",
    "Cutout",
    "DrawnRows",
    "Duplicate",
    "GaussianNoise",
    "Mixup",
    "NNGMix",
    "RoSAS",
    "Survey",
    "TableFiles",
    "draw_rows",
    "fit_part",
    "survey_part",
]
