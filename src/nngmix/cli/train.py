"""``nngmix train``: a file with labelled anomalies in, a detector on disk out."""

import json
import sys
import time
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from nngmix.cli import options
from nngmix.cli.errors import UsageError, one_line_errors

if TYPE_CHECKING:
    import pyarrow as pa

_DETECTOR, _SAMPLER = "AutoDetector", "NNGMix"
_MULTIPLIER = 10


@one_line_errors
def train(
    input: options.Input,
    label: Annotated[
        str, typer.Option(help="Column that is 1 for a labelled anomaly and 0 elsewhere.")
    ],
    output: Annotated[
        Path, typer.Option(metavar="MODEL", help="File to write the trained model to.")
    ],
    detector: Annotated[
        str,
        typer.Option(
            help="What learns to tell anomalies: a name in nngmix.detectors.DETECTORS, such as "
            "BaggedTrees, CatBoost or DeepSAD. AutoDetector needs no choosing."
        ),
    ] = _DETECTOR,
    sampler: Annotated[
        str | None,
        typer.Option(
            help="What adds pseudo-anomalies first: none, NNGMix, Mixup, Cutout, CutMix, "
            "GaussianNoise, NPOS, RoSAS, the control Duplicate, or several in turn: "
            "Cutout+GaussianNoise. Default: none for AutoDetector and BaggedTrees, which make "
            "their own; else NNGMix."
        ),
    ] = None,
    multiplier: Annotated[
        int | None, typer.Option(help="Pseudo-anomalies for each labelled anomaly. Default: 10.")
    ] = None,
    set: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME=VALUE",
            help="Any setting of the two, such as contamination=0.01 (the expected share of "
            "anomalies among unlabelled rows, which sets the threshold); detector.alpha=0.01 or "
            "sampler.alpha=0.5 where both have one. Several numbers are joined by commas. "
            "May be repeated.",
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
        typer.Option(help="Column to leave out (an identifier, a date). May be repeated."),
    ] = None,
    max_unlabelled: Annotated[
        int | None,
        typer.Option(
            min=1,
            help="Of more unlabelled rows than this, as many are drawn by chance. Default: as many "
            "as the detector learns from, 50,000 for AutoDetector and all for the others.",
        ),
    ] = None,
    random_state: Annotated[int, typer.Option(help="Seed: the same seed, the same model.")] = 0,
    delimiter: Annotated[
        str, typer.Option(help=r"Between the cells of CSV files; \t is a tab.")
    ] = ",",
    force: Annotated[bool, typer.Option("--force", help="Replace existing output.")] = False,
) -> None:
    """Train a detector on a table, and keep it in a file.

    Without --detector there is nothing to choose: AutoDetector weighs several views
    of the table by the labels there are, and says how good it expects to be.
    The table may be larger than memory: it is read piece by piece, and of its
    unlabelled rows no more are kept than --max-unlabelled.

    All columns but the label must be numeric, or categories named by --categorical;
    leave others out with --exclude. Empty cells are allowed.
    A pandas index, or a CSV file's first column where it has no name, is left out
    by itself.
    """
    from nngmix.cli import files

    delimiter = files.check_delimiter(delimiter)
    files.check_output_place(output, "--output", force)
    from nngmix.detectors import DETECTORS

    kind = options.find_kind(detector, DETECTORS, "--detector")
    kind()._require()
    if sampler is None:
        sampler = "none" if kind.makes_pseudo_anomalies else _SAMPLER
    source = files.open_first(input, delimiter)
    roles = options.find_roles(source, label, exclude)
    categories = options.find_categories(categorical, roles.features, source)
    for_sampler, for_detector = _share_out(set or [], sampler, kind)
    learner = kind(**{"random_state": random_state, **for_detector})
    learner._validate_params()
    generator = None
    if sampler.lower() != "none":
        given = {"multiplier": _MULTIPLIER if multiplier is None else multiplier}
        given |= {"random_state": random_state}
        twice = [text for text in for_sampler if options.read_setting(text)[1] == "multiplier"]
        if multiplier is not None and twice:
            raise UsageError(f"--multiplier {multiplier} and --set {twice[0]}: give one of them.")
        generator = options.build_sampler(sampler, given, for_sampler)
    elif multiplier is not None:
        raise UsageError(
            f"--multiplier: --sampler none, which {kind.__name__} has unless another is named, "
            "adds no pseudo-anomalies."
            if kind.makes_pseudo_anomalies
            else "--multiplier: --sampler none adds no pseudo-anomalies."
        )
    table = files.open_tables(input, delimiter)
    for path in table.paths:
        files.check_not_input(output, "--output", path)
    most = kind.most_unlabelled if max_unlabelled is None else max_unlabelled
    rows = options.read_rows(table, roles, categories, most, random_state)
    from nngmix.encoding import table_pipeline
    from nngmix.persistence import save

    named = [name for name, what in rows.kinds.items() if what == "category"]
    model = table_pipeline(generator, learner, categorical_features=named)
    start = time.perf_counter()
    _fit(model, rows.X, rows.y, table.paths[0])
    seconds = time.perf_counter() - start
    save(model, output, metadata=_metadata(roles, model, rows))
    _summary(options.say_where(input, len(table.paths)), roles, model, rows, seconds, output)


def _share_out(
    settings: list[str], sampler: str, detector: Any
) -> tuple[list[str], dict[str, Any]]:
    """Give each ``--set`` to the sampler (as text) or the detector (by name and value)."""
    from nngmix.sampling import SAMPLERS, Chain

    parts = [] if sampler.lower() == "none" else sampler.split("+")
    kinds = [options.find_kind(part, SAMPLERS, "--sampler") for part in parts]
    whole = Chain if len(kinds) > 1 else kinds[0] if kinds else None
    of_sampler = options.settings_of(whole) if whole else []
    of_detector = options.settings_of(detector)
    for_sampler: list[str] = []
    for_detector: dict[str, Any] = {}
    for text in settings:
        where, key, value = options.read_setting(text)
        head, _, rest = where.partition(".")
        to_detector = where.lower() in ("detector", detector.__name__.lower())
        if not where:
            if key in of_sampler and key in of_detector:
                raise UsageError(
                    f"--set {text}: {sampler} and {detector.__name__} both have a setting "
                    f"{key!r}; say sampler.{text} or detector.{text}."
                )
            if key not in of_sampler and key not in of_detector:
                has = [f"{detector.__name__} has {', '.join(of_detector)}"]
                has += [f"{sampler} has {', '.join(of_sampler)}"] if whole else []
                raise UsageError(f"--set {text}: there is no setting {key!r}; {'; '.join(has)}.")
            to_detector = key in of_detector
        if to_detector:
            if key not in of_detector:
                raise UsageError(
                    f"--set {text}: {detector.__name__} has no setting {key!r}; it has "
                    f"{', '.join(of_detector)}."
                )
            for_detector[key] = _several(value)
            continue
        if not kinds:
            raise UsageError(f"--set {text}: --sampler none has no settings.")
        place = rest if head.lower() == "sampler" else where
        for_sampler.append(f"{place}.{key}={text.partition('=')[2]}".lstrip("."))
    return for_sampler, for_detector


def _several(value: Any) -> Any:
    """Read ``100,50`` as two numbers, for the layers of a network."""
    if not isinstance(value, str) or "," not in value:
        return value
    return tuple(options.read_setting(f"x={part}")[2] for part in value.split(",") if part)


def _fit(model: Any, X: "pa.Table", y: Any, path: Path) -> Any:
    detector = model[-1]
    quiet = detector.verbose
    detector.set_params(verbose=quiet or sys.stderr.isatty())
    from nngmix.detectors import LabelsWarning

    try:
        with warnings.catch_warnings():
            # The summary says it too.
            warnings.simplefilter("ignore", LabelsWarning)
            return model.fit(X, y)
    except ValueError as error:
        hint = " (--exclude leaves a column out.)" if "column" in str(error) else ""
        raise UsageError(f"{str(path)!r}: {str(error).replace(' of X ', ' ')}{hint}") from None
    finally:
        detector.set_params(verbose=quiet)


def _metadata(roles: options.Roles, model: Any, rows: options.Rows) -> dict[str, Any]:
    """Describe the model, for ``nngmix score`` and for people."""
    from nngmix import __version__

    sampler = model.named_steps.get("sampler")
    detector = model.named_steps["detector"]
    return {
        "nngmix": __version__,
        # Pairs, for their order counts.
        "columns": [list(pair) for pair in rows.kinds.items()],
        "label": roles.label,
        "excluded": roles.left_out,
        "sampler": "none" if sampler is None else options.name_of(sampler),
        "sampler_settings": {} if sampler is None else _settings(sampler),
        "detector": type(detector).__name__,
        "detector_settings": _settings(detector),
        "n_rows": len(rows.y),
        "n_anomalies": int((rows.y == 1).sum()),
    }


def _settings(estimator: Any) -> dict[str, Any]:
    # What JSON has no word for is there for people only: text will do.
    settings = estimator.get_params(deep=False)
    return json.loads(json.dumps(settings, default=str))


def _summary(
    where: str, roles: options.Roles, model: Any, rows: options.Rows, seconds: float, output: Path
) -> None:
    sampler, detector = model.named_steps.get("sampler"), model.named_steps["detector"]
    y = rows.y
    n, n_anomalies = len(y), int((y == 1).sum())
    features = roles.features
    shown = ", ".join(features[:8]) + (", ..." if len(features) > 8 else "")
    n_categories = list(rows.kinds.values()).count("category")
    categories = f" ({n_categories} of them with categories)" if n_categories else ""
    lines = [
        ("in", f"{where}: {rows.n_read:,} rows, {n_anomalies:,} of them labelled anomalies"),
        ("features", f"{len(features)}{categories}: {shown}"),
    ]
    if rows.n_read > n:
        drawn = f"{n - n_anomalies:,} of {rows.n_read - n_anomalies:,} unlabelled rows"
        lines.append(("kept", f"{drawn}, drawn by chance, and all labelled anomalies"))
    if roles.left_out or roles.index:
        lines.append(("left out", ", ".join([*roles.left_out, *(i or "''" for i in roles.index)])))
    if sampler is None:
        own = detector.makes_pseudo_anomalies
        lines.append(("sampler", "none: the detector makes its own" if own else "none"))
    else:
        n_new = sum(sampler.sampling_strategy_.values())
        lines.append(("sampler", f"{options.name_of(sampler)}: {n_new:,} pseudo-anomalies"))
    lines.append(("detector", type(detector).__name__))
    lines.append(("trained", f"in {seconds:.1f} s"))
    # The generated rows come after the file's own.
    above = detector.labels_[:n] == 1
    found, called = int(above[y == 1].sum()), int(above[y == 0].sum())
    unlabelled = f"{called:,} of {n - n_anomalies:,} unlabelled rows"
    labelled = f"{found:,} of {n_anomalies:,} labelled anomalies"
    lines.append(
        ("threshold", f"{detector.threshold_:.6g}: above it score {unlabelled} and {labelled}")
    )
    lines.append(("out", str(output)))
    options.print_lines(lines)
    if hasattr(detector, "summary_"):
        typer.echo(f"\n{detector.summarise(model['encoder'].get_feature_names_out())}")
