"""Models on disk: the same model comes back, and nothing but a model does."""

import datetime
import hashlib
import io
import json
import os
import random
import subprocess
import sys
import textwrap
import threading
import warnings
import zipfile
from importlib import import_module

import numpy as np
import pyarrow as pa
import pytest
import sklearn
import skops.io
from hypothesis import given, settings
from hypothesis import strategies as st
from imblearn.over_sampling import RandomOverSampler
from imblearn.pipeline import make_pipeline
from imblearn.under_sampling import RandomUnderSampler
from scipy.sparse import csr_matrix
from sklearn import feature_selection, preprocessing
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.calibration import CalibratedClassifierCV
from sklearn.compose import make_column_selector, make_column_transformer
from sklearn.decomposition import PCA
from sklearn.ensemble import IsolationForest, VotingClassifier
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV
from sklearn.neighbors import NearestNeighbors
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import FeatureUnion, Pipeline
from sklearn.preprocessing import FunctionTransformer, MinMaxScaler, OneHotEncoder
from sklearn.tree import DecisionTreeClassifier

import nngmix
from nngmix import NNGMix, TableEncoder, load, persistence, save
from nngmix.detectors import DETECTORS, MLP, BaggedTrees, CatBoost
from nngmix.detectors.base import BaseDetector
from nngmix.persistence import ModelFileError, read_header
from nngmix.sampling import SAMPLERS, Chain, Cutout, GaussianNoise

pd = pytest.importorskip("pandas", reason="pandas is not installed")
pl = pytest.importorskip("polars", reason="polars is not installed")

HERE = __name__
QUICK = {
    "MLP": {"max_iter": 5},
    "CatBoost": {"iterations": 20, "class_weight": {False: 1, True: 10}},
    "DeepSAD": {"epochs": 2, "pretrain_epochs": 2, "batch_size": 32, "sampler": Cutout()},
    "FTTransformer": {"n_blocks": 1, "epochs": 2},
    "BaggedTrees": {"n_estimators": 20, "sampler": Cutout()},
    "AutoDetector": {"n_estimators": 10},
}


class Doubler(TransformerMixin, BaseEstimator):
    """A step of a user's own."""

    def fit(self, X, y=None):
        self.steps_ = {1: "a", None: ("b", True)}
        return self

    def transform(self, X):
        return X * 2


class Net(BaseDetector):
    """A detector of a user's own, with a network."""

    _formats = {"network_": "safetensors"}

    def __init__(self, *, class_weight=None, contamination=0.1, random_state=None, verbose=False):
        self.class_weight = class_weight
        self.contamination = contamination
        self.random_state = random_state
        self.verbose = verbose

    def _fit(self, X, y, sample_weight):
        import torch

        self.width_ = 3
        # What _build_network reads may come later than the network itself.
        self.network_ = self._build_network()
        with torch.no_grad():
            self.network_(torch.rand(8, X.shape[1]))  # moves the running means
        self.network_.eval()

    def _build_network(self):
        from torch import nn

        return nn.Sequential(
            nn.Linear(self.n_features_in_, self.width_), nn.BatchNorm1d(3), nn.Linear(3, 1)
        )

    def _scores(self, X):
        import torch

        with torch.no_grad():
            return self.network_(torch.from_numpy(X.astype(np.float32)))[:, 0].numpy()


class Shift(TransformerMixin, BaseEstimator):
    """A linear scaler of a user's own."""

    def fit(self, X, y=None):
        self.by_ = X.mean(axis=0)
        return self

    def transform(self, X):
        return X - self.by_

    def inverse_transform(self, X):
        return X + self.by_


def triple(X):
    return X * 3


@pytest.fixture(scope="module")
def data():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(120, 4))
    X[:10] += 2
    return X, (np.arange(120) < 10).astype(int)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "model.nngmix"


def again(model, path, **how):
    save(model, path, **how)
    return load(path, **how)


def assert_same(a, b, where="model"):
    """Compare two objects and all that they hold."""
    assert type(a) is type(b), where
    home = type(a).__module__.partition(".")[0]
    if isinstance(a, (pd.DataFrame,)):
        pd.testing.assert_frame_equal(a, b, check_column_type=True)
        assert [getattr(t, "categories", None) is None for t in a.dtypes] == [
            getattr(t, "categories", None) is None for t in b.dtypes
        ]
    elif isinstance(a, (pl.DataFrame, pa.Table)):
        assert a.schema == b.schema, where
        assert_same(
            a.to_dict(as_series=False) if isinstance(a, pl.DataFrame) else a.to_pydict(),
            b.to_dict(as_series=False) if isinstance(b, pl.DataFrame) else b.to_pydict(),
        )
    elif isinstance(a, np.ndarray):
        assert (a.dtype, a.shape) == (b.dtype, b.shape), where
        if a.dtype == object or a.dtype.names:  # between the fields of a record lies anything
            assert_same(a.tolist(), b.tolist(), where)
        else:
            assert a.tobytes() == b.tobytes(), where
    elif isinstance(a, dict):
        assert list(map(repr, a)) == list(map(repr, b)), where
        for (key, left), right in zip(a.items(), b.values(), strict=True):
            assert_same(left, right, f"{where}[{key!r}]")
    elif isinstance(a, (list, tuple)):
        assert len(a) == len(b), where
        for i, (left, right) in enumerate(zip(a, b, strict=True)):
            assert_same(left, right, f"{where}[{i}]")
    elif home == "catboost":
        assert a.get_params() == b.get_params()
        assert a.get_all_params() == b.get_all_params()
    elif home == "xgboost":
        assert str(a.get_params()) == str(b.get_params())
        assert a.get_booster().save_raw("ubj") == b.get_booster().save_raw("ubj")
    elif hasattr(a, "state_dict"):
        assert_same(
            {name: item.numpy() for name, item in a.state_dict().items()},
            {name: item.numpy() for name, item in b.state_dict().items()},
            where,
        )
        assert [m.training for m in a.modules()] == [m.training for m in b.modules()]
    elif isinstance(a, np.random.RandomState):
        assert_same(a.get_state(legacy=False), b.get_state(legacy=False), where)
    elif hasattr(a, "__dict__"):
        assert vars(a).keys() == vars(b).keys(), where
        for name, left in vars(a).items():
            assert_same(left, vars(b)[name], f"{where}.{name}")
    elif hasattr(a, "__getstate__") and a.__getstate__() is not None:  # compiled objects
        assert_same(a.__getstate__(), b.__getstate__(), where)
    else:
        assert repr(a) == repr(b), where


# Round trips: detectors ----------------------------------------------------------------------


@pytest.mark.parametrize("name", DETECTORS)
def test_a_pipeline_comes_back_whole(name, data, path):
    X, y = data
    detector = DETECTORS[name](random_state=0, **QUICK.get(name, {}))
    model = make_pipeline(MinMaxScaler(), NNGMix(multiplier=2, random_state=0), detector).fit(X, y)
    loaded = again(model, path)
    assert_same(model, loaded)
    for method in ("decision_function", "predict_proba", "predict"):
        assert np.array_equal(getattr(model, method)(X), getattr(loaded, method)(X))
    assert np.array_equal(model[1].sample(20, random_state=1), loaded[1].sample(20, random_state=1))
    # What was loaded is as good as new: it can be saved, and fitted.
    assert_same(model, again(loaded, path))
    assert np.array_equal(loaded.fit(X, y).decision_function(X), model.decision_function(X))


@pytest.mark.parametrize("name", DETECTORS)
def test_a_lone_detector_comes_back_unfitted_and_fitted(name, data, path):
    frame = pd.DataFrame(data[0], columns=["a", "b", "c", "d"])
    detector = DETECTORS[name](random_state=np.random.RandomState(3), **QUICK.get(name, {}))
    assert_same(detector, again(detector, path))
    detector.fit(frame, data[1])
    loaded = again(detector, path)
    assert_same(detector, loaded)
    assert np.array_equal(detector.decision_function(frame), loaded.decision_function(frame))
    with pytest.raises(ValueError, match="feature names"):
        loaded.predict(frame[["b", "a", "c", "d"]])


@pytest.mark.parametrize("name", DETECTORS)
def test_the_same_model_gives_the_same_bytes(name, data, tmp_path):
    model = make_pipeline(MinMaxScaler(), DETECTORS[name](random_state=0, **QUICK.get(name, {})))
    model.fit(*data)
    for file in "ab":
        save(model, tmp_path / file, metadata={"x": [1, None]})
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_another_process_gives_the_same_scores(data, tmp_path):
    pytest.importorskip("catboost", reason="catboost is not installed")
    model = make_pipeline(MinMaxScaler(), NNGMix(random_state=0), CatBoost(iterations=20))
    save(model.fit(*data), tmp_path / "model")
    np.save(tmp_path / "rows.npy", data[0])
    script = """
        import sys, numpy as np, nngmix
        home = sys.argv[1]
        model = nngmix.load(home + "/model")
        np.save(home + "/scores", model.decision_function(np.load(home + "/rows.npy")))
        np.save(home + "/new", model[1].sample(20, random_state=1))
    """
    command = [sys.executable, "-c", textwrap.dedent(script), str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stderr == ""
    assert np.array_equal(np.load(tmp_path / "scores.npy"), model.decision_function(data[0]))
    assert np.array_equal(np.load(tmp_path / "new.npy"), model[1].sample(20, random_state=1))


def test_a_detector_of_ones_own_keeps_its_network_where_it_is_trusted(data, path):
    torch = pytest.importorskip("torch", reason="torch is not installed")
    pytest.importorskip("safetensors", reason="safetensors is not installed")
    model = make_pipeline(MinMaxScaler(), Net()).fit(*data)
    save(model, path, trusted=[f"{HERE}.Net"])
    before = torch.get_rng_state()
    loaded = load(path, trusted=[f"{HERE}.Net"])
    assert torch.equal(before, torch.get_rng_state())
    assert_same(model, loaded)
    assert np.array_equal(model.decision_function(data[0]), loaded.decision_function(data[0]))
    with zipfile.ZipFile(path) as archive:
        assert "parts/0.safetensors" in archive.namelist()


# Round trips: samplers and tables ------------------------------------------------------------


def fewer(kind):
    return kind(n_candidates=20) if "n_candidates" in kind().get_params() else kind()


@pytest.mark.parametrize(
    "sampler",
    [
        *map(fewer, SAMPLERS.values()),
        Chain([Cutout(), GaussianNoise()]),
        NNGMix(n_neighbors=None, sampling_strategy={1: 30}),
        NNGMix(random_state=np.random.RandomState(5), scaling=None),
        NNGMix(n_neighbors=NearestNeighbors(n_neighbors=3)),
    ],
    ids=lambda sampler: str(sampler)[:30],
)
def test_a_sampler_comes_back_whole(sampler, data, path):
    sampler.fit(*data)
    loaded = again(sampler, path)
    assert_same(sampler, loaded)
    assert np.array_equal(sampler.sample(20, random_state=1), loaded.sample(20, random_state=1))


@pytest.mark.parametrize("known", [True, False], ids=["anomalies known", "all rows kept"])
def test_a_sampler_goes_on_from_the_disk(known, data, path):
    X, y = data
    anomalies = X[y == 1] if known else None

    def part(rows):
        return NNGMix(scaling=None).partial_fit(X[rows], y[rows], anomalies=anomalies)

    whole = NNGMix(scaling=None).fit(X, y)
    pieces = again(part(slice(0, 60)), path).partial_fit(X[60:], y[60:])
    merged = again(part(slice(0, 60)), path).merge(part(slice(60, None)))
    for sampler in (pieces, merged):
        assert np.array_equal(sampler.pool_.unlabelled, whole.pool_.unlabelled)
        assert np.array_equal(sampler.sample(20, random_state=1), whole.sample(20, random_state=1))


@pytest.mark.parametrize("kind", [str, bool, int, float])
def test_labels_keep_their_type(kind, data, path):
    X, _ = data
    y = np.array([kind(i) for i in np.repeat([0, 1], [90, 30])])
    if kind is bool:
        y = np.repeat([True, False], [90, 30])
    sampler = NNGMix(sampling_strategy="not majority").fit(X, y)
    loaded = again(sampler, path)
    assert_same(sampler, loaded)
    label = y[-1].item()
    assert np.array_equal(
        sampler.sample(9, label=label, random_state=1),
        loaded.sample(9, label=label, random_state=1),
    )


def columns(n=120):
    """Columns of every kind that a table may have."""
    rng = np.random.default_rng(1)
    return {
        "number": rng.normal(size=n),
        "single": rng.normal(size=n).astype(np.float32),
        "whole": rng.integers(0, 9, n),
        "small": rng.integers(0, 9, n).astype(np.uint8),
        "flag": rng.random(n) < 0.5,
        "gaps": np.where(rng.random(n) < 0.3, np.nan, rng.integers(0, 9, n)),
        "text": rng.choice(["é", "b", 'c"'], n),
    }


def as_pandas():
    frame = pd.DataFrame(columns())
    levels = ['c"', "é", "unused", "b"]
    return frame.assign(
        text=pd.Categorical(frame["text"], categories=levels),
        ordered=pd.Categorical(frame["small"], ordered=True),
        halves=pd.Categorical(frame["small"] / 2),
        flags=pd.Categorical(frame["flag"]),
        nullable=frame["gaps"].astype("Int64"),
        real=frame["gaps"].astype("Float32"),
        maybe=frame["flag"].astype("boolean"),
        arrow=frame["gaps"].astype("double[pyarrow]"),
        objects=frame["whole"].astype(object),
    )


def with_columns(names):
    frame = pd.DataFrame(dict(enumerate(list(columns().values())[:3])))
    frame.columns = names
    return frame


TABLES = {
    "array": lambda: np.array([*columns().values()][:2]).T,
    "float32": lambda: np.array([*columns().values()][:2]).T.astype(np.float32),
    "whole": lambda: np.array([[*columns().values()][2]] * 2).T,
    "byte order": lambda: np.array([*columns().values()][:2]).T.astype(">f8"),
    "list": lambda: np.array([*columns().values()][:2]).T.tolist(),
    "objects": lambda: pd.DataFrame(columns())[["number", "whole", "flag", "text"]].to_numpy(),
    "pandas": as_pandas,
    "pandas, range": lambda: pd.DataFrame(np.array([*columns().values()][:3]).T),
    "pandas, numbers": lambda: with_columns([7, 3, 5]),
    "pandas, sparse": lambda: pd.DataFrame(columns())[["whole", "gaps"]].astype(
        {"whole": pd.SparseDtype(int), "gaps": pd.SparseDtype(float)}
    ),
    "pandas, objects": lambda: with_columns(pd.Index(["a", "b", "c"], dtype=object, name="what")),
    "pandas, tuples": lambda: with_columns(
        pd.MultiIndex.from_tuples([("a", 1), ("a", 2), ("b", 1)], names=["x", None])
    ),
    "polars": lambda: pl.DataFrame(columns()).with_columns(
        text=pl.col("text").cast(pl.Categorical),
        level=pl.col("text").cast(pl.Enum(["b", "é", 'c"'])),
        gaps=pl.col("gaps").fill_nan(None),
        byte=pl.col("whole").cast(pl.Int8),
    ),
    "pyarrow": lambda: pa.table(columns()).append_column(
        "level", pa.array(columns()["text"]).dictionary_encode()
    ),
}


@pytest.mark.parametrize("table", TABLES)
def test_a_sampler_gives_back_tables_of_the_kind_it_saw(table, data, path):
    rows = TABLES[table]()
    categorical = [3] if table == "objects" else "infer"
    model = make_pipeline(NNGMix(categorical_features=categorical, random_state=0), MLP())
    sampler = model[0].fit(rows, data[1])
    loaded = again(model, path)[0]
    assert_same(sampler, loaded)
    assert_same(sampler.sample(20, random_state=1), loaded.sample(20, random_state=1))
    # With the rows in hand too.
    assert_same(sampler.fit_resample(rows, data[1]), loaded.fit_resample(rows, data[1]))


names = st.one_of(
    st.lists(st.text(), min_size=1, max_size=9, unique=True),
    st.lists(st.integers(-(2**63), 2**63 - 1), min_size=1, max_size=9, unique=True),
    st.lists(st.floats(allow_nan=False, allow_infinity=False), min_size=1, max_size=9, unique=True),
    st.lists(st.dates(datetime.date(1970, 1, 1)), min_size=1, max_size=9, unique=True),
    st.lists(st.decimals(0, 9, places=2), min_size=1, max_size=9, unique=True),
)


@settings(max_examples=25, deadline=None)
@given(names=names, kind=st.sampled_from(["objects", "pyarrow"]))
def test_categories_of_any_name_come_back(tmp_path_factory, names, kind):
    if kind == "pyarrow":
        rows = pa.table(
            {"level": pa.array(names * 20).dictionary_encode(), "x": range(20 * len(names))}
        )
    else:
        rows = np.empty((20 * len(names), 2), dtype=object)
        rows[:, 0] = names * 20
        rows[:, 1] = range(len(rows))
    sampler = NNGMix(categorical_features="dtype" if kind == "pyarrow" else [0])
    sampler.fit(rows, np.arange(20 * len(names)) < 10)
    path = tmp_path_factory.getbasetemp() / "names"
    loaded = again(sampler, path)
    assert_same(sampler.sample(20, random_state=1), loaded.sample(20, random_state=1))


def test_very_many_categories_are_no_trouble(data, path):
    rows = pa.table({"level": [str(i) for i in range(50_000)], "x": np.arange(50_000.0)})
    sampler = NNGMix(categorical_features="infer").fit(rows, np.arange(50_000) < 10)
    loaded = again(sampler, path)
    assert sampler.sample(20, random_state=1).equals(loaded.sample(20, random_state=1))
    assert path.stat().st_size < 3e6


def test_what_a_sampler_cannot_keep_is_said_when_it_is_saved(data, path):
    dated = with_columns(pd.date_range("2020", periods=3))
    with pytest.raises(ValueError, match=r"cannot be saved: .* pandas table"):
        save(NNGMix().fit(dated, data[1]), path)
    shifted = NNGMix(scaling=Shift().fit(data[0])).fit(*data)
    with pytest.raises(ValueError, match=rf"{HERE}.Shift"):
        save(shifted, path)
    assert not path.exists()
    trusted = [f"{HERE}.Shift"]
    assert np.array_equal(
        again(shifted, path, trusted=trusted).sample(9, random_state=1),
        shifted.sample(9, random_state=1),
    )


# Round trips: the rest of a pipeline ---------------------------------------------------------


def mixed_frame(data):
    X, _ = data
    frame = pd.DataFrame(X, columns=["a", "b", "c", "d"])
    frame.loc[5:9, "a"] = np.nan
    return frame.assign(e=np.where(X[:, 0] > 0, "x", "y"))


def columns_of_all_kinds():
    return make_column_transformer(
        (
            make_pipeline(SimpleImputer(add_indicator=True), MinMaxScaler()),
            make_column_selector(dtype_include=float),
        ),
        (OneHotEncoder(handle_unknown="ignore"), ["e"]),
        remainder="passthrough",
    )


PLAIN_STEPS = [
    preprocessing.StandardScaler(),
    preprocessing.RobustScaler(),
    preprocessing.MaxAbsScaler(),
    preprocessing.QuantileTransformer(n_quantiles=20),
    preprocessing.PowerTransformer(),
    preprocessing.Normalizer(),
    preprocessing.KBinsDiscretizer(
        n_bins=3, encode="ordinal", quantile_method="averaged_inverted_cdf"
    ),
    preprocessing.PolynomialFeatures(),
    preprocessing.OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=-1),
    FunctionTransformer(np.arctan),
    FeatureUnion([("scale", MinMaxScaler()), ("turn", PCA(2))]),
    feature_selection.VarianceThreshold(),
    RandomUnderSampler(random_state=0),
    RandomOverSampler(random_state=0),
    TableEncoder(),
]


@pytest.mark.parametrize("step", PLAIN_STEPS, ids=lambda step: type(step).__name__)
def test_steps_of_scikit_learn_and_imbalanced_learn_come_back(step, data, path):
    model = make_pipeline(step, MLP(max_iter=3, random_state=0)).fit(*data)
    loaded = again(model, path)
    assert_same(model, loaded)
    assert np.array_equal(model.decision_function(data[0]), loaded.decision_function(data[0]))


@pytest.mark.parametrize(
    "detector",
    [
        MLPClassifier(max_iter=3, early_stopping=True, random_state=0),
        MLPClassifier(max_iter=3, solver="sgd", random_state=0),
        LogisticRegression(),
        IsolationForest(n_estimators=5, random_state=0),
        DecisionTreeClassifier(max_depth=3, random_state=0),
        CalibratedClassifierCV(LogisticRegression()),
        VotingClassifier([("m", MLP(max_iter=3)), ("l", LogisticRegression())], voting="soft"),
    ],
    ids=lambda detector: str(detector)[:24],
)
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_other_detectors_come_back(detector, data, path):
    model = Pipeline([("scale", MinMaxScaler()), ("last", detector)]).fit(*data)
    loaded = again(model, path)
    assert_same(model, loaded)
    assert np.array_equal(model.predict(data[0]), loaded.predict(data[0]))


def test_detectors_inside_a_vote_keep_their_parts(data, path):
    pytest.importorskip("catboost", reason="catboost is not installed")
    vote = VotingClassifier([("c", CatBoost(iterations=5)), ("m", MLP(max_iter=3))], voting="soft")
    vote.fit(*data)
    loaded = again(vote, path)
    assert np.array_equal(vote.predict_proba(data[0]), loaded.predict_proba(data[0]))
    # One object stays one object.
    assert loaded.estimators_[0] is loaded.named_estimators_["c"]


@pytest.mark.parametrize(
    "encode", [columns_of_all_kinds, lambda: TableEncoder(categorical_features="infer")]
)
def test_tables_of_all_kinds_go_through_a_loaded_pipeline(encode, data, path):
    frame = mixed_frame(data)
    model = make_pipeline(encode(), NNGMix(random_state=0), MLP(max_iter=3, random_state=0))
    loaded = again(model.fit(frame, data[1]), path)
    assert_same(model, loaded)
    assert np.array_equal(model.decision_function(frame), loaded.decision_function(frame))


def test_a_whole_search_comes_back(data, path):
    search = GridSearchCV(
        make_pipeline(MinMaxScaler(), NNGMix(random_state=0), MLP(max_iter=3, random_state=0)),
        {"nngmix__multiplier": [1, 2], "mlp__class_weight": [None, {0: 1, 1: 3}]},
        scoring="average_precision",
        cv=3,
    ).fit(*data)
    loaded = again(search, path)
    assert np.array_equal(search.decision_function(data[0]), loaded.decision_function(data[0]))
    assert search.best_params_ == loaded.best_params_
    assert search.cv_results_["params"] == loaded.cv_results_["params"]
    assert search.score(*data) == loaded.score(*data)


# The header ----------------------------------------------------------------------------------


def test_metadata_travel_with_the_model(path):
    metadata = {"columns": ["é", "b"], "label": None, "trained": {"rows": 10, "share": 0.1}}
    save(NNGMix(), str(path), metadata=metadata)
    header = read_header(str(path))
    assert header["metadata"] == metadata
    assert header["nngmix"] == nngmix.__version__
    assert header["version"] == 1
    assert {"numpy", "scikit-learn", "imbalanced-learn", "skops"} == header["libraries"].keys()
    save(NNGMix(), path)
    assert read_header(path)["metadata"] == {}


def test_the_header_names_the_libraries_in_use(data, path):
    pytest.importorskip("catboost", reason="catboost is not installed")
    frame = pl.DataFrame({"a": data[0][:, 0]})
    save(make_pipeline(NNGMix().fit(frame, data[1]), CatBoost(iterations=2).fit(*data)), path)
    assert {"catboost", "polars"} <= read_header(path)["libraries"].keys()


@pytest.mark.parametrize(
    "metadata",
    [{"x": np.int64(1)}, {"x": {1}}, {1: "x"}, {"x": (1, 2)}, {"x": float("nan")}, {"x": b""}],
    ids=repr,
)
def test_metadata_that_json_cannot_hold_are_refused(metadata, path):
    with pytest.raises(ValueError, match="metadata"):
        save(NNGMix(), path, metadata=metadata)
    assert not path.exists()


def test_wrong_arguments_are_named(path):
    with pytest.raises(TypeError, match="metadata must be a dict"):
        save(NNGMix(), path, metadata=[1])
    with pytest.raises(TypeError, match="model must be an estimator"):
        save({"a": 1}, path)
    with pytest.raises(TypeError, match="model must be an estimator"):
        save(NNGMix, path)
    for call in (lambda: save(NNGMix(), path, trusted="x.Y"), lambda: load(path, trusted=[int])):
        with pytest.raises(TypeError, match="trusted must be a list of the full names"):
            call()


# What cannot be saved ------------------------------------------------------------------------


class Holder(TransformerMixin, BaseEstimator):
    def __init__(self, what=None):
        self.what = what

    def fit(self, X, y=None):
        return self

    def transform(self, X):
        return X


def itself():
    loop = []
    loop.append(loop)
    return loop


@pytest.mark.parametrize(
    ("what", "message"),
    [
        (Doubler(), f"{HERE}.Doubler"),
        (FunctionTransformer(triple), f"{HERE}.triple"),
        (FunctionTransformer(os.system), "system"),
        (FunctionTransformer(lambda X: X), "lambda"),
        (MinMaxScaler().set_params(feature_range=itself()), "itself"),
        (FunctionTransformer(kw_args={"a": csr_matrix([[1]])}), "sparse"),
        (FunctionTransformer(kw_args={"a": (i for i in "ab")}), "cannot be saved: .*generator"),
        (FunctionTransformer(kw_args={"a": threading.Lock()}), "does not know: .*lock"),
        (FunctionTransformer(kw_args={"a": open}), "open"),
    ],
    ids=lambda value: value if isinstance(value, str) else type(value).__name__,
)
def test_what_is_not_known_is_refused_when_it_is_saved(what, message, path):
    save(MLP(), path)
    before = path.read_bytes()
    with pytest.raises(ValueError, match=message):
        save(make_pipeline(what, MLP()), path)
    assert path.read_bytes() == before
    assert list(path.parent.iterdir()) == [path]


def test_a_type_of_ones_own_is_kept_where_it_is_trusted_both_times(data, path):
    model = make_pipeline(Doubler(), FunctionTransformer(triple), MLP(max_iter=3)).fit(*data)
    trusted = [f"{HERE}.Doubler", f"{HERE}.triple"]
    with pytest.raises(ValueError, match=rf"{HERE}.Doubler, {HERE}.triple.*trusted="):
        save(model, path)
    save(model, path, trusted=trusted)
    with pytest.raises(ModelFileError, match=rf"{HERE}.Doubler, {HERE}.triple.*trusted="):
        load(path)
    with pytest.raises(ModelFileError, match=f"{HERE}.triple"):
        load(path, trusted=trusted[:1])
    assert_same(model, load(path, trusted=trusted))


def test_a_type_that_no_import_finds_is_refused_when_it_is_saved(path):
    class Local(MinMaxScaler):
        pass

    with pytest.raises(ValueError, match=r"cannot be saved.*Local"):
        save(Local(), path, trusted=[f"{HERE}.Local"])
    assert not path.exists()


def test_a_place_that_is_not_there_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"no such folder.*nowhere"):
        save(MLP(), tmp_path / "nowhere" / "model")
    with pytest.raises(IsADirectoryError, match="give a file name"):
        save(MLP(), tmp_path)
    assert list(tmp_path.iterdir()) == []


# Files that are no models --------------------------------------------------------------------


def unzip(path):
    with zipfile.ZipFile(path) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def zipped(members, compression=zipfile.ZIP_STORED):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", compression) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return buffer.getvalue()


def excel():
    return zipped({"[Content_Types].xml": "<x/>", "xl/workbook.xml": "<x/>"})


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "is empty"),
        (b"a,b\n1,2\n", "is no model file of nngmix"),
        (b"\x80\x04\x95pickle", "is no model file of nngmix"),
        (b"PAR1", "is no model file of nngmix"),
        (b"P", "damaged or cut short"),
        (b"PK\x03\x04 and then nothing", "damaged or cut short"),
        (excel(), "a zip file of something else"),
        (skops.io.dumps(MinMaxScaler()), "may be one of skops"),
        (zipped({"header.json": "{}"}), "a zip file of something else"),
        (zipped({"header.json": "[1]"}), "a zip file of something else"),
        (zipped({"header.json": "{"}), "damaged"),
        (zipped({"header.json": "[" * 100_000}), "damaged"),
        (zipped({"header.json": '{"format": "nngmix model"}'}), "damaged"),
    ],
    ids=lambda value: repr(value)[:20],
)
def test_files_that_are_no_models_get_one_clear_error(content, message, path):
    path.write_bytes(content)
    for read in (load, read_header):
        with pytest.raises(ModelFileError, match=message) as caught:
            read(path)
        assert str(path) in str(caught.value)
        assert "\n" not in str(caught.value)


def test_files_that_are_not_there_or_folders_are_named(tmp_path):
    for read in (load, read_header):
        with pytest.raises(FileNotFoundError, match="nothing"):
            read(tmp_path / "nothing")
        with pytest.raises(OSError, match="directory"):
            read(tmp_path)


@pytest.fixture(scope="module")
def written(data, tmp_path_factory):
    """A fitted pipeline, and its file."""
    path = tmp_path_factory.mktemp("written") / "model"
    detector = CatBoost(iterations=5) if "CatBoost" in DETECTORS else MLP(max_iter=3)
    model = make_pipeline(MinMaxScaler(), NNGMix(random_state=0), detector).fit(*data)
    save(model, path, metadata={"label": "fraud"})
    return model, path


def test_a_file_cut_short_is_refused_wherever_it_is_cut(written, path):
    whole = written[1].read_bytes()
    for size in [*range(1, 60, 7), *np.linspace(60, len(whole) - 1, 40).astype(int)]:
        path.write_bytes(whole[:size])
        with pytest.raises(ModelFileError, match="damaged or cut short"):
            load(path)


@pytest.mark.parametrize("member", ["header.json", "model.skops", "parts/0.cbm"])
def test_a_damaged_member_is_refused(member, written, path):
    pytest.importorskip("catboost", reason="catboost is not installed")
    whole = written[1].read_bytes()
    with zipfile.ZipFile(written[1]) as archive:
        info = archive.getinfo(member)
    start = info.header_offset + 30 + len(member)
    for place in np.linspace(start, start + info.file_size - 1, 15).astype(int):
        damaged = bytearray(whole)
        damaged[place] ^= 0x10
        path.write_bytes(damaged)
        with pytest.raises(ModelFileError, match="damaged or cut short"):
            load(path)


def test_damage_anywhere_is_refused_or_harmless(data, path):
    model = make_pipeline(MinMaxScaler(), MLP(max_iter=2)).fit(*data)
    save(model, path)
    whole = path.read_bytes()
    chance = random.Random(0)
    with zipfile.ZipFile(path) as archive:
        start = archive.start_dir  # the zip's own table of contents, which has no checksum
    places = [*range(0, 60, 3), *chance.sample(range(len(whole)), 30), *range(start, len(whole), 5)]
    scores = model.decision_function(data[0])
    refused = 0
    for place in places:
        damaged = bytearray(whole)
        damaged[place] ^= 1 << chance.randrange(8)
        path.write_bytes(damaged)
        try:
            loaded = load(path)
        except ModelFileError:
            refused += 1
        else:
            assert np.array_equal(loaded.decision_function(data[0]), scores)
    assert refused > len(places) / 2


@pytest.mark.parametrize("change", ["swapped", "missing", "extra", "twice", "compressed"])
def test_members_other_than_the_header_lists_are_refused(change, written, path):
    members = unzip(written[1])
    compression = zipfile.ZIP_STORED
    if change == "swapped":
        members["model.skops"] = skops.io.dumps(MinMaxScaler())
    elif change == "missing":
        del members["model.skops"]
    elif change == "extra":
        members["parts/9.cbm"] = b"more"
    elif change == "compressed":
        compression = zipfile.ZIP_DEFLATED
    content = zipped(members, compression)
    if change == "twice":
        buffer = io.BytesIO(content)
        with pytest.warns(UserWarning, match="Duplicate"), zipfile.ZipFile(buffer, "a") as archive:
            archive.writestr("model.skops", members["model.skops"])
        content = buffer.getvalue()
    path.write_bytes(content)
    with pytest.raises(ModelFileError, match="damaged"):
        load(path)


def forge(path, like, *, schema=None, header=None, members=None):
    """Write a file with right checksums, and anything in it."""
    parts = unzip(like)
    told = json.loads(parts.pop("header.json"))
    inner = unzip(io.BytesIO(parts["model.skops"]))
    if schema is not None:
        old = json.loads(inner["schema.json"])
        inner["schema.json"] = json.dumps(schema(old)).encode()
    parts["model.skops"] = zipped({**inner, **(members or {})})
    told["sha256"] = {name: hashlib.sha256(data).hexdigest() for name, data in parts.items()}
    told.update(header or {})
    path.write_bytes(zipped({"header.json": json.dumps(told), **parts}))


def test_a_newer_format_says_what_to_do(written, path):
    forge(path, written[1], header={"version": 2, "nngmix": "7.8"})
    for read in (load, read_header):
        with pytest.raises(
            ModelFileError, match=r"nngmix 7\.8 in format 2.*up to 1: update nngmix"
        ):
            read(path)
    forge(path, written[1], header={"version": True})
    with pytest.raises(ModelFileError, match="damaged"):
        load(path)


def test_another_scikit_learn_is_warned_of_once(written, data, path):
    def older(schema):
        text = json.dumps(schema)
        version = json.dumps(json.dumps(sklearn.__version__))
        assert version in text
        return json.loads(text.replace(version, json.dumps(json.dumps("1.2.0"))))

    libraries = {**read_header(written[1])["libraries"], "scikit-learn": "1.2.0"}
    forge(path, written[1], schema=older, header={"libraries": libraries})
    with pytest.warns(UserWarning, match="was saved with scikit-learn") as caught:
        loaded = load(path)
    assert len(caught) == 1
    assert "1.2.0" in str(caught[0].message)
    assert sklearn.__version__ in str(caught[0].message)
    assert caught[0].filename == __file__
    assert np.array_equal(loaded.decision_function(data[0]), written[0].decision_function(data[0]))


def test_a_later_patch_of_scikit_learn_is_not_warned_of(written, path):
    major, minor, *_ = sklearn.__version__.split(".")
    libraries = {**read_header(written[1])["libraries"], "scikit-learn": f"{major}.{minor}.99"}
    forge(path, written[1], header={"libraries": libraries})
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        load(path)


@pytest.mark.parametrize(
    ("name", "missing", "extra"),
    [
        ("CatBoost", "catboost", "boost"),
        ("XGBOD", "xgboost", "boost"),
        ("DeepSAD", "torch", "deep"),
        ("DeepSAD", "safetensors", "deep"),
        ("FTTransformer", "rtdl_revisiting_models", "deep"),
    ],
)
def test_a_missing_extra_is_named_with_its_pip_line(name, missing, extra, data, path, monkeypatch):
    if name not in DETECTORS:
        pytest.skip(f"there is no {name} yet")
    pytest.importorskip(missing, reason=f"{missing} is not installed")
    model = DETECTORS[name](**QUICK.get(name, {})).fit(*data)
    save(model, path)
    monkeypatch.setitem(sys.modules, missing, None)
    line = rf"{missing}.*pip install 'nngmix\[{extra}\]'"
    with pytest.raises(ImportError, match=line):
        load(path)
    if missing != "rtdl_revisiting_models":
        with pytest.raises(ImportError, match=line):
            save(model, path)
    assert read_header(path)["version"] == 1


@pytest.mark.parametrize("kind", ["pandas", "polars"])
def test_a_missing_table_library_is_named(kind, data, path, monkeypatch):
    table = sys.modules[kind].DataFrame({"a": data[0][:, 0], "b": data[0][:, 1]})
    save(NNGMix().fit(table, data[1]), path)
    monkeypatch.setitem(sys.modules, kind, None)
    with pytest.raises(ImportError, match=f"a {kind} table: pip install {kind}"):
        load(path)


# Files made to do harm -----------------------------------------------------------------------


def node(loader, module, name, **more):
    return {"__loader__": loader, "__module__": module, "__class__": name, **more}


def text(value):
    return node("JsonNode", "builtins", "str", content=json.dumps(value), is_json=True)


def listed(*nodes, kind="tuple", loader="TupleNode"):
    return node(loader, "builtins", kind, content=list(nodes))


def attributes(**nodes):
    keys = [node("TypeNode", "builtins", "str")] * len(nodes)
    types = listed(*keys, kind="list", loader="ListNode")
    return node("DictNode", "builtins", "dict", content=nodes, key_types=types)


def holder(module, name, **nodes):
    return node("ObjectNode", module, name, content=attributes(**nodes))


MARK = "touch {marker}"
CALL = listed(text(MARK))
SAMPLER = ("nngmix.sampling.nng_mix", "NNGMix")
HARM = {
    "a function": node("FunctionNode", "os", "system"),
    "a function by its real name": node("FunctionNode", "posix", "system"),
    "a type": node("TypeNode", "builtins", "eval"),
    "an object": node("ObjectNode", "subprocess", "Popen", content=attributes(args=text(MARK))),
    "a call": node("ConstructorFromReduceNode", "os", "system", content=CALL),
    "a call of eval": node(
        "ConstructorFromReduceNode",
        "builtins",
        "eval",
        content=listed(text("open('{marker}','w')")),
    ),
    "a list that is a call": node("ListNode", "os", "system", content=[text(MARK)]),
    "a set that is a call": node("SetNode", "os", "system", content=[text(MARK)]),
    "keys that are calls": node(
        "DictNode",
        "builtins",
        "dict",
        content={MARK: text(1)},
        key_types=listed(node("TypeNode", "os", "system"), kind="list", loader="ListNode"),
    ),
    "a dict of another kind": node(
        "DictNode",
        "evil_module",
        "Dict",
        content={},
        key_types=listed(kind="list", loader="ListNode"),
    ),
    "a partial": node(
        "PartialNode",
        "functools",
        "partial",
        content={
            "func": node("FunctionNode", "os", "system"),
            "args": CALL,
            "kwds": attributes(),
            "namespace": text(None),
        },
    ),
    "an operator": node("OperatorFuncNode", "operator", "methodcaller", attrs=listed(text("x"))),
    "an operator that calls": node(
        "OperatorFuncNode",
        "operator",
        "call",
        attrs=listed(node("FunctionNode", "os", "system"), text(MARK)),
    ),
    "a method of a trusted type": node(
        "MethodNode", *SAMPLER, content={"func": "fit", "obj": holder(*SAMPLER)}
    ),
    "a loss": node(
        "LossNode", "os", "system", content=attributes(), **{"__reduce__": {"args": CALL}}
    ),
    "an array of a type": node(
        "NdArrayNode", "os", "system", type="json", content=[text(1)], shape=listed(text(1))
    ),
    "a module of one's own": node("ObjectNode", "evil_module", "Model"),
    "nngmix's own load": node("FunctionNode", "nngmix.persistence", "load"),
    "nngmix's command": node("ConstructorFromReduceNode", "nngmix.cli.app", "main", content=CALL),
    "a module inside nngmix's": node("FunctionNode", "nngmix.cli.app.sys", "exit"),
    "a name with nngmix in front": node("ObjectNode", "nngmix_evil", "Model"),
    "a name after a trusted one": node("TypeNode", *SAMPLER[:1], "NNGMix.__init__"),
    "a trusted name, cut elsewhere": node("ObjectNode", "nngmix.sampling", "nng_mix.NNGMix"),
    "no name at all": node("ObjectNode", "", ""),
    "a name that is none": node("ObjectNode", None, 5),
    "a table of an unknown kind": holder(
        *("nngmix.persistence", "_Frame"), kind=text("evil_module"), content=text("")
    ),
    "a part without a detector": holder(
        "nngmix.persistence", "_Part", kind=text("cbm"), member=text("x"), settings=text(None)
    ),
}


@pytest.fixture
def marker(tmp_path, monkeypatch):
    """A file that any code from a forged file would make."""
    mark = tmp_path / "marker"
    for name in ("evil_module", "nngmix_evil"):
        (tmp_path / f"{name}.py").write_text(f"open({str(mark)!r}, 'w')\n")
    monkeypatch.syspath_prepend(tmp_path)
    return mark


@pytest.mark.parametrize("protocol", [0, 1, None])
@pytest.mark.parametrize("harm", HARM)
def test_a_forged_file_runs_nothing(harm, protocol, written, marker, path):
    evil = json.loads(json.dumps(HARM[harm]).replace("{marker}", str(marker)))

    def inside(schema):
        if protocol is not None:
            schema["protocol"] = protocol
        schema["content"]["content"]["memory"] = evil
        return schema

    def instead(schema):
        return {**schema, **evil, "protocol": schema["protocol"] if protocol is None else protocol}

    # The oldest nodes named a function twice, and trusted the one and took the other.
    if harm == "a function" and protocol == 0:
        evil["content"] = {"module_path": "os", "function": "system"}
        evil |= {"__module__": "numpy", "__class__": "sin"}
    for change in (inside, instead):
        forge(path, written[1], schema=change)
        with pytest.raises(ModelFileError, match=r"does not trust|cannot be made into a model"):
            load(path)
        assert not marker.exists()
        assert "evil_module" not in sys.modules


def test_the_forgery_works_where_it_is_trusted(written, marker, path):
    # So the tests above would notice.
    evil = json.loads(json.dumps(HARM["a call"]).replace("{marker}", str(marker)))
    forge(path, written[1], schema=lambda old: {**old, **evil})
    with pytest.raises(ModelFileError, match="no estimator but a"):
        load(path, trusted=["os.system"])
    assert marker.exists()


def test_a_pickle_inside_is_not_unpickled(written, marker, path):
    import pickle

    class Evil:
        def __reduce__(self):
            return os.system, (f"touch {marker}",)

    buffer = io.BytesIO()
    np.save(buffer, np.array([Evil()], dtype=object), allow_pickle=True)
    for content in (buffer.getvalue(), pickle.dumps(Evil())):
        array = node("NdArrayNode", "numpy", "ndarray", type="numpy", file="evil.npy")

        def inside(schema, array=array):
            schema["content"]["content"]["memory"] = array
            return schema

        forge(path, written[1], schema=inside, members={"evil.npy": content})
        with pytest.raises(ModelFileError, match="cannot be made into a model"):
            load(path)
        assert not marker.exists()


def test_arrays_that_unfold_are_refused(written, path):
    buffer = io.BytesIO()
    np.savez_compressed(buffer, data=np.zeros(10**6))
    forge(path, written[1], members={"0.npz": buffer.getvalue()})
    with pytest.raises(ModelFileError, match="compressed arrays"):
        load(path)
    parts = unzip(written[1])
    inner = unzip(io.BytesIO(parts["model.skops"]))
    parts["model.skops"] = zipped(inner, zipfile.ZIP_DEFLATED)
    header = json.loads(parts.pop("header.json"))
    header["sha256"] = {name: hashlib.sha256(data).hexdigest() for name, data in parts.items()}
    path.write_bytes(zipped({"header.json": json.dumps(header), **parts}))
    with pytest.raises(ModelFileError, match="compressed members"):
        load(path)


def test_members_that_overlap_are_refused(written, path):
    # Many entries of the table of contents that share one member's bytes.
    whole = written[1].read_bytes()
    with zipfile.ZipFile(written[1]) as archive:
        start, count = archive.start_dir, len(archive.namelist())
    end = whole.rindex(b"PK\x05\x06")
    directory, tail = whole[start:end], bytearray(whole[end:])
    tail[8:10] = tail[10:12] = (count * 50).to_bytes(2, "little")
    tail[12:16] = (len(directory) * 50).to_bytes(4, "little")
    path.write_bytes(whole[:start] + directory * 50 + tail)
    with pytest.raises(ModelFileError, match="damaged"):
        load(path)


@pytest.mark.parametrize("depth", [2_000, 200_000])
def test_a_file_nested_without_end_is_refused(depth, written, path):
    forge(path, written[1])
    parts = unzip(path)
    inner = unzip(io.BytesIO(parts["model.skops"]))
    start = '{"__loader__":"ListNode","__module__":"builtins","__class__":"list","content":['
    inner["schema.json"] = (
        '{"protocol":2,"_skops_version":"0.16","__loader__":"ListNode","__module__":"builtins",'
        '"__class__":"list","content":[' + start * depth + "]}" * depth + "]}"
    ).encode()
    parts["model.skops"] = zipped(inner)
    header = json.loads(parts.pop("header.json"))
    header["sha256"] = {name: hashlib.sha256(data).hexdigest() for name, data in parts.items()}
    path.write_bytes(zipped({"header.json": json.dumps(header), **parts}))
    with pytest.raises(ModelFileError, match="cannot be made into a model"):
        load(path)


def test_a_file_that_holds_no_estimator_is_refused(written, path):
    forge(path, written[1], schema=lambda old: {**old, **listed(text(1))})
    with pytest.raises(ModelFileError, match="no estimator but a tuple"):
        load(path)


@pytest.mark.parametrize("field", ["left_child", "right_child", "feature"])
def test_a_tree_that_leads_nowhere_is_refused(field, data, path, tmp_path):
    save(DecisionTreeClassifier(max_depth=3, random_state=0).fit(*data), path)
    parts = unzip(path)
    inner = unzip(io.BytesIO(parts["model.skops"]))
    for name, content in inner.items():
        if name.endswith(".npy") and b"left_child" in content:
            nodes = np.load(io.BytesIO(content))
            nodes[field][0] = 1_000_000
            buffer = io.BytesIO()
            np.save(buffer, nodes)
            changed = {name: buffer.getvalue()}

    forge(tmp_path / "forged", path, members=changed)
    with pytest.raises(ModelFileError, match="decision tree leads to nodes or columns"):
        load(tmp_path / "forged")


def test_trees_and_small_arrays_are_kept_end_to_end(data, path):
    X, y = data
    detector = BaggedTrees(n_estimators=50, random_state=0).fit(X, y)
    save(detector, path)
    assert len(unzip(io.BytesIO(unzip(path)["model.skops"]))) < 30
    again = load(path)
    assert np.array_equal(again.decision_function(X), detector.decision_function(X))
    for mine, theirs in zip(detector.estimators_, again.estimators_, strict=True):
        assert type(mine) is type(theirs)
        assert mine.random_state == theirs.random_state
        assert np.array_equal(mine.predict_proba(X), theirs.predict_proba(X))
    for mine, theirs in zip(detector.estimators_samples_, again.estimators_samples_, strict=True):
        assert mine.dtype == theirs.dtype
        assert np.array_equal(mine, theirs)


@pytest.mark.parametrize(
    ("field", "wrong"),
    [("left_child", 1_000_000), ("feature", 1_000_000), ("counts", None), ("depth", None)],
)
def test_a_forest_that_leads_nowhere_is_refused(field, wrong, data, path, tmp_path):
    save(BaggedTrees(n_estimators=5, random_state=0).fit(*data), path)
    changed = {}
    for name, content in unzip(io.BytesIO(unzip(path)["model.skops"])).items():
        if not name.endswith(".npy"):
            continue
        array = np.load(io.BytesIO(content))
        if wrong is not None and array.dtype.names is not None:
            array[field][0] = wrong
        elif wrong is None and array.shape == (5,) and array.dtype.kind == "i":
            array = array[:-1] if field == "depth" else array - 1
        else:
            continue
        buffer = io.BytesIO()
        np.save(buffer, array)
        changed[name] = buffer.getvalue()
    assert changed
    forge(tmp_path / "forged", path, members=changed)
    with pytest.raises(ModelFileError, match="cannot be made into a model"):
        load(tmp_path / "forged")


def test_a_detector_whose_trees_ask_for_more_columns_is_refused(data, path):
    X, y = data
    detector = BaggedTrees(n_estimators=4, random_state=0).fit(X, y)
    wide = BaggedTrees(n_estimators=4, random_state=0).fit(np.hstack([X, X]), y)
    # As a whole each tree is sound; it would read beyond the rows that the detector lets in.
    detector.estimators_[2] = wide.estimators_[2]
    with pytest.raises(ValueError, match="decision tree asks for columns that do not exist"):
        save(detector, path)


def test_a_forged_part_is_not_read_as_another(written, path):
    pytest.importorskip("catboost", reason="catboost is not installed")

    def ask(schema, kind, member):
        whole = json.dumps(schema)
        whole = whole.replace(json.dumps(json.dumps("cbm")), json.dumps(json.dumps(kind)))
        return json.loads(
            whole.replace(json.dumps(json.dumps("parts/0.cbm")), json.dumps(json.dumps(member)))
        )

    for kind, member in [("ubj", "parts/0.cbm"), ("cbm", "../../etc/passwd"), ("x", "parts/0.cbm")]:
        forge(path, written[1], schema=lambda old, k=kind, m=member: ask(old, k, m))
        with pytest.raises(ModelFileError, match="cannot be made into a model"):
            load(path)


def test_each_trusted_name_is_a_type_or_function_that_is_there():
    for name in persistence._TRUSTED:
        module, _, last = name.rpartition(".")
        found = getattr(import_module(module), last)
        assert f"{found.__module__}.{found.__qualname__}" == name
