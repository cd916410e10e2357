import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from nngmix.detectors import MLP
from nngmix.experiments.compare import compare

Run = Callable[..., Any]
QUICK = ("--samplers", "none,Duplicate", "--detectors", "mlp", "--repeats", "1", "--folds", "2")


def listing(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


@pytest.fixture
def run(nngmix: Run, folder: Path) -> Run:
    def run(*more: object, data: str = "in.csv") -> Any:
        return nngmix("compare", folder / data, "--label", "fraud", *QUICK, "--n-jobs", "1", *more)

    return run


def rows(out: str) -> list[list[str]]:
    lines = [line for line in out.splitlines() if line.startswith("│")]
    return [[cell.strip() for cell in line.strip("│").split("│")] for line in lines]


class TestOutput:
    def test_is_what_python_says(self, run: Run, folder: Path, frame: pd.DataFrame) -> None:
        result = run("--csv", folder / "scores.csv", "--multiplier", "3", "--random-state", "5")
        assert (result.code, result.err) == (0, "")
        found = compare(
            frame.drop(columns="fraud"), frame["fraud"], samplers=["none", "Duplicate"],
            detectors=["MLP"], multiplier=3, n_repeats=1, n_folds=2, random_state=5, n_jobs=1,
        )  # fmt: skip
        assert found.conclusion in result.out
        assert "in.csv: 5 labelled anomalies, 55 unlabelled rows; 1 x 2 folds" in result.out
        assert "Unlabelled rows count as negatives here" in result.out
        first, second = rows(result.out)
        best, other = found.standings
        assert first[:2] == [best.detector, best.sampler]
        assert first[2:6] == [
            f"{best.average_precision:.3f}", f"{best.low:.2f} to {best.high:.2f}", "", "",
        ]  # fmt: skip
        (d,) = found.differences
        assert second[2:7] == [
            f"{other.average_precision:.3f}",
            f"{other.low:.2f} to {other.high:.2f}",
            f"{d.mean:.3f}",
            f"{d.low:.2f} to {d.high:.2f}",
            f"{other.aucroc:.3f}",
        ]
        names = ["repeat", "fold", "sampler", "detector", "average_precision", "aucroc"]
        written = pd.read_csv(folder / "scores.csv")
        assert [*names, "seconds"] == list(written.columns)
        expected = found.scores.to_pandas()[names].assign(sampler=written["sampler"])
        pd.testing.assert_frame_equal(written[names], expected, check_dtype=False)
        assert list(written["sampler"]) == ["none", "Duplicate"] * 2

    def test_picture(self, run: Run, folder: Path) -> None:
        result = run("--plot", folder / "p.png", "--csv", folder / "s.parquet", data="in.parquet")
        assert (result.code, result.err) == (0, "")
        assert (folder / "p.png").read_bytes().startswith(b"\x89PNG")
        assert len(pd.read_parquet(folder / "s.parquet")) == 4
        assert result.out.splitlines()[-2:] == [
            f"picture   {folder / 'p.png'}",
            f"scores    {folder / 's.parquet'}",
        ]

    def test_chains_categories_and_excluded_columns(
        self, run: Run, folder: Path, frame: pd.DataFrame
    ) -> None:
        frame.assign(kind=["a", "b", ""] * 20, note="x").to_csv(folder / "in.csv", index=False)
        result = run(
            "--samplers", "cutout+gaussiannoise, nng-mix", "--categorical", "kind",
            "--exclude", "note",
        )  # fmt: skip
        assert (result.code, result.err) == (0, "")
        assert {row[1] for row in rows(result.out)} == {"Cutout+GaussianNoise", "NNGMix"}

    def test_notes(self, run: Run) -> None:
        result = run("--max-unlabelled", "20", "--folds", "9")
        assert "Note: 20 of 55 unlabelled rows were drawn" in result.out
        assert "Note: 5 folds instead of 9" in result.out

    def test_default_candidates(
        self, nngmix: Run, folder: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setitem(sys.modules, "catboost", None)
        args = ("--label", "fraud", "--repeats", "1", "--folds", "2", "--n-jobs", "1")
        result = nngmix("compare", folder / "in.csv", *args)
        assert result.code == 0
        assert {row[1] for row in rows(result.out)} == {
            *("none", "Duplicate", "NNGMix", "Mixup"),
        }
        assert {row[0] for row in rows(result.out)} == {"AutoDetector", "MLP"}
        assert "Note: CatBoost is left out" in result.out


class TestBadInput:
    @pytest.mark.parametrize(
        ("more", "told"),
        [
            (["--label", "frau"], "Did you mean 'fraud'?"),
            (["--samplers", "SMOTE"], "--samplers: there is no 'SMOTE'"),
            (["--samplers", "none,,NNGMix"], "--samplers takes names joined by commas"),
            (["--detectors", "SVM"], "--detectors: there is no 'SVM'"),
            (["--folds", "1"], "--folds"),
            (["--repeats", "0"], "--repeats"),
            (["--multiplier", "0"], "--multiplier"),
            (["--n-jobs", "0"], "--n-jobs must be a number of processes"),
            (["--categorical", "nowhere"], "no column 'nowhere'"),
            (["--exclude", "fraud"], "'fraud' is the label column"),
            (["--delimiter", "ab"], "--delimiter"),
            (["--plot", "p.txt"], "--plot 'p.txt' has the ending '.txt'"),
            (["--csv", "p.txt"], "--csv 'p.txt' has the ending '.txt'"),
        ],
    )
    def test_options(self, run: Run, folder: Path, more: list[str], told: str) -> None:
        before = listing(folder)
        result = run(*more)
        assert (result.code, result.out) == (2, "")
        assert told in result.err
        assert listing(folder) == before

    @pytest.mark.parametrize(
        ("change", "told"),
        [
            ({"fraud": [1, *[0] * 59]}, "label column 'fraud' holds a single labelled anomaly"),
            ({"fraud": 0}, "holds no labelled anomaly"),
            ({"weight": "heavy"}, "not numeric: 'weight'"),
            ({"weight": np.inf}, "column 'weight' holds infinite values"),
        ],
    )
    def test_table(
        self, run: Run, folder: Path, frame: pd.DataFrame, change: dict[str, Any], told: str
    ) -> None:
        frame.assign(**change).to_csv(folder / "in.csv", index=False)
        before = listing(folder)
        result = run("--plot", folder / "p.png", "--csv", folder / "s.csv")
        assert (result.code, result.out) == (2, "")
        assert told in result.err
        assert str(folder / "in.csv") in result.err
        assert result.err.count("\n") == 1
        assert listing(folder) == before

    def test_existing_files(self, run: Run, folder: Path) -> None:
        (folder / "s.csv").write_text("old")
        assert "--csv" in run("--csv", folder / "s.csv").err
        assert (folder / "s.csv").read_text() == "old"
        assert run("--csv", folder / "s.csv", "--force").code == 0
        assert (folder / "s.csv").read_text() != "old"

    def test_no_detector(self, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setitem(sys.modules, "catboost", None)
        result = run("--detectors", "catboost")
        assert (result.code, result.out) == (1, "")
        assert "pip install 'nngmix[boost]'" in result.err

    def test_no_matplotlib(self, run: Run, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setitem(sys.modules, "matplotlib", None)
        result = run("--plot", folder / "p.png")
        assert result.code == 1
        assert "--plot needs matplotlib: pip install 'nngmix[plot]'" in result.err

    def test_interrupted(self, run: Run, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        def interrupted(*args: object) -> None:
            raise KeyboardInterrupt

        monkeypatch.setattr(MLP, "_fit", interrupted)
        before = listing(folder)
        result = run("--plot", folder / "p.png")
        assert (result.code, result.out) == (130, "")
        assert listing(folder) == before


def test_real_command_in_two_processes(folder: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", "from nngmix.cli import main; main()",
         "compare", "in.csv", "--label", "fraud", *QUICK, "--n-jobs", "2"],
        cwd=folder,
        capture_output=True,
        text=True,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")
    assert "comes out first" in done.stdout or "does best" in done.stdout


@pytest.mark.parametrize("option", ["--csv", "--plot"])
def test_no_output_takes_the_place_of_the_input(nngmix: Run, folder: Path, option: str) -> None:
    path = (folder / "in.csv").rename(folder / ("in.csv" if option == "--csv" else "in.png"))
    before = path.read_bytes()
    result = nngmix("compare", folder / "*.csv" if option == "--csv" else path, "--label", "fraud",
                    option, path, "--force")  # fmt: skip
    assert result.code == 2
    assert path.read_bytes() == before
