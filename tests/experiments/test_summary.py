"""Means of a table, held against plain loops over the cells."""

import dataclasses
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nngmix.datasets import list_adbench
from nngmix.experiments import Cell, Failure, Outcome, Results
from nngmix.experiments.paper import LEARNERS, TARGETS, list_cells
from nngmix.experiments.store import Record
from nngmix.experiments.summary import summarise

TABLE_1, TABLE_7 = TARGETS["table-1"], TARGETS["table-7"]
FILES = [file.full_name for file in list_adbench("Classical")]


def score(cell: Cell) -> float:
    """Give each cell a number of its own."""
    return int(cell.key[:6], 16) / 0xFFFFFF


def results_of(cells, failed=()):
    records = {}
    for cell in cells:
        if cell in failed:
            result = Failure(cell, "out of memory", 1.0)
        else:
            result = Outcome(cell, score(cell), score(cell) / 2, 1.0)
        records[cell] = Record(result, "run", 0.0)
    return Results(records, {})


def naive_mean(target, learner, column, datasets, seeds):
    values = []
    for dataset in datasets:
        own = [score(target.cell(learner, column, dataset, seed)) for seed in seeds]
        values.append(sum(own) / len(own))
    return sum(values) / len(values)


def test_means_and_spread_are_plain_ones():
    seeds, files = (0, 1, 2), FILES[:4]
    summary = summarise(TABLE_1, results_of(list_cells(TABLE_1, files, seeds)))
    assert [block.learner for block in summary.blocks] == list(LEARNERS)
    for learner in LEARNERS:
        for column in TABLE_1.columns:
            entry = summary.entry(learner, column)
            assert entry.ours == pytest.approx(naive_mean(TABLE_1, learner, column, files, seeds))
            by_seed = [naive_mean(TABLE_1, learner, column, files, [s]) for s in seeds]
            assert entry.spread == pytest.approx(np.std(by_seed, ddof=1))
            assert entry.aucpr == pytest.approx(entry.ours / 2)
            assert (entry.n_datasets, entry.n_seeds) == (4, 3)
            assert entry.published == TABLE_1.published(learner, column) or (
                math.isnan(entry.published) and column.series == "Duplicate"
            )
    nng, control = TABLE_1.columns[-1], TABLE_1.columns[1]
    entry = summary.entry(LEARNERS[0], nng)
    assert entry.over_control == pytest.approx(
        entry.ours - summary.entry(LEARNERS[0], control).ours
    )
    average = summary.average(nng)
    assert average.ours == pytest.approx(
        np.mean([summary.entry(learner, nng).ours for learner in LEARNERS])
    )
    assert average.published == pytest.approx(0.807, abs=0.0006)  # the paper's own Average


def test_published_mean_is_over_the_datasets_that_ours_is_over():
    files = ["Classical/45_wine", "Classical/2_annthyroid"]
    summary = summarise(TABLE_7, results_of(list_cells(TABLE_7, files)))
    baseline, ten = TABLE_7.columns[0], TABLE_7.columns[-1]
    assert summary.entry(LEARNERS[0], baseline).published == pytest.approx((0.813 + 0.898) / 2)
    assert summary.entry(LEARNERS[0], ten).published == pytest.approx((0.999 + 0.908) / 2)
    assert set(summary.not_run) == set(FILES) - set(files)


@settings(max_examples=30, deadline=None)
@given(st.data())
def test_whatever_is_missing_columns_stay_comparable(data):
    """Every number is the mean of the very datasets and seeds that all columns have."""
    files, seeds, learner = FILES[:5], (0, 1), LEARNERS[2]
    cells = list_cells(TABLE_1, files, seeds, learners=[learner])
    lost = set(data.draw(st.lists(st.sampled_from(cells), max_size=12, unique=True)))
    failed = (
        set(data.draw(st.lists(st.sampled_from(sorted(lost, key=str)), unique=True)))
        if lost
        else set()
    )
    summary = summarise(
        TABLE_1, results_of([c for c in cells if c not in lost or c in failed], failed)
    )
    whole = {
        (dataset, seed)
        for dataset in files
        for seed in seeds
        if not any(TABLE_1.cell(learner, c, dataset, seed) in lost for c in TABLE_1.columns)
    }
    used = [d for d in files if any((d, s) in whole for s in seeds)]
    [block] = summary.blocks
    assert list(block.datasets) == used
    assert sum(block.failures.values()) == len(failed)
    assert list(block.n_seeds) == [sum((d, s) in whole for s in seeds) for d in used]
    assert set(block.seeds) == {s for s in seeds if used and all((d, s) in whole for d in used)}
    for i, seed in enumerate(block.seeds):
        for j, dataset in enumerate(used):
            expected = [score(TABLE_1.cell(learner, c, dataset, seed)) for c in block.columns]
            assert block.by_seed[i, j] == pytest.approx(expected)
    assert set(block.incomplete) == set(files) - set(used)
    for column in TABLE_1.columns:
        if used:
            expected = np.mean(
                [
                    np.mean(
                        [
                            score(TABLE_1.cell(learner, column, d, s))
                            for s in seeds
                            if (d, s) in whole
                        ]
                    )
                    for d in used
                ]
            )
            assert summary.entry(learner, column).ours == pytest.approx(expected)
        else:
            assert math.isnan(summary.entry(learner, column).ours)


def test_a_column_that_was_hardly_run_does_not_cost_the_others_their_datasets():
    learner = LEARNERS[0]
    few = TABLE_1.columns[2]
    cells = list_cells(TABLE_1, FILES[:6], learners=[learner])
    kept = [c for c in cells if c.sampler != few.sampler or c.dataset in FILES[:2]]
    [block] = summarise(TABLE_1, results_of(kept)).blocks
    assert block.scarce == (few,)
    assert len(block.datasets) == 6
    assert few not in block.columns


def test_the_mean_over_detectors_is_of_the_same_ones_in_every_column():
    whole = list_cells(TABLE_1, FILES[:3], learners=LEARNERS[:2])
    part = list_cells(TABLE_1, FILES[:3], learners=LEARNERS[2:3], columns=TABLE_1.columns[:2])
    summary = summarise(TABLE_1, results_of([*whole, *part]))
    assert [block.learner for block in summary.averaged] == list(LEARNERS[:2])
    for column in TABLE_1.columns:
        ours = [summary.entry(learner, column).ours for learner in LEARNERS[:2]]
        assert summary.average(column).ours == pytest.approx(np.mean(ours))


def test_builtin_datasets_stand_in_only_where_there_is_nothing_else():
    builtin = results_of(list_cells(TABLE_1, ["wine", "digits"]))
    summary = summarise(TABLE_1, builtin)
    assert summary.builtin
    assert summary.blocks[0].datasets == ("digits", "wine")
    assert math.isnan(summary.entry(LEARNERS[0], TABLE_1.columns[0]).published)
    both = Results(builtin.records | results_of(list_cells(TABLE_1, FILES[:2])).records, {})
    summary = summarise(TABLE_1, both)
    assert not summary.builtin
    assert summary.blocks[0].datasets == tuple(FILES[:2])


def test_protocols_do_not_mix():
    cells = list_cells(TABLE_7, FILES[:2])
    other = [dataclasses.replace(cell, protocol="leak-free") for cell in cells[:7]]
    results = results_of([*cells, *other])
    assert len(summarise(TABLE_7, results).blocks[0].datasets) == 2
    [block] = summarise(TABLE_7, results, protocol="leak-free").blocks
    assert len(block.datasets) == 1


def test_nothing_was_run():
    summary = summarise(TABLE_1, Results({}, {}))
    assert not summary.has_numbers
    assert set(summary.not_run) == set(FILES)
