"""Mixup against a version written row by row from the published description.

Two different labelled anomalies, a weight of Beta(0.2, 0.2); with ``partner="all"`` the partner is
any other row of both sets. Parents and weights are read off the rows, which works because the rows
to be mixed are linearly independent. `test_broken_versions_are_caught` shows that the checks fail
where they should.
"""

import numpy as np
import pytest
from sampling_checks import SIGNIFICANCE, check_counts, check_mixtures, draw
from scipy import stats

from nngmix import Mixup

rng = np.random.default_rng(21)
ROWS = rng.normal(size=(24, 30))
ANOMALIES = ROWS[:5]
#: How often each distinct unlabelled row occurs: 1, 2 or 3 times.
TIMES = 1 + np.arange(19) % 3
UNLABELLED = np.repeat(ROWS[5:], TIMES, axis=0)


def naive(anomalies, unlabelled, n, *, seed, alpha=0.2, partner="anomalies", broken=""):
    rng = np.random.default_rng(seed)
    if broken == "alpha":
        alpha *= 1.3
    others = anomalies if partner == "anomalies" else np.vstack([anomalies, unlabelled])
    if broken == "distinct":
        others = np.unique(others, axis=0)
        others = np.vstack([anomalies, others[~(others[:, None] == anomalies).all(2).any(1)]])
    if broken == "never the last":
        others = others[:-1]
    out = []
    for _ in range(n):
        i = rng.integers(len(anomalies))
        if broken == "first twice as often" and rng.random() < 1 / (len(anomalies) + 1):
            i = 0
        j = rng.integers(len(others))
        while j == i and len(others) > 1 and broken != "itself":
            j = rng.integers(len(others))
        if broken == "half from the anomalies" and rng.random() < 0.5:
            j = (i + rng.integers(1, len(anomalies))) % len(anomalies)
        weight = rng.random() if alpha == "uniform" else rng.beta(alpha, alpha)
        if broken == "no mixture":
            weight = float(weight > 0.5)
        out.append(weight * anomalies[i] + (1 - weight) * others[j])
    return np.array(out)


def ours(anomalies, unlabelled, n, *, seed, **settings):
    return draw(Mixup(random_state=seed, **settings), anomalies, unlabelled, n)


def pair_law(partner):
    """The probability of every pair of parents, from the definition."""
    a, u = len(ANOMALIES), len(UNLABELLED)
    others = a - 1 if partner == "anomalies" else a - 1 + u
    # Two anomalies may be drawn from either end.
    law = {(i, j): 2 / a / others for i in range(a) for j in range(i + 1, a)}
    if partner == "all":
        law |= {(i, a + j): times / a / others for i in range(a) for j, times in enumerate(TIMES)}
    assert sum(law.values()) == pytest.approx(1)
    return law


def check_parents(generate, n, partner):
    """Weights stay away from 0 and 1, so that both parents show: alpha = 20."""
    rows = generate(ANOMALIES, UNLABELLED, n, seed=1, alpha=20.0, partner=partner)
    check_mixtures(rows, ROWS, pair_law(partner), stats.beta(20, 20), partner)


def check_weight(generate, n, **settings):
    """Of two anomalies, the weight of the one is Beta(alpha, alpha)."""
    rows = generate(ANOMALIES[:2], UNLABELLED, n, seed=2, **settings)
    weights = rows @ np.linalg.pinv(ANOMALIES[:2])
    np.testing.assert_allclose(weights @ ANOMALIES[:2], rows, atol=1e-12)
    alpha = settings.get("alpha", 0.2)
    law = stats.uniform if alpha == "uniform" else stats.beta(alpha, alpha)
    p = stats.kstest(weights[:, 0].clip(0, 1), law.cdf).pvalue
    assert p > SIGNIFICANCE, f"another distribution of the weights: p = {p:.2g}"


@pytest.mark.parametrize(("generate", "n"), [(ours, 60_000), (naive, 10_000)])
class TestStatistics:
    @pytest.mark.parametrize("partner", ["anomalies", "all"])
    def test_parents(self, generate, n, partner):
        check_parents(generate, n, partner)

    def test_weight_by_default(self, generate, n):
        check_weight(generate, n)

    @pytest.mark.parametrize("alpha", [2.0, "uniform"])
    def test_weight(self, generate, n, alpha):
        check_weight(generate, n, alpha=alpha)


def broken(change):
    return lambda *data, **settings: naive(*data, **settings, broken=change)


@pytest.mark.parametrize(
    ("change", "check"),
    [
        ("alpha", lambda g: check_weight(g, 10_000)),
        ("no mixture", lambda g: check_weight(g, 10_000)),
        ("itself", lambda g: check_parents(g, 10_000, "anomalies")),
        ("itself", lambda g: check_parents(g, 10_000, "all")),
        ("first twice as often", lambda g: check_parents(g, 10_000, "anomalies")),
        ("first twice as often", lambda g: check_parents(g, 10_000, "all")),
        ("never the last", lambda g: check_parents(g, 10_000, "anomalies")),
        ("never the last", lambda g: check_parents(g, 10_000, "all")),
        ("distinct", lambda g: check_parents(g, 10_000, "all")),
        ("half from the anomalies", lambda g: check_parents(g, 10_000, "all")),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_broken_versions_are_caught(change, check):
    with pytest.raises(AssertionError):
        check(broken(change))


def test_defaults():
    assert Mixup().get_params() == {
        "multiplier": 10,
        "alpha": 0.2,
        "partner": "anomalies",
        "sampling_strategy": None,
        "categorical_features": "dtype",
        "random_state": None,
        "n_jobs": -1,
    }


def test_ten_for_each_anomaly():
    y = np.repeat([1, 0], [5, len(UNLABELLED)])
    X_new, y_new = Mixup(random_state=0).fit_resample(np.vstack([ANOMALIES, UNLABELLED]), y)
    assert len(X_new) == len(y) + 50
    assert y_new.sum() == 55


def test_pool_keeps_unlabelled_rows_only_where_they_are_partners():
    for partner, kept in (("anomalies", 0), ("all", 19)):
        sampler = Mixup(partner=partner)
        draw(sampler, ANOMALIES, UNLABELLED, 1)
        assert len(sampler.pool_.drawn) == kept
        assert len(sampler.pool_.unlabelled) == 0


def test_single_anomaly_is_copied():
    rows = ours(ANOMALIES[:1], UNLABELLED, 100, seed=0)
    assert (rows == ANOMALIES[0]).all()


def test_single_anomaly_with_all():
    rows = ours(ANOMALIES[:1], UNLABELLED, 20_000, seed=0, alpha=20.0, partner="all")
    law = {(0, 1 + j): times for j, times in enumerate(TIMES)}
    check_mixtures(rows, np.vstack([ANOMALIES[:1], ROWS[5:]]), law, stats.beta(20, 20), "one")


def test_equal_anomalies_are_different_rows():
    # Two copies and another: a copy's partner is the other copy half of the time.
    anomalies = ANOMALIES[[0, 0, 1]]
    rows = ours(anomalies, UNLABELLED, 20_000, seed=0, alpha=20.0)
    copies = np.isclose(rows, ANOMALIES[0]).all(axis=1)
    check_counts(copies.tolist(), {True: 1 / 3, False: 2 / 3}, "copies")


def test_single_feature_stays_between_its_parents():
    rows = ours(np.array([[2.0], [5.0]]), np.array([[100.0]]), 20_000, seed=0)
    assert ((rows >= 2) & (rows <= 5)).all()
    p = stats.kstest((rows[:, 0] - 2) / 3, stats.beta(0.2, 0.2).cdf).pvalue
    assert p > SIGNIFICANCE
    rows = ours(np.array([[2.0], [5.0]]), np.array([[100.0]]), 20_000, seed=0, partner="all")
    assert (rows > 5).any()


@pytest.mark.parametrize("partner", ["anomalies", "all"])
def test_units_do_not_matter(partner):
    units = 10.0 ** np.arange(-15, 15)

    def generate(anomalies, unlabelled, n, **settings):
        return ours(anomalies * units, unlabelled * units, n, **settings) / units

    check_parents(generate, 20_000, partner)
