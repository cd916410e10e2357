"""What ADBench holds: 57 datasets in 195 files, and the folder that they are kept in."""

import csv
import difflib
import os
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

SUITES = ("Classical", "CV_by_ResNet18", "CV_by_ViT", "NLP_by_BERT", "NLP_by_RoBERTa")
"""ADBench's folders. Where several have a file of one name, the first is meant."""

# The paper's words for the two of which it has a choice (Section IV-A).
_PAPER_SUITES = {"CV": "CV_by_ResNet18", "NLP": "NLP_by_BERT"}

_TABLE = Path(__file__).with_name("adbench.csv")


@dataclass(frozen=True)
class AdbenchFile:
    """One file of ADBench: what it holds and how to know it.

    Attributes
    ----------
    name : str
        The name of the file without ``.npz``: ``"45_wine"``, ``"CIFAR10_0"``.
    suite : str
        Its folder, one of `SUITES`.
    dataset : str
        The dataset that it is a part of (Classical: the whole of): ``"wine"``, ``"CIFAR10"``.
    number : int
        The dataset's number in ADBench, 1 to 57.
    domain : str
        The field that the data come from.
    git_blob_sha1 : str
        Git's hash of the content, in hexadecimal.
    n_bytes, n_rows, n_features, n_anomalies : int or None
        Size of the file and of its table; None where it is not known.

    Examples
    --------
    >>> from nngmix.datasets import list_adbench
    >>> [wine] = list_adbench("45_wine")
    >>> wine.full_name, wine.number, wine.domain
    ('Classical/45_wine', 45, 'chemistry')
    >>> wine.n_rows, wine.n_features, wine.n_anomalies
    (129, 13, 10)
    """

    name: str
    suite: str
    dataset: str
    number: int
    domain: str
    git_blob_sha1: str
    n_bytes: int | None = None
    n_rows: int | None = None
    n_features: int | None = None
    n_anomalies: int | None = None

    @property
    def full_name(self) -> str:
        """The name with the suite in front: ``"Classical/45_wine"``."""
        return f"{self.suite}/{self.name}"

    @property
    def path(self) -> str:
        """Where it lies in ADBench's folder: ``"Classical/45_wine.npz"``."""
        return f"{self.full_name}.npz"


def list_adbench(
    names: str | Iterable[str] = "all", *, catalogue: Sequence[AdbenchFile] | None = None
) -> list[AdbenchFile]:
    """List files of ADBench, whether they are on this machine or not.

    Parameters
    ----------
    names : str or iterable of str, default="all"
        Which. Each is one of these:

        - ``"all"``;
        - a suite: ``"Classical"``, ``"CV_by_ViT"``; ``"CV"`` and ``"NLP"`` are those of the
          paper, CV_by_ResNet18 and NLP_by_BERT;
        - a file: ``"45_wine"``, ``"CV_by_ViT/CIFAR10_0"``;
        - a dataset, with all its files: ``"wine"``, ``"CIFAR10"``, ``"CV_by_ViT/CIFAR10"``.

        A file or dataset without its suite is that of the first of `SUITES` that has it.
    catalogue : sequence of AdbenchFile, default=None
        Choose from these instead of from ADBench's files.

    Returns
    -------
    list of AdbenchFile
        In the order of `names` and, within each, of the catalogue; each file once.

    Raises
    ------
    ValueError
        If there is no such suite, dataset or file.

    Notes
    -----
    Names and hashes are those of ADBench's public repository. Rows, columns and anomalies were
    counted in 43 files and are None for the others. The domains are close to those in ADBench's
    table of datasets, with fewer words for the same.

    Examples
    --------
    >>> from nngmix.datasets import list_adbench
    >>> len(list_adbench()), len({file.dataset for file in list_adbench()})
    (195, 57)
    >>> [file.full_name for file in list_adbench(["wine", "20news_3"])]
    ['Classical/45_wine', 'NLP_by_BERT/20news_3']
    >>> len(list_adbench("CV_by_ViT/MVTec-AD"))
    15
    """
    files = _read(_TABLE) if catalogue is None else catalogue
    groups: dict[str, list[AdbenchFile]] = {"all": list(files)}
    for file in files:
        # Some datasets are a single file of the same name, hence the set.
        for name in dict.fromkeys((file.name, file.dataset)):
            groups.setdefault(f"{file.suite}/{name}", []).append(file)
            group = groups.setdefault(name, [])
            if not group or group[0].suite == file.suite:
                group.append(file)
        groups.setdefault(file.suite, []).append(file)
    for word, suite in _PAPER_SUITES.items():
        if suite in groups:
            groups.setdefault(word, groups[suite])

    found: dict[str, AdbenchFile] = {}
    for name in [names] if isinstance(names, str) else names:
        if name not in groups:
            raise ValueError(_unknown(name, groups))
        found.update((file.path, file) for file in groups[name])
    return list(found.values())


def find_data_home(data_home: str | os.PathLike[str] | None = None) -> Path:
    r"""Find the folder that ADBench's files are kept in.

    Parameters
    ----------
    data_home : str or path, default=None
        The folder, if it is known already.

    Returns
    -------
    pathlib.Path
        `data_home`, or else the environment's ``NNGMIX_DATA``, or else a folder in the user's
        cache: ``~/.cache/nngmix/adbench`` (Linux; ``XDG_CACHE_HOME`` is heeded),
        ``~/Library/Caches/nngmix/adbench`` (macOS), ``%LOCALAPPDATA%\nngmix\adbench``
        (Windows). It may not exist yet.

    Examples
    --------
    >>> from nngmix.datasets import find_data_home
    >>> find_data_home("some/folder").as_posix()
    'some/folder'
    """
    given = data_home or os.environ.get("NNGMIX_DATA")
    if given:
        return Path(given).expanduser()
    if sys.platform == "win32":
        cache = os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local"
    elif sys.platform == "darwin":
        cache = Path.home() / "Library" / "Caches"
    else:
        # The specification has relative ones ignored.
        named = os.environ.get("XDG_CACHE_HOME", "")
        cache = named if os.path.isabs(named) else Path.home() / ".cache"
    return Path(cache) / "nngmix" / "adbench"


def _read(path: Path) -> list[AdbenchFile]:
    with path.open(newline="", encoding="utf-8") as table:
        return [
            AdbenchFile(
                name=row["name"],
                suite=row["suite"],
                dataset=row["dataset"],
                number=int(row["number"]),
                domain=row["domain"],
                git_blob_sha1=row["git_blob_sha1"],
                n_bytes=_count(row["bytes"]),
                n_rows=_count(row["rows"]),
                n_features=_count(row["columns"]),
                n_anomalies=_count(row["anomalies"]),
            )
            for row in csv.DictReader(table)
        ]


def _count(cell: str) -> int | None:
    return int(cell) if cell else None


def _unknown(name: object, known: Iterable[str]) -> str:
    # Compared without case: it may be all that is wrong.
    spellings = {spelling.lower(): spelling for spelling in known}
    close = difflib.get_close_matches(str(name).lower(), spellings, n=3)
    hint = f" Did you mean {' or '.join(repr(spellings[key]) for key in close)}?" if close else ""
    return (
        f"ADBench has no suite, dataset or file {name!r}; they are named like 'Classical', 'wine', "
        f"'45_wine' or 'CV_by_ViT/CIFAR10_0'.{hint}"
    )
