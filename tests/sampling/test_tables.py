"""Tables as people have them: categories, whole numbers, booleans and gaps."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nngmix import Chain, CutMix, Cutout, GaussianNoise, Mixup, NNGMix, RoSAS
from nngmix.neighbors import Metric, k_nearest
from nngmix.sampling import SAMPLERS

pd = pytest.importorskip("pandas")
N = 300


def build(name, **settings):
    if name == "Chain":
        return Chain([Cutout(), GaussianNoise()], random_state=0, **settings)
    settings = {"random_state": 0, "n_candidates": 20, **settings}
    known = SAMPLERS[name]().get_params()
    return SAMPLERS[name](**{key: value for key, value in settings.items() if key in known})


def mixed_frame(gaps=0.1, text="category"):
    """3 numeric, 2 categorical, 1 integer and 1 boolean column; a tenth of the cells missing."""
    rng = np.random.default_rng(0)
    frame = pd.DataFrame(
        {
            "amount": rng.lognormal(3, 1, N),
            "country": pd.Series(rng.choice(["DE", "FR", "CH"], N), dtype=text),
            "rate": rng.random(N).astype("float32"),
            "visits": pd.array(rng.integers(0, 40, N), dtype="Int64"),
            "device": pd.Series(rng.choice(["phone", "pc", "tablet", "tv"], N), dtype=text),
            "member": pd.array(rng.random(N) < 0.3, dtype="boolean"),
            "age": rng.normal(40, 9, N),
        }
    )
    for i in range(frame.shape[1] if gaps else 0):
        frame.iloc[rng.random(N) < gaps, i] = None
    return frame, pd.Series((np.arange(N) < 12).astype(int), name="fraud")


each = pytest.mark.parametrize("name", [*SAMPLERS, "Chain"])


@each
class TestMixedTables:
    def check(self, frame, new, originals):
        made = new.iloc[originals:] if originals else new
        assert new.dtypes.equals(frame.dtypes)
        for column in ("country", "device"):
            assert set(made[column].dropna()) <= set(frame[column].dropna())
            assert made[column].nunique() > 1
        assert set(made["member"].dropna()) <= {True, False}
        visits = made["visits"].dropna().astype(float)
        assert (visits == visits.round()).all()
        assert np.isfinite(made["amount"].dropna()).all()
        assert 0 < made.isna().to_numpy().mean() < 0.35

    @pytest.mark.parametrize("text", ["category", "object", "str"])
    def test_pandas(self, name, text):
        frame, y = mixed_frame(text=text)
        listed = ["country", "device"] if text != "category" else "dtype"
        sampler = build(name, categorical_features=listed)
        X_new, y_new = sampler.fit_resample(frame, y)
        assert len(X_new) == len(y_new) == N + 120
        pd.testing.assert_frame_equal(X_new.iloc[:N], frame)
        self.check(frame, X_new, N)
        self.check(frame, sampler.sample(500), 0)

    def test_pandas_of_old(self, name):
        # Booleans with gaps are objects, whole numbers with gaps are floats.
        frame, y = mixed_frame()
        frame["member"] = frame["member"].astype(object).where(frame["member"].notna(), None)
        frame["visits"] = frame["visits"].astype("float64")
        X_new, _ = build(name).fit_resample(frame, y)
        self.check(frame, X_new, N)
        assert X_new["member"].dtype == object

    def test_pandas_on_pyarrow(self, name):
        frame, y = mixed_frame()
        frame = frame.astype(
            {"amount": "double[pyarrow]", "visits": "int32[pyarrow]", "member": "bool[pyarrow]"}
        )
        X_new, _ = build(name).fit_resample(frame, y)
        self.check(frame, X_new, N)

    def test_polars(self, name):
        pl = pytest.importorskip("polars", reason="polars is not installed")
        frame, y = mixed_frame(text="object")
        table = pl.from_pandas(frame).with_columns(
            pl.col("country").cast(pl.Categorical),
            pl.col("device").cast(pl.Enum(["phone", "pc", "tablet", "tv"])),
        )
        X_new, _ = build(name).fit_resample(table, y.to_numpy())
        assert X_new.schema == table.schema
        assert X_new[:N].equals(table)
        self.check(table.to_pandas(), X_new.to_pandas().astype(table.to_pandas().dtypes), N)

    def test_pyarrow(self, name):
        pa = pytest.importorskip("pyarrow")
        frame, y = mixed_frame()
        table = pa.Table.from_pandas(frame, preserve_index=False)
        X_new, _ = build(name).fit_resample(table, y.to_numpy())
        assert X_new.schema.equals(table.schema)
        assert X_new.slice(0, N).equals(table)
        assert set(X_new["country"].to_pylist()) <= {"DE", "FR", "CH", None}

    def test_infer_takes_text_too(self, name):
        frame, y = mixed_frame(text="str")
        sampler = build(name, categorical_features="infer")
        self.check(frame, sampler.fit_resample(frame, y)[0], N)

    def test_text_is_refused_unless_named(self, name):
        frame, y = mixed_frame(text="str")
        with pytest.raises(ValueError, match=r"'country' is not numeric.*categorical_features"):
            build(name).fit(frame, y)

    def test_object_array_with_text(self, name):
        frame, y = mixed_frame(text="object")
        array = frame.astype(object).where(frame.notna(), None).to_numpy()
        X_new, _ = build(name, categorical_features="infer").fit_resample(array, y)
        assert X_new.dtype == object
        assert set(X_new[:, 1]) <= {"DE", "FR", "CH", None}
        assert all(isinstance(v, (int, type(None))) for v in X_new[N:, 3])

    def test_numeric_array_with_listed_categories(self, name):
        rng = np.random.default_rng(1)
        X = np.c_[rng.random(N), rng.choice([1.0, 4.0, 7.0, np.nan], N), rng.random(N)]
        rows = build(name, categorical_features=[1]).fit(X, mixed_frame()[1]).sample(300)
        assert rows.dtype == np.float64
        assert set(rows[~np.isnan(rows[:, 1]), 1]) <= {1.0, 4.0, 7.0}
        assert not np.isnan(rows[:, [0, 2]]).any()

    def test_nothing_but_categories(self, name):
        frame, y = mixed_frame(gaps=0)
        rows = build(name).fit(frame[["country", "device"]], y).sample(50)
        assert rows.dtypes.equals(frame[["country", "device"]].dtypes)
        assert rows.notna().all().all()

    def test_without_gaps_no_gaps_come(self, name):
        frame, y = mixed_frame(gaps=0)
        assert build(name).fit(frame, y).sample(500).notna().all().all()

    def test_column_without_any_value(self, name):
        frame, y = mixed_frame()
        frame["empty"] = np.nan
        rows = build(name).fit(frame, y).sample(100)
        if name not in (
            "Cutout",
            "CutMix",
            "Chain",
        ):  # these write a column's 0, or another's value
            assert rows["empty"].isna().all()

    def test_bad_names(self, name):
        frame, y = mixed_frame()
        for bad in (["nation"], [99], [2.5]):
            with pytest.raises(ValueError, match="categorical_features"):
                build(name, categorical_features=bad).fit(frame, y)
        with pytest.raises(ValueError, match="'categorical_features' parameter"):
            build(name, categorical_features="all").fit(frame, y)

    def test_mixed_types_and_dates_are_refused_by_name(self, name):
        frame, y = mixed_frame()
        for column, message in (
            ([1, "x"] * 150, "'when' of X must be numeric or categorical; it mixes"),
            (pd.date_range("2024", periods=N), "'when' is not numeric"),
        ):
            with pytest.raises(ValueError, match=message):
                build(name, categorical_features="infer").fit(frame.assign(when=column), y)


def test_heavier_parent_gives_category_and_gap():
    # Two anomalies; with this alpha the weight is near 1/2, either parent being the heavier.
    X = pd.DataFrame({"x": [0.0, 1.0, 9.0, 9.0], "c": pd.Categorical(["a", "b", "z", "z"])})
    X["gap"] = [np.nan, 5.0, 1.0, 2.0]
    rows = Mixup(alpha=50.0, random_state=0).fit(X, [1, 1, 0, 0]).sample(2000)
    of_first = rows["x"] < 0.5
    assert 0.4 < of_first.mean() < 0.6
    assert (rows.loc[of_first, "c"] == "a").all()
    assert (rows.loc[~of_first, "c"] == "b").all()
    assert rows.loc[of_first, "gap"].isna().all()
    assert (rows.loc[~of_first, "gap"] == 5.0).all()


def test_whole_numbers_with_gaps_stay_whole_only_where_they_were():
    X = pd.DataFrame({"whole": [1.0, np.nan, 8.0, 3.0] * 10, "real": [1.0, np.nan, 8.5, 3.0] * 10})
    rows = Mixup(alpha="uniform", random_state=0).fit(X, [1, 1, 1, 0] * 10).sample(300).dropna()
    assert (rows["whole"] == rows["whole"].round()).all()
    assert (rows["real"] != rows["real"].round()).any()


def naive_distance(a, b, scale, categorical, mismatch):
    total, common = 0.0, 0
    for j in range(len(a)):
        if np.isnan(a[j]) or np.isnan(b[j]):
            continue
        common += 1
        if categorical[j]:
            total += mismatch * (a[j] != b[j])
        else:
            total += ((a[j] - b[j]) / scale[j]) ** 2
    return np.inf if common == 0 else total * len(a) / common


@settings(max_examples=60, deadline=None)
@given(
    st.integers(1, 12),
    st.integers(1, 80),
    st.integers(1, 6),
    st.integers(1, 9),
    st.integers(0, 9999),
)
def test_distances_with_gaps_and_categories(n_queries, n_rows, n_features, k, seed):
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n_queries + n_rows, n_features)).round(rng.integers(0, 4))
    categorical = rng.random(n_features) < 0.4
    X[:, categorical] = rng.integers(0, 3, (len(X), categorical.sum()))
    X[rng.random(X.shape) < rng.choice([0, 0.2, 0.7])] = np.nan
    scale = rng.uniform(0.5, 2, n_features)
    metric = Metric(scale, categorical, float(rng.uniform(0.05, 1)))
    queries, rows = X[:n_queries], X[n_queries:]
    found = k_nearest(queries, rows, k, metric=metric)
    for i, q in enumerate(queries):
        all_d = np.array([naive_distance(q, r, scale, categorical, metric.mismatch) for r in rows])
        np.testing.assert_allclose(found.distance[i], np.sort(all_d)[:k], rtol=1e-9, atol=1e-12)
        np.testing.assert_allclose(all_d[found.index[i]], found.distance[i], rtol=1e-9, atol=1e-12)


def test_gap_free_distances_are_euclidean_and_agree_with_scikit_learn_where_there_are_gaps():
    from sklearn.metrics.pairwise import nan_euclidean_distances

    rng = np.random.default_rng(0)
    X = rng.normal(size=(80, 5))
    X[rng.random(X.shape) < 0.2] = np.nan
    X[:, 0] = np.nan_to_num(X[:, 0])
    found = k_nearest(X[:10], X[10:], 7)
    expected = np.sort(nan_euclidean_distances(X[:10], X[10:]), axis=1)[:, :7]
    np.testing.assert_allclose(np.sqrt(found.distance), expected, rtol=1e-9)


def test_categories_count_as_a_typical_difference():
    # Anomalies at 0 and 1 in a column of range 1: variance 1/4. A row that differs in the category
    # alone is then as far as one that differs by 1/2 in the number.
    X = pd.DataFrame(
        {"x": [0.0, 1.0, 0.0, 0.49, 0.51], "c": pd.Categorical(["a", "a", "b", "a", "a"])}
    )
    for n, expected in ((1, {0.49}), (2, {0.49, 0.0}), (3, {0.49, 0.0, 0.51})):
        pool = NNGMix(n_neighbors=n).fit(X, [1, 1, 0, 0, 0]).pool_
        i = int(np.flatnonzero(pool.anomalies[:, 0] == 0.0)[0])
        assert set(pool.unlabelled[pool.near_unlabelled[i], 0]) == expected


# Pieces ---------------------------------------------------------------------------------------


def same_pool(one, two):
    for field in (
        "anomalies",
        "unlabelled",
        "near_anomalies",
        "near_unlabelled",
        "drawn",
        "drawn_times",
        "n_unlabelled",
    ):
        np.testing.assert_array_equal(getattr(one.pool_, field), getattr(two.pool_, field), field)


def piecewise(name, **settings):
    return build(name, scaling=None, n_neighbors=3, **settings)


@settings(max_examples=60, deadline=None)
@given(
    st.sampled_from([*SAMPLERS, "Chain", "ablation", "all"]),
    st.integers(0, 10_000),
    st.lists(st.floats(0, 1), max_size=5),
    st.sampled_from(["kept", "known", "merged", "merged known"]),
    st.booleans(),
)
def test_pieces_in_any_order_give_the_same_pool(name, seed, cuts, how, gaps):
    rng = np.random.default_rng(seed)
    n = int(rng.integers(2, 120))
    X = rng.integers(0, 4, (n, 3)).astype(float)  # ties and copies
    if gaps:
        X[rng.random(X.shape) < 0.1] = np.nan
    y = (rng.random(n) < 0.2).astype(int)
    y[0], y[-1] = 1, 0

    def new():
        if name == "Chain":
            return Chain([CutMix(), RoSAS()], scaling=None, random_state=0)
        if name == "ablation":
            return NNGMix(n_neighbors=None, scaling=None, random_state=0)
        return Mixup(partner="all", random_state=0) if name == "all" else piecewise(name)

    whole = new().fit(X, y)
    order = rng.permutation(n)
    edges = sorted({0, n, *(int(cut * n) for cut in cuts)})
    pieces = [order[a:b] for a, b in itertools.pairwise(edges)]
    known = {"anomalies": X[y == 1]} if "known" in how else {}
    if "merged" in how:
        parts = [new().partial_fit(X[piece], y[piece], **known) for piece in pieces]
        while len(parts) > 1:
            parts.append(parts.pop(0).merge(parts.pop(0)))
        pieced = parts[0]
    else:
        pieced = new()
        for piece in pieces:
            pieced.partial_fit(X[piece], y[piece], **known)
    same_pool(pieced, whole)
    assert np.array_equal(pieced.sample(20), whole.sample(20), equal_nan=True)


@each
def test_pieces_of_a_mixed_frame(name):
    frame, y = mixed_frame()
    known = frame[y == 1]
    # Unlabelled rows sorted by a category, so that no piece knows all of them.
    order = np.r_[np.flatnonzero(y == 1), 12 + np.argsort(frame["device"][y == 0].cat.codes)]
    frame = frame.iloc[order].reset_index(drop=True)
    whole = build(name, scaling=None).fit(frame, y)
    pieced = build(name, scaling=None)
    for start in (200, 0, 100):  # whichever order
        piece = slice(start, start + 100)
        part = frame[piece].copy()
        for column in ("country", "device"):  # categories that differ between pieces
            part[column] = part[column].cat.remove_unused_categories()
        pieced.partial_fit(part, y[piece], anomalies=known)
    same_pool(pieced, whole)
    rows, expected = pieced.sample(50), whole.sample(50)
    for column in frame:
        assert rows[column].astype(object).equals(expected[column].astype(object))


def test_pieces_need_known_units():
    frame, y = mixed_frame()
    with pytest.raises(ValueError, match="scaling='minmax' needs all the data at once"):
        NNGMix().partial_fit(frame, y)
    with pytest.raises(ValueError, match="sampling_strategy"):
        NNGMix(scaling=None, sampling_strategy="auto").partial_fit(frame, y)


def test_pieces_with_a_fitted_scaler_equal_the_inner_scaling():
    from sklearn.preprocessing import MinMaxScaler

    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(200, 3)) * [1, 50, 1000], (np.arange(200) < 9).astype(int)
    scaler = MinMaxScaler()
    for start in range(0, 200, 40):
        scaler.partial_fit(X[start : start + 40])
    pieced = NNGMix(scaling=scaler, random_state=0)
    for start in range(0, 200, 40):
        pieced.partial_fit(X[start : start + 40], y[start : start + 40])
    whole = NNGMix(random_state=0).fit(X, y)
    same_pool(pieced, whole)
    np.testing.assert_allclose(pieced.sample(50), whole.sample(50))


def test_late_anomalies_are_refused_where_rows_were_forgotten():
    X, y = np.random.default_rng(0).random((60, 2)), (np.arange(60) % 10 == 0).astype(int)
    for sampler in (
        NNGMix(scaling=None).partial_fit(X[:30], y[:30], anomalies=X[:30][y[:30] == 1]),
        NNGMix(scaling=None).fit(X[:30], y[:30]),
    ):
        expected = sampler.sample(5, random_state=0)
        with pytest.raises(ValueError, match="labelled anomalies that were not known"):
            sampler.partial_fit(X[30:], y[30:])
        assert np.array_equal(sampler.sample(5, random_state=0), expected)
        sampler.partial_fit(X[30:], np.zeros(30))  # more unlabelled rows are welcome
        assert sampler.pool_.n_unlabelled == 57
    one, two = (NNGMix(scaling=None).fit(X[i : i + 30], y[i : i + 30]) for i in (0, 30))
    with pytest.raises(ValueError, match="know different labelled anomalies"):
        one.merge(two)


def test_merge_refuses_what_does_not_fit():
    from sklearn.exceptions import NotFittedError

    X, y = np.random.default_rng(0).random((60, 2)), (np.arange(60) < 5).astype(int)
    fitted = NNGMix(scaling=None).fit(X, y)
    with pytest.raises(NotFittedError):
        fitted.merge(NNGMix(scaling=None))
    with pytest.raises(ValueError, match="merge takes a NNGMix with the same settings"):
        fitted.merge(NNGMix(scaling=None, n_neighbors=3).fit(X, y))
    with pytest.raises(ValueError, match="same settings"):
        fitted.merge(Mixup().fit(X, y))
    with pytest.raises(ValueError, match="same columns"):
        fitted.merge(NNGMix(scaling=None).fit(X[:, :1], y))
    with pytest.raises(ValueError, match="scale differently"):
        NNGMix().fit(X, y).merge(NNGMix().fit(X * 2, y))


def test_pieces_without_anomalies_or_without_others():
    X = np.random.default_rng(0).random((20, 2))
    only = NNGMix(scaling=None).partial_fit(X, np.zeros(20))
    with pytest.raises(ValueError, match="no labelled anomaly"):
        only.sample(3)
    with pytest.raises(ValueError, match="no unlabelled row"):
        NNGMix(scaling=None).partial_fit(X, np.ones(20)).sample(3)
    assert only.partial_fit(X[:2] + 1, [1, 1]).sample(3).shape == (3, 2)


def test_even_draw_of_many_rows():
    rng = np.random.default_rng(0)
    X = np.r_[np.zeros((3, 1)), rng.random((40_000, 1)), np.repeat([[0.25]], 5000, axis=0)]
    pool = RoSAS().fit(X, (np.arange(len(X)) < 3).astype(int)).pool_
    assert len(pool.drawn) == 10_000
    values = np.sort(pool.drawn[:, 0])
    # Evenly drawn: the largest distance to the uniform distribution of the 40 001 distinct rows.
    gap = np.abs(values - (np.arange(10_000) + 0.5) / 10_000).max()
    assert gap < 0.02
    assert pool.drawn_times.max() in (1, 5000)  # the copies, if they were drawn, count as often
