"""FTTransformer: what is its own."""

import re
import sys

import numpy as np
import pytest
from sklearn.base import clone

from nngmix import Duplicate, NNGMix
from nngmix.datasets import load_builtin, make_split
from nngmix.detectors import FTTransformer

torch = pytest.importorskip("torch", reason="torch is not installed")
rtdl = pytest.importorskip("rtdl_revisiting_models", reason="rtdl_revisiting_models is missing")

SHORT = {"n_blocks": 1, "epochs": 4, "learning_rate": 0.005, "device": "cpu"}


def double(network):
    return network.double().eval()


@pytest.mark.parametrize("n_blocks", [1, 2, 3])
def test_scores_are_those_of_the_package(rows, more, n_blocks):
    detector = FTTransformer(**SHORT | {"n_blocks": n_blocks, "epochs": 1}, random_state=0)
    detector.fit(*rows)
    with torch.no_grad():
        expected = detector.network_(torch.tensor(more, dtype=torch.float32), None)[:, 0]
    np.testing.assert_allclose(detector.decision_function(more), expected.numpy(), atol=1e-5)


@pytest.mark.parametrize("n_blocks", [1, 2, 3])
def test_gradients_are_those_of_the_package(n_blocks):
    from nngmix.detectors.ft_transformer import _logits

    torch.manual_seed(0)
    network = double(
        rtdl.FTTransformer(
            n_cont_features=5,
            cat_cardinalities=[],
            d_out=1,
            **rtdl.FTTransformer.get_default_kwargs(n_blocks),
        )
    )
    x = torch.rand(9, 5, dtype=torch.float64)
    parameters = list(network.parameters())
    theirs = torch.autograd.grad(network(x, None).square().sum(), parameters)
    ours = torch.autograd.grad(_logits(network, x).square().sum(), parameters, allow_unused=True)
    assert sum(one is None for one in ours) == 1  # the last key bias, which cancels
    for one, other in zip(ours, theirs, strict=True):
        torch.testing.assert_close(torch.zeros_like(other) if one is None else one, other)


def test_training_equals_the_plain_loop_without_dropout(rows):
    """Same weights, same batches, same optimiser: the same losses."""
    from nngmix.detectors.network import TrainingRows, seeded

    X, y = rows
    detector = FTTransformer(**SHORT | {"learning_rate": 1e-4}, batch_size=32, random_state=0)
    rng = np.random.RandomState(0)
    with seeded(0):
        kwargs = rtdl.FTTransformer.get_default_kwargs(1)
        network = rtdl.FTTransformer(n_cont_features=3, cat_cardinalities=[], d_out=1, **kwargs)
    stream = torch.Generator().manual_seed(int(rng.randint(np.iinfo(np.int32).max)))
    data = TrainingRows(X, y, None, None, False, rng, stream, torch.device("cpu"))
    adam = network.make_default_optimizer()
    network.eval()  # no dropout
    losses = []
    for _ in range(4):
        total = 0.0
        for x, labels, _ in data.epoch(32, drop_last=False):
            adam.zero_grad()
            loss = torch.nn.functional.binary_cross_entropy_with_logits(
                network(x, None)[:, 0], labels
            )
            loss.backward()
            adam.step()
            total += loss.item() * len(labels)
        losses.append(total / len(X))

    class WithoutDropout(FTTransformer):
        def _build_network(self):
            network = super()._build_network()
            for module in network.modules():
                if isinstance(module, torch.nn.Dropout):
                    module.p = 0.0
            return network

    ours = WithoutDropout(**detector.get_params()).fit(X, y).loss_curve_
    np.testing.assert_allclose(ours, losses, rtol=1e-4)


def test_defaults_are_the_published_settings():
    expected = {"n_blocks": 3, "epochs": 100, "batch_size": 64, "learning_rate": 1e-4}
    expected |= {"weight_decay": 1e-5, "early_stopping": False}
    parameters = FTTransformer().get_params()
    assert {name: parameters[name] for name in expected} == expected


def test_dropout_is_on_in_training_and_off_in_scoring(rows):
    X, y = rows
    detector = FTTransformer(**SHORT, random_state=0).fit(X, y)
    assert np.array_equal(detector.decision_function(X), detector.decision_function(X))
    network = detector.network_
    from nngmix.detectors.ft_transformer import _Dropouts

    dropout = _Dropouts(0, torch.device("cpu"))[0]
    thinned = dropout(torch.ones(100_000), 0.2)
    assert set(thinned.unique().tolist()) == {0.0, 1.25}
    assert thinned.mean() == pytest.approx(1, abs=0.01)
    assert not network.training


def test_threads_do_not_change_the_results(rows, more):
    X, y = rows
    one = FTTransformer(**SHORT, n_jobs=1, random_state=0).fit(X, y)
    three = FTTransformer(**SHORT, n_jobs=3, random_state=0).fit(X, y)
    assert one.loss_curve_ == three.loss_curve_
    assert np.array_equal(one.decision_function(more), three.decision_function(more))


def test_scores_hardly_depend_on_neighbouring_rows(rows, more):
    detector = FTTransformer(**SHORT, random_state=0).fit(*rows)
    alone = np.concatenate([detector.decision_function(row[None]) for row in more])
    np.testing.assert_allclose(alone, detector.decision_function(more), rtol=1e-5, atol=1e-5)


def test_torch_keeps_its_threads_and_its_stream(rows):
    before, state = torch.get_num_threads(), torch.get_rng_state()
    FTTransformer(**SHORT, random_state=0).fit(*rows).decision_function(rows[0])
    assert torch.get_num_threads() == before
    assert torch.equal(torch.get_rng_state(), state)


def test_probability_is_the_logistic_of_the_score(rows, more):
    detector = FTTransformer(**SHORT, random_state=0).fit(*rows)
    expected = 1 / (1 + np.exp(-detector.decision_function(more)))
    np.testing.assert_allclose(detector.predict_proba(more)[:, 1], expected)


def test_an_int_gives_the_weights_of_torch_with_that_seed(rows):
    detector = FTTransformer(**SHORT | {"epochs": 1, "learning_rate": 1e-12}, random_state=7)
    network = detector.fit(*rows).network_
    with torch.random.fork_rng():
        torch.manual_seed(7)
        kwargs = rtdl.FTTransformer.get_default_kwargs(1)
        plain = rtdl.FTTransformer(n_cont_features=3, cat_cardinalities=[], d_out=1, **kwargs)
    for ours, theirs in zip(network.parameters(), plain.parameters(), strict=True):
        torch.testing.assert_close(ours, theirs, atol=1e-6, rtol=0)


def test_results_do_not_depend_on_which_thread_comes_first(rows):
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        settings = SHORT | {"epochs": 1, "batch_size": 64}
        found = {
            FTTransformer(**settings, n_jobs=4, random_state=0).fit(*rows).loss_curve_[0]
            for _ in range(20)
        }
    finally:
        sys.setswitchinterval(interval)
    assert len(found) == 1


# Early stopping


@pytest.fixture(scope="module")
def cancer():
    data = load_builtin("breast_cancer")
    split = make_split(data.data[:, :6], data.target, label_ratio=0.3, seed=0)
    return split.X_train, split.y_train


def test_early_stopping_goes_back_to_the_best_epoch(cancer):
    settings = SHORT | {"epochs": 40, "learning_rate": 0.01}
    detector = FTTransformer(
        early_stopping=True, n_iter_no_change=3, **settings, random_state=0
    ).fit(*cancer)
    curve = detector.validation_loss_curve_
    best = int(np.argmin(curve))
    assert len(curve) == detector.n_iter_ == min(best + 4, 40)
    assert detector.n_iter_ < 40
    # Trained anew for exactly that long, it is the same network.
    shorter = clone(detector).set_params(epochs=best + 1, n_iter_no_change=40).fit(*cancer)
    assert np.array_equal(shorter.decision_scores_, detector.decision_scores_)
    assert FTTransformer(**SHORT).fit(*cancer).validation_loss_curve_ == []


@pytest.mark.parametrize("n_anomalies", [2, 3, 5])
def test_early_stopping_holds_out_anomalies_however_few(monkeypatch, rows, n_anomalies):
    X, y = rows
    y = (np.arange(len(y)) >= len(y) - n_anomalies).astype(int)
    seen = []
    plain = FTTransformer._loss_on

    def watch(self, network, held_out, run):
        seen.append((int(held_out.y.sum()), len(held_out)))
        return plain(self, network, held_out, run)

    monkeypatch.setattr(FTTransformer, "_loss_on", watch)
    FTTransformer(early_stopping=True, **SHORT, random_state=0).fit(X, y)
    assert set(seen) == {(1, 1 + round(0.1 * (128 - n_anomalies)))}


def test_early_stopping_with_fresh_rows(cancer):
    detector = FTTransformer(early_stopping=True, sampler=NNGMix(), **SHORT, random_state=0)
    assert len(detector.fit(*cancer).decision_scores_) == len(cancer[0])


def test_early_stopping_needs_two_of_each_kind(rows):
    X, y = rows
    y = np.where(np.arange(len(y)) == len(y) - 1, 1, 0)
    with pytest.raises(ValueError, match=r"at least two labelled anomalies .* y holds 1 and 127"):
        FTTransformer(early_stopping=True, **SHORT).fit(X, y)


# Fresh pseudo-anomalies each epoch


def test_fresh_rows_are_reproducible_and_count(rows, more):
    X, y = rows
    fresh = FTTransformer(sampler=NNGMix(random_state=None), **SHORT, random_state=3)
    scores = clone(fresh).fit(X, y).decision_function(more)
    assert np.array_equal(clone(fresh).fit(X, y).decision_function(more), scores)
    without = clone(fresh).set_params(sampler=None).fit(X, y).decision_function(more)
    assert scores.mean() > without.mean()


def test_a_sampler_that_makes_no_rows_changes_nothing(rows, more):
    X, y = rows
    plain = FTTransformer(**SHORT, random_state=3).fit(X, y)
    none = FTTransformer(sampler=Duplicate(sampling_strategy={1: 8}), **SHORT, random_state=3)
    assert np.array_equal(none.fit(X, y).decision_scores_, plain.decision_scores_)


# Wide tables, bad input


def test_wide_tables_are_trained_on_in_small_parts():
    X = np.random.default_rng(0).random((40, 700))
    detector = FTTransformer(**SHORT | {"epochs": 1}, random_state=0)
    detector.n_features_in_ = 700
    assert detector._rows_a_part(torch.device("cpu")) == 4
    assert np.isfinite(clone(detector).fit(X, np.arange(40) < 4).decision_scores_).all()


def test_unknown_device(rows):
    with pytest.raises(ValueError, match=r"device must be 'auto' or one of .*cpu; got 'tpu'"):
        FTTransformer(device="tpu").fit(*rows)


@pytest.mark.parametrize("module", ["torch", "rtdl_revisiting_models"])
def test_missing_extra_is_named(monkeypatch, rows, module):
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(
        ImportError, match=f"needs {module}: " + re.escape("pip install 'nngmix[deep]'")
    ):
        FTTransformer().fit(*rows)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU on this machine")
def test_a_gpu_comes_to_nearly_the_same(rows, more):
    settings = SHORT | {"epochs": 30}
    here = FTTransformer(**settings, random_state=0).fit(*rows).decision_function(more)
    there = FTTransformer(**settings | {"device": "cuda"}, random_state=0).fit(*rows)
    assert np.corrcoef(here, there.decision_function(more))[0, 1] > 0.9
