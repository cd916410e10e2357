"""nngmix reproduce: cells are run once, shown beside the published numbers, and never lost."""

import base64
import functools
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer

import pytest

from nngmix.datasets import BUILTIN_NAMES
from nngmix.experiments import read_results
from nngmix.experiments.paper import TARGETS

pytest.importorskip("matplotlib", reason="matplotlib is not installed")
pytest.importorskip("jinja2", reason="jinja2 is not installed")

QUICK = ("--quick", "--detectors", "MLP", "--samplers", "NNG-Mix,Mixup")
# The baseline and the control on three datasets.
FEWEST = ("--quick", "--detectors", "MLP", "--samplers", "Baseline")


@pytest.fixture(scope="module")
def empty(tmp_path_factory):
    """A folder without a file of ADBench."""
    return tmp_path_factory.mktemp("nothing")


@pytest.fixture(scope="module")
def done(nngmix, empty, tmp_path_factory):
    """Table I in quick, on the built-in datasets."""
    output = tmp_path_factory.mktemp("quick")
    return output, nngmix("reproduce", "table-1", *QUICK, "--data", empty, "--output", output)


@pytest.fixture(scope="module")
def page(done):
    return (done[0] / "report.html").read_text()


class TestQuick:
    def test_runs_on_the_built_in_datasets(self, done):
        output, result = done
        assert result.code == 0, result.err
        assert "Table I" in result.out
        assert re.search(r"Duplicate 10×\s*│\s*0\.\d{3}", result.out)
        outcomes = read_results(output / "cells.sqlite").outcomes
        assert {o.cell.dataset for o in outcomes} == set(BUILTIN_NAMES)
        # The baseline and the control come along.
        assert {o.cell.sampler for o in outcomes} == {"none", "Duplicate", "Mixup", "NNGMix"}
        assert len(outcomes) == 12
        assert all(o.seconds > 0 and o.cpu_seconds > 0 for o in outcomes)
        if sys.platform == "linux":
            assert all(50e6 < o.peak_bytes < 5e9 for o in outcomes)

    def test_what_is_written(self, done):
        output, result = done
        names = {path.relative_to(output).as_posix() for path in output.rglob("*.*")}
        assert names >= {
            "cells.sqlite",
            "cells.parquet",
            "report.html",
            "tables/table-1.csv",
            "tables/table-1.md",
            "tables/table-1.tex",
        }
        assert not [name for name in names if ".lock" in name or ".nngmix" in name]
        assert str(output / "report.html") in result.out

    def test_the_page_says_that_these_are_not_the_papers_datasets(self, done):
        page = (done[0] / "report.html").read_text()
        assert "the paper has no numbers for them" in page

    def test_a_second_start_runs_nothing(self, done, nngmix, empty):
        output, _ = done
        before = read_results(output / "cells.sqlite")
        result = nngmix("reproduce", "table-1", *QUICK, "--data", empty, "--output", output)
        assert result.code == 0
        assert read_results(output / "cells.sqlite").records == before.records

    def test_cells_from_elsewhere_are_taken_over(self, done, nngmix, empty, tmp_path):
        known = done[0] / "cells.parquet"
        result = nngmix(
            *("reproduce", "table-1", *QUICK, "--data", empty, "--output", tmp_path),
            *("--known", known),
        )
        assert result.code == 0
        assert "12 cells taken over" in result.err
        assert read_results(tmp_path / "cells.sqlite").records == read_results(known).records

    @pytest.mark.slow
    def test_two_detectors_and_seeds(self, nngmix, empty, tmp_path):
        pytest.importorskip("torch", reason="torch is not installed")
        result = nngmix(
            *("reproduce", "table-8", "--datasets", "builtin", "--seeds", "0-1"),
            *("--samplers", "GN", "--data", empty, "--output", tmp_path),
        )
        # Table VIII has no plain Gaussian noise: the baseline and the control are left.
        assert result.code == 0, result.err
        assert len(read_results(tmp_path / "cells.sqlite").outcomes) == 2 * 2 * 3
        assert "±" in (tmp_path / "tables" / "table-8.md").read_text()


@pytest.mark.slow
def test_beyond_the_paper(nngmix, empty, tmp_path):
    """A detector of our own on the built-in datasets; the others are shown as missing."""
    result = nngmix(
        *("reproduce", "beyond", "--quick", "--detectors", "BaggedTrees"),
        *("--data", empty, "--output", tmp_path),
    )
    assert result.code == 0, result.err
    outcomes = read_results(tmp_path / "cells.sqlite").outcomes
    assert {(o.cell.detector, o.cell.sampler) for o in outcomes} == {("BaggedTrees", "none")}
    assert len(outcomes) == 3 * len(BUILTIN_NAMES)
    assert "Not run: DeepSAD, XGBOD, MLP, FTTransformer, CatB, AutoDetector." in result.out
    assert '<section id="beyond">' in (tmp_path / "report.html").read_text()
    assert "MLP<br>not run" in (tmp_path / "tables" / "beyond.md").read_text()


class TestThePage:
    def test_loads_nothing_from_elsewhere(self, page):
        sources = re.findall(r'(?:src|href)="([^"]*)"', page)
        assert sources
        assert all(s.startswith(("data:", "#")) for s in sources)
        assert "@import" not in page
        assert "url(" not in page
        assert "<script" not in page

    def test_every_picture_is_whole_and_has_words(self, nngmix, done, tmp_path):
        result = nngmix("report", done[0] / "cells.sqlite", "--output", tmp_path)
        assert result.code == 0, result.err
        page = (tmp_path / "report.html").read_text()
        images = re.findall(r'<img src="data:(image/[^;]*);base64,([^"]*)" alt="([^"]*)">', page)
        # Figs. 1 and 8 need no data, and Fig. 3 has a point at 10x.
        assert len(images) >= 3
        for kind, content, words in images:
            picture = base64.b64decode(content)
            start = {"image/png": b"\x89PNG", "image/svg+xml": b"<?xml"}[kind]
            assert picture.startswith(start)
            assert len(words) > 20

    def test_links_lead_somewhere(self, page):
        for anchor in re.findall(r'href="#([^"]*)"', page):
            assert f'id="{anchor}"' in page

    @pytest.mark.slow
    def test_same_cells_same_bytes(self, nngmix, done, tmp_path):
        for name in "ab":
            assert nngmix("report", done[0] / "cells.sqlite", "--output", tmp_path / name).code == 0
        files = sorted(p.relative_to(tmp_path / "a") for p in (tmp_path / "a").rglob("*.*"))
        for file in files:
            assert (tmp_path / "a" / file).read_bytes() == (tmp_path / "b" / file).read_bytes()

    def test_in_a_browser(self, page, tmp_path):
        """No error in the console, and no page wider than a phone: tables scroll by themselves."""
        chromium = next(filter(None, map(shutil.which, ("chromium", "chromium-browser"))), None)
        if chromium is None:
            pytest.skip("no chromium on this machine")
        probe = (
            "<script>window.onload = () => document.title = `${document.images.length} "
            "${[...document.images].filter(i => !i.naturalWidth).length} "
            "${document.documentElement.scrollWidth <= window.innerWidth}`</script></body>"
        )
        (tmp_path / "page.html").write_text(page.replace("</body>", probe))
        for width in (1280, 500):
            told = subprocess.run(
                [
                    *(chromium, "--headless", "--no-sandbox", "--disable-gpu", "--dump-dom"),
                    *("--enable-logging=stderr", f"--window-size={width},900"),
                    *(f"--user-data-dir={tmp_path}/{width}", f"file://{tmp_path}/page.html"),
                ],
                capture_output=True,
                text=True,
                timeout=120,
                check=True,
            )
            assert "CONSOLE" not in told.stderr
            n_images, n_broken, fits = re.search(r"<title>(\d+) (\d+) (\w+)<", told.stdout).groups()
            assert int(n_broken) == 0
            assert fits == "true", (width, n_images)


class TestPublished:
    def test_beside_ours(self, nngmix, adbench_home, tmp_path):
        """Table VII of two datasets, to the digit, and the means over just these two."""
        pytest.importorskip("torch", reason="torch is not installed")
        result = nngmix(
            *("reproduce", "table-7", "--data", adbench_home, "--output", tmp_path),
            *("--datasets", "wine,WBC"),
        )
        assert result.code == 0, result.err
        table = (tmp_path / "tables" / "table-7.md").read_text()
        assert "| 45_wine | 0.813 (0.813) |" in table
        assert "| 42_WBC | 0.943 (0.943) |" in table
        assert "| **mean of 2 datasets, seed 0** | **0.878 (0.878)** |" in table
        assert "With NNG-Mix 10×, 2 of 2 datasets improve" in result.out
        assert "mean absolute difference to the published column 0.000" in result.out
        page = (tmp_path / "report.html").read_text()
        assert "paper 0.813" in page
        assert "17" in re.search(r"No file here[^<]*", page)[0]

    @pytest.mark.slow
    def test_missing_and_wrong_files_are_named(self, nngmix, adbench_home, tmp_path):
        home = tmp_path / "data"
        (home / "Classical").mkdir(parents=True)
        for name in ("45_wine", "42_WBC"):
            shutil.copy(adbench_home / "Classical" / f"{name}.npz", home / "Classical")
        with (home / "Classical" / "42_WBC.npz").open("ab") as file:
            file.write(b"more")
        result = nngmix(
            *("reproduce", "table-1", "--detectors", "MLP", "--samplers", "Mixup"),
            *("--data", home, "--output", tmp_path / "out", "--datasets", "wine,WBC,breastw"),
        )
        assert result.code == 0, result.err
        assert re.search(r"no file in .*: Classical/4_breastw$", result.err, re.MULTILINE)
        assert re.search(r"not as ADBench has them in .*: Classical/42_WBC$", result.err, re.M)
        results = read_results(tmp_path / "out" / "cells.sqlite")
        assert {o.cell.dataset for o in results.outcomes} == {"Classical/45_wine"}
        assert "4_breastw" in (tmp_path / "out" / "report.html").read_text()


class TestFetching:
    """Without --data, what is missing is downloaded; without a network, it goes on."""

    CALL = ("reproduce", "table-1", "--datasets", "wine", "--detectors", "MLP", "--samplers", "GN")

    @pytest.fixture
    def server(self, adbench_home):
        handler = functools.partial(Quiet, directory=adbench_home)
        with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
            thread = threading.Thread(target=server.serve_forever, args=(0.01,))
            thread.start()
            yield f"http://127.0.0.1:{server.server_port}"
            server.shutdown()
            thread.join()

    @pytest.mark.slow
    def test_from_a_server(self, nngmix, server, tmp_path, monkeypatch):
        monkeypatch.setenv("NNGMIX_DATA", str(tmp_path / "data"))
        monkeypatch.setenv("NNGMIX_ADBENCH_URL", server)
        result = nngmix(*self.CALL, "--output", tmp_path / "out")
        assert result.code == 0, result.err
        assert "fetching 1 file of ADBench" in result.err
        assert (tmp_path / "data" / "Classical" / "45_wine.npz").is_file()
        assert len(read_results(tmp_path / "out" / "cells.sqlite").outcomes) == 3

    def test_no_network(self, nngmix, tmp_path, monkeypatch):
        with socket.socket() as closed:
            closed.bind(("127.0.0.1", 0))
            address = f"http://127.0.0.1:{closed.getsockname()[1]}"
        monkeypatch.setenv("NNGMIX_DATA", str(tmp_path / "data"))
        monkeypatch.setenv("NNGMIX_ADBENCH_URL", address)
        result = nngmix(*self.CALL, "--output", tmp_path / "out")
        assert result.code == 0
        assert "going on with the files that are there" in result.err
        assert "Nothing can be run: none of the files needed is in" in result.out
        assert "Nothing of it was run yet" in (tmp_path / "out" / "report.html").read_text()

    @pytest.mark.slow
    def test_not_asked_to(self, nngmix, tmp_path, monkeypatch):
        monkeypatch.setenv("NNGMIX_DATA", str(tmp_path / "data"))
        monkeypatch.setenv("NNGMIX_ADBENCH_URL", "http://127.0.0.1:9")
        result = nngmix(*self.CALL, "--no-fetch", "--output", tmp_path / "out")
        assert result.code == 0
        assert "fetching" not in result.err


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: object) -> None:
        pass


class TestDryRun:
    def test_all_lists_every_table_and_figure(self, nngmix, empty, tmp_path):
        result = nngmix(
            "reproduce", "all", "--dry-run", "--data", empty, "--output", tmp_path / "o"
        )
        assert result.code == 0
        counts = dict(re.findall(r"│ (\S+-\d)\s*│\s*([\d,]+)", result.out))
        assert set(counts) == {name for name, t in TARGETS.items() if t.columns}
        assert counts["table-1"] == "2,115"
        assert counts["figure-7"] == "2,115"
        assert {"figure-1", "figure-6", "figure-8"} <= set(
            re.findall(r"(\S+)\s*│ a picture", result.out)
        )
        assert re.search(r"each once\s*│\s*24,151", result.out)
        assert "beyond" not in result.out
        assert not (tmp_path / "o").exists()

    def test_beyond_the_paper(self, nngmix, empty, tmp_path):
        names = ("beyond", "beyond-cv", "beyond-nlp")
        call = ("--dry-run", "--data", empty, "--output", tmp_path / "o")
        result = nngmix("reproduce", *names, *call)
        assert result.code == 0
        counts = dict(re.findall(r"│ (beyond\S*)\s*│\s*([\d,]+)", result.out))
        # Files, seeds, and the columns of seven detectors at three shares of labels.
        assert counts == {
            name: f"{n * 5 * (5 * 3 + 2) * 3:,}"
            for name, n in zip(names, (47, 61, 13), strict=True)
        }
        ours = nngmix("reproduce", "beyond", *call, "--detectors", "AutoDetector,BaggedTrees")
        assert re.search(rf"beyond\s*│\s*{47 * 5 * 2 * 3:,} ", ours.out)

    def test_tells_what_is_done(self, done, nngmix, empty):
        output, _ = done
        result = nngmix(
            *("reproduce", "table-1", *QUICK, "--data", empty, "--output", output, "--dry-run")
        )
        assert re.search(r"table-1\s*│\s*12\s*│\s*0\s*│\s*12\s*│\s*0\s*│\s*0 ", result.out)


class TestEnds:
    @pytest.mark.slow
    def test_budget(self, nngmix, empty, tmp_path):
        call = ("reproduce", "table-1", *FEWEST, "--data", empty, "--output", tmp_path)
        first = nngmix(*call, "--budget", "0.2s")
        assert first.code == 0
        n = int(
            re.search(r"the budget is spent; \d+ cells are done and kept, (\d+) are", first.err)[1]
        )
        assert n > 0
        second = nngmix(*call)
        assert second.code == 0
        assert len(read_results(tmp_path / "cells.sqlite").outcomes) == 6

    @pytest.mark.slow
    def test_failed_cells_are_told_kept_and_run_again(self, nngmix, empty, tmp_path):
        call = ("reproduce", "table-1", *FEWEST, "--data", empty, "--output", tmp_path)
        first = nngmix(*call, "--time-limit", "0.001s")
        assert first.code == 1
        assert "6 of 6 cells failed (time limit of 0.001 s); --retry-failed" in first.err
        assert "time limit of 0.001 s" in (tmp_path / "report.html").read_text()
        again = nngmix(*call)
        assert again.code == 1
        assert not read_results(tmp_path / "cells.sqlite").outcomes
        third = nngmix(*call, "--retry-failed")
        assert third.code == 0
        assert len(read_results(tmp_path / "cells.sqlite").outcomes) == 6

    @pytest.mark.skipif(sys.platform == "win32", reason="SIGINT can't be sent on Windows")
    def test_interrupted(self, empty, tmp_path):
        call = ("reproduce", "table-4", "--datasets", "builtin", "--detectors", "MLP")
        process = subprocess.Popen(
            [
                *(sys.executable, "-c", "from nngmix.cli import main; main()"),
                *(*call, "--seeds", "0-9"),
                *("--data", empty, "--output", tmp_path),
            ],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        store = tmp_path / "cells.sqlite"
        end = time.monotonic() + 60
        while time.monotonic() < end and process.poll() is None:
            if store.exists() and store.stat().st_size and len(read_results(store).outcomes) > 2:
                break
            time.sleep(0.1)
        os.kill(process.pid, signal.SIGINT)
        out, err = process.communicate(timeout=30)
        assert process.returncode == 130, (out, err)
        left = int(re.search(r"interrupted; \d+ cells are done and kept, ([\d,]+) are", err)[1])
        assert left > 0
        assert "Traceback" not in err
        assert read_results(store).outcomes
        assert not list(tmp_path.glob("*.lock"))


class TestMisuse:
    @pytest.mark.parametrize(
        ("arguments", "told"),
        [
            (["table-9"], "there is no 'table-9'; there are table-1, .*figure-8, and all"),
            (["figure-2"], "Fig. 2 is a drawing of the method"),
            (["beyond-tables"], "and, not in all, beyond, beyond-cv, beyond-nlp"),
            (["table-1", "--seeds", "one"], "--seeds takes whole numbers such as 0,1,2 or 0-4"),
            (["table-1", "--seeds", "4-0"], "--seeds takes"),
            (["table-1", "--budget", "soon"], "--budget takes a time such as 90s, 45m, 2h"),
            (["table-1", "--budget", "0s"], "--budget must be longer"),
            (["table-1", "--time-limit", "5"], "--time-limit takes a time"),
            (["table-1", "--memory-limit", "much"], "--memory-limit takes a size such as 800MB"),
            (
                ["table-1", "--detectors", "SVM"],
                "--detectors: there is no 'SVM'; there are DeepSAD",
            ),
            (["table-7", "--detectors", "MLP"], "MLP has no part in this; DeepSAD has"),
            (["table-1", "--detectors", "AutoDetector"], "AutoDetector has no part in this"),
            (["table-1", "--samplers", "SMOTE"], "--samplers: there is no 'SMOTE'; there are Base"),
            (["table-1", "--datasets", "wines"], "--datasets: ADBench has no .*'wines'.*Did you"),
            (["table-1", "--datasets", "wine,"], "--datasets takes names joined by commas"),
            (["table-1", "--n-jobs", "0"], "--n-jobs must be a number of processes"),
            (["table-1", "--known", "no.parquet"], "--known: there is no file 'no.parquet'"),
            (["table-1", "--data", "no folder"], "--data 'no folder' is missing"),
        ],
    )
    def test_one_line(self, nngmix, arguments, told, tmp_path, monkeypatch):
        monkeypatch.chdir(tmp_path)
        result = nngmix("reproduce", *arguments)
        assert result.code == 2
        assert re.search(told, result.err)
        assert result.err.count("\n") == 1
        assert not list(tmp_path.iterdir())

    def test_a_file_that_is_no_store(self, nngmix, empty, tmp_path):
        (tmp_path / "notes.txt").write_text("not a database, but longer than its header is " * 9)
        call = ("reproduce", "table-1", *QUICK, "--data", empty, "--output", tmp_path)
        result = nngmix(*call, "--store", tmp_path / "notes.txt")
        assert result.code == 2
        assert "notes.txt' is no store of nngmix" in result.err

    def test_no_scheduler(self, nngmix, empty, tmp_path):
        pytest.importorskip("distributed", reason="distributed is not installed")
        call = ("reproduce", "table-1", *QUICK, "--data", empty, "--output", tmp_path)
        result = nngmix(*call, "--dask", "nowhere")
        assert result.code == 2
        assert "--dask: no scheduler at 'nowhere'" in result.err


class TestReport:
    def test_from_parquet(self, nngmix, done, tmp_path):
        result = nngmix("report", done[0] / "cells.parquet", "--output", tmp_path)
        assert result.code == 0
        assert "12 with a number" in result.out
        name = "tables/table-1.csv"
        assert (tmp_path / name).read_bytes() == (done[0] / name).read_bytes()

    def test_no_store(self, nngmix, tmp_path, monkeypatch):
        monkeypatch.chdir(tmp_path)
        result = nngmix("report")
        assert result.code == 2
        assert "`nngmix reproduce` makes one" in result.err
        assert not list(tmp_path.iterdir())

    def test_some_other_parquet_file(self, nngmix, folder):
        result = nngmix("report", folder / "in.parquet", "--output", folder / "out")
        assert result.code == 2
        assert "not one of nngmix's cells" in result.err
        assert not (folder / "out").exists()

    @pytest.mark.slow
    def test_leak_free_cells_apart(self, nngmix, empty, tmp_path):
        call = ("reproduce", "table-1", *FEWEST, "--data", empty, "--output", tmp_path)
        assert nngmix(*call, "--leak-free").code == 0
        assert "Split without leaks" in (tmp_path / "report.html").read_text()
        assert nngmix("report", tmp_path / "cells.sqlite", "--output", tmp_path / "other").code == 0
        assert "Nothing of it was run yet" in (tmp_path / "other" / "report.html").read_text()
