"""The command, called in this process, and a small table to call it on."""

import contextlib
import dataclasses
import io
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from nngmix.cli.app import app


@dataclasses.dataclass(frozen=True)
class Result:
    code: int
    out: str
    err: str


def call(*args: object) -> Result:
    """Run ``nngmix`` without the cost of a process; typer ends every command with SystemExit."""
    out, err = io.StringIO(), io.StringIO()
    with (
        contextlib.redirect_stdout(out),
        contextlib.redirect_stderr(err),
        pytest.raises(SystemExit) as end,
    ):
        app([str(arg) for arg in args], prog_name="nngmix")
    return Result(int(end.value.code or 0), out.getvalue(), err.getvalue())


@pytest.fixture(scope="session")
def nngmix() -> Callable[..., Result]:
    return call


@pytest.fixture
def frame() -> pd.DataFrame:
    rng = np.random.default_rng(0)
    n = 60
    return pd.DataFrame(
        {
            "weight": rng.normal(70, 9, n),
            "visits": rng.integers(0, 9, n),
            "smoker": rng.random(n) < 0.3,
            "fraud": (np.arange(n) % 12 == 5).astype(int),
        }
    )


@pytest.fixture
def folder(tmp_path: Path, frame: pd.DataFrame) -> Path:
    """A folder with the table as ``in.csv`` and ``in.parquet``."""
    frame.to_csv(tmp_path / "in.csv", index=False)
    frame.to_parquet(tmp_path / "in.parquet")
    return tmp_path
