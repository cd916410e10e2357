"""NPOS as a sampler against a version written row by row from the published description.

The k-th-neighbour distance of each unlabelled row among the others, rows scaled to unit length; the
rows with the largest are the boundary. Round a random one of these, Gaussian candidates; kept are
the two whose k-th-neighbour distance to the unlabelled rows is largest. Tiny settings make each
step show: candidates without noise show the boundary, a single candidate shows the noise, and with
as many kept as there are candidates all of them show. `test_broken_versions_are_caught` shows that
the checks can fail.
"""

from collections import Counter

import numpy as np
import pytest
from sampling_checks import (
    SIGNIFICANCE,
    check_counts,
    check_even,
    check_law,
    check_noise,
    draw,
    in_units,
    scaled_rows,
)
from scipy import stats

from nngmix import NPOS

WIDTH, K, BOUNDARY, CANDIDATES = 5, 4, 15, 15
rng = np.random.default_rng(71)
DISTINCT = scaled_rows(rng, 50, WIDTH)
#: A few rows occur twice or three times, and count so.
UNLABELLED = np.vstack([DISTINCT, DISTINCT[:10], DISTINCT[5:10]])
UNLABELLED = UNLABELLED[rng.permutation(len(UNLABELLED))]


def unit_length(rows):
    length = np.linalg.norm(rows, axis=-1, keepdims=True)
    return rows / np.where(length > 0, length, 1)


def kth_distance(row, rows, k):
    """From all distances, sorted."""
    return np.sort(np.linalg.norm(rows - row, axis=1))[min(k, len(rows)) - 1]


def boundary_of(unlabelled, k, n_boundary, *, itself=True):
    """Places of the boundary rows."""
    unit = unit_length(unlabelled)
    distances = [
        kth_distance(row, unit if itself else np.delete(unit, i, axis=0), k)
        for i, row in enumerate(unit)
    ]
    return np.argsort(-np.round(distances, 9), kind="stable")[:n_boundary]


#: Close to boundary rows, so that it would show if they counted as neighbours.
ANOMALIES = 0.05 + 0.9 * UNLABELLED[boundary_of(UNLABELLED, K, 8)]


def naive(
    anomalies,
    unlabelled,
    n,
    *,
    seed,
    n_neighbors=300,
    n_boundary=200,
    n_candidates=1000,
    n_kept=2,
    sigma=0.1,
    broken="",
):
    rng = np.random.default_rng(seed)
    k_boundary = n_neighbors + {"boundary k + 1": 1, "boundary k - 1": -1}.get(broken, 0)
    k = n_neighbors + {"k + 1": 1, "k - 1": -1}.get(broken, 0)
    n_boundary += {"one boundary row more": 1, "one boundary row less": -1}.get(broken, 0)
    scaled = (lambda rows: rows) if broken == "no unit length" else unit_length
    if broken == "sigma":
        sigma *= 1.05
    if broken == "boundary without unit length":
        lengths = [kth_distance(row, unlabelled, k + 1) for row in unlabelled]
        places = np.argsort(lengths)[::-1][:n_boundary]
    elif broken == "nearest rows":
        places = boundary_of(unlabelled, k_boundary, len(unlabelled))[-n_boundary:]
    else:
        places = boundary_of(unlabelled, k_boundary, n_boundary, itself=broken != "without itself")
    rows = np.unique(unlabelled, axis=0) if broken == "equal rows once" else unlabelled
    rows = np.vstack([rows, anomalies]) if broken == "anomalies too" else rows
    rows = scaled(rows)
    out = []
    while len(out) < n:
        centre = unlabelled[rng.choice(places)]
        if broken == "the farthest row more often" and rng.random() < 0.1:
            centre = unlabelled[places[0]]
        candidates = [centre + rng.normal(0, sigma, len(centre)) for _ in range(n_candidates)]
        if broken == "three candidates less":
            candidates = candidates[3:]
        distances = np.array([kth_distance(scaled(row), rows, k) for row in candidates])
        farthest = np.argsort(-distances)
        if broken == "the nearest two":
            farthest = farthest[::-1]
        if broken == "any two":
            farthest = rng.permutation(len(farthest))
        if broken == "not the very farthest":
            farthest = farthest[1:]
        out += [candidates[i] for i in farthest[:n_kept]]
    return np.array(out[:n])


def ours(anomalies, unlabelled, n, *, seed, **settings):
    return draw(NPOS(scaling=None, random_state=seed, **settings), anomalies, unlabelled, n)


def check_boundary(generate, n):
    """Without noise, and with one candidate, what comes is boundary rows, each as likely."""
    rows = generate(
        ANOMALIES,
        UNLABELLED,
        n,
        seed=1,
        n_neighbors=K,
        n_boundary=BOUNDARY,
        n_candidates=1,
        n_kept=1,
        sigma=1e-9,
    )
    places = ((rows[:, None] - DISTINCT) ** 2).sum(axis=2).argmin(axis=1)
    np.testing.assert_allclose(rows, DISTINCT[places], atol=1e-7)
    boundary = UNLABELLED[boundary_of(UNLABELLED, K, BOUNDARY)]
    # A row that occurs twice is on the boundary twice.
    law = Counter((boundary[:, None] == DISTINCT).all(axis=2).argmax(axis=1).tolist())
    check_counts(places.tolist(), law, "boundary rows")


def check_candidates(generate, n):
    """With one boundary row and one candidate, what comes is noise round that row."""
    rows = generate(
        ANOMALIES, UNLABELLED, n, seed=2, n_neighbors=K, n_boundary=1, n_candidates=1, n_kept=1
    )
    check_noise(rows - UNLABELLED[boundary_of(UNLABELLED, K, 1)], 0.1)


def check_farthest(generate, seeds):
    """The same seed gives the same candidates: with all kept they show, and which are farthest."""
    settings = {"n_neighbors": K, "n_boundary": BOUNDARY, "n_candidates": CANDIDATES}
    unit = unit_length(UNLABELLED)
    for seed in range(seeds):
        every = generate(
            ANOMALIES, UNLABELLED, CANDIDATES, seed=seed, **settings, n_kept=CANDIDATES
        )
        kept = generate(ANOMALIES, UNLABELLED, CANDIDATES, seed=seed, **settings)[:2]
        distances = np.array([kth_distance(row, unit, K) for row in unit_length(every)])
        farthest = every[np.argsort(-distances)[:2]]
        np.testing.assert_allclose(kept, farthest, rtol=1e-9, err_msg=f"seed {seed}")


def ranks(rows, centre):
    """The share of candidates round a boundary row that are nearer by the k-th distance.

    Of candidates drawn here; the largest of 15 has a rank of Beta(15, 1), the next Beta(14, 2).
    """
    unit, rng = unit_length(UNLABELLED), np.random.default_rng(0)

    def distance(rows):
        product = unit_length(rows) @ unit.T
        return np.sort(2 - 2 * product, axis=1)[:, K - 1]

    typical = np.sort(distance(centre + rng.normal(0, 0.1, (20_000, WIDTH))))
    return np.searchsorted(typical, distance(rows)) / len(typical)


def check_ranks(generate, n):
    centre = UNLABELLED[boundary_of(UNLABELLED, K, 1)]
    rows = generate(
        ANOMALIES, UNLABELLED, n, seed=3, n_neighbors=K, n_boundary=1, n_candidates=CANDIDATES
    )
    rank = ranks(rows, centre).reshape(-1, 2)
    check_law(rank.max(axis=1), stats.beta(CANDIDATES, 1).cdf, "the farthest")
    check_law(rank.min(axis=1), stats.beta(CANDIDATES - 1, 2).cdf, "the next")


generators = pytest.mark.parametrize(
    ("generate", "n", "pairs"),
    [(ours, 6000, 3000), (naive, 3000, 1000), (in_units(NPOS), 3000, 1500)],
    ids=["ours", "naive", "ours in units"],
)


@generators
class TestStatistics:
    def test_boundary(self, generate, n, pairs):
        check_boundary(generate, n)

    def test_candidates(self, generate, n, pairs):
        check_candidates(generate, n)

    def test_farthest(self, generate, n, pairs):
        check_farthest(generate, 20)

    def test_ranks(self, generate, n, pairs):
        check_ranks(generate, pairs)


@pytest.mark.parametrize(
    ("change", "check"),
    [
        ("boundary k + 1", lambda g: check_boundary(g, 3000)),
        ("boundary k - 1", lambda g: check_boundary(g, 3000)),
        ("without itself", lambda g: check_boundary(g, 3000)),
        ("one boundary row more", lambda g: check_boundary(g, 3000)),
        ("one boundary row less", lambda g: check_boundary(g, 3000)),
        ("boundary without unit length", lambda g: check_boundary(g, 3000)),
        ("nearest rows", lambda g: check_boundary(g, 3000)),
        ("the farthest row more often", lambda g: check_boundary(g, 3000)),
        ("sigma", lambda g: check_candidates(g, 3000)),
        ("k + 1", lambda g: check_farthest(g, 20)),
        ("k - 1", lambda g: check_farthest(g, 20)),
        ("no unit length", lambda g: check_farthest(g, 20)),
        ("equal rows once", lambda g: check_farthest(g, 20)),
        ("anomalies too", lambda g: check_farthest(g, 20)),
        ("the nearest two", lambda g: check_farthest(g, 20)),
        ("any two", lambda g: check_farthest(g, 20)),
        ("not the very farthest", lambda g: check_farthest(g, 20)),
        ("no unit length", lambda g: check_ranks(g, 1000)),
        ("three candidates less", lambda g: check_ranks(g, 1000)),
        ("the nearest two", lambda g: check_ranks(g, 1000)),
        ("any two", lambda g: check_ranks(g, 1000)),
        ("not the very farthest", lambda g: check_ranks(g, 1000)),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_broken_versions_are_caught(change, check):
    with pytest.raises(AssertionError):
        check(lambda *data, **settings: naive(*data, **settings, broken=change))


def test_defaults():
    assert NPOS().get_params() == {
        "multiplier": 10,
        "n_neighbors": 300,
        "n_boundary": 200,
        "n_candidates": 1000,
        "n_kept": 2,
        "sigma": 0.1,
        "sampling_strategy": None,
        "scaling": "minmax",
        "categorical_features": "dtype",
        "random_state": None,
        "n_jobs": -1,
    }


def test_default_sizes_at_work():
    unlabelled = scaled_rows(np.random.default_rng(0), 400, 3)
    table = np.vstack([ANOMALIES[:3, :3], unlabelled]), np.repeat([1, 0], [3, 400])
    boundary = NPOS().fit(*table).pool_.extra[0]
    assert boundary.shape == (200, 3)
    expected = unlabelled[boundary_of(unlabelled, 300, 200)]
    assert set(map(tuple, boundary.tolist())) == set(map(tuple, expected.tolist()))
    # The two farthest of a thousand candidates: with one boundary row it is known around which.
    unit, rng = unit_length(unlabelled), np.random.default_rng(0)
    centre = unlabelled[boundary_of(unlabelled, 300, 1)]
    typical = unit_length(centre + rng.normal(0, 0.1, (1000, 3)))
    usual = [kth_distance(row, unit, 300) for row in typical]
    for seed in range(10):
        rows = NPOS(n_boundary=1, random_state=seed).fit(*table).sample(2)
        kept = [kth_distance(row, unit, 300) for row in unit_length(rows)]
        assert min(kept) > np.quantile(usual, 0.98)


def test_ten_for_each_anomaly():
    y = np.repeat([1, 0], [8, len(UNLABELLED)])
    X_new, _ = NPOS(n_candidates=5, random_state=0).fit_resample(
        np.vstack([ANOMALIES, UNLABELLED]), y
    )
    assert len(X_new) == len(y) + 80


def test_all_boundary_rows_and_their_order_of_distance():
    sampler = NPOS(scaling=None, n_neighbors=K, n_boundary=10**6)
    draw(sampler, ANOMALIES, UNLABELLED, 1)
    boundary = sampler.pool_.extra[0]
    expected = UNLABELLED[boundary_of(UNLABELLED, K, 10**6)]
    assert len(boundary) == len(UNLABELLED)
    others = [kth_distance(row, unit_length(UNLABELLED), K) for row in unit_length(UNLABELLED)]
    of_row = {tuple(row): d for row, d in zip(UNLABELLED.tolist(), others, strict=True)}
    found = [of_row[tuple(row)] for row in boundary.tolist()]
    np.testing.assert_allclose(found, [of_row[tuple(row)] for row in expected.tolist()])


@pytest.mark.parametrize("n_unlabelled", [1, 2, 3, 10])
def test_sizes_shrink_to_fit(n_unlabelled):
    # k = 300 among 10 rows is the farthest of them, and all are boundary rows.
    unlabelled = DISTINCT[:n_unlabelled]
    rows = ours(ANOMALIES, unlabelled, 3000, seed=0, n_candidates=1, n_kept=2, sigma=1e-9)
    places = ((rows[:, None] - unlabelled) ** 2).sum(axis=2).argmin(axis=1)
    check_even(places.tolist(), range(n_unlabelled), "boundary rows")
    unit = unit_length(unlabelled)
    row = ours(ANOMALIES, unlabelled, 1, seed=0, n_boundary=1, n_candidates=1, sigma=0.0)
    to_others = np.linalg.norm(unit[:, None] - unit, axis=2).max(axis=1)
    assert to_others[(unlabelled == row).all(axis=1)] == pytest.approx(to_others.max())
    candidates = ours(ANOMALIES, unlabelled, 15, seed=5, n_candidates=15, n_kept=99)
    kth = [kth_distance(row, unit, 300) for row in unit_length(candidates)]
    assert (np.diff(kth) <= 1e-12).all()


def test_a_single_row_is_the_farthest():
    sampler = NPOS(scaling=None, n_neighbors=K, n_boundary=1, n_candidates=CANDIDATES)
    draw(sampler, ANOMALIES, UNLABELLED, 1)
    rows = np.vstack([sampler.sample(3, random_state=seed)[2:] for seed in range(500)])
    rank = ranks(rows, UNLABELLED[boundary_of(UNLABELLED, K, 1)])
    check_law(rank, stats.beta(CANDIDATES, 1).cdf, "the farthest")


def test_pairs_come_from_one_boundary_row():
    settings = {"n_neighbors": K, "n_boundary": BOUNDARY, "n_candidates": 5, "sigma": 1e-6}
    rows = ours(ANOMALIES, DISTINCT, 4000, seed=0, **settings)
    places = ((rows[:, None] - DISTINCT) ** 2).sum(axis=2).argmin(axis=1).reshape(-1, 2)
    assert (places[:, 0] == places[:, 1]).all()
    # Each pair's boundary row is drawn afresh.
    again = (places[1:, 0] == places[:-1, 0]).sum()
    assert stats.binomtest(int(again), len(places) - 1, 1 / BOUNDARY).pvalue > SIGNIFICANCE


def test_a_row_of_zeros_has_no_length():
    unlabelled = np.vstack([np.zeros(WIDTH), DISTINCT])
    boundary = boundary_of(unlabelled, K, 1)
    assert boundary == [0]
    rows = ours(ANOMALIES, unlabelled, 10, seed=0, n_neighbors=K, n_boundary=1, sigma=1e-9)
    np.testing.assert_allclose(rows, 0, atol=1e-7)


def test_single_feature():
    rows = ours(np.array([[3.0]]), np.array([[1.0], [2.0], [-1.0]]), 500, seed=0, n_neighbors=1)
    assert np.isfinite(rows).all()
    # By length 1 there are only 1 and -1: the one row below 0 is the farthest from the others.
    rows = ours(
        np.array([[3.0]]),
        np.array([[1.0], [2.0], [-1.0]]),
        10,
        seed=0,
        n_neighbors=2,  # the first is the row itself
        n_boundary=1,
        sigma=1e-9,
    )
    np.testing.assert_allclose(rows, -1, atol=1e-7)


def test_wide_rows():
    unlabelled = scaled_rows(np.random.default_rng(0), 60, 700)
    settings = {"n_neighbors": 5, "n_boundary": 1, "n_candidates": 30}
    rows = ours(unlabelled[:1], unlabelled, 900, seed=0, **settings, n_kept=30)
    unit = unit_length(unlabelled)
    for start in range(0, 900, 30):  # a group is never cut, however many columns
        group = unit_length(rows[start : start + 30])
        assert (np.diff([kth_distance(row, unit, 5) for row in group]) <= 1e-12).all()
    centre = unlabelled[boundary_of(unlabelled, 5, 1)]
    check_noise((rows[:180] - centre)[:, :20], 0.1)
