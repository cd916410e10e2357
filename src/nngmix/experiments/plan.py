"""In which order to run a grid, so that it tells most however early it ends."""

from collections import defaultdict
from collections.abc import Iterable

from nngmix.experiments.cells import Cell
from nngmix.experiments.durations import Durations


def order_cells(cells: Iterable[Cell], durations: Durations) -> list[Cell]:
    """Put the cells first that tell most for their time.

    Cells that are compared with one another (one dataset, detector and split; all samplers) stay
    together, since one without the others says little. Of such blocks the quick ones come first;
    and a further seed counts for less than the first, as 1 / (n (n + 1)), which is what the n-th
    takes off the variance of a mean of seeds.

    Parameters
    ----------
    cells : iterable of Cell
        The grid; the order of its seeds is kept.
    durations : Durations
        What cells take.

    Returns
    -------
    list of Cell
        Each once.

    Examples
    --------
    >>> cells = [Cell(dataset, sampler, "MLP", seed=seed) for seed in (0, 1)
    ...          for dataset in ("digits", "wine") for sampler in ("none", "NNGMix")]
    >>> for cell in order_cells(cells, Durations())[:5]:
    ...     print(cell.seed, cell.dataset, cell.sampler)
    0 wine none
    0 wine NNGMix
    0 digits none
    0 digits NNGMix
    1 wine none
    """
    blocks: dict[tuple[object, ...], list[Cell]] = defaultdict(list)
    rank_of_seed: dict[int, int] = {}
    for cell in dict.fromkeys(cells):
        rank_of_seed.setdefault(cell.seed, len(rank_of_seed))
        block = (
            cell.seed,
            cell.detector,
            cell.detector_settings,
            cell.dataset,
            cell.label_ratio,
            cell.pollution_ratio,
            cell.protocol,
        )
        blocks[block].append(cell)

    def cost(block: list[Cell]) -> float:
        n = rank_of_seed[block[0].seed] + 1
        seconds = sum(durations.seconds(cell) for cell in block) / len(block)
        return seconds * n * (n + 1) / 2

    return [cell for block in sorted(blocks.values(), key=cost) for cell in block]
