import dataclasses
import itertools
import pickle
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from nngmix.experiments import Cell, Outcome, run_cell, run_cells

CELL = Cell("wine", "NNGMix", "MLP")
OTHER = {
    "dataset": "digits",
    "sampler": "Duplicate",
    "detector": "CatBoost",
    "multiplier": 5,
    "label_ratio": 0.5,
    "pollution_ratio": 0.5,
    "protocol": "leak-free",
    "seed": 1,
    "sampler_settings": {"sigma": 0.1},
    "detector_settings": {"class_weight": "balanced"},
}


def numbers(outcome: Outcome) -> tuple[Cell, float, float]:
    return outcome.cell, outcome.aucroc, outcome.aucpr


class TestKey:
    def test_every_field_counts(self) -> None:
        assert set(OTHER) == {field.name for field in dataclasses.fields(Cell)}
        cells = [CELL, *(dataclasses.replace(CELL, **{name: OTHER[name]}) for name in OTHER)]
        assert len({cell.key for cell in cells}) == len(cells)
        assert len(set(cells)) == len(cells)

    def test_is_the_same_everywhere(self) -> None:
        # Python's own hash of text differs from process to process.
        script = (
            "from nngmix.experiments import Cell; print(Cell('wine', 'NNGMix', 'MLP', seed=7).key)"
        )
        keys = {
            subprocess.run(
                [sys.executable, "-c", script],
                capture_output=True,
                text=True,
                check=True,
                env={"PYTHONHASHSEED": seed},
            ).stdout.strip()
            for seed in "12"
        }
        assert keys == {Cell("wine", "NNGMix", "MLP", seed=7).key}

    def test_equal_cells_have_one_key(self) -> None:
        same = [
            Cell("wine", "NNGMix", "MLP", 10, 1.0, 1.0, "adbench", 3),
            Cell("wine", "NNGMix", "MLP", 10, 1, 1, "adbench", 3),
            Cell("wine", "NNGMix", "MLP", np.int64(10), np.float32(1), 1, "adbench", np.int32(3)),
        ]
        assert len({cell.key for cell in same}) == len(set(same)) == 1

    def test_equal_settings_have_one_key(self) -> None:
        same = [
            Cell("wine", "NNGMix", "MLP", sampler_settings=settings)
            for settings in (
                {"sigma": 2, "alpha": 0.5},
                {"alpha": 0.5, "sigma": 2.0},
                [("sigma", np.int64(2)), ["alpha", np.float64(0.5)]],
            )
        ]
        assert len({cell.key for cell in same}) == len(set(same)) == 1

    def test_the_baseline_has_no_multiplier(self) -> None:
        assert Cell("wine", "none", "MLP", 10) == Cell("wine", "none", "MLP", 1)

    def test_settings_are_plain_values(self) -> None:
        with pytest.raises(TypeError, match="'sigma' must be a number, a word"):
            Cell("wine", "NNGMix", "MLP", sampler_settings={"sigma": [1]})  # type: ignore[arg-type]

    def test_whole_numbers_are_not_cut(self) -> None:
        with pytest.raises(TypeError):
            Cell("wine", "NNGMix", "MLP", seed=1.5)  # type: ignore[arg-type]

    def test_is_a_value(self) -> None:
        with pytest.raises(dataclasses.FrozenInstanceError):
            CELL.seed = 1  # type: ignore[misc]
        assert pickle.loads(pickle.dumps(CELL)) == CELL


class TestRun:
    @pytest.mark.parametrize("detector", ["MLP", "CatBoost"])
    def test_same_cell_same_numbers(self, detector: str) -> None:
        cell = Cell("wine", "NNGMix", detector, label_ratio=0.5, seed=3)
        if detector == "CatBoost":
            pytest.importorskip("catboost")
        first, second = run_cell(cell), run_cell(cell)
        assert numbers(first) == numbers(second)
        # A sum of shares may pass 1 by rounding.
        assert 0 < first.aucpr < 1 + 1e-12
        assert 0 < first.aucroc <= 1
        assert first.seconds > 0

    def test_every_setting_matters(self) -> None:
        base = Cell("breast_cancer", "NNGMix", "MLP", protocol="leak-free")
        found = {
            numbers(run_cell(dataclasses.replace(base, **change)))[1:]
            for change in (
                {},
                {"sampler": "none"},
                {"sampler": "Duplicate"},
                {"multiplier": 2},
                {"label_ratio": 0.5},
                {"pollution_ratio": 0.0},
                {"protocol": "adbench"},
                {"seed": 1},
            )
        }
        assert len(found) == 8

    def test_settings_reach_sampler_and_detector(self) -> None:
        hard = dataclasses.replace(CELL, dataset="breast_cancer", protocol="leak-free")
        found = {
            numbers(run_cell(dataclasses.replace(hard, **change)))[1:]
            for change in (
                {},
                {"sampler_settings": {"sigma": 0.3}},
                {"sampler_settings": {"n_neighbors": None}},
                {"detector_settings": {"class_weight": "balanced"}},
                {"sampler": "Cutout+GaussianNoise"},
            )
        }
        assert len(found) == 5

    def test_adbench_has_its_suite_in_front(self, adbench_home: Path) -> None:
        cell = Cell("Classical/45_wine", "none", "MLP")
        ours, builtin = (
            run_cell(cell, data_home=adbench_home),
            run_cell(Cell("wine", "none", "MLP")),
        )
        assert numbers(ours)[1:] != numbers(builtin)[1:]
        with pytest.raises(FileNotFoundError, match=r"45_wine\.npz"):
            run_cell(cell, data_home=adbench_home / "nowhere")

    def test_published_number_to_the_digit(self, adbench_home: Path) -> None:
        pytest.importorskip("torch")
        # Table VII, wine: no pseudo-anomalies, 10 % labelled, seed 0.
        settings = {"pretrain": False}
        cell = Cell("Classical/45_wine", "none", "DeepSAD", detector_settings=settings)
        assert round(run_cell(cell, data_home=adbench_home).aucroc, 3) == 0.813

    @pytest.mark.parametrize(
        ("change", "told"),
        [
            ({"sampler": "SMOTE"}, "no sampler 'SMOTE'; there are none, .*NNGMix"),
            ({"detector": "SVM"}, "no detector 'SVM'; there are DeepSAD, XGBOD, MLP, "),
            ({"dataset": "iris"}, "iris"),
            ({"multiplier": 0}, "multiplier"),
            ({"label_ratio": 2.0}, "label_ratio"),
            ({"sampler": "Cutout+SMOTE"}, "no sampler 'SMOTE'"),
            (
                {"sampler_settings": {"sgima": 1}},
                "NNGMix has no setting 'sgima'; it has multiplier",
            ),
            ({"detector_settings": {"depth": 1}}, "MLP has no setting 'depth'"),
            ({"sampler": "Cutout+CutMix", "sampler_settings": {"p": 1}}, "no setting 'p'"),
        ],
    )
    def test_unknown_names(self, change: dict[str, object], told: str) -> None:
        with pytest.raises(ValueError, match=told):
            run_cell(dataclasses.replace(CELL, **change))


class TestRunMany:
    CELLS = tuple(
        Cell("wine", sampler, "MLP", label_ratio=0.5, seed=seed)
        for sampler, seed in itertools.product(("none", "NNGMix"), (0, 1))
    )

    @pytest.mark.slow
    def test_processes_and_order_do_not_matter(self) -> None:
        alone = {numbers(run_cell(cell)) for cell in self.CELLS}
        assert {numbers(o) for o in run_cells(self.CELLS, n_jobs=1)} == alone
        assert {numbers(o) for o in run_cells(self.CELLS[::-1], n_jobs=2)} == alone

    def test_hands_over_one_by_one(self) -> None:
        found = run_cells(iter(self.CELLS), n_jobs=1)
        assert next(found).cell in self.CELLS
        assert len(list(found)) == len(self.CELLS) - 1

    def test_nothing_to_run(self) -> None:
        assert list(run_cells([], n_jobs=1)) == []
