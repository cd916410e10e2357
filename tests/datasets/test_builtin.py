import sys

import numpy as np
import pytest
from sklearn.datasets import load_breast_cancer, load_digits, load_wine

from nngmix.datasets import BUILTIN_NAMES, load_builtin

SOURCES = {"breast_cancer": load_breast_cancer, "digits": load_digits, "wine": load_wine}


def test_names():
    assert BUILTIN_NAMES == ("breast_cancer", "digits", "wine")


@pytest.mark.parametrize(
    ("name", "n_normal", "n_anomalies", "n_features"),
    [("breast_cancer", 357, 36, 30), ("digits", 1619, 162, 64), ("wine", 119, 12, 13)],
)
def test_sizes(name, n_normal, n_anomalies, n_features):
    table = load_builtin(name)
    assert table.data.shape == (n_normal + n_anomalies, n_features)
    assert table.target.shape == (n_normal + n_anomalies,)
    assert (table.data.dtype, table.target.dtype) == (np.float64, np.int64)
    assert np.isfinite(table.data).all()
    assert np.bincount(table.target).tolist() == [n_normal, n_anomalies]
    assert table.name == name
    assert table.frame is None
    assert len(table.feature_names) == n_features
    assert all(type(feature) is str for feature in table.feature_names)
    for part in (name, "UCI", f" {n_normal} ", f" {n_anomalies} ", "RandomState(0)"):
        assert part in table.DESCR


@pytest.mark.parametrize("name", BUILTIN_NAMES)
def test_rows_are_the_source_rows_in_their_order(name):
    source = SOURCES[name]()
    anomaly = (source.target == 0).astype(np.int64)  # class 0 is the anomaly in all three
    table = load_builtin(name)

    rows = np.column_stack([source.data, anomaly])
    position = 0
    for row in np.column_stack([table.data, table.target]):
        while not np.array_equal(rows[position], row):
            position += 1
        position += 1
    np.testing.assert_array_equal(table.data[table.target == 0], source.data[anomaly == 0])


@pytest.mark.parametrize("name", BUILTIN_NAMES)
def test_same_every_time(name):
    first = load_builtin(name)
    first.data[:] = -1  # a caller's changes must not come back
    np.random.seed(99)
    second, third = load_builtin(name), load_builtin(name)
    np.testing.assert_array_equal(second.data, third.data)
    np.testing.assert_array_equal(second.target, third.target)
    assert (second.data >= 0).all()


def test_as_frame():
    table, arrays = load_builtin("wine", as_frame=True), load_builtin("wine")
    assert list(table.frame.columns) == [*arrays.feature_names, "target"]
    np.testing.assert_array_equal(table.data.to_numpy(), arrays.data)
    np.testing.assert_array_equal(table.target.to_numpy(), arrays.target)
    np.testing.assert_array_equal(table.frame["target"], arrays.target)
    assert table.target.dtype == np.int64


def test_as_frame_without_pandas(monkeypatch):
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(ImportError, match="as_frame=True needs pandas"):
        load_builtin("wine", as_frame=True)
    load_builtin("wine")


@pytest.mark.parametrize("name", ["iris", "Wine", "", None, 3, ["wine"]])
def test_unknown_name(name):
    with pytest.raises(ValueError, match=r"^name=.* \['breast_cancer', 'digits', 'wine'\]"):
        load_builtin(name)
