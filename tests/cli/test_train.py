import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from sklearn.impute import SimpleImputer
from sklearn.preprocessing import MinMaxScaler

from nngmix import NNGMix, __version__
from nngmix.cli import options
from nngmix.detectors import DETECTORS, MLP
from nngmix.persistence import load, read_header

Run = Callable[..., Any]
# Whatever a detector calls its rounds: two will do here.
ROUNDS = ("iterations", "max_iter", "epochs", "pretrain_epochs")


def quick(name: str) -> list[str]:
    known = options.settings_of(DETECTORS[name])
    return [arg for key in ROUNDS if key in known for arg in ("--set", f"{key}=2")]


def listing(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


@pytest.fixture
def train(nngmix: Run, folder: Path) -> Run:
    def run(*more: object, data: str = "in.csv", detector: str = "MLP") -> Any:
        named = ("--label", "fraud", "--detector", detector, "--output", folder / "model")
        return nngmix("train", folder / data, *named, *quick(detector), *more)

    return run


def metadata(folder: Path) -> dict[str, Any]:
    return read_header(folder / "model")["metadata"]


class TestModel:
    @pytest.mark.parametrize("name", DETECTORS)
    def test_every_detector(self, train: Run, folder: Path, frame: pd.DataFrame, name: str) -> None:
        try:
            DETECTORS[name]()._require()
        except ImportError as error:
            pytest.skip(str(error))
        few = ("--set", "n_estimators=10") if name == "AutoDetector" else ()
        result = train(*few, detector=name)
        assert (result.code, result.err) == (0, "")
        told = metadata(folder)
        own = name in ("AutoDetector", "BaggedTrees")
        assert (told["detector"], told["sampler"]) == (name, "none" if own else "NNGMix")
        model = load(folder / "model")
        assert model[-1].verbose is False
        scores = model.decision_function(pa.Table.from_pandas(frame.drop(columns="fraud")))
        if own:  # their training scores are as if the row had not been there
            encoded = model["encoder"].transform(frame.drop(columns="fraud"))
            assert np.array_equal(scores, model[-1].decision_function(encoded))
        else:
            assert np.array_equal(scores, model[-1].decision_scores_[:60])

    def test_is_what_python_would_build(
        self, train: Run, folder: Path, frame: pd.DataFrame
    ) -> None:
        settings = ("--set", "sampler.alpha=0.5", "--set", "detector.alpha=0.01")
        assert train(*settings, "--multiplier", "3", "--random-state", "7").code == 0
        X, y = frame.drop(columns="fraud"), frame["fraud"]
        sampler = NNGMix(multiplier=3, alpha=0.5, random_state=7)
        more, labels = sampler.fit_resample(pa.Table.from_pandas(X), y)
        assert len(labels) == 60 + 3 * 5
        numbers = more.to_pandas().astype(float).to_numpy()
        scaler = MinMaxScaler().fit(numbers)
        expected = MLP(alpha=0.01, max_iter=2, random_state=7)
        expected.fit(scaler.transform(numbers), labels)
        found = load(folder / "model").decision_function(X)
        rows = scaler.transform(X.astype(float).to_numpy())
        assert np.array_equal(found, expected.decision_function(rows))

    def test_no_sampler(self, train: Run, folder: Path, frame: pd.DataFrame) -> None:
        result = train("--sampler", "none")
        assert "sampler   none" in result.out
        model = load(folder / "model")
        assert list(model.named_steps) == ["encoder", "detector"]
        assert len(model[-1].decision_scores_) == len(frame)
        assert metadata(folder)["sampler_settings"] == {}

    def test_same_seed_same_model(self, train: Run, folder: Path) -> None:
        scores = []
        for seed in (3, 3, 4):
            assert train("--random-state", seed, "--force").code == 0
            scores.append(load(folder / "model")[-1].decision_scores_)
        assert np.array_equal(scores[0], scores[1])
        assert not np.array_equal(scores[0], scores[2])

    def test_csv_and_parquet_agree(self, train: Run, folder: Path) -> None:
        scores = []
        for data in ("in.csv", "in.parquet"):
            assert train("--force", data=data).code == 0
            scores.append(load(folder / "model")[-1].decision_scores_)
        assert np.array_equal(*scores)

    @pytest.mark.parametrize("keeps", [True, False])
    def test_gaps(self, train: Run, folder: Path, frame: pd.DataFrame, keeps: bool) -> None:
        frame.loc[::4, "weight"] = np.nan
        frame.to_csv(folder / "in.csv", index=False)
        if keeps:
            pytest.importorskip("catboost")
        assert train("--sampler", "none", detector="CatBoost" if keeps else "MLP").code == 0
        encoder = load(folder / "model")["encoder"]
        assert encoder.keep_missing == keeps
        filled = encoder.transform(frame.drop(columns="fraud"))
        assert np.isnan(filled).any() == keeps
        if not keeps:
            unlabelled = frame.loc[frame["fraud"] == 0, ["weight"]]
            median = SimpleImputer(strategy="median").fit(unlabelled).transform(frame[["weight"]])
            np.testing.assert_allclose(filled[:, :1], MinMaxScaler().fit_transform(median))
            assert filled[:, 3].tolist() == frame["weight"].isna().astype(float).tolist()

    def test_categories_are_text(self, train: Run, folder: Path, frame: pd.DataFrame) -> None:
        frame["zip"] = ["007", "12", "", "8000"] * 15
        frame.to_csv(folder / "in.csv", index=False)
        result = train("--categorical", "zip")
        assert (result.code, result.err) == (0, "")
        assert "features  4 (1 of them with categories): weight, visits, smoker, zip" in result.out
        names = load(folder / "model")["encoder"].get_feature_names_out()
        assert {"zip=007", "zip=12", "zip missing"} <= set(names)
        assert metadata(folder)["columns"] == [
            ["weight", "number"],
            ["visits", "number"],
            ["smoker", "boolean"],
            ["zip", "category"],
        ]

    @pytest.mark.parametrize("how", ["infer", "dtype"])
    def test_categories_by_themselves(
        self, train: Run, folder: Path, frame: pd.DataFrame, how: str
    ) -> None:
        frame["kind"] = pd.Series(["a", "b", "c"] * 20, dtype="category" if how == "dtype" else str)
        frame.to_parquet(folder / "in.parquet")
        more = ("--categorical", "infer") if how == "infer" else ()
        assert train(*more, data="in.parquet").code == 0
        assert metadata(folder)["columns"][-1] == ["kind", "category"]


class TestSummary:
    def test_lines(self, train: Run, folder: Path) -> None:
        result = train("--exclude", "visits")
        assert (result.code, result.err) == (0, "")
        lines = result.out.splitlines()
        assert lines[:5] == [
            f"in        {folder / 'in.csv'}: 60 rows, 5 of them labelled anomalies",
            "features  2: weight, smoker",
            "left out  visits",
            "sampler   NNGMix: 50 pseudo-anomalies",
            "detector  MLP",
        ]
        assert lines[5].startswith("trained   in ")
        detector = load(folder / "model")[-1]
        above = detector.decision_scores_[:60] > detector.threshold_
        labelled = np.arange(60) % 12 == 5
        assert lines[6] == (
            f"threshold {detector.threshold_:.6g}: above it score {above[~labelled].sum()} of 55 "
            f"unlabelled rows and {above[labelled].sum()} of 5 labelled anomalies"
        )
        assert lines[7:] == [f"out       {folder / 'model'}"]

    def test_contamination_sets_the_threshold(self, train: Run) -> None:
        assert "above it score 22 of 55 unlabelled" in train("--set", "contamination=0.4").out

    def test_metadata(self, train: Run, folder: Path) -> None:
        train("--exclude", "visits", "--multiplier", "4", "--sampler", "Cutout+GaussianNoise",
              "--set", "GaussianNoise.sigma=0.2", "--set", "hidden_layer_sizes=8,4")  # fmt: skip
        told = metadata(folder)
        assert json.loads(json.dumps(told)) == told
        assert told["nngmix"] == __version__
        assert (told["label"], told["excluded"]) == ("fraud", ["visits"])
        assert (told["n_rows"], told["n_anomalies"]) == (60, 5)
        assert (told["sampler"], told["detector"]) == ("Cutout+GaussianNoise", "MLP")
        assert told["sampler_settings"]["multiplier"] == 4
        assert told["detector_settings"]["hidden_layer_sizes"] == [8, 4]
        model = load(folder / "model")
        assert [len(layer) for layer in model[-1].model_.intercepts_] == [8, 4, 1]
        assert model[0].samplers[1].sigma == 0.2


class TestSettings:
    @pytest.mark.parametrize(
        ("settings", "sampler_has", "detector_has"),
        [
            (["sigma=0.3"], {"sigma": 0.3}, {}),
            (["early_stopping=true"], {}, {"early_stopping": True}),
            (["sampler.sigma=0.3", "mlp.alpha=1"], {"sigma": 0.3}, {"alpha": 1}),
            (["NNGMix.alpha=uniform"], {"alpha": "uniform"}, {"alpha": 1e-4}),
            (["detector.random_state=5"], {"random_state": 0}, {"random_state": 5}),
            (["n_neighbors=none"], {"n_neighbors": None}, {}),
        ],
    )
    def test_go_where_they_belong(
        self,
        train: Run,
        folder: Path,
        settings: list[str],
        sampler_has: dict[str, Any],
        detector_has: dict[str, Any],
    ) -> None:
        result = train(*(arg for text in settings for arg in ("--set", text)))
        assert (result.code, result.err) == (0, "")
        model = load(folder / "model")
        for step, has in (("sampler", sampler_has), ("detector", detector_has)):
            assert has.items() <= model[step].get_params().items()

    @pytest.mark.parametrize(
        ("more", "told"),
        [
            (["--set", "alpha=1"], "NNGMix and MLP both have a setting 'alpha'; say sampler.alpha"),
            (["--set", "nothing=1"], "there is no setting 'nothing'; MLP has hidden_layer_sizes"),
            (["--set", "detector.sigma=1"], "MLP has no setting 'sigma'; it has hidden_layer"),
            (["--set", "sampler.max_iter=1"], "NNGMix has no setting 'max_iter'; it has multip"),
            (["--set", "Cutout.low=1"], "'Cutout' is not in --sampler NNGMix"),
            (["--set", "max_iter"], "--set takes NAME=VALUE"),
            (["--set", "max_iter=-3"], "max_iter"),
            (["--set", "contamination=2"], "contamination"),
            (["--sampler", "none", "--set", "sampler.sigma=1"], "--sampler none has no settings"),
            (["--sampler", "none", "--multiplier", "3"], "--multiplier: --sampler none adds no"),
            (["--multiplier", "0"], "multiplier"),
            (["--sampler", "SMOTE"], "--sampler: there is no 'SMOTE'; there are NNGMix"),
            (["--detector", "SVM"], "--detector: there is no 'SVM'; there are"),
        ],
    )
    def test_misuse(self, train: Run, folder: Path, more: list[str], told: str) -> None:
        before = listing(folder)
        result = train(*more)
        assert (result.code, result.out) == (2, "")
        assert told in result.err
        assert result.err.count("\n") == 1
        assert listing(folder) == before


class TestDefaults:
    def test_nothing_to_choose(self, nngmix: Run, folder: Path) -> None:
        args = ("--label", "fraud", "--output", folder / "model", "--set", "n_estimators=10")
        result = nngmix("train", folder / "in.csv", *args)
        assert (result.code, result.err) == (0, "")
        assert "sampler   none: the detector makes its own" in result.out
        assert "detector  AutoDetector" in result.out
        assert "The trees use most: " in result.out
        assert "weight (" in result.out
        told = load(folder / "model")[-1].summary_.splitlines()
        assert told[0] in result.out
        assert metadata(folder)["detector"] == "AutoDetector"

    def test_a_sampler_for_it_must_be_named(self, nngmix: Run, folder: Path) -> None:
        args = ("train", folder / "in.csv", "--label", "fraud", "--output", folder / "model")
        few = ("--set", "n_estimators=10")
        result = nngmix(*args, *few, "--multiplier", "3")
        assert result.code == 2
        assert "--sampler none, which AutoDetector has unless another is named" in result.err
        result = nngmix(*args, *few, "--multiplier", "3", "--sampler", "Duplicate")
        assert (result.code, result.err) == (0, "")
        assert "sampler   Duplicate: 15 pseudo-anomalies" in result.out

    def test_a_package_that_is_not_there(
        self, nngmix: Run, folder: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setitem(sys.modules, "catboost", None)
        args = ("train", folder / "in.csv", "--label", "fraud", "--output", folder / "model")
        before = listing(folder)
        result = nngmix(*args, "--detector", "CatBoost")
        assert result.code == 1
        assert "pip install 'nngmix[boost]'" in result.err
        assert listing(folder) == before
