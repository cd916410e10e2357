"""The contract that every sampler keeps."""

from abc import abstractmethod
from collections.abc import Iterator, Mapping
from dataclasses import replace
from numbers import Integral, Real
from typing import Any, Self

import numpy as np
from imblearn.over_sampling.base import BaseOverSampler
from imblearn.utils import check_sampling_strategy, check_target_type
from numpy.typing import NDArray
from sklearn.exceptions import NotFittedError
from sklearn.utils._param_validation import HasMethods, Interval, StrOptions
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import validate_data

from nngmix.sampling.labels import check_labels, extend_labels, flatten
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
        return table.extend(new) if whole is None else whole, extend_labels(y, self._added)

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
        for theirs, column in zip(table.columns, template.columns, strict=True):
            column.join(theirs)
        if anomalies is not None and not begun:
            known = Table(anomalies, self.categorical_features)
            for theirs, column in zip(known.columns, template.columns, strict=True):
                column.join(theirs)
            builder.know(known.values.astype(table.values.dtype))
        builder.add(table.values, anomaly)
        self._set_fitted({1: builder}, template)
        return self

    def merge(self, other: "BaseSampler") -> Self:
        """Take in what another sampler was fitted on: the pool of both parts together.

        Parameters
        ----------
        other : sampler
            Of the same class and settings, fitted on another part: with the same labelled
            anomalies (see :meth:`partial_fit`), or with pieces that are all still kept.

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
        if type(other) is not type(self) or str(self.get_params()) != str(other.get_params()):
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
        for column, other_column in zip(
            self._template.columns, other._template.columns, strict=True
        ):
            column.join(other_column)
        self._set_fitted(joined, self._template)
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
        for label in added:
            chosen = labels == label
            builders[label] = PoolBuilder(self._needs(), scale).know(values[chosen])
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

    def sample(self, n: int, *, label: Any = None, random_state: Any = None) -> Any:
        """Generate pseudo-anomalies from the pool, without the data.

        Parameters
        ----------
        n : int
            How many rows, at least 1.
        label : object, default=None
            Which class to generate, where ``sampling_strategy`` named several.
        random_state : int, RandomState instance or None, default=None
            None takes the sampler's own ``random_state``. An int gives the same rows every time;
            pass another one for other rows, or see :meth:`iter_samples`.

        Returns
        -------
        {array-like, dataframe} of shape (n, n_features)
            Rows of the kind, columns and dtypes of the fitted X.

        Raises
        ------
        sklearn.exceptions.NotFittedError
            Before ``fit``.
        ValueError
            If n is not a whole number of at least 1, or ``label`` is not a class to generate.
        """
        label = self._check_label(label)
        n = _check_count("n", n)
        state = self.random_state if random_state is None else random_state
        return self._template.rebuild(self._generate(label, n, state))

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
        size = _check_count("batch_size", batch_size)
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

    def _generate(self, label: Any, n: int, random_state: Any, out: Floats | None = None) -> Floats:
        pool = self._make_pools()[label]
        if out is None:
            out = np.empty((n, pool.anomalies.shape[1]), dtype=pool.anomalies.dtype)

        def draw(rows: Floats, rng: np.random.Generator, first: int) -> None:
            anomaly = self._pick(pool, len(rows), first, rng)
            # "clip": the default mode would write through a buffer.
            np.take(pool.anomalies, anomaly, axis=0, out=rows, mode="clip")
            self._transform(pool, anomaly, rows, rng)

        seed = seed_of(random_state)
        if len(self._builders) > 1:  # classes must not share their chances
            place = list(self._builders).index(label)
            seed = np.random.SeedSequence(seed.entropy, spawn_key=(*seed.spawn_key, place))
        fill(out, draw, seed, self.n_jobs)
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


def _check_count(name: str, value: Any) -> int:
    if not isinstance(value, Integral) or isinstance(value, (bool, np.bool_)) or value < 1:
        raise ValueError(f"{name} must be a whole number of at least 1. Got {value!r} instead.")
    return int(value)
