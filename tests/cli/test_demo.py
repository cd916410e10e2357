import csv
import html.parser
import itertools
import math
import os
import struct
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from nngmix.cli import demo
from nngmix.cli.errors import UsageError
from nngmix.datasets import BUILTIN_NAMES
from nngmix.experiments import Cell, Outcome

Run = Callable[..., Any]
SAMPLERS, DETECTORS = ("none", "Duplicate", "NNGMix"), ("MLP", "CatBoost")
VOID = {"meta", "img", "br", "link", "hr", "input"}


class Page(html.parser.HTMLParser):
    """A page's tags and text; complains of tags that do not close."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.text = ""
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data

    def of(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.tags if name == tag]


def outcomes(seeds: int) -> list[Outcome]:
    """Outcomes with numbers that can be told apart: the set, the seed, detector and sampler."""
    return [
        Outcome(
            Cell(dataset, sampler, detector, protocol="leak-free", seed=seed),
            aucroc=0.5 + i / 10 + j / 100 + k / 1000 + seed / 10_000,
            aucpr=0.4 + i / 10 + j / 100 + k / 1000,
            seconds=0.1,
        )
        for (i, dataset), (j, detector), (k, sampler), seed in itertools.product(
            enumerate(BUILTIN_NAMES), enumerate(DETECTORS), enumerate(SAMPLERS), range(seeds)
        )
    ]


@pytest.fixture
def pictures(monkeypatch: pytest.MonkeyPatch) -> None:
    """Small pictures in place of three maps, which take their time."""
    from nngmix.plotting import plot_pseudo_anomalies

    rows = np.random.default_rng(0).normal(size=(30, 2))
    figure = plot_pseudo_anomalies(rows, rows[:2], rows[:9])
    monkeypatch.setattr(demo, "_picture", lambda name: (figure, f"rows of {name} & <more>"))


class TestSummary:
    def test_means_and_spread(self) -> None:
        found = outcomes(3)
        summary = demo._summarise(found)
        assert list(summary) == [*BUILTIN_NAMES, "mean of sets"]
        for name, rows in summary.items():
            assert list(rows) == list(itertools.product(DETECTORS, SAMPLERS))
            for (detector, sampler), numbers in rows.items():
                by_seed = [
                    np.mean(
                        [
                            o.aucroc
                            for o in found
                            if o.cell.dataset in (name if name in BUILTIN_NAMES else BUILTIN_NAMES)
                            and (o.cell.detector, o.cell.sampler) == (detector, sampler)
                            and o.cell.seed == seed
                        ]
                    )
                    for seed in range(3)
                ]
                assert numbers["aucroc"] == pytest.approx(np.mean(by_seed))
                assert numbers["aucroc_sd"] == pytest.approx(np.std(by_seed, ddof=1))
                assert numbers["aucpr_sd"] == pytest.approx(0, abs=1e-12)

    def test_order_is_irrelevant(self) -> None:
        found = outcomes(2)
        assert demo._summarise(found[::-1]).keys() == demo._summarise(found).keys()

    def test_one_seed_has_no_spread(self) -> None:
        summary = demo._summarise(outcomes(1))
        numbers = summary["wine"]["MLP", "none"]
        assert math.isnan(numbers["aucroc_sd"])
        assert demo._cell_text(numbers, "aucroc") == f"{numbers['aucroc']:.3f}"
        assert "±" in demo._cell_text(demo._summarise(outcomes(2))["wine"]["MLP", "none"], "aucpr")

    def test_table(self, capsys: pytest.CaptureFixture[str]) -> None:
        demo._print(demo._summarise(outcomes(2)), 2)
        out = capsys.readouterr().out
        assert "over 2 seeds" in " ".join(out.split())
        assert max(map(len, out.splitlines())) <= 80
        for word in (*BUILTIN_NAMES, "mean of sets", *DETECTORS, "NNGMix 10x", "Duplicate 10x"):
            assert word in out
        assert "…" not in out  # nothing is cut


class TestPage:
    @pytest.mark.parametrize("seeds", [1, 2])
    @pytest.mark.usefixtures("pictures")
    def test_page(self, tmp_path: Path, seeds: int) -> None:
        found = outcomes(seeds)
        summary = demo._summarise(found)
        index = demo._write(tmp_path, found, summary, seeds)
        assert index == tmp_path / "index.html"
        expected = ["index.html", "results.csv", *(f"{name}.png" for name in BUILTIN_NAMES)]
        assert sorted(os.listdir(tmp_path)) == sorted(expected)
        text = index.read_text(encoding="utf-8")
        page = Page(text)
        # Whole by itself: nothing is fetched from elsewhere.
        assert "://" not in text.replace("http://www.w3.org", "")
        assert not any(page.of(tag) for tag in ("script", "link", "iframe"))
        images = page.of("img")
        assert [image["src"] for image in images] == [f"{name}.png" for name in BUILTIN_NAMES]
        for image in images:
            content = (tmp_path / str(image["src"])).read_bytes()
            size = struct.unpack(">II", content[16:24])
            assert size == (int(image["width"] or 0), int(image["height"] or 0))
            assert image["alt"]
        assert [a["href"] for a in page.of("a")] == ["results.csv"]
        assert len(page.of("table")) == 2
        assert f"over {seeds}\nseed{'s' if seeds > 1 else ''};" in page.text
        assert ("±" in page.text) == (seeds > 1)
        for rows in summary.values():
            for numbers in rows.values():
                assert demo._cell_text(numbers, "aucroc") in page.text
                assert demo._cell_text(numbers, "aucpr") in page.text
        # In these numbers NNGMix always wins: once a detector and column, in both tables.
        best = [cell for cell in page.of("td") if cell.get("class") == "best"]
        assert len(best) == 2 * 2 * 4
        assert "rows of wine & <more>" in page.text

    @pytest.mark.usefixtures("pictures")
    def test_results(self, tmp_path: Path) -> None:
        found = outcomes(2)
        demo._write(tmp_path, found, demo._summarise(found), 2)
        with (tmp_path / "results.csv").open(newline="") as file:
            rows = list(csv.DictReader(file))
        assert len(rows) == 36
        for row, o in zip(rows, found, strict=True):
            assert (row["dataset"], row["sampler"]) == (o.cell.dataset, o.cell.sampler)
            assert (row["detector"], int(row["seed"])) == (o.cell.detector, o.cell.seed)
            assert (float(row["aucroc"]), float(row["aucpr"])) == (o.aucroc, o.aucpr)

    def test_picture_of_a_set(self) -> None:
        figure, told = demo._picture("wine")
        assert len(figure.axes) == 2
        assert "7 labelled anomalies; 70 pseudo-anomalies" in told
        labels = [text.get_text() for text in figure.legends[0].get_texts()]
        assert len(labels) == 4
        assert "hidden anomalies" in labels[1]


class TestChecks:
    def test_makes_the_folder(self, tmp_path: Path) -> None:
        demo._check(tmp_path / "a" / "b", n_jobs=-1, force=False)
        assert (tmp_path / "a" / "b").is_dir()
        demo._check(tmp_path / "a" / "b", n_jobs=1, force=False)

    def test_folder_with_content(self, tmp_path: Path) -> None:
        (tmp_path / "mine.txt").touch()
        with pytest.raises(UsageError, match=r"--output .* has content already; --force"):
            demo._check(tmp_path, n_jobs=1, force=False)
        demo._check(tmp_path, n_jobs=1, force=True)
        assert os.listdir(tmp_path) == ["mine.txt"]

    def test_one_line_each(self, nngmix: Run, tmp_path: Path) -> None:
        file = tmp_path / "file"
        file.touch()
        (tmp_path / "full").mkdir()
        (tmp_path / "full" / "mine.txt").touch()
        for args, told in [
            (("--output", file), "is not a folder"),
            (("--output", file / "below"), "cannot be made"),
            (("--output", tmp_path / "full"), "has content already"),
            (("--output", tmp_path / "new", "--n-jobs", "0"), "--n-jobs"),
        ]:
            result = nngmix("demo", *args)
            assert (result.code, result.out) == (2, "")
            assert result.err.startswith("nngmix: --")
            assert result.err.count("\n") == 1
            assert told in result.err
        assert sorted(os.listdir(tmp_path)) == ["file", "full"]

    @pytest.mark.skipif(not Path("/proc/self").is_dir(), reason="needs a folder nobody writes to")
    def test_folder_not_writable(self, nngmix: Run) -> None:
        result = nngmix("demo", "--output", "/proc", "--force")
        assert result.code == 2
        assert "'/proc' cannot be written" in result.err

    def test_no_seeds(self, nngmix: Run, tmp_path: Path) -> None:
        result = nngmix("demo", "--output", tmp_path / "new", "--seeds", "0")
        assert result.code == 2
        assert "--seeds" in result.err
        assert os.listdir(tmp_path) == []

    def test_missing_extras(
        self, nngmix: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        for gone, named in [
            (("catboost",), "catboost"),
            (("catboost", "jinja2", "matplotlib"), "catboost, jinja2, matplotlib"),
        ]:
            for name in gone:
                monkeypatch.setitem(sys.modules, name, None)
            result = nngmix("demo", "--output", tmp_path / "new")
            assert (result.code, result.out) == (1, "")
            assert result.err == (
                f"nngmix: the demonstration needs {named}: pip install 'nngmix[boost,plot]'\n"
            )
        assert os.listdir(tmp_path) == []


@pytest.mark.usefixtures("pictures")
def test_whole_command_with_quick_cells(
    nngmix: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = {}

    def quick(cells: list[Cell], *, n_jobs: int) -> list[Outcome]:
        asked["cells"], asked["n_jobs"] = cells, n_jobs
        known = {o.cell: o for o in outcomes(2)}
        return [known[cell] for cell in cells]

    monkeypatch.setattr("nngmix.experiments.run_cells", quick)
    output = tmp_path / "page"
    result = nngmix("demo", "--output", output, "--seeds", "2", "--n-jobs", "1")
    assert result.code == 0
    assert len(set(asked["cells"])) == 36
    assert asked["n_jobs"] == 1
    assert f"pictures and numbers: {output / 'index.html'}" in result.out
    assert "training" in result.err  # the progress bar is no part of the result
    again = nngmix("demo", "--output", output)
    assert again.code == 2


@pytest.mark.slow
def test_real_demonstration(tmp_path: Path) -> None:
    done = subprocess.run(
        [
            *(sys.executable, "-c", "from nngmix.cli import main; main()"),
            *("demo", "--output", "page", "--seeds", "1", "--n-jobs", "1"),
        ],
        capture_output=True,
        text=True,
        cwd=tmp_path,
    )
    assert done.returncode == 0, done.stderr
    assert "Warning" not in done.stderr
    assert "mean of sets" in done.stdout
    page = Page((tmp_path / "page" / "index.html").read_text(encoding="utf-8"))
    for image in page.of("img"):
        content = (tmp_path / "page" / str(image["src"])).read_bytes()
        assert struct.unpack(">II", content[16:24]) == (
            int(image["width"] or 0),
            int(image["height"] or 0),
        )
    with (tmp_path / "page" / "results.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 18
    assert all(0.5 < float(row["aucroc"]) <= 1 for row in rows)
