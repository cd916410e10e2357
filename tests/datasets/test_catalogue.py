import csv
import sys
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from nngmix.datasets import AdbenchFile, find_data_home, list_adbench, load_adbench


def test_is_the_whole_benchmark():
    files = list_adbench()
    assert Counter(file.suite for file in files) == {
        "Classical": 47,
        "CV_by_ResNet18": 61,
        "CV_by_ViT": 61,
        "NLP_by_BERT": 13,
        "NLP_by_RoBERTa": 13,
    }
    datasets = {(file.number, file.dataset): file.domain for file in files}
    assert sorted(number for number, _ in datasets) == list(range(1, 58))
    assert len({file.path for file in files}) == 195
    assert all(file.domain == datasets[file.number, file.dataset] for file in files)
    for file in files:
        assert len(bytes.fromhex(file.git_blob_sha1)) == 20
        if file.suite == "Classical":
            assert file.name == f"{file.number}_{file.dataset}"
        else:
            assert file.name.startswith(file.dataset)
            assert file.domain == ("image" if file.suite.startswith("CV") else "text")


def test_both_embeddings_have_the_same_files():
    for one, other in [("CV_by_ResNet18", "CV_by_ViT"), ("NLP_by_BERT", "NLP_by_RoBERTa")]:
        names = [[(file.name, file.number) for file in list_adbench(s)] for s in (one, other)]
        assert names[0] == names[1]


def test_agrees_with_the_manifest_and_the_files(adbench_home):
    with (adbench_home / "manifest.csv").open() as manifest:
        expected = {row["path"]: row for row in csv.DictReader(manifest)}
    files = list_adbench()
    assert {file.path for file in files} == expected.keys()
    for file in files:
        row = expected[file.path]
        assert file.git_blob_sha1 == row["git_blob_sha1"]
        assert str(file.n_bytes or "") == row["bytes"]
    # Their content is compared by `verify_adbench`'s test; here, a few small tables' counts.
    counted = [file for file in files if file.n_rows is not None]
    assert len(counted) == 43
    for file in counted:
        if file.n_bytes < 500_000:
            table = load_adbench(file.full_name, data_home=adbench_home)
            assert table.data.shape == (file.n_rows, file.n_features)
            assert np.sum(table.target) == file.n_anomalies


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        ("45_wine", ["Classical/45_wine"]),
        ("wine", ["Classical/45_wine"]),
        ("Classical/wine", ["Classical/45_wine"]),
        (["45_wine", "wine", "yelp"], ["Classical/45_wine", "NLP_by_BERT/yelp"]),
        ("NLP_by_RoBERTa/yelp", ["NLP_by_RoBERTa/yelp"]),
        ("agnews", [f"NLP_by_BERT/agnews_{i}" for i in range(4)]),
        ("CV_by_ViT/SVHN", [f"CV_by_ViT/SVHN_{i}" for i in range(10)]),
        ("SVHN_3", ["CV_by_ResNet18/SVHN_3"]),
        ([], []),
    ],
)
def test_names(names, expected):
    assert [file.full_name for file in list_adbench(names)] == expected


def test_suites():
    assert list_adbench("CV") == list_adbench("CV_by_ResNet18")
    assert list_adbench("NLP") == list_adbench("NLP_by_BERT")
    assert list_adbench("all") == list_adbench()
    assert [file.number for file in list_adbench("Classical")] == list(range(1, 48))
    assert len(list_adbench(["Classical", "45_wine", "CV", "NLP"])) == 47 + 61 + 13


def test_one_list_is_not_the_other():
    list_adbench().clear()
    assert len(list_adbench()) == 195


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("whine", "Did you mean 'wine'"),
        ("45_Wine", "Did you mean '45_wine'"),
        ("classical", "Did you mean 'Classical'"),
        ("CV_by_VIT/cifar10", "'CV_by_ViT/CIFAR10'"),
        ("nothing of the kind", "no suite, dataset or file 'nothing of the kind'"),
        ("", "no suite, dataset or file ''"),
        (45, "no suite, dataset or file 45"),
    ],
)
def test_unknown_name(name, hint):
    with pytest.raises(ValueError) as caught:
        list_adbench(["wine", name])
    assert hint in str(caught.value)


def test_other_catalogue():
    files = [AdbenchFile(n, "mine", "toys", 1, "games", "0" * 40) for n in ("toy_1", "toy_2")]
    assert list_adbench(catalogue=files) == list_adbench("toys", catalogue=files) == files
    assert list_adbench("mine/toy_2", catalogue=files) == files[1:]
    with pytest.raises(ValueError, match="'wine'"):
        list_adbench("wine", catalogue=files)


class TestHome:
    def test_argument_then_environment_then_cache(self, monkeypatch, tmp_path):
        monkeypatch.setenv("NNGMIX_DATA", str(tmp_path / "b"))
        assert find_data_home(tmp_path / "a") == tmp_path / "a"
        assert find_data_home() == tmp_path / "b"
        monkeypatch.setenv("NNGMIX_DATA", "")
        monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "c"))
        monkeypatch.setenv("LOCALAPPDATA", str(tmp_path / "c"))
        monkeypatch.setenv("HOME", str(tmp_path))
        home = find_data_home()
        assert tmp_path in home.parents
        assert home.parts[-2:] == ("nngmix", "adbench")
        assert not home.exists()

    @pytest.mark.skipif(sys.platform in ("win32", "darwin"), reason="Linux's folder")
    def test_relative_cache_is_ignored(self, monkeypatch, tmp_path):
        monkeypatch.delenv("NNGMIX_DATA", raising=False)
        monkeypatch.setenv("HOME", str(tmp_path))
        for value in ("", "relative"):
            monkeypatch.setenv("XDG_CACHE_HOME", value)
            assert find_data_home() == tmp_path / ".cache" / "nngmix" / "adbench"

    def test_tilde(self, monkeypatch, tmp_path):
        monkeypatch.setenv("HOME", str(tmp_path))
        monkeypatch.setenv("USERPROFILE", str(tmp_path))
        assert find_data_home("~/data") == Path(tmp_path, "data")
