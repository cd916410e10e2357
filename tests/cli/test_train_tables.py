"""``nngmix train`` on a table in several files, and on more rows than it keeps."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from nngmix.detectors import AutoDetector
from nngmix.persistence import load, read_header
from nngmix.sampling import files as table_files

Run = Callable[..., Any]


@pytest.fixture
def train(nngmix: Run, tmp_path: Path) -> Run:
    def run(*more: object, output: str = "model") -> Any:
        few = ("--detector", "BaggedTrees", "--set", "n_estimators=20", "--force")
        return nngmix("train", *more, "--label", "fraud", *few, "--output", tmp_path / output)

    return run


def cut(frame: pd.DataFrame, folder: Path, kind: str) -> list[Path]:
    """Write a table as three files."""
    folder.mkdir()
    paths = [folder / f"{name}.{kind}" for name in "abc"]
    for path, rows in zip(paths, (slice(0, 7), slice(7, 40), slice(40, 60)), strict=True):
        if kind == "csv":
            frame[rows].to_csv(path, index=False)
        else:
            frame[rows].reset_index(drop=True).to_parquet(path)
    return paths


@pytest.mark.parametrize("kind", ["csv", "parquet"])
@pytest.mark.parametrize("more", [(), ("--max-unlabelled", "20")])
def test_several_files_are_one_table(
    train: Run, folder: Path, frame: pd.DataFrame, kind: str, more: tuple[str, ...]
) -> None:
    paths = cut(frame, folder / "rows", kind)
    ways: list[list[object]] = [
        [folder / f"in.{kind}"],
        [folder / "rows"],
        [folder / "rows" / f"*.{kind}"],
        list(paths),
    ]
    scores = []
    for way in ways:
        result = train(*way, *more)
        assert (result.code, result.err) == (0, "")
        first = result.out.splitlines()[0]
        named = ", ".join(map(str, way)) + ("" if way is ways[0] else " (3 files)")
        assert first == f"in        {named}: 60 rows, 5 of them labelled anomalies"
        scores.append(load(folder / "model")[-1].decision_scores_)
    for other in scores[1:]:
        assert np.array_equal(scores[0], other)
    assert len(scores[0]) == (25 if more else 60)


def test_of_many_rows_some_are_drawn(train: Run, folder: Path) -> None:
    result = train(folder / "in.csv", "--max-unlabelled", "20")
    lines = result.out.splitlines()
    assert lines[0].endswith(": 60 rows, 5 of them labelled anomalies")
    assert "kept      20 of 55 unlabelled rows, drawn by chance, and all labelled anomalies" in (
        result.out
    )
    assert "of 20 unlabelled rows and" in next(line for line in lines if "threshold" in line)
    told = read_header(folder / "model")["metadata"]
    assert (told["n_rows"], told["n_anomalies"]) == (25, 5)
    before = load(folder / "model")[-1].decision_scores_
    train(folder / "in.csv", "--max-unlabelled", "20", "--random-state", "1")
    assert not np.array_equal(before, load(folder / "model")[-1].decision_scores_)
    assert "\nkept " not in train(folder / "in.csv", "--max-unlabelled", "55").out


def test_auto_detector_is_given_as_many_as_it_learns_from(
    nngmix: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, folder: Path
) -> None:
    monkeypatch.setattr(AutoDetector, "most_unlabelled", 30)
    args = ("--label", "fraud", "--output", tmp_path / "model", "--set", "n_estimators=10")
    result = nngmix("train", folder / "in.csv", *args)
    assert "kept      30 of 55 unlabelled rows" in result.out
    assert "Learned from 30 unlabelled rows and 5 labelled anomalies" in result.out


class TestCsvTypes:
    """Where a cell changes what a column of a CSV file is, later than was looked."""

    @pytest.fixture(autouse=True)
    def little_blocks(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(table_files, "_BLOCK_BYTES", 1 << 9)

    def test_wider(self, train: Run, folder: Path, frame: pd.DataFrame) -> None:
        rows = pd.concat([frame] * 20, ignore_index=True)
        rows["visits"] = [str(v) for v in rows["visits"]]
        rows.loc[1100, "visits"] = "2.5"
        rows["zip"] = ["0" + str(i % 7) for i in range(len(rows))]
        rows.loc[1150, "zip"] = "none given"
        rows.to_csv(folder / "in.csv", index=False)
        rows["visits"] = rows["visits"].astype(float)
        rows.to_parquet(folder / "in.parquet")
        scores = []
        for kind in ("csv", "parquet"):
            result = train(folder / f"in.{kind}", "--categorical", "infer")
            assert (result.code, result.err) == (0, "")
            scores.append(load(folder / "model")[-1].decision_scores_)
        assert np.array_equal(*scores)

    def test_text_among_numbers(self, train: Run, folder: Path, frame: pd.DataFrame) -> None:
        rows = pd.concat([frame] * 20, ignore_index=True)
        rows["visits"] = [str(v) for v in rows["visits"]]
        rows.loc[1100, "visits"] = "many"
        rows.to_csv(folder / "in.csv", index=False)
        result = train(folder / "in.csv")
        assert (result.code, result.out) == (2, "")
        assert "'visits' (text, such as 'many')" in result.err
        assert result.err.count("\n") == 1


@pytest.mark.parametrize(
    ("label", "told"),
    [
        ("", "label column 'fraud' of '{path}' is empty in row 2 (counted from 0)"),
        ("2", "label column 'fraud' of '{path}' holds 2 in row 2 (counted from 0); each must be"),
        ("x", "label column 'fraud' of '{path}' holds 'x' in row 2 (counted from 0); each must"),
    ],
)
def test_labels_that_are_none(
    train: Run, folder: Path, frame: pd.DataFrame, label: str, told: str
) -> None:
    paths = cut(frame, folder / "rows", "csv")
    lines = paths[1].read_text().splitlines()
    lines[3] = lines[3].rpartition(",")[0] + "," + label
    paths[1].write_text("\n".join(lines) + "\n")
    result = train(folder / "rows")
    assert (result.code, result.out) == (2, "")
    assert told.format(path=paths[1]) in result.err
    assert not (folder / "model").exists()


@pytest.mark.parametrize(("value", "told"), [(0, "labelled anomaly"), (1, "unlabelled row")])
def test_labels_of_one_kind(
    train: Run, folder: Path, frame: pd.DataFrame, value: int, told: str
) -> None:
    cut(frame.assign(fraud=value), folder / "rows", "parquet")
    result = train(folder / "rows")
    assert (result.code, result.out) == (2, "")
    assert f"holds no {told} (no {1 - value})" in result.err


def test_files_that_do_not_go_together(train: Run, folder: Path, frame: pd.DataFrame) -> None:
    paths = cut(frame, folder / "rows", "csv")
    frame.drop(columns="visits").to_csv(paths[1], index=False)
    result = train(folder / "rows")
    assert result.code == 2
    assert "has no column 'visits', which" in result.err
    result = train(folder / "rows" / "*.txt")
    assert result.code == 2
    assert "no files .csv, .parquet, .pq match" in result.err


def test_the_model_takes_the_place_of_no_file(
    train: Run, folder: Path, frame: pd.DataFrame
) -> None:
    (path, *_) = cut(frame, folder / "rows", "csv")
    before = path.read_bytes()
    result = train(folder / "rows", output="rows/a.csv")
    assert result.code == 2
    assert "is the input; give another name" in result.err
    assert path.read_bytes() == before


def test_columns_in_another_order(train: Run, folder: Path, frame: pd.DataFrame) -> None:
    paths = cut(frame, folder / "rows", "csv")
    assert train(folder / "rows").code == 0
    before = load(folder / "model")[-1].decision_scores_
    turned = pd.read_csv(paths[1])[["visits", "fraud", "smoker", "weight"]]
    turned.to_csv(paths[1], index=False)
    assert train(folder / "rows").code == 0
    assert np.array_equal(before, load(folder / "model")[-1].decision_scores_)
    # Where a cell there changes a column's type, it is that column's.
    turned["visits"] += 0.5
    turned.to_csv(paths[1], index=False)
    result = train(folder / "rows")
    assert (result.code, result.err) == (0, "")


def test_a_file_of_column_names_alone(train: Run, folder: Path, frame: pd.DataFrame) -> None:
    cut(frame, folder / "rows", "csv")
    assert train(folder / "rows").code == 0
    before = load(folder / "model")[-1].decision_scores_
    (folder / "rows" / "d.csv").write_text(",".join(frame.columns))
    result = train(folder / "rows")
    assert (result.code, result.err) == (0, "")
    assert "(4 files): 60 rows" in result.out
    assert np.array_equal(before, load(folder / "model")[-1].decision_scores_)
