"""GaussianNoise against a version written row by row from the published description.

One labelled anomaly, each as likely, plus Gaussian noise of sigma 0.01 in scaled units. The
anomalies lie far apart, so that each row tells whom it came from. `test_broken_versions_are_caught`
shows that the checks can fail.
"""

import numpy as np
import pytest
from sampling_checks import check_even, check_noise, draw, in_units, scaled_rows
from sklearn.preprocessing import MinMaxScaler, StandardScaler

from nngmix import GaussianNoise

WIDTH = 12
rng = np.random.default_rng(41)
UNLABELLED = scaled_rows(rng, 30, WIDTH)
ANOMALIES = 0.2 + 0.6 * rng.random((7, WIDTH))


def naive(anomalies, unlabelled, n, *, seed, sigma=0.01, broken=""):
    rng = np.random.default_rng(seed)
    if broken == "sigma":
        sigma *= 1.03
    if broken == "sigma squared":
        sigma = sigma**0.5
    out, last = [], np.zeros(anomalies.shape[1])
    for _ in range(n):
        i = rng.integers(len(anomalies))
        if broken == "first twice as often" and rng.random() < 1 / (len(anomalies) + 1):
            i = 0
        if broken == "never the last":
            i = rng.integers(len(anomalies) - 1)
        noise = rng.normal(0, sigma, anomalies.shape[1])
        if broken == "even noise":
            noise = sigma * np.sqrt(3) * (2 * rng.random(anomalies.shape[1]) - 1)
        if broken == "one noise for all columns":
            noise[:] = noise[0]
        if broken == "noise in one column":
            noise[1:] = 0
        if broken == "noise that goes on":
            noise = 0.1 * last + np.sqrt(0.99) * noise
        if broken == "unlabelled":
            anomalies = unlabelled[: len(anomalies)]
        last = noise
        out.append(anomalies[i] + noise)
    return np.array(out)


def ours(anomalies, unlabelled, n, *, seed, **settings):
    sampler = GaussianNoise(scaling=None, random_state=seed, **settings)
    return draw(sampler, anomalies, unlabelled, n)


def check(generate, n, **settings):
    rows = generate(ANOMALIES, UNLABELLED, n, seed=1, **settings)
    distance = ((rows[:, None] - ANOMALIES) ** 2).sum(axis=2)
    nearest = distance.argmin(axis=1)
    check_even(nearest.tolist(), range(len(ANOMALIES)), "anomalies")
    check_noise(rows - ANOMALIES[nearest], settings.get("sigma", 0.01))


@pytest.mark.parametrize(
    ("generate", "n"),
    [(ours, 50_000), (naive, 10_000), (in_units(GaussianNoise), 20_000)],
    ids=["ours", "naive", "ours in units"],
)
class TestStatistics:
    def test_by_default(self, generate, n):
        check(generate, n)

    def test_sigma(self, generate, n):
        check(generate, n, sigma=0.03)


@pytest.mark.parametrize(
    "change",
    [
        "sigma",
        "sigma squared",
        "first twice as often",
        "never the last",
        "even noise",
        "one noise for all columns",
        "noise in one column",
        "noise that goes on",
        "unlabelled",
    ],
)
def test_broken_versions_are_caught(change):
    with pytest.raises(AssertionError):
        check(lambda *data, **settings: naive(*data, **settings, broken=change), 10_000)


def test_defaults():
    assert GaussianNoise().get_params() == {
        "multiplier": 10,
        "sigma": 0.01,
        "sampling_strategy": None,
        "scaling": "minmax",
        "categorical_features": "dtype",
        "random_state": None,
        "n_jobs": -1,
    }


def test_ten_for_each_anomaly():
    y = np.repeat([1, 0], [7, 30])
    X_new, _ = GaussianNoise(random_state=0).fit_resample(np.vstack([ANOMALIES, UNLABELLED]), y)
    assert len(X_new) == 37 + 70


def test_sigma_0_copies():
    rows = ours(ANOMALIES, UNLABELLED, 5000, seed=0, sigma=0)
    assert (rows[:, None] == ANOMALIES).all(axis=2).any(axis=1).all()


def test_single_anomaly_and_single_feature():
    rows = ours(np.array([[3.0]]), np.array([[0.0]]), 50_000, seed=1)
    check_noise(rows - 3, 0.01)
    rows = draw(GaussianNoise(random_state=1), np.array([[3.0]]), np.array([[0.0]]), 50_000)
    check_noise(rows - 3, 0.03)


def test_wide_rows_are_generated_in_blocks_of_their_own():
    # 3000 columns: a block is 21 rows, and the 200 rows come from ten.
    anomalies, unlabelled = np.full((1, 3000), 0.5), np.zeros((1, 3000))
    noise = ours(anomalies, unlabelled, 200, seed=0) - 0.5
    check_noise(noise[:, :40], 0.01)
    correlation = np.corrcoef(noise) - np.eye(200)
    assert np.abs(correlation).max() < 6 / np.sqrt(3000)


@pytest.mark.parametrize(
    ("scaler", "unit"),
    [
        (MinMaxScaler(), lambda X: np.ptp(X, axis=0)),
        (MinMaxScaler(feature_range=(-1, 1)), lambda X: np.ptp(X, axis=0) / 2),
        (StandardScaler(), lambda X: X.std(axis=0)),
    ],
)
def test_a_scaler_tells_the_unit_of_sigma(scaler, unit):
    X = np.vstack([ANOMALIES, UNLABELLED]) * 10.0 ** np.arange(-6, 6)
    sampler = GaussianNoise(scaling=scaler.fit(X), random_state=0).fit(
        X, np.repeat([1, 0], [1, 36])
    )
    rows = sampler.sample(30_000)
    check_noise((rows - X[0]) / unit(X), 0.01)


def test_constant_columns_get_no_noise():
    X = np.vstack([ANOMALIES, UNLABELLED])
    X[:, 2] = 7.5
    rows = GaussianNoise(random_state=0).fit(X, np.repeat([1, 0], [7, 30])).sample(1000)
    assert (rows[:, 2] == 7.5).all()
    # scaling=None says that all columns are scaled: noise everywhere, as published.
    rows = ours(X[:7], X[7:], 1000, seed=0)
    assert rows[:, 2].std() == pytest.approx(0.01, rel=0.2)


def test_single_precision():
    rows = ours(ANOMALIES[:1].astype("float32"), UNLABELLED.astype("float32"), 30_000, seed=0)
    assert rows.dtype == np.float32
    noise = rows.astype(float) - ANOMALIES[0].astype("float32")
    check_noise(noise, 0.01)
