"""Beyond the paper: our own detectors beside its own, counted by hand and held against loops."""

import csv
import dataclasses
import io
import itertools
import math
import re

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nngmix.datasets import list_adbench
from nngmix.experiments import Failure, Outcome, Results
from nngmix.experiments.paper import ALL_LEARNERS, BEYOND, LEARNERS, TARGETS, list_cells
from nngmix.experiments.plan import make_plan
from nngmix.experiments.report import make_section, write_report
from nngmix.experiments.statistics import holm, paired
from nngmix.experiments.store import Record
from nngmix.experiments.summary import find_gaps, find_gaps_to_best, summarise
from nngmix.experiments.tables import as_markdown, lay_out, lay_out_datasets
from nngmix.experiments.verdicts import (
    compare_detectors,
    make_facts,
    versus_as_csv,
    versus_as_markdown,
)

TARGET = BEYOND["beyond"]
FILES = [file.full_name for file in list_adbench("Classical")]
DEEPSAD, XGBOD, MLP, FT, CATB, TREES, AUTO = ALL_LEARNERS
PARTS = ("1 %", "5 %", "10 %")
BASE, COPIES, MIX = TARGET.columns[:3]


def score(cell):
    """Give each cell a number of its own."""
    return int(cell.key[:6], 16) / 0xFFFFFF


def results_of(cells, score=score):
    def record(cell):
        return Record(Outcome(cell, score(cell), score(cell) / 2, 1.0), "run", 0.0)

    return Results({cell: record(cell) for cell in cells}, {})


def summary_of(cells, score=score):
    return summarise(TARGET, results_of(cells, score))


def methods():
    """Each detector with each sampler that it is run with, in the part of 1 %."""
    return [(one, c) for one in ALL_LEARNERS for c in (BASE, COPIES, MIX) if one.takes(c)]


def filled(values, seeds=(0,)):
    """Fill the part of 1 % with values, one for each dataset, by (learner, column)."""
    numbers = {
        TARGET.cell(learner, column, dataset, seed): value
        for (learner, column), given in values.items()
        for seed in seeds
        for dataset, value in zip(FILES, given, strict=False)
    }
    return summary_of(numbers, numbers.__getitem__)


class TestCells:
    @pytest.mark.parametrize(
        ("name", "n_files"), [("beyond", 47), ("beyond-cv", 61), ("beyond-nlp", 13)]
    )
    def test_number(self, name, n_files):
        target = BEYOND[name]
        files = [file.full_name for file in list_adbench(target.suite)]
        cells = list_cells(target, files, seeds=(0,))
        # Five detectors with three samplers each, two alone; three shares of labels.
        assert len(cells) == len(set(cells)) == n_files * (5 * 3 + 2) * 3
        assert target.seeds == (0, 1, 2, 3, 4)
        assert {cell.label_ratio for cell in cells} == {0.01, 0.05, 0.1}
        assert {cell.protocol for cell in cells} == {"adbench"}

    def test_not_among_the_papers(self):
        assert not set(BEYOND) & set(TARGETS)
        assert all(target.contender is None for target in TARGETS.values())
        assert {target.contender for target in BEYOND.values()} == {AUTO}

    def test_our_own_detectors_take_no_sampler(self):
        cells = list_cells(TARGET, FILES[:1], seeds=(0,))
        samplers = {
            detector: {cell.sampler for cell in cells if cell.detector == detector}
            for detector in {cell.detector for cell in cells}
        }
        assert samplers.pop("BaggedTrees") == samplers.pop("AutoDetector") == {"none"}
        assert set(samplers) == {one.detector for one in LEARNERS}
        assert all(found == {"none", "Duplicate", "NNGMix"} for found in samplers.values())

    @pytest.mark.parametrize(
        ("name", "tables"),
        [
            ("beyond", ["table-5"]),
            ("beyond-cv", ["table-2"]),
            ("beyond-nlp", ["table-3"]),
        ],
    )
    def test_the_papers_cells_are_the_same(self, name, tables):
        target = BEYOND[name]
        files = [file.full_name for file in list_adbench(target.suite)][:2]
        ours = set(list_cells(target, files, seeds=(0,)))
        for table in tables:
            columns = [
                column
                for column in TARGETS[table].columns
                if column.multiplier in (0, 10)
                and column.series in ("Baseline", "Duplicate", "NNG-Mix")
            ]
            theirs = set(list_cells(TARGETS[table], files, columns=columns))
            assert len(theirs) == 2 * 5 * len(columns)
            assert theirs <= ours

    @pytest.mark.parametrize("name", BEYOND)
    def test_a_quick_look(self, name, tmp_path):
        plan = make_plan(BEYOND[name], data_home=tmp_path, quick=True)
        assert plan.too_slow == ("FTTransformer",)
        assert {cell.detector for cell in plan.cells} == {
            one.detector for one in ALL_LEARNERS if one != FT
        }
        assert {cell.seed for cell in plan.cells} == {0}


class TestTests:
    """Wilcoxon's test over datasets, by hand and for any numbers."""

    OURS = (0.9, 0.9, 0.9, 0.9, 0.9, 0.9)
    WORSE = (0.8, 0.79, 0.78, 0.77, 0.76, 0.75)
    BETTER = (0.91, 0.92, 0.93, 0.94, 0.95, 0.96)
    ALIKE = (0.9, 0.9, 0.9004, 0.8996, 0.8, 0.99)

    def test_by_hand(self):
        summary = filled(
            {
                (AUTO, BASE): self.OURS,
                (DEEPSAD, BASE): self.WORSE,
                (DEEPSAD, MIX): self.BETTER,
                (TREES, BASE): self.ALIKE,
                (XGBOD, BASE): self.WORSE[:4],  # too few to test
            }
        )
        found = {v.opponent: v for v in compare_detectors(summary) if v.metric == "AUCROC"}
        assert list(found) == ["DeepSAD, Baseline", "DeepSAD, NNG-Mix 10×", "BaggedTrees"]
        counts = {
            name: (v.result.wins, v.result.ties, v.result.losses) for name, v in found.items()
        }
        assert counts == {
            "DeepSAD, Baseline": (6, 0, 0),
            "DeepSAD, NNG-Mix 10×": (0, 0, 6),
            "BaggedTrees": (1, 4, 1),
        }
        # Six of six one way is 2 of 64 choices of signs; three tests of one part and metric.
        corrected = [v.p_value for v in found.values()]
        assert corrected == pytest.approx([3 * 2 / 64, 3 * 2 / 64, 1])
        assert {(v.detector, v.panel) for v in found.values()} == {("AutoDetector", "1 %")}
        gains = [v.result.mean_difference for v in found.values()]
        assert gains == pytest.approx([0.125, -0.035, (0.1 - 0.09) / 6])

    def test_each_part_and_metric_is_corrected_for_itself(self):
        files = FILES[:7]
        found = compare_detectors(summary_of(list_cells(TARGET, files, (0, 1))))
        assert len(found) == 2 * 3 * 16
        for (metric, panel), group in itertools.groupby(found, lambda v: (v.metric, v.panel)):
            own = list(group)
            assert len(own) == 16
            # AUCPR is half of the AUCROC here.
            scale = {"AUCROC": 1, "AUCPR": 0.5}[metric]
            expected = {}
            column_of = {c.series: c for c in TARGET.columns if c.panel == panel}

            def means(learner, column, scale=scale):
                return [
                    scale * np.mean([score(TARGET.cell(learner, column, d, s)) for s in (0, 1)])
                    for d in files
                ]

            for learner in (*LEARNERS, TREES):
                for series, x in (("Baseline", ""), ("Duplicate", " 10×"), ("NNG-Mix", " 10×")):
                    if learner.takes(column_of[series]):
                        name = learner.label if learner.alone else f"{learner.label}, {series}{x}"
                        expected[name] = paired(
                            means(AUTO, column_of["Baseline"]), means(learner, column_of[series])
                        )
            assert [v.opponent for v in own] == list(expected)
            for v in own:
                assert dataclasses.astuple(v.result) == pytest.approx(
                    dataclasses.astuple(expected[v.opponent])
                )
            raw = [v.result.p_value for v in own]
            assert [v.p_value for v in own] == pytest.approx(list(holm(raw)))

    def test_only_seeds_that_both_have(self):
        """Another seed is another split: it says nothing about a difference."""
        cells = [
            *list_cells(TARGET, FILES[:6], (0, 1, 2), learners=[AUTO], columns=[BASE]),
            *list_cells(TARGET, FILES[:6], (1, 2, 3), learners=[MLP], columns=[BASE]),
        ]
        ours, theirs = (one for one in summary_of(cells).methods("1 %") if one.outcomes)
        for gap in find_gaps(ours, theirs):
            assert gap.n_seeds == 2
            expected = [
                np.mean([score(TARGET.cell(who, BASE, gap.dataset, s)) for s in (1, 2)])
                for who in (AUTO, MLP)
            ]
            assert [gap.ours, gap.theirs] == pytest.approx(expected)

    def test_nothing_without_the_contender(self):
        cells = list_cells(TARGET, FILES[:6], (0,), learners=[MLP, TREES])
        assert compare_detectors(summary_of(cells)) == ()

    def test_in_files(self):
        versus = compare_detectors(summary_of(list_cells(TARGET, FILES[:6], (0,))))
        rows = list(csv.DictReader(io.StringIO(versus_as_csv(versus))))
        assert len(rows) == len(versus)
        for row, v in zip(rows, versus, strict=True):
            about = [row[name] for name in ("metric", "panel", "method", "against")]
            assert about == [v.metric, v.panel, "AutoDetector", v.opponent]
            counts = [int(row[name]) for name in ("wins", "ties", "losses")]
            assert counts == [v.result.wins, v.result.ties, v.result.losses]
            assert float(row["p_holm"]) == pytest.approx(v.p_value, rel=1e-4)
        head, _, *lines = versus_as_markdown(versus).splitlines()
        assert head.startswith("| AutoDetector against | AUCROC, 1 % | AUCROC, 5 % | AUCROC, 10 %")
        assert len(lines) == 16
        assert {line.count("|") for line in lines} == {8}


class TestGaps:
    def test_by_hand(self):
        summary = filled(
            {
                (AUTO, BASE): (0.9, 0.9, 0.9, 0.9, 0.9, 0.5),
                (CATB, MIX): (0.8, 0.99, 0.9, 0.0, 0.0, 0.61),
                (TREES, BASE): (0.7, 0.95, 0.9, 0.3),
            }
        )
        found = find_gaps_to_best(summary, "1 %")
        assert [gap.difference for gap in found] == pytest.approx([0.1, -0.09, 0, 0.6, 0.9, -0.11])
        assert [gap.opponent for gap in found] == [
            *("CatB, NNG-Mix 10×", "CatB, NNG-Mix 10×", "CatB, NNG-Mix 10×"),
            *("BaggedTrees", "CatB, NNG-Mix 10×", "CatB, NNG-Mix 10×"),
        ]
        assert find_gaps_to_best(summary, "5 %") == []
        [told] = [fact for fact in make_facts(summary) if "best of all others" in fact]
        assert "AutoDetector is above it in AUCROC on 3 of 6 datasets and below on 2" in told
        assert "by more than 0.10, above on 2 and below on 1: 6_cardio (0.500, CatB," in told

    @settings(max_examples=15)
    @given(st.data())
    def test_whatever_is_missing(self, data):
        """The least of the differences, each over the seeds in common."""
        files, seeds = FILES[:3], (0, 1)
        cells = list_cells(TARGET, files, seeds, columns=[BASE, MIX])
        lost = set(data.draw(st.lists(st.sampled_from(cells), max_size=40)))
        kept = [cell for cell in cells if cell not in lost]
        found = {gap.dataset: gap for gap in find_gaps_to_best(summary_of(kept), "1 %")}
        for dataset in files:
            differences = []
            for learner, column in methods():
                pairs = [
                    (TARGET.cell(AUTO, BASE, dataset, s), TARGET.cell(learner, column, dataset, s))
                    for s in seeds
                ]
                both = [score(a) - score(b) for a, b in pairs if a in kept and b in kept]
                if learner != AUTO and both:
                    differences.append(sum(both) / len(both))
            assert (dataset in found) == bool(differences)
            if differences:
                assert found[dataset].difference == pytest.approx(min(differences))


class TestTable:
    def test_what_was_not_run_is_shown_as_missing(self):
        cells = list_cells(TARGET, FILES[:6], (0, 1), learners=[MLP, AUTO])
        layout = lay_out(summary_of(cells))
        heads = {head.label: head.behind for head in layout.heads}
        assert list(heads) == [one.label for one in ALL_LEARNERS]
        assert heads["MLP"] == heads["AutoDetector"] == "6 datasets, seeds 0 and 1"
        others = [one for one in ALL_LEARNERS if one not in (MLP, AUTO)]
        assert {heads[one.label] for one in others} == {"not run"}
        assert len(layout.lines) == 9
        for line, column in zip(layout.lines, TARGET.columns, strict=True):
            for learner, entry in zip(ALL_LEARNERS, line.entries, strict=True):
                assert math.isnan(entry.ours) == (
                    learner not in (MLP, AUTO) or not learner.takes(column)
                )
                published = column.series != "Duplicate" and not learner.alone
                assert math.isnan(entry.published) != published
        text = as_markdown(layout)
        assert "FTTransformer<br>not run" in text
        facts = list(make_facts(summary_of(cells)))
        assert facts[0] == "Not run: DeepSAD, XGBOD, FTTransformer, CatB, BaggedTrees."

    def test_means_and_spread(self):
        files, seeds = FILES[:5], (0, 1, 2)
        layout = lay_out(summary_of(list_cells(TARGET, files, seeds)))
        for line, column in zip(layout.lines, TARGET.columns, strict=True):
            for learner, entry in zip(ALL_LEARNERS, line.entries, strict=True):
                if learner.takes(column):
                    by_seed = [
                        np.mean([score(TARGET.cell(learner, column, d, s)) for d in files])
                        for s in seeds
                    ]
                    assert entry.ours == pytest.approx(np.mean(by_seed))
                    assert entry.aucpr == pytest.approx(np.mean(by_seed) / 2)
                    assert entry.spread == pytest.approx(np.std(by_seed, ddof=1))
                    assert (entry.n_datasets, entry.n_seeds) == (5, 3)

    def test_a_part_does_not_cost_another_its_datasets(self):
        cells = list_cells(TARGET, FILES[:6], (0, 1), learners=[CATB])
        few = [c for c in cells if c.label_ratio == 0.01 or c.dataset in FILES[:4]]
        few = [c for c in few if c.label_ratio != 0.1]
        [head] = [h for h in lay_out(summary_of(few)).heads if h.label == "CatB"]
        assert head.behind == "1 %: 6 datasets, seeds 0 and 1; 5 %: 4 datasets, seeds 0 and 1"
        [missing, run, *_] = make_facts(summary_of(few))
        assert "CatB (10 %)" in missing
        assert run == "Run on fewer than 5 datasets, and not tested: CatB (5 %)."

    def test_parts_of_different_datasets(self):
        """No dataset has both shares of labels: still there is a number in each part."""
        one, five = (c for c in TARGET.columns[:6] if c.series == "Baseline")
        cells = [
            *list_cells(TARGET, FILES[:1], (0,), learners=[AUTO], columns=[one]),
            *list_cells(TARGET, FILES[1:2], (0,), learners=[AUTO], columns=[five]),
        ]
        summary = summary_of(cells)
        assert summary.has_numbers
        entries = [line.entries[-1] for line in lay_out(summary).lines]
        assert [entries[0].ours, entries[3].ours] == pytest.approx([score(c) for c in cells])
        assert make_section(TARGET, results_of(cells)).layout is not None

    def test_each_dataset(self):
        cells = [
            *list_cells(TARGET, FILES[:2], (0, 1)),
            *list_cells(TARGET, FILES[2:3], (4,), learners=[MLP]),
        ]
        layouts = lay_out_datasets(summary_of(cells))
        assert tuple(layouts) == PARTS
        for panel, layout in layouts.items():
            names = [name.split("/")[1] for name in FILES[:3]]
            assert [line.series for line in layout.lines] == names
            assert [head.label for head in layout.heads][:2] == [
                "AutoDetector",
                "DeepSAD, Baseline",
            ]
            assert len(layout.heads) == 17
            base = next(c for c in TARGET.columns if c.panel == panel)
            ours = [score(TARGET.cell(AUTO, base, FILES[1], s)) for s in (0, 1)]
            assert layout.lines[1].entries[0].ours == pytest.approx(np.mean(ours))
            assert layout.lines[1].entries[0].spread == pytest.approx(np.std(ours, ddof=1))
            told = [not math.isnan(entry.ours) for entry in layout.lines[2].entries]
            assert sum(told) == 3
        # DeepSAD's own number of each dataset is in Table VII.
        assert layouts["10 %"].lines[1].entries[1].published == pytest.approx(0.898)
        assert math.isnan(layouts["1 %"].lines[1].entries[1].published)


class TestFacts:
    def test_ranked_over_the_datasets_that_all_have(self):
        """XGBOD does best where it was run, and was run on the easier half only."""
        summary = filled(
            {
                (AUTO, BASE): (0.9, 0.9, 0.5, 0.5),
                (MLP, BASE): (0.6, 0.6, 0.6, 0.6),
                (MLP, COPIES): (0.7, 0.7, 0.6, 0.6),
                (XGBOD, BASE): (0.8, 0.8),
                (FT, BASE): (1.0,),  # too few to count
            }
        )
        [told] = [fact for fact in make_facts(summary) if "mean AUCROC over" in fact]
        assert told == (
            "1 % labelled, mean AUCROC over the 2 datasets that all of these have, each with the "
            "sampler that serves it best here: AutoDetector 0.900; XGBOD, Baseline 0.800; MLP, "
            "Duplicate 10× 0.700."
        )

    def test_losses_are_named(self):
        ours, worse, better = TestTests.OURS, TestTests.WORSE, TestTests.BETTER
        two = {(AUTO, BASE): ours * 2, (TREES, BASE): better * 2, (CATB, MIX): worse * 2}
        [told] = [f for f in make_facts(filled(two)) if f.startswith("1 % labelled, AUCROC")]
        assert "told apart from 2 of 2 others" in told
        assert "ahead of 1, behind 1 (BaggedTrees)." in told
        two[CATB, MIX] = ours * 2
        [told] = [f for f in make_facts(filled(two)) if f.startswith("1 % labelled, AUCPR")]
        assert "ahead of 0, behind 1 (BaggedTrees). Not told apart: CatB, NNG-Mix 10×." in told


# The NLP files: few, and hardly any other table shares their cells.
NLP = BEYOND["beyond-nlp"]
NLP_FILES = [file.full_name for file in list_adbench("NLP")][:6]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Some detectors on six files, a cell of which failed, as a page."""
    pytest.importorskip("matplotlib", reason="matplotlib is not installed")
    pytest.importorskip("jinja2", reason="jinja2 is not installed")
    ran = [MLP, CATB, TREES, AUTO]
    results = results_of(list_cells(NLP, NLP_FILES, (0,), learners=ran))
    lost = NLP.cell(CATB, BASE, NLP_FILES[5], 0)
    failed = Record(Failure(lost, "out of memory", 1.0), "run", 0.0)
    results = Results(results.records | {lost: failed}, {})
    folder = tmp_path_factory.mktemp("beyond")
    write_report(results, folder, targets=[NLP.name], data_home=str(folder))
    return folder


class TestPage:
    def test_section(self, folder):
        page = (folder / "report.html").read_text(encoding="utf-8")
        section = page.split('<section id="beyond-nlp">')[1].split("</section>")[0]
        words = " ".join(re.sub("<[^>]*>", " ", section).split())
        assert "FTTransformer not run" in words
        assert "CatB, 1 %: 1 experiment failed: out of memory" in words
        assert "CatB, 1 %: datasets left out of all means" in words
        assert "AutoDetector against the others, dataset by dataset" in words
        for panel in PARTS:
            for metric in ("AUCROC", "AUCPR"):
                # A head, and the first line below it.
                assert f"{metric}, {panel} labelled MLP, Baseline" in words
            assert f"Dataset by dataset, {panel} labelled" in words
        assert section.count("<table") == 2 + 3
        regions = re.findall(r'aria-label="([^"]+)"', section)
        assert len(set(regions)) == 5

    def test_files(self, folder):
        tables = {path.name for path in (folder / "tables").iterdir()}
        stems = {NLP.name, *(f"{NLP.name}-{n}-percent" for n in (1, 5, 10))}
        assert tables >= {f"{stem}.{kind}" for stem in stems for kind in ("csv", "md", "tex")}
        assert tables >= {f"{NLP.name}-tests.csv", f"{NLP.name}-tests.md"}
        figures = {path.name for path in (folder / "figures").iterdir()}
        assert figures >= {
            f"{NLP.name}.svg",
            *(f"{NLP.name}-gaps-{n}-percent.svg" for n in (1, 5, 10)),
        }

    def test_the_contender_stands_out(self):
        pytest.importorskip("matplotlib", reason="matplotlib is not installed")
        ran = [DEEPSAD, TREES, AUTO]
        cells = list_cells(TARGET, FILES[:6], (0,), learners=ran)
        lines, *gaps = make_section(TARGET, results_of(cells)).pictures
        widths = [line.get_linewidth() for line in lines.figure.axes[0].get_lines()]
        assert len(widths) == 3
        assert widths[0] > 2 * widths[1] == 2 * widths[2]
        drawn = lines.figure.axes[0].get_lines()[0].get_ydata()
        columns = [c for c in TARGET.columns if c.series == "Baseline"]
        expected = [
            np.mean([score(TARGET.cell(AUTO, c, d, 0)) for d in FILES[:6]]) for c in columns
        ]
        assert list(drawn) == pytest.approx(expected)
        names = [text.get_text() for text in lines.figure.legends[0].get_texts()]
        assert names == ["AutoDetector", "DeepSAD", "BaggedTrees"]
        assert "Not run, or on too few datasets: XGBOD, MLP, FTTransformer, CatB." in lines.caption
        assert [picture.folded for picture in gaps] == [False, True, True]
        shown = [text.get_text() for text in gaps[0].figure.axes[0].get_yticklabels()]
        assert sorted(shown) == sorted(name.split("/")[1] for name in FILES[:6])

    def test_without_the_contender(self):
        pytest.importorskip("matplotlib", reason="matplotlib is not installed")
        cells = list_cells(TARGET, FILES[:6], (0,), learners=[MLP, TREES])
        section = make_section(TARGET, results_of(cells))
        assert [picture.name for picture in section.pictures] == ["beyond"]
        assert section.versus == ()
        assert "AutoDetector" in section.facts[0]

    def test_shown_where_our_own_detectors_were_run_or_by_name(self, tmp_path):
        pytest.importorskip("matplotlib", reason="matplotlib is not installed")
        pytest.importorskip("jinja2", reason="jinja2 is not installed")

        def sections(learners, targets=()):
            cells = list_cells(NLP, NLP_FILES[:2], (0,), learners=learners, columns=[BASE])
            page = write_report(results_of(cells), tmp_path, targets=targets)
            return set(re.findall(r'<section id="(beyond[^"]*)">', page.read_text("utf-8")))

        assert sections([MLP]) == set()
        assert sections([TREES], ["beyond-cv"]) == {"beyond-cv", "beyond-nlp"}
