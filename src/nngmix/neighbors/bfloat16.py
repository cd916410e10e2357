"""Products in bfloat16, by torch: half the time where the processor multiplies in it.

A bfloat16 has the range of a float in single precision and a third of its digits. That is enough
to nominate: the bounds are wider, by a hundredth of the squared norms, so a few more
candidates are measured. Sums are in single precision, and only their sign is looked at.
"""

import time
from collections.abc import Callable
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nngmix.neighbors.exact import Floats, Metric, PlainProduct, Scratch
from nngmix.shared_context import one_blas_thread, one_torch_thread

try:
    import torch
except ImportError:
    raise ImportError("products in bfloat16 need torch: pip install 'nngmix[deep]'") from None


class HalfProduct(PlainProduct):
    """As :class:`PlainProduct`; each norm and limit is split in two numbers that add up to it."""

    # Eight binary digits: rounding changes a number by 2^-8 of itself at most, so 2 q.r by little
    # more than 2^-7 of |q|^2 + |r|^2; the rest of a number split in two is less than 2^-16 of it.
    coarseness = 1.01 * 2.0**-7 + 2.0**-14

    def __init__(self, queries: Floats, metric: Metric, dtype: type[np.floating]) -> None:
        n_features = queries.shape[1]
        self.half = torch.ones((len(queries), n_features + 4), dtype=torch.bfloat16)
        super().__init__(queries, metric, dtype)
        self.half[:, :n_features] = torch.from_numpy(self.vectors[:, :n_features])

    def set_limits(self, query: Any, limit: NDArray[np.float64]) -> None:
        """Set the distance to beat for some queries."""
        super().set_limits(query, limit)
        place = query if isinstance(query, slice) else torch.from_numpy(query)
        # Another thread may be in the middle of a product, and must not see half of this.
        half = self.half.clone()
        _split(torch.from_numpy(self.vectors[query, -1]), half, place, -2)
        self.half = half

    def row_vectors(self, block: Floats, scratch: Scratch) -> Any:
        """Make a block of rows ready; None if it has gaps or numbers too large."""
        ready = self._center_rows(block, scratch)
        if ready is None:
            return None
        r, norm = ready
        n, n_features = block.shape
        bits = scratch.array("half vectors", (n, n_features + 4), np.int16)
        half = torch.from_numpy(bits).view(torch.bfloat16)
        half[:, :n_features] = torch.from_numpy(r)
        _split(torch.from_numpy(norm), half, slice(None), n_features)
        half[:, n_features + 2 :] = 1.0
        return half

    def multiply(self, vectors: Any, first: int, last: int, scratch: Scratch) -> NDArray[Any]:
        """Multiply; the result's signs are right, its other bits are not to be read as numbers."""
        bits = scratch.array("half tile", (len(vectors), last - first), np.int16)
        torch.mm(vectors, self.half[first:last].T, out=torch.from_numpy(bits).view(torch.bfloat16))
        return bits


def _split(values: "torch.Tensor", half: "torch.Tensor", place: Any, column: int) -> None:
    high = values.to(torch.bfloat16)
    half[place, column] = high
    half[place, column + 1] = (values - high.to(torch.float32)).to(torch.bfloat16)


@lru_cache(maxsize=1)
def pays() -> bool:
    """Measure, once in a process, whether this processor is quicker in bfloat16.

    Some have instructions for it, others imitate it, up to twenty times as slowly.
    """
    rng = np.random.default_rng(0)
    a, b = (torch.from_numpy(rng.random((n, 40))).bfloat16() for n in (1024, 512))
    out = torch.empty((1024, 512)).bfloat16()
    return is_quicker(lambda: torch.mm(a, b.T, out=out), 0.8)


def is_quicker(multiply: Callable[[], object], share: float) -> bool:
    """Measure whether a product of 1024 and 512 vectors of 40 takes less than a share of the time.

    Parameters
    ----------
    multiply : callable
        Takes the product.
    share : float
        Of the time that the same product takes in single precision.
    """
    rng = np.random.default_rng(0)
    rows, queries = (rng.random((n, 40), dtype=np.float32) for n in (1024, 512))
    out = np.empty((1024, 512), np.float32)

    def quickest(call: Callable[[], object]) -> float:
        times = []
        # The first few meet cold caches, and libraries that choose or make their code.
        for _ in range(12):
            start = time.perf_counter()
            call()
            times.append(time.perf_counter() - start)
        return min(times)

    with one_blas_thread, one_torch_thread():
        single = quickest(lambda: np.matmul(rows, queries.T, out=out))
        return quickest(multiply) < share * single
