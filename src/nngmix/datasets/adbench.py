"""The tables of ADBench, read from a folder."""

import difflib
import io
import os
import shlex
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.utils import Bunch

from nngmix.datasets.catalogue import SUITES, find_data_home, list_adbench


def load_adbench(name: str, *, data_home: str | os.PathLike[str] | None = None) -> Bunch:
    """Load one table of ADBench from a folder on this machine.

    It downloads nothing: :func:`fetch_adbench` does.

    Parameters
    ----------
    name : str
        The name of the file without ``.npz``, such as ``"45_wine"``, or with its suite in front,
        such as ``"CV_by_ViT/CIFAR10_0"``. A bare name that several suites have is taken from the
        first of them, in the order Classical, CV_by_ResNet18, CV_by_ViT, NLP_by_BERT,
        NLP_by_RoBERTa.
    data_home : str or path, default=None
        The folder that holds the suites' folders. None: where :func:`fetch_adbench` puts them,
        see :func:`find_data_home`.

    Returns
    -------
    Bunch
        With these fields:

        data : ndarray of shape (n_rows, n_features), float64 or float32
            The rows. Floats as in the file, but at least float32; integers become float64.
        target : ndarray of shape (n_rows,), int64
            1 for an anomaly, 0 for a normal row.
        name, suite : str
            The name of the file without ``.npz``, and of its folder.
        DESCR : str
            What it is, with counts.

    Raises
    ------
    FileNotFoundError
        If none of the folders holds the file.
    ValueError
        If the file is damaged, would need unpickling, or holds no table `X` with labels `y`.

    Notes
    -----
    The paper's experiments use Classical, CV_by_ResNet18 and NLP_by_BERT (its Section IV-A). A
    suite's figure is the plain mean over its files.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> import numpy as np
    >>> from nngmix.datasets import load_adbench
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     suite = Path(folder) / "Classical"
    ...     suite.mkdir()
    ...     np.savez(suite / "0_toy.npz", X=np.eye(4), y=np.array([0, 0, 0, 1]))
    ...     toy = load_adbench("0_toy", data_home=folder)
    >>> print(toy.DESCR)
    0_toy of ADBench's Classical suite: 4 rows, 4 features, anomalies: 1.
    """
    path = _find(name, find_data_home(data_home))
    data, target = _read(path)
    suite = path.parent.name
    return Bunch(
        data=data,
        target=target,
        name=path.stem,
        suite=suite,
        DESCR=(
            f"{path.stem} of ADBench's {suite} suite: {data.shape[0]} rows, "
            f"{data.shape[1]} features, anomalies: {int(target.sum())}."
        ),
    )


def _find(name: str, home: Path) -> Path:
    # The name is looked up among the files that are there, never made into a path, so that it
    # cannot lead out of the folder.
    found = {
        f"{suite}/{path.stem}": path
        for suite in SUITES
        for path in sorted((home / suite).glob("*.npz"))
    }
    for full_name, path in found.items():
        if name in (full_name, path.stem):
            return path

    # Compared without case, and with and without the suite, since either may be what is wrong.
    spellings: dict[str, str] = {}
    for full_name, path in found.items():
        spellings.setdefault(path.stem.lower(), path.stem)
        spellings[full_name.lower()] = full_name
    close = [spellings[key] for key in difflib.get_close_matches(str(name).lower(), spellings, n=3)]
    hint = f" Did you mean {' or '.join(map(repr, close))}?" if close else ""
    folders = [suite if (home / suite).is_dir() else f"{suite} (missing)" for suite in SUITES]
    if any(name in (file.full_name, file.name) for file in list_adbench()):
        hint += f" `nngmix datasets fetch {name} --data {shlex.quote(str(home))}` downloads it."
    raise FileNotFoundError(
        f"no file {f'{name}.npz'!r} in the folders of data_home={str(home)!r}: "
        f"{', '.join(folders)}.{hint}"
    )


def _read(path: Path) -> tuple[NDArray[Any], NDArray[np.int64]]:
    # Into memory first: what goes wrong after this line lies in the content, not in the disk.
    file = io.BytesIO(path.read_bytes())
    try:
        content = np.load(file, allow_pickle=False)
        if not isinstance(content, np.lib.npyio.NpzFile):
            raise ValueError("it is a single array")
        arrays = {key: np.asarray(content[key]) for key in content.files if key in ("X", "y")}
    except Exception as error:  # zipfile, zlib and numpy raise ten kinds of error over bad bytes
        raise ValueError(
            f"{str(path)!r} cannot be read as an .npz file of plain arrays ({error}). It is "
            "damaged, or holds pickled objects, which are refused because loading them can run "
            "code: get the file anew."
        ) from error
    if arrays.keys() != {"X", "y"}:
        raise ValueError(
            f"{str(path)!r} must hold the arrays X and y, but it holds {content.files}."
        )
    X, y = arrays["X"], arrays["y"]
    if X.ndim != 2 or y.shape != X.shape[:1] or X.dtype.kind not in "biuf":
        raise ValueError(
            f"{str(path)!r} must hold a 2-D numeric X and one label y for each row, but X is of "
            f"shape {X.shape} and dtype {X.dtype}, and y of shape {y.shape}."
        )
    if y.dtype.kind not in "biuf" or not np.isin(y, (0, 1)).all():
        raise ValueError(f"{str(path)!r} must hold only 0 and 1 in y.")
    if X.dtype == np.float16:
        X = X.astype(np.float32)
    elif X.dtype != np.float32:
        X = X.astype(np.float64, copy=False)
    return X, y.astype(np.int64)
