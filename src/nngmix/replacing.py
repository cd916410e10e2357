"""Write a file all or nothing."""

import contextlib
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path


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
        is left as it was.

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
    handle, name = tempfile.mkstemp(dir=place.parent, prefix=".nngmix-", suffix=path.suffix)
    beside = Path(name)
    try:
        os.close(handle)
        yield beside
        # mkstemp's files are private; the finished one gets the usual permissions.
        mask = os.umask(0)
        os.umask(mask)
        beside.chmod(place.stat().st_mode & 0o777 if place.exists() else 0o666 & ~mask)
        beside.replace(place)
    except OSError as error:
        beside.unlink(missing_ok=True)
        if error.filename not in (None, name):
            raise
        # A full disk doesn't tell which file was being written.
        reason = os.strerror(error.errno) if error.errno else str(error)
        raise OSError(error.errno, reason, str(path)) from error
    except BaseException:
        beside.unlink(missing_ok=True)
        raise
