import warnings
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from sklearn.base import clone
from sklearn.utils.estimator_checks import parametrize_with_checks

from nngmix import NNGMix, TableEncoder
from nngmix.detectors import MLP
from nngmix.encoding import table_pipeline

FRAME = pd.DataFrame(
    {
        "amount": [5.0, np.nan, 15.0, 10.0],
        "visits": [1, 2, 3, 5],
        "new": [True, False, False, True],
        "country": ["CH", "FR", None, "CH"],
    }
)
KINDS = {
    "pandas": lambda frame: frame,
    "polars": pl.from_pandas,
    "pyarrow": pa.Table.from_pandas,
}
NAMES = ["amount", "visits", "new", "amount missing", "country=CH", "country=FR", "country missing"]


def by_name(encoder: TableEncoder, X: Any) -> pd.DataFrame:
    return pd.DataFrame(encoder.transform(X), columns=encoder.get_feature_names_out())


@pytest.mark.parametrize("kind", KINDS)
class TestFrames:
    def test_known_answer(self, kind: str) -> None:
        X = KINDS[kind](FRAME)
        encoder = TableEncoder(categorical_features="infer").fit(X)
        found = by_name(encoder, X)
        assert sorted(found.columns) == sorted(NAMES)
        expected = pd.DataFrame(
            [
                [0, 0, 1, 0, 1, 0, 0],
                [0.5, 0.25, 0, 1, 0, 1, 0],
                [1, 0.5, 0, 0, 0, 0, 1],
                [0.5, 1, 1, 0, 1, 0, 0],
            ],
            columns=NAMES,
            dtype=float,
        )
        pd.testing.assert_frame_equal(found[NAMES], expected)

    def test_other_rows(self, kind: str) -> None:
        encoder = TableEncoder(categorical_features=["country"]).fit(KINDS[kind](FRAME))
        other = pd.DataFrame(
            {
                "amount": [25.0, 0.0],
                "visits": [np.nan, -3],
                "new": [True, None],
                "country": ["IT", "FR"],
            }
        )
        found = by_name(encoder, KINDS[kind](other))
        assert found["amount"].tolist() == [2.0, -0.5]
        # The median of 1, 2, 3, 5; a gap where there was none in fitting has no column.
        assert found["visits"].tolist() == [0.375, -1.0]
        assert found["new"].tolist() == [1.0, 0.5]
        # A country that was never seen is none of those that were.
        assert found.filter(like="country").sum(axis=1).tolist() == [0.0, 1.0]

    def test_keep_missing(self, kind: str) -> None:
        encoder = TableEncoder(categorical_features=["country"], keep_missing=True)
        found = by_name(encoder.fit(KINDS[kind](FRAME)), KINDS[kind](FRAME))
        assert np.isnan(found["amount"]).tolist() == [False, True, False, False]
        assert "amount missing" not in found
        assert found["country missing"].tolist() == [0, 0, 1, 0]
        assert found.drop(columns="amount").notna().all(axis=None)

    def test_names_are_checked(self, kind: str) -> None:
        encoder = TableEncoder(categorical_features=["country"]).fit(KINDS[kind](FRAME))
        for changed, told in (
            (FRAME.drop(columns="visits"), "missing:\n- visits"),
            (FRAME.assign(more=1), "unseen at fit time:\n- more"),
            (FRAME[["visits", "amount", "new", "country"]], "same order"),
        ):
            with pytest.raises(ValueError, match=told):
                encoder.transform(KINDS[kind](changed))

    def test_errors_name_the_column(self, kind: str) -> None:
        with pytest.raises(ValueError, match=r"'country' is not numeric"):
            TableEncoder().fit(KINDS[kind](FRAME))
        infinite = FRAME.assign(amount=[1, 2, np.inf, 3])
        with pytest.raises(ValueError, match=r"'amount' of X holds infinite .* row 2"):
            TableEncoder(categorical_features=["country"]).fit(KINDS[kind](infinite))
        encoder = TableEncoder(categorical_features=["country"]).fit(KINDS[kind](FRAME))
        with pytest.raises(ValueError, match=r"'visits' is not numeric"):
            encoder.transform(KINDS[kind](FRAME.assign(visits=["a", "b", "c", "d"])))

    def test_what_a_sampler_makes_of_the_table(self, kind: str) -> None:
        frame = pd.concat([FRAME] * 5, ignore_index=True)
        X = KINDS[kind](frame)
        y = np.arange(20) % 7 == 3
        more, _ = NNGMix(categorical_features=["country"], random_state=0).fit_resample(X, y)
        encoder = TableEncoder(categorical_features=["country"]).fit(more)
        found = encoder.transform(more)
        assert len(found) == 20 + 10 * 3
        assert np.isfinite(found).all()
        assert found.min() == 0
        assert found.max() == 1


def test_all_kinds_of_table_agree() -> None:
    found = [
        TableEncoder(categorical_features=["country"]).fit_transform(make(FRAME))
        for make in KINDS.values()
    ]
    found.append(TableEncoder(categorical_features=[3]).fit_transform(FRAME.to_numpy(object)))
    for other in found[1:]:
        assert np.array_equal(found[0], other)


def test_types_that_say_category() -> None:
    typed = FRAME.assign(country=FRAME["country"].astype("category"))
    encoder = TableEncoder().fit(typed)
    assert encoder.categorical_.tolist() == [False, False, False, True]
    # What is a category is settled in fitting, whatever the type of later tables.
    assert np.array_equal(encoder.transform(typed), encoder.transform(FRAME))


def test_columns_named_by_numbers() -> None:
    frame = FRAME.set_axis([3, 2, 1, 0], axis=1)
    encoder = TableEncoder(categorical_features=[0]).fit(frame)
    assert encoder.categorical_.tolist() == [False, False, False, True]
    expected = TableEncoder(categorical_features=["country"]).fit_transform(FRAME)
    assert np.array_equal(encoder.transform(frame), expected)


def test_rare_levels_share_a_column() -> None:
    levels = ["a"] * 6 + ["b"] * 4 + ["c", "d", "e"]
    X = pd.DataFrame({"kind": levels})
    encoder = TableEncoder(categorical_features="infer", max_categories=3).fit(X)
    found = by_name(encoder, pd.DataFrame({"kind": ["a", "b", "d", "never"]}))
    assert sorted(found.columns) == ["kind rare", "kind=a", "kind=b"]
    assert found["kind=a"].tolist() == [1, 0, 0, 0]
    assert found["kind rare"].tolist() == [0, 0, 1, 0]
    free = TableEncoder(categorical_features="infer", max_categories=None).fit(X)
    assert len(free.get_feature_names_out()) == 5


def test_far_away_stays_finite() -> None:
    encoder = TableEncoder().fit([[0.0, 1.0], [1e-300, 1.0]])
    found = encoder.transform([[1e300, 1e300], [-1e300, 2.0]])
    assert np.isfinite(np.float32(found)).all()
    assert found.tolist() == [[1e6, 1e6], [-1e6, 1.0]]


@pytest.mark.parametrize("keep_missing", [False, True])
def test_columns_without_any_value(keep_missing: bool) -> None:
    X = np.array([[np.nan, 1.0], [np.nan, 3.0]])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        encoder = TableEncoder(keep_missing=keep_missing).fit(X)
        found = encoder.transform(X)
    assert found[:, 1].tolist() == [0.0, 1.0]
    assert np.isnan(found[:, 0]).all() == keep_missing
    assert np.isfinite(found[:, 1:]).all()


@given(
    arrays(np.float64, (7, 3), elements=st.floats(allow_infinity=False, width=64)),
    arrays(np.float64, (4, 3), elements=st.floats(allow_infinity=False, width=64)),
)
@settings(max_examples=60, deadline=None)
def test_always_finite_and_in_range_where_fitted(
    X: np.ndarray[Any, Any], other: np.ndarray[Any, Any]
) -> None:
    encoder = TableEncoder().fit(X)
    fitted = encoder.transform(X)
    assert np.isfinite(fitted).all()
    assert fitted.min() >= -1e-9
    assert fitted.max() <= 1 + 1e-9
    assert np.isfinite(encoder.transform(other)).all()
    assert fitted.shape[1] == len(encoder.get_feature_names_out())
    # What is scored with a row doesn't change it.
    rows = [encoder.transform(row[None])[0] for row in other]
    assert np.array_equal(rows, encoder.transform(other))


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"max_categories": 1}, "max_categories"),
        ({"keep_missing": "yes"}, "keep_missing"),
        ({"categorical_features": "text"}, "categorical_features"),
        ({"categorical_features": ["nowhere"]}, "no column 'nowhere'"),
    ],
)
def test_bad_parameters(change: dict[str, Any], told: str) -> None:
    with pytest.raises(ValueError, match=told):
        clone(TableEncoder(categorical_features=["country"])).set_params(**change).fit(FRAME)


NOT_OURS = {
    "check_complex_data": "refused, in other words than those looked for",
    "check_dtype_object": "objects of mixed types are refused as such, not by their first cell",
}


@parametrize_with_checks([TableEncoder()], expected_failed_checks=lambda _: NOT_OURS)
def test_as_a_transformer(estimator: TableEncoder, check: Any) -> None:
    check(estimator)


def test_a_range_beyond_floats_becomes_no_range() -> None:
    X = np.array([[1.7e308, 1.0], [-1.7e308, 2.0]])
    found = TableEncoder().fit(X).transform(X)
    assert np.isfinite(found).all()
    assert found[:, 1].tolist() == [0.0, 1.0]


def test_gaps_take_the_median_of_unlabelled_rows() -> None:
    X = np.array([[0.0], [1.0], [2.0], [np.nan], [9.0], [10.0], [10.0], [10.0]])
    y = [0, 0, 0, 0, 1, 1, 1, 1]
    plain = TableEncoder().fit(X).transform(X)[3]
    with_labels = TableEncoder().fit(X, y).transform(X)[3]
    assert plain.tolist() == [0.9, 1.0]
    assert with_labels.tolist() == [0.1, 1.0]
    # No unlabelled row: all rows.
    assert TableEncoder().fit(X, np.ones(8)).transform(X)[3].tolist() == [0.9, 1.0]


def test_pseudo_anomalies_do_not_move_the_median() -> None:
    rng = np.random.default_rng(0)
    X = np.vstack([rng.normal(0, 1, (200, 2)), rng.normal(10, 1, (20, 2))])
    X[:30, 0] = np.nan
    y = np.repeat([0, 1], [200, 20])
    fills = []
    for sampler in (None, NNGMix(random_state=0)):
        model = table_pipeline(sampler, MLP(max_iter=5, random_state=0)).fit(X, y)
        encoder = model["encoder"]
        scale, least = encoder.scaler_.scale_[0], encoder.scaler_.min_[0]
        fills.append((encoder.imputer_.statistics_[0] - least) / scale)
    assert fills[1] == pytest.approx(fills[0])


def test_unseen_levels() -> None:
    import pyarrow as pa

    table = pa.table({"n": [1.0, 2.0, 3.0], "c": ["a", "b", None]})
    encoder = TableEncoder(categorical_features=["c"], max_categories=2).fit(table)
    other = pa.table({"n": [1.0, None, 1.0, 1.0], "c": ["b", "x", None, "a"]})
    assert {k: v.tolist() for k, v in encoder.unseen(other).items()} == {
        "c": [False, True, False, False]
    }
    assert TableEncoder().fit(table.select(["n"])).unseen(table.select(["n"])) == {}
