"""Tensors in, tensors out, on the device they came from; a GPU changes nothing else."""

import numpy as np
import pytest

from nngmix import Chain, CutMix, GaussianNoise, NNGMix

torch = pytest.importorskip("torch", reason="torch is not installed (extra 'deep')")

GPU = pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no GPU")


@pytest.fixture(params=["cpu", pytest.param("cuda", marks=GPU)])
def device(request):
    return request.param


def data(dtype):
    rng = np.random.default_rng(0)
    X = rng.normal(size=(3000, 6)).astype(dtype)
    y = (np.arange(3000) < 30).astype(np.int64)
    X[:30] += 2
    return X, y


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.int64])
def test_tensors_come_back_as_tensors(device, dtype):
    X, y = data(dtype)
    tensors = torch.from_numpy(X).to(device), torch.from_numpy(y).to(device)
    for sampler in (NNGMix(random_state=0), Chain([CutMix(), GaussianNoise()], random_state=0)):
        X_new, y_new = sampler.fit_resample(*tensors)
        expected = sampler.fit_resample(X, y)
        assert X_new.device.type == y_new.device.type == device
        assert X_new.dtype == tensors[0].dtype
        assert np.array_equal(X_new.cpu().numpy(), expected[0])
        assert np.array_equal(y_new.cpu().numpy(), expected[1])
        drawn = sampler.fit(*tensors).sample(50)
        assert drawn.device.type == device
        assert np.array_equal(drawn.cpu().numpy(), sampler.fit(X, y).sample(50))


def test_pieces_of_tensors():
    X, y = data(np.float32)
    pieces = NNGMix(scaling=None, random_state=0)
    for start in range(0, 3000, 1000):
        part = slice(start, start + 1000)
        pieces.partial_fit(
            torch.from_numpy(X[part]), torch.from_numpy(y[part]), anomalies=torch.from_numpy(X[:30])
        )
    whole = NNGMix(scaling=None, random_state=0).fit(X, y)
    assert np.array_equal(pieces.sample(40).numpy(), whole.sample(40))


@GPU
def test_a_table_of_the_processor_may_be_searched_on_a_gpu():
    X, y = data(np.float32)
    here, there = (NNGMix(random_state=0, device=d).fit(X, y) for d in ("cpu", "cuda"))
    assert np.array_equal(here.pool_.unlabelled, there.pool_.unlabelled)
    assert np.array_equal(here.sample(100), there.sample(100))


def test_a_device_that_is_not_there():
    X, y = data(np.float32)
    with pytest.raises(ValueError, match="device: torch has no 'cuda:99'"):
        NNGMix(device="cuda:99").fit(X, y)
