"""What the commands that learn from a table share: the roles of its columns, and ``--set``."""

import contextlib
import dataclasses
import inspect
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from nngmix.cli.errors import UsageError

if TYPE_CHECKING:
    import pyarrow as pa

    from nngmix.cli.files import TableFile
    from nngmix.sampling.files import TableFiles

#: The table that a command learns from.
Input = Annotated[
    list[Path],
    typer.Argument(
        metavar="INPUT...",
        help="CSV or Parquet file, by its ending; a folder of them, a pattern in quotes such "
        "as 'rows/*.parquet', or several of these: one table.",
    ),
]


@dataclasses.dataclass(frozen=True)
class Roles:
    """What each column of a file is for.

    Attributes
    ----------
    label : str
        Column that is 1 for a labelled anomaly and 0 elsewhere.
    features : list of str
        Columns to learn from, in the file's order.
    left_out : list of str
        Columns named by ``--exclude``.
    index : list of str
        Columns that number or name the rows.
    """

    label: str
    features: list[str]
    left_out: list[str]
    index: list[str]


def find_roles(source: "TableFile", label: str, exclude: list[str] | None) -> Roles:
    """Sort a file's columns into features, label, index and what is left out.

    Parameters
    ----------
    source : TableFile
        The file.
    label : str
        ``--label``.
    exclude : list of str or None
        ``--exclude``.

    Returns
    -------
    Roles

    Raises
    ------
    UsageError
        If there is no such column, or no column left to work on.
    """
    source.column(label, "--label")
    left_out = [source.column(name, "--exclude") for name in dict.fromkeys(exclude or [])]
    if label in left_out:
        raise UsageError(f"--exclude: {label!r} is the label column.")
    index = [name for name in source.index if name not in {label, *left_out}]
    others = {label, *index, *left_out}
    features = [name for name in source.names if name not in others]
    if not features:
        raise UsageError(
            f"{str(source.path)!r} has no column left to work on beside the label {label!r}."
        )
    return Roles(label, features, left_out, index)


def find_categories(named: list[str] | None, features: list[str], source: "TableFile") -> Any:
    """Turn ``--categorical`` into the samplers' ``categorical_features``."""
    if not named:
        return "dtype"
    if named == ["infer"] and "infer" not in features:
        return "infer"
    for name in named:
        source.column(name, "--categorical")
        if name not in features:
            raise UsageError(
                f"--categorical: {name!r} is no feature: it is left out, or the label."
            )
    return named


def build_sampler(
    name: str, given: dict[str, Any], settings: list[str], option: str = "--sampler"
) -> Any:
    """Build a sampler, or a chain of several, from a command's options and its ``--set``.

    Parameters
    ----------
    name : str
        ``--sampler``: one name, or several joined by "+".
    given : dict
        Settings by their names in Python; None stands for the sampler's default.
    settings : list of str
        ``NAME=VALUE``, or ``SAMPLER.NAME=VALUE`` for one of several.
    option : str, default="--sampler"
        What named it, for messages.

    Returns
    -------
    sampler
        Its settings are checked.

    Raises
    ------
    UsageError
        If there is no such sampler, or it has no such setting.
    ValueError
        If a setting's value is not one that the sampler takes.
    """
    from nngmix.sampling import SAMPLERS, Chain

    kinds = [find_kind(part, SAMPLERS, option) for part in name.split("+")]
    whole = Chain if len(kinds) > 1 else kinds[0]
    known = settings_of(whole)
    # The seed is a setting of the command, which a sampler without chance can ignore.
    if "random_state" not in known:
        given.pop("random_state", None)
    given = {key: value for key, value in given.items() if value is not None}
    for key in given:
        if key not in known:
            raise UsageError(f"--{key.replace('_', '-')}: {whole.__name__} has no such setting.")
    own: dict[str, dict[str, Any]] = {kind.__name__: {} for kind in kinds}
    for text in settings:
        where, key, value = read_setting(text)
        if where and where not in own:
            raise UsageError(f"--set {text}: {where!r} is not in --sampler {name}.")
        one = where if where and len(kinds) > 1 else ""
        kind = next(kind for kind in kinds if kind.__name__ == one) if one else whole
        if key not in settings_of(kind):
            raise UsageError(
                f"--set {text}: {kind.__name__} has no setting {key!r}; it has "
                f"{', '.join(settings_of(kind))}."
            )
        (own[one] if one else given)[key] = value
    if whole is Chain:
        sampler = Chain([kind(**own[kind.__name__]) for kind in kinds], **given)
    else:
        sampler = whole(**given)
    sampler._validate_params()
    return sampler


def find_kind(name: str, kinds: Mapping[str, Any], option: str) -> Any:
    """Find a sampler or detector by its name, in capitals or not."""
    by_name = {key.lower(): value for key, value in kinds.items()}
    kind = by_name.get(name.strip().lower().replace("-", ""))
    if kind is None:
        raise UsageError(f"{option}: there is no {name!r}; there are {', '.join(kinds)}.")
    return kind


def settings_of(kind: Any) -> list[str]:
    """Names of what a sampler or detector can be told."""
    return [name for name in inspect.signature(kind).parameters if name != "samplers"]


def read_setting(text: str) -> tuple[str, str, Any]:
    """Read NAME=VALUE or SAMPLER.NAME=VALUE; a value is a number, none, true, false or a word."""
    name, equals, value = text.partition("=")
    if not equals or not name or not value:
        raise UsageError(f"--set takes NAME=VALUE, such as sigma=0.1; got {text!r}.")
    where, _, key = name.strip().rpartition(".")
    words = {"none": None, "true": True, "false": False}
    if value.lower() in words:
        return where, key, words[value.lower()]
    try:
        return where, key, int(value)
    except ValueError:
        return where, key, number_or_word(value)


def number_or_word(text: str | None) -> float | str | None:
    """Read a number where there is one."""
    if text is None:
        return None
    try:
        return float(text)
    except ValueError:
        return text


def name_of(sampler: Any) -> str:
    """Name a sampler, or those of a chain, as ``--sampler`` does."""
    parts = getattr(sampler, "samplers", [sampler])
    return "+".join(type(part).__name__ for part in parts)


def check_columns(
    X: "pa.Table", categorical: Any, path: Path, schema: "pa.Schema | None" = None
) -> None:
    """Make sure that features are numbers or categories, or say which are not, and what helps.

    Their types are those of `schema`, where it is given, and cells are shown from `X`.
    """
    import pyarrow.types as t

    def fits(field: "pa.Field") -> bool:
        kind = field.type
        number = t.is_integer(kind) or t.is_floating(kind) or t.is_boolean(kind)
        if not isinstance(categorical, str):
            return number or field.name in categorical
        text = t.is_string(kind) or t.is_large_string(kind)
        return number or t.is_dictionary(kind) or (text and categorical == "infer")

    fields = [(X.schema if schema is None else schema).field(name) for name in X.column_names]
    odd = [
        f"{field.name!r} ({what_else(X[field.name], schema is not None)})"
        for field in fields
        if not fits(field)
    ]
    if odd:
        raise UsageError(
            f"{str(path)!r}: not numeric: {', '.join(odd[:5])}"
            f"{f' and {len(odd) - 5} more' if len(odd) > 5 else ''}. "
            "Name categories with --categorical COLUMN, encode as numbers first, or leave out "
            "with --exclude COLUMN."
        )


def kinds_of(schema: "pa.Schema", categorical: Any) -> dict[str, str]:
    """Tell "number", "boolean" or "category" of each feature that :func:`check_columns` passed."""
    import pyarrow.types as t

    def kind(field: "pa.Field") -> str:
        named = not isinstance(categorical, str) and field.name in categorical
        if named or not (t.is_integer(field.type) or t.is_floating(field.type)):
            return "boolean" if t.is_boolean(field.type) and not named else "category"
        return "number"

    return {field.name: kind(field) for field in schema}


def as_text(column: Any) -> Any:
    """Turn categories of any type into text, by which they are compared between files.

    A whole number is written without a point, and a boolean in small letters, since the same code
    is 7 in one file and 7.0 in another that has gaps, and True where pandas wrote it.
    """
    import pyarrow as pa
    import pyarrow.compute as pc

    if pa.types.is_dictionary(column.type):
        column = column.cast(column.type.value_type)
    text = pc.replace_substring_regex(column.cast(pa.string()), r"^(-?[0-9]+)\.0+$", r"\1")
    is_boolean = pc.match_substring_regex(text, "^(?i:true|false)$")
    return pc.if_else(is_boolean, pc.utf8_lower(text), text)


def what_else(column: Any, drawn: bool = False) -> str:
    """Tell what a column holds instead of numbers, by its first odd cell where it is text.

    Of rows that are `drawn`, the odd one need not be among them.
    """
    import pyarrow.types as t

    text = t.is_string(column.type) or t.is_large_string(column.type)
    if column.null_count == len(column) and not (text and drawn):
        return "empty"
    if not text:
        return str(column.type)
    cells = [cell for cell in column.to_pylist() if cell is not None]
    odd = next((cell for cell in cells if isinstance(number_or_word(cell), str)), None)
    if odd is None and drawn:
        return "text in some row"
    odd = cells[0] if odd is None else odd
    return f"text, such as {odd if len(odd) < 30 else odd[:27] + '...'!r}"


@dataclasses.dataclass(frozen=True)
class Rows:
    """What a detector learns from.

    Attributes
    ----------
    X : pyarrow.Table
        The features. Categories are text.
    y : ndarray
        Labels, 0 and 1.
    kinds : dict of str to str
        "number", "boolean" or "category" by feature.
    n_read : int
        Rows of the table, of which these may be a part.
    """

    X: "pa.Table"
    y: Any
    kinds: dict[str, str]
    n_read: int


def read_rows(
    table: "TableFiles",
    roles: Roles,
    categorical: Any,
    max_unlabelled: int | None = None,
    random_state: int = 0,
) -> Rows:
    """Read what a detector learns from, in memory for these rows alone.

    Parameters
    ----------
    table : TableFiles
        The files.
    roles : Roles
        Their columns.
    categorical : "dtype", "infer" or list of str
        See :func:`find_categories`.
    max_unlabelled : int or None, default=None
        Of more unlabelled rows than this, as many are drawn by chance; None takes all.
    random_state : int, default=0
        Seeds the draw, which depends on nothing else but the order of the rows.

    Returns
    -------
    Rows
        In the table's order.

    Raises
    ------
    UsageError
        If a feature is neither numeric nor named as a category, or the labels are none.
    """
    import pyarrow as pa

    from nngmix.cli import files
    from nngmix.sampling.draw import draw_rows

    path = table.paths[0]
    # A category is its text, in any file: 007 must not turn into 7 because all others are numbers.
    table.keep_text([] if isinstance(categorical, str) else categorical)
    try:
        first = files.peek(table, [*roles.features, roles.label])
        if first is None:
            raise UsageError(f"{str(path)!r} has no rows.")
        # A column of a CSV file may be empty in these and not in others.
        known = [name for name in roles.features if first.schema.field(name).type != "null"]
        check_columns(first.select(known), categorical, path)
        with bar("reading") as told:
            drawn = draw_rows(
                table,
                roles.label,
                columns=roles.features,
                max_unlabelled=max_unlabelled,
                random_state=random_state,
                done=lambda rows, size: told(size / table.n_bytes),
            )
    except ValueError as error:
        raise UsageError(str(error)) from None
    X = drawn.X
    # Text may have turned up among the numbers of a CSV file.
    check_columns(X, categorical, path, table.schema)
    kinds = kinds_of(pa.schema([table.schema.field(name) for name in roles.features]), categorical)
    for place, (name, kind) in enumerate(kinds.items()):
        if kind == "category":
            X = X.set_column(place, name, as_text(X[name]))
    return Rows(X, drawn.y, kinds, drawn.n_rows)


@contextlib.contextmanager
def bar(what: str) -> Iterator[Callable[[float], None]]:
    """Show on a terminal which share of something is done."""
    if not sys.stderr.isatty():
        yield lambda share: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TaskProgressColumn, TimeRemainingColumn

    shown = Progress(
        what, BarColumn(), TaskProgressColumn(), TimeRemainingColumn(),
        console=Console(stderr=True),
    )  # fmt: skip
    with shown:
        task = shown.add_task(what, total=1.0)
        yield lambda share: shown.update(task, completed=share)


def need_matplotlib() -> None:
    """Find out, before minutes are spent, that no picture can be drawn."""
    try:
        import matplotlib  # noqa: F401
    except ImportError:
        raise ImportError("--plot needs matplotlib: pip install 'nngmix[plot]'") from None


def say_where(inputs: list[Path], n_files: int) -> str:
    """Name what was read as it was given, and the number of files where there are several."""
    return ", ".join(map(str, inputs)) + (f" ({n_files} files)" if n_files > 1 else "")


def print_lines(lines: list[tuple[str, str]]) -> None:
    """Print what a command did: a word, and what there is to say about it."""
    # As wide as the longest word there is, so that all commands look alike.
    width = 9
    for what, text in lines:
        typer.echo(f"{what:<{width}} {text}")
