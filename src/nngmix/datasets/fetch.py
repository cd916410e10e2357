"""Getting ADBench's files: downloaded or imported, and checked before they take their place."""

import contextlib
import email.message
import errno
import functools
import hashlib
import http.client
import os
import re
import ssl
import time
import urllib.error
import urllib.parse
import urllib.request
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import IO

from filelock import FileLock

from nngmix import __version__
from nngmix.datasets.catalogue import AdbenchFile, find_data_home, list_adbench

ADBENCH_URL = "https://raw.githubusercontent.com/Minqi824/ADBench/main/adbench/datasets"
"""Where ADBench's public repository serves its files."""

_CHUNK = 1 << 16
_LARGEST = 1 << 30  # bytes; beyond it, what is of unknown size is taken to have no end
_TOLD = 2  # files whose reasons are told in full, where many can't be had
_LONGEST_WAIT = 60.0  # seconds; a server may ask for more than anyone would sit through
_RETRIED = (408, 425, 429)  # besides 5xx; any other 4xx will be the same the next time

# Tells the bytes that are there, and the bytes that there will be.
_Show = Callable[[int, int | None], None]


def fetch_adbench(
    names: str | Iterable[str],
    *,
    data_home: str | os.PathLike[str] | None = None,
    base_url: str | None = None,
    timeout: float = 30.0,
    retries: int = 4,
    wait: float = 1.0,
    verbose: bool = False,
    catalogue: Sequence[AdbenchFile] | None = None,
) -> list[Path]:
    r"""Download files of ADBench that are not there yet, and check those that are.

    Every file's git blob hash is compared with the catalogue's before the file gets its name, so
    that the folder never holds a half or a wrong one. A download that was cut off, or
    interrupted, goes on where it stopped. Several processes may fetch into one folder at once.

    Parameters
    ----------
    names : str or iterable of str
        Files, datasets, suites or ``"all"``, as in :func:`list_adbench`.
    data_home : str or path, default=None
        The folder to keep the suites' folders in. None: the environment's ``NNGMIX_DATA``, or else
        the user's cache, see :func:`find_data_home`.
    base_url : str, default=None
        Where the suites' folders are served, over http or https. None: the environment's
        ``NNGMIX_ADBENCH_URL``, or else ADBench's public repository.
    timeout : float, default=30.0
        Seconds to wait for a server that says nothing.
    retries : int, default=4
        How often in a row to try again without having got further. Unreachable servers, timeouts,
        cut connections, wrong content and the statuses 5xx, 408, 425 and 429 are tried again.
    wait : float, default=1.0
        Seconds before the first of them; doubled each time. A server's ``Retry-After`` is heeded.
    verbose : bool, default=False
        Show a progress bar on standard error.
    catalogue : sequence of AdbenchFile, default=None
        Choose from these instead of from ADBench's files.

    Returns
    -------
    list of pathlib.Path
        The files, all of them verified, in the order of :func:`list_adbench`.

    Raises
    ------
    ValueError
        If there is no such name, or a setting is not what it must be. Nothing was written.
    OSError
        If a file can't be had: the message names file, address and reason. Files that the server
        hasn't, or has with other content, do not keep the others from being fetched.

    Notes
    -----
    A file that is there with other content is set aside as ``NAME.npz.wrong``. Hidden files beside
    a table belong to its download: ``.NAME.npz.part`` is what there is of it so far,
    ``.NAME.npz.lock`` keeps two processes apart.

    Examples
    --------
    >>> from nngmix.datasets import fetch_adbench, load_adbench
    >>> paths = fetch_adbench("45_wine")  # doctest: +SKIP
    >>> wine = load_adbench("45_wine")  # doctest: +SKIP

    A file that is there already costs no connection:

    >>> import hashlib, tempfile
    >>> from pathlib import Path
    >>> from nngmix.datasets import AdbenchFile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = Path(folder, "Classical", "0_toy.npz")
    ...     path.parent.mkdir()
    ...     _ = path.write_bytes(b"toy")
    ...     known = hashlib.sha1(b"blob 3\0toy").hexdigest()
    ...     toy = AdbenchFile("0_toy", "Classical", "toy", 0, "games", known)
    ...     [found] = fetch_adbench("0_toy", data_home=folder, catalogue=[toy])
    >>> found.name
    '0_toy.npz'
    """
    files = list_adbench(names, catalogue=catalogue)
    if not timeout > 0:
        raise ValueError(f"timeout must be a number of seconds above 0, not {timeout!r}.")
    if retries < 0:
        raise ValueError(f"retries must be 0 or more, not {retries!r}.")
    if not wait >= 0:
        raise ValueError(f"wait must be a number of seconds, 0 or more, not {wait!r}.")
    server = _Server(_find_url(base_url), timeout, retries, wait)
    home = find_data_home(data_home)
    refused: dict[str, str] = {}
    with _progress(len(files), verbose) as show:
        for position, file in enumerate(files, 1):
            label = f"{file.name} ({position}/{len(files)})"
            try:
                _fetch(file, home / file.path, server, functools.partial(show, label))
            except _RefusedError as error:
                refused[file.full_name] = str(error)
    if refused:
        raise OSError(_sum_up(refused, len(files)))
    return [home / file.path for file in files]


def verify_adbench(
    names: str | Iterable[str] = "all",
    *,
    data_home: str | os.PathLike[str] | None = None,
    catalogue: Sequence[AdbenchFile] | None = None,
) -> dict[str, str]:
    """Compare the files that are there with ADBench's hashes.

    Parameters
    ----------
    names : str or iterable of str, default="all"
        Files, datasets, suites or ``"all"``, as in :func:`list_adbench`.
    data_home : str or path, default=None
        The folder that holds the suites' folders; see :func:`find_data_home`.
    catalogue : sequence of AdbenchFile, default=None
        Choose from these instead of from ADBench's files.

    Returns
    -------
    dict of str to str
        For each full name ``"ok"``, ``"wrong"`` (other content than ADBench's) or ``"missing"``.

    Raises
    ------
    ValueError
        If there is no such name.
    OSError
        If a file is there but can't be read.

    Examples
    --------
    >>> from nngmix.datasets import verify_adbench
    >>> verify_adbench("45_wine", data_home="a folder that is not there")
    {'Classical/45_wine': 'missing'}
    """
    home = find_data_home(data_home)
    states = {True: "ok", False: "wrong", None: "missing"}
    return {
        file.full_name: states[_is_right(home / file.path, file)]
        for file in list_adbench(names, catalogue=catalogue)
    }


def import_adbench(
    folder: str | os.PathLike[str],
    *,
    data_home: str | os.PathLike[str] | None = None,
    catalogue: Sequence[AdbenchFile] | None = None,
) -> dict[Path, str]:
    """Take over files of ADBench that one already has.

    They are known by their content: folders and names may be others than ADBench's, only the
    ending must be ``.npz``. They are copied, and checked before they take their place.

    Parameters
    ----------
    folder : str or path
        Where they are, in subfolders too.
    data_home : str or path, default=None
        The folder to keep the suites' folders in; see :func:`find_data_home`.
    catalogue : sequence of AdbenchFile, default=None
        The files to look for instead of ADBench's.

    Returns
    -------
    dict of pathlib.Path to str
        For each ``.npz`` file in `folder` ``"copied"``, ``"there"`` (it was there already),
        ``"wrong"`` (a name of ADBench's, with other content) or ``"unknown"``.

    Raises
    ------
    FileNotFoundError, NotADirectoryError
        If `folder` is no folder.
    OSError
        If a file can't be read or written.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> from nngmix.datasets import import_adbench
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     _ = Path(folder, "45_wine.npz").write_bytes(b"something else")
    ...     list(import_adbench(folder, data_home=Path(folder, "home")).values())
    ['wrong']
    """
    folder = Path(folder)
    if not folder.is_dir():
        code = errno.ENOTDIR if folder.exists() else errno.ENOENT
        raise OSError(code, os.strerror(code), str(folder))
    home = find_data_home(data_home)
    known = list_adbench(catalogue=catalogue)
    by_hash = defaultdict(list)
    for file in known:
        by_hash[file.git_blob_sha1].append(file)
    names = {f"{file.name}.npz" for file in known}

    # Listed before the first is copied: the home may lie inside the folder.
    sources = sorted(
        path
        for path in folder.rglob("*")
        if path.suffix.lower() == ".npz" and not path.name.startswith(".") and path.is_file()
    )
    states = {}
    for source in sources:
        files = by_hash[_git_blob_sha1(source)]
        if files:
            copied = [_copy(source, home / file.path, file) for file in files]
            states[source] = "copied" if any(copied) else "there"
        else:
            states[source] = "wrong" if source.name in names else "unknown"
    return states


def _sum_up(refused: dict[str, str], n_files: int) -> str:
    if n_files == 1:
        return next(iter(refused.values()))
    told = [text.rstrip(".") for text in list(refused.values())[:_TOLD]]
    others = list(refused)[_TOLD:]
    more = f"; likewise {', '.join(others)}" if others else ""
    return f"{len(refused)} of {n_files} files were not fetched: {'; '.join(told)}{more}."


# One file ---------------------------------------------------------------------------------------


def _fetch(file: AdbenchFile, path: Path, server: "_Server", show: _Show) -> None:
    if _is_right(path, file):
        return
    show(0, file.n_bytes)
    with _claimed(path, file) as part:
        if part is not None:
            server.download(file, path, part, show)
            _put_in_place(part, path)


def _copy(source: Path, path: Path, file: AdbenchFile) -> bool:
    if _is_right(path, file):
        return False
    with _claimed(path, file) as part:
        if part is None:
            return False
        with (
            source.open("rb") as original,
            _writing(part, path),
            part.open("wb", buffering=0) as out,
        ):
            while chunk := original.read(_CHUNK):
                _write(out, chunk)
        if not _is_right(part, file):
            part.unlink()
            raise OSError(f"{source}: it changed while it was being copied.")
        _put_in_place(part, path)
    return True


@contextlib.contextmanager
def _claimed(path: Path, file: AdbenchFile) -> Iterator[Path | None]:
    """Keep other processes from `path`; yield where to put it together, or None if it is there."""
    path.parent.mkdir(parents=True, exist_ok=True)
    # The system lets go of the lock of a process that was killed. The lock's file stays, since
    # taking it away under a process that waits for it would let two of them in.
    with FileLock(path.with_name(f".{path.name}.lock")):
        # Looked at again: another process may have brought it while this one waited.
        state = _is_right(path, file)
        if state is False:
            path.replace(path.with_name(f"{path.name}.wrong"))
        yield None if state else path.with_name(f".{path.name}.part")


def _put_in_place(part: Path, path: Path) -> None:
    with _writing(part, path):
        # On the disk before it has the name, or a power cut could leave an empty file.
        with part.open("rb+") as content:
            os.fsync(content.fileno())
        part.replace(path)


@contextlib.contextmanager
def _writing(part: Path, path: Path) -> Iterator[None]:
    """Name the file in errors of the disk, and give the space of a full one back."""
    try:
        yield
    except OSError as error:
        reason, name = error.strerror, error.filename or str(path)
        if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
            part.unlink(missing_ok=True)
            reason = f"{reason}; make room, or name another folder (data_home, NNGMIX_DATA)"
            name = str(path)
        raise OSError(error.errno, reason, name) from error


def _write(out: IO[bytes], chunk: bytes) -> None:
    # Unbuffered, so that what has arrived outlives this process; then a write may stop short.
    view = memoryview(chunk)
    while view:
        view = view[out.write(view) :]


def _is_right(path: Path, file: AdbenchFile) -> bool | None:
    """Whether the file has the content that it must have; None if there is no file."""
    try:
        if file.n_bytes not in (None, path.stat().st_size):
            return False
        return _git_blob_sha1(path) == file.git_blob_sha1
    except FileNotFoundError:
        return None


def _git_blob_sha1(path: Path) -> str:
    with path.open("rb") as content:
        size = os.fstat(content.fileno()).st_size
        # Not for security: git's hash is the one that is published.
        digest = hashlib.sha1(b"blob %d\0" % size, usedforsecurity=False)
        while chunk := content.read(_CHUNK):
            digest.update(chunk)
    return digest.hexdigest()


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


# The server -------------------------------------------------------------------------------------


class _RefusedError(OSError):
    """One file can't be had; others may."""


class _ProblemError(Exception):
    """An attempt that failed.

    Parameters
    ----------
    reason : str
        Why, for the message.
    final : bool, default=False
        Whether another attempt is of no use.
    of_file : bool, default=False
        Whether it lies with this file, rather than with the server or the way there.
    after : float, default=0.0
        Seconds that the server asks to wait.
    """

    def __init__(
        self, reason: str, *, final: bool = False, of_file: bool = False, after: float = 0.0
    ) -> None:
        super().__init__(reason)
        self.final = final
        self.of_file = of_file
        self.after = after


class _Server:
    def __init__(self, base_url: str, timeout: float, retries: int, wait: float) -> None:
        self.base_url = base_url
        self.timeout = timeout
        self.retries = retries
        self.wait = wait

    def download(self, file: AdbenchFile, path: Path, part: Path, show: _Show) -> None:
        """Complete `part`, which may hold the beginning of the file, or not exist."""
        url = f"{self.base_url}/{urllib.parse.quote(file.path)}"
        furthest = _size(part)
        failures = 0
        # It may be whole: the process before was killed between the last byte and the new name.
        while not _is_right(part, file):
            start = _size(part)
            try:
                if not start or file.n_bytes is None or start < file.n_bytes:
                    self._receive(url, file, path, part, show)
                if _is_right(part, file):
                    return
                part.unlink(missing_ok=True)
                if start:
                    continue  # The beginning may have been another download's: from nothing, then.
                raise _ProblemError("the server's file is not ADBench's (git hash)", of_file=True)
            except _ProblemError as problem:
                if _size(part) > furthest:
                    furthest, failures = _size(part), 0
                failures += 1
                if problem.final or failures > self.retries:
                    tries = f" ({failures} attempts)" if failures > 1 else ""
                    kind = _RefusedError if problem.of_file else OSError
                    raise kind(f"{file.full_name} from {url}: {problem}{tries}.") from problem
                time.sleep(max(self.wait * 2 ** (failures - 1), problem.after))

    def _receive(self, url: str, file: AdbenchFile, path: Path, part: Path, show: _Show) -> None:
        """Append what is missing to `part`, or start it anew if the server won't have that."""
        start = _size(part)
        with self._open(url, start) as response:
            expected = file.n_bytes
            if response.status == 206:
                sent = re.match(r"bytes (\d+)-", response.headers.get("Content-Range", ""))
                if not sent or int(sent[1]) != start:
                    part.unlink(missing_ok=True)
                    raise _ProblemError("the server sent another part than was asked for")
            else:
                start = 0
            length = response.headers.get("Content-Length", "")
            if length.isdecimal():
                total = start + int(length)
                if expected not in (None, total):
                    part.unlink(missing_ok=True)
                    raise _ProblemError(
                        f"the server's file is of {total:,} bytes, ADBench's of {expected:,}",
                        of_file=True,
                    )
                expected = total
            with _writing(part, path), part.open("ab" if start else "wb", buffering=0) as out:
                show(start, expected)
                while chunk := self._read(response):
                    _write(out, chunk)
                    start += len(chunk)
                    show(start, expected)
                    if start > (_LARGEST if expected is None else expected):
                        break  # Wrong already, and there may be no end to it.
        if expected is not None and start < expected:
            raise _ProblemError(f"the connection was cut after {start:,} of {expected:,} bytes")

    def _open(self, url: str, start: int) -> http.client.HTTPResponse:
        headers = {"User-Agent": f"nngmix/{__version__}"}
        if start:
            headers["Range"] = f"bytes={start}-"
        try:
            request = urllib.request.Request(url, headers=headers)
            response: http.client.HTTPResponse = urllib.request.urlopen(
                request, timeout=self.timeout
            )
        except urllib.error.HTTPError as error:
            with error:
                return self._judge(error, url, start)
        except (OSError, http.client.HTTPException) as error:
            raise self._trouble(error) from error
        return response

    def _judge(
        self, error: urllib.error.HTTPError, url: str, start: int
    ) -> http.client.HTTPResponse:
        if error.code == 416 and start:
            # There is nothing behind what we have, which was found wrong: once more, from nothing.
            return self._open(url, 0)
        reason = f"the server answered {error.code} {error.reason}".rstrip(" .")
        if error.code >= 500 or error.code in _RETRIED:
            raise _ProblemError(reason, after=_retry_after(error.headers)) from error
        raise _ProblemError(reason, final=True, of_file=True) from error

    def _read(self, response: http.client.HTTPResponse) -> bytes:
        try:
            # What has arrived, not all of a chunk: a cut should cost as little as possible.
            return response.read1(_CHUNK)
        except (OSError, http.client.HTTPException) as error:
            raise self._trouble(error) from error

    def _trouble(self, error: Exception) -> _ProblemError:
        cause = getattr(error, "reason", error)
        if isinstance(cause, TimeoutError):
            return _ProblemError(f"the server said nothing for {self.timeout:g} s")
        if isinstance(cause, http.client.IncompleteRead):
            return _ProblemError("the connection was cut")
        text = getattr(cause, "strerror", None) or str(cause) or type(cause).__name__
        # A certificate that is not trusted now won't be in a minute.
        return _ProblemError(text, final=isinstance(cause, ssl.SSLCertVerificationError))


def _retry_after(headers: email.message.Message) -> float:
    # It may also be a date, which is rare: then our own waits do.
    asked = headers.get("Retry-After", "")
    return min(float(asked), _LONGEST_WAIT) if asked.isdecimal() else 0.0


def _find_url(base_url: str | None) -> str:
    url = base_url or os.environ.get("NNGMIX_ADBENCH_URL") or ADBENCH_URL
    parts = urllib.parse.urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.netloc or re.search(r"\s", url):
        raise ValueError(
            "base_url (or NNGMIX_ADBENCH_URL) must be an http or https address such as "
            f"{ADBENCH_URL!r}, not {url!r}."
        )
    return url.rstrip("/")


@contextlib.contextmanager
def _progress(n_files: int, shown: bool) -> Iterator[Callable[[str, int, int | None], None]]:
    if not shown:
        yield lambda label, done, total: None
        return
    from rich import progress
    from rich.console import Console

    columns = (
        progress.TextColumn("{task.description}"),
        progress.BarColumn(),
        progress.DownloadColumn(),
        progress.TransferSpeedColumn(),
        progress.TimeRemainingColumn(),
    )
    with progress.Progress(*columns, console=Console(stderr=True)) as bar:
        task = bar.add_task("", total=None, start=False, visible=False)
        current = ""

        def show(label: str, done: int, total: int | None) -> None:
            nonlocal current
            if label != current:
                bar.reset(task, description=label, visible=True)
                current = label
            bar.update(task, completed=done, total=total)

        yield show
