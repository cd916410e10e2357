import sys
from pathlib import Path

import numpy as np
import pytest

from nngmix.detectors import CatBoost

catboost = pytest.importorskip("catboost", reason="catboost is not installed: nngmix[boost]")


def plain(**settings):
    return catboost.CatBoostClassifier(verbose=False, allow_writing_files=False, **settings)


def test_equals_catboost_with_default_settings(rows, more):
    X, y = rows
    detector = CatBoost(random_state=3).fit(X, y)
    model = plain(random_seed=3).fit(X, y)
    raw = model.predict(more, prediction_type="RawFormulaVal")
    assert np.array_equal(detector.decision_function(more), raw)
    assert np.array_equal(detector.predict_proba(more), model.predict_proba(more))
    assert np.array_equal(detector.feature_importances_, model.feature_importances_)
    assert detector.model_.get_all_params() == model.get_all_params()
    assert detector.model_.tree_count_ == 1000


def test_hands_settings_and_weights_on(rows, more):
    X, y = rows
    weights = np.where(y, 3.0, 1.0)
    detector = CatBoost(iterations=15, learning_rate=0.2, depth=3, random_state=1)
    detector.fit(X, y, sample_weight=weights)
    model = plain(iterations=15, learning_rate=0.2, depth=3, random_seed=1)
    model.fit(X, y, sample_weight=weights)
    assert np.array_equal(detector.predict_proba(more), model.predict_proba(more))


def test_takes_numpy_numbers(rows):
    detector = CatBoost(
        iterations=np.int64(5),
        learning_rate=np.float32(0.5),
        depth=np.int32(2),
        n_jobs=np.int64(1),
        random_state=np.int64(2),
        verbose=np.False_,
    )
    assert detector.fit(*rows).model_.tree_count_ == 5


@pytest.mark.parametrize("n_jobs", [None, 2, -1])
def test_threads_do_not_change_the_results(rows, more, n_jobs):
    one = CatBoost(iterations=50, n_jobs=1, random_state=0).fit(*rows)
    other = CatBoost(iterations=50, n_jobs=n_jobs, random_state=0).fit(*rows)
    assert np.array_equal(other.decision_scores_, one.decision_scores_)
    assert np.array_equal(other.predict_proba(more), one.predict_proba(more))


def test_log_odds_and_probability_agree(rows, more):
    detector = CatBoost(iterations=20, random_state=0).fit(*rows)
    odds = np.exp(detector.decision_function(more))
    np.testing.assert_allclose(detector.predict_proba(more)[:, 1], odds / (1 + odds))


def test_no_seed_draws_one(rows):
    seeds = {
        CatBoost(iterations=2).fit(*rows).model_.get_all_params()["random_seed"] for _ in range(3)
    }
    assert len(seeds) == 3


def test_nan_when_scoring_only_counts_as_the_lowest_value(rows):
    X, y = rows
    detector = CatBoost(iterations=20, random_state=0).fit(X, y)
    missing, lowest = X.copy(), X.copy()
    missing[:, 0] = np.nan
    lowest[:, 0] = -1e9
    assert np.array_equal(detector.decision_function(missing), detector.decision_function(lowest))


def test_nan_in_training_can_itself_be_the_sign():
    X = np.random.default_rng(0).random((200, 1))
    y = np.repeat([0, 1], [180, 20])
    X[y == 1] = np.nan
    scores = CatBoost(iterations=20, random_state=0).fit(X, y).decision_scores_
    assert scores[y == 1].min() > scores[y == 0].max()


def test_constant_columns_are_refused(rows):
    with pytest.raises(ValueError, match=r"CatBoost cannot train: .*constant"):
        CatBoost(iterations=2).fit(np.ones((128, 3)), rows[1])


def test_ctrl_c_inside_training_leaves_it_unfitted(monkeypatch, rows):
    def interrupt(self, *args, **kwargs):
        raise KeyboardInterrupt

    detector = CatBoost(iterations=2).fit(*rows)
    monkeypatch.setattr(catboost.CatBoostClassifier, "fit", interrupt)
    with pytest.raises(KeyboardInterrupt):
        detector.fit(*rows)
    assert not hasattr(detector, "model_")


def test_without_catboost_fit_says_what_to_install(monkeypatch, rows):
    monkeypatch.setitem(sys.modules, "catboost", None)
    with pytest.raises(ImportError) as caught:
        CatBoost(iterations=-1).fit(*rows)
    message = "CatBoost needs the catboost package: pip install 'nngmix[boost]'"
    assert str(caught.value) == message


def test_leaves_no_files_and_no_words_behind(monkeypatch, tmp_path, capfd, rows):
    monkeypatch.chdir(tmp_path)
    CatBoost(iterations=2).fit(*rows)
    assert list(Path().iterdir()) == []
    assert capfd.readouterr() == ("", "")
    CatBoost(iterations=2, verbose=True).fit(*rows)
    out, err = capfd.readouterr()
    assert out == ""
    assert "2/2 0:00:00 0:00:00 loss 0." in err
    assert list(Path().iterdir()) == []
