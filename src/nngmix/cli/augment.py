"""``nngmix augment``: a table with labelled anomalies in, pseudo-anomalies added to it out."""

import contextlib
import dataclasses
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from nngmix.cli import options
from nngmix.cli.errors import UsageError, one_line_errors

if TYPE_CHECKING:
    import pyarrow as pa

    from nngmix.sampling.files import TableFiles

# Cells generated, and written, at a time: 32 MB in double precision.
_PIECE_CELLS = 1 << 22
# Rows of a kind that a picture is made from, at most: more could not be told apart.
_DRAWN = 20_000


@one_line_errors
def augment(
    input: options.Input,
    label: Annotated[
        str, typer.Option(help="Column that is 1 for a labelled anomaly and 0 elsewhere.")
    ],
    output: Annotated[Path, typer.Option(help="File to write, CSV or Parquet by its ending.")],
    sampler: Annotated[
        str,
        typer.Option(
            help="NNGMix, Mixup, Cutout, CutMix, GaussianNoise, NPOS, RoSAS, the control "
            "Duplicate, or several in turn: Cutout+GaussianNoise."
        ),
    ] = "NNGMix",
    multiplier: Annotated[
        int, typer.Option(help="Pseudo-anomalies for each labelled anomaly.")
    ] = 10,
    n_neighbors: Annotated[
        int | None, typer.Option(help="Neighbours to mix with (k). Default: the sampler's, 10.")
    ] = None,
    sigma: Annotated[
        float | None,
        typer.Option(help="Noise, as a share of a column's range. Default: the sampler's, 0.01."),
    ] = None,
    alpha: Annotated[
        str | None,
        typer.Option(
            help="Beta parameter of the mixing weight, or 'uniform'. Default: the sampler's, 0.2."
        ),
    ] = None,
    set: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME=VALUE",
            help="Any setting of the sampler, such as sigma=0.1 or partner=all; of one among "
            "several, GaussianNoise.sigma=0.1. May be repeated.",
        ),
    ] = None,
    categorical: Annotated[
        list[str] | None,
        typer.Option(
            help="Column that holds categories, or 'infer' for all columns of text. May be "
            "repeated. Parquet's dictionary columns are categories unless columns are named here."
        ),
    ] = None,
    exclude: Annotated[
        list[str] | None,
        typer.Option(
            help="Column to leave out (an identifier, a date); empty in new rows. May be repeated."
        ),
    ] = None,
    random_state: Annotated[int, typer.Option(help="Seed: the same seed, the same rows.")] = 0,
    only_new: Annotated[
        bool, typer.Option("--only-new", help="Write the new rows without the original ones.")
    ] = False,
    plot: Annotated[
        Path | None, typer.Option(help="Also draw the rows before and after (png, svg, pdf).")
    ] = None,
    delimiter: Annotated[
        str, typer.Option(help=r"Between the cells of CSV files; \t is a tab.")
    ] = ",",
    force: Annotated[bool, typer.Option("--force", help="Replace existing output.")] = False,
) -> None:
    """Add pseudo-anomalies to a table: they follow its own rows, labelled 1.

    Column names, order and types stay; a CSV file's own rows stay to the byte. Tables may be
    larger than memory: they are read, and rows are generated and written, piece by piece.

    All columns but the label must be numeric, or categories named by --categorical;
    leave others out with --exclude. Empty cells are allowed.
    A pandas index, or a CSV file's first column where it has no name, is left out
    by itself; where it counts rows, it counts on.
    """
    from nngmix.cli import files

    delimiter = files.check_delimiter(delimiter)
    files.check_output(output, files.TABLES, "--output", force)
    if plot is not None:
        files.check_output(plot, files.PICTURES, "--plot", force)
        options.need_matplotlib()
    source = files.open_first(input, delimiter)
    files.check_crossing(source, output)
    roles = options.find_roles(source, label, exclude)
    given = {
        "multiplier": multiplier,
        "n_neighbors": n_neighbors,
        "sigma": sigma,
        "alpha": options.number_or_word(alpha),
        "random_state": random_state,
        "categorical_features": options.find_categories(categorical, roles.features, source),
    }
    method = options.build_sampler(sampler, given, set or [])
    table = files.open_tables(input, delimiter)
    for path in table.paths if len(table.paths) > 1 else []:
        files.check_not_input(output, "--output", path)
    with _Progress() as progress:
        _fit(method, table, roles, progress)
        job = _plan(method, table, roles, output, only_new)
        with contextlib.ExitStack() as both:
            # The picture takes its place after the table: neither is there without the other.
            if plot is not None:
                beside = both.enter_context(files.replacing(plot))
                _draw(job).savefig(beside)
            files.write_rows(
                table,
                job.n_old,
                job.schema,
                _generate(job),
                output,
                only_new=only_new,
                done=progress.writing(job.n_new + (0 if only_new else job.n_old)),
            )
    _summary(job, input, output, only_new, plot)


@dataclasses.dataclass(frozen=True)
class _Job:
    """What is to be written: the table, the fitted sampler, and how new rows are completed.

    Attributes
    ----------
    table : TableFiles
        The table that came in.
    roles : Roles
        Its columns.
    sampler : sampler
        Fitted on it.
    n_old, n_anomalies, n_new : int
        Rows, labelled anomalies, and rows to generate.
    schema : pyarrow.Schema
        Columns and types of the output.
    cell : pyarrow.ChunkedArray
        The label of a labelled anomaly.
    first : int or None
        Where an index of whole numbers counts on; None where there is none.
    categories : dict of str to pyarrow.Array
        Those of the columns that are left empty, which are part of their type.
    """

    table: "TableFiles"
    roles: options.Roles
    sampler: Any
    n_old: int
    n_anomalies: int
    n_new: int
    schema: "pa.Schema"
    cell: Any
    first: int | None
    categories: dict[str, Any]


def _fit(sampler: Any, table: "TableFiles", roles: options.Roles, progress: "_Progress") -> None:
    from nngmix.cli import files

    path, categorical = table.paths[0], sampler.categorical_features
    names = [*roles.features, roles.label]

    def check_first_rows() -> "pa.Schema":
        rows = files.peek(table, names)
        if rows is None:
            raise UsageError(f"{str(path)!r} has no rows.")
        # A column of a CSV file may be empty in these and not in others.
        known = [name for name in roles.features if rows.schema.field(name).type != "null"]
        options.check_columns(rows.select(known), categorical, path)
        return rows.schema

    seen = check_first_rows()
    try:
        sampler.fit_files(table, roles.label, columns=roles.features, progress=progress.reading)
    except ValueError as error:
        if seen.types != [table.schema.field(name).type for name in names]:
            check_first_rows()  # text among the numbers of a CSV file turned up meanwhile
        message = str(error)
        if "(class " in message:  # there is none of one kind
            message = f"label column {roles.label!r} of {message}"
        is_feature = "column '" in message and "label column" not in message
        hint = " (--exclude leaves a column out.)" if is_feature else ""
        raise UsageError(f"{message}{hint}") from None
    empty = table.schema.empty_table().select(roles.features)
    options.check_columns(empty, categorical, path)


def _plan(
    sampler: Any, table: "TableFiles", roles: options.Roles, output: Path, only_new: bool
) -> _Job:
    import pyarrow as pa

    from nngmix.cli import files

    if table.kind == "csv" and files.TABLES[output.suffix.lower()] == "parquet":
        table.settle_types()
    pool = sampler.pool_
    n_anomalies = len(pool.anomalies)
    n_old, n_new = n_anomalies + pool.n_unlabelled, int(sampler.multiplier) * n_anomalies
    if n_old + n_new >= 2**63:
        raise UsageError(
            f"--multiplier {sampler.multiplier}: {n_new:,} new rows do not fit in any memory."
        )
    first, categories, fields = None, {}, []
    for field in table.schema:
        blank = field.name in roles.features and pool.gaps
        if roles.index == [field.name]:
            first = _count_on(table, field, n_new)
            blank = first is None
        elif field.name in [*roles.left_out, *roles.index]:
            blank = True
            if pa.types.is_dictionary(field.type):
                categories[field.name] = _categories(table, field)
        fields.append(field.with_nullable(field.nullable or blank))
    schema = files.grow_range(
        pa.schema(fields, metadata=table.schema.metadata), n_old, n_new, only_new
    )
    cell = _label_cell(table, table.schema.field(roles.label))
    return _Job(table, roles, sampler, n_old, n_anomalies, n_new, schema, cell, first, categories)


def _label_cell(table: "TableFiles", field: "pa.Field") -> Any:
    """Make a labelled anomaly's label, in the column's type."""
    import numpy as np
    import pyarrow as pa

    if not pa.types.is_dictionary(field.type):
        return pa.chunked_array([pa.array([1]).cast(field.type)])
    # One of its own cells brings the categories.
    with contextlib.closing(table.parts([field.name])) as parts:
        for part in parts:
            found = np.flatnonzero(part[field.name].to_numpy() == 1)
            if len(found):
                return part[field.name].slice(int(found[0]), 1)
    raise AssertionError("no labelled anomaly")


def _count_on(table: "TableFiles", field: "pa.Field", n: int) -> int | None:
    """Find where an index of whole numbers counts on; None for any other."""
    import pyarrow as pa
    import pyarrow.compute as pc

    # The type of a CSV file's index is known when all of it is read.
    if table.kind == "csv":
        table.settle_types([field.name])
    kind = table.schema.field(field.name).type
    if not pa.types.is_integer(kind):
        return None
    bounds = table.statistics(field.name)
    if all(bounds):
        tops = [bound.high for bound in bounds if bound is not None]
    else:
        tops = [pc.max(part[field.name]).as_py() for part in table.parts([field.name])]
    last = max((top for top in tops if top is not None), default=None)
    if last is None:
        return None
    # A type that holds no larger number stops the count.
    with contextlib.suppress(pa.ArrowInvalid, OverflowError):
        pa.array([last + n], kind)
        return int(last) + 1
    return None


def _categories(table: "TableFiles", field: "pa.Field") -> Any:
    """Gather the categories of a column, in the order in which they come."""
    import pyarrow as pa

    names: dict[Any, None] = {}
    for part in table.parts([field.name]):
        for chunk in part[field.name].chunks:
            names.update(dict.fromkeys(chunk.dictionary.to_pylist()))
    return pa.array(list(names), field.type.value_type)


def _generate(job: _Job) -> Iterator["pa.Table"]:
    """Generate the new rows, with all columns, piece by piece."""
    rows = max(1, _PIECE_CELLS // len(job.schema))
    for start in range(0, job.n_new, rows):
        stop = min(start + rows, job.n_new)
        yield _complete(job, job.sampler.sample(job.n_new, start=start, stop=stop), start)


def _complete(job: _Job, generated: "pa.Table", start: int) -> "pa.Table":
    """Give generated rows all of the table's columns: the label, row numbers, and blanks."""
    import numpy as np
    import pyarrow as pa

    n = len(generated)
    columns = []
    for field in job.schema:
        if field.name == job.roles.label:
            column = job.cell.take(pa.array(np.zeros(n, dtype=np.int64)))
        elif field.name in job.roles.features:
            column = generated[field.name]
        elif job.roles.index == [field.name] and job.first is not None:
            first = job.first + start
            column = pa.array(range(first, first + n), field.type)
        elif field.name in job.categories:
            indices = pa.nulls(n, field.type.index_type)
            names = job.categories[field.name]
            column = pa.DictionaryArray.from_arrays(indices, names, ordered=field.type.ordered)
        else:
            column = pa.nulls(n, field.type)
        columns.append(column)
    return pa.table(columns, schema=job.schema)


def _draw(job: _Job) -> Any:
    from nngmix.plotting import plot_pseudo_anomalies

    X, y = _some_rows(job)
    generated = job.sampler.sample(job.n_new, stop=min(job.n_new, _DRAWN))
    old, new = _coordinates(X, generated, job.sampler.categorical_features)
    name = options.name_of(job.sampler)
    return plot_pseudo_anomalies(old[y == 0], old[y == 1], new, name=name)


def _some_rows(job: _Job) -> tuple["pa.Table", Any]:
    """Read the table where it is small, else an even draw of its rows of both kinds."""
    import numpy as np
    import pyarrow as pa

    from nngmix.sampling.labels import check_labels

    rng = np.random.default_rng(0)
    n_unlabelled = job.n_old - job.n_anomalies
    share = np.minimum(1, _DRAWN / np.array([n_unlabelled, job.n_anomalies]))
    rows, labels = [], []
    for part in job.table.parts([*job.roles.features, job.roles.label]):
        y = check_labels(part[job.roles.label].to_numpy(), len(part), both=False)
        kept = np.flatnonzero(rng.random(len(part)) < share[y])
        rows.append(part.select(job.roles.features).take(pa.array(kept)))
        labels.append(y[kept])
    return pa.concat_tables(rows).unify_dictionaries(), np.concatenate(labels)


def _coordinates(X: "pa.Table", generated: "pa.Table", categorical: Any) -> tuple[Any, Any]:
    """Make numbers for a map: a column a category, and the median where a cell is empty."""
    import numpy as np

    from nngmix.sampling.table import Table

    old = Table(X, categorical)
    values = np.concatenate([old.values, Table(generated, categorical).values])
    columns = []
    for column, is_category in zip(values.T, old.categorical, strict=True):
        present = column[~np.isnan(column)]
        if is_category:
            # The commonest will do: the rest could not be told apart in a picture.
            names, times = np.unique(present, return_counts=True)
            columns += [column == name for name in names[np.argsort(-times)][:20]]
        elif len(present):
            columns.append(np.where(np.isnan(column), np.median(present), column))
    whole = np.column_stack(columns).astype(np.float64)
    return whole[: len(old.values)], whole[len(old.values) :]


def _summary(
    job: _Job, inputs: list[Path], output: Path, only_new: bool, plot: Path | None
) -> None:
    features, left_out, index = job.roles.features, job.roles.left_out, job.roles.index
    shown = ", ".join(features[:8]) + (", ..." if len(features) > 8 else "")
    where = options.say_where(inputs, len(job.table.paths))
    lines = [
        ("in", f"{where}: {job.n_old:,} rows, {job.n_anomalies:,} of them labelled anomalies"),
        ("features", f"{len(features)}: {shown}"),
    ]
    if left_out:
        lines.append(("left out", f"{', '.join(left_out)} (empty in new rows)"))
    if index:
        name = ", ".join(index) if any(index) else "the first column, which has no name"
        how = "empty" if job.first is None else "counts on"
        lines.append(("index", f"{name} ({how} in new rows)"))
    lines.append(("new", f"{job.n_new:,} pseudo-anomalies by {options.name_of(job.sampler)}"))
    n_out = job.n_new if only_new else job.n_old + job.n_new
    lines.append(("out", f"{output}: {n_out:,} rows{', only the new ones' if only_new else ''}"))
    if plot is not None:
        lines.append(("picture", str(plot)))
    options.print_lines(lines)


class _Progress:
    """Show on a terminal how far the work is: rows and bytes read, searched and written."""

    def __init__(self) -> None:
        import sys

        self._bar: Any = None
        self._task: Any = None
        if sys.stderr.isatty():
            from rich.console import Console
            from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

            self._bar = Progress(
                TextColumn("{task.description}"), BarColumn(), TimeRemainingColumn(),
                console=Console(stderr=True), transient=True,
            )  # fmt: skip

    def __enter__(self) -> "_Progress":
        if self._bar is not None:
            self._bar.start()
            self._task = self._bar.add_task("reading", total=None)
        return self

    def __exit__(self, *error: object) -> None:
        if self._bar is not None:
            self._bar.stop()

    def reading(self, state: Any) -> None:
        """Take in what fitting tells."""
        word = "reading" if state.what == "survey" else "searching"
        rows = _of_all(state.n_rows, state.all_rows, 1e6)
        size = _of_all(state.n_bytes, state.all_bytes, 1e9)
        self._show(f"{word} {rows} M rows, {size} GB", state.n_bytes, state.all_bytes)

    def writing(self, all_rows: int) -> Callable[[int], None]:
        """Begin the last part; the result takes in how many more rows are written."""
        written = 0

        def more(n_rows: int) -> None:
            nonlocal written
            written += n_rows
            self._show(f"writing {_of_all(written, all_rows, 1e6)} M rows", written, all_rows)

        self._show(f"writing {_of_all(0, all_rows, 1e6)} M rows", 0, all_rows)
        return more

    def _show(self, text: str, done: int, whole: int) -> None:
        if self._bar is not None:
            self._bar.update(self._task, description=text, completed=done, total=whole)


def _of_all(n: int, whole: int | None, unit: float) -> str:
    return f"{n / unit:.1f}" + ("" if whole is None else f" of {whole / unit:.1f}")
