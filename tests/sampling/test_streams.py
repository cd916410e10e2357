"""Fresh rows without end: iter_samples, and the torch dataset on it."""

import itertools

import numpy as np
import pytest

from nngmix import Duplicate, Mixup, NNGMix

X = np.random.default_rng(0).random((200, 4))
Y = (np.arange(200) < 6).astype(int)


def take(stream, n):
    return list(itertools.islice(stream, n))


def test_batches_are_fresh_and_reproducible():
    sampler = NNGMix(random_state=3).fit(X, Y)
    first = take(sampler.iter_samples(50), 5)
    assert all(batch.shape == (50, 4) for batch in first)
    assert len(np.unique(np.concatenate(first), axis=0)) > 200
    again = take(sampler.iter_samples(50), 5)
    assert all(np.array_equal(a, b) for a, b in zip(first, again, strict=True))
    other = take(sampler.iter_samples(50, random_state=4), 1)[0]
    assert not np.array_equal(first[0], other)


def test_batches_are_of_the_table_kind():
    pd = pytest.importorskip("pandas")
    frame = pd.DataFrame(X, columns=list("abcd")).astype("float32")
    batch = next(Mixup().fit(frame, Y).iter_samples(3))
    assert list(batch.columns) == list("abcd")
    assert (batch.dtypes == "float32").all()


@pytest.mark.parametrize("size", [0, -1, 1.5, None])
def test_bad_batch_size_is_refused_at_once(size):
    with pytest.raises(ValueError, match="batch_size must be a whole number"):
        NNGMix().fit(X, Y).iter_samples(size)


def test_several_classes_need_a_label():
    labels = np.repeat(["a", "b", "c"], [150, 30, 20])
    sampler = NNGMix(sampling_strategy="auto", random_state=0).fit(X, labels)
    with pytest.raises(ValueError, match=r"label must be one of \['b', 'c'\]"):
        sampler.sample(3)
    b, c = sampler.sample(50, label="b"), sampler.sample(50, label="c")
    assert not np.array_equal(b, c)
    assert next(sampler.iter_samples(4, label="c")).shape == (4, 4)


class TestTorchDataset:
    @pytest.fixture(autouse=True)
    def torch(self):
        return pytest.importorskip("torch", reason="torch is not installed")

    def make(self, **settings):
        from nngmix.sampling.torch_dataset import PseudoAnomalyDataset

        return PseudoAnomalyDataset(NNGMix(random_state=0).fit(X, Y), 32, **settings)

    def load(self, dataset, **settings):
        from torch.utils.data import DataLoader

        return list(DataLoader(dataset, batch_size=None, **settings))

    def test_every_pass_brings_new_rows(self, torch):
        dataset = self.make(n_batches=3)
        one, two = self.load(dataset), self.load(dataset)
        assert [tuple(batch.shape) for batch in one] == [(32, 4)] * 3
        assert one[0].dtype == torch.float32
        assert not torch.equal(one[0], two[0])
        assert torch.equal(one[0], self.load(self.make(n_batches=3))[0])

    def test_workers_share_a_pass_and_do_not_repeat_each_other(self, torch):
        torch.manual_seed(0)
        dataset = self.make(n_batches=5)
        one = self.load(dataset, num_workers=2)
        two = self.load(dataset, num_workers=2)
        rows = torch.cat(one + two).numpy()
        assert len(one) == len(two) == 5
        assert len(np.unique(rows, axis=0)) > 0.95 * len(rows)
        assert not any(torch.equal(a, b) for a, b in itertools.combinations(one + two, 2))

    def test_endless(self):
        assert len(take(iter(self.make()), 100)) == 100

    def test_dtype(self, torch):
        assert self.load(self.make(n_batches=1, dtype=torch.float64))[0].dtype == torch.float64

    def test_bad_settings(self):
        from sklearn.exceptions import NotFittedError

        from nngmix.sampling.torch_dataset import PseudoAnomalyDataset

        with pytest.raises(NotFittedError):
            PseudoAnomalyDataset(NNGMix())
        with pytest.raises(ValueError, match="n_batches must be at least 1"):
            self.make(n_batches=0)
        with pytest.raises(ValueError, match="batch_size must be at least 1"):
            PseudoAnomalyDataset(NNGMix().fit(X, Y), 0)
        with pytest.raises(ValueError, match="holds categories"):
            PseudoAnomalyDataset(Duplicate(categorical_features=[0]).fit(X.round(1), Y))


def test_missing_torch_names_the_extra(monkeypatch):
    import sys

    monkeypatch.setitem(sys.modules, "torch", None)
    monkeypatch.delitem(sys.modules, "nngmix.sampling.torch_dataset", raising=False)
    with pytest.raises(ImportError, match=r"pip install 'nngmix\[deep\]'"):
        import nngmix.sampling.torch_dataset  # noqa: F401
