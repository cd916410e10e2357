"""The contract that every sampler keeps."""

from abc import abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from numbers import Integral, Real
from typing import Any, Self

import joblib
import numpy as np
from imblearn.over_sampling.base import BaseOverSampler
from imblearn.utils import check_sampling_strategy, check_target_type
from numpy.typing import NDArray
from sklearn.exceptions import NotFittedError
from sklearn.utils._param_validation import HasMethods, Interval, StrOptions
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import validate_data

from nngmix.sampling.files import Source, TableFiles
from nngmix.sampling.labels import check_labels, extend_labels, flatten
from nngmix.sampling.parts import (
    Progress,
    check_can_merge,
    check_known,
    choose_columns,
    fit_pool,
)
from nngmix.sampling.pool import Needs, Pool, PoolBuilder
from nngmix.sampling.scaling import find_scale
from nngmix.sampling.streams import fill, seed_of, thread_count
from nngmix.sampling.table import Table

Floats = NDArray[np.floating]


class BaseSampler(BaseOverSampler):
    """Base class of the pseudo-anomaly samplers.

    A sampler is an imbalanced-learn sampler that also remembers: ``fit`` reduces the data to a
    small pool, and ``sample`` generates from the pool as often as wanted. Every generated row
    starts as a copy of a labelled anomaly. A method says what its pool must hold (``_needs``),
    may work something out of it once (``_prepare``), and turns a block of such copies into
    pseudo-anomalies (``_transform``); everything else is here.
    """

    _parameter_constraints: dict[str, Any] = {
        "multiplier": [Interval(Integral, 1, None, closed="left")],
        "sampling_strategy": [
            Interval(Real, 0, 1, closed="right"),
            StrOptions({"auto", "minority", "not minority", "not majority", "all"}),
            Mapping,
            callable,
            None,
        ],
        "scaling": [StrOptions({"minmax"}), HasMethods(["transform", "inverse_transform"]), None],
        "categorical_features": [StrOptions({"dtype", "infer"}), "array-like"],
        "random_state": ["random_state"],
        "n_jobs": [Integral, None],
    }

    multiplier: int
    sampling_strategy: Any
    scaling: Any = "minmax"
    categorical_features: Any
    random_state: Any = None
    n_jobs: int | None = None
    _pools: dict[Any, Pool]

    # What a method fills in ------------------------------------------------------------------

    def _needs(self) -> Needs:
        """Say what the pool must hold."""
        return Needs()

    def _prepare(self, pool: Pool) -> Any:
        """Work out what ``_transform`` finds in ``pool.extra``."""

    def _pick(self, pool: Pool, n: int, first: int, rng: np.random.Generator) -> NDArray[np.intp]:
        """Choose the labelled anomaly that each of ``n`` rows starts from."""
        return rng.integers(len(pool.anomalies), size=n)

    def _block_rows(self) -> int | None:
        """Say how many rows ``_transform`` should get at a time, where it matters."""

    @abstractmethod
    def _transform(
        self, pool: Pool, anomaly: NDArray[np.intp], rows: Floats, rng: np.random.Generator
    ) -> None:
        """Turn ``rows``, copies of ``pool.anomalies[anomaly]``, into pseudo-anomalies, in place."""

    # Fitting ---------------------------------------------------------------------------------

    def fit(self, X: Any, y: Any) -> Self:
        """Reduce the data to the pool that :meth:`sample` generates from.

        Parameters
        ----------
        X : {array-like, dataframe} of shape (n_rows, n_features)
            Numbers, whole numbers, booleans and categories; NaN or null where missing.
        y : array-like of shape (n_rows,)
            1 (or True) for a labelled anomaly, 0 (or False) for an unlabelled row. With
            ``sampling_strategy``, any classes.

        Returns
        -------
        self : object
            Fitted: ``pool_`` holds the rows that are kept.

        Raises
        ------
        ValueError
            One message that names the parameter or column, what is wrong and what would be right.
        """
        self._fit(X, y)
        return self

    def fit_resample(self, X: Any, y: Any) -> tuple[Any, Any]:
        """Append pseudo-anomalies: ``multiplier`` for each labelled anomaly.

        Parameters
        ----------
        X : {array-like, dataframe} of shape (n_rows, n_features)
            Numbers, whole numbers, booleans and categories; NaN or null where missing.
        y : array-like of shape (n_rows,)
            1 (or True) for a labelled anomaly, 0 (or False) for an unlabelled row. With
            ``sampling_strategy``, any classes.

        Returns
        -------
        X_resampled : {array-like, dataframe} of shape (n_rows + n_new, n_features)
            The original rows, untouched and in order, then the generated ones; the kind, columns
            and dtypes of X. ``n_new`` is ``multiplier`` times the number of labelled anomalies,
            or what ``sampling_strategy`` asks for.
        y_resampled : array-like of shape (n_rows + n_new,)
            The labels, 1 for every generated row; the kind and dtype of y.

        Raises
        ------
        ValueError
            One message that names the parameter or column, what is wrong and what would be right.
        """
        table = self._fit(X, y)
        whole, new = table.make_room(sum(self._added.values()))
        start = 0
        for label, n in self._added.items():
            self._generate(label, n, self.random_state, new[start : start + n])
            start += n
        X_new = table.extend(new) if whole is None else table.dress(whole)
        return X_new, extend_labels(y, self._added)

    def partial_fit(self, X: Any, y: Any, *, anomalies: Any = None) -> Self:
        """Take in a piece of the data; the pool is that of all pieces together.

        Parameters
        ----------
        X : {array-like, dataframe} of shape (n_rows, n_features)
            A piece: same columns as the others. It may hold labelled anomalies, unlabelled rows
            or both.
        y : array-like of shape (n_rows,)
            1 (or True) for a labelled anomaly, 0 (or False) for an unlabelled row.
        anomalies : {array-like, dataframe} of shape (n_anomalies, n_features), default=None
            All labelled anomalies there will be, given with the first piece. Then each piece is
            searched when it comes and forgotten, and memory stays small however many there are.
            Without them every row is kept until the pool is used, since an anomaly in a later
            piece may be near any of them.

        Returns
        -------
        self : object

        Raises
        ------
        ValueError
            As :meth:`fit`; also if ``scaling="minmax"``, whose ranges can't be known before the
            last piece (give a fitted scaler, or None), if ``sampling_strategy`` is set, or if a
            piece brings a labelled anomaly that is not among those known.

        Examples
        --------
        >>> import numpy as np
        >>> from nngmix import NNGMix
        >>> X, y = np.random.default_rng(0).random((1000, 4)), np.arange(1000) < 5
        >>> pieces = NNGMix(scaling=None)
        >>> for start in range(0, 1000, 100):
        ...     piece = slice(start, start + 100)
        ...     _ = pieces.partial_fit(X[piece], y[piece], anomalies=X[y])
        >>> whole = NNGMix(scaling=None).fit(X, y)
        >>> np.array_equal(pieces.pool_.unlabelled, whole.pool_.unlabelled)
        True
        """
        self._validate_params()
        if isinstance(self.scaling, str):
            raise ValueError(
                "scaling='minmax' needs all the data at once. For partial_fit pass a fitted "
                "scaler (MinMaxScaler has a partial_fit of its own), or None if the columns are "
                "scaled already."
            )
        if self.sampling_strategy is not None:
            raise ValueError("sampling_strategy: partial_fit takes the multiplier only; set None.")
        begun = hasattr(self, "_builders")
        table = Table(X, self.categorical_features)
        validate_data(self, X, skip_check_array=True, reset=not begun)
        anomaly = check_labels(y, len(table.values), both=False) == 1
        if begun:
            builder, template = self._builders[1], self._template
        else:
            builder = PoolBuilder(self._needs(), find_scale(self.scaling, table))
            template = table.template()
        template = template.join(table)
        if anomalies is not None and not begun:
            known = Table(anomalies, self.categorical_features)
            template = template.join(known)
            builder.know(known.values.astype(table.values.dtype))
        builder.add(table.values, anomaly)
        self._set_fitted({1: builder}, template)
        return self

    def fit_files(
        self,
        source: Source | TableFiles,
        label: str | None,
        *,
        columns: Sequence[str] | None = None,
        exclude: Sequence[str] | None = None,
        anomalies: Any = None,
        delimiter: str = ",",
        progress: Callable[[Progress], object] | None = None,
    ) -> Self:
        """Fit on a table in files, which may be larger than memory.

        The files are read twice, part by part: once for the labelled anomalies and the ranges of
        the columns, once for the rows near the anomalies. Of Parquet files the first round reads
        the label alone, and rows where there are anomalies, if the files' own statistics tell the
        ranges; of the second, nothing, where the method needs no unlabelled rows.

        Parameters
        ----------
        source : path, list of paths or TableFiles
            Parquet or CSV files: one, a folder of them, a pattern such as "rows/*.parquet", or a
            list; see :class:`nngmix.sampling.files.TableFiles`.
        label : str or None
            The column that is 1 (or true) for a labelled anomaly and 0 (or false) elsewhere. None
            only with ``anomalies``: then all rows of the files are unlabelled.
        columns : list of str or None, default=None
            The columns to fit on, in this order. None means all but the label and the index of
            the table (that of pandas, or in CSV files a first column without a name).
        exclude : list of str or None, default=None
            Columns to leave out.
        anomalies : dataframe, path, list of paths, TableFiles or None, default=None
            All labelled anomalies, where they are kept by themselves: then Parquet files whose
            statistics are complete are read once. Anomalies that the label marks must be
            among these.
        delimiter : str, default=","
            Between the cells of CSV files.
        progress : callable or None, default=None
            Called with a :class:`nngmix.sampling.parts.Progress` when a part is read.

        Returns
        -------
        self : object
            Fitted, to the last bit as by :meth:`fit` on the whole table; :meth:`sample` gives
            pyarrow tables.

        Raises
        ------
        FileNotFoundError
            If a file is not there.
        ValueError
            One message that names the file or setting, the column, what is wrong and what would be
            right; also if ``sampling_strategy`` is set. The sampler is then as it was before, and
            so it is where the work is interrupted.

        Notes
        -----
        Memory holds a few parts of some 2**24 cells (64 MB in single precision), beside the
        labelled anomalies and the rows near them.

        A method that needs no unlabelled rows does not look for infinite values among them.

        Examples
        --------
        >>> from tempfile import TemporaryDirectory
        >>> import numpy as np
        >>> import pyarrow as pa, pyarrow.parquet as pq
        >>> from nngmix import NNGMix
        >>> rng = np.random.default_rng(0)
        >>> with TemporaryDirectory() as folder:
        ...     for i in range(3):
        ...         rows = {"a": rng.random(1000), "b": rng.random(1000), "y": np.arange(1000) < 2}
        ...         pq.write_table(pa.table(rows), f"{folder}/{i}.parquet")
        ...     sampler = NNGMix(random_state=0).fit_files(folder, "y")
        >>> sampler.sample(500).shape
        (500, 2)
        """
        check_can_merge(self)
        thread_count(self.n_jobs)
        files = source
        if not isinstance(files, TableFiles):
            files = TableFiles(files, delimiter=delimiter)
        check_known(label, anomalies)
        features = choose_columns(files, label, columns, exclude)
        builder, table = fit_pool(self, files, features, label, anomalies, progress)
        pools = self._build_pools({1: builder})
        validate_data(self, table.native, skip_check_array=True)
        self._set_fitted({1: builder}, table)
        self._pools = pools
        self._set_added()
        return self

    def merge(self, other: "BaseSampler") -> Self:
        """Take in what another sampler was fitted on: the pool of both parts together.

        Parameters
        ----------
        other : sampler
            Of the same class and settings (but ``random_state`` and ``n_jobs``), fitted on another
            part: with the same labelled anomalies (see :meth:`partial_fit` and
            :func:`nngmix.sampling.fit_part`), or with pieces that are all still kept.

        Returns
        -------
        self : object

        Raises
        ------
        sklearn.exceptions.NotFittedError
            If one of the two is not fitted.
        ValueError
            If the two differ in their settings, columns or scaling, or have forgotten rows that
            the other's anomalies may be near.
        """
        for part in (self, other):
            if not hasattr(part, "_builders"):
                raise NotFittedError(f"This {type(part).__name__} instance is not fitted yet.")
        if type(other) is not type(self) or not _same_settings(self, other):
            raise ValueError(f"merge takes a {type(self).__name__} with the same settings.")
        mine, theirs = self._builders, other._builders
        if self.n_features_in_ != other.n_features_in_ or mine.keys() != theirs.keys():
            raise ValueError("merge takes a sampler fitted on the same columns and classes.")
        if any(
            not np.array_equal(getattr(mine[c].scale, name), getattr(theirs[c].scale, name))
            for c in mine
            for name in ("unit", "spread")
        ):
            raise ValueError(
                "these samplers scale differently: give both the same fitted scaler, or None."
            )
        joined = {label: mine[label].join(theirs[label]) for label in mine}
        self._set_fitted(joined, self._template.join(other._template))
        if self.sampling_strategy is None:
            self._set_added()
        return self

    def _fit(self, X: Any, y: Any) -> Table:
        self._validate_params()
        thread_count(self.n_jobs)
        if self.sampling_strategy is not None:
            check_classification_targets(y)
        table = Table(X, self.categorical_features)
        values = table.values
        labels, added = self._targets(y, len(values))
        scale = find_scale(self.scaling, table)
        builders = {}
        needs = self._needs()
        if needs.neighbors and getattr(self, "device", None) == "auto" and table.device is not None:
            # Rows on a GPU are searched there.
            here = table.device.type == "cpu"
            needs = replace(needs, device=None if here else str(table.device))
        for label in added:
            chosen = labels == label
            builders[label] = PoolBuilder(needs, scale).know(values[chosen])
            builders[label].add(values, chosen)
        pools = self._build_pools(builders)
        validate_data(self, X, skip_check_array=True)
        self._set_fitted(builders, table.template())
        self._pools, self._added, self.sampling_strategy_ = pools, added, added
        return table

    def _targets(self, y: Any, n_rows: int) -> tuple[NDArray[Any], dict[Any, int]]:
        """Read the labels, and how many rows to add to each class."""
        if self.sampling_strategy is None:
            labels = check_labels(y, n_rows)
            return labels, {1: int(self.multiplier) * int(np.count_nonzero(labels == 1))}
        labels = flatten(check_target_type(y, indicate_one_vs_all=True)[0], n_rows)
        strategy = check_sampling_strategy(self.sampling_strategy, labels, "over-sampling")
        plain = {
            label.item() if isinstance(label, np.generic) else label: n
            for label, n in strategy.items()
        }
        return labels, plain

    def _set_fitted(self, builders: dict[Any, PoolBuilder], template: Table) -> None:
        # Called last, when all the work is done: a failure or an interruption before it leaves the
        # sampler as it was.
        self._builders, self._template = builders, template
        self._pools = {}
        self.__dict__.pop("sampling_strategy_", None)

    def _set_added(self) -> None:
        """Say how many rows are to be added, where all labelled anomalies are known."""
        anomalies = self._builders[1].anomalies
        if anomalies is not None:
            self._added = {1: int(self.multiplier) * len(anomalies)}
            self.sampling_strategy_ = self._added

    def _build_pools(self, builders: dict[Any, PoolBuilder]) -> dict[Any, Pool]:
        pools = {label: builder.build() for label, builder in builders.items()}
        return {label: replace(p, extra=self._prepare(p)) for label, p in pools.items()}

    def _make_pools(self) -> dict[Any, Pool]:
        # After partial_fit or merge, the pools are made when they are first asked for.
        if not self._pools:
            self._pools = self._build_pools(self._builders)
        return self._pools

    @property
    def pool_(self) -> Pool:
        """The rows that are kept: labelled anomalies and the unlabelled rows near them."""
        if not hasattr(self, "_builders"):
            raise AttributeError(f"this {type(self).__name__} is not fitted, so it has no pool_.")
        return next(iter(self._make_pools().values()))

    # Generating ------------------------------------------------------------------------------

    def sample(
        self,
        n: int,
        *,
        start: int = 0,
        stop: int | None = None,
        label: Any = None,
        random_state: Any = None,
        out: NDArray[Any] | None = None,
    ) -> Any:
        """Generate pseudo-anomalies from the pool, without the data.

        Parameters
        ----------
        n : int
            How many rows, at least 1.
        start, stop : int, default=0, None
            Only the rows from ``start`` up to, not including, ``stop`` of these ``n``; None stands
            for ``n``. So the work can be shared out to processes, machines or files: with a
            ``random_state`` that is an int, the pieces are those of one ``sample(n)``.
        label : object, default=None
            Which class to generate, where ``sampling_strategy`` named several.
        random_state : int, RandomState instance or None, default=None
            None takes the sampler's own ``random_state``. An int gives the same rows every time;
            pass another one for other rows, or see :meth:`iter_samples`.
        out : ndarray of shape (stop - start, n_features), default=None
            Where to write the rows, C-contiguous and of the dtype of the fitted X, which must have
            been an array of numbers. None makes a new table.

        Returns
        -------
        {array-like, dataframe} of shape (stop - start, n_features)
            Rows of the kind, columns and dtypes of the fitted X; ``out`` where it was given.

        Raises
        ------
        sklearn.exceptions.NotFittedError
            Before ``fit``.
        ValueError
            If n is not a whole number of at least 1, ``start`` and ``stop`` are no part of the n
            rows, ``label`` is not a class to generate, or ``out`` cannot take the rows.

        Examples
        --------
        >>> import numpy as np
        >>> from nngmix import NNGMix
        >>> X, y = np.random.default_rng(0).random((100, 4)), np.arange(100) < 5
        >>> sampler = NNGMix(random_state=0).fit(X, y)
        >>> whole = sampler.sample(1000)
        >>> np.array_equal(sampler.sample(1000, start=300, stop=500), whole[300:500])
        True

        Written straight into a file on disk:

        >>> from tempfile import TemporaryDirectory
        >>> with TemporaryDirectory() as folder:
        ...     rows = np.lib.format.open_memmap(f"{folder}/rows.npy", "w+", shape=(1000, 4))
        ...     _ = sampler.sample(1000, out=rows)
        ...     np.array_equal(rows, whole)
        True
        """
        label = self._check_label(label)
        n = check_count("n", n)
        start, stop = _check_slice(start, stop, n)
        state = self.random_state if random_state is None else random_state
        if out is None:
            return self._template.rebuild(self._generate(label, n, state, start=start, stop=stop))
        self._template.check_out(out, stop - start)
        if self._template.is_plain:
            self._generate(label, n, state, out, start=start, stop=stop)
        else:
            out[...] = self._template.rebuild(
                self._generate(label, n, state, start=start, stop=stop)
            )
        return out

    def iter_samples(
        self, batch_size: int, *, label: Any = None, random_state: Any = None
    ) -> Iterator[Any]:
        """Generate fresh batches without end, so that a model need never see a row twice.

        Parameters
        ----------
        batch_size : int
            Rows in a batch, at least 1.
        label : object, default=None
            Which class to generate, where ``sampling_strategy`` named several.
        random_state : int, RandomState instance or None, default=None
            None takes the sampler's own ``random_state``. An int fixes the whole stream.

        Yields
        ------
        {array-like, dataframe} of shape (batch_size, n_features)
            Rows of the kind, columns and dtypes of the fitted X.

        Raises
        ------
        sklearn.exceptions.NotFittedError
            Before ``fit``.
        ValueError
            If ``batch_size`` is not a whole number of at least 1.

        Examples
        --------
        >>> import numpy as np
        >>> from nngmix import NNGMix
        >>> X, y = np.random.default_rng(0).random((100, 4)), np.arange(100) < 5
        >>> batches = NNGMix().fit(X, y).iter_samples(32, random_state=0)
        >>> next(batches).shape, next(batches).shape
        ((32, 4), (32, 4))
        """
        label = self._check_label(label)
        size = check_count("batch_size", batch_size)
        seed = seed_of(self.random_state if random_state is None else random_state)
        return self._batches(label, size, seed)

    def _batches(self, label: Any, size: int, seed: np.random.SeedSequence) -> Iterator[Any]:
        while True:
            child = seed.spawn(1)[0]
            yield self._template.rebuild(self._generate(label, size, child))

    def _check_label(self, label: Any) -> Any:
        if not hasattr(self, "_builders"):
            raise NotFittedError(
                f"This {type(self).__name__} instance is not fitted yet. Call 'fit' first."
            )
        known = list(self._builders)
        if label is None and len(known) == 1:
            return known[0]
        if label not in known:
            raise ValueError(
                f"label must be one of {known}, the classes to generate; got {label!r}."
            )
        return label

    def _generate(
        self,
        label: Any,
        n: int,
        random_state: Any,
        out: Floats | None = None,
        *,
        start: int = 0,
        stop: int | None = None,
    ) -> Floats:
        pool = self._make_pools()[label]
        if out is None:
            shape = (n if stop is None else stop) - start, pool.anomalies.shape[1]
            out = np.empty(shape, dtype=pool.anomalies.dtype)

        def draw(rows: Floats, rng: np.random.Generator, first: int) -> None:
            anomaly = self._pick(pool, len(rows), first, rng)
            # "clip": the default mode would write through a buffer.
            np.take(pool.anomalies, anomaly, axis=0, out=rows, mode="clip")
            self._transform(pool, anomaly, rows, rng)

        seed = seed_of(random_state)
        if len(self._builders) > 1:  # classes must not share their chances
            place = list(self._builders).index(label)
            seed = np.random.SeedSequence(seed.entropy, spawn_key=(*seed.spawn_key, place))
        size = self._block_rows()
        fill(out, draw, seed, self.n_jobs, start=start, n_rows=n, block_rows=size)
        return out

    def __sklearn_is_fitted__(self) -> bool:
        return hasattr(self, "_builders")

    # imbalanced-learn's template method; fit_resample above does the work without it, since it
    # keeps DataFrames and their dtypes, which the template turns into arrays.
    def _fit_resample(self, X: Any, y: Any, **params: Any) -> tuple[Any, Any]:
        return self.fit_resample(X, y)

    def __sklearn_tags__(self) -> Any:
        """Tell the ecosystem's checks what comes in: tables with gaps, but no sparse matrices."""
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = False
        tags.input_tags.allow_nan = True
        return tags


#: The settings of a method that needs no units.
UNSCALED = {
    name: rule for name, rule in BaseSampler._parameter_constraints.items() if name != "scaling"
}


def _same_settings(one: BaseSampler, other: BaseSampler) -> bool:
    """Whether two samplers of a class look for the same rows."""
    mine, theirs = (
        {
            name: value
            for name, value in sampler.get_params(deep=False).items()
            if name not in ("random_state", "n_jobs", "device")
        }
        for sampler in (one, other)
    )
    # The text of some objects tells but their address, which says nothing in another process.
    return str(mine) == str(theirs) or joblib.hash(mine) == joblib.hash(theirs)


def check_count(name: str, value: Any) -> int:
    """Check that a setting is a whole number of at least 1."""
    if not isinstance(value, Integral) or isinstance(value, (bool, np.bool_)) or value < 1:
        raise ValueError(f"{name} must be a whole number of at least 1. Got {value!r} instead.")
    return int(value)


def _check_slice(start: Any, stop: Any, n: int) -> tuple[int, int]:
    stop = n if stop is None else stop
    whole = all(isinstance(v, Integral) and not isinstance(v, bool) for v in (start, stop))
    if not whole or not 0 <= start < stop <= n:
        raise ValueError(
            f"start and stop must be whole numbers, 0 <= start < stop <= n = {n}. Got "
            f"start={start!r} and stop={stop!r} instead."
        )
    return int(start), int(stop)
