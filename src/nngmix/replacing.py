"""Write a file all or nothing."""

import contextlib
import hashlib
import os
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

# On Windows an open file can't be removed, or moved, which is lock enough.
_WINDOWS = sys.platform == "win32"
if not _WINDOWS:
    import fcntl


@contextlib.contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Write a file beside its place, and move it there when it is complete.

    Parameters
    ----------
    path : pathlib.Path
        The file to make or replace.

    Yields
    ------
    pathlib.Path
        Where to write. Whatever goes wrong, an interruption too, it is removed again and ``path``
        is left as it was. What a killed process has left behind is removed when the same file is
        written the next time.

    Raises
    ------
    OSError
        Any that comes up while writing, with the name of ``path``.

    Examples
    --------
    >>> from pathlib import Path
    >>> from tempfile import TemporaryDirectory
    >>> with TemporaryDirectory() as folder:
    ...     with replacing(Path(folder, "note.txt")) as beside:
    ...         _ = beside.write_text("whole or not at all")
    ...     Path(folder, "note.txt").read_text()
    'whole or not at all'
    """
    # A link stays a link: the file that it points to is replaced.
    place = path.resolve()
    # Names may be as long as a name can be, so not the name itself.
    prefix = f".nngmix-{hashlib.blake2b(place.name.encode(), digest_size=6).hexdigest()}-"
    _remove_leftovers(place.parent, prefix)
    handle, beside = _make(place.parent, prefix, path.suffix)
    try:
        try:
            yield beside
        finally:
            if _WINDOWS:
                os.close(handle)
        # mkstemp's files are private; the finished one gets the usual permissions.
        mask = os.umask(0)
        os.umask(mask)
        beside.chmod(place.stat().st_mode & 0o777 if place.exists() else 0o666 & ~mask)
        beside.replace(place)
    except OSError as error:
        beside.unlink(missing_ok=True)
        if error.filename not in (None, str(beside)):
            raise
        # A full disk doesn't tell which file was being written.
        reason = os.strerror(error.errno) if error.errno else str(error)
        raise OSError(error.errno, reason, str(path)) from error
    except BaseException:
        beside.unlink(missing_ok=True)
        raise
    finally:
        if not _WINDOWS:
            os.close(handle)


def _make(folder: Path, prefix: str, suffix: str) -> tuple[int, Path]:
    """Make an empty file and lock it: the lock ends with the process, however that ends."""
    while True:
        handle, name = tempfile.mkstemp(dir=folder, prefix=prefix, suffix=suffix)
        if not _WINDOWS:
            with contextlib.suppress(OSError):  # a file system without locks
                fcntl.flock(handle, fcntl.LOCK_EX)
        # Before it was locked, another process may have taken it for a leftover.
        with contextlib.suppress(FileNotFoundError):
            if os.path.samestat(os.fstat(handle), os.stat(name)):
                return handle, Path(name)
        os.close(handle)


def _remove_leftovers(folder: Path, prefix: str) -> None:
    """Remove unfinished files of processes that are no more."""
    with contextlib.suppress(OSError), os.scandir(folder) as entries:
        for entry in entries:
            if entry.name.startswith(prefix):
                with contextlib.suppress(OSError):
                    _remove_if_unlocked(entry.path)


def _remove_if_unlocked(name: str) -> None:
    if _WINDOWS:
        os.unlink(name)
        return
    handle = os.open(name, os.O_RDONLY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        os.unlink(name)
    finally:
        os.close(handle)
