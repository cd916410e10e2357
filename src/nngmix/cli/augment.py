"""``nngmix augment``: a file with labelled anomalies in, pseudo-anomalies added to it out."""

import contextlib
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from nngmix.cli import options
from nngmix.cli.errors import UsageError, one_line_errors

if TYPE_CHECKING:
    import pyarrow as pa

    from nngmix.cli.files import TableFile


@one_line_errors
def augment(
    input: Annotated[
        Path, typer.Argument(metavar="INPUT", help="CSV or Parquet file, by its ending.")
    ],
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

    Column names, order and types stay; a CSV file's own rows stay to the byte.

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
    source = files.TableFile(input, delimiter)
    files.check_crossing(source, output)
    roles = options.find_roles(source, label, exclude)
    features, left_out, index = roles.features, roles.left_out, roles.index
    given = {
        "multiplier": multiplier,
        "n_neighbors": n_neighbors,
        "sigma": sigma,
        "alpha": options.number_or_word(alpha),
        "random_state": random_state,
        "categorical_features": options.find_categories(categorical, features, source),
    }
    method = options.build_sampler(sampler, given, set or [])
    table = source.read([*features, *index, label])
    y = options.read_labels(table[label], label, input)
    X = table.select(features)
    options.check_columns(X, method.categorical_features, input)
    generated = _generate(method, X, y, input)
    new = _complete(generated, source, table, y, label, index)
    with contextlib.ExitStack() as both:
        # The picture takes its place after the table: neither is there without the other.
        if plot is not None:
            beside = both.enter_context(files.replacing(plot))
            _draw(X, y, generated, method).savefig(beside)
        files.write_table(source, new, output, only_new=only_new)
    _summary(source, features, left_out, index, y, new, method, output, only_new, plot)


def _generate(sampler: Any, X: "pa.Table", y: Any, path: Path) -> "pa.Table":
    try:
        sampler.fit(X, y)
    except ValueError as error:
        hint = " (--exclude leaves a column out.)" if "column" in str(error) else ""
        message = str(error).replace(" of X ", " ")
        raise UsageError(f"{str(path)!r}: {message}{hint}") from None
    n_new = sampler.sampling_strategy_[1]
    try:
        return sampler.sample(n_new)
    except (ValueError, MemoryError):
        # More rows than there is memory for, or than an array can count.
        raise UsageError(
            f"--multiplier {sampler.multiplier}: {n_new:,} new rows do not fit in memory."
        ) from None


def _complete(
    generated: "pa.Table",
    source: "TableFile",
    table: "pa.Table",
    y: Any,
    label: str,
    index: list[str],
) -> "pa.Table":
    """Give generated rows all of the source's columns: the label, row numbers, and blanks."""
    import pyarrow as pa

    n = generated.num_rows
    made = dict(zip(generated.column_names, generated.columns, strict=True))
    fields, columns = [], []
    for field in source.schema:
        if field.name == label:
            # A copy of one of its own cells: right whatever the column's type.
            column = table[label].take(pa.array([int((y == 1).argmax())] * n))
        elif field.name in made:
            column = made[field.name]
        elif index == [field.name]:
            column = _count_on(table[field.name], n)
        else:
            column = _blank(source, field, n)
        columns.append(column)
        blank = column.null_count > 0
        fields.append(field.with_type(column.type).with_nullable(field.nullable or blank))
    return pa.table(columns, schema=pa.schema(fields, metadata=source.schema.metadata))


def _blank(source: "TableFile", field: "pa.Field", n: int) -> Any:
    import pyarrow as pa

    if not pa.types.is_dictionary(field.type):
        return pa.nulls(n, field.type)
    # Categories are part of the type, also where no row belongs to one.
    old = source.read([field.name])[field.name].unify_dictionaries()
    if old.type != field.type:
        return pa.nulls(n, field.type)
    indices = pa.nulls(n, field.type.index_type)
    return pa.DictionaryArray.from_arrays(
        indices, old.chunk(0).dictionary, ordered=field.type.ordered
    )


def _count_on(index: Any, n: int) -> Any:
    """Let an index of whole numbers count on in new rows; any other is left empty there."""
    import pyarrow as pa
    import pyarrow.compute as pc

    if pa.types.is_integer(index.type):
        last = pc.max(index).as_py()
        # A type that holds no larger number stops the count.
        with contextlib.suppress(pa.ArrowInvalid, OverflowError, TypeError):
            return pa.array(range(last + 1, last + 1 + n), index.type)
    return pa.nulls(n, index.type)


def _draw(X: "pa.Table", y: Any, generated: "pa.Table", sampler: Any) -> Any:
    from nngmix.plotting import plot_pseudo_anomalies

    old, new = _coordinates(X, generated, sampler.categorical_features)
    return plot_pseudo_anomalies(old[y == 0], old[y == 1], new, name=options.name_of(sampler))


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
    source: "TableFile",
    features: list[str],
    left_out: list[str],
    index: list[str],
    y: Any,
    new: "pa.Table",
    sampler: Any,
    output: Path,
    only_new: bool,
    plot: Path | None,
) -> None:
    n_old, n_new, n_anomalies = len(y), new.num_rows, int((y == 1).sum())
    shown = ", ".join(features[:8]) + (", ..." if len(features) > 8 else "")
    lines = [
        (
            "in",
            f"{source.path}: {n_old:,} rows, {n_anomalies:,} of them labelled anomalies",
        ),
        ("features", f"{len(features)}: {shown}"),
    ]
    if left_out:
        lines.append(("left out", f"{', '.join(left_out)} (empty in new rows)"))
    if index:
        counted = not any(new[name].null_count for name in index)
        name = ", ".join(index) if any(index) else "the first column, which has no name"
        lines.append(("index", f"{name} ({'counts on' if counted else 'empty'} in new rows)"))
    lines.append(("new", f"{n_new:,} pseudo-anomalies by {options.name_of(sampler)}"))
    rows = f"{n_new:,} rows, only the new ones" if only_new else f"{n_old + n_new:,} rows"
    lines.append(("out", f"{output}: {rows}"))
    if plot is not None:
        lines.append(("picture", str(plot)))
    options.print_lines(lines)
