import numpy as np
import pytest


@pytest.fixture
def rows():
    """120 unlabelled rows, then 8 labelled anomalies, in [0, 1]."""
    rng = np.random.default_rng(0)
    X = np.vstack([rng.normal(0.35, 0.12, (120, 3)), rng.normal(0.65, 0.12, (8, 3))]).clip(0, 1)
    return X, np.repeat([0, 1], [120, 8])


@pytest.fixture
def more():
    """Rows to score that no detector was fitted on."""
    return np.random.default_rng(1).random((50, 3))
