"""What labels tell: normal scores, weights, estimates, probabilities, leaks."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.stats import norm, spearmanr
from sklearn.metrics import average_precision_score

from nngmix.detectors.evidence import (
    NormalScores,
    Probability,
    Trust,
    find_leaks,
    in_words,
    measure_quality,
    weigh,
    weigh_without,
)

scores = arrays(float, st.integers(1, 60), elements=st.floats(-1e6, 1e6))


@given(scores, scores)
def test_normal_scores_keep_the_order(learned, new):
    scale = NormalScores().fit(learned)
    normal = scale.transform(np.sort(new))
    assert np.isfinite(normal).all()
    assert (np.diff(normal) >= -1e-9).all()
    assert ((normal >= -4) & (normal <= 8)).all()


def test_normal_scores_are_normal():
    learned = np.random.default_rng(0).exponential(size=20_000)
    normal = NormalScores().fit(learned).transform(learned)
    ranks = (np.argsort(np.argsort(learned)) + 0.5) / 20_000
    upper = ranks > 0.01  # the lowest do not matter
    assert np.abs(normal - norm.ppf(ranks))[upper].max() < 0.1
    assert spearmanr(normal, learned).statistic > 0.99999


def test_what_exceeds_all_learned_scores_still_has_an_order():
    scale = NormalScores().fit(np.random.default_rng(0).random(1000))
    high = scale.transform(np.array([1.0, 1.1, 1.2, 1e9]))
    assert (np.diff(high) > 0).all()
    assert np.isnan(scale.transform(np.array([np.nan])))[0]


def test_scores_that_all_agree():
    scale = NormalScores().fit(np.ones(10))
    low, same, high = scale.transform(np.array([0.0, 1.0, 2.0]))
    assert low == same == pytest.approx(0)
    assert high > same


def test_without_evidence_a_view_stands_as_expected():
    trust = Trust(2.0, 1.5)
    assert weigh(trust, np.full(3, np.nan), np.ones(3)) == pytest.approx((2.0, 1.5))


def test_a_view_that_needs_labels_has_half_of_its_weight_with_so_many():
    trust = Trust(4, 1.5, labels=20)
    for n, share in ((5, 0.2), (20, 0.5), (180, 0.9)):
        weight, mean = weigh(trust, np.full(n, 1.5), np.ones(n))
        assert (weight, mean) == pytest.approx((4 * share, 1.5))
        assert trust.expect(n) == pytest.approx(4 * share)
    assert trust.expect(0) == weigh(trust, np.array([np.nan]), np.ones(1))[0] == 0


def test_evidence_outweighs_expectation_with_its_number():
    trust = Trust(1.0, 1.0)
    found = [weigh(trust, np.full(n, 3.0), np.ones(n)) for n in (1, 6, 600)]
    assert [mean for _, mean in found] == pytest.approx([9 / 7, 2.0, (1800 + 6) / 606])
    assert [weight for weight, _ in found] == pytest.approx([m**2 for _, m in found])
    assert weigh(trust, np.full(50, -2.0), np.ones(50))[0] == 0
    # Only how weights compare counts.
    uneven = np.array([1.0, 3.0])
    assert weigh(trust, uneven, np.array([3.0, 1.0])) == weigh(trust, uneven, np.array([6.0, 2.0]))


@given(
    arrays(float, st.integers(2, 8), elements=st.floats(-4, 8) | st.just(np.nan)),
    st.integers(0, 2**31),
    st.sampled_from([0.0, 20.0]),
)
def test_weights_without_an_anomaly_are_those_of_the_others(found, seed, labels):
    trust = Trust(2.0, 1.5, labels)
    weights = np.random.default_rng(seed).uniform(0.5, 2, len(found))
    weights /= weights.mean()
    for left_out, weight in enumerate(weigh_without(trust, found, weights)):
        # What is unknown counts nothing: the others keep what they count.
        others = np.where(np.arange(len(found)) == left_out, np.nan, found)
        assert weight == pytest.approx(weigh(trust, others, weights)[0])


def draw(n_unlabelled, n_labels, share, distance, seed):
    """Scores of unlabelled rows (some of them anomalies) and of labelled anomalies."""
    rng = np.random.default_rng(seed)
    hidden = rng.random(n_unlabelled) < share
    unlabelled = rng.standard_normal(n_unlabelled) + distance * hidden
    return unlabelled, rng.standard_normal(n_labels) + distance, hidden


SLOW = pytest.mark.slow


@pytest.mark.parametrize(
    "n_labels", [pytest.param(5, marks=SLOW), 20, pytest.param(100, marks=SLOW)]
)
@pytest.mark.parametrize(("share", "known"), [(0.02, True), (0.1, False), (0.3, False)])
def test_intervals_hold_the_truth_mostly(n_labels, share, known):
    held = {"aucroc": 0, "aucpr": 0}
    many, _, anomalous = draw(100_000, 1, share, 2.0, 99)
    truth = {
        "aucroc": norm.cdf(2 / np.sqrt(2)),
        "aucpr": average_precision_score(anomalous, many),
    }
    for seed in range(40):
        unlabelled, found, _ = draw(3000, n_labels, share, 2.0, seed)
        quality = measure_quality(unlabelled, found, share if known else None)
        for name, value in truth.items():
            low, high = getattr(quality, name + "_interval")
            assert 0 <= low <= high <= 1
            held[name] += low <= value <= high
    assert min(held.values()) >= 32


def test_more_labels_narrow_the_intervals():
    widths = []
    for n in (3, 15, 150):
        each = [measure_quality(*draw(3000, n, 0.1, 2.0, seed)[:2]) for seed in range(10)]
        widths.append(np.mean([np.diff(quality.aucroc_interval) for quality in each]))
    assert widths[0] > widths[1] > widths[2]


def test_nothing_is_estimated_from_nothing():
    quality = measure_quality(np.arange(10.0), np.array([np.nan]))
    assert quality.n_labels == 0
    assert np.isnan([quality.aucroc, quality.aucpr]).all()


@given(scores, st.floats(0.001, 0.5), st.integers(0, 30))
def test_probabilities_rise_with_the_score(unlabelled, share, n_labels):
    found = np.linspace(0, 4, n_labels)
    grid = Probability().fit(unlabelled, found, share).transform(np.linspace(-6, 10, 500))
    assert ((grid >= 0) & (grid <= 1)).all()
    assert (np.diff(grid) >= -1e-12).all()


def test_probabilities_are_calibrated():
    unlabelled, found, _ = draw(20_000, 200, 0.1, 3.0, 0)
    new, _, truth = draw(20_000, 1, 0.1, 3.0, 1)
    probability = Probability().fit(unlabelled, found, 0.1).transform(new)
    for low, high in ((0, 0.1), (0.1, 0.5), (0.5, 1)):
        among = (probability >= low) & (probability <= high)
        assert abs(probability[among].mean() - truth[among].mean()) < 0.08


def test_leaks_by_value_and_by_gap():
    rng = np.random.default_rng(0)
    unlabelled, anomalies = rng.random((500, 5)), rng.random((20, 5))
    unlabelled[:, 1], anomalies[:, 1] = 0, 1
    unlabelled[:, 2], anomalies[:, 2] = rng.normal(0, 0.1, 500), rng.normal(5, 0.1, 20)
    anomalies[:, 3] = np.nan
    unlabelled[:, 4] = np.nan
    assert find_leaks(unlabelled, anomalies) == [1, 2, 3, 4]
    assert find_leaks(unlabelled, anomalies[:2]) == []
    # A single row that is like them is no proof that there is none.
    unlabelled[0, 1] = 1
    assert find_leaks(unlabelled, anomalies) == [1, 2, 3, 4]
    unlabelled[1, 1] = 1
    assert find_leaks(unlabelled, anomalies) == [2, 3, 4]


@pytest.mark.parametrize(
    ("items", "words"),
    [([], ""), (["a"], "a"), (["a", "b"], "a and b"), (list("abcd"), "a, b and 2 more")],
)
def test_in_words(items, words):
    assert in_words(items, 2) == words
