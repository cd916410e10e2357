"""From a table as people have it to the matrix that any detector takes."""

from numbers import Integral
from typing import Any, ClassVar, Literal, Self

import narwhals.stable.v1 as nw
import numpy as np
from imblearn.pipeline import Pipeline
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, TransformerMixin, clone
from sklearn.impute import MissingIndicator, SimpleImputer
from sklearn.preprocessing import MinMaxScaler, OneHotEncoder
from sklearn.utils import get_tags
from sklearn.utils._param_validation import Interval, StrOptions
from sklearn.utils.validation import _check_feature_names_in, check_is_fitted, validate_data

from nngmix.sampling.table import Column, Table, _plain_array

# How many ranges away from its column's fitted range a number may lie. Nobody tells a million
# from more, but single precision, in which networks compute, overflows.
_FARTHEST = 1e6


class TableEncoder(TransformerMixin, BaseEstimator):
    """Turn a table with numbers, booleans, categories and gaps into a matrix of numbers.

    Numbers and booleans are scaled to [0, 1] on the ranges seen in fitting. Their gaps take the
    column's median, and a column that had gaps in fitting gets another column beside it that is 1
    where there is one. A category becomes a column of 0 and 1 for each level seen in fitting.
    Stands between a sampler, which keeps tables as they are, and a detector, which takes numbers.

    Parameters
    ----------
    categorical_features : "dtype", "infer" or list of str or int, default="dtype"
        Which columns hold categories. "dtype": those whose type says so. "infer": those and
        columns of text. A list: these columns, by name or position, and no others.
    keep_missing : bool, default=False
        Leave gaps among numbers NaN and add no columns for them, for a detector that has its own
        way with them (CatBoost). Gaps among categories are a level of their own either way.
    max_categories : int or None, default=20
        Columns for one category, at least 2: beyond it, the rare levels share the last one. None
        sets no limit.

    Attributes
    ----------
    imputer_ : SimpleImputer or None
        Fills gaps among scaled numbers; None where nothing is to be filled.
    scaler_ : MinMaxScaler or None
        Scales numbers; None where there are none.
    one_hot_ : OneHotEncoder or None
        Encodes categories, each known to it by a number; None where there are none.
    categorical_ : ndarray of shape (n_features_in_,), bool
        Which columns hold categories.
    feature_names_out_ : ndarray of shape (n_features_out,)
        Names of the columns that come out.
    n_features_in_ : int
        Columns of X.
    feature_names_in_ : ndarray of shape (n_features_in_,)
        Column names of X, where it has them and all are strings.

    Raises
    ------
    ValueError
        Names the column that is neither numeric nor categorical, holds infinity, or is missing,
        unexpected or in another place than in fitting.

    See Also
    --------
    sklearn.compose.ColumnTransformer : Other encodings, for pandas and polars.

    Notes
    -----
    What comes out is finite (but for the gaps of `keep_missing`): numbers far from the fitted
    range keep their distance up to a million ranges. A level never seen in fitting is 0 in all
    columns of its category. Numbers come out first, then where gaps were, then categories.

    Examples
    --------
    >>> import pyarrow as pa
    >>> from nngmix import TableEncoder
    >>> table = pa.table({"amount": [5.0, None, 15.0], "country": ["CH", "FR", "CH"]})
    >>> encoder = TableEncoder(categorical_features=["country"]).fit(table)
    >>> encoder.get_feature_names_out()
    array(['amount', 'amount missing', 'country=FR', 'country=CH'],
          dtype=object)
    >>> encoder.transform(pa.table({"amount": [20.0, None], "country": ["FR", "IT"]}))
    array([[1.5, 0. , 1. , 0. ],
           [0.5, 1. , 0. , 0. ]])
    """

    _parameter_constraints: ClassVar[dict[str, Any]] = {
        "categorical_features": [StrOptions({"dtype", "infer"}), "array-like"],
        "keep_missing": ["boolean"],
        "max_categories": [Interval(Integral, 2, None, closed="left"), None],
    }

    def __init__(
        self,
        *,
        categorical_features: Literal["dtype", "infer"] | list[str] | list[int] = "dtype",
        keep_missing: bool = False,
        max_categories: int | None = 20,
    ) -> None:
        self.categorical_features = categorical_features
        self.keep_missing = keep_missing
        self.max_categories = max_categories

    def fit(self, X: Any, y: Any = None) -> Self:
        """Learn ranges, medians and levels.

        Parameters
        ----------
        X : array-like, or a pandas, polars or pyarrow table, of shape (n_rows, n_features)
            Numbers, booleans and categories; NaN, None or null where missing.
        y : array-like of shape (n_rows,), default=None
            Where it is given and holds 0 (unlabelled rows), gaps take the median of those rows
            alone: labelled anomalies and pseudo-anomalies are no sample of the rows to come.

        Returns
        -------
        self : TableEncoder

        Raises
        ------
        ValueError
            If a parameter or a column is not as described above.
        """
        self._validate_params()
        table = Table(X, self.categorical_features)
        validate_data(self, X, skip_check_array=True)
        numbers, categories = (
            table.values[:, ~table.categorical],
            table.values[:, table.categorical],
        )
        self.imputer_: Any = None
        self.indicator_: Any = None
        self.scaler_: Any = None
        self.one_hot_: Any = None
        if numbers.shape[1]:
            with np.errstate(over="ignore"):  # a range too wide for a number becomes no range
                self.scaler_ = MinMaxScaler().fit(_without_empty(numbers))
            if not self.keep_missing:
                # After scaling: the median of very large numbers overflows.
                scaled = self._scale(numbers)
                usual = np.ones(len(scaled), dtype=bool) if y is None else np.asarray(y) == 0
                self.imputer_ = SimpleImputer(strategy="median", keep_empty_features=True).fit(
                    scaled[usual] if usual.any() else scaled
                )
                self.indicator_ = MissingIndicator(error_on_new=False).fit(scaled)
        if categories.shape[1]:
            self.one_hot_ = OneHotEncoder(
                handle_unknown="ignore", max_categories=self.max_categories, sparse_output=False
            ).fit(categories)
        self.categorical_ = table.categorical
        self.feature_names_out_ = np.array(self._name(table.columns), dtype=object)
        return self

    def transform(self, X: Any) -> NDArray[np.float64]:
        """Encode rows.

        Parameters
        ----------
        X : array-like, or a pandas, polars or pyarrow table, of shape (n_rows, n_features)
            The columns that `fit` saw, in the same order.

        Returns
        -------
        ndarray of shape (n_rows, n_features_out)
            See :meth:`get_feature_names_out`.

        Raises
        ------
        sklearn.exceptions.NotFittedError
            Before `fit`.
        ValueError
            If the columns are not those of `fit`, or a value can't be read.
        """
        values = self._read(X)
        parts = []
        if self.scaler_ is not None:
            numbers = self._scale(values[:, ~self.categorical_])
            if self.imputer_ is None:
                parts.append(numbers)
            else:
                parts += [self.imputer_.transform(numbers), self.indicator_.transform(numbers)]
        if self.one_hot_ is not None:
            parts.append(self.one_hot_.transform(values[:, self.categorical_]))
        return parts[0] if len(parts) == 1 else np.concatenate(parts, axis=1)

    def unseen(self, X: Any) -> dict[Any, NDArray[np.bool_]]:
        """Tell which cells hold a level that `fit` never saw: 0 in all columns of their category.

        Parameters
        ----------
        X : array-like, or a pandas, polars or pyarrow table, of shape (n_rows, n_features)
            The columns that `fit` saw, in the same order.

        Returns
        -------
        dict of str or int to ndarray of shape (n_rows,), of bool
            For each column of categories.

        Raises
        ------
        sklearn.exceptions.NotFittedError
            Before `fit`.
        ValueError
            If the columns are not those of `fit`, or a value can't be read.
        """
        categories = self._read(X)[:, self.categorical_]
        if self.one_hot_ is None:
            return {}
        given = _check_feature_names_in(self)[self.categorical_]
        return {
            name: ~(np.isin(cells, levels) | np.isnan(cells))
            for name, cells, levels in zip(
                given, categories.T, self.one_hot_.categories_, strict=True
            )
        }

    def _read(self, X: Any) -> NDArray[Any]:
        """Check a table's columns, and turn them into numbers."""
        check_is_fitted(self)
        frame = nw.dependencies.is_into_dataframe(X)
        X = X if frame else _plain_array(X)
        validate_data(self, X, skip_check_array=True, reset=False)
        chosen: list[Any] = np.flatnonzero(self.categorical_).tolist()
        if frame:
            # By name: a frame's column may well be named by a number.
            names = nw.from_native(X, eager_only=True).columns
            chosen = [names[place] for place in chosen]
        return Table(X, chosen).values

    def get_feature_names_out(self, input_features: Any = None) -> NDArray[Any]:
        """Name the columns that come out.

        Parameters
        ----------
        input_features : array-like of str or None, default=None
            None, or the names that `fit` saw.

        Returns
        -------
        ndarray of shape (n_features_out,), of str
            "amount", "amount missing", "country=CH", and "country rare" for the levels beyond
            `max_categories`.

        Raises
        ------
        sklearn.exceptions.NotFittedError
            Before `fit`.
        ValueError
            If `input_features` are other names than those of `fit`.
        """
        check_is_fitted(self)
        _check_feature_names_in(self, input_features)
        return self.feature_names_out_

    def _scale(self, numbers: NDArray[Any]) -> NDArray[np.float64]:
        with np.errstate(over="ignore", invalid="ignore"):
            scaled = self.scaler_.transform(numbers.astype(np.float64, copy=False))
        return np.clip(scaled, -_FARTHEST, _FARTHEST)

    def _name(self, columns: list[Column]) -> list[str]:
        given = _check_feature_names_in(self)
        numbers = given[~self.categorical_].tolist()
        names = list(numbers)
        if self.imputer_ is not None:
            names += [f"{numbers[i]} missing" for i in self.indicator_.features_]
        if self.one_hot_ is not None:
            rare = getattr(self.one_hot_, "infrequent_categories_", [None] * len(columns))
            for place, levels, together in zip(
                np.flatnonzero(self.categorical_), self.one_hot_.categories_, rare, strict=False
            ):
                of = {**columns[place].names, np.nan: None}
                apart = levels if together is None else levels[~np.isin(levels, together)]
                names += [
                    f"{given[place]} missing" if np.isnan(n) else f"{given[place]}={of[n]}"
                    for n in apart
                ]
                names += [] if together is None else [f"{given[place]} rare"]
        return names

    def __sklearn_tags__(self) -> Any:
        """Tell the ecosystem's checks what comes in: tables with gaps, but no sparse matrices."""
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = True
        tags.input_tags.sparse = False
        return tags


def _without_empty(numbers: NDArray[Any]) -> NDArray[Any]:
    """Give columns that are all NaN a zero, so that they have a range."""
    empty = np.isnan(numbers).all(axis=0)
    return np.where(empty, 0.0, numbers) if empty.any() else numbers


def table_pipeline(sampler: Any, detector: Any, *, categorical_features: Any = "dtype") -> Pipeline:
    """Put a sampler, a :class:`TableEncoder` and a detector in a row, for tables of any kind.

    Parameters
    ----------
    sampler : sampler or None
        Adds pseudo-anomalies to the table; None adds nothing.
    detector : BaseDetector
        Takes what the encoder makes of the table. One that allows NaN gets gaps as they are.
    categorical_features : "dtype", "infer" or list of str or int, default="dtype"
        Which columns hold categories, for the sampler and the encoder. As in
        :class:`TableEncoder`.

    Returns
    -------
    imblearn.pipeline.Pipeline
        Steps "sampler" (unless None), "encoder" and "detector": copies, not fitted.

    Examples
    --------
    >>> import pyarrow as pa
    >>> from nngmix import NNGMix
    >>> from nngmix.detectors import MLP
    >>> from nngmix.encoding import table_pipeline
    >>> table = pa.table({"amount": [5.0, 6.0, None, 99.0], "country": ["CH", "FR", "CH", "IT"]})
    >>> model = table_pipeline(NNGMix(), MLP(random_state=0), categorical_features="infer")
    >>> scores = model.fit(table, [0, 0, 0, 1]).decision_function(table)
    >>> scores.argmax()
    np.int64(3)
    """
    steps = []
    if sampler is not None:
        sampler = clone(sampler).set_params(categorical_features=categorical_features)
        steps.append(("sampler", sampler))
    keep = get_tags(detector).input_tags.allow_nan
    encoder = TableEncoder(categorical_features=categorical_features, keep_missing=keep)
    return Pipeline([*steps, ("encoder", encoder), ("detector", clone(detector))])
