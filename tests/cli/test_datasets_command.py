import csv
import functools
import hashlib
import io
import signal
import socket
import subprocess
import sys
import threading
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest

from nngmix.datasets import catalogue

HEAD = [
    "number",
    "dataset",
    "domain",
    "suite",
    "name",
    "git_blob_sha1",
    "bytes",
    "rows",
    "columns",
    "anomalies",
]


def npz(seed: int) -> bytes:
    file = io.BytesIO()
    np.savez(file, X=np.random.default_rng(seed).normal(size=(1200, 4)), y=np.arange(1200) % 2)
    return file.getvalue()


FILES = {
    "Classical/1_a.npz": npz(0),
    "Classical/2_b.npz": npz(1),
    "CV_by_ResNet18/c_0.npz": npz(2),
    "CV_by_ResNet18/c_1.npz": npz(3),
}


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture(scope="module")
def mirror(tmp_path_factory):
    """A plain web server with all files but one, on this machine."""
    folder = tmp_path_factory.mktemp("mirror")
    for path, content in list(FILES.items())[:-1]:
        (folder / path).parent.mkdir(exist_ok=True)
        (folder / path).write_bytes(content)
    handler = functools.partial(Quiet, directory=folder)
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield folder, f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


@pytest.fixture
def home(tmp_path, mirror, monkeypatch):
    """An empty home, a benchmark of four small files, and the mirror as where to get them."""
    table = tmp_path / "table.csv"
    with table.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(HEAD)
        for path, content in FILES.items():
            suite, name = path.removesuffix(".npz").split("/")
            sha1 = hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()
            dataset = name.partition("_")[2] if suite == "Classical" else "c"
            known = (len(content), 1200, 4, 600) if suite == "Classical" else ("", "", "", "")
            writer.writerow(["abc".index(dataset) + 1, dataset, "test", suite, name, sha1, *known])
    monkeypatch.setattr(catalogue, "_TABLE", table)
    monkeypatch.setenv("NNGMIX_DATA", str(tmp_path / "home"))
    monkeypatch.setenv("NNGMIX_ADBENCH_URL", mirror[1])
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    return tmp_path / "home"


def listing(home: Path) -> dict[str, bytes]:
    return {
        path.relative_to(home).as_posix(): path.read_bytes()
        for path in home.rglob("*.npz*")
        if not path.name.startswith(".")
    }


def rows(text: str) -> list[list[str]]:
    return [line.split() for line in text.splitlines()]


class TestList:
    def test_table(self, nngmix, home):
        (home / "Classical").mkdir(parents=True)
        (home / "Classical" / "2_b.npz").write_bytes(b"")
        result = nngmix("datasets", "list")
        assert (result.code, result.err) == (0, "")
        assert rows(result.out) == [
            ["name", "suite", "domain", "rows", "columns", "anomalies", "there"],
            ["1_a", "Classical", "test", "1,200", "4", "600", "no"],
            ["2_b", "Classical", "test", "1,200", "4", "600", "yes"],
            ["c_0", "CV_by_ResNet18", "test", "no"],
            ["c_1", "CV_by_ResNet18", "test", "no"],
            [],
            f"3 datasets in 4 files, 1 of them in {home}".split(),
        ]

    def test_some_of_it(self, nngmix, home, tmp_path):
        result = nngmix("datasets", "list", "c", "1_a", "--data", tmp_path)
        assert [row[0] for row in rows(result.out)[1:4]] == ["c_0", "c_1", "1_a"]
        assert result.out.endswith(f"2 datasets in 3 files, 0 of them in {tmp_path}\n")

    def test_the_real_one(self, nngmix, tmp_path):
        result = nngmix("datasets", "list", "--data", tmp_path)
        assert "57 datasets in 195 files, 0 of them" in result.out
        assert max(map(len, result.out.splitlines()[:-1])) <= 90

    def test_unknown_name(self, nngmix, home):
        result = nngmix("datasets", "list", "1_b")
        assert (result.code, result.out) == (2, "")
        assert "no suite, dataset or file '1_b'" in result.err
        assert "Did you mean" in result.err
        assert result.err.count("\n") == 1


class TestFetch:
    def test_then_verify(self, nngmix, home):
        result = nngmix("datasets", "fetch", "Classical", "c_0")
        assert (result.code, result.err) == (0, "")
        assert result.out == f"3 files, verified, in {home}\n"
        assert listing(home) == dict(list(FILES.items())[:-1])
        result = nngmix("datasets", "verify")
        assert (result.code, result.err) == (0, "")
        assert result.out.endswith(f"3 ok, 0 wrong, 1 missing in {home}\n")
        assert ["Classical/1_a", "ok"] in rows(result.out)
        assert "c_1" not in result.out
        assert ["CV_by_ResNet18/c_1", "missing"] in rows(nngmix("datasets", "verify", "c").out)

    def test_what_the_server_has_not(self, nngmix, home, mirror):
        result = nngmix("datasets", "fetch", "c")
        assert (result.code, result.out) == (1, "")
        assert result.err.startswith(
            f"nngmix: 1 of 2 files were not fetched: CV_by_ResNet18/c_1 from "
            f"{mirror[1]}/CV_by_ResNet18/c_1.npz: the server answered 404"
        )
        assert result.err.count("\n") == 1
        assert listing(home).keys() == {"CV_by_ResNet18/c_0.npz"}

    @pytest.mark.parametrize(
        ("args", "message"),
        [
            (["nothing"], "no suite, dataset or file 'nothing'"),
            (["a", "--url", "here"], "must be an http or https address"),
            (["a", "--timeout", "0"], "timeout must be"),
            (["a", "--retries", "-1"], "retries must be"),
        ],
    )
    def test_misuse(self, nngmix, home, args, message):
        result = nngmix("datasets", "fetch", *args)
        assert (result.code, result.out) == (2, "")
        assert message in result.err
        assert not home.exists()

    def test_names_are_needed(self, nngmix, home):
        assert nngmix("datasets", "fetch").code == 2

    @pytest.mark.skipif(sys.platform == "win32", reason="signals differ")
    def test_interrupted(self, tmp_path, monkeypatch):
        monkeypatch.setenv("no_proxy", "127.0.0.1")
        monkeypatch.setenv("NNGMIX_DATA", str(tmp_path))
        with socket.create_server(("127.0.0.1", 0)) as silent:
            silent.settimeout(20)
            url = f"http://127.0.0.1:{silent.getsockname()[1]}"
            code = "from nngmix.cli import main; main()"
            process = subprocess.Popen(
                [sys.executable, "-c", code, "datasets", "fetch", "wine", "--url", url],
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
            )
            connection, _ = silent.accept()
            with connection:
                connection.recv(1)
                process.send_signal(signal.SIGINT)
                out, err = process.communicate(timeout=20)
        assert process.returncode == 130
        assert (out, err) == ("", "nngmix: interrupted; the next fetch goes on from here.\n")


class TestVerify:
    def test_wrong_file(self, nngmix, home):
        assert nngmix("datasets", "fetch", "a", "b").code == 0
        path = home / "Classical" / "2_b.npz"
        path.write_bytes(FILES["Classical/1_a.npz"])
        result = nngmix("datasets", "verify")
        assert result.code == 1
        assert ["Classical/2_b", "wrong"] in rows(result.out)
        assert "1 ok, 1 wrong, 2 missing" in result.out
        assert result.err.startswith("nngmix: not as ADBench has them: Classical/2_b;")
        assert nngmix("datasets", "verify", "a").code == 0
        # And as it says:
        assert nngmix("datasets", "fetch", "b").code == 0
        assert nngmix("datasets", "verify").code == 0

    def test_nothing_there(self, nngmix, home):
        result = nngmix("datasets", "verify")
        assert (result.code, result.err) == (0, "")
        assert "0 ok, 0 wrong, 4 missing" in result.out
        assert not home.exists()


class TestImport:
    def test_adbench_layout_and_renamed(self, nngmix, home, mirror, tmp_path):
        result = nngmix("datasets", "import", mirror[0])
        assert (result.code, result.err) == (0, "")
        assert result.out == (
            f"3 files copied to {home}, 0 there already, 0 wrong, 0 not ADBench's\n"
        )
        (tmp_path / "more").mkdir()
        (tmp_path / "more" / "x.npz").write_bytes(FILES["CV_by_ResNet18/c_1.npz"])
        (tmp_path / "more" / "y.npz").write_bytes(FILES["Classical/1_a.npz"])
        (tmp_path / "more" / "z.npz").write_bytes(b"")
        result = nngmix("datasets", "import", tmp_path / "more")
        assert (result.code, result.err) == (0, "")
        assert result.out.startswith("1 file copied")
        assert "1 there already, 0 wrong, 1 not ADBench's" in result.out
        assert listing(home) == FILES

    def test_wrong_file(self, nngmix, home, tmp_path):
        (tmp_path / "1_a.npz").write_bytes(b"wrong")
        (tmp_path / "2_b.npz").write_bytes(FILES["Classical/2_b.npz"])
        result = nngmix("datasets", "import", tmp_path)
        assert result.code == 1
        assert "1 file copied" in result.out
        assert result.err == (
            f"nngmix: not as ADBench has them, left out: {tmp_path / '1_a.npz'}\n"
        )
        assert listing(home).keys() == {"Classical/2_b.npz"}

    def test_nothing_to_import(self, nngmix, home, tmp_path):
        (tmp_path / "empty").mkdir()
        result = nngmix("datasets", "import", tmp_path / "empty")
        assert result.code == 1
        assert "no .npz file of ADBench in" in result.err
        assert not home.exists()

    def test_no_folder(self, nngmix, home, tmp_path):
        result = nngmix("datasets", "import", tmp_path / "nowhere")
        assert (result.code, result.out) == (2, "")
        assert "is missing" in result.err


def test_help_lists_the_commands(nngmix):
    result = nngmix("datasets", "--help")
    assert result.code == 0
    for word in ("list", "fetch", "verify", "import"):
        assert word in result.out
