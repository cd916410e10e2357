"""Duplicate, the control: copies of the labelled anomalies, each as often as any other."""

from collections import Counter

import numpy as np
import pytest
from sampling_checks import draw
from sklearn.base import clone

from nngmix import Duplicate

rng = np.random.default_rng(81)
ANOMALIES, UNLABELLED = rng.normal(size=(7, 5)), rng.normal(size=(20, 5))


def naive(anomalies, unlabelled, multiplier, *, broken=""):
    rng = np.random.default_rng(0)
    out = []
    for row in anomalies:
        for _ in range(multiplier - (broken == "one copy less")):
            row = row.copy()
            if broken == "noise":
                row += rng.normal(0, 1e-12, len(row))
            if broken == "drawn at random":
                row = anomalies[rng.integers(len(anomalies))]
            if broken == "unlabelled":
                row = unlabelled[rng.integers(len(unlabelled))]
            out.append(row)
    return np.array(out)


def ours(anomalies, unlabelled, multiplier):
    X = np.vstack([anomalies, unlabelled])
    y = np.repeat([1, 0], [len(anomalies), len(unlabelled)])
    X_new, y_new = Duplicate(multiplier=multiplier).fit_resample(X, y)
    assert np.array_equal(X_new[: len(X)], X)
    assert np.array_equal(y_new, np.r_[y, np.ones(multiplier * len(anomalies), int)])
    return X_new[len(X) :]


def count(rows):
    return Counter(map(tuple, rows.tolist()))


def check(generate, multiplier):
    """Each anomaly exactly ``multiplier`` times, and nothing else."""
    expected = Counter({tuple(row): multiplier for row in ANOMALIES.tolist()})
    assert count(generate(ANOMALIES, UNLABELLED, multiplier)) == expected


@pytest.mark.parametrize("generate", [ours, naive])
@pytest.mark.parametrize("multiplier", [1, 2, 10, 37])
def test_each_anomaly_as_often_as_asked(generate, multiplier):
    check(generate, multiplier)


@pytest.mark.parametrize("change", ["one copy less", "noise", "drawn at random", "unlabelled"])
def test_broken_versions_are_caught(change):
    with pytest.raises(AssertionError):
        check(lambda *data: naive(*data, broken=change), 10)


def test_defaults():
    assert Duplicate().get_params() == {
        "multiplier": 10,
        "sampling_strategy": None,
        "categorical_features": "dtype",
    }
    assert len(Duplicate().fit_resample(ANOMALIES, [1, 0, 0, 1, 0, 0, 0])[0]) == 7 + 20


def test_equal_anomalies_are_copied_each():
    anomalies = ANOMALIES[[0, 0, 1]]
    rows = ours(anomalies, UNLABELLED, 4)
    assert count(rows) == {tuple(ANOMALIES[0].tolist()): 8, tuple(ANOMALIES[1].tolist()): 4}


def test_single_anomaly_and_single_feature():
    assert (ours(np.array([[3.0]]), np.array([[1.0]]), 5) == 3).all()


@pytest.mark.parametrize("n", [1, 6, 7, 8, 1000])
def test_sample_goes_round(n):
    counted = count(draw(Duplicate(), ANOMALIES, UNLABELLED, n))
    often = [counted.get(tuple(row), 0) for row in ANOMALIES.tolist()]
    assert sum(often) == n
    assert max(often) - min(often) <= 1


def test_copies_stay_even_over_many_blocks_of_wide_rows():
    # 3200 columns: a block is 20 rows, which 7 anomalies don't divide.
    anomalies = np.random.default_rng(0).normal(size=(7, 3200))
    rows = ours(anomalies, anomalies[:2], 30)
    assert sorted(count(rows).values()) == [30] * 7


def test_nothing_is_random():
    sampler = Duplicate()
    rows = draw(sampler, ANOMALIES, UNLABELLED, 50)
    assert np.array_equal(rows, sampler.sample(50, random_state=5))
    assert np.array_equal(rows, draw(clone(sampler), ANOMALIES, UNLABELLED, 50))
