"""Estimates of time: from the size of the data, and from what was measured."""

import itertools
import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nngmix.datasets import list_adbench
from nngmix.detectors import DETECTORS
from nngmix.experiments import Cell, Failure, Outcome
from nngmix.experiments.durations import Durations

KNOWN = [file for file in list_adbench() if file.n_rows and file.n_features]
NAMES = [
    "wine",
    "digits",
    "breast_cancer",
    "Classical/11_donors",
    "CV_by_ViT/CIFAR10_0",
    "NLP_by_BERT/agnews_0",
    "Classical/a file that is not ADBench's",
    "no suite",
    "",
]
CELLS = st.builds(
    Cell,
    st.sampled_from(NAMES),
    st.sampled_from(["none", "NNGMix", "NPOS", "Cutout+GaussianNoise"]),
    st.sampled_from([*DETECTORS, "a detector of tomorrow"]),
    multiplier=st.integers(0, 100),
    label_ratio=st.sampled_from([0.01, 0.1, 1.0]),
    seed=st.integers(0, 3),
    detector_settings=st.sampled_from([(), (("pretrain", False),)]),
)
RESULTS = st.builds(
    lambda cell, seconds, failed: (
        Failure(cell, "out of memory", seconds) if failed else Outcome(cell, 0.5, 0.5, seconds)
    ),
    CELLS,
    st.floats(0, 1e5),
    st.booleans(),
)


def outcome(cell, seconds):
    return Outcome(cell, 0.5, 0.5, seconds)


@settings(max_examples=150, deadline=None)
@given(st.lists(RESULTS, max_size=8), st.lists(CELLS, max_size=6), st.integers(1, 64))
def test_whatever_is_known_estimates_are_times(known, cells, n_jobs):
    durations = Durations(known)
    each = [durations.seconds(cell) for cell in cells]
    assert all(math.isfinite(seconds) and seconds > 0 for seconds in each)
    left = durations.left(cells, n_jobs)
    assert math.isfinite(left)
    assert left >= max(each, default=0.0)
    assert left >= sum(each) / n_jobs * (1 - 1e-12)
    assert durations.left(cells, n_jobs + 1) <= left
    assert durations.left(cells, 1) == pytest.approx(sum(each))


def test_nothing_left():
    assert Durations().left([], 4) == 0.0


@pytest.mark.parametrize("detector", DETECTORS)
def test_grows_with_the_data(detector):
    durations = Durations()
    checked = 0
    for small, large in itertools.permutations(KNOWN, 2):
        if small.n_rows <= large.n_rows and small.n_features <= large.n_features:
            times = [
                durations.seconds(Cell(file.full_name, "NNGMix", detector))
                for file in (small, large)
            ]
            assert times[0] <= times[1], (small.name, large.name)
            checked += 1
    assert checked > 200


def test_npos_grows_with_what_it_generates():
    cells = [Cell("Classical/10_cover", "NPOS", "MLP", multiplier=m) for m in (1, 10, 100)]
    times = [Durations().seconds(cell) for cell in cells]
    assert times == sorted(set(times))


def test_pretraining_takes_longer():
    with_it, without = (
        Cell("digits", "none", "DeepSAD", detector_settings=given)
        for given in ((), (("pretrain", False),))
    )
    assert Durations().seconds(with_it) > 2 * Durations().seconds(without)


@pytest.mark.parametrize("seconds", [0.001, 3.0, 900.0])
def test_comes_to_what_was_measured(seconds):
    cell = Cell("digits", "NNGMix", "MLP")
    durations = Durations()
    off = [abs(durations.seconds(cell) - seconds)]
    for seed in range(100):
        durations.add(outcome(Cell("digits", "NNGMix", "MLP", seed=seed), seconds))
        off.append(abs(durations.seconds(cell) - seconds))
    assert off == sorted(off, reverse=True)
    assert durations.seconds(cell) == pytest.approx(seconds, rel=0.05, abs=0.01)


def test_learns_for_others_less_than_for_its_own():
    """A slow dataset makes others seem slower, too, but not by as much."""
    slow, other = Cell("digits", "none", "MLP"), Cell("wine", "none", "MLP")
    elsewhere = Cell("wine", "none", "XGBOD")
    before = {cell: Durations().seconds(cell) for cell in (slow, other, elsewhere)}
    durations = Durations([outcome(slow, 20 * before[slow])])
    own, others, far = (durations.seconds(c) / before[c] for c in (slow, other, elsewhere))
    assert 1 < far < others < own < 20


def test_measured_ones_are_told_apart():
    quick, slow = Cell("wine", "none", "MLP"), Cell("digits", "none", "MLP")
    durations = Durations(
        outcome(Cell(name, "none", "MLP", seed=seed), seconds)
        for seed in range(50)
        for name, seconds in (("wine", 1.0), ("digits", 100.0))
    )
    assert durations.seconds(quick) == pytest.approx(1.0, rel=0.3)
    assert durations.seconds(slow) == pytest.approx(100.0, rel=0.3)


def test_a_failure_counts_with_its_time():
    cell = Cell("wine", "none", "MLP")
    failed = Durations([Failure(cell, "time limit of 3600 s", 3600.0)])
    assert failed.seconds(cell) == Durations([outcome(cell, 3600.0)]).seconds(cell)
    assert failed.seconds(cell) > 10 * Durations().seconds(cell)


def test_the_order_of_what_is_known_does_not_matter():
    known = [
        outcome(Cell(name, sampler, "MLP", seed=seed), 1.0 + seed)
        for name in ("wine", "digits")
        for sampler in ("none", "NNGMix")
        for seed in range(3)
    ]
    cell = Cell("wine", "Mixup", "MLP")
    one, other = Durations(known).seconds(cell), Durations(known[::-1]).seconds(cell)
    assert one == pytest.approx(other)
