"""imbalanced-learn's own check suite, on every sampler.

The suite's data have three classes, so most of its checks apply to a sampler that is told, as any
imbalanced-learn sampler is, which classes to fill up (``sampling_strategy="auto"``). Under the
default, y is 1 for a labelled anomaly and 0 elsewhere; what cannot apply there is listed.
"""

import pytest
from imblearn.utils.estimator_checks import parametrize_with_checks

from nngmix import Chain, Cutout, GaussianNoise
from nngmix.sampling import SAMPLERS

# NPOS costs n_candidates times what the others do; the checks need few.
CHEAP = {"NPOS": {"n_candidates": 10}}


def build(name, **settings):
    kind = SAMPLERS[name]
    if "random_state" in kind().get_params():
        settings["random_state"] = 0
    return kind(**settings, **CHEAP.get(name, {}))


def every_sampler(**settings):
    chain = Chain([Cutout(), GaussianNoise()], random_state=0, **settings)
    return [*(build(name, **settings) for name in SAMPLERS), chain]


@parametrize_with_checks(every_sampler(sampling_strategy="auto"))
def test_as_a_sampler_for_any_classes(estimator, check, request):
    check(estimator)


THREE_CLASSES = "y has three classes; by default it must be 1 (anomaly) or 0 (unlabelled)"
NOT_BY_DEFAULT = dict.fromkeys(
    (
        "check_samplers_fit_resample",
        "check_samplers_pandas",
        "check_samplers_pandas_sparse",
        "check_samplers_list",
        "check_samplers_multiclass_ova",
        "check_samplers_preserve_dtype",
        "check_samplers_sample_indices",
        "check_samplers_2d_target",
    ),
    THREE_CLASSES,
)


@parametrize_with_checks(every_sampler(), expected_failed_checks=lambda _: NOT_BY_DEFAULT)
def test_as_it_comes(estimator, check):
    check(estimator)


@pytest.mark.parametrize("name", SAMPLERS)
def test_suite_is_not_empty(name):
    from imblearn.utils.estimator_checks import estimator_checks_generator

    checks = list(estimator_checks_generator(build(name, sampling_strategy="auto")))
    assert len(checks) >= 14
