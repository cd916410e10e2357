"""Fitting in parts: look through all of them, search each, merge.

A part's nearest rows can be found once two things are known of the whole: the labelled anomalies
and the ranges of the columns. So there are two rounds, and in each the parts may come in any order,
on any machine, and be merged two and two.
"""

import contextlib
import os
import threading
from collections.abc import Callable, Collection, Generator, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import narwhals.stable.v1 as nw
import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from sklearn.utils.validation import validate_data

from nngmix.neighbors import expect_work, row_keys
from nngmix.sampling.files import Bounds, Part, TableFiles, TypesWidened
from nngmix.sampling.labels import check_labels
from nngmix.sampling.pool import PoolBuilder
from nngmix.sampling.scaling import Scale, find_ranges, scale_of_ranges
from nngmix.sampling.table import Table
from nngmix.shared_context import one_blas_thread

if TYPE_CHECKING:
    from nngmix.sampling.base import BaseSampler

Floats = NDArray[np.floating]

# Bytes of files that make many parts.
_MANY_PARTS = 1 << 28


@dataclass(frozen=True)
class Survey:
    """What must be known of a whole table before its parts can be searched.

    Attributes
    ----------
    label : str or None
        The column that is 1 for a labelled anomaly; None where there is none.
    features : list
        The columns to fit on.
    table : Table
        How to read them; holds no rows.
    anomalies : ndarray of shape (n_anomalies, n_features)
        The labelled anomalies.
    low, high : ndarray of shape (n_features,)
        The columns' ranges.
    n_unlabelled : int
        Unlabelled rows.
    """

    label: str | None
    features: list[Any]
    table: Table
    anomalies: Floats
    low: NDArray[np.float64]
    high: NDArray[np.float64]
    n_unlabelled: int

    def merge(self, other: "Survey") -> "Survey":
        """Put what two parts tell together.

        Parameters
        ----------
        other : Survey
            Of another part of the same table.

        Returns
        -------
        Survey
            Of both.

        Raises
        ------
        ValueError
            If the two have different labels, columns or types that don't go together.
        """
        if self.label != other.label:
            raise ValueError(
                f"surveys of one table must have the same label; got {self.label!r} and "
                f"{other.label!r}."
            )
        # A part without rows has no say in types: empty parts often have arbitrary ones.
        sizes = [part.n_unlabelled + len(part.anomalies) for part in (self, other)]
        if not all(sizes):
            return self if sizes[0] else other
        return replace(
            self,
            table=self.table.join(other.table),
            anomalies=np.concatenate([self.anomalies, other.anomalies]),
            low=np.fmin(self.low, other.low),
            high=np.fmax(self.high, other.high),
            n_unlabelled=self.n_unlabelled + other.n_unlabelled,
        )

    def know(self, known: Table) -> "Survey":
        """Put labelled anomalies that are kept by themselves in the place of those found.

        Parameters
        ----------
        known : Table
            All labelled anomalies: the same columns in the same order.

        Returns
        -------
        Survey
            Of the same rows, with these anomalies.

        Raises
        ------
        ValueError
            If their columns or kind of table don't go together with the survey's.
        """
        return replace(self, anomalies=known.values, table=self.table.join(known))

    def find_scale(self, scaling: Any) -> Scale:
        """Work out a sampler's ``scaling``: see :func:`nngmix.sampling.scaling.find_scale`."""
        return scale_of_ranges(scaling, self.table, self.low, self.high)


def survey_part(
    sampler: "BaseSampler",
    part: Any,
    label: str | None,
    *,
    columns: Sequence[Any] | None = None,
    exclude: Sequence[Any] | None = None,
) -> Survey:
    """Look through a part of a table: the first round of fitting in parts.

    Parameters
    ----------
    sampler : sampler
        What is to be fitted; says which columns hold categories.
    part : dataframe
        Some rows of the table (pandas, polars or pyarrow); it may have none.
    label : str or None
        Its column that is 1 (or True) for a labelled anomaly and 0 (or False) elsewhere. None: all
        rows are unlabelled.
    columns : list of str or None, default=None
        The columns to fit on, in this order. None means all but the label.
    exclude : list of str or None, default=None
        Columns to leave out.

    Returns
    -------
    Survey
        Small: the labelled anomalies, the ranges and types of the columns. Merge those of all
        parts (``survey.merge(other)``), in any order.

    Raises
    ------
    ValueError
        Names the column or setting, what is wrong and what would be right.

    See Also
    --------
    fit_part : The second round.

    Examples
    --------
    >>> from functools import reduce
    >>> import pandas as pd
    >>> from nngmix import NNGMix
    >>> from nngmix.sampling import Survey, fit_part, survey_part
    >>> table = pd.DataFrame({"a": range(1000), "b": 0.5, "label": [1] * 5 + [0] * 995})
    >>> parts = [table[start : start + 100] for start in range(0, 1000, 100)]
    >>> sampler = NNGMix(random_state=0)
    >>> survey = reduce(Survey.merge, [survey_part(sampler, part, "label") for part in parts])
    >>> fitted = reduce(NNGMix.merge, [fit_part(sampler, part, survey) for part in parts])
    >>> whole = sampler.fit(table[["a", "b"]], table["label"])
    >>> fitted.sample(100).equals(whole.sample(100))
    True
    """
    check_can_merge(sampler)
    frame = _frame(part)
    features = _choose(list(frame.columns), label, columns, exclude)
    return _survey(frame, features, label, sampler.categorical_features)


def fit_part(sampler: "BaseSampler", part: Any, survey: Survey) -> Any:
    """Fit a sampler on a part of a table: the second round of fitting in parts.

    Parameters
    ----------
    sampler : sampler
        What to fit; it stays as it is.
    part : dataframe
        Some rows of the table (pandas, polars or pyarrow); it may have none.
    survey : Survey
        Of the whole table: see :func:`survey_part`.

    Returns
    -------
    sampler
        A copy, fitted on this part, that knows all labelled anomalies. Merge those of all parts
        (``fitted.merge(other)``), in any order: the result is the sampler fitted on the whole
        table, to the last bit. It pickles to little more than the rows of its pool.

    Raises
    ------
    ValueError
        If the survey has no labelled anomaly or no unlabelled row, or the part is not of the table
        that was surveyed.
    """
    check_can_merge(sampler)
    builder = begin_pool(sampler, survey)
    frame = _frame(part)
    mine = _survey(frame, survey.features, survey.label, sampler.categorical_features, builder)
    table = survey.table.join(mine.table) if len(frame) else survey.table
    return fit_copy(sampler, builder, table)


def copy_unfitted(sampler: "BaseSampler") -> Any:
    """Make a sampler of the same settings that knows no data."""
    # Not scikit-learn's clone, which would forget what a fitted scaler has learned.
    return type(sampler)(**sampler.get_params(deep=False))


def fit_copy(sampler: "BaseSampler", builder: PoolBuilder, table: Table) -> Any:
    """Make a copy of a sampler that is fitted on what a pool took in."""
    fitted = copy_unfitted(sampler)
    validate_data(fitted, table.native, skip_check_array=True)
    fitted._set_fitted({1: builder}, table)
    fitted._set_added()
    return fitted


def check_can_merge(sampler: "BaseSampler") -> None:
    """Check a sampler's settings, and that it can be fitted in parts."""
    sampler._validate_params()
    if sampler.sampling_strategy is not None:
        raise ValueError("sampling_strategy: fitting in parts takes the multiplier only; set None.")


def check_known(label: str | None, anomalies: Any) -> None:
    """Check that something tells which rows are labelled anomalies."""
    if label is None and anomalies is None:
        raise ValueError(
            "label: name the column that is 1 for a labelled anomaly, or pass the labelled "
            "anomalies (anomalies=...)."
        )


def begin_pool(sampler: "BaseSampler", survey: Survey) -> PoolBuilder:
    """Begin a pool for parts of a table that was surveyed."""
    if len(survey.anomalies) == 0:
        raise ValueError(
            "the survey has no labelled anomaly (class 1): at least one is needed to generate "
            "from. Merge the surveys of all parts before the first is fitted."
        )
    if survey.n_unlabelled == 0:
        raise ValueError(
            "the survey has no unlabelled row (class 0): anomalies are told from them, so at "
            "least one is needed. Merge the surveys of all parts before the first is fitted."
        )
    builder = PoolBuilder(sampler._needs(), survey.find_scale(sampler.scaling))
    return builder.know(survey.anomalies.astype(survey.table.values.dtype, copy=False))


def _frame(part: Any, what: str = "part") -> Any:
    try:
        return nw.from_native(part, eager_only=True)
    except TypeError:
        raise ValueError(
            f"{what} must be a table of pandas, polars or pyarrow; got {type(part).__name__}."
        ) from None


def _choose(
    names: list[Any],
    label: str | None,
    columns: Sequence[Any] | None,
    exclude: Sequence[Any] | None,
) -> list[Any]:
    """Find the columns to fit on."""
    for option, given in (("label", [label]), ("columns", columns), ("exclude", exclude)):
        if isinstance(given, str):
            raise ValueError(f"{option} must be a list of names; got {given!r}.")
        for name in given or []:
            if name not in names and name is not None:
                shown = ", ".join(map(repr, names[:10])) + (", ..." if len(names) > 10 else "")
                raise ValueError(f"{option}: the table has no column {name!r}. It has {shown}.")
    if columns is not None and label in columns:
        raise ValueError(f"columns: {label!r} is the label, which no sampler may learn from.")
    chosen = [name for name in names if name != label] if columns is None else list(columns)
    return [name for name in chosen if name not in (exclude or [])]


def choose_columns(
    files: TableFiles,
    label: str | None,
    columns: Sequence[str] | None,
    exclude: Sequence[str] | None,
) -> list[str]:
    """Find the columns of files to fit on."""
    with _naming(files.paths[0]):
        features = _choose(files.names, label, columns, exclude)
        if columns is None:
            features = [name for name in features if name not in files.index]
        if not features:
            raise ValueError("no column is left to fit on, beside the label and the index.")
    return features


def _survey(
    frame: Any,
    features: list[Any],
    label: str | None,
    categorical: Any,
    builder: PoolBuilder | None = None,
) -> Survey:
    """Survey some rows; where there is a pool already, they go there, and ranges are left out."""
    names = frame.columns
    if missing := [name for name in [*features, label] if name is not None and name not in names]:
        raise ValueError(f"a part has no column {missing[0]!r}, which the survey has.")
    anomaly = _read_label(frame, label)
    table = Table(frame.select(features).to_native(), categorical, allow_empty=True)
    nothing = np.full(len(features), np.nan)
    low, high = find_ranges(table.values) if builder is None else (nothing, nothing)
    if builder is not None and len(anomaly):
        _add(builder, table.values, anomaly)
    anomalies = table.values[anomaly]
    n_unlabelled = len(anomaly) - len(anomalies)
    return Survey(label, features, table.template(), anomalies, low, high, n_unlabelled)


def _add(builder: PoolBuilder, values: Floats, anomaly: NDArray[np.bool_]) -> None:
    assert builder.anomalies is not None
    values = values.astype(builder.anomalies.dtype, copy=False)
    strange = ~np.isin(row_keys(values[anomaly]), row_keys(builder.anomalies))
    if strange.any():
        raise ValueError(
            f"{strange.sum()} labelled anomalies are not among those that were known before: "
            "all must be."
        )
    builder.add(values, anomaly)


def _read_label(frame: Any, label: str | None) -> NDArray[np.bool_]:
    if label is None:
        return np.zeros(len(frame), dtype=bool)
    column = frame[label]
    where = f"label column {label!r}"
    if n_missing := int(column.is_null().sum()):
        raise ValueError(
            f"{where}: {n_missing} of {len(column)} rows are empty; each must be 0 (unlabelled) "
            "or 1 (labelled anomaly)."
        )
    try:
        return check_labels(column.to_numpy(), len(column), both=False) == 1
    except ValueError as error:
        # There it is y: "y must hold only 0 ..."
        message = (
            str(error)
            .removeprefix("y ")
            .replace(" To balance other classes, set sampling_strategy.", "")
        )
        raise ValueError(f"{where} {message}") from None


# Files ---------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Progress:
    """How far fitting on files is.

    Attributes
    ----------
    what : {"survey", "search"}
        The round: looking for labelled anomalies and ranges, then for the rows near them.
    n_rows : int
        Rows that are behind in this round.
    all_rows : int or None
        Rows of the round; None where that is not known, in the first round through CSV files.
    n_bytes, all_bytes : int
        The same in bytes of the files.
    """

    what: str
    n_rows: int
    all_rows: int | None
    n_bytes: int
    all_bytes: int


def fit_pool(
    sampler: "BaseSampler",
    files: TableFiles,
    features: list[str],
    label: str | None,
    anomalies: Any,
    progress: Callable[[Progress], object] | None,
) -> tuple[PoolBuilder, Table]:
    """Fit on files: see :meth:`nngmix.sampling.base.BaseSampler.fit_files`."""
    reader = FileReader(sampler, files, features, label, progress)
    survey = reader.survey(anomalies)
    check_survey(survey, name_of(files))
    return reader.fit(survey)


def name_of(files: TableFiles) -> str:
    """Name files in a message about all of them."""
    return f"{str(files.paths[0])!r}" + (" and the others" if len(files.paths) > 1 else "")


def check_survey(survey: Survey, what: str) -> None:
    """Make sure that a table holds rows of both kinds."""
    if len(survey.anomalies) and survey.n_unlabelled:
        return
    missing = "labelled anomaly (class 1)" if survey.n_unlabelled else "unlabelled row (class 0)"
    raise ValueError(f"{what}: there is no {missing}: at least one is needed.")


class FileReader:
    """The two rounds through the files of a table, reading no more than is needed."""

    def __init__(
        self,
        sampler: "BaseSampler",
        files: TableFiles,
        features: list[str],
        label: str | None,
        progress: Callable[[Progress], object] | None = None,
    ) -> None:
        self.sampler = sampler
        self.files, self.features, self.label, self.progress = files, features, label, progress
        self.categorical = sampler.categorical_features
        self.ranges = isinstance(sampler.scaling, str)
        needs = sampler._needs()
        self.searches = bool(needs.neighbors or needs.drawn)

    # The first round -------------------------------------------------------------------------

    def survey(self, anomalies: Any = None) -> Survey:
        """Find the labelled anomalies, unless they are given, and the ranges."""
        found = self.look(gather=anomalies is None)
        return found if anomalies is None else self.know(found, anomalies)

    def look(self, *, gather: bool = True) -> Survey:
        """Find the ranges, and gather the labelled anomalies, unless they will be given."""
        # Of CSV files, no pass but a whole one settles the types.
        return self._survey_all() if self.files.kind == "csv" else self._survey_parquet(gather)

    def know(self, survey: Survey, anomalies: Any) -> Survey:
        """Put labelled anomalies that are kept by themselves into a survey."""
        schema = pa.schema([self.files.schema.field(name) for name in self.features])
        rows = read_anomalies(anomalies, schema, delimiter=self.files.delimiter)
        return survey.know(Table(rows, self.categorical))

    def _survey_all(self) -> Survey:
        while True:
            surveys = [self._no_rows()]
            try:
                for part in self._walk("survey", [*self.features, *self._labels]):
                    with _naming(part.path):
                        values, anomaly, table = self._read(part)
                        low, high = find_ranges(values)
                        surveys.append(
                            Survey(
                                self.label,
                                self.features,
                                table,
                                values[anomaly],
                                low,
                                high,
                                len(anomaly) - int(np.count_nonzero(anomaly)),
                            )
                        )
                        del values
            except TypesWidened:
                continue
            return merge_all(surveys)

    def _survey_parquet(self, gather: bool) -> Survey:
        survey = self._no_rows()
        unsettled = self._use_statistics(survey)
        if gather and unsettled == self.features:
            return self._survey_all()
        anomalous: list[int] = []
        n_anomalies = 0
        groups = self._groups_to_look_at(gather, bool(unsettled))
        places = [self.features.index(name) for name in unsettled]
        columns = [*unsettled, *self._labels]
        for part in self._walk("survey", columns, groups) if columns and groups else ():
            with _naming(part.path):
                frame = _frame(part.take())
                anomaly = _read_label(frame, self.label)
                n_anomalies += int(np.count_nonzero(anomaly))
                anomalous += self._with_anomalies(part, anomaly)
                if unsettled:
                    table = Table(frame.select(unsettled).to_native(), [], first_row=part.first_row)
                    low, high = find_ranges(table.values)
                    survey.low[places] = np.fmin(survey.low[places], low)
                    survey.high[places] = np.fmax(survey.high[places], high)
                    for place, column in zip(places, table.columns, strict=True):
                        survey.table.columns[place] = survey.table.columns[place].join(column)
                    del table
        assert self.files.n_rows is not None
        survey = replace(survey, n_unlabelled=self.files.n_rows - n_anomalies)
        if not (gather and anomalous):
            return survey
        pieces, table = [survey.anomalies], survey.table
        for part in self._walk("survey", [*self.features, *self._labels], anomalous):
            with _naming(part.path):
                frame = _frame(part.take())
                rows = frame.filter(_read_label(frame, self.label).tolist()).select(self.features)
                del frame
                mine = Table(rows.to_native(), self.categorical, allow_empty=True)
                pieces.append(mine.values)
                table = table.join(mine)
        return replace(survey, anomalies=np.concatenate(pieces), table=table)

    @property
    def _labels(self) -> list[str]:
        return [] if self.label is None else [self.label]

    def _no_rows(self) -> Survey:
        """Begin with the columns, as the files describe them."""
        with _naming(self.files.paths[0]):
            rows = self.files.schema.empty_table().select(self.features)
            table = Table(rows, self.categorical, allow_empty=True)
        low, high = np.full((2, len(self.features)), np.nan)
        return Survey(self.label, self.features, table, table.values, low, high, 0)

    def _use_statistics(self, survey: Survey) -> list[str]:
        """Fill in ranges that the files tell, and find the columns that must be read for more."""
        unsettled = []
        for i, (name, column) in enumerate(zip(self.features, survey.table.columns, strict=True)):
            if column.kind == "category":
                continue
            bounds = self.files.statistics(name)
            known = [b for b in bounds if b is not None]
            numbers = [float(x) for b in known for x in (b.low, b.high) if x is not None]
            if self.ranges and len(known) < len(bounds):
                unsettled.append(name)
                continue
            # Whether a column of floats is rounded is seen when it is searched, if it is.
            if column.kind == "float" and not self.searches:
                if all(number.is_integer() for number in numbers):
                    unsettled.append(name)
                    continue
                column.whole_with_gaps = (False, False)
            survey.low[i] = min(numbers, default=np.nan)
            survey.high[i] = max(numbers, default=np.nan)
        return unsettled

    def _groups_to_look_at(self, gather: bool, all_of_them: bool) -> list[int]:
        groups = range(len(self.files.groups))
        if all_of_them:
            return list(groups)
        # Labels are needed to find anomalies, and to count where no later round does.
        if self.label is None or not (gather or not self.searches):
            return []
        bounds = self.files.statistics(self.label)
        return [i for i in groups if bounds[i] != Bounds(0, 0, 0)]

    def _with_anomalies(self, part: Part, anomaly: NDArray[np.bool_]) -> list[int]:
        found = []
        for i in part.groups:
            group = self.files.groups[i]
            first = group.first_row - part.first_row
            # A part may also be a piece of a group.
            if anomaly[max(first, 0) : max(first + group.n_rows, 0)].any():
                found.append(i)
        return found

    # The second round ------------------------------------------------------------------------

    def fit(self, survey: Survey) -> tuple[PoolBuilder, Table]:
        """Search the files for what a survey, of these and perhaps of more files, asks for."""
        with _naming(self.files.paths[0]):
            builder = begin_pool(self.sampler, survey)
        if not self.searches:
            builder.n_unlabelled = survey.n_unlabelled
            return builder, survey.table
        needs = builder.needs
        if needs.neighbors and not builder.scale.categorical.any():
            expect_work(len(survey.anomalies) * survey.n_unlabelled * len(self.features))
        # A part a thread, from the file to its neighbours, beats all threads on one part: none
        # waits for another. Other engines and devices have threads of their own, and where there
        # are few parts each is shared.
        here = needs.engine is None and needs.device is None
        n_threads = needs.n_jobs if here and self.files.n_bytes >= _MANY_PARTS else 1
        parts = self._walk("search", [*self.features, *self._labels])
        if n_threads == 1:
            return self._search(parts, builder, survey.table)
        turn, stop = threading.Lock(), threading.Event()

        def in_turns() -> Iterator[Part]:
            while not stop.is_set():
                with turn:
                    part = next(parts, None)
                if part is None:
                    return
                yield part

        def work(_: int) -> tuple[PoolBuilder, Table]:
            mine = begin_pool(self.sampler, survey)
            mine.needs = replace(needs, n_jobs=1)
            try:
                with one_blas_thread:
                    return self._search(in_turns(), mine, survey.table)
            except BaseException:
                stop.set()
                raise

        with contextlib.closing(parts), ThreadPoolExecutor(n_threads) as pool:
            try:
                found = list(pool.map(work, range(n_threads)))
            finally:
                stop.set()
        table = survey.table
        for searched, read in found:
            builder, table = builder.join(searched), table.join(read)
        return builder, table

    def _search(
        self, parts: Iterable[Part], builder: PoolBuilder, table: Table
    ) -> tuple[PoolBuilder, Table]:
        for part in parts:
            with _naming(part.path):
                values, anomaly, mine = self._read(part)
                table = table.join(mine)
                _add(builder, values, anomaly)
                del values
        return builder, table

    # Both ------------------------------------------------------------------------------------

    def _read(self, part: Part) -> tuple[Floats, NDArray[np.bool_], Table]:
        """Turn a part into numbers, and let go of it."""
        frame = _frame(part.take())
        anomaly = _read_label(frame, self.label)
        rows = frame.select(self.features).to_native()
        del frame
        table = Table(rows, self.categorical, first_row=part.first_row, order="F")
        return table.values, anomaly, table.template()

    def _walk(
        self, what: str, columns: list[str], groups: Collection[int] | None = None
    ) -> Generator[Part, None, None]:
        chosen = self.files.groups if groups is None else [self.files.groups[i] for i in groups]
        all_rows = None if self.files.n_rows is None else sum(group.n_rows for group in chosen)
        all_bytes = sum(group.n_bytes for group in chosen)

        def done(n_rows: int, n_bytes: int) -> None:
            if self.progress is not None:
                self.progress(Progress(what, n_rows, all_rows, n_bytes, all_bytes))

        with contextlib.closing(self.files.walk(columns, groups=groups, done=done)) as parts:
            yield from parts


def merge_all(surveys: Sequence[Survey]) -> Survey:
    """Merge surveys, two and two, so that no rows are copied often."""
    while len(surveys) > 1:
        pairs = [surveys[i : i + 2] for i in range(0, len(surveys), 2)]
        surveys = [pair[0].merge(pair[1]) if len(pair) == 2 else pair[0] for pair in pairs]
    return surveys[0]


def read_anomalies(
    anomalies: Any, schema: Any, *, delimiter: str = ",", any_type: Collection[str] = ()
) -> Any:
    """Read labelled anomalies from a table or files of their own, as the types of another table.

    Columns of ``any_type`` keep the type that they have.
    """
    features = schema.names
    if isinstance(anomalies, TableFiles) or _is_source(anomalies):
        files = anomalies
        if not isinstance(files, TableFiles):
            files = TableFiles(anomalies, delimiter=delimiter)
        table = pa.concat_tables(
            [*files.parts(features), files.schema.empty_table().select(features)]
        )
    else:
        frame = _frame(anomalies, "anomalies")
        for name in features:
            if name not in frame.columns:
                raise ValueError(f"anomalies: the table has no column {name!r}.")
        table = frame.select(features).to_arrow()
    if table.num_rows == 0:
        raise ValueError("anomalies: the table has no rows; at least one is needed.")
    columns = []
    for field in schema:
        column = table[field.name]
        try:
            columns.append(column if field.name in any_type else column.cast(field.type))
        except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
            raise ValueError(
                f"anomalies: column {field.name!r} is {column.type} and does not fit the "
                f"table's {field.type}: {error}"
            ) from None
    return pa.table(columns, names=features)


def _is_source(given: Any) -> bool:
    if isinstance(given, (list, tuple)):
        return all(isinstance(item, (str, os.PathLike)) for item in given)
    return isinstance(given, (str, os.PathLike))


@contextlib.contextmanager
def _naming(path: Path) -> Iterator[None]:
    """Let what is said of X or the labels name the file."""
    try:
        yield
    except ValueError as error:
        raise ValueError(f"{str(path)!r}: {str(error).replace(' of X ', ' ')}") from None
