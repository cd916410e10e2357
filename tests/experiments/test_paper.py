"""The paper's tables and figures as cells: what was published has a cell, and each cell runs."""

import csv
import itertools
import math
from collections import Counter
from pathlib import Path

import pytest

import nngmix.experiments
from nngmix.datasets import list_adbench
from nngmix.experiments import Cell, run_cell
from nngmix.experiments.paper import LEARNERS, TARGETS, list_cells

CLASSICAL = [file.full_name for file in list_adbench("Classical")]
TABLE = Path(nngmix.experiments.__file__).with_name("published.csv")


def published():
    with TABLE.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def test_the_published_numbers_are_those_at_hand(adbench_home):
    beside = adbench_home.parent / "paper" / "tables.csv"
    if not beside.is_file():
        pytest.skip("the table of published numbers is not beside the ADBench files")
    assert TABLE.read_bytes() == beside.read_bytes()


def test_every_published_number_has_its_place():
    """Each row of each table is what exactly one column of the table looks up."""
    found = Counter()
    for target in TARGETS.values():
        datasets = ["mean"]
        if target.by_dataset:
            datasets += [file.dataset for file in list_adbench("Classical")]
        if target.number.startswith("Table"):
            for learner, column, dataset in itertools.product(
                (None, *target.learners), target.columns, datasets
            ):
                value = target.published(learner, column, dataset)
                if not math.isnan(value):
                    label = "Average" if learner is None else learner.label
                    key = (column.series, column.label_ratio, column.multiplier)
                    found[target.number.split()[1], dataset, label, *key, value] += 1
    for row in published():
        key = (
            row["table"],
            row["dataset"],
            row["detector"],
            row["sampler"],
            float(row["label_ratio"]),
            int(row["multiplier"]),
            float(row["aucroc"]),
        )
        assert found[key] == 1, key
    # And none is made up. What a table lacks may come from another: Table VIII has no baseline.
    known = {
        (row["dataset"], row["detector"], row["sampler"], float(row["aucroc"]))
        for row in published()
    }
    assert {
        (dataset, label, series, value) for _, dataset, label, series, *_, value in found
    } <= known


@pytest.mark.parametrize(
    ("name", "n_files", "n_columns", "n_learners", "n_seeds"),
    [
        ("table-1", 47, 9, 5, 1),
        ("table-2", 61, 9, 5, 1),
        ("table-3", 13, 9, 5, 1),
        ("table-4", 47, 1 + 3 + 5 * 3, 5, 1),
        ("table-5", 47, 3 * (1 + 3 + 3), 5, 1),
        ("table-6", 47, 1 + 3 + 4 * 3, 5, 1),
        ("table-7", 47, 7, 1, 1),
        ("table-8", 47, 5, 1, 1),
        # 10x at 1 % is in both parts of Fig. 3.
        ("figure-3", 47, 2 * 6 + 3 * 6 - 2, 5, 1),
        ("figure-4", 47, 3 * 6, 5, 1),
        # k = 10, sigma = 0.01 and alpha = 0.2 are one cell.
        ("figure-5", 47, 4 + 3 + 3 - 2, 5, 1),
        ("figure-7", 47, 9, 1, 5),
    ],
)
def test_number_of_cells(name, n_files, n_columns, n_learners, n_seeds):
    target = TARGETS[name]
    files = [file.full_name for file in list_adbench(target.suite)]
    cells = list_cells(target, files)
    assert len(files) == n_files
    assert len(cells) == len(set(cells)) == n_files * n_columns * n_learners * n_seeds


def test_every_table_and_figure_has_the_control():
    for target in TARGETS.values():
        if target.columns and target.name != "figure-5":
            mixed = {
                (c.panel, c.multiplier, c.label_ratio, c.pollution_ratio)
                for c in target.columns
                if c.series not in ("Baseline", "Duplicate")
            }
            copied = {
                (c.panel, c.multiplier, c.label_ratio, c.pollution_ratio)
                for c in target.columns
                if c.series == "Duplicate"
            }
            assert mixed == copied, target.name


def test_deepsad_is_the_published_one():
    for target in TARGETS.values():
        for cell in list_cells(target, CLASSICAL[:1]):
            if cell.detector == "DeepSAD":
                assert cell.detector_settings == (("pretrain", False),)
            else:
                assert cell.detector_settings == ()


def test_sigma_of_the_mlp_on_images_and_texts():
    [mlp] = [learner for learner in LEARNERS if learner.label == "MLP"]
    for name, sigma in (("table-1", ()), ("table-2", (("sigma", 0.3),))):
        target = TARGETS[name]
        settings = {
            cell.sampler: cell.sampler_settings
            for cell in list_cells(target, ["x"], learners=[mlp])
        }
        assert settings.pop("NNGMix") == sigma
        assert set(settings.values()) == {()}


EVERY_SAMPLER = sorted(
    {
        (cell.sampler, cell.multiplier, cell.sampler_settings)
        for target in TARGETS.values()
        for cell in list_cells(target, ["wine"])
    },
    key=str,
)


@pytest.mark.parametrize(("sampler", "multiplier", "settings"), EVERY_SAMPLER)
def test_every_sampler_runs(sampler, multiplier, settings):
    few = {"max_iter": 3}
    cell = Cell(
        *("wine", sampler, "MLP", multiplier, 0.05),
        sampler_settings=settings,
        detector_settings=few,
    )
    assert 0 <= run_cell(cell).aucroc <= 1
