"""The examples run as they stand, and write the pictures they promise."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).parents[1] / "examples"


def run(script, *args):
    environment = {**os.environ, "PYTHONWARNINGS": "error"}
    done = subprocess.run(
        [sys.executable, EXAMPLES / script, *map(str, args)],
        capture_output=True,
        text=True,
        env=environment,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def is_picture(path):
    return path.read_bytes().startswith(b"\x89PNG") and path.stat().st_size > 20_000


def test_decision_boundary(tmp_path):
    told = run("decision_boundary.py", tmp_path / "p.png")
    assert is_picture(tmp_path / "p.png")
    assert "(d) NNG-Mix: 8.3%" in told  # the figure that docs/samplers.md quotes


@pytest.mark.slow
def test_every_sampler(tmp_path):
    run("every_sampler.py", tmp_path)
    assert is_picture(tmp_path / "samplers-toy.png")
    assert is_picture(tmp_path / "samplers-wine.png")


@pytest.mark.slow
def test_pipelines():
    pytest.importorskip("torch", reason="torch is not installed")
    told = run("pipelines.py")
    assert "cross-validated average_precision: 0." in told
    assert "best of the grid: {" in told
    assert "DeepSAD, fresh ones each epoch: 0.9" in told


@pytest.mark.slow
def test_cluster(tmp_path):
    pytest.importorskip("distributed", reason="distributed is not installed")
    told = run("cluster.py", tmp_path)
    assert "fitted on 400,000 rows: keeps 40 labelled anomalies and " in told
    assert "wrote 200,000 rows to 4 files" in told
    assert "on one machine the rows are the same" in told
