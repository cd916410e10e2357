"""Fitting and generating with Dask: on the threads of one machine, or a cluster of many."""

from collections.abc import Callable, Sequence
from functools import reduce
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from nngmix.sampling.base import BaseSampler, check_count
from nngmix.sampling.files import Source, TableFiles
from nngmix.sampling.parts import (
    FileReader,
    Survey,
    check_can_merge,
    check_known,
    check_survey,
    choose_columns,
    copy_unfitted,
    fit_copy,
    fit_part,
    name_of,
    read_anomalies,
    survey_part,
)
from nngmix.sampling.streams import seed_of
from nngmix.sampling.table import Table

if TYPE_CHECKING:
    import dask.dataframe as dd

# Cells of the row groups that go to a worker together, and of a partition that is generated.
_CELLS = 1 << 25
# Results that are merged at a time.
_FAN_IN = 8


def fit_dask(
    sampler: BaseSampler,
    table: Any,
    label: str | None,
    *,
    columns: Sequence[str] | None = None,
    exclude: Sequence[str] | None = None,
    anomalies: Any = None,
) -> Any:
    """Fit a sampler where the data are: on the workers of a Dask cluster.

    The workers look through the partitions twice, for the labelled anomalies and the ranges of the
    columns, then for the rows near the anomalies; what they find is merged two and two, or rather
    eight and eight. Only that comes here, never the data.

    Parameters
    ----------
    sampler : sampler
        What to fit; it stays as it is.
    table : dask.dataframe.DataFrame, path, list of paths or TableFiles
        A Dask DataFrame, of any origin; or Parquet files that all workers can open, as in
        :meth:`nngmix.NNGMix.fit_files`: then no more is read than is needed.
    label : str or None
        The column that is 1 (or True) for a labelled anomaly and 0 (or False) elsewhere. None only
        with ``anomalies``: then all rows of the table are unlabelled.
    columns : list of str or None, default=None
        The columns to fit on, in this order. None means all but the label.
    exclude : list of str or None, default=None
        Columns to leave out.
    anomalies : dataframe, path, list of paths, TableFiles or None, default=None
        All labelled anomalies, where they are kept by themselves, in memory here or in files that
        this process can open. Anomalies that the label marks must be among these.

    Returns
    -------
    sampler
        A copy, fitted, to the last bit as on the whole table by ``fit``.

    Raises
    ------
    ImportError
        If Dask is not installed.
    ValueError
        As ``fit``, naming the column.

    See Also
    --------
    sample_dask : Generate there too.
    nngmix.sampling.fit_part : The same for any other engine.

    Notes
    -----
    The work goes to the active scheduler: that of the current ``distributed.Client``, or else the
    threads of this machine. A Dask DataFrame is computed twice; persist it before if that is costly
    and the cluster has room.

    Examples
    --------
    >>> import pandas as pd
    >>> import dask.dataframe as dd
    >>> from nngmix import NNGMix
    >>> from nngmix.sampling.cluster import fit_dask, sample_dask
    >>> frame = pd.DataFrame({"a": range(1000), "b": 0.5, "label": [1] * 5 + [0] * 995})
    >>> fitted = fit_dask(NNGMix(random_state=0), dd.from_pandas(frame, npartitions=4), "label")
    >>> whole = NNGMix(random_state=0).fit(frame[["a", "b"]], frame["label"])
    >>> fitted.sample(100).equals(whole.sample(100))
    True
    >>> rows = sample_dask(fitted, 1_000_000, npartitions=10)
    >>> len(rows)
    1000000
    """
    dask = _import_dask()
    check_can_merge(sampler)
    check_known(label, anomalies)
    method = dask.delayed(copy_unfitted(sampler))
    fit = _fit_frame if hasattr(table, "to_delayed") else _fit_files
    return fit(dask, method, table, label, columns, exclude, anomalies)


def _fit_frame(
    dask: Any,
    method: Any,
    table: Any,
    label: str | None,
    columns: Sequence[str] | None,
    exclude: Sequence[str] | None,
    anomalies: Any,
) -> Any:
    # What is wrong with the columns is told before any work; and no others are read.
    about = survey_part(method.compute(), table._meta, label, columns=columns, exclude=exclude)
    known = None
    if anomalies is not None:
        known = _read_known(method.compute(), anomalies, table._meta[about.features])
    parts = table[[*about.features, *([] if label is None else [label])]].to_delayed()
    survey_one = dask.delayed(survey_part, pure=False)
    surveys = [survey_one(method, part, label, columns=about.features) for part in parts]
    (survey,) = dask.compute(_tree(dask, surveys, _merge_surveys))
    if known is not None:
        survey = survey.know(known)
    check_survey(survey, "the table")
    # Only now: in one graph with the surveys, the workers would keep the partitions meanwhile.
    survey = dask.delayed(survey)
    fit_one = dask.delayed(fit_part, pure=False)
    fitted = [fit_one(method, part, survey) for part in parts]
    return dask.compute(_tree(dask, fitted, _merge_samplers))[0]


def _read_known(sampler: BaseSampler, anomalies: Any, meta: Any) -> Table:
    """Read labelled anomalies as rows of a Dask DataFrame."""
    schema = pa.Schema.from_pandas(meta, preserve_index=False)
    # An empty frame need not know its categories, nor what objects its columns hold.
    open_ones = [
        field.name
        for field in schema
        if pa.types.is_dictionary(field.type) or pa.types.is_null(field.type)
    ]
    rows = read_anomalies(anomalies, schema, any_type=open_ones)
    types = {}
    for name, dtype in meta.dtypes.items():
        types[name] = "category" if str(dtype) == "category" else dtype
        if rows[name].null_count and isinstance(dtype, np.dtype) and dtype.kind in "iub":
            raise ValueError(
                f"anomalies: column {name!r} has {rows[name].null_count} empty cells, for which "
                f"the table's {dtype} has no place."
            )
    return Table(rows.to_pandas().astype(types), sampler.categorical_features)


def _fit_files(
    dask: Any,
    method: Any,
    source: Source | TableFiles,
    label: str | None,
    columns: Sequence[str] | None,
    exclude: Sequence[str] | None,
    anomalies: Any,
) -> Any:
    files = source if isinstance(source, TableFiles) else TableFiles(source)
    if files.kind != "parquet":
        raise ValueError(
            "table: a cluster reads Parquet files, whose parts can be found; for CSV files give a "
            "Dask DataFrame (dask.dataframe.read_csv)."
        )
    features = choose_columns(files, label, columns, exclude)
    reader = FileReader(method.compute(), files, features, label)
    pieces = _pieces(files, len(features) + 1)
    survey_one = dask.delayed(_survey_groups, pure=False)
    gather = anomalies is None
    surveys = [survey_one(method, *piece, features, label, gather) for piece in pieces]
    (survey,) = dask.compute(_tree(dask, surveys, _merge_surveys))
    if not gather:
        survey = reader.know(survey, anomalies)
    check_survey(survey, name_of(files))
    survey = dask.delayed(survey)
    if not reader.searches:
        pieces = pieces[:1]  # nothing is read, so one worker does it
    fit_one = dask.delayed(_fit_groups, pure=False)
    fitted = [fit_one(method, *piece, survey) for piece in pieces]
    return dask.compute(_tree(dask, fitted, _merge_samplers))[0]


def _pieces(files: TableFiles, width: int) -> list[tuple[Path, list[int]]]:
    """Share row groups out: so many of a file that they are worth a worker's while."""
    pieces: list[tuple[Path, list[int]]] = []
    rows = 0
    for path in files.paths:
        numbers: list[int] = []
        for group in files.groups:
            if group.path != path:
                continue
            if numbers and (rows + group.n_rows) * width > _CELLS:
                pieces.append((path, numbers))
                numbers, rows = [], 0
            numbers.append(group.number)
            rows += group.n_rows
        if numbers:
            pieces.append((path, numbers))
        rows = 0
    return pieces or [(files.paths[0], [])]


def _reader(
    sampler: BaseSampler, path: Path, numbers: list[int], features: list[str], label: str | None
) -> FileReader:
    # In a file of its own, a row group's number is its place.
    return FileReader(sampler, TableFiles([path]).of_groups(numbers), features, label)


def _survey_groups(
    sampler: BaseSampler,
    path: Path,
    numbers: list[int],
    features: list[str],
    label: str | None,
    gather: bool,
) -> Survey:
    return _reader(sampler, path, numbers, features, label).look(gather=gather)


def _fit_groups(sampler: BaseSampler, path: Path, numbers: list[int], survey: Survey) -> Any:
    reader = _reader(sampler, path, numbers, survey.features, survey.label)
    return fit_copy(sampler, *reader.fit(survey))


def _tree(dask: Any, parts: list[Any], merge: Callable[[list[Any]], Any]) -> Any:
    """Merge results where they are, some at a time, until one is left."""
    merge_some = dask.delayed(merge, pure=False)
    while len(parts) > 1:
        parts = [merge_some(parts[i : i + _FAN_IN]) for i in range(0, len(parts), _FAN_IN)]
    return parts[0]


def _merge_surveys(surveys: list[Survey]) -> Survey:
    return reduce(Survey.merge, surveys)


def _merge_samplers(samplers: list[Any]) -> Any:
    # Results of tasks are not to be changed: another task may use them, or the same one again.
    first = samplers[0]
    copy = fit_copy(first, first._builders[1], first._template)
    return reduce(BaseSampler.merge, samplers[1:], copy)


def sample_dask(
    sampler: BaseSampler,
    n: int,
    *,
    npartitions: int | None = None,
    random_state: Any = None,
) -> "dd.DataFrame":
    """Generate pseudo-anomalies on the workers of a Dask cluster.

    Parameters
    ----------
    sampler : sampler
        Fitted, anywhere. Only its pool is sent.
    n : int
        How many rows, at least 1.
    npartitions : int or None, default=None
        Into how many partitions; None means some 2**25 cells in each.
    random_state : int, RandomState instance or None, default=None
        None takes the sampler's own. An int gives the same rows every time, whatever the number
        of partitions.

    Returns
    -------
    dask.dataframe.DataFrame
        Rows are generated when it is computed or written: those of
        ``sampler.sample(n, random_state=random_state)``, as pandas rows, numbered from 0.

    Raises
    ------
    ImportError
        If Dask is not installed.
    sklearn.exceptions.NotFittedError
        If the sampler is not fitted.
    ValueError
        If n or npartitions is not a whole number of at least 1.

    Examples
    --------
    See :func:`fit_dask`.
    """
    dask = _import_dask()
    import dask.dataframe as dd

    meta = _frame_of(sampler, sampler.sample(1, random_state=0))[:0]
    n = check_count("n", n)
    if npartitions is None:
        npartitions = -(-n * meta.shape[1] // _CELLS)
    npartitions = min(check_count("npartitions", npartitions), n)
    # Drawn once: where there is no seed, the partitions still belong to one draw.
    seed = seed_of(sampler.random_state if random_state is None else random_state)
    edges = [i * n // npartitions for i in range(npartitions + 1)]
    shared = dask.delayed(sampler)
    generate = dask.delayed(_generate, pure=False)
    parts = [generate(shared, n, start, stop, seed) for start, stop in pairwise(edges)]
    divisions = (*edges[:-1], n - 1)
    return dd.from_delayed(parts, meta=meta, divisions=divisions, verify_meta=False)


def _generate(sampler: BaseSampler, n: int, start: int, stop: int, seed: Any) -> Any:
    rows = sampler.sample(n, start=start, stop=stop, random_state=seed)
    frame = _frame_of(sampler, rows)
    frame.index = frame.index + start
    return frame


def _frame_of(sampler: BaseSampler, rows: Any) -> Any:
    """Turn generated rows into pandas rows, of the same types in every partition."""
    import pandas as pd

    if isinstance(rows, pd.DataFrame):
        return rows
    if not hasattr(rows, "to_pandas"):
        return pd.DataFrame(rows)
    frame = rows.to_pandas()
    for name, column in zip(frame.columns, sampler._template.columns, strict=True):
        if isinstance(frame[name].dtype, pd.CategoricalDtype):
            names = sorted(column.names.values(), key=str)
            frame[name] = frame[name].cat.set_categories(names)
    return frame


def _import_dask() -> Any:
    try:
        import dask
        import dask.dataframe
    except ImportError:
        raise ImportError("this needs Dask: pip install 'nngmix[dask]'") from None
    return dask
