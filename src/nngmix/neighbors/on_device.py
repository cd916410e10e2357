"""The same search with its product on a GPU, through torch."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from nngmix.neighbors.exact import PlainProduct, Search, blocks_of

try:
    import torch
except ImportError:
    raise ImportError("a device for the search needs torch: pip install 'nngmix[deep]'") from None

# Cells of the product at a time: 256 MB on the device, enough to keep it busy between calls.
_TILE_CELLS = 1 << 26


class DeviceSearch(Search):
    """Rows go to the device in blocks, places of candidates come back.

    Candidates are measured where all others are, so what is found is the same to the last bit.
    Blocks that are not plain numbers, or hold too many candidates, are left to the processor.

    Parameters
    ----------
    *arguments
        As for :class:`Search`.
    device : str
        As torch names it: "cuda", "cuda:1", "cpu".

    Raises
    ------
    ImportError
        If torch is not installed.
    ValueError
        If there is no such device.
    """

    def __init__(self, *arguments: Any, device: str) -> None:
        super().__init__(*arguments)
        try:
            self.device = torch.empty(0, device=device).device
        except (AssertionError, RuntimeError) as error:
            reason = str(error).splitlines()[0].rstrip(".")
            raise ValueError(f"device: torch has no {device!r} to use here: {reason}.") from None
        self.sent: tuple[int, torch.Tensor] | None = None

    def nominate(self, n_jobs: int) -> None:
        """Go through the rows, a block at a time."""
        n_queries, n_features = self.queries.shape
        # The first block sets limits that rule out most of the others.
        first, start = next(blocks_of(len(self.rows), n_queries, n_features))
        self.scan(first, start)
        self.settle()
        step = max(1, _TILE_CELLS // n_queries)
        before = torch.get_float32_matmul_precision()
        # What a user may have allowed elsewhere, products of fewer digits, the bounds don't cover.
        torch.set_float32_matmul_precision("highest")
        try:
            while start < len(self.rows):
                stop = min(start + step, len(self.rows))
                places = self._candidates(start, stop)
                if places is None:
                    for first, last in blocks_of(stop - start, n_queries, n_features):
                        self.scan(start + first, start + last)
                else:
                    self.wait(places[1], places[0] + start)
                start = stop
        finally:
            torch.set_float32_matmul_precision(before)
        self.settle()

    def _candidates(
        self, start: int, stop: int
    ) -> tuple[NDArray[np.intp], NDArray[np.intp]] | None:
        """Find rows and queries of candidates in a block; None if it is not for the device."""
        if not self.plain or len(self.endless):
            return None
        product = self.product(PlainProduct, np.float32)
        if product is None:
            return None
        if self.sent is None or self.sent[0] != self.n_settled:
            self.sent = self.n_settled, torch.from_numpy(product.vectors).to(self.device)
        origin, per_unit = (
            torch.from_numpy(part).to(self.device) for part in (product.origin, product.per_unit)
        )
        block = torch.from_numpy(self.rows[start:stop]).to(self.device)
        r = ((block - origin) * per_unit).to(torch.float32)
        norm = (r * r).sum(dim=1)
        if not bool(norm.max() < product.most):  # gaps, or numbers too large
            return None
        norm *= 1.0 - product.slack
        vectors = torch.cat([r, norm[:, None], torch.ones_like(norm)[:, None]], dim=1)
        hit = vectors @ self.sent[1].T < 0
        if self.skip is not None:
            hit[torch.from_numpy(self.skip[start:stop]).to(self.device)] = False
        if int(hit.count_nonzero()) > 4 * self.k * len(self.queries):
            return None
        row, query = hit.nonzero(as_tuple=True)
        return row.cpu().numpy(), query.cpu().numpy()
