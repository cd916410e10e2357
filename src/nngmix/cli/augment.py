"""``nngmix augment``: a file with labelled anomalies in, pseudo-anomalies added to it out."""

import inspect
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from nngmix.cli.errors import UsageError, one_line_errors

if TYPE_CHECKING:
    import pyarrow as pa

    from nngmix.cli.files import TableFile


@one_line_errors
def augment(
    input: Annotated[Path, typer.Argument(help="CSV or Parquet file, by its ending.")],
    label: Annotated[
        str, typer.Option(help="Column that is 1 for a labelled anomaly and 0 elsewhere.")
    ],
    output: Annotated[Path, typer.Option(help="File to write, CSV or Parquet by its ending.")],
    sampler: Annotated[str, typer.Option(help="NNGMix, or the control Duplicate.")] = "NNGMix",
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
        typer.Option(help="Beta parameter of the mixing weight, or 'uniform'. Default: 0.2."),
    ] = None,
    exclude: Annotated[
        list[str] | None,
        typer.Option(
            help="Column to leave out (an identifier, a date); empty in new rows. May be repeated."
        ),
    ] = None,
    random_state: Annotated[int, typer.Option(help="Seed: the same seed, the same rows.")] = 0,
    only_new: Annotated[bool, typer.Option("--only-new", help="Write only new rows.")] = False,
    plot: Annotated[
        Path | None, typer.Option(help="Also draw the rows before and after (png, svg, pdf).")
    ] = None,
    delimiter: Annotated[str, typer.Option(help="Between the cells of a CSV file.")] = ",",
    force: Annotated[bool, typer.Option("--force", help="Replace existing output.")] = False,
) -> None:
    """Add pseudo-anomalies to a table: they follow its own rows, labelled 1.

    Column names, order and types stay. All columns but the label must be numeric; leave others
    out with --exclude.
    """
    from nngmix.cli import files

    if len(delimiter) != 1:
        raise UsageError(f"--delimiter must be a single character; got {delimiter!r}.")
    files.check_output(output, files.TABLES, "output", force)
    if plot is not None:
        files.check_output(plot, files.PICTURES, "--plot", force)
        _need_matplotlib()
    given = {
        "multiplier": multiplier,
        "n_neighbors": n_neighbors,
        "sigma": sigma,
        "alpha": _number_or_word(alpha),
        "random_state": random_state,
    }
    method = _build_sampler(sampler, given)
    source = files.TableFile(input, delimiter)
    source.column(label, "--label")
    left_out = [source.column(name, "--exclude") for name in exclude or []]
    if label in left_out:
        raise UsageError(f"--exclude: {label!r} is the label column.")
    features = [name for name in source.names if name not in {label, source.index, *left_out}]
    if not features:
        raise UsageError(
            f"{str(input)!r} has no column left to work on beside the label {label!r}."
        )
    table = source.read([*features, label])
    _check_columns(table.select(features), input)
    y = _read_labels(table[label], label, input)
    X = table.select(features)
    _fit(method, X, y)
    n_new = method.sampling_strategy_[1]
    generated = method.sample(n_new)
    new = _complete(generated, source, label, table.schema.field(label).type)
    if plot is not None:
        _draw(X, y, generated, plot, sampler)
    files.write_table(source, new, output, only_new=only_new, delimiter=delimiter)
    _summary(source, features, left_out, y, n_new, sampler, output, only_new, plot)


def _number_or_word(text: str | None) -> float | str | None:
    if text is None:
        return None
    try:
        return float(text)
    except ValueError:
        return text


def _build_sampler(name: str, given: dict[str, Any]) -> Any:
    from nngmix.sampling import SAMPLERS

    by_name = {key.lower(): value for key, value in SAMPLERS.items()}
    kind = by_name.get(name.lower().replace("-", ""))
    if kind is None:
        raise UsageError(f"--sampler: there is no {name!r}; there are {', '.join(SAMPLERS)}.")
    known = inspect.signature(kind).parameters
    # The seed is a setting of the command, which a sampler without chance can ignore.
    if "random_state" not in known:
        given.pop("random_state")
    settings = {key: value for key, value in given.items() if value is not None}
    for key in settings:
        if key not in known:
            raise UsageError(f"--{key.replace('_', '-')}: {kind.__name__} has no such setting.")
    sampler = kind(**settings)
    sampler._validate_params()
    return sampler


def _check_columns(X: "pa.Table", path: Path) -> None:
    import pyarrow.types as t

    odd = [
        f"{field.name!r} ({field.type})"
        for field in X.schema
        if not (t.is_integer(field.type) or t.is_floating(field.type) or t.is_boolean(field.type))
    ]
    if odd:
        raise UsageError(
            f"{str(path)!r}: not numeric: {', '.join(odd[:5])}"
            f"{f' and {len(odd) - 5} more' if len(odd) > 5 else ''}. "
            "Encode as numbers first, or leave out with --exclude COLUMN."
        )


def _read_labels(column: Any, label: str, path: Path) -> Any:
    from nngmix.sampling.labels import check_labels

    if len(column) == 0:
        raise UsageError(f"{str(path)!r} has a header and no rows.")
    if column.null_count:
        raise UsageError(
            f"label column {label!r}: {column.null_count} of {len(column)} rows are empty; each "
            "must be 0 (unlabelled) or 1 (labelled anomaly)."
        )
    try:
        return check_labels(column.to_numpy(), len(column))
    except ValueError as error:
        raise UsageError(f"label column {label!r}: {error}") from None


def _fit(sampler: Any, X: "pa.Table", y: Any) -> None:
    try:
        sampler.fit(X, y)
    except ValueError as error:
        hint = " (--exclude leaves a column out.)" if "column" in str(error) else ""
        raise UsageError(f"{error}{hint}") from None


def _complete(new: "pa.Table", source: "TableFile", label: str, label_type: Any) -> "pa.Table":
    """Give generated rows the source's columns: the label, row numbers, and blanks."""
    import pyarrow as pa

    n = new.num_rows
    columns = []
    for field in source.schema:
        kind = field.type
        if field.name == label:
            kind = label_type
            column = pa.array([1] * n).cast(kind)
        elif field.name in new.column_names:
            column = new[field.name]
            kind = column.type
        elif field.name == source.index and pa.types.is_integer(field.type):
            numbers = source.read([field.name])[field.name].to_numpy()
            column = pa.array(range(numbers.max() + 1, numbers.max() + 1 + n)).cast(field.type)
        else:
            column = pa.nulls(n, kind)
        columns.append((pa.field(field.name, kind, metadata=field.metadata), column))
    schema = pa.schema([field for field, _ in columns], metadata=source.schema.metadata)
    return pa.table([column for _, column in columns], schema=schema)


def _need_matplotlib() -> None:
    try:
        import matplotlib  # noqa: F401
    except ImportError:
        raise ImportError("--plot needs matplotlib: pip install 'nngmix[plot]'") from None


def _draw(X: "pa.Table", y: Any, generated: "pa.Table", plot: Path, sampler: str) -> None:
    from nngmix.cli.files import replacing
    from nngmix.plotting import plot_pseudo_anomalies
    from nngmix.sampling.table import Table

    values = Table(X).values
    figure = plot_pseudo_anomalies(
        values[y == 0], values[y == 1], Table(generated).values, name=sampler
    )
    with replacing(plot) as beside:
        figure.savefig(beside)


def _summary(
    source: "TableFile",
    features: list[str],
    left_out: list[str],
    y: Any,
    n_new: int,
    sampler: str,
    output: Path,
    only_new: bool,
    plot: Path | None,
) -> None:
    from rich.console import Console
    from rich.table import Table as Grid

    n_anomalies = int((y == 1).sum())
    grid = Grid.grid(padding=(0, 2))
    rows = "only the new rows" if only_new else f"{len(y) + n_new:,} rows"
    grid.add_row("in", f"{source.path}: {len(y):,} rows, {n_anomalies:,} labelled anomalies")
    grid.add_row("columns", f"{len(features)} features")
    if left_out:
        grid.add_row("left out", f"{', '.join(left_out)} (empty in new rows)")
    if source.index is not None:
        name = source.index or "the first column, without a name"
        grid.add_row("row index", f"{name} (counted on in new rows)")
    grid.add_row("new", f"{n_new:,} pseudo-anomalies by {sampler}")
    grid.add_row("out", f"{output}: {rows}")
    if plot is not None:
        grid.add_row("picture", str(plot))
    Console().print(grid, highlight=False)
