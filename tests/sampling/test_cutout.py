"""Cutout against a version written row by row from the published description.

A share of the columns, even from 0.1 to 0.3, rounded down to n columns, at least 1; a random column
x; blank are the columns from x - n // 2 up to, not including, x + n // 2, cut to the row. The
probability of each window is worked out exactly, and the windows read off the rows are held
against it. `test_broken_versions_are_caught` shows that the checks can fail.
"""

import numpy as np
import pytest
from sampling_checks import (
    check_counts,
    check_even,
    draw,
    in_units,
    scaled_rows,
    window_law,
    windows_of,
)
from sklearn.preprocessing import MinMaxScaler, StandardScaler

from nngmix import Cutout


def naive(anomalies, unlabelled, n, *, seed, low=0.1, high=0.3, broken=""):
    rng = np.random.default_rng(seed)
    width = anomalies.shape[1]
    if broken in ("low", "high"):
        low, high = low + 0.02 * (broken == "low"), high + 0.02 * (broken == "high")
    out = []
    for _ in range(n):
        row = anomalies[rng.integers(len(anomalies))].copy()
        if broken == "first anomaly" and rng.random() < 0.1:
            row = anomalies[0].copy()
        ratio = rng.uniform(low, high)
        size = max(1, int(ratio * width))
        if broken == "rounded up":
            size = int(np.ceil(ratio * width))
        if broken == "at least 2":
            size = max(2, size)
        x = rng.integers(width - (broken == "x"))
        first = x - size // 2
        last = x + size // 2
        if broken == "last included":
            last += 1
        if broken == "from x on":
            first, last = x, x + size
        if broken == "odd sizes":
            last = first + size
        if broken == "shifted":
            first, last = first + 1, last + 1
        if broken == "clip":
            last = min(last, width - 1)
        if broken == "round the end":
            blank = np.arange(first, last) % width
        elif broken == "cells at random":
            blank = rng.permutation(width)[: last - first]
        else:
            blank = [c for c in range(first, last) if 0 <= c < width]
        row[blank] = 0
        if broken == "mean":
            row[blank] = row.mean()
        out.append(row)
    return np.array(out)


def ours(anomalies, unlabelled, n, *, seed, **settings):
    return draw(Cutout(scaling=None, random_state=seed, **settings), anomalies, unlabelled, n)


def table(n_anomalies, width):
    """Anomalies well away from 0, and unlabelled rows that span 0 to 1."""
    rng = np.random.default_rng(51)
    return 0.2 + 0.6 * rng.random((n_anomalies, width)), scaled_rows(rng, 30, width)


def check(generate, n, width, n_anomalies=4, **settings):
    anomalies, unlabelled = table(n_anomalies, width)
    rows = generate(anomalies, unlabelled, n, seed=1, **settings)
    blank = np.abs(rows) < 1e-9
    kept = np.isclose(rows[:, None], anomalies, rtol=0, atol=1e-9)
    who = (kept | blank[:, None]).all(axis=2)
    assert who.any(axis=1).all(), "a cell that is neither 0 nor the anomaly's"
    # A row that is all blank could be anyone's.
    known = who.sum(axis=1) == 1
    law = window_law(width, **settings)
    check_counts(windows_of(blank), law, "windows")
    check_even(who[known].argmax(axis=1).tolist(), range(n_anomalies), "anomalies")
    return rows


generators = pytest.mark.parametrize(
    ("generate", "n"),
    [(ours, 30_000), (naive, 10_000), (in_units(Cutout), 20_000)],
    ids=["ours", "naive", "ours in units"],
)


@generators
@pytest.mark.parametrize("width", [3, 4, 7, 8, 12, 41])
def test_windows_by_default(generate, n, width):
    check(generate, n, width)


@generators
@pytest.mark.parametrize(
    ("low", "high"), [(0.0, 1.0), (0.5, 0.5), (0.0, 0.0), (1.0, 1.0), (0.25, 0.9)]
)
def test_shares(generate, n, low, high):
    check(generate, n, 10, low=low, high=high)


@pytest.mark.parametrize(
    ("change", "width"),
    [
        ("low", 41),
        ("high", 41),
        ("rounded up", 41),
        ("rounded up", 8),
        ("at least 2", 8),
        ("x", 41),
        ("last included", 8),
        ("last included", 41),
        ("from x on", 41),
        ("odd sizes", 41),
        ("shifted", 41),
        ("clip", 41),
        ("round the end", 41),
        ("cells at random", 41),
        ("mean", 41),
        ("first anomaly", 41),
    ],
)
def test_broken_versions_are_caught(change, width):
    with pytest.raises(AssertionError):
        check(lambda *data, **settings: naive(*data, **settings, broken=change), 10_000, width)


def test_the_law_itself():
    """The worked-out probabilities, against counting by hand."""
    # 4 columns: shares of 0.1 to 0.3 are 0.4 to 1.2 columns, so n = 1, which blanks nothing.
    assert window_law(4) == {None: pytest.approx(1)}
    # 8 columns: n = 1 below a share of 0.25, else 2: from x - 1 to x.
    law = window_law(8)
    assert law[None] == pytest.approx(0.75)
    assert law[0, 1] == law[0, 2] == law[6, 8] == pytest.approx(0.25 / 8)
    assert (7, 8) not in law
    assert sum(law.values()) == pytest.approx(1)
    # One size only: 5 of 10 columns are 2 on either side of x.
    law = window_law(10, 0.5, 0.5)
    assert law[0, 2] == law[0, 3] == law[7, 10] == pytest.approx(0.1)
    assert max(stop - start for start, stop in law) == 4


def test_defaults():
    assert Cutout().get_params() == {
        "multiplier": 10,
        "low": 0.1,
        "high": 0.3,
        "sampling_strategy": None,
        "scaling": "minmax",
        "categorical_features": "dtype",
        "random_state": None,
        "n_jobs": -1,
    }


def test_ten_for_each_anomaly():
    anomalies, unlabelled = table(4, 6)
    y = np.repeat([1, 0], [4, 30])
    X_new, _ = Cutout(random_state=0).fit_resample(np.vstack([anomalies, unlabelled]), y)
    assert len(X_new) == 34 + 40


def test_single_anomaly():
    check(ours, 20_000, 20, n_anomalies=1)


def test_single_feature_is_never_blank():
    for low, high in ((0.1, 0.3), (1.0, 1.0)):
        rows = ours(np.array([[3.0]]), np.array([[1.0]]), 100, seed=0, low=low, high=high)
        assert (rows == 3).all()


def test_wide_rows():
    # 1000 columns, in blocks of 65 rows: the windows count in squares of 100 by 100 columns.
    anomalies, unlabelled = table(2, 1000)
    windows = windows_of(ours(anomalies, unlabelled, 4000, seed=1) == 0)
    squares = {}
    for (start, stop), p in window_law(1000).items():
        square = start // 100, stop // 100
        squares[square] = squares.get(square, 0.0) + p
    check_counts([(start // 100, stop // 100) for start, stop in windows], squares, "windows")
    uncut = {stop - start for start, stop in windows if start > 0 and stop < 1000}
    assert all(length % 2 == 0 and 100 <= length <= 298 for length in uncut)
    assert {100, 298} <= uncut


def test_blank_is_the_lowest_value_of_the_table():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(200, 20)) * 10.0 ** np.arange(-10, 10) + np.arange(20)
    X[:, 5] = 42.0
    y = np.repeat([1, 0], [1, 199])
    low = X.min(axis=0)
    rows = Cutout(random_state=0).fit(X, y).sample(5000)
    assert ((rows == X[0]) | (rows == low)).all()
    changed = rows != X[0]
    assert changed[:, low != X[0]].any(axis=0).all()
    assert (rows[:, 5] == 42).all()
    # A fitted scaler tells its own 0: the lowest value it saw, or the mean.
    for scaler, zero in ((MinMaxScaler(), low), (StandardScaler(), X.mean(axis=0))):
        rows = Cutout(scaling=scaler.fit(X), random_state=0).fit(X, y).sample(5000)
        assert (np.isclose(rows, X[0], rtol=1e-12) | np.isclose(rows, zero, rtol=1e-9)).all()
        assert np.isclose(rows, zero, rtol=1e-9).any(axis=0).all()


def test_low_above_high_is_refused():
    anomalies, unlabelled = table(2, 5)
    with pytest.raises(ValueError, match="low must not be above high; got low"):
        ours(anomalies, unlabelled, 1, seed=0, low=0.5)
    for name, value in (("low", -0.1), ("high", 1.1)):
        with pytest.raises(ValueError, match=f"'{name}' parameter of Cutout"):
            ours(anomalies, unlabelled, 1, seed=0, **{name: value})
