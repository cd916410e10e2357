"""What is run with the files at hand, and in which order."""

import dataclasses
import itertools
import shutil
from collections import defaultdict

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nngmix.datasets import BUILTIN_NAMES, list_adbench
from nngmix.experiments import Cell, Outcome
from nngmix.experiments.durations import Durations
from nngmix.experiments.paper import LEARNERS, TARGETS
from nngmix.experiments.plan import make_plan, order_cells

TABLE_1, TABLE_8 = TARGETS["table-1"], TARGETS["table-8"]
FILES = [file.full_name for file in list_adbench("Classical")]
WITH_COLUMNS = [target for target in TARGETS.values() if target.columns]


def datasets_of(cells):
    return {cell.dataset for cell in cells}


@pytest.fixture(scope="module")
def home(adbench_home, tmp_path_factory):
    """Four small files of ADBench, and one that is damaged."""
    folder = tmp_path_factory.mktemp("adbench")
    (folder / "Classical").mkdir()
    for name in ("45_wine", "42_WBC", "15_Hepatitis", "4_breastw", "39_vertebral"):
        shutil.copy(adbench_home / "Classical" / f"{name}.npz", folder / "Classical")
    with (folder / "Classical" / "39_vertebral.npz").open("ab") as file:
        file.write(b"more")
    return folder


class TestFiles:
    HERE = frozenset(f"Classical/{n}" for n in ("45_wine", "42_WBC", "15_Hepatitis", "4_breastw"))

    def test_present_absent_and_wrong(self, home):
        plan = make_plan(TABLE_8, data_home=home)
        assert datasets_of(plan.cells) == self.HERE
        assert len(plan.cells) == 4 * 5  # datasets, columns
        assert plan.wrong == ("Classical/39_vertebral",)
        assert set(plan.absent) == set(FILES) - self.HERE - set(plan.wrong)
        assert datasets_of(plan.every_cell) == set(FILES)
        assert len(plan.every_cell) == 47 * 5
        assert set(plan.cells) <= set(plan.every_cell)

    def test_no_file_at_all(self, tmp_path):
        plan = make_plan(TABLE_8, data_home=tmp_path)
        assert plan.cells == ()
        assert plan.absent == tuple(FILES)
        assert len(plan.every_cell) == 47 * 5

    def test_some_datasets(self, home):
        wanted = {"Classical/45_wine", "Classical/1_ALOI", "wine", "CV_by_ResNet18/CIFAR10_0"}
        plan = make_plan(TABLE_8, data_home=home, datasets=wanted)
        assert datasets_of(plan.cells) == {"Classical/45_wine", "wine"}
        assert plan.absent == ("Classical/1_ALOI",)
        assert datasets_of(plan.every_cell) == {"Classical/45_wine", "wine", "Classical/1_ALOI"}

    @pytest.mark.parametrize("suite", ["CV", "NLP"])
    def test_other_suites(self, home, suite):
        target = next(t for t in WITH_COLUMNS if t.suite == suite)
        plan = make_plan(target, data_home=home)
        assert plan.cells == ()
        assert plan.absent == tuple(file.full_name for file in list_adbench(suite))


class TestWhat:
    def test_builtin_datasets(self, tmp_path):
        plan = make_plan(TABLE_1, data_home=tmp_path, datasets=BUILTIN_NAMES)
        assert datasets_of(plan.cells) == set(BUILTIN_NAMES)
        assert plan.cells == plan.every_cell
        assert plan.absent == plan.wrong == ()

    def test_a_part(self, tmp_path):
        plan = make_plan(
            TABLE_1,
            data_home=tmp_path,
            datasets=["wine"],
            learners=[LEARNERS[2]],
            columns=TABLE_1.columns[:2],
            seeds=(7, 3),
            protocol="leak-free",
        )
        found = [(c.detector, c.sampler, c.seed, c.protocol) for c in plan.cells]
        assert found == [
            ("MLP", sampler, seed, "leak-free")
            for seed in (7, 3)
            for sampler in ("none", "Duplicate")
        ]

    def test_cells_that_are_columns_twice_are_listed_once(self, tmp_path):
        """In Fig. 5 the paper's own setting is a point of each panel."""
        target = TARGETS["figure-5"]
        plan = make_plan(target, data_home=tmp_path, datasets=["wine"], learners=LEARNERS[:1])
        assert len(plan.cells) == len(target.columns) - 2 == len(set(plan.cells))

    def test_a_picture_needs_no_cells(self, tmp_path):
        plan = make_plan(TARGETS["figure-1"], data_home=tmp_path)
        assert (plan.cells, plan.every_cell, plan.absent) == ((), (), ())


class TestQuick:
    @pytest.mark.parametrize("target", WITH_COLUMNS, ids=lambda target: target.name)
    def test_limits(self, target, tmp_path):
        """At most three datasets, one seed, and 150 seconds unless there is one dataset."""
        plan = make_plan(target, data_home=tmp_path, quick=True)
        assert plan.every_cell == plan.cells
        durations = Durations()
        for learner in target.learners:
            own = [cell for cell in plan.cells if cell.detector == learner.detector]
            if learner.label in plan.too_slow:
                assert not own
                continue
            assert 1 <= len(datasets_of(own)) <= 3
            assert {cell.seed for cell in own} == {target.seeds[0]}
            if sum(map(durations.seconds, own)) > 150:
                assert sum(map(durations.seconds, own)) <= 300
                assert len(datasets_of(own)) == 1
                assert {cell.sampler for cell in own} <= {"none", "Duplicate", "NNGMix"}

    def test_built_in_ones_only_where_there_is_no_file(self, home, tmp_path):
        assert datasets_of(make_plan(TABLE_8, data_home=tmp_path, quick=True).cells) == set(
            BUILTIN_NAMES
        )
        found = datasets_of(make_plan(TABLE_8, data_home=home, quick=True).cells)
        assert len(found) == 3
        assert found < TestFiles.HERE
        asked_for = make_plan(TABLE_8, data_home=tmp_path, quick=True, datasets=FILES[:2])
        assert asked_for.cells == ()

    def test_the_cheapest_are_taken(self, adbench_home):
        names = ["Classical/45_wine", "Classical/26_optdigits", "Classical/25_musk"]
        large = "Classical/17_InternetAds"
        plan = make_plan(TABLE_8, data_home=adbench_home, quick=True, datasets=[*names, large])
        assert datasets_of(plan.cells) == set(names)

    def test_seeds_that_are_asked_for(self, tmp_path):
        plan = make_plan(TABLE_8, data_home=tmp_path, quick=True, seeds=(4, 5))
        assert {cell.seed for cell in plan.cells} == {4, 5}


# Two values of whatever a cell has, so that cells which are compared come up together.
GRID = [
    Cell(dataset, sampler, detector, 10, label_ratio, pollution_ratio, protocol, seed, (), given)
    for dataset, sampler, detector, label_ratio, pollution_ratio, protocol, seed, given in (
        itertools.product(
            ("wine", "Classical/no such file"),
            ("none", "NPOS"),
            ("MLP", "XGBOD"),
            (0.01, 0.1),
            (0.0, 1.0),
            ("adbench", "leak-free"),
            (0, 1),
            ((), (("a", 1),)),
        )
    )
]


def comparable(cell):
    """All cells that are compared with this one have the same."""
    return dataclasses.replace(cell, sampler="", multiplier=0, sampler_settings=())


class TestOrder:
    @settings(max_examples=40, deadline=None)
    @given(
        st.randoms(use_true_random=False),
        st.integers(0, len(GRID)),
        st.lists(st.tuples(st.sampled_from(GRID), st.floats(0, 1e4)), max_size=4),
    )
    def test_of_any_cells(self, random, n, known):
        cells = random.choices(GRID, k=n)
        durations = Durations(Outcome(cell, 0.5, 0.5, seconds) for cell, seconds in known)
        ordered = order_cells(cells, durations)
        assert len(ordered) == len(set(cells))
        assert set(ordered) == set(cells)
        blocks = [(b, list(own)) for b, own in itertools.groupby(ordered, key=comparable)]
        assert len({block for block, _ in blocks}) == len(blocks)  # each in one piece
        for block, own in blocks:
            assert own == [c for c in dict.fromkeys(cells) if comparable(c) == block]

        times = defaultdict(list)
        places = defaultdict(dict)
        for place, (block, own) in enumerate(blocks):
            times[block.seed].append(sum(map(durations.seconds, own)) / len(own))
            what = frozenset((cell.sampler, cell.multiplier) for cell in own)
            places[dataclasses.replace(block, seed=0), what][block.seed] = place
        for own in times.values():
            assert own == sorted(own)
        # The same cells with the seed that was asked for first come first.
        seeds = list(dict.fromkeys(cell.seed for cell in cells))
        for found in places.values():
            in_order = [found[seed] for seed in seeds if seed in found]
            assert in_order == sorted(in_order)

    def test_a_second_seed_waits_for_what_takes_thrice_as_long(self):
        times = {"wine": 1.0, "digits": 2.5, "breast_cancer": 4.0}
        cells = [Cell(name, "none", "MLP", seed=seed) for seed in (5, 0) for name in times]
        durations = Durations(
            Outcome(dataclasses.replace(cell, seed=seed), 0.5, 0.5, times[cell.dataset])
            for cell in cells
            for seed in range(2000)
        )
        found = [(cell.dataset, cell.seed) for cell in order_cells(cells, durations)]
        # A second seed counts as three times its seconds: 1, 2.5, 3, 4, 7.5, 12.
        assert found == [
            ("wine", 5),
            ("digits", 5),
            ("wine", 0),
            ("breast_cancer", 5),
            ("digits", 0),
            ("breast_cancer", 0),
        ]


def test_a_detector_too_slow_for_a_quick_look_is_named(tmp_path):
    # On the smallest built-in dataset an FTTransformer takes minutes for each cell.
    plan = make_plan(TARGETS["table-1"], data_home=tmp_path, quick=True)
    assert plan.too_slow == ("FTTransformer",)
    assert {cell.detector for cell in plan.cells} == {"DeepSAD", "XGBOD", "MLP", "CatBoost"}
    assert make_plan(TARGETS["table-8"], data_home=tmp_path, quick=True).too_slow == ()
