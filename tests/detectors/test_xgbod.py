import pickle
import subprocess
import sys
import threading

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import roc_auc_score
from sklearn.neighbors import LocalOutlierFactor
from threadpoolctl import threadpool_info

from nngmix.detectors import outlier_scores as module
from nngmix.detectors.outlier_scores import N_STAGES, OutlierScores
from nngmix.detectors.xgbod import XGBOD

pytest.importorskip("xgboost", reason="xgboost is not installed")

quick = {"n_estimators": 20, "n_jobs": 1, "random_state": 0}


def pyod_xgbod(X, y, seed=0):
    """PyOD's own, fitted; it warns about the labels, and XGBoost about a setting it passes."""
    peer = pytest.importorskip("pyod.models.xgbod", reason="pyod is not installed")
    return peer.XGBOD(random_state=seed).fit(X, y)


def labels(n_rows):
    return (np.arange(n_rows) % 10 == 3).astype(int) if n_rows > 3 else np.arange(n_rows) % 2


def random_table(rng, n_rows, n_features):
    return rng.normal(size=(n_rows, n_features)), 3 * rng.normal(size=(60, n_features))


def table(kind):
    """Training rows, and rows to score of which some lie outside their range."""
    rng = np.random.default_rng(0)
    if kind == "random":
        return random_table(rng, 300, 4)
    if kind == "many columns":
        return random_table(rng, 600, 20)
    if kind == "duplicates":
        X, more = random_table(rng, 300, 4)
        X = X[rng.integers(0, 120, 300)]
        return X, np.vstack([more, X[:20]])
    if kind == "constant columns":
        X, more = random_table(rng, 200, 5)
        X[:, [1, 3]] = 3.3, 0.0
        more[:50, [1, 3]] = 3.3, 0.0
        return X, more
    if kind == "float32":
        X, more = random_table(rng, 250, 6)
        return X.astype(np.float32), more.astype(np.float32)
    if kind == "other units":
        X, more = random_table(rng, 150, 3)
        units, shift = np.array([1e-5, 1.0, 1e7]), np.array([0.0, -40.0, 1e9])
        return X * units + shift, more * units + shift
    return random_table(rng, int(kind), 3)


KINDS = [
    "random", "duplicates", "constant columns", "other units", "2", "60",
    *(pytest.param(kind, marks=pytest.mark.slow)
      for kind in ("many columns", "float32", "3", "12", "49")),
]  # fmt: skip


@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.parametrize("kind", KINDS)
def test_scores_equal_pyods(kind):
    X, more = table(kind)
    theirs = pyod_xgbod(X, labels(len(X)))
    mine = OutlierScores(random_state=0, n_jobs=2)
    close = {"rtol": 1e-6, "atol": 1e-6}
    np.testing.assert_allclose(mine.fit_transform(X), theirs.X_train_add_, **close)
    np.testing.assert_allclose(mine.transform(more), theirs._generate_new_features(more), **close)
    np.testing.assert_allclose(mine.transform(X), theirs._generate_new_features(X), **close)


@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.parametrize("seed", [0, 7])
def test_the_detector_equals_pyods(seed):
    rng = np.random.default_rng(seed)
    X, y = rng.normal(size=(400, 5)), labels(400)
    X[y == 1] += rng.normal(1, 1, (40, 5))
    more = np.vstack([rng.normal(size=(200, 5)), rng.normal(1, 1.4, (50, 5))])
    truth = np.repeat([0, 1], [200, 50])
    theirs = pyod_xgbod(X, y, seed)
    mine = XGBOD(random_state=seed).fit(X, y)
    np.testing.assert_allclose(
        mine.decision_function(more), theirs.decision_function(more), atol=1e-5
    )
    np.testing.assert_allclose(mine.decision_scores_, theirs.decision_function(X), atol=1e-5)
    assert roc_auc_score(truth, mine.decision_function(more)) > 0.7


def test_equal_rows_are_at_distance_zero_in_any_number_of_columns():
    # There PyOD's distances are rounding errors. A tree measures exactly.
    rng = np.random.default_rng(0)
    X = rng.normal(size=(100, 24))[rng.integers(0, 40, 200)]
    scores = OutlierScores(random_state=0)
    fitted, again = scores.fit_transform(X), scores.transform(X)
    assert (again[:, 0] == 0).all()
    for i, k in enumerate(scores.n_neighbors_):
        lof = LocalOutlierFactor(k, algorithm="kd_tree", novelty=True).fit(scores.rows_)
        np.testing.assert_allclose(fitted[:, 2 * i + 1], -lof.negative_outlier_factor_, rtol=1e-6)
        expected = -lof.score_samples(scores.rows_)
        np.testing.assert_allclose(again[:, 2 * i + 1], expected, rtol=1e-6)


def pyod_histogram(X, more, n_bins):
    hbos = pytest.importorskip("pyod.models.hbos", reason="pyod is not installed")
    return hbos.HBOS(n_bins=n_bins).fit(X).decision_function(more)


@settings(max_examples=12, deadline=None)
@given(st.lists(st.decimals(-20, 20, places=1).map(float), min_size=2, max_size=12))
def test_histograms_agree_on_the_edges(values):
    # Decimals meet the edges of bins, and the limits outside, often.
    X, more = np.array(values)[:, None], np.arange(-600, 601)[:, None] / 10
    scores = OutlierScores(random_state=0).fit(X)
    mine = scores.transform(more)[:, 2 * len(scores.n_neighbors_) :][:, : len(module.N_BINS)]
    for n_bins, own in zip(module.N_BINS, mine.T, strict=True):
        np.testing.assert_allclose(own, pyod_histogram(X, more, n_bins), atol=1e-9)


def test_threads_do_not_matter(rows, more):
    X, y = rows
    one = XGBOD(random_state=0, n_jobs=1).fit(X, y)
    many = XGBOD(random_state=0, n_jobs=3).fit(X, y)
    assert np.array_equal(one.decision_scores_, many.decision_scores_)
    wide = np.random.default_rng(0).normal(size=(1500, 20))
    one, many = OutlierScores(random_state=0), OutlierScores(random_state=0, n_jobs=3)
    assert np.array_equal(one.fit_transform(wide), many.fit_transform(wide))
    assert np.array_equal(one.transform(wide[::-1]), many.transform(wide[::-1]))


def test_a_row_scores_alike_alone_and_among_others():
    rng = np.random.default_rng(0)
    # Whole numbers: many neighbours are equally near.
    X, more = rng.integers(0, 4, (800, 17)) * 1.0, rng.integers(0, 5, (1100, 17)) * 1.0
    scores = OutlierScores(random_state=0, n_jobs=2).fit(X)
    together = scores.transform(more)
    assert np.array_equal(scores.transform(more[::-1])[::-1], together)
    for part in (slice(0, 1), slice(700, 703), slice(1099, None)):
        assert np.array_equal(scores.transform(more[part]), together[part])


def test_without_a_kernel_in_memory_the_svms_are_the_same(monkeypatch):
    X, more = table("random")
    with_kernel = OutlierScores(random_state=0)
    fitted = with_kernel.fit_transform(X)
    monkeypatch.setattr(module, "_KERNEL_BYTES", 8 * len(X) ** 2 - 1)
    without = OutlierScores(random_state=0)
    np.testing.assert_allclose(without.fit_transform(X), fitted, rtol=1e-9, atol=1e-9)
    np.testing.assert_allclose(without.transform(more), with_kernel.transform(more), atol=1e-9)


def test_blocks_large_and_small_agree(monkeypatch):
    X, more = table("random")
    expected = OutlierScores(random_state=0).fit(X).transform(more)
    monkeypatch.setattr(module, "_BLOCK", 7)
    monkeypatch.setattr(module, "_KERNEL_COLUMNS", 11)
    monkeypatch.setattr(module, "_DIFFERENCES", 5)
    got = OutlierScores(random_state=0, n_jobs=2).fit(X).transform(more)
    np.testing.assert_allclose(got, expected, rtol=1e-9, atol=1e-9)
    detector = XGBOD(**quick).fit(X, labels(len(X)))
    whole = detector.decision_function(more)
    monkeypatch.setattr(sys.modules[XGBOD.__module__], "_BLOCK", 13)
    assert np.array_equal(detector.decision_function(more), whole)


@pytest.mark.parametrize("n_rows", [2, 3, 4])
@pytest.mark.parametrize("distinct", [True, False])
def test_few_rows(n_rows, distinct):
    X = np.eye(n_rows, 3) if distinct else np.ones((n_rows, 3))
    y = np.arange(n_rows) == 1
    detector = XGBOD(**quick).fit(X, y)
    assert np.isfinite(detector.decision_function([[0, 0, 0], [1e9, 0, -1e30]])).all()


def test_far_rows_and_narrow_columns_stay_finite(rows):
    X, y = rows
    X = np.column_stack([X, 1e16 + 2.0 * (y == 1), 1e-200 * X[:, 0], np.zeros(len(X))])
    detector = XGBOD(**quick).fit(X, y)
    far = X[:4] + 0.0
    far[0, 4], far[1, 0], far[2, 5], far[3] = 1e38, 3e38, -3e38, 0.0
    scores = detector.outlier_scores_.transform(far)
    assert np.isfinite(scores.astype(np.float32)).all()
    assert np.isfinite(detector.decision_function(far)).all()
    assert np.isfinite(detector.decision_function(far.astype(np.float32))).all()


@pytest.mark.parametrize("value", [1e39, -1e300])
def test_beyond_single_precision(rows, value):
    X, y = rows
    spoiled = X.copy()
    spoiled[7, 2] = value
    message = r"X holds a value beyond 3\.4e\+38 in column 2: XGBOD computes in single precision"
    with pytest.raises(ValueError, match=message):
        XGBOD(**quick).fit(spoiled, y)
    detector = XGBOD(**quick).fit(X, y)
    with pytest.raises(ValueError, match=message):
        detector.decision_function(spoiled)


def test_hands_settings_and_weights_on(rows):
    from xgboost import XGBClassifier

    X, y = rows
    weights = np.where(y, 3.0, 1.0)
    detector = XGBOD(n_estimators=30, max_depth=2, learning_rate=0.3, random_state=1)
    detector.fit(X, y, sample_weight=weights)
    both = np.hstack([X, OutlierScores(random_state=1).fit_transform(X)])
    plain = XGBClassifier(
        n_estimators=30, max_depth=2, learning_rate=0.3, base_score=0.5, n_jobs=1
    ).fit(both, y, sample_weight=weights)
    seen = np.hstack([X, detector.outlier_scores_.transform(X)])
    assert np.array_equal(detector.predict_proba(X), plain.predict_proba(seen))
    assert np.array_equal(detector.decision_scores_, plain.predict_proba(seen)[:, 1])
    by_class = XGBOD(**quick, class_weight={1: 3.0}).fit(X, y)
    assert np.array_equal(
        by_class.decision_scores_, XGBOD(**quick).fit(X, y, weights).decision_scores_
    )


def test_random_states(rows):
    X, y = rows
    fixed = [XGBOD(n_estimators=5, n_jobs=1, random_state=np.random.RandomState(3)).fit(X, y)
             for _ in range(2)]  # fmt: skip
    assert np.array_equal(fixed[0].decision_scores_, fixed[1].decision_scores_)
    free = [XGBOD(n_estimators=5, n_jobs=1).fit(X, y).outlier_scores_.transform(X)
            for _ in range(2)]  # fmt: skip
    forests = len(module.N_TREES)
    assert np.array_equal(free[0][:, :-forests], free[1][:, :-forests])
    assert not np.array_equal(free[0][:, -forests:], free[1][:, -forests:])


@pytest.mark.parametrize("name", ["n_estimators", "max_depth", "learning_rate", "n_jobs"])
def test_settings_out_of_range(rows, name):
    with pytest.raises(ValueError, match=f"The '{name}' parameter of XGBOD"):
        XGBOD(**{name: 0}).fit(*rows)


def test_verbose_shows_a_bar_and_changes_nothing(capsys, rows, more):
    quiet = XGBOD(**quick).fit(*rows)
    assert capsys.readouterr() == ("", "")
    loud = XGBOD(**quick, verbose=True).fit(*rows)
    shown = capsys.readouterr()
    total = N_STAGES + quick["n_estimators"]
    assert shown.out == ""
    assert f"{total}/{total}" in shown.err
    assert np.array_equal(loud.decision_function(more), quiet.decision_function(more))
    again = pickle.loads(pickle.dumps(loud))
    assert np.array_equal(again.decision_function(more), quiet.decision_function(more))


@pytest.mark.parametrize("place", ["kneighbors", "fit"])
def test_ctrl_c_inside_training_leaves_it_unfitted(monkeypatch, rows, place):
    cls = module.NearestNeighbors if place == "kneighbors" else module.OneClassSVM

    def interrupt(self, *args):
        raise KeyboardInterrupt

    detector = XGBOD(**quick).fit(*rows)
    with monkeypatch.context() as patch:
        patch.setattr(cls, place, interrupt)
        with pytest.raises(KeyboardInterrupt):
            detector.fit(*rows)
    assert not [name for name in vars(detector) if name.endswith("_")]


def test_importing_it_leaves_xgboost_alone():
    code = "import sys, nngmix.detectors.xgbod; print('xgboost' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


def test_without_xgboost_the_message_names_the_extra(monkeypatch, rows):
    monkeypatch.setitem(sys.modules, "xgboost", None)
    with pytest.raises(ImportError, match=r"pip install 'nngmix\[boost\]'"):
        XGBOD().fit(*rows)


def test_what_makes_the_scores_is_kept_by_skops(rows, more):
    skops = pytest.importorskip("skops.io", reason="skops is not installed")
    scores = XGBOD(**quick).fit(*rows).outlier_scores_
    saved = skops.dumps(scores)
    trusted = skops.get_untrusted_types(data=saved)
    own = "nngmix.detectors.outlier_scores.OutlierScores"
    assert set(trusted) <= {own, "sklearn.tree._tree.Tree"}
    again = skops.loads(saved, trusted=trusted)
    assert np.array_equal(again.transform(more), scores.transform(more))


def test_calls_side_by_side_leave_blas_as_it_was(rows, more):
    def blas_threads():
        return [one["num_threads"] for one in threadpool_info() if one["user_api"] == "blas"]

    detector = XGBOD(n_estimators=5, random_state=0, n_jobs=1).fit(*rows)
    before = blas_threads()
    threads = [
        threading.Thread(target=detector.decision_function, args=(np.tile(more, (n, 1)),))
        for n in (5, 60, 20, 40)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert blas_threads() == before
