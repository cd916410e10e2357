"""The approximate engine finds nearly all, and is a scikit-learn estimator like any other."""

import numpy as np
import pytest
from sklearn.utils.estimator_checks import parametrize_with_checks

from nngmix import NNGMix
from nngmix.neighbors import ApproximateNeighbors, k_nearest

pytest.importorskip("faiss", reason="faiss is not installed (extra 'ann')")


@parametrize_with_checks([ApproximateNeighbors()])
def test_scikit_learns_checks(estimator, check):
    check(estimator)


def clustered(n_rows, n_queries, n_features=16, seed=0):
    rng = np.random.default_rng(seed)
    centres = rng.normal(scale=4, size=(30, n_features))
    X = centres[rng.integers(30, size=n_rows + n_queries)]
    X = (X + rng.normal(size=X.shape)).astype(np.float32)
    return X[:n_queries], X[n_queries:]


def recall(found, exact):
    shared = [len(set(a) & set(b)) for a, b in zip(found, exact, strict=True)]
    return sum(shared) / exact.size


def test_more_probes_find_more_and_all_probes_find_all():
    queries, rows = clustered(20_000, 300)
    exact = k_nearest(queries, rows, 10).index
    found = [
        recall(ApproximateNeighbors(10, n_probes=p).fit(rows).kneighbors(queries)[1], exact)
        for p in (1, 16, 10_000)
    ]
    assert found[0] < found[1] <= found[2]
    assert found[1] > 0.9
    assert found[2] > 0.999  # ties and single precision aside


def test_distances_are_those_of_the_rows_found():
    queries, rows = clustered(3000, 50)
    distance, index = ApproximateNeighbors(4).fit(rows).kneighbors(queries)
    there = np.linalg.norm(queries[:, None].astype(float) - rows[index], axis=2)
    np.testing.assert_allclose(distance, there, rtol=1e-3, atol=1e-3)
    assert (np.diff(distance, axis=1) >= 0).all()


def test_every_query_gets_its_neighbours_even_from_short_lists():
    queries, rows = clustered(2000, 100)
    near = ApproximateNeighbors(200, n_lists=40, n_probes=1).fit(rows)
    index = near.kneighbors(queries, return_distance=False)
    assert index.shape == (100, 200)
    assert index.min() >= 0
    assert all(len(set(found)) == 200 for found in index)


def test_threads_do_not_matter():
    queries, rows = clustered(30_000, 200)
    one, two = (
        ApproximateNeighbors(n_jobs=n).fit(rows).kneighbors(queries, return_distance=False)
        for n in (1, 2)
    )
    assert np.array_equal(one, two)


def test_a_sampler_takes_it():
    anomalies, rows = clustered(4000, 40)
    X, y = np.concatenate([rows, anomalies]), np.repeat([0, 1], [4000, 40])
    near = ApproximateNeighbors(5, n_probes=10_000)
    approximate = NNGMix(n_neighbors=near, random_state=0).fit(X, y).pool_
    exact = NNGMix(n_neighbors=5, random_state=0).fit(X, y).pool_
    assert np.array_equal(approximate.unlabelled, exact.unlabelled)
    assert np.array_equal(approximate.near_unlabelled, exact.near_unlabelled)


@pytest.mark.parametrize("setting", [{"n_neighbors": 0}, {"n_probes": 0}, {"n_lists": 0}])
def test_settings_are_checked(setting):
    with pytest.raises(ValueError, match=next(iter(setting))):
        ApproximateNeighbors(**setting).fit(np.zeros((10, 2)))
