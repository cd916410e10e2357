"""What the repository says it measured is what its file of cells holds."""

import re
import subprocess
import sys
from pathlib import Path

from nngmix.experiments import read_results

ROOT = Path(__file__).parents[1]


def test_the_page_is_filled_from_the_cells():
    done = subprocess.run(
        [sys.executable, ROOT / "benchmarks" / "results.py", "--check"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr


def test_its_pictures_are_there():
    page = (ROOT / "docs" / "results.md").read_text(encoding="utf-8")
    pictures = re.findall(r"\]\((images/[^)]*)\)", page)
    assert len(pictures) >= 5
    for picture in pictures:
        assert (ROOT / "docs" / picture).is_file(), picture


def test_the_cells_name_nobody():
    """No name of a host, user or folder travels with the numbers."""
    results = read_results(ROOT / "results" / "adbench.parquet")
    assert len(results.outcomes) > 1000
    told = str([*results.runs.values(), *(failure.reason for failure in results.failures)])
    assert not re.search(r"/(home|root|tmp|work|Users)\b", told)
