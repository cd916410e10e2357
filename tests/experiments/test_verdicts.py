"""What is said of a table: counted by hand, and held against plain loops."""

import itertools
import math
import re

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nngmix.datasets import list_adbench
from nngmix.experiments import Outcome, Results
from nngmix.experiments.paper import LEARNERS, TARGETS, list_cells
from nngmix.experiments.store import Record
from nngmix.experiments.summary import summarise
from nngmix.experiments.verdicts import (
    compare_columns,
    find_reference,
    make_facts,
    rank_columns,
)

TABLE_1, TABLE_5, TABLE_7, TABLE_8 = (TARGETS[f"table-{n}"] for n in (1, 5, 7, 8))
FILES = [file.full_name for file in list_adbench("Classical")]
DEEPSAD = LEARNERS[0]


def score(cell):
    """Give each cell a number of its own."""
    return int(cell.key[:6], 16) / 0xFFFFFF


def summary_of(target, cells, score=score):
    records = {cell: Record(Outcome(cell, score(cell), 0.5, 1.0), "run", 0.0) for cell in cells}
    return summarise(target, Results(records, {}))


def filled(target, columns, seeds=(0,)):
    """Fill a table with a list of values, one for each dataset, by column and in all seeds."""
    values = {
        target.cell(DEEPSAD, column, dataset, seed): value
        for column, given in columns.items()
        for seed in seeds
        for dataset, value in zip(FILES, given, strict=False)
    }
    return summary_of(target, values, values.__getitem__)


def naive(target, learner, column, datasets, seeds=(0,)):
    """Mean over a column's datasets, each of which is a mean over seeds."""
    return [
        sum(score(target.cell(learner, column, d, s)) for s in seeds) / len(seeds) for d in datasets
    ]


def numbers_in(text):
    return [float(n.replace("−", "-")) for n in re.findall(r"[+−]?\d+(?:\.\d+)?", text)]


class TestComparisons:
    BASE = (0.5, 0.6, 0.7, 0.8, 0.9, 0.4)
    MIX = (0.61, 0.72, 0.83, 0.94, 0.95, 0.46)  # +.11 +.12 +.13 +.14 +.05 +.06
    COPIES = (0.61, 0.72, 0.83, 0.9404, 0.93, 0.47)  # 3 equal, one nearly, +.02, -.01
    CUTOUT = (0.62, 0.74, 0.86, 0.98, 1.0, 0.52)  # all worse
    CUTMIX = MIX

    def test_by_hand(self):
        columns = dict(
            zip(
                TABLE_8.columns,
                (self.BASE, self.COPIES, self.CUTOUT, self.CUTMIX, self.MIX),
                strict=True,
            )
        )
        found = {v.opponent: v for v in compare_columns(filled(TABLE_8, columns))}
        assert list(found) == ["Baseline", "Duplicate 10×", "Cutout+GN 10×", "CutMix+GN 10×"]
        counts = {
            name: (v.result.wins, v.result.ties, v.result.losses) for name, v in found.items()
        }
        assert counts == {
            "Baseline": (6, 0, 0),
            "Duplicate 10×": (1, 4, 1),
            "Cutout+GN 10×": (0, 0, 6),
            "CutMix+GN 10×": (0, 6, 0),
        }
        assert found["Baseline"].result.mean_difference == pytest.approx(0.61 / 6)
        assert found["Duplicate 10×"].result.mean_difference == pytest.approx(0.0096 / 6)
        # Six of six in one direction: two of 64 choices of signs. Against the copies, three are
        # equal, and −0.0004, +0.02 and −0.01 have ranks 4, 6 and 5: 6 of 15 go up, and no choice
        # of signs comes nearer to the half.
        raw = [2 / 64, 1.0, 2 / 64, 1.0]
        assert [v.result.p_value for v in found.values()] == pytest.approx(raw)
        assert [v.p_value for v in found.values()] == pytest.approx([4 / 32, 1, 4 / 32, 1])
        assert {v.detector for v in found.values()} == {"DeepSAD"}

    def test_each_part_of_a_table_for_itself(self):
        cells = list_cells(TABLE_5, FILES[:6])
        found = compare_columns(summary_of(TABLE_5, cells))
        keys = [(v.detector, v.panel, v.opponent) for v in found]
        assert keys == [
            (learner.label, panel, opponent)
            for learner in LEARNERS
            for panel in ("1 %", "5 %", "10 %")
            for opponent in ("Baseline", "Duplicate 10×")
        ]
        for v in found:
            learner = next(one for one in LEARNERS if one.label == v.detector)
            of_part = {
                " ".join(part for part in (c.series, c.x) if part): c
                for c in TABLE_5.columns
                if c.panel == v.panel
            }
            mix, other = (
                naive(TABLE_5, learner, of_part[name], FILES[:6])
                for name in ("NNG-Mix 10×", v.opponent)
            )
            gains = [a - b for a, b in zip(mix, other, strict=True)]
            assert v.result.wins == sum(gain >= 0.0005 for gain in gains)
            assert v.result.losses == sum(gain <= -0.0005 for gain in gains)
            assert v.result.mean_difference == pytest.approx(sum(gains) / len(gains))

    def test_a_correction_for_all_of_a_table(self):
        found = compare_columns(summary_of(TABLE_1, list_cells(TABLE_1, FILES[:8])))
        assert len(found) == 5 * 8
        raw = sorted(v.result.p_value for v in found)
        steps = [p * (len(raw) - i) for i, p in enumerate(raw)]
        expected = [min(1.0, p) for p in itertools.accumulate(steps, max)]
        assert sorted(v.p_value for v in found) == pytest.approx(expected)
        assert all(v.p_value >= v.result.p_value for v in found)

    @pytest.mark.parametrize("name", ["figure-3", "figure-4", "figure-5"])
    def test_none_in_figures(self, name):
        target = TARGETS[name]
        cells = list_cells(target, FILES[:3], learners=LEARNERS[:1])
        assert compare_columns(summary_of(target, cells)) == ()

    def test_but_of_the_seeds(self):
        target = TARGETS["figure-7"]
        assert len(compare_columns(summary_of(target, list_cells(target, FILES[:3], (0, 1))))) == 8

    def test_one_dataset_is_none(self):
        assert compare_columns(summary_of(TABLE_8, list_cells(TABLE_8, FILES[:1]))) == ()

    def test_nothing_was_run(self):
        nothing = summarise(TABLE_7, Results({}, {}))
        assert compare_columns(nothing) == ()
        assert rank_columns(nothing) == []
        assert list(make_facts(nothing)) == []

    def test_without_nng_mix(self):
        columns = TABLE_8.columns[:-1]
        summary = summary_of(TABLE_8, list_cells(TABLE_8, FILES[:6], columns=columns))
        assert compare_columns(summary) == ()
        assert find_reference(summary.blocks[0], "") is None
        assert (
            find_reference(summary_of(TABLE_8, list_cells(TABLE_8, FILES[:2])).blocks[0], "")
            == (TABLE_8.columns[-1])
        )


class TestRankings:
    def test_by_hand(self):
        columns = dict.fromkeys(TABLE_8.columns)
        rows = [  # five datasets; Baseline, Duplicate, Cutout+GN, CutMix+GN, NNG-Mix
            (0.1, 0.2, 0.3, 0.4, 0.5),  # ranks 5 4 3 2 1
            (0.5, 0.4, 0.3, 0.2, 0.1),  # 1 2 3 4 5
            (0.1, 0.2, 0.2, 0.4, 0.5),  # 5 3.5 3.5 2 1
            (0.1, 0.1, 0.1, 0.1, 0.5),  # 3.5 3.5 3.5 3.5 1
            (0.1, 0.2, 0.3, 0.4, 0.5),  # 5 4 3 2 1
        ]
        for column, values in zip(columns, zip(*rows, strict=True), strict=True):
            columns[column] = values
        [ranking] = rank_columns(filled(TABLE_8, columns, seeds=(0, 1)))
        assert ranking.detector == "DeepSAD"
        assert ranking.samplers == ("Baseline", "Duplicate", "Cutout+GN", "CutMix+GN", "NNG-Mix")
        assert ranking.n_datasets == 5
        assert ranking.ranks.average_ranks == pytest.approx([3.9, 3.4, 3.2, 2.7, 1.8])

    def test_all_detectors_come_first_on_what_they_share(self):
        """They are ranked by each dataset's mean over detectors."""
        cells = list_cells(TABLE_1, FILES[:7], learners=LEARNERS[:2])
        cells = [c for c in cells if c.detector == "DeepSAD" or c.dataset != FILES[0]]
        rankings = rank_columns(summary_of(TABLE_1, cells))
        assert [(r.detector, r.n_datasets) for r in rankings] == [
            ("All detectors", 6),
            ("DeepSAD", 7),
            ("XGBOD", 6),
        ]
        ranks = np.zeros(len(TABLE_1.columns))
        for dataset in FILES[1:7]:
            means = [
                sum(score(TABLE_1.cell(one, column, dataset, 0)) for one in LEARNERS[:2])
                for column in TABLE_1.columns
            ]
            ranks += [1 + sum(other > mean for other in means) for mean in means]
        assert rankings[0].ranks.average_ranks == pytest.approx(ranks / 6)

    def test_too_few_to_tell(self):
        assert rank_columns(summary_of(TABLE_1, list_cells(TABLE_1, FILES[:4]))) == []
        two = list_cells(TABLE_8, FILES[:6], columns=TABLE_8.columns[:2])
        assert rank_columns(summary_of(TABLE_8, two)) == []
        assert rank_columns(summary_of(TABLE_5, list_cells(TABLE_5, FILES[:6]))) == []

    def test_only_ten_times_as_many(self):
        table = TARGETS["table-4"]
        cells = list_cells(table, FILES[:5], learners=LEARNERS[:1])
        [ranking] = rank_columns(summary_of(table, cells))
        assert ranking.samplers == (
            *("Baseline", "Duplicate", "Mixup", "Cutout", "CutMix", "GN", "NNG-Mix"),
        )


class TestSentences:
    def test_how_near_the_published_means_are(self):
        files, seeds = FILES[:6], (0, 1)
        first, second, *rest = make_facts(summary_of(TABLE_1, list_cells(TABLE_1, files, seeds)))
        gaps = []
        for learner in LEARNERS:
            for column in TABLE_1.columns:
                published = TABLE_1.published(learner, column)
                if not math.isnan(published):
                    gaps.append(np.mean(naive(TABLE_1, learner, column, files, seeds)) - published)
        assert len(gaps) == 40
        assert numbers_in(first) == [
            40,
            pytest.approx(np.mean(np.abs(gaps)), abs=0.0005),
            pytest.approx(np.mean(gaps), abs=0.0005),
        ]
        assert "over 47 datasets, ours over 6 of them" in second
        assert len(rest) == len(LEARNERS)

    def test_from_how_few_to_how_many_datasets(self):
        cells = list_cells(TABLE_1, FILES[:7], learners=LEARNERS[:2])
        cells = [c for c in cells if c.detector == "DeepSAD" or c.dataset in FILES[:5]]
        assert "ours over 5 to 7 of them" in list(make_facts(summary_of(TABLE_1, cells)))[1]

    def test_a_handful_of_datasets_tells_nothing_of_means_over_dozens(self):
        whole = list_cells(TABLE_1, FILES[:7], learners=LEARNERS[:1])
        handful = list_cells(TABLE_1, FILES[:4], learners=LEARNERS[1:2])
        first, second, *_ = make_facts(summary_of(TABLE_1, [*whole, *handful]))
        alone = list(make_facts(summary_of(TABLE_1, whole)))
        assert [first, second] == alone[:2]
        # Where there is no more, it has to do.
        assert "ours over 4 of them" in list(make_facts(summary_of(TABLE_1, handful)))[1]

    def test_nothing_is_said_of_datasets_where_all_are_there(self):
        cells = list_cells(TABLE_8, FILES)
        assert not [f for f in make_facts(summary_of(TABLE_8, cells)) if "of them" in f]

    def test_every_detector_with_the_control(self):
        files = FILES[:9]
        sentences = list(make_facts(summary_of(TABLE_1, list_cells(TABLE_1, files))))[2:]
        base, copies, *_, mix = TABLE_1.columns
        for learner, sentence in zip(LEARNERS, sentences, strict=True):
            found = [naive(TABLE_1, learner, column, files) for column in (base, copies, mix)]
            gains = [a - b for a, b in zip(found[2], found[1], strict=True)]
            assert sentence.startswith(f"{learner.label}: ")
            b, c, _, m, _, above, n, below = numbers_in(sentence.split(": ", 1)[1])
            assert [b, c, m] == pytest.approx([np.mean(column) for column in found], abs=0.0005)
            assert above == sum(gain >= 0.0005 for gain in gains)
            assert below == sum(gain <= -0.0005 for gain in gains)
            assert n == 9

    def test_one(self):
        """No "1 datasets", no "1 means"."""
        cells = list_cells(TABLE_8, FILES[:1], columns=TABLE_8.columns[:1])
        first, second = make_facts(summary_of(TABLE_8, cells))
        assert first.startswith("1 published mean has one of ours beside it: ")
        assert "ours over 1 of them" in second
        facts = " ".join(make_facts(summary_of(TABLE_7, list_cells(TABLE_7, FILES[:1]))))
        assert "over 1 dataset (" in facts
        assert not re.search(r"\b1 (datasets|means)", facts)

    def test_built_in_datasets_have_nothing_published(self):
        facts = list(make_facts(summary_of(TABLE_1, list_cells(TABLE_1, ["wine", "digits"]))))
        assert len(facts) == len(LEARNERS)
        assert not [fact for fact in facts if "published" in fact]
        facts = list(make_facts(summary_of(TABLE_7, list_cells(TABLE_7, ["wine", "digits"]))))
        assert len(facts) == 2
        assert not [fact for fact in facts if "paper" in fact or "published" in fact]


class TestSentencesOnEachDataset:
    """Table VII, where ours are the published numbers and what is added to them."""

    ADDED = (0.01, -0.02, 0.0, 0.03)

    def test_ours_are_off_by_what_was_added(self):
        base, *_, ten = TABLE_7.columns
        control = TABLE_7.columns[3]
        names = [name.split("/")[1].split("_", 1)[1] for name in FILES[:4]]
        published = {
            column: [TABLE_7.published(DEEPSAD, column, name) for name in names]
            for column in (base, ten)
        }
        ours = {
            base: published[base],
            control: [value - 0.001 for value in published[ten]],
            ten: [v + more for v, more in zip(published[ten], self.ADDED, strict=True)],
        }
        off, near, seed_0, gain, copies = make_facts(filled(TABLE_7, ours, seeds=(0, 1, 2)))
        assert off.startswith("Baseline: mean absolute difference to the published column 0.0000")
        assert near == (
            "NNG-Mix 10×: mean absolute difference to the published column 0.0150 over 4 datasets "
            "(largest 0.030); mean difference +0.0050."
        )
        assert seed_0.endswith("differences are 0.0000 (Baseline), 0.0150 (NNG-Mix 10×).")
        gains = [a - b for a, b in zip(ours[ten], ours[base], strict=True)]
        theirs = [a - b for a, b in zip(published[ten], published[base], strict=True)]
        _, better, n, mean, better_there, n_there, mean_there = numbers_in(gain)
        assert (better, n) == (sum(g > 0.0005 for g in gains), 4)
        assert (better_there, n_there) == (sum(t > 0.0005 for t in theirs), 4)
        assert better != better_there  # or this would show little
        assert [mean, mean_there] == pytest.approx([np.mean(gains), np.mean(theirs)], abs=0.0005)
        assert numbers_in(copies)[2:] == [
            *(sum(more > -0.001 for more in self.ADDED), 4, 1),
            pytest.approx(0.006, abs=0.0005),
        ]

    def test_the_published_seed_alone(self):
        """Where there are several seeds, and only then."""
        sentences = list(make_facts(summary_of(TABLE_7, list_cells(TABLE_7, FILES[:6], (0, 1)))))
        [alone] = [sentence for sentence in sentences if sentence.startswith("With seed 0 alone")]
        expected = []
        for column in TABLE_7.columns:
            if column.series != "Duplicate":
                gaps = [
                    score(TABLE_7.cell(DEEPSAD, column, d, 0))
                    - TABLE_7.published(DEEPSAD, column, d.split("/")[1].split("_", 1)[1])
                    for d in FILES[:6]
                ]
                expected.append(f"{np.mean(np.abs(gaps)):.4f} ({column.label})")
        assert alone.endswith(f"differences are {', '.join(expected)}.")
        for seeds in [(0,), (1, 2)]:
            sentences = make_facts(summary_of(TABLE_7, list_cells(TABLE_7, FILES[:6], seeds)))
            assert not [sentence for sentence in sentences if "alone" in sentence]

    @settings(max_examples=25, deadline=None)
    @given(st.lists(st.tuples(*[st.integers(0, 1000)] * 3), min_size=1, max_size=6))
    def test_counts_of_any_numbers(self, rows):
        base, control, ten = TABLE_7.columns[0], TABLE_7.columns[3], TABLE_7.columns[-1]
        columns = dict(
            zip(
                (base, control, ten),
                [[value / 1000 for value in given] for given in zip(*rows, strict=True)],
                strict=True,
            )
        )
        gain, copies = list(make_facts(filled(TABLE_7, columns)))[-2:]
        _, better, n, mean = numbers_in(gain)[:4]
        assert (better, n) == (sum(mix > b for b, _, mix in rows), len(rows))
        assert mean == pytest.approx(np.mean([m - b for b, _, m in rows]) / 1000, abs=0.00051)
        _, _, above, n, below, mean = numbers_in(copies)
        assert (above, n) == (sum(mix > c for _, c, mix in rows), len(rows))
        assert below == sum(mix < c for _, c, mix in rows)
        assert mean == pytest.approx(np.mean([m - c for _, c, m in rows]) / 1000, abs=0.00051)
        assert f"of {len(rows)} dataset{'s' if len(rows) > 1 else ''} improve" in gain
