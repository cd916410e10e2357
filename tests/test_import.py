"""What ``import nngmix`` costs: little time, and no heavy library."""

import json
import subprocess
import sys

import pytest

SCRIPT = """
import json, sys, time
start = time.perf_counter()
{statement}
seconds = time.perf_counter() - start
heavy = ["torch", "catboost", "matplotlib", "sklearn", "pandas"]
print(json.dumps([seconds, [name for name in heavy if name in sys.modules]]))
"""


def cost(statement: str) -> tuple[float, list[str]]:
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT.format(statement=statement)],
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stderr == ""
    seconds, heavy = json.loads(done.stdout)
    return seconds, heavy


def test_import_is_light() -> None:
    # Best of three: the machine may be busy with something else.
    costs = [cost("import nngmix") for _ in range(3)]
    assert min(seconds for seconds, _ in costs) < 1
    assert costs[0][1] == []


@pytest.mark.parametrize(
    "statement",
    [
        "from nngmix import NNGMix, Duplicate; NNGMix()",
        "import nngmix.detectors; nngmix.detectors.CatBoost()",
        "import nngmix.datasets",
        "import nngmix.experiments",
        "import nngmix.plotting",
        "import nngmix.cli.app",
        "from nngmix import load, save",
    ],
)
def test_parts_load_what_they_wrap_late(statement: str) -> None:
    _, heavy = cost(statement)
    assert not {"torch", "catboost", "matplotlib"} & set(heavy)


def test_names_and_version() -> None:
    import nngmix

    assert set(nngmix.__all__) <= set(dir(nngmix))
    for name in nngmix.__all__:
        assert getattr(nngmix, name) is not None
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        nngmix.nothing  # noqa: B018
