"""``nngmix augment`` with every sampler, on a table as people have them."""

import numpy as np
import pandas as pd
import pytest

from nngmix.sampling import SAMPLERS

N = 300


@pytest.fixture(scope="module")
def mixed(tmp_path_factory):
    """3 numeric, 2 categorical, 1 integer and 1 boolean column, a tenth of the cells missing."""
    rng = np.random.default_rng(0)
    frame = pd.DataFrame(
        {
            "amount": rng.lognormal(3, 1, N),
            "country": rng.choice(["DE", "FR", "CH, south"], N),
            "rate": rng.random(N).astype("float32"),
            "visits": pd.array(rng.integers(0, 40, N), dtype="Int64"),
            "device": pd.Categorical(rng.choice(["phone", "pc"], N)),
            "member": pd.array(rng.random(N) < 0.3, dtype="boolean"),
            "age": rng.normal(40, 9, N),
        }
    )
    for i in range(frame.shape[1]):
        frame.iloc[rng.random(N) < 0.1, i] = None
    frame["fraud"] = (np.arange(N) < 10).astype("int8")
    folder = tmp_path_factory.mktemp("mixed")
    frame.to_csv(folder / "in.csv", index=False)
    frame.to_parquet(folder / "in.parquet")
    return folder


NAMES = [*SAMPLERS, "Cutout+GaussianNoise", "cutmix+gaussiannoise"]


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("ending", [".csv", ".parquet"])
def test_every_sampler_keeps_the_table(nngmix, mixed, tmp_path, name, ending):
    output = tmp_path / f"out{ending}"
    result = nngmix(
        "augment",
        mixed / f"in{ending}",
        "--label",
        "fraud",
        "--output",
        output,
        "--sampler",
        name,
        "--categorical",
        "country",
        "--categorical",
        "device",
        "--multiplier",
        "5",
        *(["--set", "n_candidates=20"] if name == "NPOS" else []),
    )
    assert (result.code, result.err) == (0, "")
    read = pd.read_csv if ending == ".csv" else pd.read_parquet
    before, after = read(mixed / f"in{ending}"), read(output)
    assert after.dtypes.equals(before.dtypes)
    pd.testing.assert_frame_equal(after[:N], before)
    made = after[N:]
    assert len(made) == 50
    assert (made["fraud"] == 1).all()
    for column in ("country", "device", "member"):
        assert set(made[column].dropna()) <= set(before[column].dropna())
    visits = made["visits"].dropna().astype(float)
    assert (visits == visits.round()).all()


@pytest.mark.parametrize("name", ["NNGMix", "Cutout+GaussianNoise"])
def test_picture_of_a_mixed_table(nngmix, mixed, tmp_path, name):
    result = nngmix(
        "augment",
        mixed / "in.csv",
        "--label",
        "fraud",
        "--output",
        tmp_path / "o.csv",
        "--categorical",
        "infer",
        "--sampler",
        name,
        "--plot",
        tmp_path / "p.png",
    )
    assert (result.code, result.err) == (0, "")
    assert (tmp_path / "p.png").read_bytes().startswith(b"\x89PNG")


def rows(nngmix, mixed, tmp_path, *options):
    output = tmp_path / "o.parquet"
    result = nngmix(
        "augment",
        mixed / "in.parquet",
        "--label",
        "fraud",
        "--output",
        output,
        "--force",
        "--only-new",
        "--categorical",
        "infer",
        *options,
    )
    assert (result.code, result.err) == (0, "")
    return pd.read_parquet(output)


def test_set_reaches_the_sampler(nngmix, mixed, tmp_path):
    plain = rows(nngmix, mixed, tmp_path, "--sampler", "GaussianNoise")
    same = rows(nngmix, mixed, tmp_path, "--sampler", "GaussianNoise", "--set", "sigma=0.01")
    option = rows(nngmix, mixed, tmp_path, "--sampler", "GaussianNoise", "--sigma", "0.3")
    loud = rows(nngmix, mixed, tmp_path, "--sampler", "GaussianNoise", "--set", "sigma=0.3")
    pd.testing.assert_frame_equal(plain, same)
    pd.testing.assert_frame_equal(option, loud)
    assert not plain["amount"].equals(loud["amount"])
    ablation = ("--sampler", "NNGMix", "--set", "n_neighbors=none", "--set", "alpha=uniform")
    assert len(rows(nngmix, mixed, tmp_path, *ablation)) == 100
    chain = ("--sampler", "Duplicate+GaussianNoise", "--set")
    quiet = rows(nngmix, mixed, tmp_path, *chain, "GaussianNoise.sigma=0")
    counts = quiet["amount"].value_counts()
    assert (counts % 10 == 0).all()
    assert not rows(nngmix, mixed, tmp_path, *chain, "GaussianNoise.sigma=0.5").equals(quiet)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--set", "sigma"], ["--set takes NAME=VALUE", "'sigma'"]),
        (["--set", "=3"], ["--set takes NAME=VALUE"]),
        (["--set", "speed=3"], ["--set speed=3", "NNGMix has no setting 'speed'", "sigma"]),
        (["--set", "sigma=-1"], ["'sigma' parameter of NNGMix", "-1"]),
        (["--set", "Mixup.alpha=1"], ["'Mixup' is not in --sampler"]),
        (["--sampler", "Mixup", "--set", "partner=no"], ["'partner' parameter of Mixup", "'no'"]),
        (["--sampler", "Mixup", "--sigma", "1"], ["--sigma", "Mixup has no such setting"]),
        (["--sampler", "Cutout+Nothing"], ["--sampler", "'Nothing'"]),
        (["--sampler", "Cutout+GaussianNoise", "--set", "sigma=1"], ["Chain has no setting"]),
        (["--sampler", "Cutout", "--set", "low=0.9"], ["low must not be above high"]),
        (["--categorical", "nation"], ["--categorical", "'nation'"]),
        (["--categorical", "fraud"], ["--categorical", "'fraud' is no feature"]),
        (["--categorical", "country"], ["'device'", "--categorical"]),
        ([], ["'country'", "--categorical COLUMN", "--exclude"]),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_bad_options(nngmix, mixed, tmp_path, options, words):
    named = [] if "--categorical" in options or not options else ["--categorical", "infer"]
    output = tmp_path / "o.csv"
    result = nngmix(
        "augment", mixed / "in.csv", "--label", "fraud", "--output", output, *options, *named
    )
    assert result.code == 2
    assert result.err.count("\n") == 1
    assert all(word in result.err for word in words), result.err
    assert list(tmp_path.iterdir()) == []
