"""Generation: any slice is the slice of the whole, straight into memory, and true to its laws."""

import os
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from nngmix import Chain, CutMix, Cutout, Duplicate, GaussianNoise, Mixup, NNGMix
from nngmix.sampling import SAMPLERS
from nngmix.sampling.mixing import draw_normal, draw_weights

SMALL_NPOS = {"n_neighbors": 3, "n_boundary": 4, "n_candidates": 5, "n_kept": 3}
MAKERS = {
    **{
        name: (lambda kind=kind, name=name: kind(**(SMALL_NPOS if name == "NPOS" else {})))
        for name, kind in SAMPLERS.items()
    },
    "NNGMix without neighbours": lambda: NNGMix(n_neighbors=None),
    "NNGMix, even weights": lambda: NNGMix(alpha="uniform", sigma=0),
    "Mixup with all": lambda: Mixup(partner="all"),
    "Chain": lambda: Chain([Cutout(), GaussianNoise()]),
    "Chain with NPOS": lambda: Chain([SAMPLERS["NPOS"](**SMALL_NPOS), CutMix()]),
}


def fitted(name, dtype, width, *, seed=0, gaps=False):
    rng = np.random.default_rng(1)
    X = rng.random((12, width)).astype(dtype)
    if gaps:
        X[rng.random(X.shape) < 0.2] = np.nan
    sampler = MAKERS[name]()
    known = sampler.get_params()
    sampler.set_params(**{k: v for k, v in {"random_state": seed}.items() if k in known})
    return sampler.fit(X, np.arange(12) < 4)


def with_threads(sampler, n_jobs):
    return sampler.set_params(n_jobs=n_jobs) if "n_jobs" in sampler.get_params() else sampler


@settings(max_examples=60, deadline=None)
@given(
    name=st.sampled_from(sorted(MAKERS)),
    dtype=st.sampled_from(["float32", "float64"]),
    # In the wide tables a block holds 32 rows, or 64.
    width=st.sampled_from([1, 3, 2048]),
    gaps=st.booleans(),
    n=st.integers(1, 200),
    places=st.tuples(st.integers(0, 10**6), st.integers(0, 10**6)),
    threads=st.sampled_from([(1, 2), (2, 1), (1, 1), (None, 3)]),
    seed=st.integers(0, 5),
)
def test_any_slice_is_the_slice_of_the_whole(name, dtype, width, gaps, n, places, threads, seed):
    n = min(n, 80) if "NPOS" in name else n
    start, stop = sorted(place % (n + 1) for place in places)
    sampler = fitted(name, dtype, width, seed=seed, gaps=gaps)
    whole = with_threads(sampler, threads[0]).sample(n)
    assert whole.shape == (n, width)
    assert whole.dtype == dtype
    if start < stop:
        part = with_threads(sampler, threads[1]).sample(n, start=start, stop=stop)
        np.testing.assert_array_equal(part, whole[start:stop])
        room = np.full((stop - start, width), 7, dtype=dtype)
        assert sampler.sample(n, start=start, stop=stop, out=room) is room
        np.testing.assert_array_equal(room, part)


def test_slices_over_many_blocks_of_a_narrow_table():
    sampler = fitted("NNGMix", "float32", 4)
    whole = sampler.sample(200_000)
    pieces = [
        sampler.sample(200_000, start=start, stop=min(start + 33_333, 200_000))
        for start in range(0, 200_000, 33_333)
    ]
    assert np.array_equal(np.concatenate(pieces), whole)
    assert np.array_equal(sampler.sample(200_000, start=150_000), whole[150_000:])
    assert len(np.unique(whole, axis=0)) == len(whole)


def test_slices_of_one_class_of_several():
    X = np.random.default_rng(0).random((60, 3))
    sampler = NNGMix(sampling_strategy="all", random_state=0)
    sampler.fit(X, np.repeat(["a", "b", "c"], [40, 12, 8]))
    for label in sampler.sampling_strategy_:
        whole = sampler.sample(50, label=label)
        assert np.array_equal(sampler.sample(50, start=20, stop=31, label=label), whole[20:31])


def test_a_random_state_of_its_own():
    sampler = fitted("NNGMix", "float64", 3)
    whole = sampler.sample(30, random_state=7)
    assert np.array_equal(sampler.sample(30, start=10, random_state=7), whole[10:])
    assert not np.array_equal(sampler.sample(30), whole)


@pytest.mark.parametrize("kind", ["pandas", "polars", "pyarrow", "list"])
def test_slices_of_tables_keep_their_kind(kind):
    rng = np.random.default_rng(0)
    pd = pytest.importorskip("pandas")
    frame = pd.DataFrame(
        {
            "x": rng.random(40, dtype=np.float32),
            "n": rng.integers(0, 9, 40),
            "b": rng.random(40) < 0.5,
            "c": pd.Categorical(rng.choice(["u", "v"], 40)),
        }
    )
    frame.loc[::5, "x"] = np.nan
    table = {
        "pandas": lambda: frame,
        "polars": lambda: pytest.importorskip("polars").from_pandas(frame),
        "pyarrow": lambda: pytest.importorskip("pyarrow").Table.from_pandas(frame),
        "list": lambda: frame.drop(columns="c").to_numpy(dtype=object).tolist(),
    }[kind]()
    sampler = NNGMix(random_state=0).fit(table, np.arange(40) < 6)
    whole, part = sampler.sample(50), sampler.sample(50, start=17, stop=40)
    assert type(part) is type(table)
    if kind == "pandas":
        pd.testing.assert_frame_equal(part, whole.iloc[17:40].reset_index(drop=True))
        assert (part.dtypes == frame.dtypes).all()
    elif kind == "pyarrow":
        # Not equals: each has a dictionary of its own, in the order in which names come.
        assert part.to_pydict() == whole.slice(17, 23).to_pydict()
        assert part.schema.types == table.schema.types
    elif kind == "polars":
        assert part.equals(whole[17:40])
        assert part.schema == table.schema
    else:
        assert repr(part) == repr(whole[17:40])


def test_single_precision_frames_stay_so():
    pd = pytest.importorskip("pandas")
    pl, pa = pytest.importorskip("polars"), pytest.importorskip("pyarrow")
    X = np.random.default_rng(0).random((50, 3), dtype=np.float32)
    y = np.arange(50) < 5
    expected = NNGMix(random_state=0).fit_resample(X, y)[0]
    frame = pd.DataFrame(X, columns=list("abc"), index=np.arange(100, 150))
    frame.columns.name = "measured"
    out = NNGMix(random_state=0).fit_resample(frame, y)[0]
    assert (out.dtypes == "float32").all()
    assert out.columns.name == "measured"
    assert list(out.index) == list(range(len(expected)))
    assert np.array_equal(out.to_numpy(), expected)
    out.iloc[0, 0] = 5.0  # the result is the caller's: it shares no memory with what came in
    assert frame.iloc[0, 0] == X[0, 0] != 5.0
    columns = {name: X[:, i] for i, name in enumerate("abc")}
    for table in (pl.DataFrame(columns), pa.table(columns)):
        out = NNGMix(random_state=0).fit_resample(table, y)[0]
        after = [np.asarray(out[name]) for name in "abc"]
        assert all(column.dtype == np.float32 for column in after)
        assert np.array_equal(np.column_stack(after), expected)


def test_samples_of_a_frame_share_no_memory():
    pd = pytest.importorskip("pandas")
    X = pd.DataFrame(np.random.default_rng(0).random((50, 3), dtype=np.float32))
    sampler = Duplicate().fit(X, np.arange(50) < 5)
    first = sampler.sample(5)
    first.iloc[:] = 0.0
    assert (sampler.sample(5).to_numpy() > 0).any()


class TestOut:
    @pytest.mark.parametrize("dtype", ["int16", "uint8", "bool", "float16", ">f8"])
    def test_other_numbers(self, dtype):
        X = (np.random.default_rng(0).random((40, 3)) * 2).astype(dtype)
        sampler = NNGMix(random_state=0).fit(X, np.arange(40) < 5)
        out = np.empty((9, 3), dtype=dtype)
        assert sampler.sample(20, start=4, stop=13, out=out) is out
        assert np.array_equal(out, sampler.sample(20)[4:13])

    @pytest.mark.parametrize(
        ("out", "message"),
        [
            (np.empty((5, 2)), r"out must be an array of shape \(4, 2\) and dtype float64. Got one "
             r"of shape \(5, 2\) and dtype float64"),
            (np.empty((4, 2), np.float32), r"Got one of shape \(4, 2\) and dtype float32"),
            ([[0.0, 0.0]] * 4, "Got a list instead"),
            (np.empty((2, 4)).T, "out must be a C-contiguous array that can be written to"),
            (np.broadcast_to(0.0, (4, 2)), "out must be a C-contiguous array"),
        ],
    )  # fmt: skip
    def test_what_cannot_take_the_rows(self, out, message):
        sampler = NNGMix().fit(np.random.default_rng(0).random((9, 2)), np.arange(9) < 3)
        with pytest.raises(ValueError, match=message):
            sampler.sample(4, out=out)

    def test_tables_that_are_no_arrays_of_numbers(self):
        pd = pytest.importorskip("pandas")
        X, y, out = np.random.default_rng(0).random((9, 2)), np.arange(9) < 3, np.empty((4, 2))
        for table, kind in [
            (pd.DataFrame(X), "DataFrame"),
            (X.tolist(), "list"),
            (X.astype(object), "array of object"),
        ]:
            with pytest.raises(ValueError, match=f"out: only rows of an array .* was a {kind}"):
                NNGMix().fit(table, y).sample(4, out=out)

    def test_categories_of_an_array(self):
        X = np.random.default_rng(0).random((30, 2))
        X[:, 1] = X[:, 1].round(1)
        sampler = NNGMix(categorical_features=[1], random_state=0).fit(X, np.arange(30) < 6)
        out = np.empty((10, 2))
        sampler.sample(10, out=out)
        assert np.array_equal(out, sampler.sample(10))
        assert set(out[:, 1]) <= set(X[:, 1])


@pytest.mark.parametrize(
    ("start", "stop"), [(-1, 5), (5, 5), (6, 5), (0, 11), (10, None), (0.0, 5), (0, "5"), (True, 5)]
)
def test_slices_that_are_none(start, stop):
    sampler = fitted("NNGMix", "float64", 2)
    with pytest.raises(ValueError, match=r"start and stop must be whole numbers, 0 <= start"):
        sampler.sample(10, start=start, stop=stop)


class TestLaws:
    @pytest.mark.parametrize("dtype", ["float32", "float64"])
    @pytest.mark.parametrize("shape", [(501, 401), (1, 300_001), (200_000, 1)])
    def test_normal(self, dtype, shape):
        z = draw_normal(np.random.default_rng(0), shape, np.dtype(dtype))
        assert z.shape == shape
        assert z.dtype == dtype
        flat = z.ravel().astype(np.float64)
        assert stats.kstest(flat, "norm").pvalue > 1e-3
        assert stats.kstest(flat**2, "chi2", args=(1,)).pvalue > 1e-3
        # The tails, as often as they should be.
        for far in (3, 3.5, 4):
            expected = 2 * stats.norm.sf(far) * flat.size
            assert stats.poisson.cdf((abs(flat) > far).sum(), expected) > 1e-3
            assert stats.poisson.sf((abs(flat) > far).sum() - 1, expected) > 1e-3
        # The two of a pair stand half an array apart.
        half = (flat.size + 1) // 2
        pairs = np.column_stack([flat[: flat.size - half], flat[half:]])
        assert abs(stats.spearmanr(pairs).statistic) < 4 / np.sqrt(len(pairs))
        assert abs(stats.spearmanr(pairs**2).statistic) < 4 / np.sqrt(len(pairs))

    def test_no_numbers(self):
        assert draw_normal(np.random.default_rng(0), (0, 3), np.dtype("f4")).shape == (0, 3)
        assert draw_normal(np.random.default_rng(0), (1, 1), np.dtype("f4")).shape == (1, 1)

    @pytest.mark.parametrize("alpha", [0.05, 0.2, 0.5, 0.9, 1, 1.5, 8, "uniform"])
    def test_weights(self, alpha):
        weights = draw_weights(np.random.default_rng(0), alpha, 200_000, np.dtype("f8"))
        assert weights.shape == (200_000, 1)
        # 1 where the rest is less than a float tells from 1: compare on the side where it can.
        weights = np.where(weights > 0.5, 1 - weights, weights)
        shape = 1 if alpha == "uniform" else alpha
        lower = 2 * stats.beta(shape, shape).cdf(weights[weights > 1e-12])
        low = 2 * stats.beta(shape, shape).cdf(1e-12)
        assert stats.kstest((lower - low) / (1 - low), "uniform").pvalue > 1e-3
        assert abs((weights <= 1e-12).mean() - low) < 5 * np.sqrt(low / 200_000) + 1e-9

    @pytest.mark.parametrize("alpha", [1e-300, 1e-5, 1e-3, 0.01])
    def test_tiny_alpha_takes_one_parent(self, alpha):
        weights = draw_weights(np.random.default_rng(0), alpha, 10_000, np.dtype("f4"))
        assert ((weights >= 0) & (weights <= 1)).all()
        extreme = (weights < 1e-6) | (weights > 1 - 1e-6)
        assert extreme.mean() > 0.7
        assert abs((weights > 0.5).mean() - 0.5) < 0.02


MEMORY = """
import sys
import numpy as np
from nngmix import NNGMix
import pandas

def peak():
    with open("/proc/self/status") as status:
        return next(int(line.split()[1]) * 1024 for line in status if line.startswith("VmHWM"))

how, n = sys.argv[1], 2_000_000
X = np.random.default_rng(0).random((2000, 32), dtype=np.float32)
y = np.arange(2000) < 200
if how == "frame":
    X = pandas.DataFrame(X, columns=[f"c{i}" for i in range(32)])
sampler = NNGMix(random_state=0, n_jobs=2, multiplier=n // 200).fit(X, y)
sampler.sample(20_000)
out = np.empty((n, 32), np.float32) if how == "out" else None
before = peak()
if how == "resample":
    sampler.fit_resample(X, y)
else:
    sampler.sample(n, out=out) if how == "out" else sampler.sample(n)
print((peak() - before) / (n * 32 * 4))
"""


@pytest.mark.skipif(not os.path.exists("/proc/self/status"), reason="Linux tells the peak")
@pytest.mark.parametrize(
    "how",
    [
        "resample",
        *(pytest.param(how, marks=pytest.mark.slow) for how in ("array", "frame", "out")),
    ],
)
def test_memory_is_that_of_the_rows(how):
    done = subprocess.run(
        [sys.executable, "-c", MEMORY, how], capture_output=True, text=True, check=True
    )
    # 256 MB of rows; beside them blocks of half a megabyte and the allocator's slack.
    assert float(done.stdout) < 1.15
