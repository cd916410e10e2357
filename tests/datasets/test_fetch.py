import hashlib
import io
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from adbench_server import Server, serving
from hypothesis import given, settings
from hypothesis import strategies as st

from nngmix.datasets import (
    AdbenchFile,
    fetch_adbench,
    import_adbench,
    list_adbench,
    load_adbench,
    verify_adbench,
)


def npz(seed: int, n_rows: int = 60) -> bytes:
    rng = np.random.default_rng(seed)
    file = io.BytesIO()
    np.savez(file, X=rng.normal(size=(n_rows, 4)), y=np.arange(n_rows) % 2)
    return file.getvalue()


def sha1(content: bytes) -> str:
    return hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()


def entry(name: str, suite: str, content: bytes, sized: bool = True) -> AdbenchFile:
    n_bytes = len(content) if sized else None
    return AdbenchFile(name, suite, name.partition("_")[0], 1, "test", sha1(content), n_bytes)


# The name with a space shows that addresses are quoted.
FILES = {
    "Classical/a.npz": npz(0),
    "Classical/b c.npz": npz(1),
    "CV_by_ViT/d_1.npz": npz(2),
}
TOYS = [entry(Path(path).stem, path.partition("/")[0], content) for path, content in FILES.items()]
A = FILES["Classical/a.npz"]
UNSIZED = entry("a", "Classical", A, sized=False)


MISHAPS = ["500", "503", "429", "drop", "noise", "silent", "stall", "cut", "truncate", "corrupt"]
MISHAPS += ["page", "no range", "no length", "no length, cut"]


@pytest.fixture(scope="module")
def one_server():
    with pytest.MonkeyPatch.context() as patch, serving() as server:
        # An environment with a proxy would send it what is meant for this machine.
        patch.setenv("no_proxy", "127.0.0.1")
        # A gigabyte, else.
        patch.setattr("nngmix.datasets.fetch._LARGEST", 1 << 20)
        yield server


@pytest.fixture
def server(one_server: Server) -> Server:
    one_server.reset(FILES)
    return one_server


@pytest.fixture
def fetch(server: Server, tmp_path: Path):
    def run(names="a", **settings):
        defaults = {"data_home": tmp_path, "base_url": server.url, "catalogue": TOYS}
        return fetch_adbench(names, **{**defaults, "wait": 0, "timeout": 5, **settings})

    return run


def listing(home: Path) -> dict[str, bytes]:
    """What a user would find."""
    return {
        path.relative_to(home).as_posix(): path.read_bytes()
        for path in home.rglob("*")
        if path.is_file() and not path.name.startswith(".")
    }


def part_of(home: Path) -> Path:
    return home / "Classical" / ".a.npz.part"


class TestFetch:
    def test_files(self, fetch, server, tmp_path):
        paths = fetch("all")
        assert paths == [tmp_path / path for path in FILES]
        assert listing(tmp_path) == FILES
        assert load_adbench("b c", data_home=tmp_path).data.shape == (60, 4)
        assert not list(tmp_path.rglob("*.part"))
        # What is there is not asked for again.
        server.requests.clear()
        assert fetch("all") == paths
        assert server.requests == []

    def test_home_and_address_from_the_environment(self, server, tmp_path, monkeypatch):
        monkeypatch.setenv("NNGMIX_DATA", str(tmp_path / "new" / "home"))
        monkeypatch.setenv("NNGMIX_ADBENCH_URL", f"{server.url}/")
        fetch_adbench("CV_by_ViT", catalogue=TOYS)
        assert listing(tmp_path) == {"new/home/CV_by_ViT/d_1.npz": FILES["CV_by_ViT/d_1.npz"]}

    def test_wrong_file_is_set_aside(self, fetch, tmp_path):
        (tmp_path / "Classical").mkdir()
        (tmp_path / "Classical" / "a.npz").write_bytes(A[:-1] + b"!")
        fetch()
        assert listing(tmp_path) == {
            "Classical/a.npz": A,
            "Classical/a.npz.wrong": A[:-1] + b"!",
        }

    @pytest.mark.parametrize("toy", [TOYS[0], UNSIZED], ids=["sized", "unsized"])
    @pytest.mark.parametrize("word", MISHAPS)
    def test_recovers(self, fetch, server, tmp_path, word, toy):
        server.reset(FILES, a=[word])
        fetch(catalogue=[toy], retries=1, timeout=0.5 if word in ("silent", "stall") else 5)
        assert listing(tmp_path) == {"Classical/a.npz": A}

    def test_goes_on_where_it_was_cut(self, fetch, server, tmp_path):
        # More cuts than retries: each got further than the one before.
        server.reset(FILES, a=["cut"] * 6)
        fetch(retries=1)
        starts = [0]
        for _ in range(6):
            starts.append(starts[-1] + (len(A) - starts[-1]) // 2)
        asked = [None, *(f"bytes={start}-" for start in starts[1:])]
        assert [range_ for _, range_ in server.requests] == asked
        assert listing(tmp_path) == {"Classical/a.npz": A}

    def test_cuts_without_progress_end(self, fetch, server, tmp_path):
        server.reset(FILES, a=["cut", *["drop"] * 9])
        with pytest.raises(OSError, match="3 attempts"):
            fetch(retries=2)
        assert len(server.requests) == 3
        assert listing(tmp_path) == {}

    @pytest.mark.parametrize(
        ("kept", "asked"),
        [
            (A[:100], "bytes=100-"),
            (A[:-1], f"bytes={len(A) - 1}-"),
            (b"", None),
        ],
    )
    def test_resumes(self, fetch, server, tmp_path, kept, asked):
        part_of(tmp_path).parent.mkdir()
        part_of(tmp_path).write_bytes(kept)
        fetch(retries=0)
        assert server.requests == [("Classical/a.npz", asked)]
        assert listing(tmp_path) == {"Classical/a.npz": A}

    @pytest.mark.parametrize("toy", [TOYS[0], UNSIZED], ids=["sized", "unsized"])
    def test_whole_but_not_in_place(self, fetch, server, tmp_path, toy):
        part_of(tmp_path).parent.mkdir()
        part_of(tmp_path).write_bytes(A)
        fetch(catalogue=[toy])
        assert server.requests == []
        assert listing(tmp_path) == {"Classical/a.npz": A}

    @pytest.mark.parametrize("toy", [TOYS[0], UNSIZED], ids=["sized", "unsized"])
    @pytest.mark.parametrize("kept", [b"?" * 50, b"?" * len(A), A + b"?"])
    def test_useless_beginning(self, fetch, tmp_path, kept, toy):
        part_of(tmp_path).parent.mkdir()
        part_of(tmp_path).write_bytes(kept)
        fetch(catalogue=[toy], retries=0)
        assert listing(tmp_path) == {"Classical/a.npz": A}

    @pytest.mark.parametrize("word", ["no range", "other range"])
    def test_server_that_does_not_resume(self, fetch, server, tmp_path, word):
        part_of(tmp_path).parent.mkdir()
        part_of(tmp_path).write_bytes(A[:100])
        server.reset(FILES, a=[word])
        fetch(retries=1)
        assert listing(tmp_path) == {"Classical/a.npz": A}

    @pytest.mark.parametrize("toy", [TOYS[0], UNSIZED], ids=["sized", "unsized"])
    def test_file_without_end(self, fetch, server, tmp_path, toy):
        server.reset(FILES, a=["endless"])
        with pytest.raises(OSError, match="not ADBench's"):
            fetch(catalogue=[toy], retries=0)
        assert listing(tmp_path) == {}
        assert not part_of(tmp_path).exists()

    def test_pauses_grow(self, fetch, server):
        server.reset(FILES, a=["500"] * 3)
        start = time.perf_counter()
        fetch(wait=0.05)
        assert 0.35 <= time.perf_counter() - start < 3

    def test_bar(self, fetch, capsys, tmp_path):
        fetch("all", verbose=True)
        shown = capsys.readouterr()
        assert shown.out == ""
        assert "d_1 (3/3)" in shown.err
        assert listing(tmp_path) == FILES


class TestErrors:
    @pytest.mark.parametrize(
        ("word", "reason"),
        [
            ("404", "the server answered 404 as told."),
            ("403", "the server answered 403 as told."),
            ("500", "the server answered 500 as told (2 attempts)."),
            ("silent", "the server said nothing for 0.2 s (2 attempts)."),
            ("cut", "the connection was cut after"),
            ("drop", "Remote end closed connection without response (2 attempts)."),
            ("corrupt", "the server's file is not ADBench's (git hash) (2 attempts)."),
            ("page", f"the server's file is of 26 bytes, ADBench's of {len(A):,} (2 attempts)."),
        ],
    )
    def test_names_file_address_and_reason(self, fetch, server, tmp_path, word, reason):
        server.reset(FILES, a=[word, word if word != "cut" else "drop", "404"])
        retries = 0 if word == "cut" else 1
        with pytest.raises(OSError) as caught:
            fetch(retries=retries, timeout=0.2 if word == "silent" else 5)
        message = str(caught.value)
        assert message.startswith(f"Classical/a from {server.url}/Classical/a.npz: {reason}")
        assert "\n" not in message
        assert listing(tmp_path) == {}

    def test_404_is_final(self, fetch, server):
        server.reset({})
        with pytest.raises(OSError, match="answered 404"):
            fetch(retries=5)
        assert len(server.requests) == 1

    def test_nobody_listens(self, fetch, tmp_path):
        with serving() as gone:
            url = gone.url
        with pytest.raises(OSError, match=r"Classical/a from .*Connection refused \(2 attempts\)"):
            fetch("all", base_url=url, retries=1)
        assert listing(tmp_path) == {}

    def test_one_file_does_not_keep_the_others(self, fetch, server, tmp_path):
        server.reset(FILES, a=["404"])
        with pytest.raises(
            OSError, match=r"^1 of 3 files were not fetched: Classical/a from .*answered 404"
        ):
            fetch("all")
        assert listing(tmp_path) == {path: FILES[path] for path in list(FILES)[1:]}

    def test_many_at_once(self, fetch, server):
        server.reset({})
        with pytest.raises(OSError) as caught:
            fetch("all")
        message = str(caught.value)
        assert message.startswith("3 of 3 files were not fetched: Classical/a from")
        assert message.count("the server answered 404") == 2
        assert message.endswith("; likewise CV_by_ViT/d_1.")

    def test_wrong_file_leaves_its_name_even_if_no_other_comes(self, fetch, server, tmp_path):
        (tmp_path / "Classical").mkdir()
        (tmp_path / "Classical" / "a.npz").write_bytes(b"wrong")
        server.reset(FILES, a=["404"])
        with pytest.raises(OSError, match="answered 404"):
            fetch()
        assert listing(tmp_path) == {"Classical/a.npz.wrong": b"wrong"}

    @pytest.mark.parametrize(
        ("settings", "message"),
        [
            ({"names": "wine"}, "no suite, dataset or file 'wine'"),
            ({"base_url": "ftp://127.0.0.1"}, "base_url .* must be an http or https address"),
            ({"base_url": "file:///etc"}, "base_url .* must be an http or https address"),
            ({"base_url": "http://127.0.0.1/a b"}, "base_url .* not 'http://127.0.0.1/a b'"),
            ({"timeout": 0}, "timeout must be .* not 0"),
            ({"retries": -1}, "retries must be 0 or more, not -1"),
            ({"wait": float("nan")}, "wait must be .* not nan"),
        ],
    )
    def test_misuse_writes_nothing(self, fetch, server, tmp_path, settings, message):
        with pytest.raises(ValueError, match=message):
            fetch(**settings)
        assert server.requests == []
        assert list(tmp_path.iterdir()) == []

    def test_home_is_a_file(self, fetch, tmp_path):
        (tmp_path / "file").write_text("")
        with pytest.raises(OSError, match="file"):
            fetch(data_home=tmp_path / "file")


WORDS = ["ok", "500", "404", "drop", "noise", "cut", "truncate", "corrupt", "page", "no range"]
WORDS += ["other range", "no length", "no length, cut", "endless"]


CONTENTS = {
    "empty": b"",
    "beginning": A[:700],
    "all": A,
    "more": A + b"?",
    "other": b"?" * 700,
    "changed": A[:-1] + b"!",
}


@settings(max_examples=120, deadline=None)
@given(
    plan=st.lists(st.sampled_from(WORDS), max_size=6),
    sized=st.booleans(),
    retries=st.integers(0, 3),
    kept=st.sampled_from(["nothing", "empty", "beginning", "all", "more", "other"]),
    there=st.sampled_from(["nothing", "all", "empty", "beginning", "changed"]),
)
def test_the_right_file_or_none(one_server, tmp_path_factory, plan, sized, retries, kept, there):
    one_server.reset(FILES, a=list(plan))
    home = tmp_path_factory.mktemp("home")
    (home / "Classical").mkdir()
    if kept != "nothing":
        part_of(home).write_bytes(CONTENTS[kept])
    if there != "nothing":
        (home / "Classical" / "a.npz").write_bytes(CONTENTS[there])
    try:
        fetch_adbench(
            "a",
            data_home=home,
            base_url=one_server.url,
            catalogue=[TOYS[0] if sized else UNSIZED],
            retries=retries,
            wait=0,
        )
    except OSError:
        assert listing(home).get("Classical/a.npz") is None
        # Whatever is left of it, the next one succeeds.
        one_server.reset(FILES)
        fetch_adbench(
            "a", data_home=home, base_url=one_server.url, catalogue=TOYS, retries=0, wait=0
        )
    assert listing(home)["Classical/a.npz"] == A
    assert listing(home).keys() <= {"Classical/a.npz", "Classical/a.npz.wrong"}
    assert not part_of(home).exists() or there == "all"


SCRIPT = """
import sys
from nngmix.datasets import AdbenchFile, fetch_adbench
home, url, sha1, limit = sys.argv[1:]
if limit != "0":
    import resource
    resource.setrlimit(resource.RLIMIT_FSIZE, (int(limit), int(limit)))
toy = AdbenchFile("big", "Classical", "big", 1, "test", sha1)
print("ready", flush=True)
try:
    fetch_adbench("big", data_home=home, base_url=url, catalogue=[toy], wait=0.01)
except OSError as error:
    sys.exit(str(error))
"""
BIG = npz(3, n_rows=50_000)


class TestProcesses:
    """What only a process of its own can show."""

    @pytest.fixture
    def start(self, server, tmp_path):
        started = []

        def run(limit: int = 0) -> "subprocess.Popen[str]":
            process = subprocess.Popen(
                [sys.executable, "-c", SCRIPT, str(tmp_path), server.url, sha1(BIG), str(limit)],
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
            )
            started.append(process)
            return process

        yield run
        for process in started:
            process.kill()
            process.communicate()

    @staticmethod
    def wait_for(condition) -> None:
        end = time.monotonic() + 20
        while not condition():
            assert time.monotonic() < end, "it did not happen"
            time.sleep(0.01)

    @pytest.mark.parametrize("name", ["SIGKILL", "SIGINT"])
    def test_killed_midway_goes_on_later(self, start, server, tmp_path, name):
        if not hasattr(signal, name):
            pytest.skip(f"no {name} on this system")
        server.reset({"Classical/big.npz": BIG}, big=["slow"])
        process = start()
        part = tmp_path / "Classical" / ".big.npz.part"
        self.wait_for(lambda: part.exists() and part.stat().st_size == len(BIG) // 2)
        process.send_signal(getattr(signal, name))
        process.communicate()
        server.go.set()
        assert process.returncode != 0
        assert listing(tmp_path) == {}
        toy = entry("big", "Classical", BIG, sized=False)
        fetch_adbench("big", data_home=tmp_path, base_url=server.url, catalogue=[toy])
        assert server.requests[1:] == [("Classical/big.npz", f"bytes={len(BIG) // 2}-")]
        assert listing(tmp_path) == {"Classical/big.npz": BIG}

    def test_two_at_once(self, start, server, tmp_path):
        server.reset({"Classical/big.npz": BIG}, big=["slow"])
        processes = [start(), start()]
        for process in processes:
            assert process.stdout.readline() == "ready\n"
        self.wait_for(lambda: server.requests)
        time.sleep(0.2)  # time for the other to reach the lock
        server.go.set()
        for process in processes:
            assert process.communicate(timeout=20) == ("", "")
            assert process.returncode == 0
        assert server.requests == [("Classical/big.npz", None)]
        assert listing(tmp_path) == {"Classical/big.npz": BIG}

    def test_disk_full(self, start, server, tmp_path):
        pytest.importorskip("resource")
        server.reset({"Classical/big.npz": BIG})
        process = start(limit=100_000)
        _, error = process.communicate(timeout=20)
        assert process.returncode == 1
        assert "make room, or name another folder (data_home, NNGMIX_DATA)" in error
        assert error.rstrip().endswith(f"{str(tmp_path / 'Classical' / 'big.npz')!r}")
        assert error.count("\n") == 1
        assert listing(tmp_path) == {}
        assert not list(tmp_path.rglob("*.part"))
        assert len(server.requests) == 1


class TestVerify:
    def test_states(self, fetch, tmp_path):
        fetch("Classical")
        (tmp_path / "Classical" / "b c.npz").write_bytes(A)
        assert verify_adbench(data_home=tmp_path, catalogue=TOYS) == {
            "Classical/a": "ok",
            "Classical/b c": "wrong",
            "CV_by_ViT/d_1": "missing",
        }
        assert verify_adbench("a", data_home=tmp_path, catalogue=TOYS) == {"Classical/a": "ok"}
        with pytest.raises(ValueError, match="'wine'"):
            verify_adbench("wine", data_home=tmp_path, catalogue=TOYS)

    def test_real_files(self, adbench_home):
        states = verify_adbench(data_home=adbench_home)
        counted = {file.full_name for file in list_adbench() if file.n_rows is not None}
        assert {name for name, state in states.items() if state == "ok"} >= counted
        assert "wrong" not in states.values()

    def test_file_that_cannot_be_read(self, tmp_path):
        (tmp_path / "Classical" / "a.npz").mkdir(parents=True)
        with pytest.raises(OSError, match=r"a\.npz"):
            verify_adbench(data_home=tmp_path, catalogue=[UNSIZED])


class TestImport:
    def test_any_layout(self, tmp_path):
        old, new = tmp_path / "old", tmp_path / "new"
        (old / "deep" / "er").mkdir(parents=True)
        (old / "deep" / "er" / "renamed.NPZ").write_bytes(FILES["Classical/a.npz"])
        (old / "d_1.npz").write_bytes(FILES["CV_by_ViT/d_1.npz"])
        (old / "b c.npz").write_bytes(A[:-1])
        (old / "stranger.npz").write_bytes(b"?")
        (old / "a.txt").write_bytes(b"?")
        before = listing(old)
        states = import_adbench(old, data_home=new, catalogue=TOYS)
        assert states == {
            old / "b c.npz": "wrong",
            old / "d_1.npz": "copied",
            old / "deep" / "er" / "renamed.NPZ": "copied",
            old / "stranger.npz": "unknown",
        }
        expected = {path: FILES[path] for path in ("Classical/a.npz", "CV_by_ViT/d_1.npz")}
        assert listing(new) == expected
        assert listing(old) == before
        again = import_adbench(old, data_home=new, catalogue=TOYS)
        assert sorted(again.values()) == ["there", "there", "unknown", "wrong"]
        assert listing(new) == expected

    def test_replaces_a_wrong_file_and_a_half_one(self, tmp_path):
        old, new = tmp_path / "old", tmp_path / "new"
        for folder in (old, new):
            (folder / "Classical").mkdir(parents=True)
        (old / "Classical" / "a.npz").write_bytes(A)
        (new / "Classical" / "a.npz").write_bytes(b"wrong")
        part_of(new).write_bytes(A[:9])
        import_adbench(old, data_home=new, catalogue=TOYS)
        assert listing(new) == {"Classical/a.npz": A, "Classical/a.npz.wrong": b"wrong"}
        assert not part_of(new).exists()

    def test_one_content_of_two_names(self, tmp_path):
        old, new = tmp_path / "old", tmp_path / "new"
        old.mkdir()
        (old / "x.npz").write_bytes(A)
        twins = [entry("a", "Classical", A), entry("b", "CV_by_ViT", A)]
        import_adbench(old, data_home=new, catalogue=twins)
        assert listing(new) == {"Classical/a.npz": A, "CV_by_ViT/b.npz": A}

    def test_home_within_the_folder(self, tmp_path):
        (tmp_path / "a.npz").write_bytes(A)
        home = tmp_path / "home"
        assert set(import_adbench(tmp_path, data_home=home, catalogue=TOYS).values()) == {"copied"}
        assert set(import_adbench(tmp_path, data_home=home, catalogue=TOYS).values()) == {"there"}

    def test_no_folder(self, tmp_path):
        with pytest.raises(FileNotFoundError, match="nowhere"):
            import_adbench(tmp_path / "nowhere", data_home=tmp_path)
        (tmp_path / "file").write_text("")
        with pytest.raises(NotADirectoryError, match="file"):
            import_adbench(tmp_path / "file", data_home=tmp_path)
