"""Contexts that change the whole process, entered once however many threads are inside."""

import contextlib
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from functools import lru_cache
from typing import Any

from threadpoolctl import ThreadpoolController


class SharedContext:
    """A context that the first thread enters and the last one leaves.

    A context that changes something of the process and puts it back, entered by two threads that
    overlap, would put back in the end what the second one found: the change itself.

    Parameters
    ----------
    make : callable
        Makes the context.

    Examples
    --------
    >>> from contextlib import contextmanager
    >>> @contextmanager
    ... def tell():
    ...     print("in")
    ...     yield
    ...     print("out")
    >>> context = SharedContext(tell)
    >>> with context, context:
    ...     print("inside")
    in
    inside
    out
    """

    def __init__(self, make: Callable[[], AbstractContextManager[Any]]) -> None:
        self._make = make
        self._lock = threading.Lock()
        self._inside = 0
        self._context: AbstractContextManager[Any]

    def __enter__(self) -> None:
        with self._lock:
            if self._inside == 0:
                self._context = self._make()
                self._context.__enter__()
            self._inside += 1

    def __exit__(self, *error: object) -> None:
        with self._lock:
            self._inside -= 1
            if self._inside == 0:
                self._context.__exit__(None, None, None)


@lru_cache(maxsize=1)
def _controller(n_modules: int) -> ThreadpoolController:
    # Finding the libraries takes milliseconds, and is needed again only when others were loaded.
    return ThreadpoolController()


#: One thread in BLAS, where blocks run side by side in threads of their own.
one_blas_thread = SharedContext(
    lambda: _controller(len(sys.modules)).limit(limits=1, user_api="blas")
)

_threads_lock = threading.Lock()
# How many hold torch to one thread right now, and how many threads it had before.
_limited = 0
_threads_before = 1


@contextlib.contextmanager
def one_torch_thread() -> Iterator[None]:
    """Let torch use one thread inside an operation, in this thread, while the block runs.

    Sums then come out the same on any machine, and for small operations it is faster.
    """
    import torch

    global _limited, _threads_before
    with _threads_lock:
        if _limited == 0:
            _threads_before = torch.get_num_threads()
        _limited += 1
        torch.set_num_threads(1)
    try:
        yield
    finally:
        with _threads_lock:
            _limited -= 1
            torch.set_num_threads(_threads_before)
