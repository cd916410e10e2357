"""DeepSAD: what is its own."""

import csv
import math
import re
import sys
import threading
from itertools import pairwise

import numpy as np
import pytest
from imblearn.pipeline import make_pipeline
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.metrics import roc_auc_score
from sklearn.preprocessing import MinMaxScaler

from nngmix import Duplicate, NNGMix
from nngmix.datasets import load_adbench, load_builtin, make_split
from nngmix.detectors import DeepSAD

torch = pytest.importorskip("torch", reason="torch is not installed")
from torch import nn  # noqa: E402

SHORT = {"epochs": 6, "pretrain_epochs": 4, "batch_size": 32, "device": "cpu"}


class PlainNetwork(nn.Module):
    """The public program's network, layer by layer."""

    def __init__(self, *dims):
        super().__init__()
        pairs = list(pairwise(dims))
        self.linear = nn.ModuleList([nn.Linear(a, b, bias=False) for a, b in pairs])
        self.norm = nn.ModuleList(
            [nn.BatchNorm1d(b, eps=1e-4, affine=False) for _, b in pairs[:-1]]
        )

    def forward(self, x):
        for linear, norm in zip(self.linear[:-1], self.norm, strict=True):
            x = nn.functional.leaky_relu(norm(linear(x)), 0.01)
        return self.linear[-1](x)


class RowByRow(torch.utils.data.Dataset):
    def __init__(self, X, y):
        self.X, self.y = torch.tensor(X, dtype=torch.float32), torch.tensor(y)

    def __getitem__(self, i):
        return self.X[i], int(self.y[i])

    def __len__(self):
        return len(self.y)


def published(X, y, X_test, seed, epochs, pretrain_epochs, transfer=False):
    """DeepSAD as PROTOCOL.md tells it, written as plainly as can be."""
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)
        loader = torch.utils.data.DataLoader(
            RowByRow(X, y), batch_size=128, shuffle=True, drop_last=True
        )
        d = X.shape[1]
        network = PlainNetwork(d, 100, 20, 10)
        encoder, decoder = PlainNetwork(d, 100, 20, 10), PlainNetwork(10, 20, 100, d)
        both = nn.Sequential(encoder, decoder, nn.Sigmoid())
        adam = torch.optim.Adam(both.parameters(), lr=1e-4, weight_decay=1e-6)
        for _ in range(pretrain_epochs):
            for x, _ in loader:
                adam.zero_grad()
                nn.functional.mse_loss(both(x), x).backward()
                adam.step()
        list(loader)  # its test pass
        network = encoder if transfer else network
        network.eval()
        with torch.no_grad():
            codes = torch.cat([network(x) for x, _ in loader])
        c = codes.mean(dim=0)
        c[(c.abs() < 0.1) & (c < 0)] = -0.1
        c[(c.abs() < 0.1) & (c > 0)] = 0.1
        network.train()
        adam = torch.optim.Adam(network.parameters(), lr=1e-4, weight_decay=1e-6)
        for _ in range(epochs):
            for x, labels in loader:
                adam.zero_grad()
                d2 = ((network(x) - c) ** 2).sum(dim=1)
                torch.where(labels == 0, d2, 1 / (d2 + 1e-6)).mean().backward()
                adam.step()
        network.eval()
        with torch.no_grad():
            return ((network(torch.tensor(X_test, dtype=torch.float32)) - c) ** 2).sum(dim=1)


@pytest.fixture(scope="module")
def cancer():
    data = load_builtin("breast_cancer")
    split = make_split(data.data, data.target, label_ratio=0.2, seed=0)
    order = np.argsort(split.y_train, kind="stable")
    return split.X_train[order], split.y_train[order], split.X_test, split.y_test


@pytest.mark.parametrize("pretrain", [False, True])
@pytest.mark.parametrize("seed", [0, 5])
def test_equals_the_plain_version(cancer, pretrain, seed):
    X, y, X_test, _ = cancer
    detector = DeepSAD(
        pretrain=pretrain, epochs=12, pretrain_epochs=5, device="cpu", random_state=seed
    ).fit(X, y)
    expected = published(X, y, X_test, seed, 12, 5, transfer=pretrain)
    # Rounding grows from step to step, most where a gradient is near zero.
    np.testing.assert_allclose(detector.decision_function(X_test), expected.numpy(), rtol=1e-2)


def test_defaults_are_the_published_settings():
    expected = {"hidden_dims": (100, 20), "rep_dim": 10, "epochs": 50, "pretrain_epochs": 100}
    expected |= {"batch_size": 128, "learning_rate": 1e-4, "weight_decay": 1e-6, "eta": 1.0}
    parameters = DeepSAD().get_params()
    assert {name: parameters[name] for name in expected} == expected


# Table VII, to the digit where no rows are generated: the same rows, weights and batches.
@pytest.mark.parametrize("name", ["39_vertebral", "45_wine", "46_WPBC", "15_Hepatitis"])
def test_published_baseline(adbench_home, name):
    with (adbench_home.parent / "paper" / "tables.csv").open(newline="") as file:
        paper = {
            row["dataset"]: float(row["aucroc"])
            for row in csv.DictReader(file)
            if row["table"] == "VII"
            and row["sampler"] == "Baseline"
            and row["detector"] == "DeepSAD"
        }
    data = load_adbench(name, data_home=adbench_home)
    split = make_split(data.data, data.target, label_ratio=0.1, seed=0)
    order = np.argsort(split.y_train, kind="stable")
    detector = DeepSAD(pretrain=False, device="cpu", random_state=0)
    detector.fit(split.X_train[order], split.y_train[order])
    aucroc = roc_auc_score(split.y_test, detector.decision_function(split.X_test))
    assert aucroc == pytest.approx(paper[name.split("_", 1)[1]], abs=0.002)


def test_pre_training_reaches_the_detector(cancer):
    X, y, *_ = cancer
    settings = SHORT | {"epochs": 1, "random_state": 0}
    with_it = DeepSAD(pretrain=True, **settings).fit(X, y)
    longer = DeepSAD(pretrain=True, **settings | {"pretrain_epochs": 20}).fit(X, y)
    without = DeepSAD(pretrain=False, **settings).fit(X, y)
    assert without.pretrain_loss_curve_ == []
    assert len(with_it.pretrain_loss_curve_) == 4
    assert longer.pretrain_loss_curve_[-1] < 0.8 * longer.pretrain_loss_curve_[0]
    assert longer.pretrain_loss_curve_[:4] == with_it.pretrain_loss_curve_
    assert not np.allclose(with_it.center_, without.center_)
    assert not np.allclose(with_it.center_, longer.center_)


def test_center_keeps_off_zero(rows):
    center = DeepSAD(**SHORT, random_state=0).fit(*rows).center_
    assert center.shape == (10,)
    assert (np.abs(center) >= np.float32(0.1)).all()


def test_score_is_the_squared_distance_to_the_center(rows, more):
    detector = DeepSAD(**SHORT, random_state=0).fit(*rows)
    with torch.no_grad():
        codes = detector.network_(torch.tensor(more, dtype=torch.float32)).numpy()
    expected = ((codes - detector.center_) ** 2).sum(axis=1)
    np.testing.assert_allclose(detector.decision_function(more), expected, rtol=1e-4)


def test_probability_is_one_half_at_the_threshold(rows, more):
    detector = DeepSAD(**SHORT, random_state=0).fit(*rows)
    scores, anomaly = detector.decision_function(more), detector.predict_proba(more)[:, 1]
    np.testing.assert_allclose(anomaly, scores / (scores + detector.threshold_))
    assert np.array_equal(anomaly > 0.5, detector.predict(more) == 1)


@pytest.mark.parametrize("n", [2, 3, 33])
def test_few_rows(n):
    X = np.random.default_rng(0).random((n, 3))
    detector = DeepSAD(**SHORT, random_state=0).fit(X, np.arange(n) < 1)
    assert np.isfinite(detector.decision_scores_).all()


def test_shape_of_the_network(rows):
    detector = DeepSAD(hidden_dims=[7, 5, 4], rep_dim=2, **SHORT).fit(*rows)
    shapes = [tuple(p.shape) for p in detector.network_.parameters()]
    assert shapes == [(7, 3), (5, 7), (4, 5), (2, 4)]
    assert len(DeepSAD(hidden_dims=[], **SHORT).fit(*rows).center_) == 10
    for wrong in ([0], [1.5], [-3, 4], ["a"]):
        with pytest.raises(ValueError, match="hidden_dims must hold whole numbers above zero"):
            DeepSAD(hidden_dims=wrong).fit(*rows)


def test_scores_do_not_depend_on_threads_or_on_neighbouring_rows(rows):
    X, y = rows
    many = np.random.default_rng(2).random((3000, 3))
    one = DeepSAD(**SHORT, n_jobs=1, random_state=0).fit(X, y)
    scores = one.decision_function(many)
    two = DeepSAD(**SHORT, n_jobs=3, random_state=0).fit(X, y)
    assert np.array_equal(two.decision_function(many), scores)
    np.testing.assert_allclose(
        one.decision_function(many[1111:1114]), scores[1111:1114], rtol=1e-12
    )


def test_torch_keeps_its_threads_and_its_stream(rows):
    before, state = torch.get_num_threads(), torch.get_rng_state()
    DeepSAD(**SHORT, random_state=0).fit(*rows).decision_function(rows[0])
    assert torch.get_num_threads() == before
    assert torch.equal(torch.get_rng_state(), state)


def test_trainings_side_by_side_equal_those_one_by_one(rows):
    X, y = rows
    alone = [DeepSAD(**SHORT, random_state=i).fit(X, y).decision_scores_ for i in range(4)]
    detectors = [DeepSAD(**SHORT, random_state=i) for i in range(4)]
    threads = [threading.Thread(target=one.fit, args=(X, y)) for one in detectors]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for one, expected in zip(detectors, alone, strict=True):
        assert np.array_equal(one.decision_scores_, expected)


# Fresh pseudo-anomalies each epoch


class Counting(Duplicate):
    """Duplicate that writes down what it was asked for."""

    asked = []

    def sample(self, n_samples, *, label=None, random_state=None):
        rows = super().sample(n_samples, label=label, random_state=random_state)
        self.asked.append((n_samples, random_state))
        return rows


def test_fresh_rows_every_epoch(rows):
    X, y = rows
    Counting.asked = []
    detector = DeepSAD(sampler=Counting(multiplier=3), **SHORT, random_state=0).fit(X, y)
    assert [n for n, _ in Counting.asked] == [24] * (6 + 4)
    assert len({seed for _, seed in Counting.asked}) == 10
    assert len(detector.decision_scores_) == len(X)
    assert detector.sampler.get_params() == Counting(multiplier=3).get_params()
    assert not hasattr(detector.sampler, "pool_")  # a clone was fitted


def test_fresh_rows_are_reproducible_and_count(rows, more):
    X, y = rows
    fresh = DeepSAD(sampler=NNGMix(random_state=None), **SHORT, random_state=3)
    scores = clone(fresh).fit(X, y).decision_function(more)
    assert np.array_equal(clone(fresh).fit(X, y).decision_function(more), scores)
    other = clone(fresh).set_params(random_state=4).fit(X, y).decision_function(more)
    assert not np.array_equal(other, scores)
    without = clone(fresh).set_params(sampler=None).fit(X, y).decision_function(more)
    assert not np.allclose(without, scores)


def test_fresh_rows_behind_a_scaler(rows, more):
    X, y = rows
    pipeline = make_pipeline(MinMaxScaler(), DeepSAD(sampler=NNGMix(), **SHORT, random_state=0))
    scaled = MinMaxScaler().fit(X * 50 + 7)
    by_hand = clone(pipeline[-1]).fit(scaled.transform(X * 50 + 7), y)
    expected = by_hand.decision_function(scaled.transform(more * 50 + 7))
    assert np.array_equal(pipeline.fit(X * 50 + 7, y).decision_function(more * 50 + 7), expected)


def test_copies_weigh_as_much_as_a_class_weight(rows, more):
    # Duplicate 7x makes eight of each anomaly: its fresh rows change nothing but their weight.
    X, y = rows
    settings = SHORT | {"epochs": 60, "learning_rate": 1e-3}
    copies = DeepSAD(sampler=Duplicate(multiplier=7), **settings, random_state=0).fit(X, y)
    weight = DeepSAD(class_weight={1: 8.0}, **settings, random_state=0).fit(X, y)
    plain = DeepSAD(**settings, random_state=0).fit(X, y)

    def push(detector):
        scores = detector.decision_scores_
        return math.log(np.median(scores[y == 1]) / np.median(scores[y == 0]))

    assert push(copies) > push(plain)
    assert push(weight) > push(plain)


# Bad input


@pytest.mark.parametrize("name", ["gpu", "cuda:99", "", "xpu"])
def test_unknown_device(rows, name):
    with pytest.raises(ValueError, match=f"device must be 'auto' or one of .*cpu; got '{name}'"):
        DeepSAD(device=name).fit(*rows)
    detector = DeepSAD(**SHORT).fit(*rows).set_params(device=name)
    with pytest.raises(ValueError, match="device must be"):
        detector.predict(rows[0])


def test_values_beyond_single_precision(rows):
    pandas = pytest.importorskip("pandas", reason="pandas is not installed")
    X, y = rows
    X = X.copy()
    X[4, 1] = 1e39
    with pytest.raises(ValueError, match=r"beyond 3.4e\+38 in column 1: DeepSAD .*MinMaxScaler"):
        DeepSAD(**SHORT).fit(X, y)
    with pytest.raises(ValueError, match=r"beyond 3.4e\+38 in column 'b': "):
        DeepSAD(**SHORT).fit(pandas.DataFrame(X, columns=["a", "b", "c"]), y)


def test_divergence_is_told(rows):
    X, y = rows
    with pytest.raises(ValueError, match=r"training diverged in epoch 1 .* scale the columns"):
        DeepSAD(**SHORT).fit(X * 1e38, y)


def test_missing_extra_is_named(monkeypatch, rows):
    monkeypatch.setitem(sys.modules, "torch", None)
    with pytest.raises(ImportError, match=re.escape("pip install 'nngmix[deep]'")):
        DeepSAD().fit(*rows)


def test_sampler_must_be_one(rows):
    with pytest.raises(ValueError, match="'sampler' parameter"):
        DeepSAD(sampler="NNGMix").fit(*rows)


def test_interrupt_in_an_epoch_leaves_it_unfitted(monkeypatch, rows):
    detector = DeepSAD(**SHORT, random_state=0).fit(*rows)
    calls = []

    def stop(self, loss, epoch):
        calls.append(epoch)
        if len(calls) == 6:  # in the training proper
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(DeepSAD, "_check_loss", stop)
        with pytest.raises(KeyboardInterrupt):
            detector.fit(*rows)
    with pytest.raises(NotFittedError):
        detector.predict(rows[0])
    assert torch.get_num_threads() >= 1


def test_balanced_stays_balanced_with_fresh_rows(rows):
    from nngmix.detectors.network import TrainingRows

    X, y = rows
    weight = np.where(y == 1, 128 / (2 * 8), 128 / (2 * 120))  # what "balanced" gives
    data = TrainingRows(
        X,
        y,
        weight,
        NNGMix(),
        True,
        np.random.RandomState(0),
        torch.Generator(),
        torch.device("cpu"),
    )
    of_anomalies = float(data.weight[data.y == 1].sum())
    assert of_anomalies == pytest.approx(float(data.weight[data.y == 0].sum()), rel=1e-5)
    assert len(data) == 128 + 80
