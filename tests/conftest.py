import os
from pathlib import Path

import hypothesis
import pytest

# An example's time says more about what else the machine does than about the code.
hypothesis.settings.register_profile("no deadline", deadline=None)
hypothesis.settings.load_profile("no deadline")


@pytest.fixture(scope="session")
def adbench_home() -> Path:
    """The folder of ADBench files; tests that need it are skipped where there is none."""
    beside_checkout = Path(__file__).resolve().parents[2] / "shared" / "adbench"
    folder = Path(os.environ.get("NNGMIX_ADBENCH", beside_checkout))
    if not folder.is_dir():
        pytest.skip(f"no ADBench files in {folder}: set NNGMIX_ADBENCH to a folder of them")
    return folder
