"""RoSAS as a sampler against a version written row by row from the published description.

A labelled anomaly mixed with a random unlabelled row, weight Beta(0.5, 0.5). An unlabelled row that
occurs twice is drawn twice as often. `test_broken_versions_are_caught` shows that the checks can
fail.
"""

import numpy as np
import pytest
from sampling_checks import SIGNIFICANCE, check_mixtures, draw
from scipy import stats

from nngmix import RoSAS

rng = np.random.default_rng(31)
ROWS = rng.normal(size=(24, 30))
ANOMALIES = ROWS[:5]
#: How often each distinct unlabelled row occurs: 1, 2 or 3 times.
TIMES = 1 + np.arange(19) % 3
UNLABELLED = np.repeat(ROWS[5:], TIMES, axis=0)
UNLABELLED = UNLABELLED[rng.permutation(len(UNLABELLED))]


def naive(anomalies, unlabelled, n, *, seed, alpha=0.5, broken=""):
    rng = np.random.default_rng(seed)
    if broken == "alpha":
        alpha *= 1.3
    if broken == "alpha of Mixup":
        alpha = 0.2
    if broken == "distinct":
        unlabelled = np.unique(unlabelled, axis=0)
    if broken == "anomalies too":
        unlabelled = np.vstack([anomalies, unlabelled])
    if broken == "never the last":
        unlabelled = unlabelled[(unlabelled != unlabelled[-1]).any(axis=1)]
    out = []
    for _ in range(n):
        i = rng.integers(len(anomalies))
        if broken == "first twice as often" and rng.random() < 1 / (len(anomalies) + 1):
            i = 0
        weight = rng.random() if alpha == "uniform" else rng.beta(alpha, alpha)
        if broken == "heavier anomaly":
            weight = max(weight, 1 - weight)
        partner = unlabelled[rng.integers(len(unlabelled))]
        out.append(weight * anomalies[i] + (1 - weight) * partner)
    return np.array(out)


def ours(anomalies, unlabelled, n, *, seed, **settings):
    return draw(RoSAS(random_state=seed, **settings), anomalies, unlabelled, n)


def check_parents(generate, n):
    """Weights stay away from 0 and 1, so that both parents show: alpha = 20."""
    rows = generate(ANOMALIES, UNLABELLED, n, seed=1, alpha=20.0)
    law = {(i, 5 + j): float(times) for i in range(5) for j, times in enumerate(TIMES)}
    check_mixtures(rows, ROWS, law, stats.beta(20, 20), "rows")


def check_weight(generate, n, **settings):
    """The weight of the anomaly."""
    rows = generate(ANOMALIES, UNLABELLED, n, seed=2, **settings)
    weights = rows @ np.linalg.pinv(ROWS)
    np.testing.assert_allclose(weights @ ROWS, rows, atol=1e-9)
    alpha = settings.get("alpha", 0.5)
    law = stats.uniform if alpha == "uniform" else stats.beta(alpha, alpha)
    p = stats.kstest(weights[:, :5].sum(axis=1).clip(0, 1), law.cdf).pvalue
    assert p > SIGNIFICANCE, f"another distribution of the weights: p = {p:.2g}"


@pytest.mark.parametrize(("generate", "n"), [(ours, 60_000), (naive, 10_000)])
class TestStatistics:
    def test_parents(self, generate, n):
        check_parents(generate, n)

    def test_weight_by_default(self, generate, n):
        check_weight(generate, n)

    @pytest.mark.parametrize("alpha", [0.2, 2.0, "uniform"])
    def test_weight(self, generate, n, alpha):
        check_weight(generate, n, alpha=alpha)


@pytest.mark.parametrize(
    ("change", "check"),
    [
        ("alpha", check_weight),
        ("alpha of Mixup", check_weight),
        ("heavier anomaly", check_weight),
        ("distinct", check_parents),
        ("anomalies too", check_parents),
        ("never the last", check_parents),
        ("first twice as often", check_parents),
    ],
)
def test_broken_versions_are_caught(change, check):
    with pytest.raises(AssertionError):
        check(lambda *data, **settings: naive(*data, **settings, broken=change), 10_000)


def test_defaults():
    assert RoSAS().get_params() == {
        "multiplier": 10,
        "alpha": 0.5,
        "sampling_strategy": None,
        "categorical_features": "dtype",
        "random_state": None,
        "n_jobs": -1,
    }


def test_ten_for_each_anomaly():
    y = np.repeat([1, 0], [5, len(UNLABELLED)])
    X_new, _ = RoSAS(random_state=0).fit_resample(np.vstack([ANOMALIES, UNLABELLED]), y)
    assert len(X_new) == len(y) + 50


def test_pool_counts_equal_rows():
    sampler = RoSAS()
    draw(sampler, ANOMALIES, UNLABELLED, 1)
    pool = sampler.pool_
    assert pool.n_unlabelled == len(UNLABELLED)
    counted = {tuple(row): t for row, t in zip(pool.drawn.tolist(), pool.drawn_times, strict=True)}
    assert counted == {tuple(row): t for row, t in zip(ROWS[5:].tolist(), TIMES, strict=True)}


def test_single_anomaly_and_single_unlabelled_row():
    rows = ours(ANOMALIES[:1], UNLABELLED[:1], 20_000, seed=0)
    weight = (rows - UNLABELLED[0]) / (ANOMALIES[0] - UNLABELLED[0])
    np.testing.assert_allclose(weight, np.repeat(weight[:, :1], 30, axis=1), atol=1e-12)
    assert stats.kstest(weight[:, 0].clip(0, 1), stats.beta(0.5, 0.5).cdf).pvalue > SIGNIFICANCE


def test_single_feature():
    rows = ours(np.array([[0.0]]), np.array([[1.0], [-1.0], [-1.0]]), 20_000, seed=0, alpha=20.0)
    assert (np.abs(rows) < 1).all()
    assert stats.binomtest(int((rows > 0).sum()), 20_000, 1 / 3).pvalue > SIGNIFICANCE


def test_many_unlabelled_rows_are_drawn_evenly():
    # Of more than 10 000 distinct rows an even part is kept: rows of either half as likely.
    unlabelled = np.arange(1.0, 30_001.0)[:, None]
    sampler = RoSAS(random_state=0, alpha="uniform")
    draw(sampler, np.array([[0.0]]), unlabelled, 1)
    kept = sampler.pool_.drawn[:, 0]
    assert len(kept) == len(np.unique(kept)) == 10_000
    assert np.isin(kept, unlabelled).all()
    assert stats.kstest(kept / 30_000, "uniform").pvalue > SIGNIFICANCE
