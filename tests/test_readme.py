"""The README's Python runs as it stands."""

import re
from pathlib import Path

import pytest

README = Path(__file__).parents[1] / "README.md"


def test_readme_python_runs(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)  # it writes a model
    blocks = re.findall(r"```python\n(.*?)```", README.read_text(encoding="utf-8"), re.DOTALL)
    assert len(blocks) >= 2
    names: dict[str, object] = {}
    for block in blocks:
        exec(compile(block, str(README), "exec"), names)
    assert names["scores"].shape == (len(names["split"].X_test),)
    assert names["fresh"].shape == (1000, names["split"].X_train.shape[1])


@pytest.mark.parametrize("path", re.findall(r"\]\((docs/[^)]+)\)", README.read_text("utf-8")))
def test_readme_links_exist(path):
    assert (README.parent / path.partition("#")[0]).is_file()
