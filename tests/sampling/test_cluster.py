"""Dask: the sampler and the rows of a single machine, wherever the work is done."""

import pickle
from collections.abc import Iterator
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from sklearn.exceptions import NotFittedError

from nngmix import Chain, Cutout, Duplicate, GaussianNoise, NNGMix
from nngmix.sampling import TableFiles
from nngmix.sampling import cluster as module

pd = pytest.importorskip("pandas")
dask = pytest.importorskip("dask", reason="dask is not installed")
dd = pytest.importorskip("dask.dataframe", reason="dask[dataframe] is not installed")

from nngmix.sampling.cluster import fit_dask, sample_dask  # noqa: E402

SAMPLERS = [
    NNGMix(n_neighbors=4, random_state=0),
    NNGMix(n_neighbors=None, random_state=0),
    Chain([Cutout(), GaussianNoise(sigma=0.1)], random_state=0),
    Duplicate(),
]
NAMES = ["nng_mix", "drawn", "chain", "duplicate"]


@pytest.fixture(scope="module")
def frame() -> Any:
    rng = np.random.default_rng(0)
    n = 500
    return pd.DataFrame(
        {
            "a": rng.normal(size=n),
            "b": np.where(rng.random(n) < 0.1, np.nan, rng.integers(0, 50, n)),
            "kind": pd.Categorical(rng.choice(list("uvw"), n)),
            "y": np.arange(n) % 50 == 7,
            "c": rng.integers(0, 9, n),
        }
    )


@pytest.fixture
def files(frame: Any, tmp_path: Any) -> Any:
    for i in range(3):
        table = pa.Table.from_pandas(frame[i::3], preserve_index=False)
        pq.write_table(table, tmp_path / f"{i}.parquet", row_group_size=40)
    return tmp_path


def check_same(fitted: Any, whole: Any) -> None:
    for name in ("anomalies", "unlabelled", "near_anomalies", "near_unlabelled", "drawn"):
        np.testing.assert_array_equal(getattr(fitted.pool_, name), getattr(whole.pool_, name))
    assert fitted.pool_.n_unlabelled == whole.pool_.n_unlabelled
    assert fitted.sampling_strategy_ == whole.sampling_strategy_
    assert fitted.sample(60, random_state=1).equals(whole.sample(60, random_state=1))


class TestFit:
    @pytest.mark.parametrize("sampler", SAMPLERS, ids=NAMES)
    @pytest.mark.parametrize("npartitions", [1, 4, 30])
    def test_a_dask_frame(self, frame: Any, sampler: Any, npartitions: int) -> None:
        fitted = fit_dask(sampler, dd.from_pandas(frame, npartitions=npartitions), "y")
        check_same(fitted, sampler.fit(frame.drop(columns="y"), frame["y"]))

    @pytest.mark.parametrize("sampler", SAMPLERS, ids=NAMES)
    @pytest.mark.parametrize("cells", [1, 500, 1 << 25])
    def test_files(
        self, files: Any, sampler: Any, cells: int, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(module, "_CELLS", cells)
        whole = pa.concat_tables(map(pq.read_table, sorted(files.iterdir())))
        expected = sampler.fit(whole.drop_columns("y"), whole["y"])
        for source in (files, str(files / "*.parquet"), TableFiles(files)):
            check_same(fit_dask(sampler, source, "y"), expected)

    def test_columns(self, frame: Any, files: Any) -> None:
        whole = SAMPLERS[0].fit(frame[["c", "a"]], frame["y"])
        table = dd.from_pandas(frame, npartitions=3)
        check_same(fit_dask(SAMPLERS[0], table, "y", columns=["c", "a"]), whole)
        fitted = fit_dask(SAMPLERS[0], files, "y", columns=["c", "a"])
        np.testing.assert_array_equal(fitted.pool_.unlabelled, whole.pool_.unlabelled)
        whole = SAMPLERS[0].fit(frame[["a", "c"]], frame["y"])
        check_same(fit_dask(SAMPLERS[0], table, "y", exclude=["b", "kind"]), whole)

    def test_partitions_without_rows(self, frame: Any) -> None:
        table = dd.from_pandas(frame, npartitions=5)
        some, whole = table[table["a"] > 1], frame[frame["a"] > 1]
        assert whole["y"].any()
        empty = dd.concat([some, dd.from_pandas(frame[:0].assign(c=0), npartitions=1)])
        fitted = fit_dask(SAMPLERS[0], empty, "y")
        check_same(fitted, SAMPLERS[0].fit(whole.drop(columns="y"), whole["y"]))

    def test_the_given_sampler_stays_as_it_is(self, frame: Any) -> None:
        sampler = NNGMix()
        fit_dask(sampler, dd.from_pandas(frame, npartitions=2), "y")
        assert not hasattr(sampler, "pool_")

    def test_each_partition_is_made_twice_and_kept_by_none(self, frame: Any) -> None:
        parts = [frame[:200], frame[200:]]
        made = []

        def make(i: int) -> Any:
            made.append(i)
            return parts[i]

        fit_dask(NNGMix(), dd.from_map(make, [0, 1], meta=frame[:0]), "y")
        assert sorted(made) == [0, 0, 1, 1]

    @pytest.mark.parametrize("sampler", SAMPLERS, ids=NAMES)
    def test_anomalies_kept_by_themselves(self, frame: Any, files: Any, sampler: Any) -> None:
        known = frame[frame["y"]].drop(columns="y")
        expected = sampler.fit_files(files, None, columns=list(known), anomalies=known)
        given = {"columns": list(known), "anomalies": known}
        check_same(fit_dask(sampler, files, None, **given), expected)
        table = dd.from_pandas(frame, npartitions=5)
        fitted = fit_dask(sampler, table, None, **given)
        np.testing.assert_array_equal(fitted.pool_.anomalies, expected.pool_.anomalies)
        np.testing.assert_array_equal(fitted.pool_.unlabelled, expected.pool_.unlabelled)
        assert fitted.pool_.n_unlabelled == len(frame)
        assert fitted.sample(20).dtypes.equals(known.dtypes)
        # A label beside them: what it marks is not unlabelled.
        labelled = fit_dask(sampler, table, "y", anomalies=known)
        check_same(labelled, sampler.fit(frame.drop(columns="y"), frame["y"]))
        assert labelled.pool_.n_unlabelled == (~frame["y"]).sum()

    def test_anomalies_in_a_file(self, frame: Any, files: Any, tmp_path: Any) -> None:
        known = frame[frame["y"]].drop(columns="y")
        known.to_parquet(tmp_path / "known.pq")
        table = dd.from_pandas(frame, npartitions=2)
        for source in (table, str(files / "*.parquet")):
            from_file = fit_dask(SAMPLERS[0], source, "y", anomalies=tmp_path / "known.pq")
            check_same(from_file, fit_dask(SAMPLERS[0], source, "y"))

    def test_anomalies_that_do_not_fit(self, frame: Any, files: Any) -> None:
        known = frame[frame["y"]].drop(columns="y")
        for table in (dd.from_pandas(frame, npartitions=2), files):
            with pytest.raises(ValueError, match="label: name the column that is 1"):
                fit_dask(NNGMix(), table, None)
            with pytest.raises(ValueError, match="anomalies: the table has no column 'kind'"):
                fit_dask(NNGMix(), table, "y", anomalies=known.drop(columns="kind"))
            with pytest.raises(
                ValueError, match="anomalies: column 'c' is double and does not fit"
            ):
                fit_dask(NNGMix(), table, "y", anomalies=known.assign(c=0.5))
            with pytest.raises(ValueError, match="anomalies: the table has no rows"):
                fit_dask(NNGMix(), table, "y", anomalies=known[:0])
            with pytest.raises(
                ValueError, match="labelled anomalies are not among those that were known"
            ):
                fit_dask(NNGMix(), table, "y", anomalies=known[:1])

    def test_anomalies_with_gaps_where_the_frame_has_none(self, frame: Any) -> None:
        known = frame[frame["y"]].drop(columns="y").astype({"c": "Int64"})
        known.iloc[2, known.columns.get_loc("c")] = pd.NA
        with pytest.raises(ValueError, match="column 'c' has 1 empty cells, for which the table's"):
            fit_dask(NNGMix(), dd.from_pandas(frame, npartitions=2), "y", anomalies=known)

    def test_anomalies_of_a_frame_of_objects(self, frame: Any) -> None:
        objects = frame.astype({"kind": object})
        known = objects[objects["y"]].drop(columns="y")
        with dask.config.set({"dataframe.convert-string": False}):
            table = dd.from_pandas(objects, npartitions=2)
            sampler = NNGMix(categorical_features=["kind"], random_state=0)
            fitted = fit_dask(sampler, table, "y", anomalies=known)
        check_same(fitted, sampler.fit(objects.drop(columns="y"), objects["y"]))

    def test_errors(self, frame: Any, files: Any, tmp_path: Any) -> None:
        table = dd.from_pandas(frame, npartitions=3)
        with pytest.raises(ValueError, match="label: the table has no column 'z'"):
            fit_dask(NNGMix(), table, "z")
        with pytest.raises(ValueError, match="the table has no column 'z'"):
            fit_dask(NNGMix(), files, "z")
        with pytest.raises(ValueError, match="label column 'a' must hold only 0"):
            fit_dask(NNGMix(), table, "a")
        with pytest.raises(ValueError, match=r"\d.parquet': label column 'a' must hold only 0"):
            fit_dask(NNGMix(), files, "a")
        with pytest.raises(ValueError, match="sampling_strategy: fitting in parts"):
            fit_dask(NNGMix(sampling_strategy="auto"), table, "y")
        with pytest.raises(ValueError, match=r"^the table: there is no labelled anomaly"):
            fit_dask(NNGMix(), table.assign(y=False), "y")
        frame.to_csv(tmp_path / "a.csv")
        with pytest.raises(ValueError, match="a cluster reads Parquet files"):
            fit_dask(NNGMix(), tmp_path / "a.csv", "y")


class TestSample:
    @pytest.mark.parametrize("sampler", SAMPLERS, ids=NAMES)
    @pytest.mark.parametrize("npartitions", [1, 7, None])
    def test_the_rows_of_one_machine(self, frame: Any, sampler: Any, npartitions: Any) -> None:
        fitted = sampler.fit(frame.drop(columns="y"), frame["y"])
        rows = sample_dask(fitted, 200, npartitions=npartitions, random_state=3)
        assert rows.npartitions == (npartitions or 1)
        expected = fitted.sample(200, random_state=3)
        pd.testing.assert_frame_equal(rows.compute(), expected)
        assert rows.known_divisions
        pd.testing.assert_frame_equal(rows.loc[50:60].compute(), expected.loc[50:60])
        pd.testing.assert_frame_equal(rows._meta, expected[:0])

    def test_one_draw_without_a_seed(self, frame: Any) -> None:
        fitted = NNGMix().fit(frame[["a", "c"]], frame["y"])
        one, two = (sample_dask(fitted, 400, npartitions=4) for _ in range(2))
        pd.testing.assert_frame_equal(one.compute(), one.compute())
        assert not one.compute().equals(two.compute())
        # The partitions don't repeat each other.
        assert len(one.compute()["a"].unique()) > 300

    def test_other_kinds_of_table(self, frame: Any, files: Any) -> None:
        fitted = fit_dask(NNGMix(random_state=0), files, "y")
        rows = sample_dask(fitted, 30, npartitions=3).compute()
        expected = fitted.sample(30).to_pandas()
        assert list(rows["kind"].cat.categories) == ["u", "v", "w"]
        pd.testing.assert_frame_equal(rows.astype({"kind": str}), expected.astype({"kind": str}))
        X = frame[["a", "c"]].to_numpy()
        fitted = NNGMix(random_state=0).fit(X, frame["y"])
        rows = sample_dask(fitted, 30, npartitions=3).compute()
        np.testing.assert_array_equal(rows.to_numpy(), fitted.sample(30))
        fitted = NNGMix(random_state=0).fit(
            pytest.importorskip("polars").from_pandas(frame[["a", "c"]]), frame["y"]
        )
        rows = sample_dask(fitted, 30, npartitions=2).compute()
        np.testing.assert_array_equal(rows.to_numpy(), fitted.sample(30).to_numpy())

    def test_more_partitions_than_rows(self, frame: Any) -> None:
        fitted = NNGMix(random_state=0).fit(frame[["a", "c"]], frame["y"])
        rows = sample_dask(fitted, 3, npartitions=10)
        pd.testing.assert_frame_equal(rows.compute(), fitted.sample(3))

    def test_errors(self, frame: Any) -> None:
        with pytest.raises(NotFittedError):
            sample_dask(NNGMix(), 10)
        fitted = NNGMix().fit(frame[["a", "c"]], frame["y"])
        with pytest.raises(ValueError, match=r"n must be a whole number of at least 1\. Got 0"):
            sample_dask(fitted, 0)
        with pytest.raises(ValueError, match="npartitions must be a whole number of at least 1"):
            sample_dask(fitted, 10, npartitions=0)


def test_missing_dask_names_the_extra(frame: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "dask", None)
    for work in (
        lambda: fit_dask(NNGMix(), "nothing.parquet", "y"),
        lambda: sample_dask(NNGMix(), 10),
    ):
        with pytest.raises(ImportError, match=r"pip install 'nngmix\[dask\]'"):
            work()


# On a cluster of processes -----------------------------------------------------------------------


@pytest.fixture
def workers() -> Iterator[Any]:
    """Start two processes with one thread each."""
    distributed = pytest.importorskip("distributed", reason="distributed is not installed")
    with (
        distributed.LocalCluster(
            n_workers=2, threads_per_worker=1, dashboard_address=None
        ) as cluster,
        distributed.Client(cluster) as client,
    ):
        yield client


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # of the cluster's own parts, as it starts and stops
def test_two_processes(
    workers: Any, frame: Any, files: Any, monkeypatch: pytest.MonkeyPatch, tmp_path_factory: Any
) -> None:
    monkeypatch.setattr(module, "_CELLS", 500)
    whole = frame.drop(columns="y")
    for sampler in SAMPLERS:
        expected = sampler.fit(whole, frame["y"])
        check_same(fit_dask(sampler, dd.from_pandas(frame, npartitions=12), "y"), expected)
        from_files = fit_dask(sampler, files, "y")
        np.testing.assert_array_equal(from_files.pool_.unlabelled, expected.pool_.unlabelled)
        rows = sample_dask(expected, 1000, npartitions=5, random_state=3)
        pd.testing.assert_frame_equal(rows.compute(), expected.sample(1000, random_state=3))
        # Written where it is made.
        out = tmp_path_factory.mktemp("out")
        rows.to_parquet(out, write_index=False)
        pd.testing.assert_frame_equal(
            pd.read_parquet(out).astype({"kind": str}), rows.compute().astype({"kind": str})
        )
    # Errors of the workers arrive as they are.
    with pytest.raises(ValueError, match=r"\d.parquet': label column 'a' must hold only 0"):
        fit_dask(NNGMix(), files, "a")
    # Both have worked.
    done = workers.run(lambda dask_worker: len(dask_worker.state.log))
    assert len(done) == 2
    assert all(done.values())


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_what_comes_back_is_small(workers: Any) -> None:
    def make(i: int) -> Any:
        rng = np.random.default_rng(i)
        part = pd.DataFrame(rng.random((100_000, 8), dtype=np.float32)).rename(columns=str)
        return part.assign(y=np.arange(100_000) < 2)

    table = dd.from_map(make, range(8), meta=make(0)[:0])
    sampler = NNGMix(random_state=0)
    fitted = fit_dask(sampler, table, "y")
    # 25 MB of rows; the pool holds 16 anomalies and some rows near each.
    assert len(pickle.dumps(fitted)) < 100_000
    assert fitted.pool_.n_unlabelled == 8 * 99_998
