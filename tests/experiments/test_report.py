"""The report: everything that was run is on one page, and says what is behind it."""

import csv
import io
import math
import re
from collections import Counter
from html.parser import HTMLParser
from statistics import median

import numpy as np
import pytest

from nngmix.datasets import list_adbench
from nngmix.experiments import Failure, Outcome, Results, read_results
from nngmix.experiments.paper import LEARNERS, TARGETS, list_cells
from nngmix.experiments.report import describe_costs, describe_runs, make_section, write_report
from nngmix.experiments.store import Record
from nngmix.experiments.summary import summarise
from nngmix.experiments.tables import number

pytest.importorskip("matplotlib", reason="matplotlib is not installed")
pytest.importorskip("jinja2", reason="jinja2 is not installed")

WITH_COLUMNS = [target for target in TARGETS.values() if target.columns]
TABLES = [target for target in WITH_COLUMNS if target.name.startswith("table")]
TABLE_1, TABLE_3, TABLE_7, TABLE_8 = (TARGETS[f"table-{n}"] for n in (1, 3, 7, 8))
CLASSICAL = [file.full_name for file in list_adbench("Classical")]
SCRIPT = "ValueError: <script>alert('no')</script> & <b>more</b>"
DAY = 86400.0
RUNS = {
    "one": {
        "started": 0.0,
        "processor": "A processor",
        "cores": 2,
        "memory": 8 * 2**30,
        "system": "Linux x86_64",
        "python": "3.11.9",
        "nngmix": "0.1.0",
        "packages": {"numpy": "2.3.0", "torch": "2.9.0"},
    },
    "two": {
        "started": 9 * DAY,
        "processor": "<b>Another</b> one",
        "cores": 1,
        "memory": None,
        "system": "Darwin arm64",
        "python": "3.12.1",
        "nngmix": "0.1.0",
        "packages": {"numpy": "2.2.0"},
    },
}


def score(cell):
    """Give each cell a number of its own."""
    return int(cell.key[:6], 16) / 0xFFFFFF


def results_of(cells, failed=(), runs=RUNS):
    records = {}
    for cell in cells:
        if cell in failed:
            result = Failure(cell, failed[cell], 7.0)
        else:
            result = Outcome(cell, score(cell), score(cell) / 2, 2.0 + cell.seed, 1.0, 3 * 2**29)
        run = "two" if cell.seed else "one"
        records[cell] = Record(result, run, 10 * DAY * cell.seed)
    return Results(records, dict(runs))


def files_of(target, n):
    return [file.full_name for file in list_adbench(target.suite)[:n]]


class Page(HTMLParser):
    """What a browser, or a screen reader, finds on the page; an element left open is an error."""

    VOID = frozenset({"meta", "link", "img", "br"})
    INLINE = frozenset({"a", "b", "i", "span", "code"})

    def __init__(self, html):
        super().__init__()
        self.open, self.ids, self.images, self.heads = [], [], [], []
        self.tables, self.sections, self.links = [], {}, []
        self.text = ""
        self.feed(html)
        self.close()
        assert not self.open

    def handle_starttag(self, tag, attrs):
        attrs = dict(attrs)
        assert tag != "script"
        if "id" in attrs:
            self.ids.append(attrs["id"])
        if tag == "a":
            self.links.append(attrs["href"])
        if tag == "img":
            self.images.append(attrs)
        if tag == "section":
            self.sections[attrs.get("id", "")] = ""
        if tag == "table":
            section = next((i for i in reversed(self.ids) if i in self.sections), "")
            self.tables.append({"section": section, "rows": []})
        if tag == "tr":
            self.tables[-1]["rows"].append([])
        if tag in ("th", "td"):
            width = int(attrs.get("colspan", 1))
            self.tables[-1]["rows"][-1].append([tag, attrs.get("scope"), width, ""])
        if tag not in self.INLINE:
            self.handle_data(" ")
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if "style" in self.open:
            return
        self.text += data
        if "section" in self.open:
            self.sections[list(self.sections)[-1]] += data
        if ("td" in self.open or "th" in self.open) and self.tables[-1]["rows"]:
            self.tables[-1]["rows"][-1][-1][3] += data

    def tables_of(self, name):
        return [table["rows"] for table in self.tables if table["section"] == name]


def words(text):
    return " ".join(text.split())


@pytest.fixture(scope="module")
def full(tmp_path_factory):
    """Every table and figure with all detectors, two seeds of six datasets, a few failures."""
    home = tmp_path_factory.mktemp("adbench")
    (home / "Classical").mkdir()
    # Only whether it is there matters: one dataset without a number has a file.
    (home / "Classical" / "9_census.npz").write_bytes(b"")
    cells = []
    for target in WITH_COLUMNS:
        cells += list_cells(target, files_of(target, 6), (0, 1))
    lost = [c for c in cells if (c.dataset, c.detector) == (CLASSICAL[5], "MLP")]
    lost = [c for c in lost if c.sampler != "none"]
    failed = dict.fromkeys(lost, "out of memory") | {lost[0]: SCRIPT}
    results = results_of(cells, failed)
    folder = tmp_path_factory.mktemp("report")
    page = write_report(results, folder, targets=TARGETS, data_home=str(home))
    return results, folder, page.read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def page(full):
    return Page(full[2])


class TestEverything:
    def test_every_table_and_figure_has_a_place(self, full, page):
        assert set(TARGETS) < set(page.ids)
        assert len(set(page.ids)) == len(page.ids)
        for link in page.links:
            assert link.removeprefix("#") in page.ids
        for target in WITH_COLUMNS:
            for ending in ("csv", "md", "tex"):
                assert (full[1] / "tables" / f"{target.name}.{ending}").stat().st_size > 100

    @pytest.mark.parametrize("target", WITH_COLUMNS, ids=lambda target: target.name)
    def test_tables_hold_all_numbers(self, full, page, target):
        """Each cell of the page against the means, worked out anew."""
        summary = summarise(target, full[0])
        table = page.tables_of(target.name)[0]
        rows = [[cell[3] for cell in row] for row in table[1:] if len(row) > 1]
        if target.by_dataset:
            rows = rows[-1:]
            expected = [[summary.entry(target.learners[0], c) for c in target.columns]]
        else:
            expected = [
                [summary.entry(b.learner, column) for b in summary.blocks]
                for column in target.columns
            ]
        assert len(rows) == len(expected)
        for row, entries in zip(rows, expected, strict=True):
            for text, entry in zip(row[1:], entries, strict=False):
                text = words(text)
                assert text.startswith(f"{number(entry.ours)} ± {number(entry.spread)}")
                assert f"AUCPR {number(entry.aucpr)}" in text
                assert ("paper" in text) == (not math.isnan(entry.published))
                if "paper" in text:
                    published, off = re.search(r"paper (\S+) (\S+)", text).groups()
                    assert published == number(entry.published)
                    off = float(off.replace("−", "-"))
                    assert off == pytest.approx(entry.difference, abs=0.0006)
                assert ("copies" in text) == (not math.isnan(entry.over_control))
                if "copies" in text:
                    gain = float(re.search(r"copies (\S+)", text)[1].replace("−", "-"))
                    assert gain == pytest.approx(entry.over_control, abs=0.0006)

    @pytest.mark.parametrize("target", WITH_COLUMNS, ids=lambda target: target.name)
    def test_what_is_behind_the_numbers_is_said(self, page, target):
        table = page.tables_of(target.name)[0]
        if target.by_dataset:
            assert words(table[-1][0][3]) == "mean of 6 datasets, seeds 0 and 1"
            return
        heads = [words(cell[3]) for cell in table[0]]
        assert heads[0] == "sampler"
        for learner, head in zip(target.learners, heads[1:], strict=False):
            n = 5 if learner.label == "MLP" and target.suite == "Classical" else 6
            assert head == f"{learner.label} {n} datasets, seeds 0 and 1"
        if len(target.learners) > 1:
            assert heads[-1] == "Average of these 5"

    def test_what_is_missing_is_named(self, page):
        for target in WITH_COLUMNS:
            text = words(page.sections[target.name])
            files = [file.full_name for file in list_adbench(target.suite)]
            has_file = target.suite == "Classical"
            listed = re.search(r"No file here[^:]*: (\d+)", text)
            assert int(listed[1]) == len(files) - 6 - has_file
            assert files[-1].split("/")[-1] in text
            if has_file:
                assert "Datasets not run yet, left out: 1 9_census" in text
            else:
                assert "not run yet" not in text

    def test_what_is_left_out_is_named(self, page):
        text = words(page.sections["table-1"])
        assert (
            "MLP: datasets left out of all means, since some columns have no number: 1 6_cardio"
            in text
        )

    def test_failures_are_listed_and_do_no_harm(self, full, page):
        html = full[2]
        assert "<script" not in html
        assert "<b>more</b>" not in html
        assert SCRIPT in page.text
        n = len(full[0].failures)
        assert f"{len(full[0].outcomes):,} experiments with a number, {n} that failed" in words(
            page.text
        )
        failures = words(page.sections["provenance"])
        assert f"{n - 1} × MLP: out of memory" in failures
        assert f"1 × MLP: {SCRIPT}" in failures

    def test_provenance_of_two_machines(self, full, page):
        text = words(page.sections["provenance"])
        assert "A processor, 2 cores, 8 GiB, Linux x86_64" in text
        assert "<b>Another</b> one, 1 core, Darwin arm64" in text
        assert "nngmix 0.1.0, Python 3.11.9, numpy 2.3.0, torch 2.9.0" in text
        assert "<b>Another" not in full[2]
        assert {"1970-01-01", "1970-01-11"} <= set(re.findall(r"\d{4}-\d\d-\d\d", text))

    def test_pictures(self, full, page):
        """Each stands on the page and in a file of its own, and has words."""
        files = sorted((full[1] / "figures").iterdir())
        assert len(page.images) == len(files) > 30
        assert len({file.stem for file in files}) == len(files)
        assert len({image["src"] for image in page.images}) == len(files)
        for image in page.images:
            assert image["src"].startswith(("data:image/svg+xml;base64,", "data:image/png;base64,"))
            assert len(image["alt"]) > 30
        names = {file.name for file in files}
        assert {f"figure-{n}.svg" for n in (3, 4, 5, 7)} | {"figure-1.png", "figure-8.png"} < names
        assert {
            f"table-1-ranks-{name}.svg"
            for name in ("all-detectors", *(one.label.lower() for one in LEARNERS))
        } <= names
        assert {"table-7-agreement-baseline.svg", "table-7-gain-over-duplicate.svg"} < names

    def test_a_picture_that_cannot_be_drawn_says_why(self, full, page):
        assert not (full[1] / "figures" / "figure-6.png").exists()
        assert "needs ADBench's file Classical/39_vertebral.npz" in words(page.sections["figure-6"])

    def test_at_a_glance(self, full, page):
        """Every detector and share of labels once, with the control between the two."""
        rows = page.tables_of("")[0]
        groups = [words(row[0][3]) for row in rows[1:] if len(row) == 1]
        assert groups == [
            "Table I: Classical, 1 % labelled",
            "Table II: CV, 1 % labelled",
            "Table III: NLP, 1 % labelled",
            "Table V: Classical, 5 % labelled",
            "Table V: Classical, 10 % labelled",
            "Table VII: Classical, 10 % labelled",
        ]
        summary = summarise(TABLE_1, full[0])
        base, control, *_, mix = TABLE_1.columns
        for learner, row in zip(LEARNERS, rows[2:], strict=False):
            assert row[0][3].startswith(learner.label)
            n = 5 if learner.label == "MLP" else 6
            assert f"{n} of 47 datasets, seeds 0 and 1" in words(row[0][3])
            for cell, column in zip(row[1:], (base, control, mix), strict=True):
                entry = summary.entry(learner, column)
                assert words(cell[3]).startswith(f"{number(entry.ours)} ± {number(entry.spread)}")
                assert f"AUCPR {number(entry.aucpr)}" in words(cell[3])

    @pytest.mark.parametrize("target", [*TABLES, TARGETS["figure-7"]], ids=lambda t: t.name)
    def test_wins_and_losses(self, full, page, target):
        """Counted from the cells: NNG-Mix 10× against the control, dataset by dataset."""
        rows = page.tables_of(target.name)[1]
        found = Counter()
        detector = ""
        for row in rows[1:]:
            if len(row) == 1:
                detector = row[0][3]
            else:
                counts = tuple(int(cell[3]) for cell in row[1:4])
                found[detector, words(row[0][3])] = counts
        for learner in target.learners:
            for panel in dict.fromkeys(column.panel for column in target.columns):
                [mix], [copies] = (
                    [
                        c
                        for c in target.columns
                        if (c.series, c.panel, c.multiplier) == (name, panel, 10)
                    ]
                    for name in ("NNG-Mix", "Duplicate")
                )
                gains = []
                for dataset in files_of(target, 6):
                    pair = [
                        [full[0].outcome(target.cell(learner, c, dataset, s)) for s in (0, 1)]
                        for c in (mix, copies)
                    ]
                    if None not in pair[0]:
                        gains.append(
                            sum(o.aucroc for o in pair[0]) / 2 - sum(o.aucroc for o in pair[1]) / 2
                        )
                won = sum(gain >= 0.0005 for gain in gains)
                lost = sum(gain <= -0.0005 for gain in gains)
                label = f"Duplicate 10× {panel} labelled" if panel else "Duplicate 10×"
                assert found[learner.label, label] == (won, len(gains) - won - lost, lost)


class TestEachDataset:
    """Table VII: all 47 datasets, with and without a file."""

    def test_all_datasets(self, full, page):
        rows = page.tables_of("table-7")[0]
        labels = [words(row[0][3]) for row in rows[1:-1]]
        assert labels == [
            *(name.split("/")[1] for name in CLASSICAL[:6]),
            *(f"{name.split('/')[1]} no file here" for name in CLASSICAL[6:8]),
            "9_census not run",
            *(f"{name.split('/')[1]} no file here" for name in CLASSICAL[9:]),
        ]
        for dataset, row in zip(CLASSICAL, rows[1:-1], strict=True):
            for column, cell in zip(TABLE_7.columns, row[1:], strict=True):
                text = words(cell[3])
                published = TABLE_7.published(LEARNERS[0], column, dataset.split("_", 1)[1])
                assert (f"paper {number(published)}" in text) == (not math.isnan(published))
                if dataset in CLASSICAL[:6]:
                    ours = np.mean(
                        [score(TABLE_7.cell(LEARNERS[0], column, dataset, s)) for s in (0, 1)]
                    )
                    assert text.startswith(number(float(ours)))
                else:
                    assert text.startswith("–")

    def test_how_far_and_how_many_improved(self, page):
        text = words(page.sections["table-7"])
        base, *_, ten = TABLE_7.columns

        def ours(column):
            return [
                np.mean([score(TABLE_7.cell(LEARNERS[0], column, d, s)) for s in (0, 1)])
                for d in CLASSICAL[:6]
            ]

        def theirs(column):
            names = [name.split("_", 1)[1] for name in CLASSICAL[:6]]
            return [TABLE_7.published(LEARNERS[0], column, name) for name in names]

        off = np.abs(np.subtract(ours(ten), theirs(ten))).mean()
        assert (
            f"NNG-Mix 10×: mean absolute difference to the published column {off:.4f} over 6 "
            "datasets" in text
        )
        better = int((np.subtract(ours(ten), ours(base)) > 0).sum())
        there = int((np.subtract(theirs(ten), theirs(base)) > 0).sum())
        assert f"With NNG-Mix 10×, {better} of 6 datasets improve" in text
        assert f"by the paper's numbers, {there} of 6 datasets improve" in text


class TestForEveryReader:
    def test_tables_have_heads_that_can_be_read_out(self, page):
        for table in page.tables:
            widths = {sum(cell[2] for cell in row) for row in table["rows"]}
            assert len(widths) == 1  # no row is short
            for cell in table["rows"][0]:
                assert cell[:2] == ["th", "col"]
            for row in table["rows"][1:]:
                scope = "rowgroup" if len(row) == 1 else "row"
                assert row[0][:2] == ["th", scope]
                assert all(cell[0] == "td" for cell in row[1:])

    def test_wide_tables_scroll_by_themselves_and_can_be_reached(self, full):
        html = full[2]
        regions = re.findall(
            r'<div class="wide" role="region" aria-label="([^"]+)" tabindex="0">\s*<table', html
        )
        assert len(regions) == html.count("<table")
        assert len(set(regions)) == len(regions)

    def test_nothing_is_loaded_from_elsewhere(self, full):
        html = full[2]
        for source in re.findall(r'(?:src|href)="([^"]*)"', html):
            assert source.startswith(("data:", "#"))
        assert "url(" not in html
        assert "@import" not in html

    def test_letters_stand_out(self, full):
        """WCAG asks for a contrast of 4.5 to 1."""
        style = full[2].split("<style>")[1].split("</style>")[0]
        variables = dict(re.findall(r"(--\w+): (#\w+)", style))
        letters = set(re.findall(r"(?<![-\w])color: (#\w+|var\(--\w+\))", style))
        grounds = {"#fff", *re.findall(r"background: (#\w+)", style)}
        assert len(letters) >= 5
        for letter in letters:
            colour = variables[letter[4:-1]] if letter.startswith("var") else letter
            for ground in grounds:
                pair = sorted([luminance(colour), luminance(ground)])
                assert (pair[1] + 0.05) / (pair[0] + 0.05) >= 4.5, (colour, ground)


def luminance(colour):
    digits = colour.lstrip("#")
    digits = "".join(2 * d for d in digits) if len(digits) == 3 else digits
    parts = [int(digits[i : i + 2], 16) / 255 for i in (0, 2, 4)]
    linear = [p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


class TestPartly:
    """Little was run: of Table III, which shares no cell with the others."""

    FILES = tuple(files_of(TABLE_3, 6))

    def cells(self, n, seeds=(0,), **more):
        return list_cells(TABLE_3, self.FILES[:n], seeds, learners=LEARNERS[:1], **more)

    def page_of(self, results, folder, targets=("table-3",), **more):
        page = write_report(results, folder, targets=targets, data_home=str(folder), **more)
        return Page(page.read_text(encoding="utf-8"))

    def test_same_cells_same_bytes(self, tmp_path):
        """In whatever order the cells and runs are in."""
        cells = self.cells(6, (0, 1))
        results = results_of(cells, {cells[0]: "out of memory", cells[1]: "time limit"})
        backwards = Results(
            dict(reversed(results.records.items())), dict(reversed(results.runs.items()))
        )
        self.page_of(results, tmp_path / "a")
        self.page_of(backwards, tmp_path / "b")
        self.page_of(read_results(tmp_path / "a" / "cells.parquet"), tmp_path / "c")
        files = [file for file in (tmp_path / "a").rglob("*") if file.is_file()]
        assert {"report.html", "cells.parquet", "table-3.csv", "table-3-ranks-deepsad.svg"} <= {
            file.name for file in files
        }
        for file in files:
            for other in "bc":
                twin = tmp_path / other / file.relative_to(tmp_path / "a")
                assert twin.read_bytes() == file.read_bytes(), twin

    def test_built_in_datasets(self, tmp_path):
        """They are every suite's: only the table that was asked for shows them."""
        results = results_of(list_cells(TABLE_3, ["wine", "digits"]))
        page = self.page_of(results, tmp_path)
        text = words(page.text)
        assert set(page.sections) == {"", "table-3", "provenance"}
        assert "Some tables below are on the built-in datasets" in text
        assert "On the built-in datasets digits, wine; the paper has no numbers for them" in text
        assert "No file here" not in text
        assert not re.search(r"paper 0\.\d", text.split("At a glance")[1])

    def test_nothing_was_run(self, tmp_path):
        page = self.page_of(Results({}, {}), tmp_path, ("table-1", "table-7", "figure-7"))
        text = words(page.text)
        assert text.count("Nothing of it was run yet") == 3
        assert "0 experiments with a number" in text
        assert "No file here: 47" in text
        assert "left out" not in text
        assert not page.images

    def test_only_what_is_wanted_or_has_numbers(self, tmp_path):
        results = results_of(self.cells(2, columns=TABLE_3.columns[2:4]))
        page = self.page_of(results, tmp_path, ())
        assert set(page.sections) == {"table-3", "provenance"}
        text = words(page.sections["table-3"])
        assert "Lines of the table not run yet: 1 Duplicate 10×" in text
        assert "NNG-Mix 10× – paper 0.586" in text

    def test_what_was_hardly_run_is_named(self, tmp_path):
        cells = [c for c in self.cells(6) if c.sampler != "NPOS" or c.dataset in self.FILES[:2]]
        text = words(self.page_of(results_of(cells), tmp_path).sections["table-3"])
        assert "DeepSAD: lines left out, run on too few datasets: 1 NPOS 10×" in text
        assert "6 datasets, seed 0" in text
        assert "NPOS 10× – paper 0.573" in text

    def test_protocols_do_not_mix(self, tmp_path):
        cells = [*self.cells(2), *self.cells(3, protocol="leak-free")]
        page = self.page_of(results_of(cells), tmp_path, protocol="leak-free")
        text = words(page.text)
        assert "27 experiments with a number" in text
        assert "3 datasets, seed 0" in text
        assert "The paper's numbers are of the split with leaks" in text
        assert len(read_results(tmp_path / "cells.parquet").records) == 45

    def test_a_page_is_replaced(self, tmp_path):
        self.page_of(results_of(self.cells(1)), tmp_path)
        text = words(self.page_of(results_of(self.cells(2)), tmp_path).text)
        assert "2 datasets, seed 0" in text
        assert "1 dataset, seed 0" not in text
        assert not list(tmp_path.rglob("*.nngmix*"))


class TestSections:
    def test_of_seeds(self):
        """Fig. 7 draws the seeds that all datasets have; with none in common there is nothing."""
        target = TARGETS["figure-7"]
        both = make_section(target, results_of(list_cells(target, CLASSICAL[:2], (0, 1))))
        assert "the mean of seeds 0 and 1 (bold)" in both.pictures[0].caption
        one = make_section(target, results_of(list_cells(target, CLASSICAL[:1], (3,))))
        assert one.pictures[0].caption == "DeepSAD: mean AUCROC over 1 dataset, seed 3 alone."
        apart = [
            *list_cells(target, CLASSICAL[:1], (0,)),
            *list_cells(target, CLASSICAL[1:2], (1,)),
        ]
        section = make_section(target, results_of(apart))
        assert section.pictures == ()
        assert section.layout.heads[0].behind == "2 datasets, 1 seed each"

    def test_a_damaged_file_costs_its_picture_only(self, tmp_path):
        (tmp_path / "Classical").mkdir()
        (tmp_path / "Classical" / "39_vertebral.npz").write_bytes(b"no such thing")
        section = make_section(TARGETS["figure-6"], Results({}, {}), data_home=str(tmp_path))
        assert section.pictures == ()

    def test_of_vertebral(self, adbench_home):
        section = make_section(TARGETS["figure-6"], Results({}, {}), data_home=str(adbench_home))
        assert [picture.name for picture in section.pictures] == ["figure-6"]

    def test_files_that_are_there(self, adbench_home):
        section = make_section(
            TABLE_8, results_of(list_cells(TABLE_8, CLASSICAL[:1])), data_home=str(adbench_home)
        )
        here = {f"Classical/{path.stem}" for path in (adbench_home / "Classical").glob("*.npz")}
        assert set(section.missing) == set(CLASSICAL) - here - set(CLASSICAL[:1])
        assert set(section.not_run) == here - set(CLASSICAL[:1])


class TestProvenance:
    def test_costs(self):
        cells = list_cells(TABLE_1, CLASSICAL[:2], (0, 1), learners=LEARNERS[1:3])
        failed = {cells[0]: "out of memory"}
        found = {line["detector"]: line for line in describe_costs(results_of(cells, failed))}
        assert list(found) == ["MLP", "XGBOD"]
        times = [2.0 + cell.seed for cell in cells[1:] if cell.detector == "XGBOD"]
        assert found["XGBOD"] == {
            "detector": "XGBOD",
            "cells": len(times),
            "median": median(times),
            "longest": 3.0,
            "hours": pytest.approx(sum(times) / 3600),
            "peak": 3 * 2**29,
        }
        cell = cells[0]
        unmeasured = Results({cell: Record(Outcome(cell, 0.5, 0.5, 1.0), "one", 0.0)}, {})
        assert describe_costs(unmeasured)[0]["peak"] is None

    def test_runs_on_one_machine_are_one(self):
        cells = list_cells(TABLE_8, CLASSICAL[:1], (0, 1))
        same = {"one": RUNS["one"], "two": RUNS["one"] | {"started": 5.0}}
        [line] = describe_runs(results_of(cells, {cells[0]: "time limit"}, same))
        assert line["cells"] == 10
        assert line["hours"] == pytest.approx((7.0 + 4 * 2.0 + 5 * 3.0) / 3600)
        assert (line["first"], line["last"]) == ("1970-01-01", "1970-01-11")

    def test_cells_of_a_run_that_nothing_is_known_of(self):
        [line] = describe_runs(results_of(list_cells(TABLE_8, CLASSICAL[:1]), runs={}))
        assert (line["machine"], line["versions"]) == ("unknown machine", "unknown versions")


def test_tables_in_files_are_those_of_the_page(full):
    """The CSV of each table has as many numbers as the page."""
    for target in WITH_COLUMNS:
        text = (full[1] / "tables" / f"{target.name}.csv").read_text(encoding="utf-8")
        rows = list(csv.DictReader(io.StringIO(text)))
        lines = 48 if target.by_dataset else len(target.columns)
        across = len(target.columns) if target.by_dataset else len(target.learners)
        assert len(rows) == lines * (across + (across > 1 and not target.by_dataset))
