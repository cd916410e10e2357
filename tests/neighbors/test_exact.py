"""The neighbour search is exact, and its answer depends on the rows alone."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nngmix.neighbors import Metric, exact, k_nearest, merge_nearest, row_keys


@pytest.fixture(scope="module", params=["numpy", "bfloat16", "int8"], autouse=True)
def products(request):
    """Run every test with each kind of product, whatever this processor is quicker in."""
    with pytest.MonkeyPatch.context() as patch:
        if request.param == "numpy":
            patch.setattr(exact, "_coarse_kinds", lambda work: [])
        else:
            pytest.importorskip("torch", reason="torch is not installed (extra 'deep')")
            from nngmix.neighbors import bfloat16, int8

            patch.setattr(bfloat16, "pays", lambda: request.param == "bfloat16")
            patch.setattr(int8, "pays", lambda: request.param == "int8")
            # Small tables too are to have a block after the first, which has no limits yet.
            patch.setattr(exact, "_FIRST_ROWS", 16)
            patch.setattr(exact, "_EARLY_ROWS", 16)
        yield request.param


def test_products_of_few_digits_are_used_where_they_pay(products):
    rng = np.random.default_rng(0)
    X = rng.normal(size=(300, 4)).astype(np.float32)
    metric = Metric(np.ones(4), np.zeros(4, dtype=bool), 1.0)
    search = exact.Search(X[:5], X[5:], 3, metric, None, None)
    search.nominate(1)
    used = {kind.__name__ for (kind, _), made in search.products.items() if made}
    assert ("HalfProduct" in used) == (products == "bfloat16")
    assert ("ByteProduct" in used) == (products == "int8")


def naive(queries, rows, k, scale=None):
    """Distances of all pairs, sorted by (distance, key)."""
    scale = 1.0 if scale is None else scale
    difference = (queries[:, None].astype(float) - rows[None].astype(float)) / scale
    distance = (difference**2).sum(axis=2)
    keys = row_keys(rows)
    order = np.array([np.lexsort((keys, d)) for d in distance])[:, :k]
    return np.take_along_axis(distance, order, axis=1), order


# Small whole numbers make ties and duplicates common; the offsets make cancellation severe.
tables = st.tuples(
    st.integers(1, 40),
    st.integers(1, 300),
    st.integers(1, 12),
    st.integers(1, 12),
    st.sampled_from([np.float32, np.float64]),
    st.sampled_from(["grid", "normal", "offset", "wide"]),
    st.integers(0, 2**32 - 1),
)


def make(table):
    n_queries, n_rows, n_features, k, dtype, kind, seed = table
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n_queries + n_rows, n_features))
    if kind == "grid":
        X = rng.integers(0, 3, X.shape).astype(float)
    elif kind == "offset":
        X = X + 1e4
    elif kind == "wide":
        X = X * 10.0 ** rng.integers(-6, 7, n_features)
    X = X.astype(dtype)
    return X[:n_queries], X[n_queries:], k, rng


@given(tables)
def test_equals_the_naive_search(table):
    queries, rows, k, _ = make(table)
    found = k_nearest(queries, rows, k)
    distance, _ = naive(queries, rows, k)
    np.testing.assert_allclose(found.distance, distance, rtol=1e-12, atol=1e-300)
    assert (np.diff(found.distance, axis=1) >= 0).all()
    picked = ((queries[:, None].astype(float) - rows[found.index]) ** 2).sum(axis=2)
    np.testing.assert_allclose(picked, found.distance, rtol=1e-12, atol=1e-300)


@given(tables)
def test_order_of_rows_does_not_matter(table):
    queries, rows, k, rng = make(table)
    shuffle = rng.permutation(len(rows))
    here, there = k_nearest(queries, rows, k), k_nearest(queries, rows[shuffle], k)
    assert np.array_equal(here.distance, there.distance)
    assert np.array_equal(here.key, there.key)
    assert np.array_equal(rows[here.index], rows[shuffle][there.index])


@given(tables, st.lists(st.floats(0, 1), max_size=4))
def test_parts_merge_into_the_whole(table, cuts):
    queries, rows, k, _ = make(table)
    edges = sorted({0, len(rows), *(int(cut * len(rows)) for cut in cuts)})
    pieces = [rows[a:b] for a, b in itertools.pairwise(edges)]
    merged, part = merge_nearest([k_nearest(queries, piece, k) for piece in pieces], k)
    whole = k_nearest(queries, rows, k)
    assert np.array_equal(merged.distance, whole.distance)
    assert np.array_equal(merged.key, whole.key)
    first = np.array(edges)[part]
    assert np.array_equal(rows[merged.index + first], rows[whole.index])


@given(tables)
def test_scale_is_division_of_both_sides(table):
    queries, rows, k, rng = make(table)
    scale = rng.uniform(0.1, 10, rows.shape[1])
    found = k_nearest(queries, rows, k, metric=scale)
    distance, _ = naive(queries, rows, k, scale)
    np.testing.assert_allclose(found.distance, distance, rtol=1e-10, atol=1e-300)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("order", ["near first", "far first", "as drawn", "copies"])
def test_many_blocks(dtype, order):
    rng = np.random.default_rng(5)
    queries = rng.normal(size=(300, 16)).astype(dtype)  # more than one chunk of queries
    rows = rng.normal(size=(20_000, 16)).astype(dtype)  # many blocks of rows
    far = ((rows - queries.mean(axis=0)) ** 2).sum(axis=1)
    if order == "near first":
        rows = rows[np.argsort(far)]
    elif order == "far first":  # every block beats the last: nothing can be ruled out early
        rows = rows[np.argsort(-far)]
    elif order == "copies":
        rows = rows[rng.integers(0, 50, len(rows))]
    found = k_nearest(queries, rows, 10)
    chosen = np.r_[0:5, 295:300]
    distance, _ = naive(queries[chosen], rows, 10)
    np.testing.assert_allclose(found.distance[chosen], distance, rtol=1e-12)


def test_blas_threads_do_not_matter():
    from threadpoolctl import threadpool_limits

    rng = np.random.default_rng(1)
    queries, rows = rng.normal(size=(64, 40)), rng.normal(size=(5000, 40))
    both = k_nearest(queries, rows, 5)
    with threadpool_limits(1):
        one = k_nearest(queries, rows, 5)
    assert np.array_equal(both.index, one.index)
    assert np.array_equal(both.distance, one.distance)


@settings(max_examples=30)
@given(st.integers(0, 2**32 - 1), st.integers(1, 20))
def test_keys_tell_rows_apart(seed, n_features):
    rng = np.random.default_rng(seed)
    rows = rng.integers(-2, 3, (500, n_features)).astype(float)
    distinct = len(np.unique(rows, axis=0))
    assert len(np.unique(row_keys(rows))) == distinct
    assert len(np.unique(row_keys(rows.astype(np.float32)))) == distinct


def test_negative_zero_is_zero():
    keys = row_keys(np.array([[0.0, 1.0], [-0.0, 1.0]]))
    assert keys[0] == keys[1]


@given(tables, st.floats(0, 1), st.floats(0, 1))
def test_rows_passed_over_and_rows_known(table, share, cut):
    queries, rows, k, rng = make(table)
    skip = rng.random(len(rows)) < share
    skip[rng.integers(len(rows))] = False
    expected = k_nearest(queries, rows[~skip], k)
    found = k_nearest(queries, rows, k, skip=skip)
    assert np.array_equal(found.distance, expected.distance)
    assert np.array_equal(found.key, expected.key)
    assert not skip[found.index].any()
    # In two pieces, the second told of the first one's finds.
    cut = int(cut * len(rows))
    known = None
    content = np.empty((len(queries), 0, rows.shape[1]))
    for piece in (slice(0, cut), slice(cut, None)):
        if skip[piece].all():
            continue
        both = k_nearest(queries, rows[piece], k, skip=skip[piece], known=known)
        query = np.arange(len(queries))[:, None]
        content = np.concatenate([content, np.empty((len(queries), k, rows.shape[1]))], axis=1)
        content = np.where(
            (both.index < 0)[:, :, None],
            content[query, np.where(both.index < 0, -1 - both.index, 0)],
            rows[piece][np.maximum(both.index, 0)],
        )
        known = both
    assert np.array_equal(known.distance, expected.distance)
    assert np.array_equal(known.key, expected.key)
    assert np.array_equal(content, rows[~skip][expected.index].astype(float))


@pytest.mark.parametrize("n_jobs", [1, 2])
@pytest.mark.parametrize(
    "kind", ["one place", "huge", "tiny", "gaps in some", "many categories", "query of gaps"]
)
def test_what_single_precision_and_one_product_cannot_tell(kind, n_jobs):
    rng = np.random.default_rng(2)
    n_queries, n_rows, n_features, k = 120, 30_000, 24, 7
    X = rng.normal(size=(n_queries + n_rows, n_features))
    metric = Metric(np.ones(n_features), np.zeros(n_features, dtype=bool), 1.0)
    if kind == "one place":  # all within single precision of each other, save one far away
        X = 1.0 + 1e-9 * X
        X[-1] = 1e6
        X[:3] -= 5.0
    elif kind == "huge":
        X[::7] *= 1e30
    elif kind == "tiny":
        X *= 1e-40
    elif kind == "gaps in some":
        X[20_000:25_000][rng.random((5000, n_features)) < 0.3] = np.nan
    elif kind == "query of gaps":
        X[0] = np.nan
        X[rng.random(X.shape) < 0.05] = np.nan
    else:
        X[:, :4] = rng.integers(0, 60, (len(X), 4))
        X[rng.random(X.shape) < 0.02] = np.nan
        metric = Metric(metric.scale, np.arange(n_features) < 4, 0.7)
    queries, rows = X[:n_queries], X[n_queries:]
    found = k_nearest(queries, rows, k, metric=metric, n_jobs=n_jobs)
    keys = row_keys(rows)
    for i in (0, 1, 50, n_queries - 1):
        distance = metric.measure(np.repeat(queries[i : i + 1], n_rows, axis=0), rows)
        order = np.lexsort((keys, distance))[:k]
        assert np.array_equal(found.distance[i], distance[order])
        assert np.array_equal(found.index[i], order)


def test_threads_do_not_matter():
    rng = np.random.default_rng(3)
    rows = rng.integers(0, 4, (60_000, 12)).astype(np.float32)  # ties and copies without number
    queries = rng.integers(0, 4, (300, 12)).astype(np.float32)
    one, three = (k_nearest(queries, rows, 9, n_jobs=n) for n in (1, 3))
    assert np.array_equal(one.distance, three.distance)
    assert np.array_equal(one.key, three.key)
    assert np.array_equal(rows[one.index], rows[three.index])


def test_many_queries_in_few_columns():
    # Where a tree nominates.
    rng = np.random.default_rng(4)
    rows = rng.integers(0, 100, (5000, 3)).astype(float)
    queries = rng.integers(0, 100, (4000, 3)).astype(float)
    found = k_nearest(queries, rows, 6)
    distance, order = naive(queries[:200], rows, 6)
    np.testing.assert_allclose(found.distance[:200], distance, rtol=1e-12, atol=1e-300)
    assert np.array_equal(rows[found.index[:200]], rows[order])
