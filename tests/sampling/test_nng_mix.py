"""NNGMix against a version written row by row from the published description.

The statistical checks decode, from the generated rows alone, who the parents were and with what
weight, and hold counts and distributions against what the definition says, at a significance of
1e-4 each. `test_broken_versions_are_caught` shows that they can fail: a wrong sigma, a wrong
alpha, a partner that may be the row itself and a biased coin are each caught.
"""

import numpy as np
import pytest
from sampling_checks import SIGNIFICANCE, check_law, check_mixtures, draw
from sampling_checks import check_noise as check_gaussian
from scipy import stats
from scipy.spatial import KDTree
from sklearn.base import clone
from sklearn.neighbors import NearestNeighbors

from nngmix import Mixup, NNGMix

K = 4
rng = np.random.default_rng(11)
# 6 anomalies and 40 unlabelled rows, linearly independent in the first 50 columns, so that a
# mixture's weights can be read off; the last 10 columns are 0 and carry nothing but noise.
ROWS = np.hstack([rng.normal(size=(46, 50)), np.zeros((46, 10))])
ROWS[:6, :50] += 0.5
ANOMALIES, UNLABELLED = ROWS[:6], ROWS[6:]
Y = np.repeat([1, 0], [6, 40])


def naive(anomalies, unlabelled, n, *, k, sigma, alpha, seed, coin=0.5, self_partner=False):
    """Generate one row at a time: a tree query, two noises, a mixture."""
    rng = np.random.default_rng(seed)
    near_unlabelled, near_anomalies = KDTree(unlabelled), KDTree(anomalies)
    k_own = min(k, len(anomalies))
    out = []
    for _ in range(n):
        i = rng.integers(len(anomalies))
        if rng.random() < coin:
            j = rng.choice(np.atleast_1d(near_anomalies.query(anomalies[i], k_own)[1]))
            while j == i and len(anomalies) > 1 and not self_partner:
                j = rng.choice(near_anomalies.query(anomalies[i], k_own)[1])
            partner = anomalies[j]
        else:
            partner = unlabelled[
                rng.choice(np.atleast_1d(near_unlabelled.query(anomalies[i], k)[1]))
            ]
        weight = rng.random() if alpha == "uniform" else rng.beta(alpha, alpha)
        first = anomalies[i] + rng.normal(0, sigma, anomalies.shape[1])
        second = partner + rng.normal(0, sigma, anomalies.shape[1])
        out.append(weight * first + (1 - weight) * second)
    return np.array(out)


def ours(anomalies, unlabelled, n, *, k, sigma, alpha, seed):
    sampler = NNGMix(n_neighbors=k, sigma=sigma, alpha=alpha, scaling=None, random_state=seed)
    X = np.vstack([anomalies, unlabelled])
    y = np.repeat([1, 0], [len(anomalies), len(unlabelled)])
    return sampler.fit(X, y).sample(n)


def neighbours():
    """The allowed partners of each anomaly, from all distances."""
    own = np.argsort(((ANOMALIES[:, None] - ANOMALIES[None]) ** 2).sum(2), axis=1)[:, 1:K]
    other = np.argsort(((ANOMALIES[:, None] - UNLABELLED[None]) ** 2).sum(2), axis=1)[:, :K]
    return own, other + len(ANOMALIES)


def check_parents(generate, n):
    """Who was mixed with whom, and how often. Weights stay away from 0 and 1: alpha = 20."""
    rows = generate(ANOMALIES, UNLABELLED, n, k=K, sigma=0.0, alpha=20.0, seed=1)
    weights = rows @ np.linalg.pinv(ROWS)
    # A row that is its own partner has one parent of weight 1.
    parents = weights > 1e-6
    assert (parents.sum(axis=1) == 2).all(), "a row without exactly two parents"
    assert np.allclose(weights[parents].reshape(-1, 2).sum(axis=1), 1)
    pairs = np.nonzero(parents)[1].reshape(-1, 2)
    own, other = neighbours()
    expected = {}
    for i in range(len(ANOMALIES)):
        for j in own[i]:  # {i, j} may be drawn from either end
            pair = tuple(sorted((i, int(j))))
            expected[pair] = expected.get(pair, 0) + n / len(ANOMALIES) / 2 / (K - 1)
        for j in other[i]:
            expected[i, int(j)] = n / len(ANOMALIES) / 2 / K
    counted = {}
    for pair in map(tuple, pairs.tolist()):
        counted[pair] = counted.get(pair, 0) + 1
    assert set(counted) == set(expected), "a pair that may not be, or one that never comes"
    f_exp = np.array([expected[pair] for pair in sorted(expected)])
    f_obs = np.array([counted[pair] for pair in sorted(expected)])
    p = stats.chisquare(f_obs, f_exp).pvalue
    assert p > SIGNIFICANCE, f"pairs are not drawn evenly, or the coin is biased: p = {p:.2g}"
    among_anomalies = (pairs[:, 1] < len(ANOMALIES)).sum()
    p = stats.binomtest(int(among_anomalies), n, 0.5).pvalue
    assert p > SIGNIFICANCE, f"the coin is biased: p = {p:.2g}"


def check_weight(generate, n, alpha):
    """With a single anomaly a row is that anomaly, or mixes it with weight Beta(alpha, alpha)."""
    rows = generate(ANOMALIES[:1], UNLABELLED, n, k=K, sigma=0.0, alpha=alpha, seed=2)
    weight = np.sort((rows @ np.linalg.pinv(ROWS))[:, 0])
    # Above 1 - 1e-9 a mixture can't be told from the anomaly itself: compare below.
    below = weight[weight < 1 - 1e-9]
    law = stats.uniform if alpha == "uniform" else stats.beta(alpha, alpha)
    empirical = np.arange(1, len(below) + 1) / n
    distance = np.abs(empirical - 0.5 * law.cdf(below)).max()
    assert distance < stats.kstwobign.isf(SIGNIFICANCE) / np.sqrt(n), f"weights: {distance:.4f}"


def check_noise(generate, n, sigma):
    """Noise in the empty columns is Gaussian, sigma sqrt(w^2 + (1 - w)^2), and independent."""
    rows = generate(ANOMALIES[:1], UNLABELLED, n, k=K, sigma=sigma, alpha="uniform", seed=3)
    weight = np.clip((rows[:, :50] @ np.linalg.pinv(ROWS[:, :50]))[:, 0], 0, 1)
    # The single anomaly's own branch mixes it with itself under two noises of unknown weight.
    mixed = np.abs(rows[:, :50] - ANOMALIES[0, :50]).max(axis=1) > 10 * sigma
    noise = rows[mixed, 50:] / (sigma * np.sqrt(weight**2 + (1 - weight) ** 2))[mixed, None]
    for column in (0, 9):
        p = stats.kstest(noise[:, column], "norm").pvalue
        assert p > SIGNIFICANCE, f"the noise is not that Gaussian: p = {p:.2g}"
    upper = stats.chi2.sf((noise**2).sum(), noise.size)
    assert SIGNIFICANCE < upper < 1 - SIGNIFICANCE, f"the noise has another sigma: {upper:.2g}"
    r = np.corrcoef(noise[:, 0], noise[:, 9])[0, 1]
    assert abs(r) < 4 / np.sqrt(len(noise)), "the noise of two columns is not independent"


@pytest.mark.parametrize(("generate", "n"), [(ours, 100_000), (naive, 10_000)])
class TestStatistics:
    def test_parents_and_coin(self, generate, n):
        check_parents(generate, n)

    @pytest.mark.parametrize("alpha", [0.2, 2.0, "uniform"])
    def test_weight(self, generate, n, alpha):
        check_weight(generate, n, alpha)

    def test_noise(self, generate, n):
        check_noise(generate, n, sigma=0.01)


def broken(**change):
    def generate(anomalies, unlabelled, n, **settings):
        for name, factor in change.items():
            if name in ("sigma", "alpha"):
                if not isinstance(settings[name], str):
                    settings[name] *= factor
            else:
                settings[name] = factor
        return naive(anomalies, unlabelled, n, **settings)

    return generate


@pytest.mark.parametrize(
    ("change", "check"),
    [
        ({"sigma": 1.1}, lambda g: check_noise(g, 10_000, sigma=0.01)),
        ({"alpha": 1.3}, lambda g: check_weight(g, 10_000, alpha=0.2)),
        ({"self_partner": True}, lambda g: check_parents(g, 10_000)),
        ({"coin": 0.55}, lambda g: check_parents(g, 10_000)),
        ({"coin": 0.55}, lambda g: check_weight(g, 10_000, alpha=0.2)),
        ({"k": K + 1}, lambda g: check_parents(g, 10_000)),
        ({"k": K - 1}, lambda g: check_parents(g, 10_000)),
    ],
    ids=lambda value: str(value) if isinstance(value, dict) else "",
)
def test_broken_versions_are_caught(change, check):
    with pytest.raises(AssertionError):
        check(broken(**change))


def test_pool_holds_the_neighbours_and_nothing_else():
    pool = NNGMix(n_neighbors=K, scaling=None).fit(ROWS, Y).pool_
    own, other = neighbours()
    for row, near, far in zip(
        pool.anomalies, pool.near_anomalies, pool.near_unlabelled, strict=True
    ):
        i = int(np.flatnonzero((row == ANOMALIES).all(axis=1))[0])
        assert np.array_equal(pool.anomalies[near], ANOMALIES[own[i]])
        assert np.array_equal(pool.unlabelled[far], ROWS[other[i]])
    assert len(pool.unlabelled) == len(np.unique(other))


def test_pool_does_not_depend_on_the_order_of_rows():
    shuffle = np.random.default_rng(0).permutation(len(ROWS))
    here = NNGMix(scaling=None).fit(ROWS, Y).pool_
    there = NNGMix(scaling=None).fit(ROWS[shuffle], Y[shuffle]).pool_
    for name in ("anomalies", "unlabelled", "near_anomalies", "near_unlabelled"):
        assert np.array_equal(getattr(here, name), getattr(there, name))


def test_single_anomaly_is_its_own_partner():
    rows = ours(ANOMALIES[:1], UNLABELLED[:1], 2000, k=10, sigma=0.0, alpha=20.0, seed=0)
    itself = (rows == ANOMALIES[0]).all(axis=1)
    assert 0.4 < itself.mean() < 0.6


def test_one_neighbour_is_the_nearest_other():
    pool = NNGMix(n_neighbors=1, scaling=None).fit(ROWS, Y).pool_
    assert pool.near_anomalies.shape == (6, 1)
    assert (pool.near_anomalies[:, 0] != np.arange(6)).all()


def test_inner_scaling_equals_scaling_before():
    units = 10.0 ** np.arange(-3, 3)
    X = np.random.default_rng(3).normal(size=(200, 6))
    y = (np.arange(200) < 8).astype(int)
    low, span = X.min(axis=0), np.ptp(X, axis=0)
    scaled = NNGMix(scaling=None, random_state=0).fit((X - low) / span, y)
    inside = NNGMix(random_state=0).fit(X * units, y)

    # The pools hold the same rows, in an order of their own; noise is a share of the range.
    def sort(rows):
        return rows[np.lexsort(rows.T)]

    np.testing.assert_allclose(
        sort((inside.pool_.anomalies / units - low) / span), sort(scaled.pool_.anomalies)
    )
    np.testing.assert_allclose(
        sort((inside.pool_.unlabelled / units - low) / span), sort(scaled.pool_.unlabelled)
    )
    copies = NNGMix(n_neighbors=1, sigma=0.1, random_state=0).fit(
        np.vstack([np.zeros((50, 6)), X[:50] * units]), np.repeat([1, 0], 50)
    )
    spread = np.std(copies.sample(20_000)[:, :], axis=0) / np.ptp(X[:50] * units, axis=0)
    assert (spread > 0.05).all()


def test_noise_is_a_share_of_the_range():
    X = np.vstack([np.full((20, 2), [5.0, 500.0]), [[0.0, 0.0], [10.0, 1000.0]]])
    y = np.repeat([1, 0], [20, 2])
    rows = NNGMix(sigma=0.05, n_neighbors=3, random_state=0).fit(X, y).sample(100_000)
    # The anomalies' own branch: two noises around one point.
    own = np.abs(rows[:, 0] - 5) < 2
    shares = np.std(rows[own] - [5.0, 500.0], axis=0) / [10.0, 1000.0]
    assert shares[0] == pytest.approx(shares[1], rel=0.05)
    assert 0.035 < shares[0] < 0.06


# The ablations of Table VI: without neighbours (the partner is any other row), without noise.


def naive_from_all(anomalies, unlabelled, n, *, sigma=0.0, alpha=0.2, seed, broken=""):
    rng = np.random.default_rng(seed)
    everything = np.vstack([anomalies, unlabelled])
    out = []
    for _ in range(n):
        i = j = rng.integers(len(anomalies))
        while j == i and broken != "itself":
            j = rng.integers(len(everything))
        if broken == "itself":
            j = rng.integers(len(everything))
        if broken == "coin" and rng.random() < 0.5:
            j = (i + rng.integers(1, len(anomalies))) % len(anomalies)
        if broken == "near":
            j = np.argsort(((everything - anomalies[i]) ** 2).sum(axis=1))[rng.integers(1, 41)]
        weight = rng.beta(alpha * 1.3 if broken == "alpha" else alpha, alpha)
        first = anomalies[i] + rng.normal(0, sigma, anomalies.shape[1])
        second = everything[j] + rng.normal(0, sigma, anomalies.shape[1])
        out.append(weight * first + (1 - weight) * second)
    return np.array(out)


def ours_from_all(anomalies, unlabelled, n, *, sigma=0.0, alpha=0.2, seed):
    sampler = NNGMix(n_neighbors=None, sigma=sigma, alpha=alpha, scaling=None, random_state=seed)
    return draw(sampler, anomalies, unlabelled, n)


def mixup_of_all(anomalies, unlabelled, n, *, alpha=0.2, seed):
    return draw(Mixup(partner="all", alpha=alpha, random_state=seed), anomalies, unlabelled, n)


def check_partners_from_all(generate, n):
    rows = generate(ANOMALIES, UNLABELLED, n, alpha=20.0, seed=1)
    law = {(i, j): 2.0 for i in range(6) for j in range(i + 1, 6)}
    law |= {(i, j): 1.0 for i in range(6) for j in range(6, 46)}
    check_mixtures(rows, ROWS, law, stats.beta(20, 20), "rows")
    assert (rows[:, 50:] == 0).all(), "there is noise"


def check_weight_from_all(generate, n):
    """A single anomaly's partners are the unlabelled rows: its weight shows."""
    rows = generate(ANOMALIES[:1], UNLABELLED, n, seed=2)
    check_law((rows @ np.linalg.pinv(ROWS))[:, 0].clip(0, 1), stats.beta(0.2, 0.2).cdf, "weights")


class TestWithoutNeighbours:
    @pytest.mark.parametrize(
        ("generate", "n"),
        [(ours_from_all, 60_000), (mixup_of_all, 60_000), (naive_from_all, 20_000)],
    )
    def test_partners_and_weights(self, generate, n):
        check_partners_from_all(generate, n)
        check_weight_from_all(generate, n)

    @pytest.mark.parametrize(
        ("change", "check"),
        [
            ("itself", check_partners_from_all),
            ("coin", check_partners_from_all),
            ("near", check_partners_from_all),
            ("alpha", check_weight_from_all),
        ],
    )
    def test_broken_versions_are_caught(self, change, check):
        with pytest.raises(AssertionError):
            check(lambda *data, **kw: naive_from_all(*data, **kw, broken=change), 20_000)

    def test_without_noise_it_is_mixup_of_all(self):
        ours = ours_from_all(ANOMALIES, UNLABELLED, 30_000, seed=1)
        mixup = mixup_of_all(ANOMALIES, UNLABELLED, 30_000, seed=2)
        directions = np.random.default_rng(0).normal(size=(60, 5))
        for direction in directions.T:
            assert stats.ks_2samp(ours @ direction, mixup @ direction).pvalue > SIGNIFICANCE

    @pytest.mark.parametrize(("generate", "n"), [(ours_from_all, 30_000), (naive_from_all, 10_000)])
    def test_noise_stays(self, generate, n):
        rows = generate(ANOMALIES[:1], UNLABELLED[:1], n, sigma=0.01, seed=3)
        apart = ANOMALIES[0] - UNLABELLED[0]
        weight = ((rows - UNLABELLED[0]) @ apart / (apart @ apart)).clip(0, 1)[:, None]
        check_gaussian(rows[:, 50:] / np.sqrt(weight**2 + (1 - weight) ** 2), 0.01)

    def test_no_neighbours_are_searched(self):
        sampler = NNGMix(n_neighbors=None, scaling=None)
        draw(sampler, ANOMALIES, UNLABELLED, 1)
        assert sampler.pool_.near_anomalies.shape == (6, 0)
        assert len(sampler.pool_.unlabelled) == 0
        assert len(sampler.pool_.drawn) == 40


def test_without_noise_rows_lie_between_their_parents():
    rows = ours(ANOMALIES, UNLABELLED, 20_000, k=K, sigma=0.0, alpha=0.2, seed=4)
    assert (rows[:, 50:] == 0).all()
    weights = rows @ np.linalg.pinv(ROWS)
    np.testing.assert_allclose(weights @ ROWS, rows, atol=1e-9)
    assert (weights > -1e-9).all()
    np.testing.assert_allclose(weights.sum(axis=1), 1)


def test_defaults():
    assert NNGMix().get_params() == {
        "multiplier": 10,
        "n_neighbors": 10,
        "sigma": 0.01,
        "alpha": 0.2,
        "sampling_strategy": None,
        "scaling": "minmax",
        "categorical_features": "dtype",
        "random_state": None,
        "n_jobs": -1,
        "device": "auto",
    }


class Search:
    """The least that an engine must be: ``fit`` and ``kneighbors``."""

    def fit(self, X):
        self.X = X

    def kneighbors(self, X, n_neighbors, return_distance):
        assert not return_distance
        distance = ((np.asarray(X)[:, None] - self.X) ** 2).sum(axis=2)
        return np.argsort(distance, axis=1)[:, :n_neighbors].astype("int32").tolist()


class SearchFor(Search):
    def __init__(self, n_neighbors):
        self.n_neighbors = n_neighbors


@pytest.mark.parametrize(
    ("engine", "k"),
    [
        (NearestNeighbors(n_neighbors=K), K),
        (NearestNeighbors(n_neighbors=1), 1),
        (NearestNeighbors(n_neighbors=100), 100),
        (NearestNeighbors(n_neighbors=K, algorithm="ball_tree"), K),
        (Search(), 10),
        (SearchFor(K), K),
    ],
    ids=["sklearn", "sklearn 1", "sklearn 100", "sklearn ball tree", "duck", "duck with k"],
)
@pytest.mark.parametrize("scaling", [None, "minmax"])
class TestEngines:
    def test_pool_is_that_of_the_number(self, engine, k, scaling):
        X = ROWS[:, :50] * 10.0 ** (np.arange(50) % 5) if scaling else ROWS
        number = NNGMix(n_neighbors=k, scaling=scaling, random_state=0).fit(X, Y)
        other = NNGMix(n_neighbors=engine, scaling=scaling, random_state=0).fit(X, Y)
        for name in ("anomalies", "unlabelled", "near_anomalies", "near_unlabelled"):
            assert np.array_equal(getattr(number.pool_, name), getattr(other.pool_, name))
        assert np.array_equal(number.sample(500), other.sample(500))

    def test_engine_is_left_alone(self, engine, k, scaling):
        sampler = clone(NNGMix(n_neighbors=engine, scaling=scaling))
        sampler.fit(ROWS, Y).sample(3)
        for searcher in (engine, sampler.n_neighbors):
            assert not hasattr(searcher, "X")
            assert not hasattr(searcher, "n_samples_fit_")


def test_engine_with_a_single_anomaly():
    rows = draw(
        NNGMix(n_neighbors=Search(), sigma=0, alpha=20.0, scaling=None, random_state=0),
        ANOMALIES[:1],
        UNLABELLED[:1],
        2000,
    )
    assert 0.4 < (rows == ANOMALIES[0]).all(axis=1).mean() < 0.6


def test_engine_refuses_gaps():
    X = ROWS.copy()
    X[3, 3] = np.nan
    with pytest.raises(ValueError, match="n_neighbors: an estimator searches numeric columns"):
        NNGMix(n_neighbors=Search()).fit(X, Y)
