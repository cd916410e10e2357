"""The Python of docs/scale.md runs as it stands; Spark and Ray are stood in for.

These two are no part of the development environment. What stands in for them keeps to what they
promise the functions that they call, and passes these and their results through pickle.
"""

import itertools
import re
import sys
import types
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from nngmix import NNGMix

pd = pytest.importorskip("pandas")
cloudpickle = pytest.importorskip("cloudpickle", reason="cloudpickle, of dask, is not installed")

PAGE = Path(__file__).parents[2] / "docs" / "scale.md"
BLOCKS = re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)


@pytest.fixture
def rows(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("rows").mkdir()
    for i in range(3):
        rng = np.random.default_rng(i)
        columns = {"a": rng.random(400), "b": rng.integers(0, 9, 400)}
        table = pa.table({**columns, "label": (np.arange(400) < 3).astype("int8")})
        pq.write_table(table, f"rows/{i}.parquet", row_group_size=150)
    return pa.concat_tables(pq.read_table(f"rows/{i}.parquet") for i in range(3))


def run(mark):
    (block,) = (block for block in BLOCKS if mark in block)
    names = {}
    exec(compile(block, str(PAGE), "exec"), names)
    return names


def check_same(fitted, rows):
    whole = NNGMix(random_state=0).fit(rows.drop_columns("label"), rows["label"])
    for name in ("anomalies", "unlabelled", "near_anomalies", "near_unlabelled"):
        np.testing.assert_array_equal(getattr(fitted.pool_, name), getattr(whole.pool_, name))
    return whole


def far_away(function):
    """The function, as it arrives in another process."""
    return cloudpickle.loads(cloudpickle.dumps(function))


def test_files(rows, monkeypatch):
    names = run('fit_files("rows", label="label")')
    check_same(names["sampler"], rows)
    assert names["new"].num_rows == 1_000_000
    pq.write_table(rows.filter(pa.compute.equal(rows["label"], 1)), "known_cases.parquet")
    (block,) = (block for block in BLOCKS if "known_cases" in block)
    exec(block, names)
    assert len(names["sampler"].pool_.anomalies) == 9


class SparkTable:
    """``DataFrame.mapInPandas``: an iterator of pandas tables in, an iterator of them out."""

    def __init__(self, partitions, schema=None):
        self.partitions, self.schema = partitions, schema

    def mapInPandas(self, function, schema):  # noqa: N802  (Spark's name)
        out = [list(far_away(function)(iter(pieces))) for pieces in self.partitions]
        names = schema.split()[0::2] if isinstance(schema, str) else schema
        assert all(list(piece.columns) == list(names) for pieces in out for piece in pieces)
        return SparkTable(out, schema)

    def toLocalIterator(self):  # noqa: N802
        for piece in itertools.chain(*self.partitions):
            yield from piece.to_dict("records")

    def drop(self, name):
        return SparkTable([], [column for column in self.schema if column != name])

    @property
    def write(self):
        parts = itertools.chain(*self.partitions)
        return types.SimpleNamespace(
            parquet=lambda path: pd.concat(parts).to_parquet(path, index=False)
        )


class Spark:
    def __init__(self):
        self.conf = types.SimpleNamespace(set=lambda name, value: None)
        self.read = types.SimpleNamespace(parquet=self.read_parquet)

    def read_parquet(self, path):
        frame = pd.read_parquet(path)
        pieces = [frame[start : start + 130] for start in range(0, len(frame), 130)]
        return SparkTable([pieces[:4], [], pieces[4:]], list(frame.columns))

    def range(self, start, stop, step):
        ids = pd.DataFrame({"id": np.arange(start, stop, step)})
        return SparkTable([[ids[:3], ids[3:5]], [ids[5:]]])


def test_spark(rows, monkeypatch):
    module = types.ModuleType("pyspark.sql")
    builder = types.SimpleNamespace(getOrCreate=Spark)
    module.SparkSession = types.SimpleNamespace(builder=builder)
    monkeypatch.setitem(sys.modules, "pyspark", types.ModuleType("pyspark"))
    monkeypatch.setitem(sys.modules, "pyspark.sql", module)
    whole = check_same(run("pyspark")["fitted"], rows)
    expected = whole.sample(1_000_000).to_pandas()
    pd.testing.assert_frame_equal(pd.read_parquet("new"), expected)


class RayTable:
    """``Dataset.map_batches``: a batch in; a batch, or a generator of batches, out."""

    def __init__(self, blocks):
        self.blocks = blocks

    def map_batches(self, function, *, batch_size, batch_format="default"):
        out = []
        for block in self.blocks:
            done = far_away(function)(block)
            out += list(done) if isinstance(done, types.GeneratorType) else [done]
        return RayTable(out)

    def iter_rows(self):
        for block in self.blocks:
            yield from block.to_pylist()

    def write_parquet(self, path):
        pq.write_table(pa.concat_tables(self.blocks), path)


def test_ray(rows, monkeypatch):
    module = types.ModuleType("ray")
    module.data = types.SimpleNamespace(
        read_parquet=lambda path: RayTable([rows[:500], rows[500:510], rows[510:]]),
        from_items=lambda items: RayTable([{"item": np.array([item])} for item in items]),
    )
    monkeypatch.setitem(sys.modules, "ray", module)
    whole = check_same(run("import ray")["fitted"], rows)
    assert pq.read_table("new").equals(whole.sample(1_000_000))
