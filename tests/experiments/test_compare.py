import dataclasses
import sys
from itertools import combinations
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from scipy import stats
from sklearn.linear_model import RidgeClassifier
from sklearn.svm import SVC

from nngmix import Duplicate, GaussianNoise, Mixup
from nngmix.detectors import MLP
from nngmix.experiments.compare import Comparison, compare, corrected_t


def ring(n_anomalies: int = 40, n: int = 400) -> tuple[np.ndarray, np.ndarray]:
    """Anomalies on a ring around the unlabelled rows: no straight line finds them."""
    rng = np.random.default_rng(0)
    X = rng.normal(0, 0.3, (n, 2))
    angle = rng.uniform(0, 2 * np.pi, n_anomalies)
    X[:n_anomalies] = np.c_[np.cos(angle), np.sin(angle)] * 2
    return X, (np.arange(n) < n_anomalies).astype(int)


def blurred(noise: float) -> np.ndarray:
    return X + np.random.default_rng(3).normal(0, noise, X.shape)


X, Y = ring()
LINE, CURVE = RidgeClassifier(), SVC(class_weight="balanced")


def small(**changes: Any) -> Comparison:
    settings: dict[str, Any] = {
        "samplers": {"none": None, "Duplicate": Duplicate()},
        "detectors": {"line": LINE, "curve": CURVE},
        "n_repeats": 2,
        "n_folds": 4,
        "n_jobs": 1,
    }
    return compare(X, Y, **settings | changes)


def columns(found: Comparison) -> dict[str, list[Any]]:
    """Every score by pair, in the order of folds."""
    frame = found.scores.to_pandas()
    return {
        f"{d} with {s}": list(rows["average_precision"])
        for (d, s), rows in frame.groupby(["detector", "sampler"], sort=False)
    }


class TestKnownAnswers:
    def test_the_better_detector_is_found(self) -> None:
        found = small(samplers=["none"])
        best, other = found.standings
        assert (best.name, other.name) == ("curve alone", "line alone")
        assert best.average_precision > 0.95
        assert other.average_precision < 0.5
        (difference,) = found.differences
        assert difference.told_apart
        assert difference.p_value < 0.01
        assert 0 < difference.low < difference.mean < difference.high
        assert found.conclusion.startswith("curve alone does best: average precision 1.00 [")
        assert "It is better than line alone by 0." in found.conclusion
        assert "cannot" not in found.conclusion

    def test_the_better_sampler_is_found(self) -> None:
        # What lies between two anomalies of a ring is an unlabelled row.
        found = compare(
            blurred(0.5),
            Y,
            samplers={"none": None, "Mixup": Mixup(alpha=1.0, multiplier=50)},
            detectors={"curve": SVC()},
            n_repeats=3,
            n_jobs=1,
        )
        assert [s.sampler for s in found.standings] == ["none", "Mixup"]
        assert found.differences[0].told_apart

    def test_the_same_twice_cannot_be_told_apart(self) -> None:
        found = small(samplers={"one": Duplicate(), "two": Duplicate()}, detectors={"line": LINE})
        (difference,) = found.differences
        assert (difference.mean, difference.low, difference.high) == (0, 0, 0)
        assert difference.p_value == 1
        assert not difference.told_apart
        assert found.visible_difference is None
        assert "line with one comes out first" in found.conclusion
        assert "It cannot be told apart from line with two." in found.conclusion
        assert "labelled anomalies, differences" not in found.conclusion

    def test_few_labels_say_so(self) -> None:
        rng = np.random.default_rng(1)
        X, y = rng.normal(size=(100, 3)), np.arange(100) < 6
        found = compare(X, y, samplers=["none"], detectors={"line": LINE, "curve": CURVE}, n_jobs=1)
        assert found.n_folds == 5
        width = found.visible_difference
        assert width is not None
        assert "With 6 labelled anomalies, differences below about" in found.conclusion
        assert "too few to tell which of these is best." in found.conclusion

    def test_the_control_is_named(self) -> None:
        found = small(
            samplers={"Duplicate": Duplicate(), "GaussianNoise": GaussianNoise()},
            detectors={"curve": CURVE},
            random_state=1,
        )
        said = "rows are worth more than copies is not shown"
        best = found.standings[0].sampler
        assert (said in found.conclusion) == (best == "GaussianNoise")
        # Whichever came first, the other way round is a comparison as well.
        swapped = dataclasses.replace(
            found,
            standings=tuple(
                dataclasses.replace(s, sampler=n)
                for s, n in zip(found.standings, ("GaussianNoise", "Duplicate"), strict=True)
            ),
            differences=(dataclasses.replace(found.differences[0], sampler="Duplicate"),),
        )
        assert said in swapped.conclusion


class TestIntervals:
    def test_formula(self) -> None:
        found = compare(
            blurred(0.7),
            Y,
            samplers=["none"],
            detectors={"line": LINE, "curve": CURVE},
            n_repeats=3,
            n_folds=4,
            n_jobs=1,
        )
        scores = columns(found)
        d = np.array(scores["curve with none"]) - np.array(scores["line with none"])
        assert len(d) == 12
        # Four folds: a test fold is a third of the training rows.
        error = np.sqrt((1 / 12 + 1 / 3) * d.var(ddof=1))
        low, high = stats.t.interval(0.95, 11, loc=d.mean(), scale=error)
        p = 2 * stats.t.sf(d.mean() / error, 11)
        (difference,) = found.differences
        np.testing.assert_allclose(
            [difference.mean, difference.low, difference.high, difference.p_value],
            [d.mean(), low, high, p],
            rtol=1e-9,
        )
        best = np.array(scores["curve with none"])
        low, high = stats.t.interval(
            0.95, 11, loc=best.mean(), scale=np.sqrt((1 / 12 + 1 / 3) * best.var(ddof=1))
        )
        standing = found.standings[0]
        np.testing.assert_allclose((standing.low, standing.high), (low, min(high, 1)), rtol=1e-9)

    def test_wider_than_that_of_independent_results(self) -> None:
        d = np.random.default_rng(0).normal(size=25)
        low, high, p = corrected_t(d, 1 / 4)
        plain = stats.ttest_1samp(d, 0)
        interval = plain.confidence_interval()
        assert high - low == pytest.approx((interval.high - interval.low) * np.sqrt(1 + 25 / 4))
        assert p > plain.pvalue
        assert corrected_t(d, 0)[2] == pytest.approx(plain.pvalue)

    def test_holm_over_all_pairs(self) -> None:
        found = compare(
            blurred(0.7),
            Y,
            samplers={"none": None, "Duplicate": Duplicate(), "noise": GaussianNoise(sigma=1.0)},
            detectors={"line": LINE, "curve": CURVE},
            n_jobs=1,
        )
        scores = columns(found)
        order = [f"{s.detector} with {s.sampler}" for s in found.standings]
        pairs = list(combinations(order, 2))
        raw = {}
        for a, b in pairs:
            d = np.array(scores[a]) - np.array(scores[b])
            raw[a, b] = corrected_t(d, 1 / 4)[2]
        # Holm, step by step, as the paper tells it.
        ranked = sorted(pairs, key=lambda pair: raw[pair])
        rejected, level = set(), {}
        for k, pair in enumerate(ranked):
            alpha = 0.05 / (len(pairs) - k)
            if raw[pair] >= alpha:
                level.update(dict.fromkeys(ranked[k:], alpha))
                break
            rejected.add(pair)
            level[pair] = alpha
        told = {(order[0], f"{d.detector} with {d.sampler}"): d for d in found.differences}
        assert list(told) == pairs[:5]
        assert {pair for pair, d in told.items() if d.told_apart} == rejected & set(told)
        assert 0 < sum(d.told_apart for d in found.differences) < 5
        for (a, b), d in told.items():
            low, high, _ = corrected_t(
                np.array(scores[a]) - np.array(scores[b]), 1 / 4, level=1 - level[a, b]
            )
            np.testing.assert_allclose((d.low, d.high), (low, high), rtol=1e-9)
            # Interval and verdict never contradict each other.
            assert d.told_apart == (d.low > 0 or d.high < 0)


class TestMethod:
    def test_every_score_is_there(self) -> None:
        found = small()
        frame = found.scores.to_pandas()
        assert list(frame.columns) == [
            *("repeat", "fold", "sampler", "detector"),
            *("average_precision", "aucroc", "seconds"),
        ]
        assert len(frame) == 2 * 4 * 4
        keys = frame[["repeat", "fold", "sampler", "detector"]]
        assert not keys.duplicated().any()
        for s in found.standings:
            rows = frame[(frame["sampler"] == s.sampler) & (frame["detector"] == s.detector)]
            assert s.average_precision == pytest.approx(rows["average_precision"].mean())
            assert s.aucroc == pytest.approx(rows["aucroc"].mean())
        values = [s.average_precision for s in found.standings]
        assert values == sorted(values, reverse=True)
        with pytest.raises(dataclasses.FrozenInstanceError):
            found.n_folds = 3  # type: ignore[misc]

    def test_processes_do_not_matter(self) -> None:
        settings: dict[str, Any] = {
            "samplers": ["none", "NNGMix"],
            "detectors": {"MLP": MLP(max_iter=3), "curve": CURVE},
            "n_repeats": 1,
        }
        one, two = (small(n_jobs=n, **settings) for n in (1, 2))
        names = one.scores.column_names[:-1]
        assert one.scores.select(names).equals(two.scores.select(names))
        assert one.differences == two.differences
        assert one.conclusion == two.conclusion
        other = small(n_jobs=1, random_state=1, **settings)
        assert not one.scores.select(names).equals(other.scores.select(names))

    def test_progress(self) -> None:
        told: list[tuple[int, int]] = []
        small(samplers=["none"], n_repeats=1, progress=lambda *numbers: told.append(numbers))
        assert told == [(i, 8) for i in range(1, 9)]

    @pytest.mark.parametrize("kind", [pa.Table.from_pandas, pl.from_pandas, lambda frame: frame])
    def test_tables(self, kind: Any) -> None:
        frame = pd.DataFrame(X, columns=["a", "b"])
        frame["kind"] = np.where(Y == 1, "odd", "usual")
        frame.loc[::5, "a"] = np.nan
        settings: dict[str, Any] = {
            "samplers": ["NNGMix"],
            "detectors": {"line": LINE},
            "n_repeats": 1,
            "n_folds": 2,
            "categorical_features": ["kind"],
            "n_jobs": 1,
        }
        found = compare(kind(frame), Y, **settings)
        # The category gives it away.
        assert found.standings[0].average_precision == pytest.approx(1)

    def test_unlabelled_rows_are_drawn(self) -> None:
        found = small(max_unlabelled=100, samplers=["none"])
        assert (found.n_anomalies, found.n_unlabelled) == (40, 100)
        assert "100 of 360 unlabelled rows were drawn" in found.notes[0]
        again = small(max_unlabelled=100, samplers=["none"])
        assert found.differences == again.differences
        assert small(max_unlabelled=None, samplers=["none"]).notes == ()

    def test_folds_are_cut(self) -> None:
        few = np.where(np.arange(400) < 3, 1, 0)
        found = compare(X, few, samplers=["none"], detectors={"line": LINE}, n_jobs=1)
        assert found.n_folds == 3
        assert found.scores.num_rows == 15
        assert "3 folds instead of 5: there are only 3 labelled anomalies" in found.notes[0]
        assert found.differences == ()
        assert found.conclusion.startswith("line alone: average precision 0.")
        assert found.conclusion.endswith("There was nothing to compare it with.")

    def test_detector_that_is_not_installed(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setitem(sys.modules, "catboost", None)
        settings: dict[str, Any] = {"samplers": ["none"], "n_repeats": 1, "n_folds": 2}
        found = small(detectors=["MLP", "CatBoost"], **settings)
        assert [s.detector for s in found.standings] == ["MLP"]
        assert found.notes[0].startswith("CatBoost is left out: ")
        assert "pip install 'nngmix[boost]'" in found.notes[0]
        with pytest.raises(ImportError, match="boost"):
            small(detectors=["CatBoost"], **settings)


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"samplers": ["SMOTE"]}, "samplers: there is no 'SMOTE'; there are none, NNGMix"),
        ({"samplers": []}, "samplers is empty"),
        ({"detectors": ["SVM"]}, "detectors: there is no 'SVM'"),
        ({"detectors": {}}, "detectors is empty"),
        ({"n_repeats": 0}, "n_repeats must be a whole number of at least 1; got 0"),
        ({"n_folds": 1}, "n_folds must be a whole number of at least 2; got 1"),
        ({"n_folds": 2.5}, "n_folds must be a whole number"),
        ({"max_unlabelled": 1}, "max_unlabelled"),
        ({"multiplier": 0}, "multiplier"),
        ({"categorical_features": ["nowhere"]}, "categorical_features: X has no column 'nowhere'"),
    ],
)
def test_bad_parameters(change: dict[str, Any], told: str) -> None:
    with pytest.raises(ValueError, match=told):
        small(**change)


@pytest.mark.parametrize(
    ("y", "told"),
    [
        (np.arange(400) < 1, "single labelled anomaly: one is needed to train on and another"),
        (np.arange(400) > 0, "single unlabelled row"),
        (np.zeros(400), "no labelled anomaly"),
        (np.arange(400), "only 0"),
        (np.zeros(3), "400 rows"),
    ],
)
def test_bad_labels(y: Any, told: str) -> None:
    with pytest.raises(ValueError, match=told):
        compare(X, y, n_jobs=1)
