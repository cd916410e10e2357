"""``nngmix score``: a trained model and a file in, a score for each row out."""

import contextlib
import dataclasses
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
    input: options.Input,
    output: Annotated[
        Path | None,
        typer.Option(help="File to write, CSV or Parquet by its ending: ids, score, anomaly."),
    ] = None,
    id: Annotated[
        list[str] | None,
        typer.Option(
            help="Column that says which row is which; kept. May be repeated. Without it, rows are "
            "numbered from 0, through all files."
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
    Tables may be larger than memory: they are read piece by piece.
    """
    from nngmix.cli import files

    delimiter = files.check_delimiter(delimiter)
    if output is None and top is None:
        raise UsageError("nothing to do: give --output FILE, --top N, or both.")
    if output is not None:
        files.check_output(output, files.TABLES, "--output", force)
        files.check_not_input(output, "--output", model)
    columns, fitted = _load(model)
    sources = files.open_each(input, delimiter)
    source = sources[0]
    ids = list(dict.fromkeys(id or []))
    for other in sources:
        for name in ids:
            other.column(name, "--id")
            kind = other.schema.field(name).type
            if kind != source.schema.field(name).type:
                raise UsageError(
                    f"--id: column {name!r} is {source.schema.field(name).type} in "
                    f"{str(source.path)!r} and {kind} in {str(other.path)!r}."
                )
    for name in _MADE:
        if name in ids:
            raise UsageError(f"--id: the output has a column {name!r} of its own.")
    for other in sources:
        _check_columns(other, columns, model)
    if output is not None:
        files.check_crossing(source, output, ids)
        for other in sources if len(sources) > 1 else []:
            files.check_not_input(output, "--output", other.path)
    start = time.perf_counter()
    found = _stream(sources, columns, ids, fitted, output, top, batch_rows)
    n, n_above = found.n_rows, found.n_above
    seconds = time.perf_counter() - start
    if found.best is not None:
        _print_top(found.best, ids)
    share = f" ({n_above / n:.2%})" if n else ""
    lines = [
        ("in", f"{options.say_where(input, len(sources))}: {n:,} rows"),
        ("above", f"the threshold {fitted[-1].threshold_:.6g}: {n_above:,} rows{share}"),
    ]
    for name, (cells, example) in found.unseen.items():
        lines.append(
            (
                "note",
                f"{name}: {cells:,} of {n:,} cells hold a level that the model was not trained "
                f"on, such as {example!r}",
            )
        )
    if output is not None:
        lines.append(("out", str(output)))
    lines.append(("speed", f"{n / seconds:,.0f} rows a second ({seconds:.1f} s)"))
    options.print_lines(lines)


@dataclasses.dataclass
class _Best:
    """The rows with the highest scores so far, best first."""

    rows: Any
    scores: Any
    cells: "pa.Table"


@dataclasses.dataclass
class _Found:
    """What came out of a file."""

    n_rows: int = 0
    n_above: int = 0
    best: _Best | None = None
    # By column: cells with a level that the model does not know, and one such level.
    unseen: dict[str, tuple[int, str]] = dataclasses.field(default_factory=dict)


def _load(path: Path) -> tuple[dict[str, str], Any]:
    """Load a model, and the kinds of its columns."""
    from nngmix.persistence import load, read_header

    if not path.exists():
        raise UsageError(f"there is no file {str(path)!r}.")
    told = read_header(path).get("metadata") or {}
    if "columns" not in told:
        raise UsageError(
            f"{str(path)!r} does not say which columns the model takes: train it with nngmix "
            "train, or score in Python (nngmix.load)."
        )
    return dict(told["columns"]), load(path)


def _check_columns(source: "TableFile", columns: dict[str, str], model: Path) -> None:
    absent = [name for name in columns if name not in source.names]
    if not absent:
        return
    if len(absent) == len(columns):
        # Nothing fits: perhaps another delimiter.
        source.column(absent[0], f"a column of {str(model)!r}")
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
    sources: list["TableFile"],
    columns: dict[str, str],
    ids: list[str],
    model: Any,
    output: Path | None,
    top: int | None,
    batch_rows: int,
) -> _Found:
    """Read, score and write piece by piece; keep the best rows of those seen so far."""
    import numpy as np
    import pyarrow as pa

    from nngmix.cli import files

    types = {"number": pa.float64(), "boolean": pa.bool_(), "category": pa.string()}
    wanted = {name: types[kind] for name, kind in columns.items()}
    # What stands in the way of a feature's type stands as text among the ids too.
    as_text = [name for name in ids if name not in wanted]
    head = sources[0]
    text_ids = head.kind == "csv"
    fields = [
        pa.field(name, wanted.get(name, pa.string()) if text_ids else head.schema.field(name).type)
        for name in ids
    ] or [pa.field("row", pa.int64())]
    schema = pa.schema([*fields, pa.field("score", pa.float64()), pa.field("anomaly", pa.int8())])
    result = _Found()
    categories = [name for name, kind in columns.items() if kind == "category"]
    with contextlib.ExitStack() as stack:
        write = None
        if output is not None:
            write = stack.enter_context(files.writing(output, schema, head.delimiter))
        told = stack.enter_context(options.bar("scoring"))
        for source, first, piece in _pieces(sources, wanted, as_text, batch_rows, told):
            n = result.n_rows
            X = _as_model_types(piece, columns, source.path, first)
            try:
                found = np.asarray(model.decision_function(X))
            except ValueError as error:
                raise _bad_row(error, X, source.path, first) from None
            above = found > model[-1].threshold_
            rows = pa.array(np.arange(n, n + len(found)))
            made = {name: piece[name] for name in ids} or {"row": rows}
            if write is not None:
                scored = [*made.values(), pa.array(found), pa.array(above.astype(np.int8))]
                write(pa.table(scored, schema=schema))
            if top is not None:
                result.best = _keep_top(result.best, rows.to_numpy(), found, piece, top)
            if categories:
                _count_unseen(result.unseen, model.named_steps["encoder"], X)
            result.n_rows += len(found)
            result.n_above += int(above.sum())
    return result


def _pieces(
    sources: list["TableFile"],
    types: dict[str, "pa.DataType"],
    as_text: list[str],
    rows: int,
    told: Callable[[float], None],
) -> Iterator[tuple["TableFile", int, "pa.Table"]]:
    """Read piece by piece: the file, where in it the piece begins, and its rows."""
    sizes = [source.path.stat().st_size for source in sources]
    for number, source in enumerate(sources):
        behind, first = sum(sizes[:number]), 0

        def done(share: float, behind: int = behind, size: int = sizes[number]) -> None:
            told((behind + share * size) / sum(sizes))

        for piece in source.batches(types, as_text, rows, done):
            yield source, first, piece
            first += len(piece)


def _count_unseen(counts: dict[str, tuple[int, str]], encoder: Any, X: "pa.Table") -> None:
    for name, cells in encoder.unseen(X).items():
        if cells.any():
            before, example = counts.get(name, (0, X[name][int(cells.argmax())].as_py()))
            counts[name] = before + int(cells.sum()), example


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
                if pa.types.is_string(column.type) or pa.types.is_large_string(column.type):
                    # It would be read as numbers where it happens to look like them.
                    raise pa.ArrowInvalid("text")
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


def _keep_top(best: _Best | None, rows: Any, scores: Any, cells: "pa.Table", top: int) -> _Best:
    """Keep the highest scores of all pieces so far; of equal ones, the earlier rows."""
    import numpy as np
    import pyarrow as pa

    def highest(some: _Best) -> _Best:
        # Stable: what was there before comes first.
        order = np.argsort(-some.scores, kind="stable")[:top]
        return _Best(some.rows[order], some.scores[order], some.cells.take(order))

    new = highest(_Best(rows, scores, cells))
    if best is None:
        return new
    both = pa.concat_tables([best.cells, new.cells], promote_options="permissive")
    return highest(_Best(np.append(best.rows, new.rows), np.append(best.scores, new.scores), both))


def _print_top(best: _Best, ids: list[str]) -> None:
    from rich.console import Console
    from rich.table import Table

    others = [name for name in best.cells.column_names if name not in ids]

    def texts(name: str) -> list[str]:
        return [_cell_text(cell) for cell in best.cells[name].to_pylist()]

    shown = [("row", [str(row) for row in best.rows], True)]
    shown += [(name, texts(name), False) for name in ids]
    shown.append(("score", [f"{score:.6g}" for score in best.scores], True))
    n_always = len(shown)
    shown += [(name, texts(name), False) for name in others]
    # On a terminal, as many columns as fit; a pipe takes all.
    console = Console()
    room = console.width if console.is_terminal else sys.maxsize
    used, n_kept = 1, 0
    for name, cells, _ in shown:
        wider = used + max(len(name), *map(len, cells)) + 3
        if wider > room and n_kept >= n_always:
            break
        used, n_kept = wider, n_kept + 1
    table = Table()
    for name, _, number in shown[:n_kept]:
        table.add_column(name, justify="right" if number else "left")
    for row in zip(*(cells for _, cells, _ in shown[:n_kept]), strict=True):
        table.add_row(*row)
    if n_kept < len(shown):
        table.caption = f"{len(shown) - n_kept} more columns do not fit in the window."
    if console.is_terminal:
        console.print(table)
    else:
        Console(width=max(used, 80)).print(table)


def _cell_text(cell: Any) -> str:
    from rich.markup import escape

    if cell is None:
        return ""
    return f"{cell:.6g}" if isinstance(cell, float) else escape(str(cell))
