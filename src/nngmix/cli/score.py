"""``nngmix score``: a trained model and a file in, a score for each row out."""

import contextlib
import difflib
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from nngmix.cli import options
from nngmix.cli.errors import UsageError, one_line_errors

if TYPE_CHECKING:
    import pyarrow as pa

    from nngmix.cli.files import TableFile

_MADE = ("score", "anomaly")


@one_line_errors
def score(
    model: Annotated[Path, typer.Argument(metavar="MODEL", help="File written by nngmix train.")],
    data: Annotated[
        Path,
        typer.Argument(
            metavar="DATA", help="CSV or Parquet file, by its ending; may be larger than memory."
        ),
    ],
    output: Annotated[
        Path | None,
        typer.Option(help="File to write, CSV or Parquet by its ending: ids, score, anomaly."),
    ] = None,
    id: Annotated[
        list[str] | None,
        typer.Option(
            help="Column that says which row is which; kept. May be repeated. Without it, rows are "
            "numbered from 0."
        ),
    ] = None,
    top: Annotated[
        int | None, typer.Option(min=1, help="Print this many of the most anomalous rows.")
    ] = None,
    batch_rows: Annotated[int, typer.Option(min=1, help="Rows in memory at a time.")] = 50_000,
    delimiter: Annotated[
        str, typer.Option(help=r"Between the cells of CSV files; \t is a tab.")
    ] = ",",
    force: Annotated[bool, typer.Option("--force", help="Replace existing output.")] = False,
) -> None:
    """Score each row of a table with a trained model: the higher, the more anomalous.

    Columns are found by their names; others than the model's, the label too, are ignored.
    The column anomaly is 1 where the score is above the model's threshold.
    """
    from nngmix.cli import files

    delimiter = files.check_delimiter(delimiter)
    if output is None and top is None:
        raise UsageError("nothing to do: give --output FILE, --top N, or both.")
    if output is not None:
        files.check_output(output, files.TABLES, "--output", force)
    columns, threshold, scores_of = _load(model)
    source = files.TableFile(data, delimiter)
    ids = [source.column(name, "--id") for name in dict.fromkeys(id or [])]
    for name in _MADE:
        if name in ids:
            raise UsageError(f"--id: the output has a column {name!r} of its own.")
    _check_columns(source, columns, model)
    if output is not None:
        files.check_crossing(source, output, ids)
    start = time.perf_counter()
    n, n_above, best = _stream(source, columns, ids, scores_of, threshold, output, top, batch_rows)
    seconds = time.perf_counter() - start
    if top is not None and best is not None:
        _print_top(best, ids)
    share = f" ({n_above / n:.2%})" if n else ""
    lines = [
        ("in", f"{data}: {n:,} rows"),
        ("above", f"the threshold {threshold:.6g}: {n_above:,} rows{share}"),
    ]
    if output is not None:
        lines.append(("out", str(output)))
    lines.append(("speed", f"{n / seconds:,.0f} rows a second ({seconds:.1f} s)"))
    options.print_lines(lines)


def _load(path: Path) -> tuple[dict[str, str], float, Callable[["pa.Table"], Any]]:
    """Load a model: its columns and their kinds, its threshold, and what scores a table."""
    from nngmix.persistence import load, read_header

    if not path.exists():
        raise UsageError(f"there is no file {str(path)!r}.")
    told = read_header(path).get("metadata") or {}
    if "columns" not in told:
        raise UsageError(
            f"{str(path)!r} does not say which columns the model takes: train it with nngmix "
            "train, or score in Python (nngmix.load)."
        )
    model = load(path)
    return dict(told["columns"]), float(model[-1].threshold_), model.decision_function


def _check_columns(source: "TableFile", columns: dict[str, str], model: Path) -> None:
    absent = [name for name in columns if name not in source.names]
    if not absent:
        return
    if len(absent) == len(columns):
        # Nothing fits: perhaps another delimiter.
        source.column(absent[0], f"{str(model)!r} needs it")
    shown = []
    for name in absent[:10]:
        near = difflib.get_close_matches(name, set(source.names) - set(columns), n=1)
        shown.append(f"{name!r}" + (f" (did you mean {near[0]!r}?)" if near else ""))
    more = f" and {len(absent) - 10} more" if len(absent) > 10 else ""
    raise UsageError(
        f"{str(source.path)!r} lacks {len(absent)} of the {len(columns)} columns that the model "
        f"was trained on: {', '.join(shown)}{more}."
    )


def _stream(
    source: "TableFile",
    columns: dict[str, str],
    ids: list[str],
    scores_of: Callable[["pa.Table"], Any],
    threshold: float,
    output: Path | None,
    top: int | None,
    batch_rows: int,
) -> tuple[int, int, "pa.Table | None"]:
    """Read, score and write piece by piece; keep the best rows of those seen so far."""
    import numpy as np
    import pyarrow as pa

    from nngmix.cli import files

    types = {"number": pa.float64(), "boolean": pa.bool_(), "category": pa.string()}
    wanted = {name: types[kind] for name, kind in columns.items()}
    # What stands in the way of a feature's type stands as text among the ids too.
    as_text = [name for name in ids if name not in wanted]
    text_ids = source.kind == "csv"
    fields = [
        pa.field(
            name, wanted.get(name, pa.string()) if text_ids else source.schema.field(name).type
        )
        for name in ids
    ] or [pa.field("row", pa.int64())]
    schema = pa.schema([*fields, pa.field("score", pa.float64()), pa.field("anomaly", pa.int8())])
    n = n_above = 0
    best: pa.Table | None = None
    with contextlib.ExitStack() as stack:
        write = None
        if output is not None:
            write = stack.enter_context(files.writing(output, schema, source.delimiter))
        done = stack.enter_context(_bar())
        for piece in source.batches(wanted, as_text, batch_rows, done):
            X = _as_model_types(piece, columns, source.path, n)
            try:
                found = np.asarray(scores_of(X))
            except ValueError as error:
                raise _bad_row(error, X, source.path, n) from None
            above = found > threshold
            rows = pa.array(np.arange(n, n + len(found)))
            made = {name: piece[name] for name in ids} or {"row": rows}
            if write is not None:
                scored = [*made.values(), pa.array(found), pa.array(above.astype(np.int8))]
                write(pa.table(scored, schema=schema))
            if top is not None:
                best = _keep_top(best, rows, found, piece, top)
            n, n_above = n + len(found), n_above + int(above.sum())
    return n, n_above, best


@contextlib.contextmanager
def _bar() -> Iterator[Callable[[float], None]]:
    """Show on a terminal how far the file is read."""
    if not sys.stderr.isatty():
        yield lambda share: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TaskProgressColumn, TimeRemainingColumn

    bar = Progress(
        "scoring", BarColumn(), TaskProgressColumn(), TimeRemainingColumn(),
        console=Console(stderr=True),
    )  # fmt: skip
    with bar:
        task = bar.add_task("scoring", total=1.0)
        yield lambda share: bar.update(task, completed=share)


def _as_model_types(
    piece: "pa.Table", columns: dict[str, str], path: Path, first: int
) -> "pa.Table":
    """Give the model's columns, in its order, the types that it knows them by."""
    import pyarrow as pa

    made = {}
    for name, kind in columns.items():
        column = piece[name]
        try:
            if kind == "category":
                made[name] = options.as_text(column)
            else:
                made[name] = column.cast(pa.float64(), safe=False)
        except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
            raise UsageError(
                f"{str(path)!r}: column {name!r} holds {options.what_else(column)}, in rows "
                f"{first} to {first + len(column) - 1} (counted from 0); the model was trained on "
                f"{'categories' if kind == 'category' else 'numbers'} there."
            ) from None
    return pa.table(made)


def _bad_row(error: ValueError, X: "pa.Table", path: Path, first: int) -> UsageError:
    """Find the cell that a model refused, by its row in the file."""
    import numpy as np

    for name in X.column_names:
        if X.schema.field(name).type == "double":
            infinite = np.isinf(X[name].to_numpy())
            if infinite.any():
                return UsageError(
                    f"{str(path)!r}: column {name!r} holds an infinite value in row "
                    f"{first + int(infinite.argmax())} (counted from 0)."
                )
    return UsageError(f"{str(path)!r}, from row {first} (counted from 0): {error}")


def _keep_top(
    best: "pa.Table | None", rows: Any, found: Any, piece: "pa.Table", top: int
) -> "pa.Table":
    """Keep the highest scores of all pieces so far; of equal ones, the earlier rows."""
    import numpy as np
    import pyarrow as pa

    order = np.argsort(-found, kind="stable")[:top]
    new = piece.take(order)
    new = new.add_column(0, "_score", pa.array(found[order]))
    new = new.add_column(0, "_row", rows.take(pa.array(order)))
    both = new if best is None else pa.concat_tables([best, new], promote_options="permissive")
    # Stable: what was there before comes first.
    return both.take(np.argsort(-both["_score"].to_numpy(), kind="stable")[:top])


def _print_top(best: "pa.Table", ids: list[str]) -> None:
    from rich.console import Console
    from rich.table import Table

    names = ["_row", *ids, "_score"]
    others = [name for name in best.column_names if name not in names]
    shown = {
        name: [_cell_text(cell) for cell in best[name].to_pylist()] for name in [*names, *others]
    }
    headings = {"_row": "row", "_score": "score"}
    # On a terminal, as many columns as fit; a pipe takes all.
    console = Console()
    room = console.width if console.is_terminal else sys.maxsize
    used, kept = 1, []
    for name, cells in shown.items():
        used += max(len(headings.get(name, name)), *map(len, cells)) + 3
        if used <= room or name in names:
            kept.append(name)
        elif name in others:
            break
    table = Table()
    for name in kept:
        number = name in ("_row", "_score")
        table.add_column(headings.get(name, name), justify="right" if number else "left")
    for i in range(len(best)):
        table.add_row(*(shown[name][i] for name in kept))
    if len(kept) < len(shown):
        table.caption = f"{len(shown) - len(kept)} more columns do not fit in the window."
    if console.is_terminal:
        console.print(table)
    else:
        Console(width=max(used, 80)).print(table)


def _cell_text(cell: Any) -> str:
    from rich.markup import escape

    if cell is None:
        return ""
    return f"{cell:.6g}" if isinstance(cell, float) else escape(str(cell))
