"""The search of cells finds nearly all, all where it sees all, and nothing hangs on the batch."""

import tracemalloc

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.distance import cdist

from nngmix.neighbors.cells import CellSearch


def clustered(n_rows, n_columns, seed=0):
    rng = np.random.default_rng(seed)
    centres = rng.normal(scale=4, size=(30, n_columns))
    return centres[rng.integers(30, size=n_rows)] + rng.normal(size=(n_rows, n_columns))


def distances(queries, rows, found):
    return np.sort(np.linalg.norm(queries[:, None] - rows[found], axis=2), axis=1)


def naive(queries, rows, k, own=False):
    away = cdist(queries, rows)
    if own:
        np.fill_diagonal(away, np.inf)
    return np.sort(away, axis=1)[:, :k]


@settings(deadline=None)
@given(
    n_rows=st.integers(2, 300),
    n_columns=st.integers(1, 4),
    n_values=st.sampled_from([1, 2, 5, 10**6]),
    k=st.integers(1, 40),
    seed=st.integers(0, 10),
)
def test_is_exact_where_all_rows_are_seen(n_rows, n_columns, n_values, k, seed):
    rng = np.random.default_rng(seed)
    rows = rng.integers(n_values, size=(n_rows, n_columns)) / n_values
    queries = np.vstack([rng.normal(size=(20, n_columns)), 1e3 * np.ones((1, n_columns))])
    search = CellSearch(rows, n_seen=n_rows)
    k = min(k, n_rows)
    found = search.nearest(queries, k)
    assert all(len(set(some)) == k for some in found)
    np.testing.assert_allclose(
        distances(queries, rows, found), naive(queries, rows, k), rtol=1e-6, atol=1e-6
    )
    k = min(k, n_rows - 1)
    found = search.nearest_others(k)
    assert all(len({*some, place}) == k + 1 for place, some in enumerate(found))
    np.testing.assert_allclose(
        distances(rows, rows, found), naive(rows, rows, k, own=True), rtol=1e-6, atol=1e-6
    )


@pytest.mark.parametrize("n_columns", [7, 30])
def test_finds_nearly_all_of_many(n_columns):
    rows = clustered(30_000, n_columns)
    queries = np.vstack([clustered(300, n_columns, seed=1), np.full((1, n_columns), 30.0)])
    search = CellSearch(rows)
    ratio = distances(queries, rows, search.nearest(queries, 30)) / naive(queries, rows, 30)
    assert ratio.mean() < 1.01
    assert ratio.max() < 1.2
    # Worse, and so not exact by luck, where it sees less.
    fewer = CellSearch(rows, n_seen=100)
    less = distances(queries, rows, fewer.nearest(queries, 30)) / naive(queries, rows, 30)
    assert less.mean() > ratio.mean() + 0.01


def test_short_cells_are_no_trouble():
    # Half of the rows are one and the same; some lie far from all others.
    rows = clustered(6000, 3)
    rows[:3000] = rows[0]
    rows[-20:] *= 100
    search = CellSearch(rows, n_seen=100)
    found = search.nearest(np.vstack([rows[:2], rows[-2:]]), 150)
    assert all(len(set(some)) == 150 for some in found)
    assert set(found[0]) <= set(range(3000))
    others = search.nearest_others(5)
    assert (others != np.arange(6000)[:, None]).all()
    assert (others[:3000] < 3000).all()


def test_neither_threads_nor_other_queries_matter():
    rows, queries = clustered(8000, 9), clustered(5000, 9, seed=1)
    search = CellSearch(rows, n_seen=500)
    whole = np.sort(search.nearest(queries, 10), axis=1)
    alone = np.vstack([search.nearest(queries[i : i + 1], 10) for i in range(0, 5000, 50)])
    assert np.array_equal(whole[::50], np.sort(alone, axis=1))
    others = np.sort(search.nearest_others(10), axis=1)
    search = CellSearch(rows, n_seen=500, n_jobs=2)
    assert np.array_equal(whole, np.sort(search.nearest(queries, 10), axis=1))
    assert np.array_equal(others, np.sort(search.nearest_others(10), axis=1))


def test_no_query_is_no_trouble():
    assert CellSearch(clustered(50, 2)).nearest(np.empty((0, 2)), 3).shape == (0, 3)


def test_a_dense_cell_far_from_others_takes_no_more_memory():
    # The limits of rows outside come from far away, and rule out nothing of the dense cells.
    rows = np.random.default_rng(0).normal(size=(12_000, 12))
    rows[:6000] *= 1e-4
    search = CellSearch(rows)
    tracemalloc.start()
    try:
        search.nearest_others(30)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 250e6
