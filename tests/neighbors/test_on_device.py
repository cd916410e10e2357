"""The search through torch finds what the search without it finds.

It runs on torch's processor device here, and on a GPU where there is one.
"""

import numpy as np
import pytest

from nngmix.neighbors import k_nearest

torch = pytest.importorskip("torch", reason="torch is not installed (extra 'deep')")

GPU = pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no GPU")


@pytest.fixture(params=["cpu", pytest.param("cuda", marks=GPU)])
def device(request):
    return request.param


def same(one, other):
    assert np.array_equal(one.distance, other.distance)
    assert np.array_equal(one.key, other.key)
    assert np.array_equal(one.index, other.index)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("kind", ["normal", "grid", "gaps", "huge", "near first", "far first"])
def test_finds_the_same(device, dtype, kind, monkeypatch):
    from nngmix.neighbors import on_device

    monkeypatch.setattr(on_device, "_TILE_CELLS", 1 << 18)  # several blocks
    rng = np.random.default_rng(0)
    X = rng.normal(size=(40_150, 12))
    if kind == "grid":
        X = rng.integers(0, 3, X.shape).astype(float)
    elif kind == "gaps":
        X[20_000:30_000][rng.random((10_000, 12)) < 0.2] = np.nan
    elif kind == "huge":
        X[::9] *= 1e20
    elif kind != "normal":
        far = ((X[150:] - X[:150].mean(axis=0)) ** 2).sum(axis=1)
        X[150:] = X[150:][np.argsort(far if kind == "near first" else -far)]
    X = X.astype(dtype)
    queries, rows = X[:150], X[150:]
    same(k_nearest(queries, rows, 8, device=device), k_nearest(queries, rows, 8))


def test_pieces_and_rows_passed_over(device):
    rng = np.random.default_rng(1)
    X = rng.normal(size=(30_060, 6)).astype(np.float32)
    queries, rows, skip = X[:60], X[60:], rng.random(30_000) < 0.2
    for where in (None, device):
        known = None
        for part in (slice(0, 5), slice(5, 12_000), slice(12_000, None)):
            known = k_nearest(queries, rows[part], 9, skip=skip[part], known=known, device=where)
        if where is None:
            expected = known
    same(known, expected)


def test_reduced_precision_that_was_allowed_elsewhere_is_not_used(device):
    before = torch.get_float32_matmul_precision()
    try:
        torch.set_float32_matmul_precision("medium")
        rng = np.random.default_rng(2)
        X = (1000 + rng.normal(size=(20_020, 32))).astype(np.float32)
        same(k_nearest(X[:20], X[20:], 5, device=device), k_nearest(X[:20], X[20:], 5))
        assert torch.get_float32_matmul_precision() == "medium"
    finally:
        torch.set_float32_matmul_precision(before)


def test_a_device_that_is_not_there():
    with pytest.raises(ValueError, match="device: torch has no 'cuda:99'"):
        k_nearest(np.zeros((1, 2)), np.zeros((3, 2)), 1, device="cuda:99")
