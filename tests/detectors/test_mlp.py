import threading
import warnings

import numpy as np
import pytest
from sklearn.neural_network import MLPClassifier

from nngmix.detectors import MLP

# scikit-learn's own warning about its 200 iterations, where the tests call it directly.
pytestmark = pytest.mark.filterwarnings("ignore:Stochastic Optimizer:Warning")


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_equals_scikit_learn_with_default_settings(rows, more, dtype):
    X, y = rows
    X = X.astype(dtype)
    more = more.astype(dtype)
    detector = MLP(random_state=3).fit(X, y)
    plain = MLPClassifier(random_state=3).fit(X, y)
    assert np.array_equal(detector.predict_proba(more), plain.predict_proba(more))
    assert np.array_equal(detector.decision_function(more), plain.predict_proba(more)[:, 1])
    assert detector.model_.coefs_[0].dtype == dtype
    assert detector.loss_curve_ == plain.loss_curve_
    assert detector.n_iter_ == plain.n_iter_


def test_hands_every_setting_on(rows, more):
    X, y = rows
    settings = {
        "hidden_layer_sizes": (7, 5),
        "alpha": 0.01,
        "batch_size": 16,
        "learning_rate_init": 0.01,
        "max_iter": 15,
        "early_stopping": True,
        "random_state": 1,
    }
    detector = MLP(**settings).fit(X, y)
    plain = MLPClassifier(**settings).fit(X, y)
    assert np.array_equal(detector.predict_proba(more), plain.predict_proba(more))


def test_hands_weights_on(rows, more):
    X, y = rows
    weights = np.where(y, 3.0, 1.0)
    detector = MLP(random_state=0).fit(X, y, sample_weight=weights)
    plain = MLPClassifier(random_state=0).fit(X, y, sample_weight=weights)
    assert np.array_equal(detector.predict_proba(more), plain.predict_proba(more))


def test_reaching_max_iter_gives_no_warning(recwarn, rows):
    detector = MLP(max_iter=3, random_state=0).fit(*rows)
    assert detector.n_iter_ == len(detector.loss_curve_) == 3
    assert not recwarn.list


def test_other_warnings_come_through(rows):
    with pytest.warns(UserWarning, match="batch_size"):
        MLP(batch_size=1000, max_iter=3, random_state=0).fit(*rows)


def test_a_warning_made_an_error_stays_one(rows):
    with pytest.raises(UserWarning, match="batch_size"):
        MLP(batch_size=1000, max_iter=3, random_state=0).fit(*rows)


def test_ctrl_c_inside_training_is_not_swallowed(monkeypatch, rows):
    passed = MLPClassifier._backprop
    calls = []

    def interrupt(self, *args):
        calls.append(1)
        if len(calls) == 5:
            raise KeyboardInterrupt
        return passed(self, *args)

    monkeypatch.setattr(MLPClassifier, "_backprop", interrupt)
    detector = MLP(random_state=0)
    with pytest.raises(KeyboardInterrupt):
        detector.fit(*rows)
    assert not hasattr(detector, "model_")


def test_verbose_shows_the_last_loss(capsys, rows):
    detector = MLP(max_iter=2, random_state=0, verbose=True).fit(*rows)
    assert f"2/2 0:00:00 0:00:00 loss {detector.loss_curve_[-1]:.4f}" in capsys.readouterr().err


def test_fits_side_by_side_leave_the_filters_of_warnings_as_they_were(rows):
    before = list(warnings.filters)
    threads = [
        threading.Thread(target=MLP(max_iter=n, random_state=0).fit, args=rows)
        for n in (5, 40, 10, 60)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert warnings.filters == before
