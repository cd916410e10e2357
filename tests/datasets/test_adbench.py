import pickle
from pathlib import Path

import numpy as np
import pytest

from nngmix.datasets import load_adbench

X = np.arange(12.0).reshape(4, 3)
Y = np.array([0, 1, 0, 0])


@pytest.fixture
def home(tmp_path):
    for suite in ("Classical", "CV_by_ResNet18", "CV_by_ViT"):
        (tmp_path / suite).mkdir()
    np.savez(tmp_path / "Classical" / "45_wine.npz", X=X, y=Y)
    np.savez(tmp_path / "Classical" / "22_magic.gamma.npz", X=X, y=Y)
    np.savez(tmp_path / "CV_by_ResNet18" / "CIFAR10_0.npz", X=X + 1, y=Y)
    np.savez(tmp_path / "CV_by_ViT" / "CIFAR10_0.npz", X=X + 2, y=Y)
    return tmp_path


def save(home: Path, **arrays) -> None:
    np.savez(home / "Classical" / "file.npz", **arrays)


def test_loads_one_file(home):
    table = load_adbench("45_wine", data_home=home)
    np.testing.assert_array_equal(table.data, X)
    np.testing.assert_array_equal(table.target, Y)
    assert table.target.dtype == np.int64
    assert (table.name, table.suite) == ("45_wine", "Classical")
    assert "4 rows, 3 features, anomalies: 1" in table.DESCR
    assert load_adbench("45_wine", data_home=str(home)).DESCR == table.DESCR


def test_name_may_hold_a_dot(home):
    assert load_adbench("22_magic.gamma", data_home=home).name == "22_magic.gamma"


def test_first_suite_wins_unless_named(home):
    bare = load_adbench("CIFAR10_0", data_home=home)
    named = load_adbench("CV_by_ViT/CIFAR10_0", data_home=home)
    assert (bare.suite, named.suite) == ("CV_by_ResNet18", "CV_by_ViT")
    assert bare.name == named.name == "CIFAR10_0"
    np.testing.assert_array_equal(named.data, X + 2)


@pytest.mark.parametrize(
    ("dtype", "expected"),
    [
        (np.float64, np.float64),
        (np.float32, np.float32),
        (np.float16, np.float32),
        (np.int16, np.float64),
        (np.uint8, np.float64),
        (bool, np.float64),
    ],
)
def test_data_is_float(home, dtype, expected):
    save(home, X=X.astype(dtype), y=Y.astype(np.int32))
    table = load_adbench("file", data_home=home)
    assert table.data.dtype == expected
    np.testing.assert_array_equal(table.data, X.astype(dtype))
    assert table.target.dtype == np.int64


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("wine", "'45_wine'"),
        ("45_Wine", "'45_wine'"),
        ("45_wine.npz", "'45_wine'"),
        ("cifar10_0", "'CIFAR10_0'"),
        ("Clasical/45_wine", "'Classical/45_wine'"),
        ("CV_by_ViT/CIFAR10_1", "'CV_by_ViT/CIFAR10_0'"),
    ],
)
def test_not_found_suggests_close_names(home, name, hint):
    with pytest.raises(FileNotFoundError) as caught:
        load_adbench(name, data_home=home)
    message = str(caught.value)
    assert f"'{name}.npz'" in message
    assert str(home) in message
    assert "Classical, CV_by_ResNet18, CV_by_ViT, NLP_by_BERT (missing)" in message
    assert "Did you mean " in message
    assert hint in message


@pytest.mark.parametrize("name", ["", "..", "/", "Classical/", "*", "../Classical/45_wine", None])
def test_a_name_cannot_lead_elsewhere(home, name):
    with pytest.raises(FileNotFoundError):
        load_adbench(name, data_home=home / "CV_by_ViT")
    with pytest.raises(FileNotFoundError):
        load_adbench(name, data_home=home)


def test_no_folder_at_all(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"Classical \(missing\).*BERTa \(missing\)\.$"):
        load_adbench("45_whine", data_home=tmp_path / "nowhere")


def test_says_how_to_get_a_file_of_adbench(home):
    with pytest.raises(FileNotFoundError) as caught:
        load_adbench("CV_by_ViT/SVHN_0", data_home=home)
    assert f"`nngmix datasets fetch CV_by_ViT/SVHN_0 --data {home}`" in str(caught.value)


def test_folder_of_the_environment(home, monkeypatch):
    monkeypatch.setenv("NNGMIX_DATA", str(home))
    assert load_adbench("45_wine").data.shape == X.shape


@pytest.mark.parametrize("kept", [0, 1, 10, 100, 400])
def test_cut_off_file(home, kept):
    path = home / "Classical" / "45_wine.npz"
    path.write_bytes(path.read_bytes()[:kept])
    with pytest.raises(ValueError, match=r"45_wine\.npz' cannot be read.*damaged"):
        load_adbench("45_wine", data_home=home)


def test_flipped_byte(home):
    path = home / "Classical" / "file.npz"
    rows = np.random.RandomState(0).rand(200, 3)
    np.savez_compressed(path, X=rows, y=np.arange(200) % 2)
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 0xFF
    path.write_bytes(content)
    with pytest.raises(ValueError, match=r"file\.npz' cannot be read.*damaged"):
        load_adbench("file", data_home=home)


class Trap:
    """Leaves a file behind when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self):
        return Path.touch, (self.path,)


@pytest.mark.parametrize("kind", ["object array", "bare pickle"])
def test_nothing_is_unpickled(home, kind):
    trap = Trap(home / "sprung")
    if kind == "object array":
        save(home, X=np.array([[trap]], dtype=object), y=Y[:1])
    else:
        (home / "Classical" / "file.npz").write_bytes(pickle.dumps({"X": trap, "y": Y}))
    with pytest.raises(ValueError, match="pickled objects, which are refused"):
        load_adbench("file", data_home=home)
    assert not (home / "sprung").exists()


def test_single_array(home):
    with (home / "Classical" / "file.npz").open("wb") as file:
        np.save(file, X)
    with pytest.raises(ValueError, match="single array"):
        load_adbench("file", data_home=home)


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"X": X}, r"must hold the arrays X and y, but it holds \['X'\]"),
        ({"data": X, "y": Y}, r"must hold the arrays X and y, but it holds \['data', 'y'\]"),
        ({"X": X[0], "y": Y[:3]}, r"2-D numeric X.*shape \(3,\)"),
        ({"X": X, "y": Y[:3]}, r"one label y for each row.*y of shape \(3,\)"),
        ({"X": X, "y": Y[:, None]}, r"one label y for each row.*y of shape \(4, 1\)"),
        ({"X": X.astype(str), "y": Y}, r"2-D numeric X.*dtype <U"),
        ({"X": X, "y": Y * 2}, r"only 0 and 1 in y"),
        ({"X": X, "y": np.where(Y == 1, np.nan, 0)}, r"only 0 and 1 in y"),
        ({"X": X, "y": Y.astype(str)}, r"only 0 and 1 in y"),
    ],
)
def test_not_a_table_with_labels(home, arrays, message):
    save(home, **arrays)
    with pytest.raises(ValueError, match=message) as caught:
        load_adbench("file", data_home=home)
    assert "file.npz" in str(caught.value)


def test_real_files(adbench_home):
    for name, shape, n_anomalies in [
        ("45_wine", (129, 13), 10),
        ("40_vowels", (1456, 12), 50),
        ("CV_by_ResNet18/MVTec-AD_toothbrush", (102, 512), 30),
    ]:
        table = load_adbench(name, data_home=adbench_home)
        assert table.data.shape == shape
        assert table.target.sum() == n_anomalies
        assert np.isfinite(table.data).all()
