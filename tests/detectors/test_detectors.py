"""What holds for every detector."""

import pickle
import re
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from imblearn.over_sampling import RandomOverSampler
from imblearn.pipeline import make_pipeline
from sklearn.base import clone, is_classifier
from sklearn.exceptions import DataConversionWarning, NotFittedError
from sklearn.metrics import average_precision_score
from sklearn.model_selection import GridSearchCV, StratifiedKFold, check_cv, cross_val_score
from sklearn.preprocessing import MinMaxScaler
from sklearn.utils import estimator_checks, get_tags

from nngmix.detectors import (
    DETECTORS,
    MLP,
    XGBOD,
    AutoDetector,
    BaggedTrees,
    CatBoost,
    DeepSAD,
    FTTransformer,
)
from nngmix.detectors.base import BaseDetector

NAMES = ["height", "width", "depth"]
METHODS = ["decision_function", "predict_proba", "predict"]


def quick(cls):
    """A detector that trains in a fraction of a second."""
    settings = {
        MLP: {"max_iter": 40, "learning_rate_init": 0.01},
        CatBoost: {"iterations": 20, "n_jobs": 1},
        DeepSAD: {"epochs": 10, "pretrain_epochs": 3, "learning_rate": 0.01, "batch_size": 32},
        FTTransformer: {"n_blocks": 1, "epochs": 4, "learning_rate": 0.005},
        XGBOD: {"n_estimators": 20, "learning_rate": 0.3, "n_jobs": 1},
        # Where leaves hold one kind of row alone, weights hardly show.
        BaggedTrees: {"n_estimators": 40, "min_samples_leaf": 4, "n_jobs": 1},
        AutoDetector: {"n_estimators": 10, "contamination": 0.1, "n_jobs": 1},
    }
    return cls(**settings[cls], random_state=0)


#: What makes each detector train longer.
LENGTH = {
    "MLP": "max_iter",
    "CatBoost": "iterations",
    "DeepSAD": "epochs",
    "FTTransformer": "epochs",
    "XGBOD": "n_estimators",
    "BaggedTrees": "n_estimators",
    "AutoDetector": "n_estimators",
}


@pytest.fixture(params=DETECTORS.values(), ids=DETECTORS.keys())
def detector(request):
    return quick(request.param)


@pytest.fixture(params=["pandas", "polars"])
def frame(request):
    """Turn an array into a data frame with named columns."""
    library = pytest.importorskip(request.param, reason=f"{request.param} is not installed")
    return lambda X, names=NAMES: library.DataFrame(dict(zip(names, X.T, strict=True)))


class FirstColumn(BaseDetector):
    """The template at its smallest: the score is the first column."""

    def __init__(self, *, class_weight=None, contamination=0.1, random_state=None, verbose=False):
        self.class_weight = class_weight
        self.contamination = contamination
        self.random_state = random_state
        self.verbose = verbose

    def _fit(self, X, y, sample_weight):
        self.seen_ = X

    def _scores(self, X):
        return X[:, 0]


def is_unfitted(detector):
    return not [name for name in vars(detector) if name.endswith("_")]


# What a fit leaves behind


def test_fit_sets_what_the_contract_names(detector, rows, more):
    X, y = rows
    assert detector.contamination == 0.1
    assert detector.fit(X, y) is detector
    assert detector.classes_.tolist() == [0, 1]
    assert detector.n_features_in_ == 3
    assert not hasattr(detector, "feature_names_in_")
    if not isinstance(detector, (AutoDetector, BaggedTrees)):  # whose training scores are honest
        assert np.array_equal(detector.decision_scores_, detector.decision_function(X))
        assert np.array_equal(detector.labels_, detector.predict(X))
    assert isinstance(detector.threshold_, float)
    assert detector.decision_function(more).shape == (50,)
    probability = detector.predict_proba(more)
    assert probability.shape == (50, 2)
    np.testing.assert_allclose(probability.sum(axis=1), 1)
    # Higher = more anomalous, in both.
    assert detector.decision_scores_[y == 1].min() > np.median(detector.decision_scores_[y == 0])
    order = np.argsort(detector.decision_function(more))
    assert (np.diff(probability[order, 1]) >= 0).all()


@pytest.mark.parametrize("kind", [bool, float, np.int8, list, object])
def test_y_may_be_of_any_kind_that_holds_0_and_1(detector, rows, kind):
    X, y = rows
    expected = clone(detector).fit(X, y).decision_scores_
    other = y.tolist() if kind is list else y.astype(kind)
    assert np.array_equal(detector.fit(X, other).decision_scores_, expected)


def test_a_column_of_labels_is_taken_with_a_warning(detector, rows):
    X, y = rows
    with pytest.warns(DataConversionWarning, match="column-vector y"):
        detector.fit(X, y[:, None])


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_rows_keep_their_precision(rows, dtype):
    X, y = rows
    assert FirstColumn().fit(X.astype(dtype), y).seen_.dtype == dtype


@pytest.mark.parametrize("dtype", [np.float16, np.int32, bool, object])
def test_other_numbers_become_float64(rows, dtype):
    X, y = rows
    assert FirstColumn().fit((X * 9).astype(dtype), y).seen_.dtype == np.float64


def test_without_a_probability_there_is_no_predict_proba(rows):
    assert not hasattr(FirstColumn().fit(*rows), "predict_proba")


def test_import_leaves_the_wrapped_libraries_alone():
    code = "import sys, nngmix.detectors; "
    code += "print({'catboost', 'torch', 'xgboost'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"


# The threshold


@pytest.mark.parametrize("contamination", [0.01, 0.1, 0.5])
def test_threshold_is_the_quantile_over_unlabelled_rows(detector, rows, contamination):
    X, y = rows
    detector.set_params(contamination=contamination).fit(X, y)
    scores = detector.decision_scores_
    assert detector.threshold_ == np.quantile(scores[y == 0], 1 - contamination)
    assert np.array_equal(detector.labels_, scores > detector.threshold_)


finite = st.floats(-1e6, 1e6, width=32)


@given(
    unlabelled=st.lists(finite, min_size=1, max_size=40),
    anomalies=st.lists(finite, min_size=1, max_size=5),
    pseudo=st.lists(finite, max_size=40),
    contamination=st.floats(0, 0.5, exclude_min=True),
)
def test_pseudo_anomalies_do_not_move_the_threshold(unlabelled, anomalies, pseudo, contamination):
    detector = FirstColumn(contamination=contamination)
    labels = [0] * len(unlabelled) + [1] * len(anomalies)
    rows = [[value] for value in unlabelled + anomalies]
    threshold = detector.fit(rows, labels).threshold_
    above = np.sum(np.array(unlabelled) > threshold)
    assert above <= contamination * len(unlabelled) + 1
    more = rows + [[value] for value in pseudo]
    assert detector.fit(more, labels + [1] * len(pseudo)).threshold_ == threshold


# What is refused, and in which words


@pytest.mark.parametrize("method", METHODS)
def test_unfitted(detector, more, method):
    with pytest.raises(NotFittedError):
        getattr(detector, method)(more)


@pytest.mark.parametrize(
    ("labels", "found"),
    [
        ([-1, 1], "y holds -1. "),
        ([0, 1, 2, 3], "y holds 2, 3. "),
        ([0, 5, 4, 3, 2, 1], "y holds 5, 4, 3, ... "),
        ([0.5, 1.0], "y holds 0.5. "),
        ([0, 1, np.nan], "y holds nan. "),
        (["0", "1"], "y holds '0', '1'. "),
        (np.array([0, 1, "a", None], dtype=object), "y holds 'a', None. "),
    ],
)
def test_other_labels(detector, labels, found):
    y = np.resize(labels, 12)
    with pytest.raises(ValueError, match=re.escape(found.strip())):
        detector.fit(np.eye(12), y)


def test_missing_labels_in_nullable_series(detector):
    pandas = pytest.importorskip("pandas", reason="pandas is not installed")
    y = pandas.Series([0, 1, None, 1], dtype="Int64")
    with pytest.raises(ValueError, match=r"y holds (nan|<NA>)"):
        detector.fit(np.eye(4), y)


@pytest.mark.parametrize(
    ("label", "absent"), [(0, "labelled anomaly (no 1)"), (1, "unlabelled row (no 0)")]
)
def test_one_kind_of_row_only(detector, rows, label, absent):
    with pytest.raises(ValueError, match=re.escape(f"y holds no {absent}") + ".* one class only"):
        detector.fit(rows[0], np.full(128, label))


def test_y_is_needed_and_as_long_as_x(detector, rows):
    X, y = rows
    with pytest.raises(ValueError, match="requires y to be passed"):
        detector.fit(X, None)
    with pytest.raises(ValueError, match="inconsistent numbers of samples"):
        detector.fit(X, y[:-1])


@pytest.mark.parametrize("value", [np.inf, -np.inf])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_infinite_values_name_their_column(detector, rows, more, value, dtype):
    X, y = rows
    spoiled = X.astype(dtype)
    spoiled[3:9, 1] = value
    with pytest.raises(ValueError, match="X holds an infinite value in column 1: "):
        clone(detector).fit(spoiled, y)
    detector.fit(X, y)
    for method in METHODS:
        with pytest.raises(ValueError, match="X holds an infinite value in column 1: "):
            getattr(detector, method)(spoiled)


def test_finite_values_whose_sum_overflows_are_taken():
    X = np.full((4, 1), 3e38, dtype=np.float32)
    assert FirstColumn().fit(X, [0, 0, 1, 1]).n_features_in_ == 1


def test_nan_names_its_columns_and_a_remedy(detector, rows):
    X, y = rows
    X = np.hstack([X, X])
    X[2, [0, 2, 3, 4, 5]] = np.nan
    if get_tags(detector).input_tags.allow_nan:
        assert np.isfinite(detector.fit(X, y).decision_scores_).all()
        return
    with pytest.raises(ValueError, match=r"X holds NaN in column 0, 2, 3 and 2 more: .*Imputer"):
        detector.fit(X, y)


def test_frames_name_columns_in_their_messages(detector, rows, frame):
    X, y = rows
    spoiled = X.copy()
    spoiled[5, 2] = np.inf
    with pytest.raises(ValueError, match="column 'depth'"):
        detector.fit(frame(spoiled), y)
    detector.fit(frame(X), y)
    with pytest.raises(ValueError, match="column 'depth'"):
        detector.predict(frame(spoiled))


@pytest.mark.parametrize("text", ["1.5", "tall"])
def test_text_columns_are_named(detector, rows, frame, text):
    X, y = rows
    columns = dict.fromkeys(NAMES, X[:, 0]) | {"width": np.array([text] * len(X))}
    table = type(frame(X))(columns)
    with pytest.raises(ValueError, match=r"Column 'width' of X is not numeric but String"):
        detector.fit(table, y)


def test_object_columns_are_read_value_by_value(detector, rows):
    pandas = pytest.importorskip("pandas", reason="pandas is not installed")
    X, y = rows
    expected = clone(detector).fit(X, y).decision_scores_
    table = pandas.DataFrame(X.astype(object), columns=NAMES)
    assert np.array_equal(clone(detector).fit(table, y).decision_scores_, expected)
    table.loc[7, "width"] = "n/a"
    with pytest.raises(ValueError, match=r"Column 'width' of X is not numeric: .*'n/a'"):
        detector.fit(table, y)
    with pytest.raises(ValueError, match=r"Column 1 of X is not numeric: .*'n/a'"):
        detector.fit(table.to_numpy(), y)


def test_pyarrow_tables_are_data_frames_too(detector, rows):
    pyarrow = pytest.importorskip("pyarrow", reason="pyarrow is not installed")
    X, y = rows
    columns = dict(zip(NAMES, X.T, strict=True))
    detector.fit(pyarrow.table(columns), y)
    assert detector.feature_names_in_.tolist() == NAMES
    with pytest.raises(ValueError, match=r"Column 'width' of X is not numeric but String"):
        detector.predict(pyarrow.table(columns | {"width": ["tall"] * len(X)}))


def test_none_in_a_list_is_a_missing_value():
    with pytest.raises(ValueError, match="X holds NaN in column 1: "):
        FirstColumn().fit([[1.0, None], [2.0, 3.0]], [0, 1])


def test_dates_and_twin_names_are_refused(detector, rows):
    pandas = pytest.importorskip("pandas", reason="pandas is not installed")
    X, y = rows
    dates = np.full(X.shape, "2024-01-01", dtype="datetime64[ns]")
    with pytest.raises(ValueError, match=r"X is not numeric: its dtype is datetime64"):
        detector.fit(dates, y)
    with pytest.raises(ValueError, match=r"Column 'height' of X is not numeric but Datetime"):
        detector.fit(pandas.DataFrame(dates, columns=NAMES), y)
    with pytest.raises(ValueError, match="two columns of one name"):
        detector.fit(pandas.DataFrame(X, columns=["a", "a", "b"]), y)


def test_text_in_lists_names_its_column(detector):
    with pytest.raises(ValueError, match=r"Column 1 of X is not numeric: "):
        detector.fit([[1.0, 2.0], [2.0, "tall"]], [0, 1])


def test_ragged_lists_keep_their_message(detector):
    with pytest.raises(ValueError, match="inhomogeneous"):
        detector.fit([[1, 2], [3]], [0, 1])


def test_columns_are_checked_at_scoring(detector, rows, frame):
    X, y = rows
    table = frame(X)
    detector.fit(table, y)
    assert detector.feature_names_in_.tolist() == NAMES
    unnamed = clone(detector).fit(X, y).decision_function(X)
    assert np.array_equal(detector.decision_function(table), unnamed)
    with pytest.raises(ValueError, match="must be in the same order"):
        detector.predict(frame(X, NAMES[::-1]))
    with pytest.raises(ValueError, match="unseen at fit time"):
        detector.predict(frame(X, ["height", "width", "weight"]))
    with pytest.raises(ValueError, match="now missing"):
        detector.predict(frame(X[:, :2], NAMES[:2]))
    with pytest.raises(ValueError, match="X has 2 features, but"):
        clone(detector).fit(X, y).predict(X[:, :2])


@pytest.mark.parametrize(
    ("weights", "message"),
    [
        (np.ones(5), r"sample_weight has shape \(5,\), expected \(128,\)"),
        (np.ones((128, 1)), r"sample_weight has shape \(128, 1\)"),
        (1.0, r"sample_weight has shape \(1,\)"),
        (np.linspace(-1, 1, 128), "sample_weight holds a negative value: -1.0"),
        (np.full(128, np.nan), "Input sample_weight contains NaN"),
        (np.repeat([1, 0], [120, 8]), "sample_weight is zero on every labelled anomaly"),
        (np.repeat([0, 1], [120, 8]), "sample_weight is zero on every unlabelled row"),
    ],
)
def test_weights_that_cannot_be(detector, rows, weights, message):
    with pytest.raises(ValueError, match=message):
        detector.fit(*rows, sample_weight=weights)


def test_weights_count(detector, rows):
    X, y = rows
    plain = clone(detector).fit(X, y)
    even = clone(detector).fit(X, y, sample_weight=np.ones(128, dtype=int))
    heavy = clone(detector).fit(X, y, sample_weight=np.where(y, 20.0, 1.0))
    np.testing.assert_allclose(even.decision_scores_, plain.decision_scores_)

    if isinstance(detector, AutoDetector):  # whose probabilities go by ranks: look at its trees
        # Rows that are drawn more often are taken for anomalies less often.
        often = np.arange(128) < 60
        drawn = clone(detector).fit(X, y, sample_weight=np.where(often, 20.0, 1.0))
        plain, drawn = (
            fitted.views_["trees"].score(fitted.coordinates_.transform(X[often])).mean()
            for fitted in (plain, drawn)
        )
        assert drawn < plain
        return
    assert heavy.predict_proba(X)[y == 1, 1].mean() > plain.predict_proba(X)[y == 1, 1].mean()


def test_class_weights_are_sample_weights(detector, rows):
    X, y = rows
    weights = {0: 0.5, 1: 8.0}
    detector.set_params(class_weight=weights)
    by_class = clone(detector).fit(X, y).decision_scores_
    plain = clone(detector).set_params(class_weight=None)
    each = np.where(y, 8.0, 0.5)
    assert np.array_equal(by_class, clone(plain).fit(X, y, sample_weight=each).decision_scores_)
    assert not np.array_equal(by_class, clone(plain).fit(X, y).decision_scores_)
    # Both at once multiply.
    more = clone(detector).fit(X, y, sample_weight=each).decision_scores_
    assert np.array_equal(more, clone(plain).fit(X, y, sample_weight=each**2).decision_scores_)
    balanced = clone(plain).set_params(class_weight="balanced").fit(X, y).decision_scores_
    each = np.where(y, 128 / (2 * 8), 128 / (2 * 120))
    assert np.array_equal(balanced, clone(plain).fit(X, y, sample_weight=each).decision_scores_)


@pytest.mark.parametrize("weights", [{2: 1.0}, {0: -1.0}, {1: np.nan}, {1: 0}, {1: "much"}])
def test_class_weights_that_cannot_be(detector, rows, weights):
    with pytest.raises(ValueError, match=r"class_weight must give 0 .* weights above zero"):
        detector.set_params(class_weight=weights).fit(*rows)


def test_verbose_shows_a_bar_and_changes_nothing(detector, rows, capfd):
    quiet = clone(detector).fit(*rows)
    assert capfd.readouterr() == ("", "")
    loud = detector.set_params(verbose=True).fit(*rows)
    out, err = capfd.readouterr()
    assert out == ""
    assert type(detector).__name__ in err
    assert np.array_equal(loud.decision_scores_, quiet.decision_scores_)


@pytest.mark.parametrize("value", [0, 0.6, "auto", None])
def test_contamination_out_of_range(detector, rows, value):
    if value == "auto" and isinstance(detector, AutoDetector):
        pytest.skip("AutoDetector estimates it")
    with pytest.raises(ValueError, match="The 'contamination' parameter of"):
        detector.set_params(contamination=value).fit(*rows)


# Training that does not finish


@pytest.mark.parametrize("error", [KeyboardInterrupt, RuntimeError])
@pytest.mark.parametrize("before", [False, True], ids=["first fit", "refit"])
def test_stopped_training_leaves_it_unfitted(monkeypatch, detector, rows, error, before):
    X, y = rows
    if before:
        detector.fit(X[:, :2], y)

    def stop(self, X):
        assert {"model_", "network_", "estimators_", "views_"} & {*vars(self)}, (
            "stop after the training proper, as late as possible"
        )
        raise error

    with monkeypatch.context() as patch:
        patch.setattr(type(detector), "_training_scores", stop)
        with pytest.raises(error):
            detector.fit(X, y)
    assert is_unfitted(detector)
    with pytest.raises(NotFittedError):
        detector.predict(X)
    assert detector.fit(X, y).n_features_in_ == 3


def test_a_refused_refit_leaves_it_unfitted(detector, rows):
    X, y = rows
    detector.fit(X, y)
    with pytest.raises(ValueError, match="no labelled anomaly"):
        detector.fit(X, 0 * y)
    assert is_unfitted(detector)


# Inside scikit-learn's searches and imbalanced-learn's pipelines


def test_pickle_and_clone(detector, rows, more):
    detector.fit(*rows)
    again = pickle.loads(pickle.dumps(detector))
    assert np.array_equal(again.decision_function(more), detector.decision_function(more))
    assert again.threshold_ == detector.threshold_
    fresh = clone(detector)
    assert is_unfitted(fresh)
    assert fresh.get_params() == detector.get_params()
    refitted = fresh.fit(*rows)
    assert np.array_equal(refitted.decision_scores_, detector.decision_scores_)


def test_random_state_instances_move_on(detector, rows):
    detector.set_params(random_state=np.random.RandomState(0))
    first = detector.fit(*rows).decision_scores_
    assert not np.array_equal(detector.fit(*rows).decision_scores_, first)


def test_imbalanced_learn_pipeline(detector, rows, more):
    X, y = rows
    pipeline = make_pipeline(MinMaxScaler(), RandomOverSampler(random_state=0), detector)
    pipeline.fit(X, y)
    scaler = MinMaxScaler().fit(X)
    sampled = RandomOverSampler(random_state=0).fit_resample(scaler.transform(X), y)
    by_hand = clone(detector).fit(*sampled)
    expected = by_hand.decision_function(scaler.transform(more))
    assert np.array_equal(pipeline.decision_function(more), expected)
    assert len(pipeline[-1].decision_scores_) == 240
    assert is_unfitted(clone(pipeline)[-1])
    assert 0 <= pipeline.score(X, y) <= 1


def test_grid_search_ranks_by_the_decision_function(detector, rows):
    X, y = rows
    splits = list(StratifiedKFold(2).split(X, y))
    size = LENGTH[type(detector).__name__]
    search = GridSearchCV(detector, {size: np.array([5, 20])}, scoring="average_precision",
                          cv=splits, error_score="raise").fit(X, y)  # fmt: skip
    for candidate, value in enumerate([5, 20]):
        for split, (train, test) in enumerate(splits):
            fitted = clone(detector).set_params(**{size: value}).fit(X[train], y[train])
            expected = average_precision_score(y[test], fitted.decision_function(X[test]))
            assert search.cv_results_[f"split{split}_test_score"][candidate] == expected


def test_cross_validation_stratifies(detector, rows):
    # Rows are in order of their label, so plain folds would train without a labelled anomaly.
    assert isinstance(check_cv(4, rows[1], classifier=is_classifier(detector)), StratifiedKFold)
    scores = cross_val_score(detector, *rows, scoring="roc_auc", cv=4, error_score="raise")
    assert scores.min() > 0.5


def test_parameters_and_columns_are_checked_as_scikit_learn_checks_its_own(detector):
    name = type(detector).__name__
    estimator_checks.check_param_validation(name, detector)
    estimator_checks.check_dataframe_column_names_consistency(name, detector)


# Checks of scikit-learn's suite that fail on labels alone, which here are 0 and 1 and no others.
# They run below with the labels translated, to see that nothing else is wrong.
LABELS = "trains on labels 1 and 2, or on 0 and 2"
ON_OTHER_LABELS = [
    "check_classifier_data_not_an_array",
    "check_estimators_dtypes",
    "check_fit2d_1feature",
    "check_sample_weights_not_an_array",
    "check_sample_weights_not_overwritten",
    "check_sample_weights_pandas_series",
    "check_sample_weights_shape",
]


def inapplicable(detector):
    checks = dict.fromkeys(ON_OTHER_LABELS, LABELS) | {
        "check_classifiers_classes": "trains on labels 'one' and 'two', and on -1 and 1",
        "check_classifiers_train": "takes predict for decision_function > 0 and for the likelier "
        "class; here contamination sets the threshold",
        "check_sample_weight_equivalence_on_dense_data": "needs a training that a repeated row "
        "and a doubled weight change alike; mini-batches (the networks), row sampling (CatBoost) "
        "and outlier scores without weights (XGBOD) go by row",
    }
    if not isinstance(detector, (MLP, XGBOD)):
        checks["check_class_weight_classifiers"] = (
            "weighs one class ten million times more and takes predict for the likelier class; "
            "here contamination sets the threshold, on the rows trained on"
        )
    if isinstance(detector, FTTransformer):
        checks["check_methods_subset_invariance"] = (
            "asks for seven equal digits; scores in single precision have them or nearly "
            "(test_ft_transformer.py checks six)"
        )
    return checks


@estimator_checks.parametrize_with_checks(
    [quick(cls) for cls in DETECTORS.values()], expected_failed_checks=inapplicable
)
def test_scikit_learn_suite(estimator, check):
    check(estimator)


class TwoLabels:
    """Takes the larger of any two labels for the anomaly."""

    def fit(self, X, y, sample_weight=None):
        y = np.asarray(y)
        return super().fit(X, y == y.max(), sample_weight)


@pytest.mark.parametrize("check", ON_OTHER_LABELS)
def test_scikit_learn_suite_with_labels_translated(detector, check):
    cls = type(detector)
    translated = type(cls.__name__, (TwoLabels, cls), {"__init__": cls.__init__})
    getattr(estimator_checks, check)(cls.__name__, translated(**detector.get_params()))
