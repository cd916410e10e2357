"""Beyond one machine: fit on Parquet files and write generated rows, on a Dask cluster.

    python examples/cluster.py [FOLDER]

Starts a cluster of two processes on this machine. On a real one, only the line that starts it
differs: `Client("tcp://scheduler:8786")`, or one of dask-jobqueue's or dask-kubernetes' clusters.
FOLDER must then be one that all machines see. Needs nngmix[dask].
"""

import sys
import tempfile
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from distributed import Client, LocalCluster

from nngmix import NNGMix
from nngmix.sampling.cluster import fit_dask, sample_dask

N_FILES, N_ROWS, N_FEATURES = 8, 50_000, 16


def write_some_files(folder: Path) -> None:
    """Write a table in several files, with a handful of labelled anomalies in each."""
    folder.mkdir()
    for i in range(N_FILES):
        rng = np.random.default_rng(i)
        rows = rng.normal(size=(N_ROWS, N_FEATURES)).astype(np.float32)
        labelled = np.arange(N_ROWS) < 5
        rows[labelled, :3] += 4
        columns = {f"x{j}": rows[:, j] for j in range(N_FEATURES)}
        table = pa.table({**columns, "label": labelled.astype(np.int8)})
        pq.write_table(table, folder / f"{i}.parquet", row_group_size=10_000)


def main(folder: Path) -> None:
    write_some_files(folder / "rows")
    with (
        LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None) as cluster,
        Client(cluster),
    ):
        # Each worker reads its share of the files; a Dask DataFrame would do as well. What comes
        # back is the sampler, which holds the few rows that it generates from.
        sampler = fit_dask(NNGMix(random_state=0), folder / "rows", "label")
        pool = sampler.pool_
        print(
            f"fitted on {N_FILES * N_ROWS:,} rows: keeps {len(pool.anomalies)} labelled "
            f"anomalies and {len(pool.unlabelled)} unlabelled rows near them"
        )
        # Each worker generates its share of the rows, and writes it.
        new = sample_dask(sampler, 200_000, npartitions=4)
        new.assign(label=1).to_parquet(folder / "new", write_index=False)

    # The same as on one machine, to the last bit.
    here = NNGMix(random_state=0).fit_files(folder / "rows", "label")
    written = pq.read_table(folder / "new").select(sampler.feature_names_in_.tolist())
    print(f"wrote {len(written):,} rows to {len(list((folder / 'new').glob('*.parquet')))} files")
    assert np.array_equal(written.to_pandas(), here.sample(200_000).to_pandas())
    print("on one machine the rows are the same")


if __name__ == "__main__":
    if len(sys.argv) > 1:
        main(Path(sys.argv[1]))
    else:
        with tempfile.TemporaryDirectory() as folder:
            main(Path(folder))
