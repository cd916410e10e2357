"""Tables as readers get them: on a page, as CSV, Markdown and LaTeX."""

import csv
import dataclasses
import io
import math
import re
import shutil
import subprocess

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nngmix.datasets import list_adbench
from nngmix.experiments import Failure, Outcome, Results
from nngmix.experiments.paper import LEARNERS, TARGETS, list_cells
from nngmix.experiments.store import Record
from nngmix.experiments.summary import Entry, summarise
from nngmix.experiments.tables import (
    Head,
    Layout,
    Line,
    as_csv,
    as_latex,
    as_markdown,
    chance,
    lay_out,
    name_seeds,
    number,
)

WITH_COLUMNS = [target for target in TARGETS.values() if target.columns]
NAN = float("nan")


def score(cell):
    """Give each cell a number of its own."""
    return int(cell.key[:6], 16) / 0xFFFFFF


def results_of(cells, failed=()):
    def result(cell):
        if cell in failed:
            return Failure(cell, "out of memory", 1.0)
        return Outcome(cell, score(cell), score(cell) / 2, 1.0)

    return Results({cell: Record(result(cell), "run", 0.0) for cell in cells}, {})


def files_of(target, n):
    return [file.full_name for file in list_adbench(target.suite)[:n]]


@pytest.fixture(scope="module", params=WITH_COLUMNS, ids=lambda target: target.name)
def layout(request):
    """Each table and figure, with two seeds of three datasets."""
    target = request.param
    return lay_out(summarise(target, results_of(list_cells(target, files_of(target, 3), (0, 1)))))


class TestLayout:
    def test_every_line_has_an_entry_for_every_head(self, layout):
        assert layout.lines
        assert not layout.not_run
        assert all(len(line.entries) == len(layout.heads) for line in layout.lines)

    def test_samplers_down_detectors_across(self):
        target = TARGETS["table-5"]
        found = lay_out(summarise(target, results_of(list_cells(target, files_of(target, 4)))))
        assert found.corner == "sampler"
        assert [head.label for head in found.heads] == [one.label for one in LEARNERS] + ["Average"]
        assert {head.behind for head in found.heads[:-1]} == {"4 datasets, seed 0"}
        assert found.heads[-1].behind == "of these 5"
        assert [line.label for line in found.lines[:3]] == [
            "1 % Baseline",
            "1 % Duplicate 1×",
            "1 % Duplicate 5×",
        ]
        assert [line.is_control for line in found.lines[:3]] == [False, True, True]
        column = target.columns[6]
        ours = [
            np.mean([score(target.cell(learner, column, d, 0)) for d in files_of(target, 4)])
            for learner in LEARNERS
        ]
        assert [e.ours for e in found.lines[6].entries] == pytest.approx([*ours, np.mean(ours)])

    def test_the_average_says_of_which_detectors(self):
        target = TARGETS["table-1"]
        whole = list_cells(target, files_of(target, 2), learners=LEARNERS[:2])
        part = list_cells(target, files_of(target, 2), learners=LEARNERS[2:3])
        results = results_of([*whole, *(cell for cell in part if cell.sampler != "NPOS")])
        found = lay_out(summarise(target, results))
        assert found.heads[-1] == Head("Average", "of DeepSAD, XGBOD")

    def test_seeds_that_not_all_datasets_have(self):
        target = TARGETS["table-8"]
        files = files_of(target, 3)
        some = list_cells(target, files, (0,))
        more = list_cells(target, files[:1], (1, 2))
        for cells, expected in (
            (some, "3 datasets, seed 0"),
            ([*some, *more], "3 datasets, 1 to 3 seeds each"),
            ([*more, *list_cells(target, files[1:2], (4, 5))], "2 datasets, 2 seeds each"),
            (list_cells(target, files, (1, 2)), "3 datasets, seeds 1 and 2"),
        ):
            assert lay_out(summarise(target, results_of(cells))).heads[0].behind == expected

    def test_one_detector_has_no_average(self):
        target = TARGETS["table-8"]
        found = lay_out(summarise(target, results_of(list_cells(target, files_of(target, 2)))))
        assert [head.label for head in found.heads] == ["DeepSAD"]

    def test_lines_that_nobody_has_a_number_for_are_named(self):
        """Published numbers stay in, though; Fig. 3 has some for up to ten times."""
        target = TARGETS["figure-3"]
        done = [c for c in target.columns if c.panel == "(b)" and c.label_ratio == 0.01]
        found = lay_out(
            summarise(target, results_of(list_cells(target, files_of(target, 2), columns=done)))
        )
        assert "(a) NNG-Mix 5×" in {line.label for line in found.lines}
        assert "(a) Duplicate 5×" in found.not_run
        assert "(a) NNG-Mix 100×" in found.not_run
        assert len(found.lines) + len(found.not_run) == len(target.columns)

    def test_a_line_for_each_dataset(self):
        target, files = TARGETS["table-7"], [f.full_name for f in list_adbench("Classical")]
        cells = list_cells(target, files[:3])
        failed = {cell for cell in cells if cell.dataset == files[2] and cell.multiplier == 10}
        found = lay_out(summarise(target, results_of(cells, failed)), absent=files[40:])
        *datasets, mean = found.lines
        assert [line.series for line in datasets] == [name.split("/")[1] for name in files]
        assert len(datasets) == 47
        assert [line.note for line in datasets] == [
            *["", "", "incomplete"],
            *["not run"] * 37,
            *["no file here"] * 7,
        ]
        assert [line.is_mean for line in found.lines] == [False] * 47 + [True]
        assert mean.series == "mean of 2 datasets, seed 0"
        assert mean.entries[0].ours == pytest.approx(
            np.mean([line.entries[0].ours for line in datasets[:2]])
        )
        assert not math.isnan(datasets[46].entries[0].published)
        assert math.isnan(datasets[46].entries[0].ours)


NUMBERS = st.one_of(st.just(NAN), st.floats(-2, 2))
ENTRIES = st.builds(
    Entry, NUMBERS, NUMBERS, NUMBERS, NUMBERS, NUMBERS, st.integers(0, 99), st.integers(0, 9)
)
# What a dataset or sampler might be called, and what each format has a meaning for.
WORDS = st.text(
    alphabet=st.sampled_from("abc ,;\"'&%$#_{}~^\\±×–σα*<>1") | st.characters(categories=["Ll"]),
    max_size=12,
)


@st.composite
def layouts(draw):
    heads = draw(st.lists(st.builds(Head, WORDS, WORDS), min_size=1, max_size=3))
    row = st.lists(ENTRIES, min_size=len(heads), max_size=len(heads)).map(tuple)
    lines = st.builds(Line, WORDS, WORDS, WORDS, row, st.booleans())
    return Layout("sampler", tuple(heads), tuple(draw(st.lists(lines, max_size=4))))


def check_csv(layout):
    rows = list(csv.DictReader(io.StringIO(as_csv(layout), newline="")))
    expected = [
        (line, head, e)
        for line in layout.lines
        for head, e in zip(layout.heads, line.entries, strict=True)
    ]
    assert len(rows) == len(expected)
    for row, (line, head, entry) in zip(rows, expected, strict=True):
        assert [row["panel"], row[layout.corner], row["x"], row["column"]] == [
            *(line.panel, line.series, line.x, head.label)
        ]
        for field in (*dataclasses.fields(Entry), None):
            name = "difference" if field is None else field.name
            value = getattr(entry, name)
            if math.isnan(value):
                assert row[name] == ""
            else:
                assert float(row[name]) == pytest.approx(value, abs=1e-6)


class TestCsv:
    def test_of_the_paper(self, layout):
        check_csv(layout)

    @settings(max_examples=60)
    @given(layouts())
    def test_of_anything(self, layout):
        check_csv(layout)


class TestMarkdown:
    def test_of_the_paper(self, layout):
        rows = as_markdown(layout).splitlines()
        assert len(rows) == 2 + len(layout.lines)
        assert {row.count("|") for row in rows} == {len(layout.heads) + 2}
        assert all(row.startswith("| ") and row.endswith(" |") for row in rows)
        for head in layout.heads:
            assert head.label in rows[0]
            assert head.behind in rows[0]
        for line, row in zip(layout.lines, rows[2:], strict=True):
            label, *cells = (cell.strip() for cell in row.strip("|").split("|"))
            assert line.label in label
            assert label.startswith("*") == (line.is_control or line.is_mean)
            for cell, entry in zip(cells, line.entries, strict=True):
                assert number(entry.ours) in cell
                assert (f"± {entry.spread:.3f}" in cell) == (not math.isnan(entry.spread))
                assert (f"({number(entry.published)})" in cell) == (not math.isnan(entry.published))


# Every special character stands behind a backslash, or in a command's name or braces.
ESCAPED = re.compile(
    r"\\text(?:backslash|asciitilde|asciicircum)\{\}|\\[&%$#_{}]|\$\\(?:pm|times|sigma|alpha)\$"
)


class TestLatex:
    def test_of_the_paper(self, layout):
        text = as_latex(layout, "Table I: 1 % of the anomalies, 10×.", "tab:table-1")
        assert text.isascii()
        for begun in re.findall(r"\\begin\{(\w+)\}", text):
            assert text.count(rf"\end{{{begun}}}") == 1
        body = text.split(r"\midrule", 1)[1].split(r"\bottomrule")[0]
        rows = [row for row in body.splitlines() if row and row != r"\midrule"]
        assert len(rows) == len(layout.lines)
        for row in rows:
            assert len(re.findall(r"(?<!\\)&", row)) == len(layout.heads)
            assert row.endswith(r"\\")
        for head in layout.heads:
            assert head.behind in text  # in the caption

    @given(WORDS)
    def test_escapes(self, word):
        line = Line("", word, "", (Entry(0.5, 0.5),))
        text = as_latex(Layout("sampler", (Head("MLP"),), (line,)), "Few.", "tab:few")
        [row] = [row for row in text.splitlines() if row.endswith(r"& 0.500 (0.500) \\")]
        label = row.removesuffix(r" & 0.500 (0.500) \\")
        assert not set(ESCAPED.sub("", label)) & set("\\&%$#_{}~^±×–σα")

    def test_compiles(self, tmp_path):
        if shutil.which("pdflatex") is None:
            pytest.skip("no pdflatex on this machine")
        texts = []
        for target in WITH_COLUMNS:
            cells = list_cells(target, files_of(target, 2), (0, 1))
            layout = lay_out(summarise(target, results_of(cells)))
            texts.append(as_latex(layout, target.title, f"tab:{target.name}"))
        (tmp_path / "all.tex").write_text(
            "\\documentclass{article}\\usepackage{booktabs}\\begin{document}\n"
            + "\\clearpage\n".join(texts)
            + "\\end{document}\n"
        )
        subprocess.run(
            ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "all.tex"],
            cwd=tmp_path,
            check=True,
            capture_output=True,
            timeout=120,
        )


@given(st.floats(0, 1))
def test_chance_is_near(p_value):
    text = chance(p_value)
    if p_value < 0.0001:
        assert text == "< 0.0001"
    else:
        assert float(text) == pytest.approx(p_value, rel=0.05)
        assert "e" not in text


@given(st.lists(st.integers(0, 30), min_size=1, max_size=6, unique=True).map(sorted))
def test_seeds_in_words_are_the_seeds(seeds):
    words = name_seeds(tuple(seeds))
    found = [int(digits) for digits in re.findall(r"\d+", words)]
    if " to " in words:
        found = list(range(found[0], found[1] + 1))
    assert found == seeds
    assert words.startswith("seeds " if len(seeds) > 1 else "seed ")
