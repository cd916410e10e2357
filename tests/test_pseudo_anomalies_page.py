"""What docs/pseudo-anomalies.md says was measured is what the study's file of cells holds."""

import importlib.util
import re
from pathlib import Path

from nngmix.experiments import read_results

ROOT = Path(__file__).parents[1]


def test_the_page_is_filled_from_the_cells():
    # In this process: most of what a new one would take is loading libraries.
    place = ROOT / "benchmarks" / "pseudo_anomalies.py"
    spec = importlib.util.spec_from_file_location(place.stem, place)
    study = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(study)
    page = study.PAGE.read_text(encoding="utf-8")
    parts = study.make_parts(read_results(study.CELLS))
    assert len(parts) > 5
    for name, text in parts.items():
        assert f"<!-- {name} -->\n{text}\n<!-- end -->" in page, name


def test_its_pictures_are_there():
    page = (ROOT / "docs" / "pseudo-anomalies.md").read_text(encoding="utf-8")
    pictures = re.findall(r"\]\((images/[^)]*)\)", page)
    assert pictures
    for picture in pictures:
        assert (ROOT / "docs" / picture).is_file(), picture


def test_no_cell_failed_and_none_names_anybody():
    results = read_results(ROOT / "results" / "pseudo_anomalies.parquet")
    assert not results.failures
    assert len(results.outcomes) > 1000
    assert not re.search(r"/(home|root|tmp|work|Users)\b", str([*results.runs.values()]))
