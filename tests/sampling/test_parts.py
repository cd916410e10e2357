"""Fitting in parts and on files: whatever the cut and the order, the sampler of the whole table."""

import itertools
import pickle
import subprocess
import sys
from dataclasses import fields
from functools import reduce

import numpy as np
import pyarrow as pa
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.base import clone
from sklearn.preprocessing import MinMaxScaler, StandardScaler

from nngmix import (
    NPOS,
    Chain,
    CutMix,
    Cutout,
    Duplicate,
    GaussianNoise,
    Mixup,
    NNGMix,
    RoSAS,
)
from nngmix.sampling import Survey, TableFiles, fit_part, survey_part

pd = pytest.importorskip("pandas")

SAMPLERS = {
    "nng_mix": NNGMix(n_neighbors=3, sigma=0.1),
    "drawn": NNGMix(n_neighbors=None),
    "chain": Chain([Cutout(), GaussianNoise(sigma=0.1)]),
    "cutmix": CutMix(),
    "mixup": Mixup(),
    "gaussian_noise": GaussianNoise(),
    "npos": NPOS(n_candidates=20, n_neighbors=3, n_boundary=5),
    "rosas": RoSAS(),
    "duplicate": Duplicate(),
}
# Methods that look at no unlabelled row.
BLIND = ["chain", "gaussian_noise", "duplicate"]


@pytest.fixture(scope="module", autouse=True)
def side_by_side():
    """Search parts side by side, as in large files. That small ones are not is test_cluster's."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("nngmix.sampling.parts._MANY_PARTS", 0)
        yield


def make(name, **parameters):
    """A sampler with these parameters, of which it may lack some."""
    sampler = clone(SAMPLERS[name])
    known = sampler.get_params()
    parameters = {"random_state": 0, **parameters}
    return sampler.set_params(**{k: v for k, v in parameters.items() if k in known})


def numbers(n=60, seed=0, dtype="float64"):
    rng = np.random.default_rng(seed)
    frame = pd.DataFrame(rng.normal(size=(n, 3)), columns=list("abc")).astype(dtype)
    frame["y"] = (np.arange(n) % 9 == 4).astype(int)
    return frame


def mixed(n=60, seed=0):
    """Floats with gaps, whole numbers, whole numbers with gaps, booleans and categories."""
    rng = np.random.default_rng(seed)
    holes = rng.random((2, n)) < 0.15
    frame = pd.DataFrame(
        {
            "float": np.where(holes[0], np.nan, rng.normal(size=n)),
            "whole": rng.integers(-5, 1000, n),
            "gaps": np.where(holes[1], np.nan, rng.integers(0, 9, n)),
            "bool": rng.random(n) < 0.5,
            "kind": pd.Categorical(rng.choice(list("uvw"), n)),
            "constant": 4.5,
        }
    )
    frame["y"] = np.arange(n) % 9 == 4
    return frame


def same(fitted, whole):
    """The two are one sampler, to the last bit."""
    for field in fields(whole.pool_):
        one, two = (getattr(sampler.pool_, field.name) for sampler in (fitted, whole))
        if isinstance(two, np.ndarray):
            assert one.dtype == two.dtype, field.name
            np.testing.assert_array_equal(one, two, err_msg=field.name)
        elif field.name == "scale":
            for part in fields(two):
                np.testing.assert_array_equal(getattr(one, part.name), getattr(two, part.name))
        elif field.name != "extra":
            assert one == two, field.name
    a, b = (sampler.sample(40, random_state=5) for sampler in (fitted, whole))
    assert type(a) is type(b)
    assert a.equals(b)
    if isinstance(b, pd.DataFrame):
        assert list(a.dtypes) == list(b.dtypes)
    else:
        assert a.schema == b.schema
    for name in ("n_features_in_", "sampling_strategy_"):
        assert getattr(fitted, name) == getattr(whole, name)
    assert hasattr(fitted, "feature_names_in_") == hasattr(whole, "feature_names_in_")
    if hasattr(whole, "feature_names_in_"):
        assert list(fitted.feature_names_in_) == list(whole.feature_names_in_)


def in_parts(sampler, parts, label="y", shuffle=None, **options):
    surveys = [survey_part(sampler, part, label, **options) for part in parts]
    if shuffle:
        shuffle.shuffle(surveys)
    survey = reduce(Survey.merge, surveys)
    fitted = [fit_part(sampler, part, survey) for part in parts]
    while len(fitted) > 1:  # two at a time, any two
        if shuffle:
            shuffle.shuffle(fitted)
        one, two = fitted.pop(), fitted.pop(0)
        fitted.append(pickle.loads(pickle.dumps(one)).merge(two))
    return fitted[0]


def cut(table, places):
    edges = [0, *sorted(places), len(table)]
    return [table[a:b] for a, b in itertools.pairwise(edges)]


@pytest.mark.parametrize("name", SAMPLERS)
@pytest.mark.parametrize("table", [numbers, mixed])
@settings(max_examples=6, deadline=None)
@given(
    places=st.lists(st.integers(0, 60), max_size=6),
    shuffle=st.randoms(use_true_random=False),
    scaling=st.sampled_from(["minmax", None]),
)
def test_any_cut_and_any_order(name, table, places, shuffle, scaling):
    frame = table()
    sampler = make(name, scaling=scaling)
    whole = clone(sampler).fit(frame.drop(columns="y"), frame["y"])
    # Cuts at one place make parts without rows.
    same(in_parts(sampler, cut(frame, places), shuffle=shuffle), whole)
    assert not hasattr(sampler, "pool_")


@pytest.mark.parametrize("kind", ["pandas", "pyarrow", "polars"])
def test_every_kind_of_table(kind):
    frame = mixed()
    if kind == "pyarrow":
        frame = pa.Table.from_pandas(frame)
        X, y = frame.drop_columns("y"), frame["y"]
        parts = [frame.slice(start, 25) for start in (0, 25, 50)]
    elif kind == "polars":
        frame = pytest.importorskip("polars").from_pandas(frame)
        X, y = frame.drop("y"), frame["y"]
        parts = [frame[start : start + 25] for start in (0, 25, 50)]
    else:
        X, y = frame.drop(columns="y"), frame["y"]
        parts = cut(frame, [25, 50])
    sampler = NNGMix(n_neighbors=4, random_state=0)
    same(in_parts(sampler, parts), clone(sampler).fit(X, y))


def test_single_precision_stays():
    frame = numbers(dtype="float32")
    fitted = in_parts(NNGMix(random_state=0), cut(frame, [20, 40]))
    same(fitted, NNGMix(random_state=0).fit(frame[["a", "b", "c"]], frame["y"]))
    assert fitted.pool_.anomalies.dtype == np.float32


def test_parts_with_types_of_their_own():
    # As frames read from CSV files: whole numbers are floats where there are gaps.
    parts = [
        pd.DataFrame({"a": [1, 2, 3, 9], "b": [0.5, 1, 2, 3], "y": [1, 0, 0, 0]}),
        pd.DataFrame({"a": [4.0, None, 5.0, 6.0], "b": [1, 1, 1, 7], "y": [0, 1, 0, 1]}),
        pd.DataFrame({"a": [None, None], "b": [None, 1.0], "y": [0, 0]}, dtype=object),
    ]
    parts[2]["y"] = [0, 0]
    whole = pd.concat([part.astype({"a": float, "b": float}) for part in parts])
    for order in itertools.permutations(parts[:2]):
        fitted = in_parts(NNGMix(n_neighbors=2, random_state=0), order)
        expected = pd.concat(order)
        same(
            fitted,
            NNGMix(n_neighbors=2, random_state=0).fit(expected[["a", "b"]], expected["y"]),
        )
        rows = fitted.sample(50)
        assert (rows["a"].dropna() % 1 == 0).all()  # whole numbers with gaps
        assert (rows["b"] % 1 != 0).any()
    # A part whose column is all empty has no say in what it holds.
    fitted = in_parts(NNGMix(n_neighbors=2, random_state=0), parts)
    expected = NNGMix(n_neighbors=2, random_state=0).fit(whole[["a", "b"]], whole["y"])
    np.testing.assert_array_equal(fitted.pool_.unlabelled, expected.pool_.unlabelled)


def test_categories_that_differ_between_parts():
    parts = [
        pd.DataFrame({"a": [0.0, 1, 2], "k": pd.Categorical(["u", "v", "u"]), "y": [1, 0, 0]}),
        pd.DataFrame({"a": [0.5, 3, 2], "k": pd.Categorical(["w", "v", "x"]), "y": [1, 0, 0]}),
    ]
    fitted = in_parts(NNGMix(n_neighbors=4, random_state=0), parts)
    rows = fitted.sample(200)
    assert list(rows["k"].cat.categories) == ["u", "v", "w", "x"]
    assert set(rows["k"]) == {"u", "v", "w", "x"}
    text = [part.astype({"k": "str"}) for part in parts]
    sampler = NNGMix(n_neighbors=2, random_state=0, categorical_features=["k"])
    whole = pd.concat(text)
    same(in_parts(sampler, text), clone(sampler).fit(whole[["a", "k"]], whole["y"]))


def test_columns_and_exclude():
    frame = numbers()
    whole = NNGMix(random_state=0).fit(frame[["c", "a"]], frame["y"])
    same(in_parts(NNGMix(random_state=0), cut(frame, [30]), columns=["c", "a"]), whole)
    whole = NNGMix(random_state=0).fit(frame[["a", "c"]], frame["y"])
    same(in_parts(NNGMix(random_state=0), cut(frame, [30]), exclude=["b"]), whole)


def test_a_fitted_scaler_travels():
    frame = numbers()
    X, y = frame.drop(columns="y"), frame["y"]
    # Copies of a scaler in other processes are equal, and so is a state of random numbers ignored.
    sampler = NNGMix(scaling=StandardScaler().fit(X), random_state=np.random.RandomState(0))
    whole = NNGMix(scaling=sampler.scaling, random_state=0).fit(X, y)
    survey = reduce(Survey.merge, [survey_part(sampler, p, "y") for p in cut(frame, [30])])
    one, two = (
        fit_part(pickle.loads(pickle.dumps(sampler)), part, survey) for part in cut(frame, [30])
    )
    fitted = one.merge(two)
    np.testing.assert_array_equal(fitted.pool_.unlabelled, whole.pool_.unlabelled)


def test_what_is_sent_is_small():
    frame = mixed(20_000)
    frame["y"] = np.arange(20_000) < 10
    sampler = NNGMix(random_state=0)
    for table in (frame, pa.Table.from_pandas(frame, preserve_index=False)):
        parts = [table[:10_000], table[10_000:]]
        survey = reduce(Survey.merge, [survey_part(sampler, part, "y") for part in parts])
        assert len(pickle.dumps(survey)) < 10_000
        fitted = reduce(NNGMix.merge, [fit_part(sampler, part, survey) for part in parts])
        # 10 anomalies, 10 rows near each, 6 columns, and what is known of each.
        assert len(pickle.dumps(fitted)) < 60_000


class TestWrongParts:
    def test_settings(self):
        with pytest.raises(ValueError, match="sampling_strategy: fitting in parts takes the mult"):
            survey_part(NNGMix(sampling_strategy="auto"), numbers(), "y")

    def test_columns(self):
        with pytest.raises(ValueError, match=r"label: the table has no column 'z'\. It has 'a', '"):
            survey_part(NNGMix(), numbers(), "z")
        with pytest.raises(ValueError, match="columns: the table has no column 'd'"):
            survey_part(NNGMix(), numbers(), "y", columns=["a", "d"])
        with pytest.raises(ValueError, match="columns: 'y' is the label"):
            survey_part(NNGMix(), numbers(), "y", columns=["a", "y"])
        with pytest.raises(ValueError, match="exclude must be a list of names; got 'a'"):
            survey_part(NNGMix(), numbers(), "y", exclude="a")
        with pytest.raises(ValueError, match="part must be a table of pandas, polars or pyarrow"):
            survey_part(NNGMix(), numbers().to_numpy(), "y")

    def test_labels(self):
        frame = numbers()
        with pytest.raises(ValueError, match=r"label column 'a' must hold only 0 .unlabelled"):
            survey_part(NNGMix(), frame, "a")
        frame["y"] = [None, *frame["y"][1:]]
        with pytest.raises(ValueError, match="label column 'y': 1 of 60 rows are empty"):
            survey_part(NNGMix(), frame, "y")

    def test_surveys_of_several_tables(self):
        frame = numbers()
        one = survey_part(NNGMix(), frame, "y")
        with pytest.raises(ValueError, match="the same label; got 'y' and 'z'"):
            one.merge(survey_part(NNGMix(), frame.rename(columns={"y": "z"}), "z"))
        with pytest.raises(ValueError, match="the same columns in the same order; one has 'a', "):
            one.merge(survey_part(NNGMix(), frame[["b", "a", "c", "y"]], "y"))
        with pytest.raises(ValueError, match="of one kind; got one of pandas and one of pyarrow"):
            one.merge(survey_part(NNGMix(), pa.Table.from_pandas(frame), "y"))

    def test_incomplete_survey(self):
        frame = numbers()
        part = frame[frame["y"] == 0]
        with pytest.raises(ValueError, match="the survey has no labelled anomaly"):
            fit_part(NNGMix(), part, survey_part(NNGMix(), part, "y"))
        part = frame[frame["y"] == 1]
        with pytest.raises(ValueError, match="the survey has no unlabelled row"):
            fit_part(NNGMix(), part, survey_part(NNGMix(), part, "y"))
        survey = survey_part(NNGMix(), frame[:20], "y")
        with pytest.raises(ValueError, match="5 labelled anomalies are not among those that were"):
            fit_part(NNGMix(), frame[20:], survey)
        with pytest.raises(ValueError, match="a part has no column 'b', which the survey has"):
            fit_part(NNGMix(), frame[["a", "c", "y"]], survey)

    def test_merging_others(self):
        frame = numbers()
        survey = survey_part(NNGMix(), frame, "y")
        fitted = fit_part(NNGMix(), frame, survey)
        with pytest.raises(ValueError, match="merge takes a NNGMix with the same settings"):
            fitted.merge(fit_part(NNGMix(sigma=0.5), frame, survey))


# Files -----------------------------------------------------------------------------------------


def read_whole(path):
    paths = TableFiles(path).paths
    return pa.concat_tables([pq.read_table(p) for p in paths], promote_options="permissive")


def write(table, path, **options):
    if not isinstance(table, pa.Table):
        table = pa.Table.from_pandas(table, preserve_index=False)
    path.parent.mkdir(exist_ok=True)
    pq.write_table(table, path, **options)


def whole_of(sampler, table, label="y"):
    return clone(sampler).fit(table.drop_columns(label), table[label])


@pytest.mark.parametrize("name", SAMPLERS)
@pytest.mark.parametrize("table", [numbers, mixed])
@settings(max_examples=8, deadline=None)
@given(
    rows=st.integers(1, 70),
    n_files=st.integers(1, 3),
    statistics=st.sampled_from([True, False, ["a", "float"]]),
    scaling=st.sampled_from(["minmax", None]),
    anomalous=st.sampled_from(["spread", "first", "last"]),
)
def test_files(tmp_path_factory, name, table, rows, n_files, statistics, scaling, anomalous):
    folder = tmp_path_factory.mktemp("files")
    frame = table()
    if anomalous != "spread":
        frame = frame.sort_values("y", ascending=anomalous == "last").reset_index(drop=True)
    for i, places in enumerate(np.array_split(np.arange(len(frame)), n_files)):
        options = {"row_group_size": rows, "write_statistics": statistics}
        write(frame.iloc[places], folder / f"{i}.parquet", **options)
    sampler = make(name, scaling=scaling)
    fitted = clone(sampler).fit_files(folder, "y")
    same(fitted, whole_of(sampler, read_whole(folder)))


@pytest.mark.parametrize("name", SAMPLERS)
@pytest.mark.parametrize("columns", [["float", "whole"], ["gaps", "bool", "kind"], ["gaps"]])
def test_statistics_tell_as_much_as_the_data(tmp_path, name, columns):
    frame = mixed(200)
    frame.loc[frame["y"], "float"] = np.round(frame["float"][frame["y"]])
    for i, statistics in enumerate((True, False)):
        path = tmp_path / str(i) / "a.parquet"
        write(frame, path, write_statistics=statistics, row_group_size=30)
        fitted = make(name)
        same(
            fitted.fit_files(path, "y", columns=columns),
            whole_of(fitted, pq.read_table(path, columns=[*columns, "y"])),
        )


def test_floats_that_are_whole_are_rounded_only_where_all_are(tmp_path):
    frame = pd.DataFrame({"a": [0.0, 8, None, 4, 2, 9], "b": [0, 0.5, 2, None, 1, 3]})
    frame["y"] = [1, 0, 0, 0, 1, 0]
    # In the statistics of the second column, all numbers are whole.
    write(frame, tmp_path / "a.parquet", row_group_size=3)
    fitted = GaussianNoise(sigma=0.5, random_state=0).fit_files(tmp_path, "y")
    same(fitted, whole_of(fitted, read_whole(tmp_path)))
    rows = fitted.sample(20).to_pandas()
    assert (rows["a"] % 1 == 0).all()
    assert (rows["b"] % 1 != 0).all()


class Reads:
    """What a fit reads, by the size of what comes."""

    def __init__(self):
        self.seen = []

    def __call__(self, progress):
        self.seen.append((progress.what, progress.n_rows, progress.all_rows))

    def rows(self, what):
        return [n for w, n, _ in self.seen if w == what]


def test_no_more_is_read_than_is_needed(tmp_path):
    frame = numbers(1000)
    frame["y"] = (np.arange(1000) // 3 == 100).astype(int)  # rows 300 to 302
    write(frame, tmp_path / "a.parquet", row_group_size=100)
    for name, searched in (("nng_mix", [1000]), ("gaussian_noise", []), ("duplicate", [])):
        reads = Reads()
        clone(SAMPLERS[name]).fit_files(tmp_path, "y", progress=reads)
        # Row groups whose labels are all 0 are not looked at: the label once, the rows once.
        assert reads.rows("survey") == [100, 100], name
        assert reads.rows("search") == searched, name
    reads = Reads()
    anomalies = frame[frame["y"] == 1]
    fitted = NNGMix(random_state=0).fit_files(tmp_path, "y", anomalies=anomalies, progress=reads)
    assert reads.rows("survey") == []
    assert reads.rows("search") == [1000]
    same(fitted, whole_of(fitted, read_whole(tmp_path)))


def test_progress(tmp_path):
    for i in range(3):
        write(numbers(50, seed=i), tmp_path / f"{i}.parquet", row_group_size=20)
    size = sum(path.stat().st_size for path in tmp_path.iterdir())
    seen = []
    NNGMix().fit_files(tmp_path, "y", progress=seen.append)
    searches = [p for p in seen if p.what == "search"]
    assert [p.n_rows for p in searches] == [50, 100, 150]
    assert {p.all_rows for p in seen} == {150}
    assert searches[-1].n_bytes == searches[-1].all_bytes == size
    assert [p.n_bytes for p in searches] == sorted(p.n_bytes for p in searches)


@pytest.mark.parametrize("kind", ["frame", "arrow", "polars", "path", "files"])
def test_anomalies_of_their_own(tmp_path, kind):
    frame = mixed(300).drop(columns="y")
    anomalies = mixed(12, seed=3).drop(columns="y")
    write(frame, tmp_path / "rows" / "a.parquet", row_group_size=50)
    write(anomalies, tmp_path / "known.parquet")
    table = pq.read_table(tmp_path / "rows" / "a.parquet")
    known = {
        "frame": lambda: anomalies,
        "arrow": lambda: pa.Table.from_pandas(anomalies),
        "polars": lambda: pytest.importorskip("polars").from_pandas(anomalies),
        "path": lambda: tmp_path / "known.parquet",
        "files": lambda: TableFiles([tmp_path / "known.parquet"]),
    }[kind]()
    whole = pa.concat_tables([pq.read_table(tmp_path / "known.parquet"), table])
    y = np.arange(len(whole)) < 12
    # The ranges are those of the files, and with None they don't matter.
    sampler = NNGMix(random_state=0, scaling=None, n_neighbors=4)
    fitted = clone(sampler).fit_files(tmp_path / "rows", None, anomalies=known)
    same(fitted, clone(sampler).fit(whole, y))
    blind = Duplicate().fit_files(tmp_path / "rows", None, anomalies=known)
    assert blind.pool_.n_unlabelled == 300


def test_single_precision_files(tmp_path):
    frame = numbers(200, dtype="float32")
    write(frame, tmp_path / "a.parquet", row_group_size=64)
    fitted = NNGMix(random_state=0).fit_files(tmp_path, "y")
    assert fitted.sample(3).schema.types == [pa.float32()] * 3
    same(fitted, whole_of(fitted, read_whole(tmp_path)))
    anomalies = frame[frame["y"] == 1].astype("float64")
    again = NNGMix(random_state=0).fit_files(tmp_path, "y", anomalies=anomalies)
    same(again, fitted)


@pytest.mark.parametrize(
    "label",
    [pa.bool_(), pa.int8(), pa.uint64(), pa.float32(), pa.float64()],
    ids=str,
)
def test_label_types(tmp_path, label):
    table = pa.Table.from_pandas(numbers(90), preserve_index=False)
    table = table.set_column(3, "y", table["y"].cast(label))
    write(table, tmp_path / "a.parquet", row_group_size=30)
    fitted = NNGMix(random_state=0).fit_files(tmp_path, "y")
    same(fitted, whole_of(fitted, table))


def test_an_index_is_left_out(tmp_path):
    frame = numbers()
    frame.index = pd.Index(range(5, 65), name="id")
    write(pa.Table.from_pandas(frame), tmp_path / "a.parquet")
    fitted = NNGMix(random_state=0).fit_files(tmp_path, "y")
    assert fitted.sample(1).column_names == ["a", "b", "c"]
    frame.to_csv(tmp_path / "a.csv", index_label="")
    fitted = NNGMix(random_state=0).fit_files(tmp_path / "a.csv", "y")
    assert fitted.sample(1).column_names == ["a", "b", "c"]
    fitted = NNGMix(random_state=0).fit_files(tmp_path / "a.csv", "y", exclude=["b"])
    assert fitted.sample(1).column_names == ["a", "c"]


def test_names_with_dots(tmp_path):
    table = pa.Table.from_pandas(numbers(), preserve_index=False)
    table = table.rename_columns(["a.b", "a", "a.b.c", "y"])
    write(table, tmp_path / "a.parquet", row_group_size=10)
    fitted = NNGMix(random_state=0).fit_files(tmp_path, "y", columns=["a", "a.b"])
    same(fitted, whole_of(fitted, table.select(["a", "a.b", "y"])))


def test_dictionaries_that_differ(tmp_path):
    parts = [mixed(40, seed=i) for i in range(3)]
    for i, part in enumerate(parts):
        part["kind"] = pd.Categorical(np.char.add(part["kind"].astype(str).to_numpy(str), str(i)))
        write(part, tmp_path / f"{i}.parquet", row_group_size=15)
    fitted = NNGMix(random_state=0).fit_files(tmp_path, "y")
    whole = whole_of(fitted, read_whole(tmp_path))
    np.testing.assert_array_equal(fitted.pool_.unlabelled, whole.pool_.unlabelled)
    one, two = (s.sample(99).to_pandas().astype({"kind": str}) for s in (fitted, whole))
    pd.testing.assert_frame_equal(one, two)


@pytest.mark.parametrize("name", SAMPLERS)
def test_csv(tmp_path, name):
    frames = [mixed(50, seed=i).assign(kind=list("uvwxy") * 10) for i in range(3)]
    for i, frame in enumerate(frames):
        frame.to_csv(tmp_path / f"{i}.csv", index=False)
    pd.concat(frames).to_csv(tmp_path / "_all.csv", index=False)
    whole = pa_csv.read_csv(tmp_path / "_all.csv")
    sampler = make(name, categorical_features=["kind"])
    same(clone(sampler).fit_files(tmp_path, "y"), whole_of(sampler, whole))


def test_csv_whose_types_widen_late(tmp_path):
    lines = [f"{i},{i % 7},,{i % 2 == 0},{'1' if i == 4 else '0'}" for i in range(400_000)]
    lines[350_000] = "350000,2.5,3,true,0"
    text = "a,b,c,d,y\n" + "\n".join(lines) + "\n"
    (tmp_path / "a.csv").write_text(text)
    fitted = NNGMix(random_state=0, n_neighbors=2).fit_files(tmp_path, "y")
    same(fitted, whole_of(fitted, pa_csv.read_csv(tmp_path / "a.csv")))


class TestWrongFiles:
    @pytest.fixture
    def path(self, tmp_path):
        write(numbers(), tmp_path / "a.parquet", row_group_size=20)
        return tmp_path / "a.parquet"

    def refuse(self, message, source, label="y", sampler=None, **options):
        sampler = NNGMix() if sampler is None else sampler
        with pytest.raises(ValueError, match=message):
            sampler.fit_files(source, label, **options)
        assert not hasattr(sampler, "pool_")

    def test_settings(self, path):
        self.refuse(
            "sampling_strategy: fitting in parts", path, sampler=Mixup(sampling_strategy="auto")
        )
        self.refuse("label: name the column that is 1 for a labelled anomaly, or pass", path, None)
        self.refuse("a.parquet': label: the table has no column 'z'", path, "z")
        self.refuse("a.parquet': columns: the table has no column 'q'", path, columns=["q"])
        self.refuse("no column is left to fit on", path, exclude=["a", "b", "c"])
        with pytest.raises(FileNotFoundError, match="there is no file"):
            NNGMix().fit_files(path.parent / "b.parquet", "y")

    def test_labels(self, path, tmp_path):
        self.refuse("a.parquet': label column 'a' must hold only 0 .unlabelled. and 1", path, "a")
        frame = numbers()
        frame.loc[33, "y"] = 3
        write(frame, path)
        self.refuse(r"label column 'y' must hold .*1 of 60 rows hold something else \(3\)", path)
        write(frame.assign(y=frame["y"].where(frame.index != 7)), path)
        self.refuse("label column 'y': 1 of 60 rows are empty", path)
        write(frame.assign(y=0), path)
        self.refuse(r"a.parquet': there is no labelled anomaly \(class 1\)", path)
        write(frame.assign(y=1), path)
        self.refuse(r"a.parquet': there is no unlabelled row \(class 0\)", path)
        write(frame.iloc[:0], path)
        self.refuse("a.parquet': there is no unlabelled row", path)

    def test_values(self, path):
        frame = numbers()
        frame.loc[41, "b"] = np.inf
        write(frame, path, row_group_size=20)
        self.refuse(
            "a.parquet': column 'b' holds infinite values in 1 of .* rows, first in row 41", path
        )
        self.refuse("first in row 41", path, sampler=NNGMix(scaling=None))
        write(frame.assign(b="x"), path)
        self.refuse("a.parquet': column 'b' is not numeric", path)
        frame.loc[[41, 42], "b"] = [-1e308, 1e308]
        write(frame, path)
        self.refuse("a.parquet': column 'b' spans more than a float can hold", path)

    def test_anomalies(self, path):
        frame = numbers()
        self.refuse("anomalies: the table has no column 'b'", path, anomalies=frame[["a", "c"]])
        self.refuse("anomalies: the table has no rows", path, anomalies=frame[:0])
        self.refuse(
            "anomalies must be a table of pandas, polars or pyarrow; got int", path, anomalies=3
        )
        self.refuse(
            "anomalies: column 'a' is .*string and does not fit the table's double",
            path,
            anomalies=frame.assign(a="x"),
        )
        self.refuse(
            "a.parquet': 7 labelled anomalies are not among those that were known",
            path,
            anomalies=frame[frame["y"] == 0][:3],
        )

    def test_a_damaged_file(self, path):
        data = bytearray(path.read_bytes())
        data[100:2000] = b"\xff" * 1900
        path.write_bytes(data)
        self.refuse("a.parquet' cannot be read as Parquet", path)

    def test_a_bad_sampler_stays_as_it_was(self, path, tmp_path):
        sampler = NNGMix(random_state=0).fit_files(path, "y")
        before = sampler.sample(10)
        with pytest.raises(ValueError):
            sampler.fit_files(path, "a")
        assert sampler.sample(10).equals(before)


@pytest.mark.parametrize("error", [KeyboardInterrupt, RuntimeError])
def test_an_interruption_leaves_the_sampler_as_it_was(tmp_path, error):
    for i in range(4):
        write(numbers(seed=i), tmp_path / "many" / f"{i}.parquet", row_group_size=20)
    write(numbers(seed=9), tmp_path / "one.parquet")
    sampler = NNGMix(random_state=0).fit_files(tmp_path / "one.parquet", "y")
    before = sampler.sample(10)

    def stop(progress):
        if progress.what == "search" and progress.n_rows > 100:
            raise error

    import threading

    with pytest.raises(error):
        sampler.fit_files(tmp_path / "many", "y", progress=stop)
    assert "nngmix-read" not in [thread.name for thread in threading.enumerate()]
    assert sampler.sample(10).equals(before)
    same(
        sampler.fit_files(tmp_path / "many", "y"),
        whole_of(NNGMix(random_state=0), read_whole(tmp_path / "many")),
    )


def test_scaler_and_files(tmp_path):
    write(numbers(), tmp_path / "a.parquet")
    table = read_whole(tmp_path)
    scaler = MinMaxScaler().fit(table.drop_columns("y").to_pandas().to_numpy())
    fitted = NNGMix(scaling=scaler, random_state=0).fit_files(tmp_path, "y")
    same(fitted, NNGMix(scaling=scaler, random_state=0).fit(table.drop_columns("y"), table["y"]))


MEMORY = """
import sys
from nngmix import NNGMix, GaussianNoise
from nngmix.sampling import TableFiles  # what it imports is no part of the work

def peak():
    with open("/proc/self/status") as status:
        return next(int(line.split()[1]) for line in status if line.startswith("VmHWM"))

import numpy as np
NNGMix().fit(np.random.rand(99, 3), np.arange(99) < 5)
before = peak()
NNGMix(random_state=0).fit_files(sys.argv[1], "y").sample(10)
print((peak() - before) // 1024)
"""


@pytest.mark.slow
@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")
@pytest.mark.parametrize(
    ("kind", "rows", "group"),
    [("parquet", 4_000_000, 10_000), ("parquet", 4_000_000, 4_000_000), ("csv", 400_000, None)],
)
def test_memory_stays_bounded(tmp_path, kind, rows, group):
    path = tmp_path / f"a.{kind}"
    rng = np.random.default_rng(0)
    names = [f"f{i}" for i in range(32)]
    schema = pa.schema([*((name, pa.float32()) for name in names), ("y", pa.int8())])
    columns = [rng.standard_normal(rows, dtype=np.float32) for _ in names]
    table = pa.table([*columns, (np.arange(rows) % 100_000 == 0).astype("int8")], schema=schema)
    if kind == "parquet":
        pq.write_table(table, path, row_group_size=group)
    else:
        pa_csv.write_csv(table, path)
    assert path.stat().st_size > (480 if kind == "parquet" else 120) << 20
    del columns, table
    told = subprocess.run(
        [sys.executable, "-c", MEMORY, path], capture_output=True, text=True, check=True
    )
    # The Parquet table is 488 MB in memory. What is used is the same for one of any size.
    assert int(told.stdout) < 430
