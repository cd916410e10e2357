"""CutMix against a version written row by row from the published description.

The window of Cutout, cut from a second, different anomaly, and pasted into the first at a place
drawn evenly from 0 to d - width - 1. Each cell's value tells the anomaly and column that it came
from, so windows and places are read off the rows and held against their exact probabilities.
`test_broken_versions_are_caught` shows that the checks can fail.
"""

import itertools

import numpy as np
import pytest
from sampling_checks import (
    check_counts,
    check_even,
    check_law,
    coded_anomalies,
    draw,
    in_units,
    paste_law,
    pastes_of,
    scaled_rows,
    window_law,
    windows_of,
)
from sklearn.preprocessing import MinMaxScaler

from nngmix import CutMix


def naive(anomalies, unlabelled, n, *, seed, low=0.1, high=0.3, broken=""):
    rng = np.random.default_rng(seed)
    width = anomalies.shape[1]
    if broken in ("low", "high"):
        low, high = low + 0.02 * (broken == "low"), high + 0.02 * (broken == "high")
    out = []
    for _ in range(n):
        i = j = rng.integers(len(anomalies))
        while (
            j == i
            and len(anomalies) > 1
            and not (broken == "itself" and rng.random() < 1 / len(anomalies))
        ):
            j = rng.integers(len(anomalies))
        if broken == "next one":
            j = (i + 1) % len(anomalies)
        second = anomalies[j]
        if broken == "unlabelled":
            second = unlabelled[rng.integers(len(unlabelled))]
        size = max(1, int(rng.uniform(low, high) * width))
        if broken == "size of one more":
            size += 1
        x = rng.integers(width - (broken == "x"))
        first, last = max(x - size // 2, 0), min(x + size // 2, width)
        if broken == "clip":
            last = min(last, width - 1)
        if broken == "last included":
            last = min(last + 1, width)
        cut = last - first
        places = width - cut
        if broken == "one place more":
            places += 1
        if broken == "one place less":
            places -= 1
        if broken == "places of the full size":
            places = width - size // 2 * 2
        place = rng.integers(max(places, 1))
        if broken == "where it was cut":
            place = first
        if broken == "one further":
            place = min(place + 1, width - cut)
        row = anomalies[i].copy()
        row[place : place + cut] = second[first:last]
        out.append(row)
    return np.array(out)


def ours(anomalies, unlabelled, n, *, seed, **settings):
    return draw(CutMix(scaling=None, random_state=seed, **settings), anomalies, unlabelled, n)


def check(generate, n, width, n_anomalies=4, **settings):
    anomalies = coded_anomalies(n_anomalies, width)
    unlabelled = scaled_rows(np.random.default_rng(61), 30, width)
    rows = generate(anomalies, unlabelled, n, seed=1, **settings)
    pastes = pastes_of(rows, n_anomalies)
    windows = [paste and paste[:2] for _, _, paste in pastes]
    check_counts(windows, window_law(width, **settings), "windows")
    check_counts(
        [paste for _, _, paste in pastes], paste_law(width, **settings), "windows and places"
    )
    pairs = [(first, second) for first, second, _ in pastes if second is not None]
    different = [(i, j) for i in range(n_anomalies) for j in range(n_anomalies) if i != j]
    if n_anomalies > 1:
        check_even(pairs, different, "pairs")
    check_even([first for first, _, _ in pastes], range(n_anomalies), "first anomalies")


generators = pytest.mark.parametrize(
    ("generate", "n"),
    [(ours, 40_000), (naive, 12_000), (in_units(CutMix), 20_000)],
    ids=["ours", "naive", "ours in units"],
)


@generators
@pytest.mark.parametrize("width", [8, 21])
def test_windows_by_default(generate, n, width):
    check(generate, n, width)


@generators
def test_shares(generate, n):
    # No more than 4 of 10 columns, so that the first anomaly is always told by the most cells.
    check(generate, n, 10, low=0.0, high=0.5)


@pytest.mark.parametrize(
    "change",
    [
        "low",
        "high",
        "itself",
        "next one",
        "unlabelled",
        "size of one more",
        "x",
        "clip",
        "last included",
        "one place more",
        "one place less",
        "places of the full size",
        "where it was cut",
        "one further",
    ],
)
def test_broken_versions_are_caught(change):
    with pytest.raises(AssertionError):
        check(lambda *data, **settings: naive(*data, **settings, broken=change), 12_000, 21)


def test_defaults():
    assert CutMix().get_params() == {
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
    X = np.vstack([coded_anomalies(4, 6), np.random.default_rng(0).random((30, 6))])
    X_new, _ = CutMix(random_state=0).fit_resample(X, np.repeat([1, 0], [4, 30]))
    assert len(X_new) == 34 + 40


def test_single_anomaly_is_pasted_into_itself():
    anomalies = coded_anomalies(1, 21)
    pastes = pastes_of(ours(anomalies, anomalies, 30_000, seed=1), 1)
    # A window that is pasted where it was cut does not show.
    law = {None: 0.0}
    for paste, p in paste_law(21).items():
        shown = None if paste is None or paste[0] == paste[2] else paste
        law[shown] = law.get(shown, 0.0) + p
    check_counts([paste for _, _, paste in pastes], law, "windows")


def test_single_feature_is_never_pasted():
    anomalies = np.array([[3.0], [4.0]])
    for low, high in ((0.1, 0.3), (1.0, 1.0)):
        rows = ours(anomalies, np.array([[1.0]]), 1000, seed=0, low=low, high=high)
        assert set(np.unique(rows)) == {3.0, 4.0}


def test_a_window_of_the_whole_row():
    # Two columns, n = 2: column 0 alone where x = 0, else both.
    anomalies = np.array([[1.0, 2.0], [3.0, 4.0]])
    rows = ours(anomalies, np.zeros((1, 2)), 20_000, seed=0, low=1.0, high=1.0)
    # Column 0 alone has one place to go, 0, as d - width - 1 = 0; both have no other either.
    outcomes = [tuple(row) for row in rows.tolist()]
    check_even(outcomes, [(3.0, 2.0), (1.0, 4.0), (3.0, 4.0), (1.0, 2.0)], "rows")


def test_the_last_column_is_never_pasted():
    # The published range of places ends one short.
    anomalies = coded_anomalies(4, 21)
    pastes = pastes_of(ours(anomalies, anomalies, 20_000, seed=0), 4)
    ends = {place + stop - start for _, _, (start, stop, place) in pastes}
    assert max(ends) == 20


def test_wide_rows():
    # 1000 columns, in blocks of 65 rows: how long the windows are and where they go.
    anomalies = np.vstack([np.zeros(1000), np.ones(1000)])
    rows = ours(anomalies, np.zeros((1, 1000)), 4000, seed=1)
    rows = np.where(rows.mean(axis=1, keepdims=True) > 0.5, 1 - rows, rows)
    windows = np.array(windows_of(rows == 1))
    length = windows[:, 1] - windows[:, 0]
    law = {}
    for (start, stop), p in window_law(1000).items():
        law[(stop - start) // 20] = law.get((stop - start) // 20, 0.0) + p
    check_counts((length // 20).tolist(), law, "lengths")
    # The place is even from 0 to d - length - 1.
    share = (windows[:, 0] + 0.5) / (1000 - length)
    assert share.max() < 1
    check_law(share, "uniform", "places")


def test_values_change_columns_in_scaled_units():
    rng = np.random.default_rng(0)
    width, constant = 20, [4, 9]
    unit = 10.0 ** np.arange(-10, 10)
    X = np.vstack([coded_anomalies(3, width), scaled_rows(rng, 50, width)]) * unit - 3 * unit
    X[:, constant] = 42.0
    y = np.repeat([1, 0], [3, 50])
    scaler = MinMaxScaler().fit(X)
    scaled = scaler.transform(X)[:3]
    # All that may come: a constant column is 0 in scaled units, and stays so.
    possible = set()
    for i, j in itertools.permutations(range(3), 2):
        for start, stop, place in paste_law(width):
            row = scaled[i].copy()
            row[place : place + stop - start] = scaled[j, start:stop]
            row[constant] = 0
            possible.add(tuple(row.round(6)))
    for scaling in ("minmax", scaler):
        rows = CutMix(scaling=scaling, random_state=0).fit(X, y).sample(60_000)
        assert (rows[:, constant] == 42).all()
        assert set(map(tuple, (scaler.transform(rows).round(6) + 0.0).tolist())) == possible
