"""What holds for every sampler."""

import pickle

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from imblearn.pipeline import make_pipeline
from scipy.sparse import csr_matrix
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import MinMaxScaler, QuantileTransformer, StandardScaler

from nngmix.sampling import NPOS, SAMPLERS, Cutout, NNGMix

each_sampler = pytest.mark.parametrize("kind", SAMPLERS.values(), ids=SAMPLERS)


def build(kind, **settings):
    """A sampler with those of the settings that it has."""
    known = kind().get_params()
    # NPOS costs n_candidates times as much as the others; what is tested here needs few.
    settings = {"random_state": 0, "n_candidates": 20, **settings}
    return kind(**{name: value for name, value in settings.items() if name in known})


@pytest.fixture
def data():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(300, 4)) * [1, 10, 100, 1000]
    X[:12] += [3, 30, 300, 3000]
    return X, (np.arange(300) < 12).astype(int)


@each_sampler
class TestEverySampler:
    def test_originals_come_first_and_unchanged(self, kind, data):
        X, y = data
        X_new, y_new = build(kind, multiplier=3).fit_resample(X, y)
        assert X_new.shape == (336, 4)
        assert np.array_equal(X_new[:300], X)
        assert np.array_equal(y_new, np.r_[y, np.ones(36, int)])

    def test_same_seed_same_rows_and_other_seed_other_rows(self, kind, data):
        sampler = build(kind).fit(*data)
        assert np.array_equal(sampler.sample(500), clone(sampler).fit(*data).sample(500))
        assert np.array_equal(
            sampler.sample(500, random_state=7), sampler.sample(500, random_state=7)
        )
        if "random_state" in sampler.get_params():
            assert not np.array_equal(sampler.sample(500), sampler.sample(500, random_state=7))

    def test_threads_do_not_matter(self, kind, data):
        X = np.hstack([data[0]] * 8)  # wide and long enough for several blocks
        n_rows = 2_000 if kind is NPOS else 20_000  # NPOS takes its time over each
        rows = [build(kind, n_jobs=n).fit(X, data[1]).sample(n_rows) for n in (1, 2, 5)]
        assert np.array_equal(rows[0], rows[1])
        assert np.array_equal(rows[0], rows[2])

    def test_fit_resample_appends_what_sample_gives(self, kind, data):
        X_new, _ = build(kind).fit_resample(*data)
        assert np.array_equal(X_new[300:], build(kind).fit(*data).sample(120))

    def test_random_state_objects(self, kind, data):
        one = build(kind, random_state=np.random.RandomState(3)).fit_resample(*data)[0]
        two = build(kind, random_state=np.random.RandomState(3)).fit_resample(*data)[0]
        assert np.array_equal(one, two)
        assert build(kind, random_state=None).fit_resample(*data)[0].shape == (420, 4)

    def test_data_are_not_changed(self, kind, data):
        X, y = data
        before = X.copy(), y.copy()
        build(kind).fit_resample(X, y)
        assert np.array_equal(X, before[0])
        assert np.array_equal(y, before[1])

    def test_pool_is_small_and_free_of_the_data(self, kind, data):
        X, y = data
        sampler = build(kind).fit(X, y)
        expected = sampler.sample(50)
        X[:] = 0  # the sampler keeps rows, not a view of them
        assert np.array_equal(sampler.sample(50), expected)
        big = np.random.default_rng(0).normal(size=(50_000, 20))
        fitted = build(kind).fit(big, (np.arange(50_000) < 5).astype(int))
        # Methods that draw from all unlabelled rows keep 10 000 of them.
        drawn = 10_000 * 20 * 8 if fitted._needs().drawn else 0
        assert len(pickle.dumps(fitted)) < 100_000 + 2.5 * drawn

    @pytest.mark.parametrize(
        "dtype",
        [
            "float16",
            "float32",
            "float64",
            "int8",
            "uint8",
            "int64",
            "uint64",
            "bool",
            ">f4",
            "object",
        ],
    )
    def test_array_dtypes(self, kind, dtype, data):
        X, y = data
        X = np.abs(X).clip(0, 100) > 5 if dtype == "bool" else np.abs(X).clip(0, 100).astype(dtype)
        X_new, y_new = build(kind).fit_resample(X, y.astype("int8"))
        assert X_new.dtype == X.dtype
        assert y_new.dtype == np.int8
        assert np.array_equal(X_new[:300], X)

    def test_extreme_integers_do_not_wrap(self, kind):
        for dtype in (np.int64, np.uint64, np.int8):
            limits = np.iinfo(dtype)
            X = np.array([[limits.min], [limits.max], [limits.max], [limits.min]], dtype=dtype)
            rows = build(kind, sigma=0.5).fit(X, [0, 0, 1, 1]).sample(1000)
            assert rows.dtype == dtype
            assert ((rows >= limits.min) & (rows <= limits.max)).all()
            assert len(np.unique(rows)) > 1

    def test_lists(self, kind, data):
        X, y = data
        X_new, y_new = build(kind).fit_resample(X.tolist(), y.tolist())
        assert isinstance(X_new, list)
        assert isinstance(y_new, list)
        assert X_new == build(kind).fit_resample(X, y)[0].tolist()
        assert y_new[-1] == 1

    def test_pandas(self, kind, data):
        pd = pytest.importorskip("pandas")
        X, y = data
        frame = pd.DataFrame(X, columns=["z", "a", "count", "flag"], index=np.arange(300) * 2 + 5)
        frame["a"] = frame["a"].astype("float32")
        frame["count"] = frame["count"].round().astype("int16")
        frame["nullable"] = pd.array(np.arange(300), dtype="Int64")
        frame["flag"] = frame["flag"] > 0
        labels = pd.Series(y, index=frame.index, name="fraud", dtype="int8")
        X_new, y_new = build(kind).fit_resample(frame, labels)
        assert list(X_new.columns) == list(frame.columns)
        assert X_new.dtypes.equals(frame.dtypes)
        assert X_new.index.equals(pd.RangeIndex(420))
        assert y_new.index.equals(X_new.index)
        assert (y_new.name, y_new.dtype) == ("fraud", np.int8)
        pd.testing.assert_frame_equal(X_new[:300], frame.reset_index(drop=True))
        assert build(kind).fit(frame, labels).sample(5).dtypes.equals(frame.dtypes)
        # A one-column frame of labels stays one.
        assert build(kind).fit_resample(frame, labels.to_frame())[1].shape == (420, 1)

    def test_pandas_column_names_need_not_be_text(self, kind, data):
        pd = pytest.importorskip("pandas")
        frame = pd.DataFrame(data[0])
        assert list(build(kind).fit_resample(frame, data[1])[0].columns) == [0, 1, 2, 3]

    def test_polars(self, kind, data):
        pl = pytest.importorskip("polars", reason="polars is not installed")
        X, y = data
        frame = pl.DataFrame(X, schema=["z", "a", "b", "c"]).with_columns(
            pl.col("a").cast(pl.Float32), pl.col("b").cast(pl.Int32), pl.col("c") > 0
        )
        X_new, y_new = build(kind).fit_resample(frame, pl.Series("fraud", y))
        assert X_new.schema == frame.schema
        assert X_new[:300].equals(frame)
        assert isinstance(y_new, pl.Series)
        assert y_new.name == "fraud"

    def test_pyarrow(self, kind, data):
        pa = pytest.importorskip("pyarrow")
        X, y = data
        table = pa.table({"z": X[:, 0], "n": pa.array(X[:, 1].astype("int32")), "b": X[:, 2] > 0})
        X_new, _ = build(kind).fit_resample(table, y)
        assert X_new.schema.equals(table.schema)
        assert X_new.slice(0, 300).equals(table)

    def test_labels_may_be_booleans_or_floats(self, kind, data):
        X, y = data
        expected = build(kind).fit_resample(X, y)[0]
        for other in (y.astype(bool), y.astype(float), y.reshape(-1, 1), y.astype(object)):
            X_new, y_new = build(kind).fit_resample(X, other)
            assert np.array_equal(X_new, expected)
            assert y_new.dtype == other.dtype
            assert y_new.shape == (420, *other.shape[1:])

    def test_constant_columns_stay_constant(self, kind, data):
        X, y = data
        X[:, 1] = 1e-9
        X[:, 2] = -7
        rows = build(kind, sigma=0.3).fit(X, y).sample(1000)
        assert (rows[:, 1] == 1e-9).all()
        assert (rows[:, 2] == -7).all()

    def test_pipeline_and_clone(self, kind, data):
        pipeline = make_pipeline(MinMaxScaler(), build(kind), LogisticRegression())
        assert clone(pipeline).fit(*data).score(*data) > 0.9

    def test_feature_names(self, kind, data):
        pd = pytest.importorskip("pandas")
        sampler = build(kind).fit(pd.DataFrame(data[0], columns=list("abcd")), data[1])
        assert list(sampler.feature_names_in_) == list("abcd")
        assert list(sampler.get_feature_names_out()) == list("abcd")
        assert sampler.n_features_in_ == 4

    def test_unfitted(self, kind):
        with pytest.raises(NotFittedError):
            build(kind).sample(3)

    @pytest.mark.parametrize("n", [0, -1, 2.5, "3", None, True])
    def test_bad_n(self, kind, data, n):
        with pytest.raises(ValueError, match="n must be a whole number"):
            build(kind).fit(*data).sample(n)

    def test_failed_fit_keeps_the_old_pool(self, kind, data):
        sampler = build(kind).fit(*data)
        expected = sampler.sample(9)
        with pytest.raises(ValueError):
            sampler.fit(data[0], np.zeros(300))
        assert np.array_equal(sampler.sample(9), expected)

    @pytest.mark.parametrize(
        ("change", "message"),
        [
            (lambda X, y: (X, y * 2), r"y must hold only 0 .* \(2\)"),
            (lambda X, y: (X, np.where(y, "fraud", "ok")), "y must hold only 0"),
            (lambda X, y: (X, np.where(y, 1.0, np.nan)), r"y must hold only 0 .* \(nan\)"),
            (lambda X, y: (X, np.where(y, 1, None)), r"y must hold only 0 .* \(None\)"),
            (lambda X, y: (X, np.where(y, "1", "0")), "y must hold only 0"),
            (lambda X, y: (X, y * 0), "no labelled anomaly"),
            (lambda X, y: (X, y * 0 + 1), "no unlabelled row"),
            (lambda X, y: (X, y[1:]), "X has 300 rows and y has 299"),
            (lambda X, y: (X, np.c_[y, y]), "one column of labels"),
            (lambda X, y: (X, None), "y is needed"),
            (lambda X, y: (csr_matrix(X), y), "sparse matrix.*toarray"),
            (lambda X, y: (np.where(X[5, 2] == X, np.inf, X), y), "column 2 of X holds infinite"),
            (lambda X, y: (X.astype(str), y), "must be numeric"),
            (lambda X, y: (X + 0j, y), "complex"),
            (lambda X, y: (X[:, 0], y), "2-dimensional"),
            (lambda X, y: (X[:, :0], y), "0 feature"),
            (lambda X, y: (X[:0], y[:0]), "0 rows"),
            (lambda X, y: ([[1, 2], [3]], [0, 1]), "rows of different lengths"),
        ],
    )
    def test_bad_data(self, kind, data, change, message):
        X, y = change(*data)
        with pytest.raises(ValueError, match=message):
            build(kind).fit_resample(X, y)

    def test_bad_columns_are_named(self, kind, data):
        pd = pytest.importorskip("pandas")
        frame = pd.DataFrame(data[0], columns=list("abcd"))
        for column, match in (
            (["x"] * 300, "'b' is not numeric"),
            (pd.date_range("2024", periods=300), "'b' is not numeric"),
            ([1.0, "x"] * 150, "'b' of X must be numeric or categorical; it mixes"),
            ([np.inf] + [1.0] * 299, "'b' of X holds infinite"),
        ):
            with pytest.raises(ValueError, match=match):
                build(kind).fit(frame.assign(b=column), data[1])
        twice = pd.DataFrame(data[0], columns=list("abca"))
        with pytest.raises(ValueError, match="'a'"):
            build(kind).fit(twice, data[1])

    @pytest.mark.parametrize("value", [0, -3, 1.5, "many", None])
    def test_bad_multiplier(self, kind, data, value):
        with pytest.raises(ValueError, match=f"'multiplier' parameter of {kind.__name__}"):
            kind(multiplier=value).fit(*data)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("n_neighbors", 0),
        ("n_neighbors", -1),
        ("sigma", -0.1),
        ("sigma", float("nan")),
        ("sigma", float("inf")),
        ("alpha", 0),
        ("alpha", "beta"),
        ("scaling", "standard"),
        ("scaling", 3),
        ("random_state", "x"),
        ("n_jobs", 1.5),
    ],
)
def test_bad_parameters_of_nng_mix(name, value, data):
    with pytest.raises(ValueError, match=f"'{name}' parameter of NNGMix"):
        NNGMix(**{name: value}).fit(*data)


def test_fit_that_fails_at_its_end_leaves_the_sampler_as_it_was(data):
    fresh = Cutout(low=0.9)  # above high, which shows only when the pool is there
    with pytest.raises(ValueError, match="low must not be above high"):
        fresh.fit(*data)
    with pytest.raises(NotFittedError):
        fresh.sample(3)
    assert not hasattr(fresh, "pool_")
    sampler = Cutout(random_state=0).fit(*data)
    expected = sampler.sample(9)
    with pytest.raises(ValueError, match="low must not be above high"):
        sampler.set_params(low=0.9).fit(data[0][:, :2], data[1])
    assert sampler.n_features_in_ == 4
    assert np.array_equal(sampler.set_params(low=0.1).sample(9), expected)


def test_no_threads_at_all_is_refused(data):
    with pytest.raises(ValueError, match="n_jobs must not be 0"):
        NNGMix(n_jobs=0).fit(*data)


def test_scaling_takes_a_fitted_linear_scaler(data):
    X, y = data
    minmax = NNGMix(random_state=0).fit(X, y).sample(100)
    fitted = NNGMix(scaling=MinMaxScaler().fit(X), random_state=0).fit(X, y).sample(100)
    np.testing.assert_allclose(fitted, minmax)
    assert NNGMix(scaling=StandardScaler().fit(X)).fit(X, y).sample(10).shape == (10, 4)
    with pytest.raises(NotFittedError):
        NNGMix(scaling=MinMaxScaler()).fit(X, y)
    with pytest.raises(ValueError, match="fitted on 3 columns; X has 4"):
        NNGMix(scaling=MinMaxScaler().fit(X[:, :3])).fit(X, y)
    with pytest.raises(ValueError, match="does not scale each column linearly"):
        NNGMix(scaling=QuantileTransformer(n_quantiles=50).fit(X)).fit(X, y)
    X[:, 1] = 4.5  # constant: no noise under either
    for scaling in ("minmax", MinMaxScaler().fit(X), StandardScaler().fit(X)):
        assert (NNGMix(scaling=scaling).fit(X, y).sample(50)[:, 1] == 4.5).all()


def test_range_that_overflows_is_refused():
    X = np.array([[1e308], [-1e308], [0.0]])
    with pytest.raises(ValueError, match="column 0 of X spans more"):
        NNGMix().fit(X, [1, 0, 0])


shapes = st.tuples(st.integers(1, 50), st.integers(1, 60), st.integers(1, 8))


@settings(max_examples=60, deadline=None)
@given(
    st.sampled_from(list(SAMPLERS.values())),
    shapes,
    st.sampled_from([np.float32, np.float64, np.int16, np.bool_]),
    st.integers(1, 100),
    st.data(),
)
def test_any_table_gives_finite_rows_of_its_kind(kind, shape, dtype, k, draw):
    n_anomalies, n_unlabelled, n_features = shape
    finite = {"allow_nan": False, "allow_infinity": False}
    elements = st.floats(-1e6, 1e6, width=32, **finite) if np.dtype(dtype).kind == "f" else None
    X = draw.draw(
        hnp.arrays(
            dtype, (n_anomalies + n_unlabelled, n_features), elements=elements, fill=st.nothing()
        )
        | hnp.arrays(dtype, (n_anomalies + n_unlabelled, n_features), elements=elements)
    )
    y = np.repeat([1, 0], [n_anomalies, n_unlabelled])
    X_new, y_new = build(kind, multiplier=2, n_neighbors=k).fit_resample(X, y)
    assert X_new.shape == (len(X) + 2 * n_anomalies, n_features)
    assert X_new.dtype == X.dtype
    assert np.isfinite(X_new).all()
    assert np.array_equal(X_new[: len(X)], X)
    assert y_new.sum() == 3 * n_anomalies
