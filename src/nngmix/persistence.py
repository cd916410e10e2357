"""Models on disk without pickle: a pipeline, a detector or a sampler in one file.

A file is a zip of ``header.json`` (what is in it, and the checksum of every other member),
``model.skops`` (all that skops can hold) and ``parts/`` (trees and networks in the formats of
their own libraries). A class says which of its attributes become parts by ``_formats``.
"""

import errno
import hashlib
import importlib
import io
import json
import math
import os
import tempfile
import warnings
import zipfile
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import narwhals as nw
import numpy as np
import sklearn
from sklearn.base import BaseEstimator
from sklearn.exceptions import InconsistentVersionWarning
from sklearn.tree import BaseDecisionTree
from sklearn.tree._tree import Tree
from sklearn.utils import Bunch

from nngmix import __version__
from nngmix.detectors import DETECTORS, BaggedTrees
from nngmix.detectors.base import BaseDetector
from nngmix.detectors.evidence import NormalScores, Probability
from nngmix.detectors.views import Coordinates, Distance, Isolation, Kernel, Linear, Trees
from nngmix.neighbors import Nearest
from nngmix.replacing import replacing
from nngmix.sampling import SAMPLERS, Chain
from nngmix.sampling.pool import Draw, Needs, Pool, PoolBuilder
from nngmix.sampling.scaling import Scale
from nngmix.sampling.table import Column, Table

FORMAT = "nngmix model"
#: The newest version of the format that this version of nngmix reads, and the one it writes.
FORMAT_VERSION = 1


class ModelFileError(ValueError):
    """A file that is damaged, was not made by nngmix, is too new, or holds what is not trusted."""


# What the libraries call themselves, and the extra that brings them.
_NEEDS = {
    "cbm": (["catboost"], "boost"),
    "ubj": (["xgboost"], "boost"),
    "safetensors": (["torch", "safetensors"], "deep"),
}
_ALWAYS = ("numpy", "scikit-learn", "imbalanced-learn", "skops")

# Types whose values JSON gives back exactly.
_PLAIN = {str, int, float, bool, type(None)}


# What stands in model.skops for things that skops has no room for ------------------------------


@dataclass
class _Part:
    """An attribute that is kept in its library's own format."""

    kind: str
    member: str
    settings: Any


@dataclass
class _Dict:
    """A dict whose keys are not all text: skops would turn False into True."""

    keys: Any
    values: Any


@dataclass
class _Objects:
    """An array of objects: skops loses its shape where it is empty."""

    items: Any
    shape: tuple[int, ...]


@dataclass
class _Frame:
    """A data frame without rows: its kind, and its columns and dtypes as text or Arrow's bytes."""

    kind: str
    content: Any


@dataclass
class _Arrays:
    """A list of flat arrays, end to end: thousands of small ones would take skops seconds."""

    whole: Any
    lengths: Any


@dataclass
class _Forest:
    """A list of decision trees that differ in their nodes and seeds alone, their nodes end to end.

    ``first`` is one of them without nodes; ``nodes`` and ``values`` are as scikit-learn pickles
    them, ``counts`` tells how many each tree has.
    """

    first: Any
    seeds: str
    nodes: Any
    values: Any
    counts: Any
    depths: Any
    n_classes: Any


# Trust ---------------------------------------------------------------------------------------

# Parts of samplers that are walked into, as estimators are.
_PIECES = (Column, Draw, Nearest, Needs, Pool, PoolBuilder, Scale, Table)

# What AutoDetector is made of.
_VIEWS = (Coordinates, Distance, Isolation, Kernel, Linear, NormalScores, Probability, Trees)

# Types beyond those that skops trusts by itself. Each by its name, for a prefix would trust
# whatever else can be reached under it. None of them does anything when it is made but keep what
# it is given.
_TRUSTED = [
    *(
        f"{kind.__module__}.{kind.__qualname__}"
        for kind in (
            *DETECTORS.values(),
            *SAMPLERS.values(),
            Chain,
            *_VIEWS,
            *_PIECES,
            _Part,
            _Dict,
            _Objects,
            _Frame,
            _Arrays,
            _Forest,
        )
    ),
    "nngmix.detectors.outlier_scores.OutlierScores",
    "nngmix.encoding.TableEncoder",
    "imblearn.pipeline.Pipeline",
    "imblearn.over_sampling._random_over_sampler.RandomOverSampler",
    "imblearn.under_sampling._prototype_selection._random_under_sampler.RandomUnderSampler",
    "sklearn.calibration._CalibratedClassifier",
    "sklearn.calibration._SigmoidCalibration",
    "sklearn.compose._column_transformer.make_column_selector",
    "sklearn.metrics._ranking.average_precision_score",
    "sklearn.metrics._ranking.roc_auc_score",
    "sklearn.metrics._scorer._PassthroughScorer",
    "sklearn.metrics._scorer._Scorer",
    "sklearn.model_selection._split.RepeatedStratifiedKFold",
    "sklearn.model_selection._split.StratifiedKFold",
    "sklearn.model_selection._split.StratifiedShuffleSplit",
    "sklearn.neural_network._stochastic_optimizers.AdamOptimizer",
    "sklearn.neural_network._stochastic_optimizers.SGDOptimizer",
    "sklearn.tree._tree.Tree",  # see _check_tree
    "sklearn.utils._bunch.Bunch",
    "numpy.dtype",
    # Names of categories.
    "datetime.date",
    "datetime.datetime",
    "datetime.time",
    "datetime.timedelta",
    "decimal.Decimal",
]


# The public functions ------------------------------------------------------------------------


def save(
    model: Any,
    path: str | os.PathLike[str],
    *,
    metadata: dict[str, Any] | None = None,
    trusted: Collection[str] = (),
) -> None:
    """Write a model to a file, without pickle.

    The file appears only when it is complete and has been read back.

    Parameters
    ----------
    model : estimator
        A pipeline (scikit-learn's or imbalanced-learn's), a detector, a sampler or any other
        scikit-learn estimator, fitted or not. It keeps all that it has learned; a sampler can
        still generate, take in more pieces and be merged.
    path : str or os.PathLike
        The file to write; one that is there is replaced. Any ending.
    metadata : dict or None, default=None
        Whatever should travel with the model, for :func:`read_header`: text, numbers, booleans,
        None, lists and dicts with text as keys.
    trusted : collection of str, default=()
        Full names of types that the model holds and nngmix does not know, such as
        "my_package.MyScaler". They must be named again in :func:`load`. Only types with plain
        attributes can be kept; functions can be named too, and are found again by their name.

    Raises
    ------
    ImportError
        If a library that the model is kept with is not installed.
    OSError
        If the file cannot be written, or its folder is not there.
    TypeError
        If `model` is not an estimator.
    ValueError
        If the model holds something that cannot be kept (a type that is neither known nor in
        `trusted`, a sparse matrix, a sampler fitted on a pandas table whose columns are named by
        dates), or `metadata` something that JSON cannot hold.

    See Also
    --------
    load : Read it again.

    Notes
    -----
    The same model gives the same bytes (as long as no set is among its parameters), with the
    same versions of the libraries.

    Rows are kept as plain numbers: the training rows that a sampler or detector holds on to can
    be read from the file.

    Examples
    --------
    >>> from pathlib import Path
    >>> from tempfile import TemporaryDirectory
    >>> import nngmix
    >>> import numpy as np
    >>> from imblearn.pipeline import make_pipeline
    >>> from nngmix.detectors import MLP
    >>> from sklearn.preprocessing import MinMaxScaler
    >>> X, y = np.random.default_rng(0).random((50, 3)), np.arange(50) < 5
    >>> model = make_pipeline(MinMaxScaler(), nngmix.NNGMix(), MLP(max_iter=5)).fit(X, y)
    >>> with TemporaryDirectory() as folder:
    ...     path = Path(folder, "model.nngmix")
    ...     nngmix.save(model, path, metadata={"columns": ["a", "b", "c"]})
    ...     again = nngmix.load(path)
    >>> np.array_equal(model.decision_function(X), again.decision_function(X))
    True
    """
    if not isinstance(model, BaseEstimator):
        raise TypeError(
            "model must be an estimator, such as a pipeline, a detector or a sampler; got "
            f"{model!r:.60}."
        )
    path = Path(path)
    if path.is_dir():
        raise IsADirectoryError(errno.EISDIR, "a folder; give a file name", str(path))
    if not path.resolve().parent.is_dir():
        raise FileNotFoundError(errno.ENOENT, "there is no such folder", str(path.parent))
    metadata = _check_metadata(metadata)
    names = _check_trusted(trusted)
    data = _to_bytes(model, metadata, names)
    try:
        _from_members(*_open(data, path), path, names)
    except ModelFileError as error:
        # What was just written can't be damaged: the model is of a kind that can't be kept.
        raise ValueError(f"the model cannot be saved: {error.__cause__ or error}") from error
    with replacing(path) as beside:
        beside.write_bytes(data)


def load(path: str | os.PathLike[str], *, trusted: Collection[str] = ()) -> Any:
    """Read a model that :func:`save` wrote.

    No code from the file is run, whoever made it: it holds numbers, text and the names of types,
    and a type is used only if it is on nngmix's list, on that of skops (scikit-learn's
    estimators), or in `trusted`. What was not made by :func:`save` may still be wrong, or made to
    exhaust the memory or to crash the libraries that read trees and networks: load files of
    people you don't know where that does no harm. And fitting is not loading: a pipeline whose
    ``memory`` names a folder takes pickles from it when it is fitted again.

    Parameters
    ----------
    path : str or os.PathLike
        The file.
    trusted : collection of str, default=()
        Full names of further types that the file may use, such as "my_package.MyScaler". Their
        modules are imported and their code is run: name only what you know.

    Returns
    -------
    estimator
        The model as it was saved: same parameters, same fitted attributes, same scores to the
        last bit with the same versions of the libraries.

    Raises
    ------
    ImportError
        If a library that the model needs is not installed; names what to install.
    ModelFileError
        If the file is damaged, was not written by :func:`save` or was written by a newer nngmix,
        or holds types that are not trusted, which it names. It is a ValueError.
    OSError
        If the file cannot be read, or is not there.

    Warns
    -----
    UserWarning
        If another version of scikit-learn (in its first two numbers) wrote the file.

    See Also
    --------
    save : Write it.
    read_header : What a file holds, without loading it.

    Examples
    --------
    >>> from pathlib import Path
    >>> from tempfile import TemporaryDirectory
    >>> import nngmix
    >>> from nngmix.detectors import CatBoost
    >>> with TemporaryDirectory() as folder:
    ...     nngmix.save(CatBoost(depth=4), Path(folder, "model.nngmix"))
    ...     nngmix.load(Path(folder, "model.nngmix"))
    CatBoost(depth=4)
    """
    path = Path(path)
    names = _check_trusted(trusted)
    header, members = _open(path.read_bytes(), path)
    _warn_of_versions(header, path)
    return _from_members(header, members, path, names)


def read_header(path: str | os.PathLike[str]) -> dict[str, Any]:
    """Read what a model file says about itself, without loading the model.

    Parameters
    ----------
    path : str or os.PathLike
        The file.

    Returns
    -------
    dict
        "metadata": what was given to :func:`save`; "nngmix" and "libraries": the versions that
        wrote it; "format", "version": of the file; "sha256": the checksums of its members.

    Raises
    ------
    ModelFileError
        If the file is no model file, is cut short, or was written by a newer nngmix.
    OSError
        If the file cannot be read, or is not there.

    Examples
    --------
    >>> from pathlib import Path
    >>> from tempfile import TemporaryDirectory
    >>> import nngmix
    >>> from nngmix.persistence import read_header
    >>> with TemporaryDirectory() as folder:
    ...     nngmix.save(nngmix.NNGMix(), Path(folder, "model.nngmix"), metadata={"label": "fraud"})
    ...     read_header(Path(folder, "model.nngmix"))["metadata"]
    {'label': 'fraud'}
    """
    path = Path(path)
    with path.open("rb") as file:
        size = path.stat().st_size
        return _read_header(_open_zip(file, size, path), size, path)


def _check_metadata(metadata: dict[str, Any] | None) -> dict[str, Any]:
    if metadata is None:
        return {}
    if not isinstance(metadata, dict):
        raise TypeError(f"metadata must be a dict or None; got a {type(metadata).__name__}.")
    try:
        same = json.loads(json.dumps(metadata, allow_nan=False)) == metadata
    except (TypeError, ValueError, RecursionError) as error:
        raise ValueError(f"metadata must be what JSON can hold: {error}.") from None
    if not same:
        raise ValueError(
            "metadata would not come back from JSON as it is: use lists (no tuples), and text as "
            "keys of dicts."
        )
    return metadata


def _check_trusted(trusted: Collection[str]) -> list[str]:
    if isinstance(trusted, str) or not all(isinstance(name, str) for name in trusted):
        raise TypeError(
            "trusted must be a list of the full names of types, such as ['my_package.MyScaler']; "
            f"got {trusted!r}."
        )
    return list(trusted)


# Writing -------------------------------------------------------------------------------------


def _to_bytes(model: Any, metadata: dict[str, Any], trusted: list[str]) -> bytes:
    # skops takes seconds to import where torch is installed, so nothing above loads it.
    import skops.io

    packer = _Packer()
    try:
        shell = packer.pack(model)
        try:
            dumped = skops.io.dumps(shell)
        except (RecursionError, MemoryError):
            raise
        except Exception as error:  # whatever the model's own objects raise when they are asked
            raise ValueError(f"the model cannot be saved: {error}") from error
    except RecursionError:
        raise ValueError("the model cannot be saved: some part of it holds itself.") from None
    unknown = set(skops.io.get_untrusted_types(data=dumped)) - {*_TRUSTED, *trusted}
    if unknown:
        listed = sorted(unknown)
        raise ValueError(
            f"the model holds what nngmix does not know: {', '.join(listed)}. Leave it out, or "
            f"trust it, here and when loading: trusted={listed}."
        )
    members = {"model.skops": _settle(dumped), **packer.parts}
    header = {
        "format": FORMAT,
        "version": FORMAT_VERSION,
        "nngmix": __version__,
        "libraries": _versions(packer.libraries),
        "metadata": metadata,
        "sha256": {name: hashlib.sha256(data).hexdigest() for name, data in members.items()},
    }
    return _zip({"header.json": json.dumps(header, indent=1).encode(), **members})


def _versions(libraries: Iterable[str]) -> dict[str, str]:
    found = {}
    for name in (*_ALWAYS, *libraries):
        try:
            found[name] = version(name)
        except PackageNotFoundError:  # a build under another name
            found[name] = "unknown"
    return found


def _zip(members: dict[str, bytes]) -> bytes:
    """Put members into a zip whose bytes depend on nothing else.

    They are not compressed: weights hardly shrink, and nothing can unfold to more than the file.
    """
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, data in members.items():
            info = zipfile.ZipInfo(name)  # of 1 January 1980
            info.create_system = 3
            archive.writestr(info, data)
    return buffer.getvalue()


def _settle(dumped: bytes) -> bytes:
    """Replace names that skops takes from memory and chance by numbers: same model, same file."""
    with zipfile.ZipFile(io.BytesIO(dumped)) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    schema = json.loads(members["schema.json"])
    ids: dict[int, int] = {}
    files: dict[str, str] = {}

    def settle(node: Any) -> None:
        if isinstance(node, dict):
            # Only a node of skops's own has text or a number here, not a dict of the model.
            if isinstance(node.get("__id__"), int):
                node["__id__"] = ids.setdefault(node["__id__"], len(ids) + 1)
            name = node.get("file")
            if isinstance(name, str):
                if name.endswith(".npz"):
                    raise ValueError(
                        "the model cannot be saved: it holds a sparse matrix, of type "
                        f"{node['__module__']}.{node['__class__']}."
                    )
                node["file"] = files.setdefault(name, f"{len(files)}{Path(name).suffix}")
        for child in node.values() if isinstance(node, dict) else node:
            if isinstance(child, (dict, list)):
                settle(child)

    settle(schema)
    text = json.dumps(schema, separators=(",", ":")).encode()
    return _zip({"schema.json": text, **{new: members[old] for old, new in files.items()}})


class _Packer:
    """Copies the outer shell of a model, with stand-ins for what skops has no room for."""

    def __init__(self) -> None:
        self.parts: dict[str, bytes] = {}
        self.libraries: dict[str, None] = {}
        self._done: dict[int, Any] = {}

    def pack(self, value: Any) -> Any:
        if type(value) in _PLAIN:
            return value
        # An object that occurs in two places still does so afterwards. The pair keeps it alive, so
        # that its id is not given to another one.
        if id(value) not in self._done:
            self._done[id(value)] = (value, self._pack(value))
        return self._done[id(value)][1]

    def _pack(self, value: Any) -> Any:
        kind = type(value)
        if kind in (dict, Bunch):
            if all(type(key) is str for key in value):
                return kind(**{key: self.pack(item) for key, item in value.items()})
            return _Dict(self._pack_items(list(value)), self._pack_items(list(value.values())))
        if kind is list and len(value) > 1:
            if all(type(item) is np.ndarray and item.ndim == 1 for item in value):
                if len({item.dtype for item in value}) == 1 and value[0].dtype != object:
                    return _Arrays(np.concatenate(value), np.array([len(item) for item in value]))
            elif all(type(item) is type(value[0]) and hasattr(item, "tree_") for item in value):
                forest = self._pack_forest(value)
                if forest is not None:
                    return forest
        if kind in (list, tuple):
            return kind(self.pack(item) for item in value)
        if kind is np.ndarray and value.dtype == object:
            return _Objects(self._pack_items(value.ravel().tolist()), value.shape)
        if not isinstance(value, (BaseEstimator, *_PIECES)):
            return value
        shell = object.__new__(kind)
        self._done[id(value)] = (value, shell)
        state = dict(vars(value))
        if kind is Table and not isinstance(state["native"], np.ndarray):
            state["native"] = self._pack_frame(state["native"])
        if isinstance(value, BaseDetector):
            for name, form in value._formats.items():
                if name in state:
                    state[name] = self._pack_part(form, state[name])
        for name, item in state.items():
            shell.__dict__[name] = self.pack(item)
        return shell

    def _pack_forest(self, trees: list[Any]) -> _Forest | None:
        """Put trees end to end; None if they differ in more than nodes and seeds."""
        own = ("tree_", "random_state")
        shared = {name: item for name, item in vars(trees[0]).items() if name not in own}
        grown = [tree.tree_ for tree in trees]
        for tree in trees:
            rest = {name: item for name, item in vars(tree).items() if name not in own}
            if type(tree.tree_) is not Tree or rest.keys() != shared.keys():
                return None
            if type(tree.random_state) not in _PLAIN:
                return None
            if not all(np.array_equal(rest[name], shared[name]) for name in shared):
                return None
            if not np.array_equal(tree.tree_.n_classes, grown[0].n_classes):
                return None
        states = [tree.__getstate__() for tree in grown]
        first = object.__new__(type(trees[0]))
        vars(first).update(shared)
        return _Forest(
            self.pack(first),
            json.dumps([tree.random_state for tree in trees]),
            np.concatenate([state["nodes"] for state in states]),
            np.concatenate([state["values"] for state in states]),
            np.array([state["node_count"] for state in states]),
            np.array([state["max_depth"] for state in states]),
            grown[0].n_classes,
        )

    def _pack_items(self, items: list[Any]) -> Any:
        # As one text where that is exact: a column may have very many categories.
        if all(type(item) in _PLAIN for item in items):
            return json.dumps(items)
        return [self.pack(item) for item in items]

    def _pack_part(self, kind: str, value: Any) -> _Part:
        _require(kind)
        for name in _NEEDS[kind][0]:
            self.libraries.setdefault(name)
        data, settings = _WRITERS[kind](value)
        member = f"parts/{len(self.parts)}.{kind}"
        self.parts[member] = data
        return _Part(kind, member, self.pack(settings))

    def _pack_frame(self, frame: Any) -> _Frame:
        if nw.dependencies.is_pandas_dataframe(frame):
            self.libraries.setdefault("pandas")
            return _Frame("pandas", _write_pandas(frame))
        if nw.dependencies.is_polars_dataframe(frame):
            self.libraries.setdefault("polars")
            buffer = io.BytesIO()
            frame[:0].write_ipc_stream(buffer)
            return _Frame("polars", buffer.getvalue())
        self.libraries.setdefault("pyarrow")
        return _Frame("pyarrow", frame.schema.serialize().to_pybytes())


# Reading -------------------------------------------------------------------------------------


def _open(data: bytes, path: Path) -> tuple[dict[str, Any], dict[str, bytes]]:
    """Return a file's header and its other members, each as it was when it was written."""
    archive = _open_zip(io.BytesIO(data), len(data), path)
    header = _read_header(archive, len(data), path)
    names = archive.namelist()
    listed = header["sha256"]
    if len(names) != len(set(names)) or {*names} != {"header.json", *listed}:
        raise _damaged(path)
    members = {}
    for name, checksum in listed.items():
        members[name] = _read_member(archive, name, path)
        if hashlib.sha256(members[name]).hexdigest() != checksum:
            raise _damaged(path)
    if "model.skops" not in members:
        raise _damaged(path)
    return header, members


def _open_zip(file: Any, size: int, path: Path) -> zipfile.ZipFile:
    if size == 0:
        raise ModelFileError(f"{str(path)!r} is empty.")
    start = file.read(4)
    file.seek(0)
    if not b"PK\x03\x04".startswith(start):
        raise ModelFileError(f"{str(path)!r} is no model file of nngmix.")
    try:
        archive = zipfile.ZipFile(file)
    except Exception as error:  # zipfile trips over damage in many ways
        raise _damaged(path) from error
    # It also looks for a zip inside a file that is cut short, and there is one.
    if min((member.header_offset for member in archive.infolist()), default=0) != 0:
        raise _damaged(path)
    return archive


def _read_header(archive: zipfile.ZipFile, size: int, path: Path) -> dict[str, Any]:
    names = archive.namelist()
    if "header.json" not in names:
        hint = " It may be one of skops: see skops.io.load." if "schema.json" in names else ""
        raise ModelFileError(
            f"{str(path)!r} is no model file of nngmix: it is a zip file of something else.{hint}"
        )
    try:
        _check_stored(archive, size)
        header = json.loads(_read_member(archive, "header.json", path))
    except ModelFileError:
        raise
    except (zipfile.BadZipFile, ValueError, RecursionError) as error:
        raise _damaged(path) from error
    if not isinstance(header, dict) or header.get("format") != FORMAT:
        raise ModelFileError(
            f"{str(path)!r} is no model file of nngmix: it is a zip file of something else."
        )
    number = header.get("version")
    if type(number) is not int or number < 1:
        raise _damaged(path)
    if number > FORMAT_VERSION:
        raise ModelFileError(
            f"{str(path)!r} was written by nngmix {header.get('nngmix')} in format {number}; this "
            f"version, {__version__}, reads up to {FORMAT_VERSION}: update nngmix."
        )
    kinds = {"nngmix": str, "libraries": dict, "metadata": dict, "sha256": dict}
    if any(type(header.get(name)) is not kind for name, kind in kinds.items()):
        raise _damaged(path)
    return header


def _read_member(archive: zipfile.ZipFile, name: str, path: Path) -> bytes:
    try:
        return archive.read(name)
    except Exception as error:  # as above
        raise _damaged(path) from error


def _check_stored(archive: zipfile.ZipFile, size: int) -> None:
    """Refuse members that would unfold to more than the file."""
    members = archive.infolist()
    if any(member.compress_type != zipfile.ZIP_STORED for member in members):
        raise zipfile.BadZipFile("compressed members")
    if sum(member.file_size for member in members) > size:
        raise zipfile.BadZipFile("members that overlap")


def _damaged(path: Path) -> ModelFileError:
    return ModelFileError(f"{str(path)!r} is damaged or cut short: copy it, or save it, again.")


def _warn_of_versions(header: dict[str, Any], path: Path) -> None:
    theirs, ours = header["libraries"].get("scikit-learn"), sklearn.__version__
    if isinstance(theirs, str) and theirs.split(".")[:2] != ours.split(".")[:2]:
        warnings.warn(
            f"{str(path)!r} was saved with scikit-learn {theirs} and is loaded with {ours}: its "
            "scores may differ. Save it anew with this version, or install that one.",
            UserWarning,
            stacklevel=3,
        )


def _from_members(
    header: dict[str, Any], members: dict[str, bytes], path: Path, trusted: list[str]
) -> Any:
    import skops.io
    from skops.io.exceptions import UntrustedTypesFoundException

    for name in members:
        _require(name.rpartition(".")[2])
    data = members["model.skops"]
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            _check_stored(archive, len(data))
            if any(name.endswith(".npz") for name in archive.namelist()):
                raise zipfile.BadZipFile("compressed arrays")
        with warnings.catch_warnings():
            # One warning for the file is enough, and was given.
            warnings.simplefilter("ignore", InconsistentVersionWarning)
            loaded = skops.io.loads(data, trusted=[*_TRUSTED, *trusted])
        model = _Unpacker(members).unpack(loaded)
        if not isinstance(model, BaseEstimator):
            raise TypeError(f"it holds no estimator but a {type(model).__name__}")
    except UntrustedTypesFoundException:
        unknown = sorted(set(skops.io.get_untrusted_types(data=data)) - {*_TRUSTED, *trusted})
        raise ModelFileError(
            f"{str(path)!r} asks for what nngmix does not trust: {', '.join(unknown)}. If you know "
            f"these types, and where the file comes from, load it with trusted={unknown}."
        ) from None
    except (_MissingError, MemoryError):
        raise
    except Exception as error:
        # The bytes are those that were written, so what is left is other versions, or forgery.
        raise ModelFileError(
            f"{str(path)!r} cannot be made into a model ({type(error).__name__}: {error}). It was "
            f"written with {', '.join(f'{k} {v}' for k, v in header['libraries'].items())}."
        ) from error
    return model


class _Unpacker:
    """Puts back, in a model that skops has made, what stand-ins stand for."""

    def __init__(self, members: dict[str, bytes]) -> None:
        self._members = members
        self._done: dict[int, Any] = {}

    def unpack(self, value: Any) -> Any:
        if type(value) in _PLAIN:
            return value
        if id(value) not in self._done:
            self._done[id(value)] = (value, self._unpack(value))
        return self._done[id(value)][1]

    def _unpack(self, value: Any) -> Any:
        kind = type(value)
        if kind in (dict, Bunch):
            return kind(**{key: self.unpack(item) for key, item in value.items()})
        if kind in (list, tuple):
            return kind(self.unpack(item) for item in value)
        if kind is _Dict:
            keys, values = self._unpack_items(value.keys), self._unpack_items(value.values)
            return dict(zip(keys, values, strict=True))
        if kind is _Objects:
            items = self._unpack_items(value.items)
            if len(items) != math.prod(value.shape):
                raise ValueError("an array's items do not fill its shape")
            array = np.empty(value.shape, dtype=object)
            for place, item in zip(np.ndindex(array.shape), items, strict=True):
                array[place] = item
            return array
        if kind is _Arrays:
            if value.lengths.sum() != len(value.whole):
                raise ValueError("arrays do not fill their lengths")
            return [part.copy() for part in _cut(value.whole, value.lengths)]
        if kind is _Forest:
            return self._unpack_forest(value)
        if kind is _Frame:
            return _read_frame(value)
        if kind is _Part:
            raise TypeError(f"{value.member} belongs to no detector")
        if kind is Tree:
            _check_tree(value)
        elif isinstance(value, (BaseEstimator, *_PIECES)):
            self._unpack_object(value)
        return value

    def _unpack_forest(self, forest: _Forest) -> list[Any]:
        first = self.unpack(forest.first)
        seeds, counts, depths = json.loads(forest.seeds), forest.counts, forest.depths.tolist()
        if not isinstance(first, BaseDecisionTree) or counts.sum() != len(forest.nodes):
            raise ValueError("a forest's trees do not take up its nodes")
        trees = []
        for seed, nodes, values, depth in zip(
            seeds,
            _cut(forest.nodes, counts),
            _cut(forest.values, counts),
            depths,
            strict=True,
        ):
            tree = Tree(int(first.n_features_in_), forest.n_classes, int(first.n_outputs_))
            tree.__setstate__(
                {"max_depth": depth, "node_count": len(nodes), "nodes": nodes, "values": values}
            )
            _check_tree(tree)
            trees.append(object.__new__(type(first)))
            vars(trees[-1]).update(vars(first), random_state=seed, tree_=tree)
        return trees

    def _unpack_object(self, value: Any) -> None:
        self._done[id(value)] = (value, value)
        state = value.__dict__
        parts = {}
        if isinstance(value, BaseDetector):
            parts = {name: state.pop(name) for name in value._formats if name in state}
        for name, item in state.items():
            state[name] = self.unpack(item)
        if parts:
            try:
                value._require()
            except ImportError as error:
                raise _MissingError(str(error)) from error
        # A network is built by what else was fitted, so the parts come last.
        for name, part in parts.items():
            if type(part) is not _Part or part.kind != value._formats[name]:
                raise TypeError(f"{type(value).__name__}.{name} is not what it should be")
            settings = self.unpack(part.settings)
            state[name] = _READERS[part.kind](self._members[part.member], settings, value)
        # A lone tree's width, and that of the trees in XGBOD's outlier scores and in BaggedTrees.
        grown = [(state.get("tree_"), state.get("n_features_in_"))]
        if "trees_" in state:
            width = getattr(state.get("scaler_"), "n_features_in_", None)
            grown = [(tree, width) for tree in state["trees_"]]
        if isinstance(value, BaggedTrees) and "estimators_" in state:
            width = state.get("n_features_in_")
            grown = [(tree.tree_, width) for tree in state["estimators_"]]
        if any(type(tree) is Tree and tree.n_features != width for tree, width in grown):
            raise ValueError("a decision tree asks for columns that do not exist")

    def _unpack_items(self, items: Any) -> list[Any]:
        return json.loads(items) if isinstance(items, str) else [self.unpack(i) for i in items]


def _cut(whole: Any, lengths: Any) -> list[Any]:
    if lengths.min() < 0:
        raise ValueError("a length below zero")
    return np.split(whole, np.cumsum(lengths)[:-1])


def _check_tree(tree: Tree) -> None:
    """Make sure that a tree leads to nodes and columns that exist: scikit-learn doesn't look."""
    good = 0 < tree.node_count <= tree.capacity
    if good:
        node = np.arange(tree.node_count)
        left, right, column = tree.children_left, tree.children_right, tree.feature
        leaf = (left == -1) & (right == -1)
        # Children come after their parents, so no walk goes in circles.
        inner = (
            (node < left)
            & (node < right)
            & (np.maximum(left, right) < tree.node_count)
            & (column >= 0)
            & (column < tree.n_features)
        )
        good = bool((leaf | inner).all())
    if not good:
        raise ValueError("a decision tree leads to nodes or columns that do not exist")


# The formats of parts ------------------------------------------------------------------------


class _MissingError(ImportError):
    """A library that a file needs."""


def _require(kind: str) -> None:
    """Raise ImportError where a library that a kind of part needs is not installed."""
    names, extra = _NEEDS.get(kind, ([], ""))
    for name in names:
        try:
            importlib.import_module(name)
        except ImportError as error:
            raise _MissingError(
                f"this model needs the {name} package: pip install 'nngmix[{extra}]'"
            ) from error


def _write_cbm(model: Any) -> tuple[bytes, Any]:
    # catboost writes to files only.
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "model.cbm")
        model.save_model(str(path), format="cbm")
        return path.read_bytes(), model.get_params()


def _read_cbm(data: bytes, settings: Any, detector: BaseDetector) -> Any:
    from catboost import CatBoostClassifier

    return CatBoostClassifier(**settings).load_model(blob=data)


def _write_ubj(model: Any) -> tuple[bytes, Any]:
    return bytes(model.get_booster().save_raw("ubj")), model.get_params()


def _read_ubj(data: bytes, settings: Any, detector: BaseDetector) -> Any:
    from xgboost import XGBClassifier

    model = XGBClassifier(**settings)
    model.load_model(bytearray(data))
    # Loading fills in what was left to xgboost; set_params would tell the trees about it.
    for name, value in settings.items():
        setattr(model, name, value)
    return model


def _write_safetensors(network: Any) -> tuple[bytes, Any]:
    from safetensors.torch import save

    return save({name: item.contiguous() for name, item in network.state_dict().items()}), None


def _read_safetensors(data: bytes, settings: Any, detector: Any) -> Any:
    import torch
    from safetensors.torch import load

    # Weights that are drawn and then replaced shall not move torch's own stream.
    with torch.random.fork_rng(devices=[]):
        network = detector._build_network()
    network.load_state_dict(load(data))
    return network.eval()


_WRITERS: dict[str, Callable[[Any], tuple[bytes, Any]]] = {
    "cbm": _write_cbm,
    "ubj": _write_ubj,
    "safetensors": _write_safetensors,
}
_READERS: dict[str, Callable[[bytes, Any, BaseDetector], Any]] = {
    "cbm": _read_cbm,
    "ubj": _read_ubj,
    "safetensors": _read_safetensors,
}


# Data frames ---------------------------------------------------------------------------------


def _read_frame(frame: _Frame) -> Any:
    if frame.kind not in ("pandas", "polars", "pyarrow"):
        raise ValueError(f"there are no tables of {frame.kind!r}")
    try:
        importlib.import_module(frame.kind)
    except ImportError as error:
        raise _MissingError(
            f"this model's sampler was fitted on a {frame.kind} table: pip install {frame.kind}"
        ) from error
    if frame.kind == "pandas":
        return _read_pandas(frame.content)
    if frame.kind == "polars":
        import polars as pl

        return pl.read_ipc_stream(frame.content)
    import pyarrow as pa

    return pa.ipc.read_schema(pa.py_buffer(frame.content)).empty_table()


def _write_pandas(frame: Any) -> str:
    """Describe a frame's columns and dtypes as JSON."""
    import pandas as pd

    columns = _write_index(frame.columns)
    dtypes: list[Any] = []
    for dtype in frame.dtypes:
        if isinstance(dtype, pd.CategoricalDtype):
            dtypes.append([_write_index(dtype.categories), bool(dtype.ordered)])
        else:
            dtypes.append(str(dtype))
    try:
        text = json.dumps({"columns": columns, "dtypes": dtypes})
        again = _read_pandas(text)
        bad = [
            f"column {name!r} of dtype {old}"
            for name, old, new in zip(frame.columns, frame.dtypes, again.dtypes, strict=True)
            if not _same_dtype(old, new)
        ]
        same_columns = again.columns.equals(frame.columns)
    except (TypeError, ValueError) as error:
        bad, same_columns = [str(error)], True
    if bad or not same_columns:
        what = bad[0] if bad else f"columns named by a {type(frame.columns).__name__}"
        raise ValueError(
            f"the model cannot be saved: its sampler was fitted on a pandas table with {what}. "
            "Fit it on plain numbers and categories of text or numbers."
        )
    return text


def _same_dtype(old: Any, new: Any) -> bool:
    if hasattr(old, "categories") and hasattr(new, "categories"):
        return old.ordered == new.ordered and old.categories.equals(new.categories)
    return bool(old == new)


def _read_pandas(text: str) -> Any:
    import pandas as pd

    described = json.loads(text)
    columns = _read_index(described["columns"])
    made = {
        place: pd.Series(
            dtype=pd.CategoricalDtype(_read_index(dtype[0]), dtype[1])
            if isinstance(dtype, list)
            else dtype
        )
        for place, dtype in enumerate(described["dtypes"])
    }
    frame = pd.DataFrame(made)
    frame.columns = columns
    return frame


def _write_index(index: Any) -> dict[str, Any]:
    import pandas as pd

    names = list(index.names)
    if isinstance(index, pd.RangeIndex):
        return {"range": [index.start, index.stop, index.step], "names": names}
    if isinstance(index, pd.MultiIndex):
        return {"tuples": [list(label) for label in index], "names": names}
    return {"labels": index.tolist(), "dtype": str(index.dtype), "names": names}


def _read_index(described: dict[str, Any]) -> Any:
    import pandas as pd

    names = described["names"]
    if "range" in described:
        return pd.RangeIndex(*described["range"]).rename(names[0])
    if "tuples" in described:
        return pd.MultiIndex.from_tuples(map(tuple, described["tuples"]), names=names)
    return pd.Index(described["labels"], dtype=described["dtype"], name=names[0])
