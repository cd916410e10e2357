"""Random streams that give the same rows whatever the number of threads."""

import multiprocessing
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
from joblib import cpu_count
from numpy.typing import NDArray
from sklearn.utils import check_random_state

# Bytes generated at a time: with what is drawn beside them they stay near the cache, and they are
# enough that threads seldom wait for the interpreter.
_BLOCK_BYTES = 1 << 19


def seed_of(random_state: Any) -> np.random.SeedSequence:
    """Turn scikit-learn's ``random_state`` into the seed of many independent streams.

    Parameters
    ----------
    random_state : int, RandomState instance, SeedSequence or None
        An int gives the same seed every time; a RandomState a new one a call; None an
        unforeseeable one; a SeedSequence is one.

    Returns
    -------
    numpy.random.SeedSequence
    """
    if isinstance(random_state, np.random.SeedSequence):
        return random_state
    if random_state is None:
        return np.random.SeedSequence()
    if isinstance(random_state, (int, np.integer)):
        return np.random.SeedSequence(int(random_state))
    drawn = check_random_state(random_state).randint(0, 2**32, size=4, dtype=np.uint32)
    return np.random.SeedSequence(drawn.tolist())


def thread_count(n_jobs: int | None) -> int:
    """Read scikit-learn's ``n_jobs`` as a number of threads.

    Parameters
    ----------
    n_jobs : int or None
        None is 1; -1 all cores, -2 all but one, and so on. In a worker process, which has its
        share of the cores already, "all" is one.

    Returns
    -------
    int
        At least 1.

    Raises
    ------
    ValueError
        If ``n_jobs`` is 0.

    Examples
    --------
    >>> thread_count(None), thread_count(3), thread_count(-1) >= 1
    (1, 3, True)
    """
    if n_jobs is None:
        return 1
    if n_jobs == 0:
        raise ValueError("n_jobs must not be 0: -1 means all cores, None or 1 a single thread.")
    if n_jobs > 0:
        return int(n_jobs)
    cores = 1 if multiprocessing.parent_process() is not None else cpu_count()
    return max(1, int(cores) + 1 + int(n_jobs))


def fill(
    out: NDArray[Any],
    draw: Callable[[NDArray[Any], np.random.Generator, int], None],
    seed: np.random.SeedSequence,
    n_jobs: int | None,
    *,
    start: int = 0,
    n_rows: int | None = None,
    block_rows: int | None = None,
) -> None:
    """Fill an array block by block, every block from a stream of its own.

    Parameters
    ----------
    out : ndarray of shape (n, n_features)
        Written in place.
    draw : callable
        ``draw(block, rng, first)`` writes the rows of ``block``; ``first`` is the place of its
        first row in the whole.
    seed : numpy.random.SeedSequence
        Fixes all streams.
    n_jobs : int or None
        As for :func:`thread_count`. The rows do not depend on it.
    start : int, default=0
        The place in the whole of the first row of ``out``.
    n_rows : int, default=None
        Rows of the whole; None: ``out`` is all of it.
    block_rows : int, default=None
        Rows to draw at a time; None: as many as suit the cache.
    """
    stop = start + len(out)
    n_rows = stop if n_rows is None else n_rows
    rows = block_rows or max(1, _BLOCK_BYTES // (out.itemsize * out.shape[1]))

    def one(block: int) -> None:
        # Blocks are cut by the shape of the whole, so a block's stream and its rows are the same
        # on any machine and in any slice.
        child = np.random.SeedSequence(seed.entropy, spawn_key=(*seed.spawn_key, block))
        rng = np.random.Generator(np.random.SFC64(child))
        first, end = block * rows, min((block + 1) * rows, n_rows)
        if start <= first and end <= stop:
            draw(out[first - start : end - start], rng, first)
        else:
            whole = np.empty((end - first, out.shape[1]), out.dtype)
            draw(whole, rng, first)
            low, high = max(first, start), min(end, stop)
            out[low - start : high - start] = whole[low - first : high - first]

    blocks = range(start // rows, -(-stop // rows))
    threads = min(thread_count(n_jobs), len(blocks))
    if threads <= 1:
        for block in blocks:
            one(block)
    else:
        with ThreadPoolExecutor(threads) as pool:
            list(pool.map(one, blocks))
