import dataclasses
import itertools
import pickle
import subprocess
import sys

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

    def test_multiplier_means_nothing_without_a_sampler(self) -> None:
        few, many = (run_cell(Cell("wine", "none", "MLP", m)) for m in (1, 10))
        assert numbers(few)[1:] == numbers(many)[1:]

    @pytest.mark.parametrize(
        ("change", "told"),
        [
            ({"sampler": "SMOTE"}, "no sampler 'SMOTE'; there are none, .*NNGMix"),
            ({"detector": "SVM"}, "no detector 'SVM'; there are DeepSAD, XGBOD, MLP, "),
            ({"dataset": "iris"}, "iris"),
            ({"multiplier": 0}, "multiplier"),
            ({"label_ratio": 2.0}, "label_ratio"),
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

    def test_a_failure_is_told(self) -> None:
        with pytest.raises(ValueError, match="no sampler"):
            list(run_cells([Cell("wine", "SMOTE", "MLP")], n_jobs=1))
