"""The detectors inside PyOD's utilities.

Of those that take a detector: ``check_detector``, which every PyOD ensemble asks before it accepts
one, and ``persistence.save`` and ``load``. Of those that take what a detector leaves behind:
``evaluate_print``, ``precision_n_scores``, ``score_to_label``. PyOD's
ensembles themselves (LSCP, SUOD, FeatureBagging) fit their detectors without labels, which no
detector here can do; EmbeddingOD takes subclasses of PyOD's own base class only.
"""

import numpy as np
import pytest
from sklearn.base import clone

from nngmix.detectors import DETECTORS

pytest.importorskip("pyod", reason="PyOD is not installed")

from pyod.utils import persistence
from pyod.utils.data import evaluate_print
from pyod.utils.utility import (
    check_detector,
    precision_n_scores,
    score_to_label,
)

QUICK = {
    "MLP": {"max_iter": 40, "learning_rate_init": 0.01},
    "CatBoost": {"iterations": 20},
    "DeepSAD": {"epochs": 10, "pretrain_epochs": 3, "learning_rate": 0.01, "batch_size": 32},
    "FTTransformer": {"n_blocks": 1, "epochs": 4, "learning_rate": 0.005},
    "XGBOD": {"n_estimators": 10},
    "BaggedTrees": {"n_estimators": 40},
    "AutoDetector": {"n_estimators": 10},
}


@pytest.fixture(params=DETECTORS)
def detector(request):
    return DETECTORS[request.param](random_state=0, **QUICK[request.param])


def test_check_detector(detector):
    check_detector(detector)
    check_detector(clone(detector))


def test_save_and_load(detector, rows, more, tmp_path):
    detector.fit(*rows)
    persistence.save(detector, tmp_path / "detector")
    again = persistence.load(tmp_path / "detector", trusted=True, strict=True)
    assert np.array_equal(again.decision_function(more), detector.decision_function(more))


def test_evaluate_print(detector, rows, capsys):
    X, y = rows
    name = type(detector).__name__
    evaluate_print(name, y, detector.fit(X, y).decision_scores_)
    told = capsys.readouterr().out
    assert told.startswith(f"{name} ROC:")
    assert float(told.split("ROC:")[1].split(",")[0]) > 0.5
    assert 0 <= precision_n_scores(y, detector.decision_scores_) <= 1


def test_threshold_is_pyods_on_the_unlabelled_rows(detector, rows):
    X, y = rows
    detector.set_params(contamination=0.2).fit(X, y)
    unlabelled = detector.decision_scores_[y == 0]
    expected = score_to_label(unlabelled, outliers_fraction=0.2)
    assert np.array_equal(detector.labels_[y == 0], expected)
