import math
from functools import cache
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.sparse import csr_array
from sklearn.model_selection import train_test_split
from sklearn.preprocessing import MinMaxScaler

from nngmix.datasets import BUILTIN_NAMES, Split, load_builtin, make_split

FIELDS = ("X_train", "y_train", "X_test", "y_test", "hidden")


def assert_same(split: Split, other: Split) -> None:
    for field in FIELDS:
        np.testing.assert_array_equal(getattr(split, field), getattr(other, field), strict=True)


# ---- The published numbers' split, against a second version of it ------------------------------


def published_split(X, y, label_ratio, seed, pollution_ratio):
    """The published program's steps in their order, on numpy's global stream as it ran them."""
    np.random.seed(seed)
    if len(y) < 1000:
        np.random.seed(seed)
        drawn = np.random.choice(np.arange(len(y)), 1000, replace=True)
        X, y = X[drawn], y[drawn]
    if len(y) > 10000:
        np.random.seed(seed)
        drawn = np.random.choice(np.arange(len(y)), 10000, replace=False)
        X, y = X[drawn], y[drawn]
    X_train, X_test, truth, y_test = train_test_split(X, y, test_size=0.3, shuffle=True, stratify=y)
    scaler = MinMaxScaler().fit(X_train)
    X_train = scaler.transform(X_train)
    X_test = scaler.transform(X_test)

    anomalies = [int(i) for i in np.where(truth == 1)[0]]
    la = 0.1 if label_ratio in (0.05, 0.01) else label_ratio
    drawn = np.random.choice(anomalies, math.ceil(la * len(anomalies)), replace=False)
    drawn = set(drawn)
    labelled = [i for i in anomalies if i in drawn]
    hidden = [i for i in anomalies if i not in drawn]
    if label_ratio in (0.05, 0.01):
        r = {0.05: 0.5, 0.01: 0.1}[label_ratio]
        drawn = np.random.choice(len(labelled), math.ceil(r * len(labelled)), replace=False)
        labelled = [labelled[i] for i in drawn]
    if pollution_ratio != 1:
        n_kept = math.ceil(pollution_ratio * len(hidden))
        drawn = np.random.choice(len(hidden), n_kept, replace=False)
        hidden = [hidden[i] for i in drawn]

    rows = sorted([*np.where(truth == 0)[0], *labelled, *hidden])
    labelled, hidden = set(labelled), set(hidden)
    return (
        X_train[rows],
        np.array([1 if i in labelled else 0 for i in rows]),
        X_test,
        y_test,
        np.array([i in hidden for i in rows]),
    )


@cache
def read(path: Path) -> tuple[np.ndarray, np.ndarray]:
    with np.load(path) as content:
        return content["X"], content["y"]


# (label ratio, pollution ratio)
SETTINGS = [
    *((label_ratio, 1.0) for label_ratio in (0.01, 0.05, 0.1, 0.2, 0.5, 1.0)),
    (0.01, 0.0),
    (0.05, 0.5),
    (0.2, 0.25),
]


def check_against_published(X: np.ndarray, y: np.ndarray, seed: int) -> None:
    for label_ratio, pollution_ratio in SETTINGS:
        split = make_split(
            X, y, label_ratio=label_ratio, seed=seed, pollution_ratio=pollution_ratio
        )
        expected = published_split(X, y, label_ratio, seed, pollution_ratio)
        for field, value in zip(FIELDS, expected, strict=True):
            assert np.array_equal(getattr(split, field), value), (field, label_ratio)
        assert split.X_train.dtype == split.X_test.dtype == expected[0].dtype
        assert split.y_train.dtype == split.y_test.dtype == np.int64
        assert split.hidden.dtype == bool


@pytest.mark.parametrize("seed", [0, 1, 42])
@pytest.mark.parametrize(
    "name",
    [
        # fewer than 1000 rows
        "Classical/4_breastw",  # uint8
        "Classical/15_Hepatitis",
        "Classical/21_Lymphography",  # 6 anomalies
        "Classical/29_Pima",
        "Classical/39_vertebral",
        "Classical/42_WBC",
        "Classical/45_wine",
        "CV_by_ResNet18/MVTec-AD_toothbrush",  # float32
        "NLP_by_BERT/20news_3",  # float32
        # between
        "Classical/2_annthyroid",
        "Classical/7_Cardiotocography",
        "Classical/30_satellite",  # uint8
        "Classical/38_thyroid",
        "Classical/40_vowels",
        "Classical/47_yeast",
        # more than 10 000 rows
        "Classical/22_magic.gamma",
        "Classical/23_mammography",
        "Classical/32_shuttle",  # int16
        "Classical/34_smtp",  # 2 to 5 anomalies survive the draw
    ],
)
def test_is_the_published_split_on_adbench(adbench_home: Path, name: str, seed: int) -> None:
    path = adbench_home / f"{name}.npz"
    if not path.is_file():
        pytest.skip(f"{path.name} is not among the ADBench files here")
    check_against_published(*read(path), seed)


@pytest.mark.parametrize("seed", [0, 1, 42])
@pytest.mark.parametrize("name", BUILTIN_NAMES)
def test_is_the_published_split_on_builtin_tables(name: str, seed: int) -> None:
    table = load_builtin(name)
    check_against_published(table.data, table.target, seed)


# ---- What holds for every table ----------------------------------------------------------------


def traceable_table(n_normal: int, n_anomalies: int) -> tuple[np.ndarray, np.ndarray]:
    """A table whose first column is the row's number and whose second is its label."""
    y = np.zeros(n_normal + n_anomalies, dtype=np.int64)
    y[np.random.RandomState(1).permutation(y.size)[:n_anomalies]] = 1
    return np.column_stack([np.arange(y.size), y, np.sin(np.arange(y.size))]), y


# 25 of a class at the least: the draw of 1000 rows practically never leaves fewer than two.
tables = st.builds(traceable_table, st.integers(25, 1200), st.integers(25, 300))
any_tables = st.builds(traceable_table, st.integers(2, 1200), st.integers(2, 300))
seeds = st.integers(0, 2**32 - 1)
percents = st.integers(1, 100)
protocols = st.sampled_from(["adbench", "leak-free"])
quick = settings(deadline=None, max_examples=60)


def ceil_percent(percent: int, n: int) -> int:
    return -(-percent * n // 100)


@quick
@given(tables, seeds, percents, protocols)
def test_counts(table, seed, percent, protocol):
    X, y = table
    everything = make_split(X, y, label_ratio=1.0, seed=seed, protocol=protocol)
    n_train = max(len(y), 1000) * 7 // 10
    n_anomalies = int(everything.y_train.sum())
    assert len(everything.X_train) == n_train
    assert not everything.hidden.any()

    split = make_split(X, y, label_ratio=percent / 100, seed=seed, protocol=protocol)
    n_first = ceil_percent(max(percent, 10), n_anomalies)
    n_labelled = n_first if percent >= 10 else -(-percent * n_first // 10)
    assert split.y_train.sum() == n_labelled
    assert split.hidden.sum() == n_anomalies - n_first
    assert len(split.X_train) == len(split.y_train) == len(split.hidden)
    assert len(split.X_train) == n_train - (n_first - n_labelled)


@quick
@given(any_tables, seeds, percents, st.integers(0, 100))
def test_rows_keep_their_labels(table, seed, percent, pollution):
    X, y = table
    split = make_split(
        X,
        y,
        label_ratio=percent / 100,
        seed=seed,
        pollution_ratio=pollution / 100,
        protocol="leak-free",
    )
    assert not (split.hidden & (split.y_train == 1)).any()
    np.testing.assert_array_equal(split.X_train[:, 1] == 1, split.hidden | (split.y_train == 1))
    np.testing.assert_array_equal(split.X_test[:, 1] == 1, split.y_test == 1)
    for is_anomaly in (split.X_train[:, 1] == 1, split.y_test == 1):
        assert 0 < is_anomaly.sum() < is_anomaly.size


@quick
@given(any_tables, seeds)
def test_leak_free_has_no_row_on_both_sides(table, seed):
    X, y = table
    split = make_split(X, y, seed=seed, protocol="leak-free")
    # Scaling is one increasing map for both sides, so equal row numbers stay equal.
    assert np.intersect1d(split.X_train[:, 0], split.X_test[:, 0]).size == 0
    assert np.unique(split.X_test[:, 0]).size == len(split.X_test) == math.ceil(0.3 * len(y))


def test_adbench_protocol_leaks_rows_of_small_tables():
    split = make_split(*traceable_table(200, 40), seed=0)
    assert np.isin(split.X_test[:, 0], split.X_train[:, 0]).mean() > 0.9


@quick
@given(st.integers(2, 990), st.integers(2, 9), seeds)
def test_leak_free_keeps_the_proportion_of_the_classes(n_normal, n_anomalies, seed):
    X, y = traceable_table(n_normal, n_anomalies)
    split = make_split(X, y, label_ratio=1.0, seed=seed, protocol="leak-free")
    n_before = n_anomalies - int(split.y_test.sum())
    n_train = len(y) - len(split.y_test)
    assert split.y_train.sum() == round(700 * n_before / n_train) >= n_before


@pytest.mark.parametrize("n_normal", [950, 2000, 10_500])
def test_protocols_agree_on_larger_tables(n_normal):
    X, y = traceable_table(n_normal, 50)
    assert_same(make_split(X, y, seed=3), make_split(X, y, seed=3, protocol="leak-free"))


def test_classes_lie_interleaved():
    X, y = traceable_table(100, 100)
    for protocol in ("adbench", "leak-free"):
        split = make_split(X, y, protocol=protocol)
        is_anomaly = split.X_train[:, 1] == 1
        assert np.count_nonzero(np.diff(is_anomaly)) > 50


@pytest.mark.parametrize("n_rows", [1000, 10_000])
def test_at_the_limits_every_row_is_used_once(n_rows):
    X, y = traceable_table(n_rows - 100, 100)
    check_against_published(X, y, seed=2)
    split = make_split(X, y, seed=2)
    both = np.concatenate([split.X_train[:, 0], split.X_test[:, 0]])
    assert np.unique(both).size == both.size == n_rows


def test_tables_above_ten_thousand_rows_are_cut_to_ten_thousand():
    X, y = traceable_table(10_000, 100)
    split = make_split(X, y)
    assert (len(split.X_train), len(split.X_test)) == (7000, 3000)
    both = np.concatenate([split.X_train[:, 0], split.X_test[:, 0]])
    assert np.unique(both).size == 10_000


@quick
@given(tables, seeds, percents, st.integers(0, 100), protocols)
def test_pollution(table, seed, percent, pollution, protocol):
    X, y = table
    polluted = make_split(X, y, label_ratio=percent / 100, seed=seed, protocol=protocol)
    split = make_split(
        X,
        y,
        label_ratio=percent / 100,
        seed=seed,
        pollution_ratio=pollution / 100,
        protocol=protocol,
    )
    assert split.hidden.sum() == ceil_percent(pollution, int(polluted.hidden.sum()))
    # Only hidden anomalies go; the other rows and their order stay.
    np.testing.assert_array_equal(split.X_train[~split.hidden], polluted.X_train[~polluted.hidden])
    np.testing.assert_array_equal(split.y_train[~split.hidden], polluted.y_train[~polluted.hidden])
    np.testing.assert_array_equal(split.X_test, polluted.X_test)


@quick
@given(tables, seeds, protocols)
def test_same_seed_same_split(table, seed, protocol):
    X, y = table
    before = X.copy(), y.copy()
    global_state = np.random.get_state()[1].copy()
    first = make_split(X, y, label_ratio=0.05, seed=seed, protocol=protocol)
    assert_same(first, make_split(X, y, label_ratio=0.05, seed=seed, protocol=protocol))
    np.testing.assert_array_equal(X, before[0])
    np.testing.assert_array_equal(y, before[1])
    np.testing.assert_array_equal(np.random.get_state()[1], global_state)


def test_another_seed_is_another_split():
    X, y = traceable_table(2000, 100)
    assert not np.array_equal(make_split(X, y, seed=0).X_test, make_split(X, y, seed=1).X_test)


def test_columns_are_scaled_on_all_training_rows():
    X, y = traceable_table(1000, 100)
    split = make_split(X, y, label_ratio=1.0)
    np.testing.assert_allclose(split.X_train.min(axis=0), 0, atol=1e-12)
    np.testing.assert_allclose(split.X_train.max(axis=0), 1)
    # Rows that leave training later have had their part in the ranges.
    fewer = make_split(X, y, label_ratio=0.01, pollution_ratio=0.0)
    np.testing.assert_array_equal(fewer.X_test, split.X_test)


@pytest.mark.parametrize("ratio", [1e-9, 1e-12, 1e-300])
def test_a_tiny_ratio_still_labels_one_anomaly(ratio):
    X, y = traceable_table(1000, 100)
    split = make_split(X, y, label_ratio=ratio, pollution_ratio=ratio)
    assert split.y_train.sum() == split.hidden.sum() == 1


def test_shares_do_not_suffer_from_float_error():
    # 0.55 * 100 is 55.00000000000001 and 0.01 / 0.1 is 0.09999999999999999.
    X, y = traceable_table(2000, 143)
    everything = make_split(X, y, label_ratio=1.0)
    assert everything.y_train.sum() == 100
    assert make_split(X, y, label_ratio=0.55).y_train.sum() == 55
    assert make_split(X, y, label_ratio=0.01).y_train.sum() == 1
    # np.linspace(0, 1, 6)[3] is 0.6000000000000001, and 90 anomalies are hidden.
    sixty_percent = np.linspace(0, 1, 6)[3]
    assert make_split(X, y, pollution_ratio=sixty_percent).hidden.sum() == 54


# ---- Kinds of input ----------------------------------------------------------------------------


def test_float32_stays_float32_and_all_else_becomes_float64():
    X, y = traceable_table(1000, 100)
    assert make_split(X.astype(np.float32), y).X_train.dtype == np.float32
    for dtype in (np.float64, np.float16, np.int16, np.uint8, bool):
        assert make_split((X > 0).astype(dtype), y).X_train.dtype == np.float64


def test_lists_frames_and_bools_are_taken():
    X, y = traceable_table(60, 40)
    expected = make_split(X, y, seed=5)
    frame = pd.DataFrame(X, columns=["row", "label", "wave"])
    mixed = frame.astype({"row": "int64", "label": bool})  # arrives as objects
    assert_same(make_split(X.tolist(), y.tolist(), seed=5), expected)
    assert_same(make_split(frame, pd.Series(y), seed=5), expected)
    assert_same(make_split(mixed, y == 1, seed=np.int64(5)), expected)
    assert_same(make_split(X, y.astype(float), seed=5), expected)
    assert_same(make_split(X, (y == 1).astype(object), seed=5), expected)


# ---- Errors ------------------------------------------------------------------------------------

X_GOOD, Y_GOOD = traceable_table(30, 10)


def with_value(value, dtype=float):
    X = X_GOOD.astype(dtype)
    X[3, 1] = value
    return X


@pytest.mark.parametrize(
    ("X", "message"),
    [
        (X_GOOD[:, 0], r"X must be a 2-D table.* 1 dimension"),
        (X_GOOD[None], r"X must be a 2-D table.* 3 dimension"),
        (X_GOOD[:0], r"X must have at least one row and one column.*\(0, 3\)"),
        (X_GOOD[:, :0], r"X must have at least one row and one column.*\(40, 0\)"),
        (with_value(np.nan), r"X must hold finite numbers.*1 of its values.*row 3, column 1"),
        (with_value(-np.inf), r"X must hold finite numbers.*1 of its values.*row 3, column 1"),
        (with_value("red", object), r"X must hold numbers only.*\(3, 1\).*'red'"),
        (with_value("1.5", object), r"X must hold numbers only.*\(3, 1\).*'1.5'"),
        (with_value(None, object), r"X must hold numbers only.*\(3, 1\).*None"),
        (with_value(pd.NA, object), r"X must hold numbers only.*\(3, 1\).*<NA>"),
        (X_GOOD.astype(str), r"X must hold numbers only.*dtype is <U"),
        (X_GOOD.astype(complex), r"X must hold numbers only.*dtype is complex"),
        (X_GOOD.astype("datetime64[s]"), r"X must hold numbers only.*dtype is datetime"),
        ([[1.0, 2.0], [3.0]], r"X must be an array.*differ in length"),
    ],
)
def test_bad_table(X, message):
    with pytest.raises(ValueError, match=message):
        make_split(X, Y_GOOD)


def test_sparse_table():
    with pytest.raises(ValueError, match=r"X must be dense.*X\.toarray\(\)"):
        make_split(csr_array(X_GOOD), Y_GOOD)


@pytest.mark.parametrize(
    ("y", "message"),
    [
        (Y_GOOD[:-1], r"y must hold one label for each of the 40 rows.*\(39,\)"),
        (Y_GOOD[:, None], r"y must hold one label for each of the 40 rows.*\(40, 1\)"),
        (1 - 2 * Y_GOOD, r"y must hold 0 \(normal\) and 1 \(anomaly\) only.*also holds -1\."),
        (np.arange(40), r"y must hold 0 .* also holds 2, 3, 4, 5, 6, \.\.\."),
        (np.where(Y_GOOD == 1, np.nan, 0), r"y must hold 0 .* also holds nan"),
        (Y_GOOD * 0.5, r"y must hold 0 .* also holds 0\.5"),
        (np.where(Y_GOOD == 1, "yes", "no"), r"y must hold numbers only.*dtype is <U"),
        (pd.Series(["1", *Y_GOOD[1:]], dtype=object), r"y must hold numbers only.*position"),
        (np.zeros(40), r"y must hold at least 2 anomalies.*holds 0 and 40\."),
        (np.ones(40), r"y must hold at least 2 anomalies.*holds 40 and 0\."),
        (np.arange(40) == 7, r"y must hold at least 2 anomalies.*holds 1 and 39\."),
        (np.arange(40) != 7, r"y must hold at least 2 anomalies.*holds 39 and 1\."),
    ],
)
def test_bad_labels(y, message):
    with pytest.raises(ValueError, match=message):
        make_split(X_GOOD, y)


@pytest.mark.parametrize(
    ("parameter", "values"),
    [
        ("label_ratio", [0, -0.1, 1.01, np.nan, np.inf, "0.1", None, True]),
        ("pollution_ratio", [-0.01, 1.01, np.nan, "1", None, False]),
        ("seed", [-1, 2**32, 1.0, "0", None, True, np.random.RandomState(0)]),
        ("protocol", ["ADBench", "", None, ["adbench"]]),
    ],
)
def test_bad_setting(parameter, values):
    for value in values:
        with pytest.raises(ValueError, match=rf"^{parameter} must be .*, not "):
            make_split(X_GOOD, Y_GOOD, **{parameter: value})


@pytest.mark.parametrize(("n_rows", "n_drawn"), [(900, 1000), (20_000, 10_000)])
def test_a_draw_that_loses_the_anomalies_is_an_error(n_rows, n_drawn):
    X, y = traceable_table(n_rows - 2, 2)
    replace = n_rows < n_drawn
    unlucky = next(
        seed
        for seed in range(100)
        if y[np.random.RandomState(seed).choice(n_rows, n_drawn, replace=replace)].sum() < 2
    )
    with pytest.raises(ValueError, match=rf"among the {n_drawn} rows drawn with seed={unlucky};"):
        make_split(X, y, seed=unlucky)
    if replace:
        make_split(X, y, seed=unlucky, protocol="leak-free")


def test_split_is_frozen():
    split = make_split(X_GOOD, Y_GOOD)
    with pytest.raises(AttributeError):
        split.hidden = None
