"""Whether one method beats another over many datasets, or chance could have done it.

A dataset is one observation: its result is the mean over its seeds, for seeds of one dataset are
not independent evidence about other datasets.
"""

import dataclasses

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import stats

_ALPHA = 0.05

# Results that are equal on paper differ in their last digits once they are means or differences,
# and would then be ranked by rounding. Scores such as AUCROC are of order one.
_DIGITS = 10

# Up to so many differences the distribution is counted out; beyond, the normal one is as good.
_EXACT = 200


@dataclasses.dataclass(frozen=True)
class Paired:
    """How a method a did beside a method b on the same datasets.

    Attributes
    ----------
    wins, ties, losses : int
        Datasets on which a is ahead, on which neither is, and on which b is.
    mean_difference, median_difference : float
        Of a minus b.
    p_value : float
        Two-sided, of the Wilcoxon signed-rank test.
    """

    wins: int
    ties: int
    losses: int
    mean_difference: float
    median_difference: float
    p_value: float


@dataclasses.dataclass(frozen=True, eq=False)
class Ranks:
    """Methods ranked on each dataset, and whether their average ranks can be told apart.

    Attributes
    ----------
    average_ranks : ndarray of shape (n_methods,)
        1 is best.
    chi_square, p_value : float
        Friedman's test of all methods being alike.
    f_statistic, f_p_value : float
        Iman and Davenport's version of it, which finds more. Its p-value is too small with a
        handful of datasets: 0 where two of them agree.
    critical_difference : float
        Average ranks that are nearer to each other cannot be told apart (Nemenyi's test, 5 %).
    groups : tuple of tuple of int
        Methods that cannot be told apart: places in `average_ranks`, best first. Each group is as
        large as can be and has two members or more; groups may overlap.
    """

    average_ranks: NDArray[np.float64]
    chi_square: float
    p_value: float
    f_statistic: float
    f_p_value: float
    critical_difference: float
    groups: tuple[tuple[int, ...], ...]


def paired(a: ArrayLike, b: ArrayLike, *, tie: float = 0.0005) -> Paired:
    """Compare two methods over datasets: who wins where, and the Wilcoxon signed-rank test.

    Parameters
    ----------
    a, b : array-like of shape (n_datasets,)
        One result a dataset, higher is better; the same datasets in the same order.
    tie : float, default=0.0005
        A smaller difference counts as a tie: the published tables have three digits. The test
        knows no ties but differences of zero.

    Returns
    -------
    Paired

    Raises
    ------
    ValueError
        If there is no dataset, a number is missing, or a and b are not of one length.

    Notes
    -----
    Differences of zero are ranked with the others and then dropped (Pratt's way,
    ``zero_method="pratt"`` in :func:`scipy.stats.wilcoxon`), so that many datasets without any
    difference count against a few with one. Up to 200 datasets the p-value is exact, with equal
    differences too: all signs of the differences are equally likely, and those sums of ranks that
    are as far off are counted. Beyond, scipy's normal approximation is used.

    Examples
    --------
    >>> found = paired([0.8, 0.9, 0.7, 0.6, 0.9], [0.7, 0.7, 0.4, 0.6, 0.5])
    >>> found.wins, found.ties, found.losses, found.p_value
    (4, 1, 0, 0.125)
    """
    first, second = _numbers("a", a, 1), _numbers("b", b, 1)
    if len(first) != len(second):
        raise ValueError(
            f"a and b must have one result for each dataset; got {len(first)} and {len(second)}."
        )
    if not len(first):
        raise ValueError("a and b must have at least one dataset; got none.")
    if not tie >= 0:
        raise ValueError(f"tie must be zero or more; got {tie!r}.")
    differences = first - second
    rounded = np.round(differences, _DIGITS)
    told = (rounded != 0) & (np.abs(rounded) >= tie)
    return Paired(
        int((told & (rounded > 0)).sum()),
        int((~told).sum()),
        int((told & (rounded < 0)).sum()),
        float(differences.mean()),
        float(np.median(differences)),
        _signed_rank(rounded),
    )


def holm(p_values: ArrayLike) -> NDArray[np.float64]:
    """Correct p-values for their number by Holm's step-down procedure.

    Parameters
    ----------
    p_values : array-like of shape (n_tests,)
        From 0 to 1.

    Returns
    -------
    ndarray of shape (n_tests,)
        In the same order. Those below 0.05 may be rejected together: the chance that any of them
        is so wrongly stays below 5 %.

    Raises
    ------
    ValueError
        If a p-value is missing or not from 0 to 1.

    Examples
    --------
    >>> holm([0.01, 0.04, 0.03])
    array([0.03, 0.06, 0.06])
    """
    raw = _numbers("p_values", p_values, 1)
    if ((raw < 0) | (raw > 1)).any():
        raise ValueError(f"p_values must be from 0 to 1; got {raw.min():g} to {raw.max():g}.")
    order = np.argsort(raw, kind="stable")
    adjusted = np.empty(len(raw))
    steps = (len(raw) - np.arange(len(raw))) * raw[order]
    adjusted[order] = np.minimum(1, np.maximum.accumulate(steps))
    return adjusted


def rank_methods(values: ArrayLike) -> Ranks:
    """Rank methods over datasets, as Demšar recommends: Friedman's test, then Nemenyi's.

    Parameters
    ----------
    values : array-like of shape (n_datasets, n_methods)
        Higher is better; at least two of each. Equal values share their ranks' mean.

    Returns
    -------
    Ranks

    Raises
    ------
    ValueError
        If there are fewer than two datasets or methods, or a number is missing.

    Notes
    -----
    Demšar's formulas [1]_ are used as printed, without a correction for shared ranks. Such ranks
    make both tests find less than they might, never more.

    References
    ----------
    .. [1] J. Demšar, "Statistical Comparisons of Classifiers over Multiple Data Sets", Journal of
       Machine Learning Research 7, 2006.

    Examples
    --------
    >>> found = rank_methods([[0.9, 0.8, 0.7], [0.8, 0.7, 0.6], [0.9, 0.6, 0.7], [0.7, 0.6, 0.5]])
    >>> found.average_ranks
    array([1.  , 2.25, 2.75])
    >>> round(found.critical_difference, 2), found.groups
    (1.66, ((0, 1), (1, 2)))
    """
    table = np.round(_numbers("values", values, 2), _DIGITS)
    n, k = table.shape
    if n < 2 or k < 2:
        raise ValueError(
            f"values must have at least two datasets (rows) and two methods (columns); got {n} "
            f"and {k}."
        )
    ranks = stats.rankdata(-table, axis=1).mean(axis=0)
    # Squared distances from the mean rank: the printed sum of squares less a constant, but
    # without its loss of digits.
    chi_square = float(12 * n / (k * (k + 1)) * ((ranks - (k + 1) / 2) ** 2).sum())
    left = n * (k - 1) - chi_square
    # All datasets agree.
    f_statistic = (n - 1) * chi_square / left if left > 1e-9 else float("inf")
    quantile = float(stats.studentized_range.ppf(1 - _ALPHA, k, np.inf)) / np.sqrt(2)
    critical_difference = float(quantile * np.sqrt(k * (k + 1) / (6 * n)))
    return Ranks(
        ranks,
        chi_square,
        float(stats.chi2.sf(chi_square, k - 1)),
        f_statistic,
        float(stats.f.sf(f_statistic, k - 1, (k - 1) * (n - 1))),
        critical_difference,
        _groups(ranks, critical_difference),
    )


def _signed_rank(differences: NDArray[np.float64]) -> float:
    if not differences.any():
        return 1.0
    if len(differences) > _EXACT:
        return float(stats.wilcoxon(differences, zero_method="pratt").pvalue)
    # Shared ranks are halves, so twice a rank is always whole.
    doubled = np.rint(2 * stats.rankdata(np.abs(differences))).astype(int)[differences != 0]
    total = int(doubled.sum())
    chances = np.zeros(total + 1)
    chances[0] = 1.0
    for rank in doubled:
        with_it = chances[:-rank] / 2
        chances /= 2
        chances[rank:] += with_it
    positive = int(doubled[differences[differences != 0] > 0].sum())
    smaller = min(positive, total - positive)
    return min(1.0, 2 * float(chances[: smaller + 1].sum()))


def _groups(ranks: NDArray[np.float64], distance: float) -> tuple[tuple[int, ...], ...]:
    order = np.argsort(ranks, kind="stable")
    ends = np.searchsorted(ranks[order], ranks[order] + distance)
    found, reached = [], 0
    for start, end in enumerate(ends):
        # A run that goes no further than the one before lies within it.
        if end > reached and end - start > 1:
            found.append(tuple(order[start:end].tolist()))
        reached = max(reached, end)
    return tuple(found)


def _numbers(name: str, given: ArrayLike, n_dimensions: int) -> NDArray[np.float64]:
    numbers = np.asarray(given, dtype=np.float64)
    if numbers.ndim != n_dimensions:
        raise ValueError(f"{name} must have {n_dimensions} dimension(s); got {numbers.ndim}.")
    missing = int((~np.isfinite(numbers)).sum())
    if missing:
        raise ValueError(
            f"{name} must be finite numbers; {missing} of {numbers.size} are not. Leave out "
            "what was not run for all."
        )
    return numbers
