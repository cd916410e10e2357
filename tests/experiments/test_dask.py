"""Cells on a Dask cluster: the same numbers as here."""

import joblib
import pytest

from nngmix.experiments import Cell, run_cells


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # of the cluster's own parts, as it starts and stops
def test_a_cluster_gives_the_same_numbers():
    distributed = pytest.importorskip("distributed", reason="distributed is not installed")
    cells = [
        Cell("wine", sampler, "MLP", seed=seed) for sampler in ("none", "NNGMix") for seed in (0, 1)
    ]
    here = set(run_cells_without_times(cells, n_jobs=1))
    with (
        distributed.LocalCluster(
            n_workers=2, threads_per_worker=1, dashboard_address=None
        ) as cluster,
        distributed.Client(cluster),
        joblib.parallel_config(backend="dask"),
    ):
        there = set(run_cells_without_times(cells))
    assert there == here


def run_cells_without_times(cells, **settings):
    for outcome in run_cells(cells, **settings):
        yield outcome.cell, outcome.aucroc, outcome.aucpr
