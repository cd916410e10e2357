"""Chain against a composition written row by row: what the first makes goes to the second.

The paper's combinations are Cutout, then Gaussian noise, and CutMix, then Gaussian noise. Noise of
0.01 is small beside the anomalies' values, so a blank cell shows, and with it the window; noise of
1e-4 is small beside the differences of coded cells. `test_broken_versions_are_caught` shows that
the checks can fail.
"""

from collections import Counter

import numpy as np
import pytest
from sampling_checks import (
    check_counts,
    check_even,
    check_mixtures,
    check_noise,
    coded_anomalies,
    draw,
    in_units,
    origins,
    paste_law,
    pastes_of,
    scaled_rows,
    window_law,
    windows_of,
)
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.neighbors import NearestNeighbors

from nngmix import (
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

WIDTH = 21
rng = np.random.default_rng(91)
UNLABELLED = scaled_rows(rng, 30, WIDTH)
ANOMALIES = 0.2 + 0.6 * rng.random((4, WIDTH))
Y = np.repeat([1, 0], [4, 30])
X = np.vstack([ANOMALIES, UNLABELLED])


def naive_cutout_noise(anomalies, unlabelled, n, *, seed, broken=""):
    rng = np.random.default_rng(seed)
    sigma = 0.0103 if broken == "sigma" else 0.01
    width = anomalies.shape[1]
    out = []
    for _ in range(n):
        row = anomalies[rng.integers(len(anomalies))].copy()
        noise = rng.normal(0, sigma, width)
        if broken == "noise first":
            row += noise
        if broken != "no window":
            size = max(1, int(rng.uniform(0.1, 0.25 if broken == "share" else 0.3) * width))
            x = rng.integers(width)
            for column in range(x - size // 2, x + size // 2):
                if 0 <= column < width:
                    row[column] = 0
        if broken == "the second anew":
            row = anomalies[rng.integers(len(anomalies))].copy()
        if broken == "noise twice":
            row += rng.normal(0, sigma, width)
        out.append(row if broken in ("noise first", "no noise") else row + noise)
    return np.array(out)


def naive_cutmix_noise(anomalies, unlabelled, n, *, seed, sigma=1e-4):
    rng = np.random.default_rng(seed)
    width = anomalies.shape[1]
    out = []
    for _ in range(n):
        i, j = rng.permutation(len(anomalies))[:2]
        size = max(1, int(rng.uniform(0.1, 0.3) * width))
        x = rng.integers(width)
        first, last = max(x - size // 2, 0), min(x + size // 2, width)
        place = rng.integers(width - (last - first))
        row = anomalies[i].copy()
        row[place : place + last - first] = anomalies[j, first:last]
        out.append(row + rng.normal(0, sigma, width))
    return np.array(out)


def chain_of(*samplers):
    """A generator of a chain without scaling, and one in odd units."""
    return lambda anomalies, unlabelled, n, *, seed: draw(
        Chain(list(samplers), scaling=None, random_state=seed), anomalies, unlabelled, n
    )


def check_cutout_noise(generate, n):
    rows = generate(ANOMALIES, UNLABELLED, n, seed=1)
    blank = np.abs(rows) < 0.1
    check_counts(windows_of(blank), window_law(WIDTH), "windows")
    distance = np.where(blank[:, None], 0, rows[:, None] - ANOMALIES)
    nearest = (distance**2).sum(axis=2).argmin(axis=1)
    check_even(nearest.tolist(), range(4), "anomalies")
    noise = rows - np.where(blank, 0, ANOMALIES[nearest])
    assert np.abs(noise).max() < 0.1
    check_noise(noise, 0.01)
    blanked, others = noise[blank], noise[~blank]
    for part in (blanked, others):
        check_noise(part[:, None], 0.01)


def check_cutmix_noise(generate, n):
    anomalies = coded_anomalies(4, WIDTH)
    rows = generate(anomalies, UNLABELLED, n, seed=1)
    pastes = pastes_of(rows, 4)
    windows = [paste and paste[:2] for _, _, paste in pastes]
    check_counts(windows, window_law(WIDTH), "windows")
    check_counts([paste for _, _, paste in pastes], paste_law(WIDTH), "windows and places")
    pairs = [(first, second) for first, second, _ in pastes]
    check_even(pairs, [(i, j) for i in range(4) for j in range(4) if i != j], "pairs")
    check_noise(rows - anomalies[origins(rows, 4)], 1e-4)


def in_units_chain(*samplers):
    return in_units(lambda random_state: Chain(list(samplers), random_state=random_state))


@pytest.mark.parametrize(
    ("generate", "n"),
    [
        (chain_of(Cutout(), GaussianNoise()), 30_000),
        (naive_cutout_noise, 10_000),
        (in_units_chain(Cutout(), GaussianNoise()), 30_000),
        # The inner samplers' own scaling, seed and multiplier don't count.
        (
            chain_of(
                Cutout(scaling="minmax", multiplier=3, random_state=1),
                GaussianNoise(scaling="minmax", random_state=2),
            ),
            20_000,
        ),
        (chain_of(Chain([Cutout()]), Chain([GaussianNoise()], scaling="minmax")), 20_000),
    ],
    ids=["ours", "naive", "ours in units", "inner settings", "chains in a chain"],
)
def test_cutout_then_noise(generate, n):
    check_cutout_noise(generate, n)


@pytest.mark.parametrize(
    ("generate", "n"),
    [
        (chain_of(CutMix(), GaussianNoise(sigma=1e-4)), 30_000),
        (naive_cutmix_noise, 12_000),
        (in_units_chain(CutMix(), GaussianNoise(sigma=1e-4)), 20_000),
    ],
    ids=["ours", "naive", "ours in units"],
)
def test_cutmix_then_noise(generate, n):
    check_cutmix_noise(generate, n)


@pytest.mark.parametrize(
    "change",
    ["sigma", "share", "noise first", "no noise", "noise twice", "no window", "the second anew"],
)
def test_broken_versions_are_caught(change):
    with pytest.raises(AssertionError):
        check_cutout_noise(
            lambda *data, seed: naive_cutout_noise(*data, seed=seed, broken=change), 20_000
        )


@pytest.mark.parametrize(
    "wrong",
    [
        [GaussianNoise(), Cutout()],
        [Cutout()],
        [GaussianNoise()],
        [Cutout(), GaussianNoise(), GaussianNoise()],
        [Cutout(), Cutout(), GaussianNoise()],
        [CutMix(), GaussianNoise()],
    ],
    ids=lambda samplers: "-".join(type(sampler).__name__ for sampler in samplers),
)
def test_other_chains_are_told_apart(wrong):
    with pytest.raises(AssertionError):
        check_cutout_noise(chain_of(*wrong), 20_000)


@pytest.mark.parametrize("multiplier", [1, 7, 10])
def test_each_anomaly_noisy_as_often_as_asked(multiplier):
    chain = Chain([Duplicate(), GaussianNoise()], multiplier=multiplier, random_state=0)
    rows = chain.fit_resample(X, Y)[0][len(X) :]
    nearest = ((rows[:, None] - ANOMALIES) ** 2).sum(axis=2).argmin(axis=1)
    assert Counter(nearest.tolist()) == dict.fromkeys(range(4), multiplier)
    assert len(np.unique(rows)) == rows.size
    many = draw(clone(chain), ANOMALIES, UNLABELLED, 40_000)
    nearest = ((many[:, None] - ANOMALIES) ** 2).sum(axis=2).argmin(axis=1)
    assert Counter(nearest.tolist()) == dict.fromkeys(range(4), 10_000)
    check_noise(many - ANOMALIES[nearest], 0.01)


@pytest.mark.parametrize(
    "sampler",
    [
        NNGMix(),
        NNGMix(n_neighbors=None),
        NNGMix(n_neighbors=NearestNeighbors(n_neighbors=3)),
        Mixup(),
        Mixup(partner="all"),
        Cutout(),
        CutMix(),
        GaussianNoise(),
        NPOS(n_candidates=20, n_neighbors=5),
        RoSAS(),
        Duplicate(),
    ],
    ids=repr,
)
def test_a_chain_of_one_is_that_sampler(sampler):
    settings = {"random_state": 5} if "random_state" in sampler.get_params() else {}
    alone = clone(sampler).set_params(**settings).fit_resample(X, Y)[0]
    chained = Chain([sampler], random_state=5).fit_resample(X, Y)[0]
    assert np.array_equal(alone, chained)


@pytest.mark.parametrize("ks", [(2, 6), (6, 2)])
def test_each_sampler_takes_its_own_neighbours(ks):
    # The pool holds the 6 nearest for both; the one that asks for 2 must not take more.
    rng = np.random.default_rng(0)
    points = rng.normal(size=(30, 40))
    anomalies, unlabelled = points[:8], points[8:]
    samplers = [NNGMix(n_neighbors=k, sigma=0, alpha=500.0) for k in ks]
    chain = Chain(samplers, scaling=None, random_state=0)
    rows = draw(chain, anomalies, unlabelled, 20_000)
    assert chain.pool_.near_anomalies.shape == (8, 5)
    assert chain.pool_.near_unlabelled.shape == (8, 6)
    # w (v a + (1 - v) p) + (1 - w) q, with w and v near 1/2: a and p about 1/4, q 1/2.
    weights = rows @ np.linalg.pinv(points)
    parents = weights > 1e-3
    three = parents.sum(axis=1) == 3
    order = np.argsort(((anomalies[:, None] - points) ** 2).sum(axis=2), axis=1)
    near = {}
    for i, by_distance in enumerate(order):
        own = [int(j) for j in by_distance if j < 8 and j != i]
        other = [int(j) for j in by_distance if j >= 8]
        for k in ks:
            near[i, k] = set(own[: k - 1] + other[:k])
    allowed = set()
    for i in range(8):
        for p in near[i, ks[0]]:
            allowed |= {(frozenset((i, p)), q) for q in near[i, ks[1]] if q != p}
    found = set()
    for row, who in zip(weights[three], parents[three], strict=True):
        q = int(row.argmax())
        found.add((frozenset(np.flatnonzero(who).tolist()) - {q}, q))
    assert found == allowed


class Farthest:
    """An engine that is wrong on purpose, so that it shows whether it was asked."""

    n_neighbors = 1

    def fit(self, X):
        self.X = X

    def kneighbors(self, X, n_neighbors, return_distance):
        distance = ((X[:, None] - self.X) ** 2).sum(axis=2)
        return np.argsort(-distance, axis=1)[:, :n_neighbors]


def test_engine_of_one_sampler_searches():
    chain = Chain([GaussianNoise(), NNGMix(n_neighbors=Farthest())], scaling=None)
    draw(chain, ANOMALIES, UNLABELLED, 1)
    distance = ((chain.pool_.anomalies[:, None] - UNLABELLED) ** 2).sum(axis=2)
    found = chain.pool_.unlabelled[chain.pool_.near_unlabelled[:, 0]]
    assert np.array_equal(found, UNLABELLED[distance.argmax(axis=1)])


def test_mixup_after_mixup_keeps_the_first_anomaly_as_its_own():
    # The second sampler's partner is any anomaly but the one that the row started from.
    anomalies = ANOMALIES[:2]
    chain = Chain([Mixup(alpha=20.0), Mixup(alpha=20.0)], scaling=None, random_state=0)
    rows = draw(chain, anomalies, UNLABELLED, 20_000)
    check_mixtures(rows, anomalies, {(0, 1): 1.0}, None, "two anomalies")


def test_npos_belongs_first():
    chain = Chain(
        [NPOS(n_candidates=1, n_kept=1, sigma=0.0), GaussianNoise(sigma=1e-3)], random_state=0
    )
    rows = draw(chain, ANOMALIES, UNLABELLED, 5000)
    nearest = ((rows[:, None] - UNLABELLED) ** 2).sum(axis=2).argmin(axis=1)
    check_even(nearest.tolist(), range(30), "boundary rows")
    check_noise(rows - UNLABELLED[nearest], 1e-3)


def test_single_anomaly_and_single_feature():
    chain = Chain([CutMix(), GaussianNoise()], scaling=None, random_state=0)
    rows = draw(chain, np.array([[3.0]]), np.array([[0.0]]), 30_000)
    check_noise(rows - 3, 0.01)


def test_parameters():
    samplers = [Cutout(low=0.2), GaussianNoise(sigma=0.05)]
    chain = Chain(samplers, multiplier=3, random_state=0)
    params = chain.get_params()
    assert params == {
        "samplers": samplers,
        "multiplier": 3,
        "sampling_strategy": None,
        "scaling": "minmax",
        "categorical_features": "dtype",
        "random_state": 0,
        "n_jobs": -1,
    }
    assert Chain(samplers).multiplier == 10
    copy = clone(chain)
    assert copy.samplers is not samplers
    assert all(a is not b for a, b in zip(copy.samplers, samplers, strict=True))
    assert [sampler.get_params() for sampler in copy.samplers] == [
        sampler.get_params() for sampler in samplers
    ]
    assert np.array_equal(copy.fit_resample(X, Y)[0], chain.fit_resample(X, Y)[0])
    changed = copy.set_params(samplers=[GaussianNoise(sigma=0.0)], multiplier=1)
    assert changed is copy
    rows = copy.fit_resample(X, Y)[0][len(X) :]
    assert len(rows) == 4
    assert (rows[:, None] == ANOMALIES).all(axis=2).any(axis=1).all()


def test_samplers_inside_are_left_alone():
    samplers = (Cutout(), NPOS(n_candidates=3))
    Chain(samplers, random_state=0).fit_resample(X, Y)
    for sampler in samplers:
        with pytest.raises(NotFittedError):
            sampler.sample(1)


@pytest.mark.parametrize(
    "samplers",
    [[], (), [Cutout], [Cutout(), "GaussianNoise"], [None], [Cutout(), NearestNeighbors()]],
    ids=repr,
)
def test_wrong_lists(samplers):
    with pytest.raises(ValueError, match="samplers must be a list of at least one sampler") as info:
        Chain(samplers).fit(X, Y)
    assert "got" in str(info.value)


@pytest.mark.parametrize("samplers", [None, "Cutout", Cutout(), {Cutout()}, 3], ids=repr)
def test_no_list(samplers):
    with pytest.raises(ValueError, match="'samplers' parameter of Chain must be an instance of"):
        Chain(samplers).fit(X, Y)


def test_wrong_settings_inside():
    with pytest.raises(ValueError, match="'sigma' parameter of GaussianNoise"):
        Chain([Cutout(), GaussianNoise(sigma=-1)]).fit(X, Y)
    with pytest.raises(ValueError, match="low must not be above high"):
        Chain([GaussianNoise(), Cutout(low=0.5)]).fit(X, Y)
    with pytest.raises(ValueError, match="'samplers' parameter of Chain"):
        Chain([Chain("Cutout")]).fit(X, Y)
