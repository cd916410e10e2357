"""What is left of a file that a killed process was writing, and two that write the same one."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from nngmix.replacing import replacing

WRITER = """
import sys, time
from pathlib import Path
from nngmix.replacing import replacing
with replacing(Path(sys.argv[1])) as beside:
    beside.write_text(sys.argv[2])
    print("begun", flush=True)
    sys.stdin.readline()
"""


def begin(path: Path, text: str) -> subprocess.Popen[str]:
    """Start a process that has written the text, and moves it to its place when told to."""
    process = subprocess.Popen(
        [sys.executable, "-c", WRITER, path, text],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "begun\n"
    return process


def write(path: Path, text: str) -> None:
    with replacing(path) as beside:
        beside.write_text(text)


def finish(process: subprocess.Popen[str]) -> None:
    process.communicate("\n", timeout=60)
    assert process.returncode == 0


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="no such signal here")
def test_what_a_killed_process_left_goes_with_the_next_run(tmp_path: Path) -> None:
    path, other = tmp_path / "out.csv", tmp_path / "other.csv"
    processes = [begin(target, "half") for target in (path, path, other)]
    for process in processes:
        process.kill()
        process.communicate(timeout=60)
    assert len(os.listdir(tmp_path)) == 3
    write(path, "whole")
    assert path.read_text() == "whole"
    # The other file's is left to the other file.
    assert len(os.listdir(tmp_path)) == 2
    write(other, "whole")
    assert sorted(os.listdir(tmp_path)) == ["other.csv", "out.csv"]


def test_two_at_once(tmp_path: Path) -> None:
    path = tmp_path / "out.csv"
    first, second = begin(path, "first"), begin(path, "second")
    write(path, "third")
    assert path.read_text() == "third"
    finish(first)
    assert path.read_text() == "first"
    finish(second)
    assert path.read_text() == "second"
    assert os.listdir(tmp_path) == ["out.csv"]


def test_one_inside_the_other(tmp_path: Path) -> None:
    path = tmp_path / "out.csv"
    with replacing(path) as outer:
        outer.write_text("outer")
        write(path, "inner")
        assert path.read_text() == "inner"
    assert path.read_text() == "outer"
    assert os.listdir(tmp_path) == ["out.csv"]


def test_strangers_stay(tmp_path: Path) -> None:
    for name in (".nngmix-", ".nngmix-cache", "nngmix-0", ".hidden"):
        (tmp_path / name).write_text("mine")
    (tmp_path / ".nngmix-folder").mkdir()
    write(tmp_path / "out.csv", "whole")
    assert len(os.listdir(tmp_path)) == 6
