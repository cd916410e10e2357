"""``draw_rows``: all labelled anomalies of files, and an even draw of the rest."""

from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nngmix.sampling import TableFiles, draw_rows


@settings(deadline=None, max_examples=30)
@given(
    n=st.integers(2, 60),
    most=st.one_of(st.none(), st.integers(1, 40)),
    part=st.integers(1, 30),
    seed=st.integers(0, 5),
)
def test_the_draw_keeps_all_anomalies_in_order(
    tmp_path_factory: pytest.TempPathFactory, n: int, most: int | None, part: int, seed: int
) -> None:
    path = tmp_path_factory.mktemp("rows") / "in.parquet"
    rng = np.random.default_rng(seed)
    y = rng.random(n) < 0.3
    y[0], y[-1] = True, False
    names = pa.array([f"k{i % 3}" for i in range(n)]).dictionary_encode()
    pq.write_table(pa.table({"a": np.arange(n), "b": names, "y": y}), path)
    found = []
    with pytest.MonkeyPatch.context() as patch:
        for rows in (part, 60):
            patch.setattr(TableFiles, "_part_rows", lambda self, columns, rows=rows: rows)
            found.append(draw_rows(path, "y", max_unlabelled=most))
    one, other = found
    assert one.X.equals(other.X)
    assert np.array_equal(one.y, other.y)
    places = one.X["a"].to_numpy()
    assert (np.diff(places) > 0).all()
    assert one.X["b"].to_pylist() == [f"k{i % 3}" for i in places]
    assert np.array_equal(one.y, y[places])
    assert one.n_rows == n
    assert one.y.sum() == y.sum()
    n_unlabelled = n - y.sum()
    assert (one.y == 0).sum() == (n_unlabelled if most is None else min(most, n_unlabelled))


def test_the_draw_is_even(tmp_path: Path) -> None:
    path = tmp_path / "in.parquet"
    pq.write_table(pa.table({"a": np.arange(51), "y": np.arange(51) == 50}), path)
    times = np.zeros(51)
    for seed in range(400):
        drawn = draw_rows(path, "y", max_unlabelled=10, random_state=seed)
        times[drawn.X["a"].to_numpy()] += 1
    assert times[50] == 400
    # 80 times each on the mean, with a standard deviation of 8.
    assert (abs(times[:50] - 80) < 5 * 8).all()
    assert 5 < times[:50].std() < 12


def test_more_rows_than_a_part(tmp_path: Path) -> None:
    n = 1_300_000
    whole = pa.table({"a": np.arange(n), "y": np.arange(n) % 100_000 == 7})
    pq.write_table(whole, tmp_path / "whole.parquet")
    (tmp_path / "rows").mkdir()
    for i in range(4):
        some = whole.slice(i * n // 4, n // 4)
        pq.write_table(some, tmp_path / "rows" / f"{i}.parquet")
    told: list[tuple[int, int]] = []
    one = draw_rows(
        tmp_path / "whole.parquet",
        "y",
        max_unlabelled=1000,
        done=lambda rows, size: told.append((rows, size)),
    )
    assert len(told) > 1
    assert told[-1] == (n, (tmp_path / "whole.parquet").stat().st_size)
    other = draw_rows(tmp_path / "rows", "y", max_unlabelled=1000)
    assert one.X.equals(other.X)
    assert (one.n_rows, len(one.y), int(one.y.sum())) == (n, 1013, 13)
    places = one.X["a"].to_numpy()[one.y == 0]
    # Even over the whole, not the first that came.
    assert np.histogram(places, 4, (0, n))[0].min() > 200


def test_columns_are_those_asked_for(tmp_path: Path) -> None:
    frame = pd.DataFrame({"a": [1.0, 2, 3], "b": [4, 5, 6], "y": [True, False, False]})
    frame.index = pd.Index(["u", "v", "w"], name="id")
    frame.to_parquet(tmp_path / "in.parquet")
    frame.to_csv(tmp_path / "in.csv", index_label="")
    for path in (tmp_path / "in.parquet", tmp_path / "in.csv"):
        assert draw_rows(path, "y").X.column_names == ["a", "b"]
        assert draw_rows(path, "y", exclude=["a"]).X.column_names == ["b"]
        assert draw_rows(path, "y", columns=["b", "a"]).X.to_pydict() == {
            "b": [4, 5, 6],
            "a": [1.0, 2.0, 3.0],
        }


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({"label": "z"}, r"in\.parquet' has no column 'z'"),
        ({"exclude": ["z"]}, "has no column 'z'"),
        ({"exclude": ["a", "odd", "gap"]}, "no column is left"),
        ({"max_unlabelled": 0}, "max_unlabelled must be at least 1, or None; got 0"),
        ({"max_unlabelled": 2.5}, r"max_unlabelled must be .* got 2\.5"),
        ({"max_unlabelled": True}, "max_unlabelled must be .* got True"),
        ({"random_state": -1}, "random_state must be a whole number, not negative; got -1"),
        ({"random_state": "x"}, "random_state must be a whole number, not negative; got 'x'"),
        ({"label": "odd"}, r"label column 'odd' of .* holds 2\.0 in row 1 \(counted from 0\)"),
        ({"label": "gap"}, r"label column 'gap' of .* holds nan in row 0 \(counted from 0\)"),
    ],
)
def test_what_is_wrong_is_named(tmp_path: Path, settings: dict[str, object], told: str) -> None:
    path = tmp_path / "in.parquet"
    labels = {"y": [0, 1], "odd": [1.0, 2.0], "gap": pa.array([np.nan, 1.0])}
    pq.write_table(pa.table({"a": [1, 2], **labels}), path)
    with pytest.raises(ValueError, match=told):
        draw_rows(path, **{"label": "y", **settings})  # type: ignore[arg-type]


def test_a_table_without_rows(tmp_path: Path) -> None:
    path = tmp_path / "in.parquet"
    pq.write_table(pa.table({"a": pa.array([], pa.int64()), "y": pa.array([], pa.int64())}), path)
    with pytest.raises(ValueError, match="has no rows"):
        draw_rows(path, "y")
